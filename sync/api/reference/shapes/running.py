"""How deliveries and the app itself are doing."""

from datetime import datetime
from typing import Literal

from sync.api.reference.shapes.shape import Count, Shape

JobId = str | int | bool | None


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


class Check(Shape):
    """Whether the app reaches something that it needs, as it was seen a minute ago at most."""

    name: Literal[
        "storage",
        "key_vault",
        "entra_credential",
        "graph",
        "notification_address",
        "notification_certificate",
        "crm_webhook",
    ]
    ok: bool | None
    """null: it could not be told."""
    detail: str
    what_to_do: str | None


class AppStatus(Shape):
    """How the app is doing, of all accounts."""

    checks: list[Check]
    """Empty where they were not asked for."""
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
