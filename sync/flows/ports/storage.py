"""What the flows need of the storage account: rows, large things, queues, and secrets at rest."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from sync.domain.batch import Batch, Letter
from sync.domain.body import Body
from sync.domain.connection import Connection
from sync.domain.event import Event, NewEvent
from sync.domain.failure import Failure, PoisonMessage
from sync.domain.message import Message, Thread
from sync.domain.outgoing import AcceptedSend
from sync.domain.pace import Pace
from sync.domain.provider import Provider
from sync.domain.retention import Mark, MarkKind
from sync.domain.sign_in import LastSignIn, SignIn
from sync.domain.thread_rule import Anchor, KeyKind
from sync.domain.webhook import Undelivered, Webhook
from sync.jobs import Job


class SignIns(Protocol):
    """Sign-ins under way."""

    async def get(self, sign_in_id: str) -> SignIn | None:
        """The sign-in with this id."""

    async def save(self, sign_in: SignIn) -> SignIn:
        """Insert it (no version) or replace the version read."""

    async def last(self, account_id: str, user_id: str) -> LastSignIn | None:
        """How the user's last sign-in ended, where it did not end in a connection."""

    async def keep_last(self, last: LastSignIn) -> None:
        """Keep how it ended, in the place of what was kept of an earlier one."""

    async def forget_last(self, account_id: str, user_id: str) -> None:
        """The user has connected since."""

    async def remove_of(self, account_id: str, user_id: str) -> None:
        """Remove all there is of this user's sign-ins."""

    def expired(self, before: datetime) -> AsyncIterator[SignIn]:
        """Those of all users whose time was over before then."""

    async def remove(self, sign_in: SignIn) -> None:
        """Remove one; no error where it is gone."""

    def ends(self) -> AsyncIterator[LastSignIn]:
        """How the last sign-in of every user ended, where that is kept."""


class Connections(Protocol):
    """The current connection of each user, and who owned each connection there ever was."""

    async def of_user(self, account_id: str, user_id: str) -> Connection | None:
        """The user's current connection, in any state."""

    async def by_id(self, connection_id: str) -> Connection | None:
        """This connection; disconnected, as it was retired, once another has taken its place."""

    async def sharing(self, connection: Connection) -> list[Connection]:
        """
        The other live connections of the same mailbox that are told of it by the same subscription.

        Graph allows an app one subscription for a mailbox, and it names one connection. Where this connection has none
        now, every other live connection of the mailbox.
        """

    async def of_mailbox(self, connection: Connection) -> list[Connection]:
        """The other live connections of the same mailbox, in any account."""

    async def all_of(self, account_id: str, user_id: str) -> list[Connection]:
        """Every connection the user has or had: the current one, and the others as they were retired (disconnected)."""

    async def leave(self, connection: Connection) -> None:
        """An ended connection is not looked at any more when others of its mailbox are sought."""

    async def introduce(self, connection: Connection) -> None:
        """Keep who owns this new connection, before it is saved as the current one."""

    async def retire(self, connection: Connection) -> None:
        """Keep a connection that another is about to take, or has taken, the place of, so that what it opened can be closed."""

    async def save(self, connection: Connection) -> Connection:
        """Insert it (no version) or replace the version read, which may be of the connection whose place it takes."""

    async def standing(self, ends_before: datetime) -> tuple[dict[str, int], int]:
        """
        How many current connections there are in each state, and how many connected ones have a subscription that ends before
        then.

        Reads a column or two of every connection: a page of 1,000 for each thousand of them.
        """

    async def a_tenant(self) -> str | None:
        """The tenant of some connected mailbox; None: there is none."""


class Anchors(Protocol):
    """The keys by which mail is recognised as part of a thread. They belong to a connection."""

    async def find(self, connection_id: str, keys: Sequence[tuple[KeyKind, str]]) -> list[Anchor]:
        """The anchors that exist under these keys."""

    async def add(self, connection_id: str, anchors: Sequence[Anchor]) -> None:
        """Keep these anchors; a key that exists already stays as it is."""

    async def message_of(self, connection_id: str, name: str) -> str | None:
        """The id of our message that this name (a Graph id, an internet message id) was remembered for; an empty name: None."""

    async def remember(self, connection_id: str, name: str, message_id: str) -> None:
        """Keep which message of ours a message of the mailbox is."""

    async def count(self, connection_id: str) -> int:
        """How many keys there are; what was remembered is not counted."""

    async def remove_all(self, connection_id: str) -> None:
        """Remove every key, and all that was remembered."""


