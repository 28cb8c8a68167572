"""
What the app measures: each metric once, with its unit, kind and attributes.

Names and units follow OpenTelemetry (https://opentelemetry.io/docs/specs/semconv/general/metrics/, units in UCUM); attributes
that OpenTelemetry has a name for bear that. Every attribute has few values: no id, no address, nothing that a person wrote.
What each tells an operator, and what to do about it, is in infra/RUNBOOK.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

#: A method or a kind of error that is not known becomes this.
OTHER = "_OTHER"


@dataclass(frozen=True)
class Metric:
    """
    One metric.

    A `counter` goes up; a `gauge` is how it stands when it is looked at; a `histogram` is a distribution, between `boundaries`.
    """

    name: str
    unit: str
    kind: Literal["counter", "gauge", "histogram"]
    description: str
    attributes: tuple[str, ...] = ()
    boundaries: tuple[float, ...] = ()


class Reading(NamedTuple):
    """One value of a metric: by how much a counter goes up, or how it stands."""

    metric: Metric
    value: float
    attributes: Mapping[str, str | int]


NOTIFICATIONS_ACCEPTED = Metric(
    "sync.notifications.accepted",
    "{notification}",
    "counter",
    "Notifications of Microsoft Graph that were proven genuine and queued.",
    ("kind",),
)
NOTIFICATIONS_DROPPED = Metric(
    "sync.notifications.dropped",
    "{notification}",
    "counter",
    "Notifications that were dropped: forged (a wrong clientState), ignored (of no use to us), malformed (a whole post).",
    ("kind", "reason"),
)
NOTIFICATIONS_DATA = Metric(
    "sync.notifications.data",
    "{notification}",
    "counter",
    "What came along with rich notifications: used, or not, so that Graph was asked: unproven, undecryptable, incomplete.",
    ("outcome",),
)
MESSAGES_SYNCED = Metric(
    "sync.messages.synced",
    "{message}",
    "counter",
    "Messages of mailboxes that belong to a thread and were told to the CRM, once each.",
    ("direction", "matched_by"),
)
MESSAGES_SENT = Metric(
    "sync.messages.sent",
    "{message}",
    "counter",
    "Emails of the CRM by how they ended: sent, failed, bounced (also after they were sent).",
    ("via", "outcome"),
)
FILES_SKIPPED = Metric(
    "sync.files.skipped",
    "{file}",
    "counter",
    "Files of synced messages that the attachment rule left out.",
    ("reason",),
)
GRAPH_REQUESTS = Metric(
    "sync.graph.requests",
    "{request}",
    "counter",
    "Calls to Microsoft Graph, each try for itself; error.type where no answer came.",
    ("http.request.method", "http.response.status_code", "error.type"),
)
DELIVERIES_ATTEMPTS = Metric(
    "sync.deliveries.attempts",
    "{attempt}",
    "counter",
    "Tries to deliver an event to the CRM: accepted, refused (it answered otherwise), unreachable (no answer).",
    ("outcome", "http.response.status_code"),
)
DELIVERIES_DELAY = Metric(
    "sync.deliveries.delay",
    "s",
    "histogram",
    "From the receipt of a message by the mailbox to the first delivery of it that the CRM accepted.",
    boundaries=(1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400, 86_400),
)
CONNECTIONS = Metric(
    "sync.connections",
    "{connection}",
    "gauge",
    "Current connections in each state.",
    ("state",),
)
SUBSCRIPTIONS_NEAR_EXPIRY = Metric(
    "sync.subscriptions.near_expiry",
    "{subscription}",
    "gauge",
    "Connected mailboxes whose subscription ends within a quarter of its lifetime, although it is renewed at half of it.",
)
QUEUE_AGE = Metric(
    "sync.queue.age",
    "s",
    "gauge",
    "How long the oldest message that can be seen waits in a queue; 0 where none does.",
    ("queue",),
)
QUEUE_LENGTH = Metric(
    "sync.queue.length",
    "{message}",
    "gauge",
    "About how many messages are in a queue, those that were put off included.",
    ("queue",),
)
POISON = Metric(
    "sync.poison",
    "{message}",
    "gauge",
    "About how many messages of a queue were given up after five tries and wait for people.",
    ("queue",),
)
WEBHOOK_OFF = Metric(
    "sync.webhook.off",
    "1",
    "gauge",
    "1 while deliveries to the CRM are switched off, else 0.",
)

METRICS = (
    NOTIFICATIONS_ACCEPTED,
    NOTIFICATIONS_DROPPED,
    NOTIFICATIONS_DATA,
    MESSAGES_SYNCED,
    MESSAGES_SENT,
    FILES_SKIPPED,
    GRAPH_REQUESTS,
    DELIVERIES_ATTEMPTS,
    DELIVERIES_DELAY,
    CONNECTIONS,
    SUBSCRIPTIONS_NEAR_EXPIRY,
    QUEUE_AGE,
    QUEUE_LENGTH,
    POISON,
    WEBHOOK_OFF,
)
