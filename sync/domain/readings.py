"""What is read off the things that happen: an event that is told, an answer of the CRM, a post of Microsoft Graph."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from sync.domain.encrypted_content import Reason
from sync.domain.event import Answer, Event, NewEvent
from sync.domain.message import Message
from sync.domain.metrics import (
    DELIVERIES_ATTEMPTS,
    DELIVERIES_DELAY,
    FILES_SKIPPED,
    GRAPH_REQUESTS,
    MESSAGES_SENT,
    MESSAGES_SYNCED,
    NOTIFICATIONS_ACCEPTED,
    NOTIFICATIONS_DATA,
    NOTIFICATIONS_DROPPED,
    OTHER,
    Reading,
)
from sync.domain.notification import Changes

#: https://opentelemetry.io/docs/specs/semconv/http/http-spans/: methods beyond the known ones are `_OTHER`.
METHODS = frozenset(("GET", "POST", "PATCH", "PUT", "DELETE"))
OUTCOMES = {"message.sent": "sent", "message.failed": "failed", "message.bounced": "bounced"}


def of_told(event: NewEvent, message: Message | None) -> Iterable[Reading]:
    """Of an event that has got its place in the feed, with the message that was stored with it."""
    if event.type == "message.synced" and message is not None:
        about = {"direction": message.direction, "matched_by": message.matched_by or OTHER}
        yield Reading(MESSAGES_SYNCED, 1, about)
        for file in message.attachments:
            if file.status == "skipped":
                yield Reading(FILES_SKIPPED, 1, {"reason": file.reason or OTHER})
    outcome = OUTCOMES.get(event.type)
    if outcome is not None:
        yield Reading(MESSAGES_SENT, 1, {"via": _via(event, message), "outcome": outcome})


def of_delivery(event: Event, answer: Answer, now: datetime) -> Iterable[Reading]:
    """
    Of a try to deliver an event.

    The delay counts to the first delivery that the CRM accepted: one that is asked for again would look as if it had been late.
    """
    if answer.status is None:
        yield Reading(DELIVERIES_ATTEMPTS, 1, {"outcome": "unreachable"})
        return
    outcome = "accepted" if answer.accepted else "refused"
    yield Reading(DELIVERIES_ATTEMPTS, 1, {"outcome": outcome, "http.response.status_code": answer.status})
    received_at = _received_at(event)
    before = any(attempt.status is not None and 200 <= attempt.status < 300 for attempt in event.attempts)
    if answer.accepted and received_at is not None and not before:
        yield Reading(DELIVERIES_DELAY, max(0.0, (now - received_at).total_seconds()), {})


def of_graph_call(method: str, status: int | None, error: str = "") -> Reading:
    """Of a call to Graph: its status, or the kind of error where no answer came."""
    outcome: dict[str, str | int] = (
        {"http.response.status_code": status} if status is not None else {"error.type": error}
    )
    return Reading(GRAPH_REQUESTS, 1, {"http.request.method": method if method in METHODS else OTHER, **outcome})


def of_notifications(kind: Literal["change", "lifecycle"], changes: Changes | None) -> Iterable[Reading]:
    """Of a post to one of Graph's two addresses; None: it was no collection of notifications at all."""
    if changes is None:
        yield Reading(NOTIFICATIONS_DROPPED, 1, {"kind": kind, "reason": "malformed"})
        return
    if changes.changed:
        yield Reading(NOTIFICATIONS_ACCEPTED, len(changes.changed), {"kind": kind})
    for reason, count in (("forged", changes.forged), ("ignored", changes.ignored)):
        if count:
            yield Reading(NOTIFICATIONS_DROPPED, count, {"kind": kind, "reason": reason})


def of_resource_data(outcome: Literal["used"] | Reason) -> Reading:
    """Of what came along with a rich notification: whether it was used, or why not."""
    return Reading(NOTIFICATIONS_DATA, 1, {"outcome": outcome})


def _via(event: NewEvent, message: Message | None) -> str:
    """Through which door the email went; where no message was stored with the event, what has a connection went by Outlook."""
    if message is not None:
        return message.via
    told = event.data.get("message")
    return "outlook" if isinstance(told, dict) and told.get("connection_id") else "provider"


def _received_at(event: Event) -> datetime | None:
    told = event.data.get("message")
    if event.type != "message.synced" or not isinstance(told, dict) or not told.get("received_at"):
        return None
    return datetime.fromisoformat(str(told["received_at"]))
