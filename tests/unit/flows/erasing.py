"""A world with somebody worth erasing in it, and every trace that is left of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import timedelta

from sync.domain.body import Body
from sync.domain.connection import Connection, Erased
from sync.domain.event import Answer, Event
from sync.domain.mail import MailboxMessage
from sync.domain.message import Contact, Message, Thread
from sync.domain.outgoing import OutgoingFile
from sync.jobs import ERASURES
from tests.fakes.mail import HeldFile
from tests.fakes.versioned import VersionedRows
from tests.unit.flows.conftest import DANA
from tests.unit.flows.world import ACCOUNT, World

BOB = "bob@crm.example"
CARL = "carl@crm.example"
EVE = Contact("eve@world.example", "Eve Quist", "c-eve")
#: What only the mail of the user to erase says, and who its mailboxes belong to.
OF_MAIL = ("eve@", "eve quist", "c-eve", "secret plan", "secret words", "secret.txt", "secret notes")
OF_MAILBOXES = ("dana@", "dana doe", "d.doe@", "oid-dana", "bob@", "bob roe", "oid-bob")
#: What there is of `conversation`: an email and its two answers, the two files that were stored, an event for each message and
#: for the begin and the end of the connection; the message id of each message, and the two keys of their conversation.
OF_A_CONVERSATION = Erased(messages=3, attachments=2, events=5, anchors=5)


@dataclass(frozen=True)
class Kept:
    """What the app has of a user. Of the connection not how far it is synced, which moves by itself; `anchors`: how many."""

    connection: Connection | None
    threads: list[tuple[Thread, bool, list[tuple[Message, Body]]]]
    files: list[bytes]
    events: list[Event]
    anchors: int
    tokens: str | None


class ErasingWorld(World):
    """The world of one user with two mailboxes, Dana's and Bob's, and of another user, Carl."""

    def __init__(self) -> None:
        super().__init__()
        self.people.add(DANA, "Dana Doe", ("d.doe@crm.example",))
        self.people.add(BOB, "Bob Roe")
        self.people.add(CARL, "Carl Cox")

    async def conversation(self, connection: Connection, key: str = "key-1") -> Message:
        """An email with a file, its answer with a file, and what the user wrote in Outlook to that; returns the first."""
        sent = await self.asked(connection, key)
        await self.settle()
        answer = self.answered(connection, sent)
        await self.settle()
        self.mail.from_outlook(connection.mailbox, EVE.address, "RE: Secret plan", answers=answer)
        await self.settle()
        return await self.message(sent.message_id)

    async def asked(self, connection: Connection, key: str, thread_id: str | None = None) -> Message:
        """The CRM has asked to send Eve an email with a file."""
        files = [OutgoingFile("secret.txt", "text/plain", b"secret notes")]
        return await self.accepted(
            connection, key=key, to=[EVE], subject="Secret plan", files=files, thread_id=thread_id
        )

    def answered(self, connection: Connection, sent: Message) -> MailboxMessage:
        """Eve's answer is in the mailbox, with two files of which one syncs."""
        files = [HeldFile("secret.txt", b"secret notes", "text/plain"), HeldFile("secret.exe", b"MZ")]
        return self.mail.arrives(
            connection.mailbox,
            EVE.address,
            "RE: Secret plan",
            answers=self.mail.sent_copy(sent.message_id),
            body=Body("<p>secret words</p>", None),
            files=files,
        )

    async def erased(self, user_id: str = "u1") -> Connection:
        """The user's connection, once erased, and all that was under way is over."""
        connection = await self.erase.erase(ACCOUNT, user_id)
        await self.settle()
        return connection

    def refuse_deliveries(self, times: int) -> None:
        """The CRM can't take events, and says too much about it."""
        self.crm.answers.extend([Answer(500, 0.1, text="can't store the Secret plan")] * times)

    def impatient(self) -> None:
        """A call to erase leaves everything to the queue."""
        self.erase = replace(self.erase, patience_s=0)

    def put_off_erasures(self, by: timedelta) -> None:
        """The queue of erasures is not worked off for so long."""
        for message in self.work.messages:
            if message.queue == ERASURES:
                message.visible_at += by
        for key, (job, due_at) in self.work.promises.items():
            if job.queue == ERASURES:
                self.work.promises[key] = (job, due_at + by)

    async def kept_of(self, connection: Connection) -> "Kept":
        """Everything that the app has of a user, for comparison."""
        account_id, user_id = connection.account_id, connection.user_id
        found = [thread async for thread in self.journal.threads_of(account_id, user_id)]
        threads = [await self.show.thread(account_id, thread.thread_id) for thread in found]
        files = [file.blob for _, _, messages in threads for message, _ in messages for file in message.attachments]
        current = await self.connections.of_user(account_id, user_id)
        return Kept(
            connection=replace(current, synced_through=None) if current is not None else None,
            threads=threads,
            files=[await self.content.file(name) for name in files if name],
            events=[event async for event in self.journal.events_of(account_id, user_id)],
            anchors=await self.anchors.count(connection.connection_id),
            tokens=self.tokens.stored.get(connection.connection_id),
        )

    def traces(self, of: tuple[str, ...] = (*OF_MAIL, *OF_MAILBOXES)) -> list[tuple[str, str]]:
        """What is still kept that says one of these, in any case, and in which store."""
        stores = {
            "sign_ins": self.sign_ins,
            "connections": self.connections,
            "anchors": self.anchors,
            "journal": self.journal,
            "content": self.content,
            "work": self.work,
            "tokens": self.tokens,
        }
        kept = {name: "\n".join(_words(_state(store))).casefold() for name, store in stores.items()}
        return [(place, trace) for place, text in kept.items() for trace in of if trace in text]


def _state(store: object) -> dict[str, object]:
    """The fields of a fake, but for the neighbours that it was given."""
    return {name: value for name, value in vars(store).items() if name not in ("_faults", "_clock", "_people")}


def _words(value: object) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, bytes):
        yield value.decode(errors="replace")
    elif isinstance(value, VersionedRows):
        yield from _words(vars(value))
    elif is_dataclass(value):
        yield from _words([getattr(value, field.name) for field in fields(value)])
    elif isinstance(value, Mapping):
        yield from _words([*value.keys(), *value.values()])
    elif isinstance(value, tuple | list | set | frozenset):
        for held in value:
            yield from _words(held)
    else:
        yield str(value)
