"""Emails, batches, threads and files."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from sync.api.reference.shapes.shape import Count, MailAddress, Shape, absent
from sync.domain.attachment_rule import SkipReason
from sync.domain.message import Status
from sync.domain.outgoing import Kind
from sync.domain.thread_rule import KeyKind

Via = Literal["outlook", "provider"]
Rule = Literal[
    "individual_outlook",
    "individual_default_provider",
    "individual_not_connected",
    "bulk_from_outlook",
    "bulk_from_blank",
    "bulk_from_other",
    "workflow_provider",
]


class ContactAddress(Shape):
    """A recipient as the CRM named it."""

    address: str
    name: str | None
    contact_id: str | None


class EmailProblem(Shape):
    """What went wrong with an email."""

    code: str
    """To branch on: a code of ours, Graph's own (`ErrorSendAsDenied`) or the server's reply (`smtp_550`). More may come."""
    detail: str
    """In plain words."""
    what_to_do: str = absent()
    """For the user, where we know."""


class Bounce(Shape):
    """A recipient whom an email did not reach."""

    address: str
    status_code: str | None
    """RFC 3463, as `5.1.10`; or the server's reply code."""
    detail: str
    """The server's own words."""


class Attachment(Shape):
    """A file on a message. It can be fetched if its `status` is `synced`."""

    attachment_id: str
    name: str
    content_type: str
    """What its sender calls it, which is not believed: the bytes are always given out as `application/octet-stream`."""
    size_bytes: Count
    """Decoded."""
    inline: bool
    content_id: str | None
    """What the html refers to as `cid:…`."""
    status: Literal["synced", "skipped"]
    reason: SkipReason | None
    """Why it was skipped."""


class EventMessage(Shape):
    """An email of a thread, as events tell it."""

    message_id: str
    thread_id: str | None
    """Null: it goes through the provider, which begins no thread."""
    connection_id: str | None
    user_id: str
    contact_ids: list[str]
    """The CRM's own ids of those contacts of the thread who wrote or got it."""
    direction: Literal["inbound", "outbound"]
    origin: Literal["crm", "outlook", "contact"]
    """Who wrote it where: an email sent from the CRM, the user's own in Outlook, or somebody else's."""
    from_: MailAddress | None = Field(alias="from")
    to: list[MailAddress]
    cc: list[MailAddress]
    subject: str
    html: str | None
    """Sanitised: without scripts, styles and what loads from elsewhere. Show it in a frame of its own all the same."""
    text: str | None
    body_truncated: bool
    """The body was longer than 64 KiB: the whole is on the message's own route."""
    sent_at: datetime | None
    received_at: datetime | None
    internet_message_id: str | None
    in_reply_to: str | None
    matched_by: KeyKind | None
    """By which key it was recognised as part of the thread; null for what the CRM sent."""
    involves_contact: bool
    """False: an internal forward, none of the thread's contacts wrote or got it."""
    auto_reply: bool
    attachments: list[Attachment]


class Message(EventMessage):
    """An email of a thread with its whole body, and where it stands."""

    status: Status
    """`queued`, `sending`, `sent`, `failed`, `cancelled` of what the CRM sent; `synced` of what was found in the mailbox."""
    send_at: datetime = absent()
    """Held back until then."""
    metadata: dict[str, Any] = absent()
    """As it was given with the send."""
    bounces: list[Bounce] = absent()
    problem: EmailProblem = absent()


class AcceptedMessage(Shape):
    """One email that was taken over."""

    message_id: str
    thread_id: str | None
    status: Literal["queued", "failed"]
    """`failed`: only of a bulk send, where the address is none."""
    to: list[ContactAddress]
    problem: EmailProblem = absent()


class Sender(Shape):
    """Through which door an email goes, and why."""

    via: Via
    address: str | None
    """What stands in From; null once it was erased."""
    rule: Rule


class ResolvedSender(Shape):
    """Through which door an email would go, and why."""

    via: Via
    address: str
    rule: Rule
    syncs: bool
    """Only what goes through Outlook begins or continues a thread."""


class Accepted(Shape):
    """What was taken over: each of these emails goes out exactly once."""

    batch_id: str
    messages: list[AcceptedMessage]
    sender: Sender
    send_at: datetime = absent()
    """Held back until then."""


class BatchCounts(Shape):
    """How many emails are in each status."""

    queued: Count
    sending: Count
    sent: Count
    failed: Count
    bounced: Count
    cancelled: Count


class BatchMessage(Shape):
    """One email of a batch."""

    message_id: str
    thread_id: str | None
    status: Status
    to: list[MailAddress]
    problem: EmailProblem = absent()


class Batch(Shape):
    """Everything that was accepted with one call, and how far it is."""

    batch_id: str
    kind: Kind
    user_id: str
    sender: Sender
    subject: str
    total: Count
    counts: BatchCounts
    finished: bool
    """Nothing of it waits or is on its way any more."""
    accepted_at: datetime
    send_at: datetime | None
    cancelled_at: datetime | None
    messages: list[BatchMessage] = absent()
    """With `messages=true`."""


class Thread(Shape):
    """A conversation that began with an email sent from the CRM."""

    thread_id: str
    user_id: str
    connection_id: str
    subject: str
    state: Literal["active", "stopped"]
    """`stopped`: its connection has ended, nothing of it syncs any more."""
    contacts: list[ContactAddress]
    started_at: datetime


class WholeThread(Thread):
    """A thread with its messages, the oldest first."""

    messages: list[Message]


class Threads(Shape):
    """A page of threads."""

    threads: list[Thread]
    next_after: str | None
    """To give as `after` for the next page; null: this was the last one."""
