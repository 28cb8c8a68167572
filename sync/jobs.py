"""
The queues and what stands in a queue message: ids only, never mail, so that a message is a pointer and a row the truth. With
rich notifications a mail change also has the keys that Graph told of it, still encrypted.

A job's `key` names the piece of work, not the message: the same work queued twice has the same key.

Beside its ids a message says which trace its work belongs to (`traced`), and since when it is due if it was put off.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import ClassVar, Self

MAILBOX_WATCH = "mailbox-watch"
MAILBOX_CATCH_UP = "mailbox-catch-up"
MAIL_BATCHES = "mail-batches"
MAIL_SENDS = "mail-sends"
MAIL_CHANGES = "mail-changes"
CRM_DELIVERIES = "crm-deliveries"
CRM_REDELIVERIES = "crm-redeliveries"
CRM_UNDELIVERED = "crm-undelivered"
ERASURES = "erasures"
RETENTION = "retention"
QUEUES = (
    MAILBOX_WATCH,
    MAILBOX_CATCH_UP,
    MAIL_BATCHES,
    MAIL_SENDS,
    MAIL_CHANGES,
    CRM_DELIVERIES,
    CRM_REDELIVERIES,
    CRM_UNDELIVERED,
    ERASURES,
    RETENTION,
)
POISON_SUFFIX = "-poison"

#: What one message of these queues asks for is many pieces of work, or a look that comes again and again.
FAN_OUT = frozenset(
    (MAILBOX_WATCH, MAILBOX_CATCH_UP, MAIL_BATCHES, CRM_REDELIVERIES, CRM_UNDELIVERED, ERASURES, RETENTION)
)
#: Work that never ends: each time promises the next.
STANDING = frozenset((MAILBOX_WATCH, MAILBOX_CATCH_UP))
#: What a message says beside its work.
BESIDE = ("trace", "linked_to", "due", "carried")


@dataclass(frozen=True)
class Job:
    """
    A wake-up: which work on which row. Written to its queue as JSON.

    Beside the work, each as a text and empty where there is none: `trace` is the W3C traceparent of what this work is a part of,
    `linked_to` of what began it although it is a trace of its own, `due` the time (RFC 3339) from which a message that was put
    off can be seen.
    """

    queue: ClassVar[str]
    trace: str = field(default="", kw_only=True, compare=False)
    linked_to: str = field(default="", kw_only=True, compare=False)
    due: str = field(default="", kw_only=True, compare=False)

    @property
    def work(self) -> dict[str, object]:
        """What is asked for, without what stands beside it."""
        return {name: value for name, value in asdict(self).items() if name not in BESIDE}

    def to_json(self) -> str:
        """The queue message's text."""
        beside = {name: value for name in BESIDE if (value := getattr(self, name, ""))}
        return json.dumps(self.work | beside, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a queue message; fields of a newer version of the app are passed over."""
        known = cls.__dataclass_fields__
        return cls(**{k: v for k, v in json.loads(text).items() if k in known})

    @property
    def key(self) -> str:
        """The name of this piece of work, usable in a table key."""
        return "|".join([self.queue, *(str(v) for v in self.work.values())])


@dataclass(frozen=True)
class WatchMailbox(Job):
    """
    See that Graph tells us of this connection's mailbox (or, once the connection has ended, no longer does).

    `lifecycle`: the lifecycle event that asks for it, else empty. `passed_on`: other connections of the same mailbox know of
    that event already. `failing_since`: the first of the tries that failed so far (RFC 3339), empty: none has.
    """

    queue: ClassVar[str] = MAILBOX_WATCH
    connection_id: str
    lifecycle: str = ""
    passed_on: bool = False
    failing_since: str = ""

    @property
    def key(self) -> str:
        """One piece of work for each connection, whatever asks for it."""
        return f"{self.queue}|{self.connection_id}"


@dataclass(frozen=True)
class CatchUp(Job):
    """
    Look through a mailbox for mail that nobody told us of.

    `since`: from which time of receipt on (RFC 3339), empty: from where the last look ended; `page_size` messages at a time.
    `skip`: of those so many were looked at before, in a second that has more mail than a page. `again_to`: up to which time of
    receipt it was looked twice, or is now.
    """

    queue: ClassVar[str] = MAILBOX_CATCH_UP
    connection_id: str
    since: str = ""
    page_size: int = 50
    skip: int = 0
    again_to: str = ""

    @property
    def key(self) -> str:
        """One piece of work for each connection, however far it has come."""
        return f"{self.queue}|{self.connection_id}"


@dataclass(frozen=True)
class SendBatch(Job):
    """Give the next emails of a bulk send their turn."""

    queue: ClassVar[str] = MAIL_BATCHES
    account_id: str
    batch_id: str


@dataclass(frozen=True)
class SendMail(Job):
    """Bring an accepted message a step nearer to being sent."""

    queue: ClassVar[str] = MAIL_SENDS
    account_id: str
    message_id: str


@dataclass(frozen=True)
class MailChange(Job):
    """
    Look at a message of a mailbox.

    `graph_id` is the immutable id, `tries` how often the mailbox did not answer so far. `passed_on`: the notification
    named another connection of the same mailbox. Beside the work, `carried`: what came along of the message
    (`EncryptedContent.to_text`); empty: nothing. It is for the first try: later the mailbox is asked.
    """

    queue: ClassVar[str] = MAIL_CHANGES
    connection_id: str
    graph_id: str
    tries: int = 0
    passed_on: bool = False
    carried: str = field(default="", kw_only=True, compare=False)

    @property
    def key(self) -> str:
        """One piece of work for each message, however often it was tried."""
        return f"{self.queue}|{self.connection_id}|{self.graph_id}"


@dataclass(frozen=True)
class DeliverEvent(Job):
    """Tell the CRM an event."""

    queue: ClassVar[str] = CRM_DELIVERIES
    account_id: str
    event_id: str


@dataclass(frozen=True)
class RedeliverEvents(Job):
    """
    Tell the CRM again the events of an account above `since`, up to `through`.

    `asked_at`: when that was asked for (RFC 3339); what was taken since then is done. `after`: how far it has come.
    """

    queue: ClassVar[str] = CRM_REDELIVERIES
    account_id: str
    since: int
    through: int
    asked_at: str
    after: int

    @property
    def key(self) -> str:
        """One piece of work for each range, however far it has come."""
        return f"{self.queue}|{self.account_id}|{self.since}|{self.through}"


@dataclass(frozen=True)
class BringBack(Job):
    """
    Tell the CRM, once deliveries are on, what was left undelivered while they were off.

    `again`: all was brought back before, and this looks for what was left by work that was under way then.
    """

    queue: ClassVar[str] = CRM_UNDELIVERED
    again: bool = False

    @property
    def key(self) -> str:
        """One piece of work for the whole app, however far it has come."""
        return self.queue


@dataclass(frozen=True)
class EraseUser(Job):
    """
    Remove what is still there of a user's erased connections.

    `again`: all was removed before, and this looks for what was written by work that was under way then.
    """

    queue: ClassVar[str] = ERASURES
    account_id: str
    user_id: str
    again: bool = False

    @property
    def key(self) -> str:
        """One piece of work for each user, however far it has come."""
        return f"{self.queue}|{self.account_id}|{self.user_id}"


@dataclass(frozen=True)
class RemoveOld(Job):
    """
    Remove what has been kept long enough, account by account.

    `stage`: what of this account is looked through, from `place` on; empty: all of it is done, and the next account comes.
    """

    queue: ClassVar[str] = RETENTION
    account_id: str = ""
    stage: str = ""
    place: str = ""

    @property
    def key(self) -> str:
        """One piece of work for the whole app, however far it has come."""
        return self.queue


JOB_OF_QUEUE: dict[str, type[Job]] = {
    job.queue: job
    for job in (
        WatchMailbox,
        CatchUp,
        SendBatch,
        SendMail,
        MailChange,
        DeliverEvent,
        RedeliverEvents,
        BringBack,
        EraseUser,
        RemoveOld,
    )
}


def key_of(queue: str, text: str) -> str:
    """The name of the piece of work that a queue message asks for; of one that can't be read, its own."""
    try:
        return JOB_OF_QUEUE[queue].from_json(text).key
    except (ValueError, TypeError, AttributeError):
        return f"{queue}|unreadable|{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def ids_of(queue: str, text: str) -> dict[str, object]:
    """What a queue message asks for, as its ids; nothing of one that can't be read."""
    try:
        return JOB_OF_QUEUE[queue].from_json(text).work
    except (ValueError, TypeError, AttributeError):
        return {}


def due_at_of(text: str) -> datetime | None:
    """Since when a message that was put off can be seen; None for one that was not, and for what can't be read."""
    try:
        return datetime.fromisoformat(json.loads(text)["due"])
    except (ValueError, TypeError, KeyError):
        return None


def traced[T: Job](job: T, traceparent: str, queue: str) -> T:
    """
    The job as it is queued by the span `traceparent` (empty: by none), which works on a message of `queue` (empty: on none).

    What it asks for is a part of the same trace. But where one message makes many, as a bulk send does, or work that never ends
    promises its next time, each is a trace of its own that is linked to what began it: a trace stays small enough to read. What
    is tried again stays where it was.
    """
    if not traceparent or ((job.trace or job.linked_to) and job.queue not in STANDING):
        return job
    if queue in FAN_OUT:
        return replace(job, trace="", linked_to=traceparent)
    return replace(job, trace=traceparent, linked_to="")
