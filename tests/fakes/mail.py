"""
A small honest mailbox, in memory. As Exchange does it:

    create, answer    a draft with an id that survives sending, a Message-ID and a conversation of its own
    send              answered at once; the draft stays a draft until its copy is in Sent Items, `sent_copy_delay` later
    stamp             goes along from draft to copy; a message new to the mailbox is found by it `indexed_after` later

`arrives`, `delete` and `from_outlook` are what happens to a mailbox besides the app. Each change is told to `on_change`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Literal

from sync.domain.body import Body
from sync.domain.connection import Connection, Mailbox
from sync.domain.errors import Declined, Gone, ReconnectNeeded
from sync.domain.mail import Address, MailboxMessage, MailContent, MailFile, ThreadKeys
from sync.domain.outgoing import Draft, OutgoingFile
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Faults
from tests.fakes.graph_access import GraphAccess
from tests.fakes.people import People

type Identity = tuple[str, str]
type Change = Literal["created", "updated", "deleted"]


@dataclass(frozen=True)
class HeldFile:
    """A file on a message. `size_hint`: what the mailbox says its size is; None: what it is."""

    name: str
    content: bytes
    content_type: str = "application/octet-stream"
    kind: Literal["file", "item", "reference"] = "file"
    inline: bool = False
    content_id: str | None = None
    size_hint: int | None = None


@dataclass(eq=False)
class Item:
    """A message in a mailbox: what is seen of it, its content, and when it leaves if it was sent."""

    owner: Identity
    seen: MailboxMessage
    body: Body
    created_at: datetime
    files: list[HeldFile] = field(default_factory=list)
    unread: bool = False
    leaves_at: datetime | None = None
    #: as it came over the wire, where that is kept
    mime: bytes = b""


class FakeMail:
    """
    Keeps `flows.ports.Mail`.

    outgoing: every email that left, in order. on_change: told the mailbox, the id and the kind of each change.
    refuses_to_send: what each send is refused with, where it is. hides_submitted: what was sent is nowhere to be seen until
    its copy is in Sent Items, which Graph documents as possible. answering_marks_read, adds_recipients, carries_inline_files:
    what an answer's draft does to what it answers, and takes over from it. sends_from_alias: off, the mailbox's own address
    takes the place of an alias when a draft is sent.
    """

    sent_copy_delay = timedelta(seconds=1)
    indexed_after = timedelta()

    def __init__(self, people: People, graph: GraphAccess, clock: FakeClock, faults: Faults) -> None:
        self._people = people
        self._graph = graph
        self._clock = clock
        self._faults = faults
        self._items: dict[str, Item] = {}
        self._numbers = count(1)
        self.outgoing: list[Item] = []
        self.refuses_to_send: Declined | None = None
        self.hides_submitted = False
        self.answering_marks_read = False
        self.adds_recipients = False
        self.carries_inline_files = True
        self.sends_from_alias = True
        self.on_change: Callable[[Identity, str, Change], None] = lambda identity, graph_id, change: None

    async def owner(self, access_token: str) -> Mailbox:
        """Whose mailbox a token opens; of tenant and sign-in Graph says nothing."""
        async with self._faults.at("mail.owner"):
            person = self._people.owner_of(access_token)
            if person is None:
                raise ReconnectNeeded(cause="InvalidAuthenticationToken")
            if not person.has_mailbox:
                raise Declined(code="MailboxNotEnabledForRESTAPI", status=404)
            return replace(person.mailbox, tenant_id="", home_account_id="")

    async def keys(self, connection: Connection, graph_id: str) -> MailboxMessage:
        """Keys and addresses of a message, nothing else of it; raises Gone."""
        await self._graph.let_in(connection)
        async with self._faults.at("mail.keys"):
            return self._item(connection, graph_id).seen

    async def received_since(
        self, connection: Connection, since: datetime, limit: int, skip: int = 0
    ) -> list[MailboxMessage]:
        """Keys and addresses of the messages received since then (a whole second), the oldest first, at most `limit`."""
        await self._graph.let_in(connection)
        async with self._faults.at("mail.received_since"):
            self.depart()
            since = since.replace(microsecond=0)
            found = [
                (item.seen.received_at, number, item.seen)
                for number, item in enumerate(self._items.values())
                if item.owner == connection.mailbox.identity
                and not self._hidden(item)
                and item.seen.received_at is not None
                and item.seen.received_at >= since
            ]
            return [seen for _, _, seen in sorted(found, key=lambda place: place[:2])[skip : skip + limit]]

    async def by_internet_message_id(self, connection: Connection, internet_message_id: str) -> list[MailboxMessage]:
        """Keys and addresses of the messages with this Message-ID, of all folders."""
        await self._graph.let_in(connection)
        async with self._faults.at("mail.by_internet_message_id"):
            self.depart()
            mine = [i for i in self._items.values() if i.owner == connection.mailbox.identity and not self._hidden(i)]
            return [i.seen for i in mine if i.seen.keys.internet_message_id == internet_message_id]

    async def content(self, connection: Connection, graph_id: str) -> MailContent:
        """Body and list of files of a message that is ours."""
        await self._graph.let_in(connection)
        async with self._faults.at("mail.content"):
            item = self._item(connection, graph_id)
            files = tuple(
                MailFile(
                    str(i),
                    f.kind,
                    f.name,
                    f.content_type,
                    len(f.content) if f.size_hint is None else f.size_hint,
                    f.inline,
                )
                for i, f in enumerate(item.files)
            )
            return MailContent(item.body.html, item.body.text, files)

    async def file(
        self, connection: Connection, graph_id: str, file_id: str, limit_bytes: int
    ) -> tuple[bytes, str | None] | None:
        """Content and content id of a file; None where it is larger than the limit."""
        await self._graph.let_in(connection)
        async with self._faults.at("mail.file"):
            files = self._item(connection, graph_id).files
            if not file_id.isdecimal() or int(file_id) >= len(files):
                raise Gone
            found = files[int(file_id)]
            return None if len(found.content) > limit_bytes else (found.content, found.content_id)

    async def mime(self, connection: Connection, graph_id: str, limit_bytes: int) -> bytes | None:
        """A delivery report as it came over the wire; None where it is larger than the limit."""
        await self._graph.let_in(connection)
        async with self._faults.at("mail.mime"):
            mime = self._item(connection, graph_id).mime
            return mime if len(mime) <= limit_bytes else None

    async def create_draft(self, connection: Connection, draft: Draft) -> MailboxMessage:
        """A new draft."""
        await self._graph.let_in(connection)
        async with self._faults.at("mail.create_draft"):
            return self._drafted(connection, draft, draft.subject, self._new_keys())

    async def create_answer(self, connection: Connection, graph_id: str, draft: Draft) -> MailboxMessage:
        """A draft that answers this message; raises Gone where the message is not there any more."""
        await self._graph.let_in(connection)
        async with self._faults.at("mail.create_answer"):
            original = self._item(connection, graph_id)
            answered = original.seen
            subject = draft.subject or f"RE: {answered.subject.removeprefix('RE: ')}"
            if self.adds_recipients and answered.sender is not None:
                draft = replace(draft, to=(answered.sender, *draft.to))
            if self.answering_marks_read and original.unread:
                original.unread = False
                self._changed(original, "updated")
            files = [file for file in original.files if file.inline and self.carries_inline_files]
            return self._drafted(connection, draft, subject, self._new_keys(answered), files)

    async def is_unread(self, connection: Connection, graph_id: str) -> bool:
        """Whether the user has not read this message yet; raises Gone."""
        await self._graph.let_in(connection)
        async with self._faults.at("mail.is_unread"):
            return self._item(connection, graph_id).unread

    async def mark_unread(self, connection: Connection, graph_id: str) -> None:
        """Let a message be unread again; raises Gone."""
        await self._graph.let_in(connection)
        async with self._faults.at("mail.mark_unread"):
            item = self._item(connection, graph_id)
            item.unread = True
            self._changed(item, "updated")

    async def set_recipients(self, connection: Connection, draft_id: str, draft: Draft) -> None:
        """Let what is in the mailbox go to the recipients of `draft`, and to nobody else."""
        await self._graph.let_in(connection)
        async with self._faults.at("mail.set_recipients"):
            item = self._draft(connection, draft_id)
            item.seen = replace(item.seen, to=draft.to, cc=draft.cc, bcc=draft.bcc)
            self._changed(item, "updated")

    async def add_file(self, connection: Connection, draft_id: str, file: OutgoingFile) -> None:
        """Add a file to a draft."""
        await self._graph.let_in(connection)
        async with self._faults.at("mail.add_file"):
            item = self._draft(connection, draft_id)
            item.files.append(
                HeldFile(file.name, file.content, file.content_type, inline=file.inline, content_id=file.content_id)
            )
            self._changed(item, "updated")

    async def remove_files(self, connection: Connection, draft_id: str) -> None:
        """Take every file off a draft."""
        await self._graph.let_in(connection)
        async with self._faults.at("mail.remove_files"):
            item = self._draft(connection, draft_id)
            if item.files:
                item.files.clear()
                self._changed(item, "updated")

    async def file_names(self, connection: Connection, draft_id: str) -> list[str]:
        """The names of the files on a draft."""
        await self._graph.let_in(connection)
        async with self._faults.at("mail.file_names"):
            return [file.name for file in self._item(connection, draft_id).files]

    async def send(self, connection: Connection, draft_id: str) -> None:
        """Send a draft; Unclear where it may or may not have gone."""
        await self._graph.let_in(connection)
        async with self._faults.at("mail.send"):
            draft = self._draft(connection, draft_id)
            if self.refuses_to_send is not None:
                raise self.refuses_to_send
            if not self.sends_from_alias:
                owner = connection.mailbox
                draft.seen = replace(draft.seen, sender=Address(owner.email, owner.display_name))
            draft.leaves_at = self._clock() + self.sent_copy_delay

    async def find_stamped(self, connection: Connection, stamp: str) -> MailboxMessage | None:
        """The message that carries our stamp: a draft, or its copy in Sent Items, wherever it is by now."""
        await self._graph.let_in(connection)
        async with self._faults.at("mail.find_stamped"):
            self.depart()
            found = [
                item.seen
                for item in self._items.values()
                if item.owner == connection.mailbox.identity
                and item.seen.stamp == stamp
                and not self._hidden(item)
                and item.created_at + self.indexed_after <= self._clock()
            ]
            return min(found, key=lambda seen: seen.is_draft, default=None)

    async def discard(self, connection: Connection, draft_id: str) -> None:
        """Delete a draft; raises Gone where it is not there any more."""
        await self._graph.let_in(connection)
        async with self._faults.at("mail.discard"):
            self._item(connection, draft_id)
            self.delete(draft_id)

    # What happens besides the app.

    def arrives(
        self,
        owner: Mailbox,
        sender: str,
        subject: str,
        *,
        answers: MailboxMessage | None = None,
        keys: ThreadKeys | None = None,
        body: Body = Body("<p>Hello</p>", None),  # noqa: B008 - frozen
        files: Sequence[HeldFile] = (),
        to: Sequence[str] | None = None,
        received_at: datetime | None = None,
        reply_to: Sequence[str] = (),
    ) -> MailboxMessage:
        """
        Mail from outside, by default to the owner and in a conversation of its own, or in that of what it `answers`.

        received_at: where the mailbox shows it only now, and received it earlier.
        """
        now = self._clock()
        seen = MailboxMessage(
            graph_id=f"graph-{next(self._numbers)}",
            keys=keys or self._new_keys(answers),
            subject=subject,
            sender=Address(sender),
            to=tuple(Address(address) for address in (to or [owner.email])),
            reply_to=tuple(Address(address) for address in reply_to),
            sent_at=now,
            received_at=received_at or now,
        )
        own = sender in (owner.email, *owner.aliases)
        self._add(Item(owner.identity, seen, body, now, list(files), unread=not own))
        return seen

    def from_outlook(
        self, owner: Mailbox, to: str, subject: str, answers: MailboxMessage | None = None
    ) -> MailboxMessage:
        """What the owner wrote in Outlook: its copy in Sent Items."""
        return self.arrives(owner, owner.email, subject, answers=answers, to=[to])

    def drafted(self, owner: Mailbox, to: str, subject: str, *, keys: ThreadKeys, body: Body) -> MailboxMessage:
        """What the owner has begun to write in Outlook, and not sent."""
        now = self._clock()
        seen = MailboxMessage(
            graph_id=f"graph-{next(self._numbers)}",
            keys=keys,
            subject=subject,
            sender=Address(owner.email, owner.display_name),
            to=(Address(to),),
            is_draft=True,
            received_at=now,  # Exchange gives drafts one, too
        )
        self._add(Item(owner.identity, seen, body, now))
        return seen

    def reported(
        self,
        owner: Mailbox,
        about: MailboxMessage,
        failed: Sequence[str],
        *,
        keys: ThreadKeys | None = None,
        action: str = "failed",
        mime: bytes | None = None,
    ) -> MailboxMessage:
        """
        A delivery report about an email, of these addresses, by default in its conversation and naming it in In-Reply-To.

        keys: what is seen of it instead. mime: what it says instead.
        """
        now = self._clock()
        seen = MailboxMessage(
            graph_id=f"graph-{next(self._numbers)}",
            keys=keys or self._new_keys(about),
            subject=f"Undeliverable: {about.subject}",
            sender=Address("postmaster@mail.example"),
            to=(Address(owner.email),),
            sent_at=now,
            received_at=now,
            auto_reply=True,
            report=True,
        )
        said = mime if mime is not None else report_about(about.keys.internet_message_id, failed, action)
        self._add(Item(owner.identity, seen, Body(None, "Not delivered."), now, mime=said))
        return seen

    def sent_copy(self, stamp: str) -> MailboxMessage:
        """The copy in Sent Items of what the app sent with this stamp."""
        self.depart()
        return next(i.seen for i in self._items.values() if i.seen.stamp == stamp and not i.seen.is_draft)

    def unread(self, graph_id: str) -> bool:
        """Whether the owner sees it as unread."""
        return self._items[graph_id].unread

    def read_ones(self) -> list[MailboxMessage]:
        """The mail from others that is not unread."""
        return [i.seen for i in self._items.values() if not (i.unread or i.seen.is_draft or i.seen.stamp)]

    def read(self, graph_id: str, read: bool = True) -> None:
        """The owner reads a message, or marks it as unread."""
        self._items[graph_id].unread = not read
        self._changed(self._items[graph_id], "updated")

    def drafts(self) -> list[Item]:
        """Everything that is still a draft."""
        self.depart()
        return [item for item in self._items.values() if item.seen.is_draft]

    def delete(self, graph_id: str) -> None:
        """The owner deletes a message for good."""
        item = self._items.pop(graph_id)
        self._changed(item, "deleted")

    @property
    def next_departure(self) -> datetime | None:
        """When the next sent message leaves."""
        return min((i.leaves_at for i in self._items.values() if i.leaves_at is not None), default=None)

    def depart(self) -> None:
        """Let leave what was sent and is due: the draft becomes the copy in Sent Items."""
        for item in list(self._items.values()):
            if item.leaves_at is not None and item.leaves_at <= self._clock():
                at, item.leaves_at = item.leaves_at, None
                item.seen = replace(item.seen, is_draft=False, sent_at=at, received_at=at)
                self.outgoing.append(item)
                self._changed(item, "updated")

    # Inside.

    def _item(self, connection: Connection, graph_id: str) -> Item:
        self.depart()
        item = self._items.get(graph_id)
        if item is None or item.owner != connection.mailbox.identity or self._hidden(item):
            raise Gone
        return item

    def _hidden(self, item: Item) -> bool:
        return self.hides_submitted and item.leaves_at is not None

    def _draft(self, connection: Connection, graph_id: str) -> Item:
        """A draft that can still be changed; another one is refused, so that nothing is sent twice."""
        item = self._item(connection, graph_id)
        if not item.seen.is_draft:
            raise Declined("The message is not a draft.", code="ErrorInvalidRequest", status=400)
        if item.leaves_at is not None:
            raise Declined("It has been submitted.", code="ErrorIrresolvableConflict", status=409)
        return item

    def _drafted(
        self,
        connection: Connection,
        draft: Draft,
        subject: str,
        keys: ThreadKeys,
        files: Sequence[HeldFile] = (),
    ) -> MailboxMessage:
        owner = connection.mailbox
        now = self._clock()
        seen = MailboxMessage(
            graph_id=f"graph-{next(self._numbers)}",
            keys=keys,
            subject=subject,
            sender=draft.sender or Address(owner.email, owner.display_name),
            to=draft.to,
            cc=draft.cc,
            bcc=draft.bcc,
            is_draft=True,
            received_at=now,  # Exchange gives drafts one, too
            stamp=draft.stamp,
        )
        self._add(Item(owner.identity, seen, draft.body, now, list(files)))
        return seen

    def _new_keys(self, answers: MailboxMessage | None = None) -> ThreadKeys:
        number = next(self._numbers)
        if answers is None:
            return ThreadKeys(
                f"<{number}@mail.example>", conversation_id=f"conv-{number}", conversation_guid=f"guid-{number}"
            )
        before = answers.keys
        return ThreadKeys(
            internet_message_id=f"<{number}@mail.example>",
            in_reply_to=before.internet_message_id,
            references=(*before.references, before.internet_message_id),
            conversation_id=before.conversation_id,
            conversation_guid=before.conversation_guid,
        )

    def _add(self, item: Item) -> None:
        self._items[item.seen.graph_id] = item
        self._changed(item, "created")

    def _changed(self, item: Item, change: Change) -> None:
        self.on_change(item.owner, item.seen.graph_id, change)


def report_about(internet_message_id: str, failed: Sequence[str], action: str = "failed", code: str = "5.1.1") -> bytes:
    """A delivery report as mail servers write it (RFC 3464)."""
    recipients = "".join(
        f"\nFinal-Recipient: rfc822; {address}\nAction: {action}\nStatus: {code}\n"
        f"Diagnostic-Code: smtp; 550 {code} No such user\n"
        for address in failed
    )
    text = (
        "From: postmaster@mail.example\nSubject: Undeliverable\nMIME-Version: 1.0\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        "--b\nContent-Type: text/plain\n\nIt could not be delivered.\n"
        f"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mail.example\n{recipients}\n"
        f"--b\nContent-Type: text/rfc822-headers\n\nMessage-ID: {internet_message_id}\nSubject: Offer\n\n--b--\n"
    )
    return text.encode()
