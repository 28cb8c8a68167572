"""
The shapes of the answers, by pydantic: what the reference says of them.

The answers themselves are made by `sync/api/answers.py` and `sync/domain/event.py` as plain JSON, since neither the domain nor
the path that answers Graph may import pydantic. That both say the same is tested: every answer of the end-to-end tests is held
against the document, and a member that only one of them knows fails there.

A member that may be null says so in its type; one that is left out where there is nothing to say is `absent()`.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sync.domain.attachment_rule import SkipReason
from sync.domain.connection import DefaultSender, State, SyncState
from sync.domain.message import Status
from sync.domain.outgoing import Kind
from sync.domain.provider import Security
from sync.domain.sign_in import LastOutcome
from sync.domain.thread_rule import KeyKind
from sync.domain.trouble import Reason

Count = Annotated[int, Field(ge=0)]
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
JobId = str | int | bool | None


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def absent() -> Any:
    """A member that is left out where there is nothing to say."""
    return Field(default=None, json_schema_extra=_without_default)


class Shape(BaseModel):
    """Each member is described by the string below it. Clients pass over members that they don't know: more may come."""

    model_config = ConfigDict(use_attribute_docstrings=True, populate_by_name=True)


# Connections.


class SignInEnd(Shape):
    """How the user's last sign-in ended, where it made no connection."""

    outcome: LastOutcome
    """`admin_consent_required`: the user waits for an administrator; `admin_consented`: one has approved."""
    at: datetime
    admin_consent_url: str = absent()
    """With `admin_consent_required`: where an administrator approves the app for the whole organisation."""


class ShownConnection(Shape):
    """A connection as the settings page reads it."""

    connection_id: str
    """Kept when the same mailbox is signed in to again; another mailbox, or a connect after a delete, is a new connection."""
    state: State
    """`connecting`: signed in, not yet watched; `disconnected`: ended for good."""
    email: str | None
    """The mailbox's address; null once it was erased."""
    display_name: str | None
    default_sender: DefaultSender
    """Through which door the user's individual emails go."""
    connected_at: datetime
    sync_state: SyncState
    synced_through: datetime | None
    """Up to when there is proof that nothing is missing."""
    subscription_expires_at: datetime | None
    """Until when Microsoft Graph tells us of changes; it is renewed long before. Null while nothing is watched."""
    problem: str = absent()
    """With `needs_reconnect`: what happened and what to do, in words for the user."""
    problem_code: Reason = absent()


class Connection(ShownConnection):
    """One user's link to one Outlook mailbox."""

    thread_count: Count
    """Threads begun by this connection."""
    sign_in: SignInEnd = absent()
    """Where the user's last sign-in came to nothing."""


class SettingsView(Shape):
    """What the settings page shows."""

    connection: ShownConnection | None
    """Null: the user never had one."""
    sign_in: SignInEnd | None
    now: datetime
    """The app's own time, to show the others by."""


class SignInLink(Shape):
    """Where to send the user's browser."""

    sign_in_url: str
    expires_at: datetime
    """Ten minutes from now."""


class PageLink(Shape):
    """The settings page of one user."""

    url: str
    """The token is in the fragment, which browsers send to no server. Don't store or log it."""
    expires_at: datetime
    """One hour from now."""


class ErasedCounts(Shape):
    """How much was erased of what had been synced."""

    messages: Count
    attachments: Count
    events: Count
    """Events that no longer tell anything. They keep their place in the feed."""
    anchors: Count
    """Thread keys."""


class DeletedConnection(Shape):
    """A connection that has ended."""

    connection_id: str
    erased: ErasedCounts
    """All zero without `erase=true`."""


class TriedKey(Shape):
    """One key of a message that was looked up, and what came of it."""

    kind: KeyKind
    value: str
    matched: bool
    why: str
    """In plain words."""


class Explanation(Shape):
    """The verdict of the thread rule on one message of the mailbox, now. Its keys, and nothing that it says."""

    found: bool
    """Whether the mailbox has such a message."""
    belongs: bool
    """It is part of a thread. Of a delivery report: it may be about an email of one."""
    syncs: bool
    """It is told to the CRM as a message."""
    thread_id: str | None
    matched_by: KeyKind | None
    why: str
    """In plain words."""
    message_id: str | None
    """What it is in the CRM, once it was told. Of a delivery report: the email that it was told on."""
    keys: list[TriedKey]


# The provider.


class MailAddress(Shape):
    """An address and the name it was written with."""

    address: str
    name: str | None


class Provider(Shape):
    """An account's own email provider. The password is never given out."""

    host: str
    port: int
    security: Security
    username: str | None
    from_: MailAddress = Field(alias="from")
    """Stands in From where an email names no address of its own."""
    domains: list[str]
    """Any address of these may stand in From."""
    checked_at: datetime | None
    """When its server last took our connection and login."""


# Messages and threads.


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


# Events' deliveries, and the app itself. What events tell is in told.py.


class Attempt(Shape):
    """One try to deliver an event."""

    at: datetime
    duration_s: float
    status: int | None
    """The HTTP status; null: no answer came, `error` says why."""
    error: str | None
    answer: str
    """The first kilobyte of it."""


class Redelivering(Shape):
    """Events that are pushed once more, in the background."""

    redelivering_after: Count
    through: Count
    """The newest sequence that is pushed again."""


class DeliveryFailure(Shape):
    """The last delivery that was not taken."""

    at: datetime
    status: int | None
    error: str | None


class Webhook(Shape):
    """How it stands with the CRM's webhook, of all accounts."""

    state: Literal["on", "off"]
    reason: str | None
    """Why deliveries were switched off, in plain words."""
    since: datetime | None
    """When they were switched on or off last."""
    last_accepted_at: datetime | None
    last_failure: DeliveryFailure | None
    undelivered: Count
    """Events that are not tried any more by themselves."""


class WebhookTest(Shape):
    """How the CRM answered the test event."""

    event_id: str
    accepted: bool
    status: int | None
    duration_s: float
    error: str | None
    answer: str


class QueueCounts(Shape):
    """Messages of one queue."""

    waiting: Count
    poison: Count
    """Given up after five tries; they wait for you, for ever."""


class Poisoned(Shape):
    """Work that was given up."""

    queue: str
    job: dict[str, JobId]
    """Its ids."""
    since: datetime
    reason: str
    """The kind of error and where in the code; never its words."""
    tries: int | None


class AppStatus(Shape):
    """How the app is doing, of all accounts."""

    queues: dict[str, QueueCounts]
    """By the queue's name."""
    connections: dict[str, Count]
    """How many are in each state."""
    poison: list[Poisoned]
    """At most 32 of each queue; the counts are of all."""


class Replayed(Shape):
    """How much work was put back to be done."""

    replayed: Count
    queues: dict[str, Count]


class Health(Shape):
    """The app is alive."""

    status: Literal["ok"]
