"""
A message of a thread as it is stored and told: one email, sent from the CRM or found in the mailbox, with its files.

    queued ──> sending ──> sent ──> bounced            an email sent from the CRM
       ├──────────┴─────> failed
       └────────────────> cancelled
    synced ──────────────────────> bounced             an email found in the mailbox
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from sync.domain.mail import Address, MailboxMessage
from sync.domain.thread_rule import KeyKind


class Status(StrEnum):
    """Where a message stands; the CRM's `status`."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    BOUNCED = "bounced"
    CANCELLED = "cancelled"
    SYNCED = "synced"

    @property
    def final(self) -> bool:
        """Whether nothing more is done to send it."""
        return self not in (Status.QUEUED, Status.SENDING)

    @property
    def in_conversation(self) -> bool:
        """Whether it was said: an answer is to the last of these."""
        return self in (Status.SENT, Status.BOUNCED, Status.SYNCED)


@dataclass(frozen=True)
class Contact:
    """A person of the thread as the CRM named them; `contact_id` may be empty."""

    address: str
    name: str = ""
    contact_id: str = ""

    @property
    def key(self) -> str:
        """The address without its case."""
        return self.address.strip().casefold()


@dataclass(frozen=True)
class Attachment:
    """A file on a message: in `blob` if it synced, else skipped with a reason. Sizes in decoded bytes."""

    attachment_id: str
    name: str
    content_type: str
    size_bytes: int
    inline: bool = False
    content_id: str | None = None
    status: Literal["synced", "skipped"] = "synced"
    reason: str | None = None
    blob: str = ""


@dataclass(frozen=True)
class Bounce:
    """Why one recipient did not get an email: `status_code` as 5.1.10 (RFC 3463), `detail` in the server's own words."""

    address: str
    status_code: str
    detail: str


@dataclass(frozen=True)
class Outbox:
    """
    What is known of a send that is under way: written before each step, so that a crash is followed by a look, not a repeat.

    `lease_until` keeps two workers off one message; `tries` counts the tries without a clear answer.
    """

    contacts: tuple[Contact, ...] = ()
    bcc: tuple[Address, ...] = ()
    draft_asked: bool = False
    draft_id: str = ""
    #: the answered message, where it was unread before the draft was asked for, until it surely is again
    unread_original: str = ""
    #: the answered message has inline files, which Graph may have put onto the draft, too
    carried_files: bool = False
    #: files that are on the draft for sure
    files_done: int = 0
    #: whether the next one was asked for, too
    file_asked: bool = False
    send_asked_at: datetime | None = None
    #: Graph answered 202: it goes, however long that takes
    send_accepted: bool = False
    lease_until: datetime | None = None
    tries: int = 0
    #: of a batch: when its turn came
    released_at: datetime | None = None
    #: recipients that the provider's server has taken the email for, and those that it refused
    handed_over_to: tuple[str, ...] = ()
    refused: tuple[Bounce, ...] = ()


@dataclass(frozen=True)
class Message:
    """One email of a thread. `version` is the stored row's etag; None: not stored yet."""

    message_id: str
    account_id: str
    thread_id: str
    connection_id: str
    user_id: str
    status: Status
    direction: Literal["inbound", "outbound"]
    origin: Literal["crm", "outlook", "contact"]
    sender: Address | None
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    subject: str
    accepted_at: datetime
    body_blob: str
    contact_ids: tuple[str, ...] = ()
    sent_at: datetime | None = None
    received_at: datetime | None = None
    internet_message_id: str = ""
    in_reply_to: str = ""
    matched_by: KeyKind | None = None
    involves_contact: bool = True
    auto_reply: bool = False
    attachments: tuple[Attachment, ...] = ()
    graph_id: str = ""
    answers: bool = False
    #: through which door an email of the CRM goes; what goes through the provider has no thread and no connection ("")
    via: Literal["outlook", "provider"] = "outlook"
    #: not before this time; None: at once
    send_at: datetime | None = None
    #: of an answer through the provider: the thread's message ids, oldest first, and which of our messages it quotes
    references: tuple[str, ...] = ()
    quotes: str = ""
    #: where the sender wants answers; empty: to the sender
    reply_to: tuple[Address, ...] = ()
    bounces: tuple[Bounce, ...] = ()
    problem_code: str = ""
    problem: str = ""
    #: what somebody can do about the problem, in plain words; may be empty
    what_to_do: str = ""
    metadata: dict[str, object] = field(default_factory=dict)
    outbox: Outbox | None = None
    version: str | None = field(default=None, compare=False)

    @property
    def at(self) -> datetime:
        """When it happened, for the order within a thread."""
        return self.sent_at or self.received_at or self.accepted_at

    @property
    def due_at(self) -> datetime:
        """When it was or is its turn to be sent."""
        released_at = self.outbox.released_at if self.outbox else None
        return released_at or self.send_at or self.accepted_at

    def on_its_way(self, now: datetime) -> bool:
        """Whether it may have been sent, or somebody is at it now: too late to cancel."""
        outbox = self.outbox or Outbox()
        under_way = outbox.lease_until is not None and outbox.lease_until > now
        return under_way or outbox.send_asked_at is not None or outbox.send_accepted or bool(outbox.handed_over_to)