class Journal(Protocol):
    """Messages, threads, and the feed of events: one partition per account."""

    async def accepted(self, account_id: str, key: str) -> AcceptedSend | None:
        """What was accepted under this idempotency key."""

    async def accept(
        self,
        account_id: str,
        send: AcceptedSend,
        batch: Batch,
        message: Message | None = None,
        thread: Thread | None = None,
        *,
        expires_at: datetime,
    ) -> AcceptedSend:
        """
        Insert key, batch, and what else is given, all or nothing; returns what stands under the key then.
        """

    async def batch(self, account_id: str, batch_id: str) -> Batch | None:
        """The batch with this id."""

    async def save_batch(self, batch: Batch) -> Batch:
        """Replace the version read."""

    async def release(self, message: Message, thread: Thread | None) -> Message:
        """Insert a message of a batch, and the thread it begins, all or nothing; returns the message as it was inserted first."""

    async def in_batch(self, account_id: str, batch_id: str, *, unfinished: bool = False) -> list[Message]:
        """The messages of a batch that have had their turn, in its order; or only those of them that are not final."""

    async def count_in_batch(self, account_id: str, batch_id: str) -> dict[str, int]:
        """How many messages of a batch that have had their turn are in each status."""

    async def message(self, account_id: str, message_id: str) -> Message | None:
        """The message with this id."""

    async def save_message(self, message: Message) -> Message:
        """Replace the version read."""

    async def thread(self, account_id: str, thread_id: str) -> Thread | None:
        """The thread with this id."""

    async def save_thread(self, thread: Thread) -> Thread:
        """Replace the version read."""

    async def threads(
        self, account_id: str, *, contact_id: str | None, user_id: str | None, after: str | None, limit: int
    ) -> list[Thread]:
        """Threads in the order of their ids, from behind `after`."""

    async def messages_of(self, account_id: str, thread_id: str) -> list[Message]:
        """The messages of a thread, oldest first."""

    async def count_threads(self, account_id: str, connection_id: str) -> int:
        """How many threads this connection holds."""

    async def append(self, event: NewEvent, message: Message | None = None) -> Event:
        """
        Give the event the next place in the feed and store the message with it, all or nothing.

        What was told before (`once`) is not told again: then nothing is written and the earlier event returned.
        """

    async def event(self, account_id: str, event_id: str) -> Event | None:
        """The event with this id."""

    async def save_event(self, event: Event) -> Event:
        """Replace the version read."""

    async def events(self, account_id: str, after: int, limit: int) -> list[Event]:
        """Events with a sequence above `after`, in order."""

    async def last_sequence(self, account_id: str) -> int:
        """The highest sequence there is; 0: no event yet."""

    def threads_of(self, account_id: str, user_id: str) -> AsyncIterator[Thread]:
        """Every thread of a user."""

    def events_of(self, account_id: str, user_id: str) -> AsyncIterator[Event]:
        """Every event that tells of a user, in order."""

    async def remove_thread(self, thread: Thread) -> None:
        """Remove a thread and the ways that lead to it; no error where it is gone."""

    async def remove_message(self, message: Message) -> None:
        """Remove a message and its place in its thread; no error where it is gone."""

    async def next_account(self, after: str) -> str | None:
        """The first account behind this one, in the order of their ids, that has anything here."""

    async def messages_before(self, account_id: str, before: datetime, place: str) -> tuple[list[Message], str]:
        """
        Some messages that happened before then, in the order of their ids, from a place on (empty: the beginning).

        Also the place to go on from; empty: there are no more.
        """

    async def batches(self, account_id: str, after: str, limit: int) -> list[Batch]:
        """Batches in the order of their ids, from behind `after`."""

    async def remove_batch(self, batch: Batch) -> None:
        """Remove a batch; no error where it is gone."""

    async def remove_keys(self, account_id: str, now: datetime) -> None:
        """Remove the idempotency keys whose time is over."""

    async def mark(self, account_id: str, kind: MarkKind) -> Mark:
        """How far the account's feed is done with; a new mark where that was not kept yet."""

    async def save_mark(self, mark: Mark) -> None:
        """Insert it (no version) or replace the version read; raises Conflict."""

    async def blank_batches(self, account_id: str, user_id: str, connections: Collection[str]) -> None:
        """
        Take everybody's names out of what was accepted of this user for these connections, and end what waits.

        The keys stay, so that a repeated request gets its answer and sends nothing again.
        """


class Webhooks(Protocol):
    """How it stands with the CRM's webhook, one row for the whole app; and a list of the events that are undelivered."""

    async def state(self) -> Webhook | None:
        """What was stored last."""

    async def save(self, webhook: Webhook) -> Webhook:
        """Insert it (no version) or replace the version read; raises Conflict."""

    async def list_undelivered(self, event: Undelivered) -> None:
        """Put an event on the list, in the place of an earlier entry for it."""

    async def undelivered(self, since: datetime, limit: int) -> list[Undelivered]:
        """Those that became undelivered since then, account by account, each in the order of its feed."""

    async def forget_undelivered(self, account_id: str, sequence: int) -> None:
        """Take an event off the list; no error where it is not on it."""

    async def count_undelivered(self) -> int:
        """How many are on the list."""


