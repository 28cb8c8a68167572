"""
What events tell, by pydantic: one class for each type of `sync/domain/event.py`, as it is pushed and as it stands in the feed.

A type that is new there and has no class here fails tests/unit/test_reference.py.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from sync.api.reference.shapes.messages import Bounce, EmailProblem, EventMessage
from sync.api.reference.shapes.running import Attempt
from sync.api.reference.shapes.shape import Shape, absent
from sync.domain.connection import State
from sync.domain.event import Delivery
from sync.domain.trouble import Reason


class EventConnection(Shape):
    """The connection that an event is about."""

    connection_id: str
    user_id: str
    email: str | None
    """Null once it was erased."""
    display_name: str | None
    state: State
    problem: str = absent()


class ConnectionData(Shape):
    """Which connection."""

    connection: EventConnection


class ConnectionUpdatedData(ConnectionData):
    """The connection that took over, and the one whose place it took."""

    previous_connection_id: str
    previous_email: str


class NeedsReconnectData(ConnectionData):
    """Which connection, and what has to be done."""

    reason: Reason
    cause: str
    """What happened, in words for the user."""
    what_to_do: str
    """In words for the user."""


class MessageData(Shape):
    """Which email."""

    message: EventMessage


class MessageFailedData(MessageData):
    """Which email, and why."""

    problem: EmailProblem


class MessageBouncedData(MessageFailedData):
    """Which email, and whom it did not reach."""

    bounces: list[Bounce]
    """The recipients of this report."""


class TestWords(Shape):
    """Nothing but that it is a test."""

    detail: str


class WebhookTestData(Shape):
    """A test."""

    webhook: TestWords


class ErasedData(Shape):
    """What is left of an event once what it told was erased or removed."""

    erased: Literal[True]
    connection_id: str
    user_id: str


Sequence = Annotated[int, Field(ge=1)]


class _Event(Shape):
    id: str
    """The `webhook-id` of each try to deliver it: remember it, and pass over what you have had."""
    type: str
    account_id: str
    sequence: Sequence
    """Its place in the feed of the account: from 1 on, without gaps."""
    occurred_at: datetime
    data: Any


class ConnectionConnectedEvent(_Event):
    """A mailbox was connected, or signed in to again, and is watched now."""

    type: Literal["connection.connected"]
    data: ConnectionData


class ConnectionUpdatedEvent(_Event):
    """Another mailbox took the place of the one before. The old one's threads have stopped, both ways."""

    type: Literal["connection.updated"]
    data: ConnectionUpdatedData


class ConnectionDisconnectedEvent(_Event):
    """A connection has ended for good."""

    type: Literal["connection.disconnected"]
    data: ConnectionData


class ConnectionNeedsReconnectEvent(_Event):
    """Microsoft no longer accepts the sign-in. Nothing syncs until somebody does what `what_to_do` says."""

    type: Literal["connection.needs_reconnect"]
    data: NeedsReconnectData


class MessageSentEvent(_Event):
    """An email sent from the CRM has left: its copy is in Sent Items, or the provider's server has taken it."""

    type: Literal["message.sent"]
    data: MessageData


class MessageFailedEvent(_Event):
    """An email sent from the CRM was not sent, and will not be."""

    type: Literal["message.failed"]
    data: MessageFailedData


class MessageBouncedEvent(_Event):
    """An email sent from the CRM did not reach somebody. Told once for each report."""

    type: Literal["message.bounced"]
    data: MessageBouncedData


class MessageSyncedEvent(_Event):
    """An email of a thread was found in the mailbox: the contact's reply, or the user's own answer."""

    type: Literal["message.synced"]
    data: MessageData


class WebhookTestEvent(Shape):
    """Asked for with `POST /v1/webhook/test`. It is of no account and in no feed."""

    id: str
    type: Literal["webhook.test"]
    account_id: None
    sequence: None
    occurred_at: datetime
    data: WebhookTestData


class ErasedEvent(_Event):
    """An event whose content was erased or removed. It keeps its place in the feed, and is pushed no more."""

    type: Literal[
        "connection.connected",
        "connection.updated",
        "connection.needs_reconnect",
        "message.sent",
        "message.failed",
        "message.bounced",
        "message.synced",
    ]
    data: ErasedData


#: What is pushed, by its type.
PUSHED: dict[str, type[Shape]] = {
    "connection.connected": ConnectionConnectedEvent,
    "connection.updated": ConnectionUpdatedEvent,
    "connection.disconnected": ConnectionDisconnectedEvent,
    "connection.needs_reconnect": ConnectionNeedsReconnectEvent,
    "message.sent": MessageSentEvent,
    "message.failed": MessageFailedEvent,
    "message.bounced": MessageBouncedEvent,
    "message.synced": MessageSyncedEvent,
    "webhook.test": WebhookTestEvent,
}

AnyData = (
    ConnectionData
    | ConnectionUpdatedData
    | NeedsReconnectData
    | MessageData
    | MessageFailedData
    | MessageBouncedData
    | ErasedData
)


class Events(Shape):
    """A piece of the feed."""

    events: list[
        ConnectionConnectedEvent
        | ConnectionUpdatedEvent
        | ConnectionDisconnectedEvent
        | ConnectionNeedsReconnectEvent
        | MessageSentEvent
        | MessageFailedEvent
        | MessageBouncedEvent
        | MessageSyncedEvent
        | ErasedEvent
    ]
    """In the order of `sequence`."""
    next_after: Annotated[int, Field(ge=0)]
    """To give as `after` for the next piece."""
    has_more: bool


class EventDelivery(_Event):
    """An event and how its delivery stands."""

    type: Literal[
        "connection.connected",
        "connection.updated",
        "connection.disconnected",
        "connection.needs_reconnect",
        "message.sent",
        "message.failed",
        "message.bounced",
        "message.synced",
    ]
    data: AnyData
    """As the event of this type tells it; with `erased` where that is gone."""
    delivery: Delivery
    """`undelivered`: it is not tried any more by itself; `erased`: it never will be."""
    reason: str = absent()
    """Why it is undelivered, in plain words."""
    due_at: datetime | None
    """When it is tried next."""
    attempts: list[Attempt]
    """The newest 20."""