@dataclass(frozen=True)
class Thread:
    """
    A conversation that began with an email sent from the CRM.

    `participants`: address keys of everybody seen on it. `mailbox`: (tenant id, object id) of the mailbox it lives in.
    """

    thread_id: str
    account_id: str
    user_id: str
    connection_id: str
    mailbox: tuple[str, str]
    subject: str
    contacts: tuple[Contact, ...]
    participants: frozenset[str]
    started_at: datetime
    version: str | None = field(default=None, compare=False)

    def contact_ids_among(self, participants: frozenset[str]) -> tuple[str, ...]:
        """The CRM's ids of those contacts of the thread who are among these address keys."""
        return tuple(dict.fromkeys(c.contact_id for c in self.contacts if c.contact_id and c.key in participants))

    def involves_contact(self, participants: frozenset[str]) -> bool:
        """Whether any contact of the thread is among these address keys."""
        return any(c.key in participants for c in self.contacts)

    def with_people(self, contacts: Iterable[Contact], participants: frozenset[str]) -> "Thread":
        """The thread after these people were seen on it; the same thread where nobody is new."""
        known = {c.key for c in self.contacts}
        new = tuple(c for c in contacts if c.key not in known)
        if not new and participants <= self.participants:
            return self
        return replace(self, contacts=self.contacts + new, participants=self.participants | participants)


def found_in_mailbox(
    mail: MailboxMessage,
    thread: Thread,
    matched_by: KeyKind,
    *,
    message_id: str,
    own_addresses: frozenset[str],
    body_blob: str,
    attachments: tuple[Attachment, ...],
    now: datetime,
) -> Message:
    """The message to store for mail that belongs to the thread."""
    own = mail.sender is not None and mail.sender.key in own_addresses
    return Message(
        message_id=message_id,
        account_id=thread.account_id,
        thread_id=thread.thread_id,
        connection_id=thread.connection_id,
        user_id=thread.user_id,
        status=Status.SYNCED,
        direction="outbound" if own else "inbound",
        origin="outlook" if own else "contact",
        sender=mail.sender,
        to=mail.to,
        cc=mail.cc,
        subject=mail.subject,
        accepted_at=now,
        body_blob=body_blob,
        contact_ids=thread.contact_ids_among(mail.participants),
        sent_at=mail.sent_at,
        received_at=mail.received_at,
        reply_to=mail.reply_to,
        internet_message_id=mail.keys.internet_message_id,
        in_reply_to=mail.keys.in_reply_to,
        matched_by=matched_by,
        involves_contact=thread.involves_contact(mail.participants),
        auto_reply=mail.auto_reply,
        attachments=attachments,
        graph_id=mail.graph_id,
    )


def confirmed(message: Message, mail: MailboxMessage) -> Message:
    """The email sent from the CRM is in Sent Items: what the mailbox knows of it now counts."""
    return replace(
        message,
        status=Status.SENT,
        sender=mail.sender or message.sender,
        sent_at=mail.sent_at or mail.received_at or message.sent_at,
        internet_message_id=mail.keys.internet_message_id or message.internet_message_id,
        in_reply_to=mail.keys.in_reply_to or message.in_reply_to,
        graph_id=mail.graph_id,
        problem_code="",
        problem="",
        what_to_do="",
    )


def failed(message: Message, code: str, problem: str, what_to_do: str = "") -> Message:
    """It was not sent, and will not be."""
    return replace(message, status=Status.FAILED, problem_code=code, problem=problem, what_to_do=what_to_do)


def bounced(message: Message, bounces: tuple[Bounce, ...], problem: str, what_to_do: str) -> Message:
    """It left, and did not reach these recipients."""
    return replace(
        message,
        status=Status.BOUNCED,
        bounces=bounces,
        problem_code="bounced",
        problem=problem,
        what_to_do=what_to_do,
    )


def cancelled(message: Message) -> Message:
    """The CRM took it back before it was sent."""
    return replace(message, status=Status.CANCELLED)


def leased(message: Message, until: datetime) -> Message:
    """Under way in one worker until then."""
    return replace(message, status=Status.SENDING, outbox=replace(message.outbox or Outbox(), lease_until=until))


def released(message: Message, *, tries: int) -> Message:
    """Free for the next try."""
    return replace(message, outbox=replace(message.outbox or Outbox(), lease_until=None, tries=tries))


def heading(message: Message) -> dict[str, str]:
    """What stands over a message where it is quoted."""

    def shown(address: Address) -> str:
        named = address.name and address.name.casefold() != address.key
        return f"{address.name} <{address.address}>" if named else address.address

    lines = {
        "From": shown(message.sender) if message.sender else "",
        "Sent": f"{message.at:%Y-%m-%d %H:%M} UTC",
        "To": "; ".join(shown(a) for a in message.to),
        "Cc": "; ".join(shown(a) for a in message.cc),
        "Subject": message.subject,
    }
    return {name: value for name, value in lines.items() if value}


#: How long one worker has a message to itself. Longer than any one call to Graph may take, so that a worker that lost its lease
#: has no call under way any more.
LEASE = timedelta(minutes=2)