class Paces(Protocol):
    """How fast emails leave through each mailbox."""

    async def of_mailbox(self, mailbox: tuple[str, str]) -> Pace:
        """The mailbox's pace; a new one where nothing was sent yet."""

    async def save(self, pace: Pace) -> None:
        """Insert it (no version) or replace the version read; raises Conflict."""

    def every(self) -> AsyncIterator[Pace]:
        """The paces of all mailboxes."""

    async def remove(self, pace: Pace) -> None:
        """Remove it, unless it was changed since it was read."""


class Content(Protocol):
    """Large things, under generated names, kept for a connection."""

    async def put_body(self, account_id: str, connection_id: str, message_id: str, body: Body) -> str:
        """Store a body; returns its name."""

    async def body(self, name: str) -> Body:
        """A stored body."""

    async def put_letters(self, account_id: str, connection_id: str, batch_id: str, letters: Sequence[Letter]) -> str:
        """Store the letters of a batch; returns their name."""

    async def letters(self, name: str) -> tuple[Letter, ...]:
        """Stored letters."""

    async def put_file(self, account_id: str, connection_id: str, attachment_id: str, content: bytes) -> str:
        """Store a file; returns its name. The same content under the same id has the same name."""

    async def file(self, name: str) -> bytes:
        """A stored file."""

    async def remove(self, name: str) -> None:
        """Remove one body, file, or letters; no error where it is gone, or the name is empty."""

    async def remove_all(self, account_id: str, connection_id: str) -> int:
        """Remove all that was kept for a connection, also what no message came to lead to; returns how much that was."""


class Work(Protocol):
    """
    Queues, and the promises behind them: a promised job is queued again by the sweep until it is done.

    parts: promises are kept in so many parts, each of which can be read beside the others.
    """

    @property
    def parts(self) -> int: ...

    async def promise(self, job: Job, *, due_at: datetime, delay: timedelta = timedelta()) -> None:
        """Remember that this is to be done, and queue it, visible after `delay`."""

    async def queue(self, job: Job, delay: timedelta = timedelta()) -> None:
        """Queue it without a promise."""

    async def done(self, job: Job) -> None:
        """Forget the promise."""

    def overdue(self, now: datetime, part: int) -> AsyncIterator[Job]:
        """Promised jobs of this part (from 0 on) whose time has come."""

    async def postpone(self, job: Job, due_at: datetime) -> None:
        """Move the promise's time without queueing."""

    async def waiting(self) -> dict[str, int]:
        """About how many messages are in each queue and each poison queue."""

    async def oldest(self) -> dict[str, datetime]:
        """Since when the oldest message that can be seen waits in each queue; queues without one are left out."""


class Poison(Protocol):
    """What the Functions host gave up, and why work failed."""

    async def note(self, failure: Failure) -> None:
        """Keep why it failed, in the place of what was kept of an earlier try."""

    async def failure(self, queue: str, key: str) -> Failure | None:
        """Why this work failed the last time."""

    async def forget(self, queue: str, key: str) -> None:
        """It was done, or is to be tried anew; no error where nothing was kept."""

    async def peek(self, queue: str, limit: int) -> list[PoisonMessage]:
        """The messages in the poison queue of this queue that can be seen now, at most `limit` (and at most 32)."""

    def put_back(self, queue: str, limit: int) -> AsyncIterator[str]:
        """Put what is in the poison queue back to its queue; the text of each that was. A crash leaves two of it, never none."""

    async def keep(self, queue: str) -> int:
        """Put those of the poison queue that would expire anew, so that they never do; how many that were."""


class Providers(Protocol):
    """The accounts' own email providers, their passwords sealed."""

    async def of_account(self, account_id: str) -> Provider | None:
        """The account's provider, its password unsealed; raises OperatorAlarm where that can't be done."""

    async def save(self, provider: Provider) -> Provider:
        """Put it in the place of whatever was there."""

    async def remove(self, account_id: str) -> None:
        """Forget it; no error where there is none."""


class Tokens(Protocol):
    """The stored sign-ins of connections, sealed."""

    async def keep(self, connection: Connection, token_cache: str) -> None:
        """Store a new sign-in of this connection."""

    async def access_token(self, connection: Connection, *, refused: str | None = None, claims: str = "") -> str:
        """
        A token for Graph, refreshed where needed, and where Graph `refused` it, with the `claims` it asked for (JSON).

        Raises ReconnectNeeded, OperatorAlarm, Unclear.
        """

    async def reseal(self, connection: Connection) -> None:
        """Seal them with the newest key, if they are not."""

    async def destroy(self, connection: Connection) -> None:
        """Destroy them; no error where there are none."""


class Sealing(Protocol):
    """Secrets at rest, each bound to where it belongs."""

    def seal(self, secret: str, *where: str) -> str:
        """Encrypt with the newest key."""

    def unseal(self, sealed: str, *where: str) -> str:
        """Decrypt what was sealed for the same place; raises ValueError otherwise."""
