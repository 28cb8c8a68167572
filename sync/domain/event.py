"""
What the CRM is told: one event, its place in the feed, and how its delivery stands.

Shapes are the contract (`data.message`, `data.connection`); everything here makes plain JSON values.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from sync.domain.body import Body, for_event, readable
from sync.domain.connection import Connection, State
from sync.domain.mail import Address
from sync.domain.message import Attachment, Bounce, Message

Json = dict[str, object]
EventType = Literal[
    "connection.connected",
    "connection.updated",
    "connection.disconnected",
    "connection.needs_reconnect",
    "message.sent",
    "message.failed",
    "message.bounced",
    "message.synced",
    "webhook.test",
]
#: `erased`: it was not delivered before what it told was erased, and never will be.
Delivery = Literal["pending", "delivered", "undelivered", "erased"]

#: Of an answer, what is kept with the attempt.
MAX_ANSWER_BYTES = 1024
#: How long an attempt is kept.
ATTEMPT_LIFE = timedelta(days=30)
#: Attempts are kept in their event's row, which holds 512 Ki characters, escaped, a third of it for what the event tells. Within
#: this there is room for some 150 attempts with a whole kilobyte of answer each, and for more than a thousand without.
MAX_ATTEMPTS_CHARS = 200_000


@dataclass(frozen=True)
class NewEvent:
    """An event before it has a place in the feed. `once` names what it tells, so that it is told once."""

    account_id: str
    type: EventType
    once: str
    occurred_at: datetime
    data: Json


@dataclass(frozen=True)
class Attempt:
    """One try to deliver. `status`: the HTTP status, None where no answer came; `error` in words then."""

    at: datetime
    duration_s: float
    status: int | None
    error: str = ""
    answer: str = ""


@dataclass(frozen=True)
class Answer:
    """How the CRM answered a delivery. `status` None: no answer came, `error` says why. `text`: its first kilobyte."""

    status: int | None
    duration_s: float
    error: str = ""
    text: str = ""
    retry_after: timedelta | None = None

    @property
    def accepted(self) -> bool:
        """2xx; a redirect is a failure."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True)
class Event:
    """
    An event in the feed. `version` is the stored row's etag.

    `reason`: why it is undelivered, in plain words. An event that is in no feed has no account and the sequence 0.
    """

    event_id: str
    type: EventType
    account_id: str
    sequence: int
    occurred_at: datetime
    data: Json
    delivery: Delivery = "pending"
    attempts: tuple[Attempt, ...] = ()
    attempt_count: int = 0
    due_at: datetime | None = None
    reason: str = ""
    version: str | None = field(default=None, compare=False)

    @property
    def erased(self) -> bool:
        """Whether what it told was erased: there is nothing to deliver any more."""
        return self.data.get("erased") is True

    def payload(self) -> Json:
        """The event as pushed and as in the feed."""
        return {
            "id": self.event_id,
            "type": self.type,
            "account_id": self.account_id or None,
            "sequence": self.sequence or None,
            "occurred_at": rfc3339(self.occurred_at),
            "data": self.data,
        }


def attempted(event: Event, attempt: Attempt, delivery: Delivery, due_at: datetime | None, reason: str = "") -> Event:
    """
    The event after a try to deliver it; `reason`: why there will be no other.

    Attempts that are too old go now. So do the oldest where all have no room in the event's row.
    """
    event = without_old_attempts(event, attempt.at)
    return replace(
        event,
        delivery=delivery,
        due_at=due_at,
        reason=reason,
        attempts=_newest((*event.attempts, attempt)),
        attempt_count=event.attempt_count + 1,
    )


def without_old_attempts(event: Event, now: datetime) -> Event:
    """The event with those of its attempts that are kept until now."""
    return replace(event, attempts=tuple(attempt for attempt in event.attempts if now - attempt.at < ATTEMPT_LIFE))


def _newest(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """As many of them as there is room for, the newest one always."""
    room = MAX_ATTEMPTS_CHARS
    for place in range(len(attempts) - 1, -1, -1):
        attempt = attempts[place]
        # The names of the fields, a time and two numbers take less than 150 characters.
        room -= 150 + len(json.dumps(attempt.answer)) + len(json.dumps(attempt.error))
        if room < 0 and place < len(attempts) - 1:
            return attempts[place + 1 :]
    return attempts


def attempted_anew(event: Event) -> Event:
    """The event as if it had not been tried yet; the attempts stay on record."""
    return replace(event, delivery="pending", due_at=None, attempt_count=0, reason="")


def given_up(event: Event, reason: str) -> Event:
    """The event as undelivered, without another try."""
    return replace(event, delivery="undelivered", due_at=None, reason=reason)


def webhook_test(secret: str, now: datetime) -> Event:
    """An event of no account, in no feed: to see how the receiver answers. `secret`: what makes its id its own."""
    told: Json = {"webhook": {"detail": "This event tests the webhook; there is nothing to do."}}
    return Event(f"evt_test_{secret[:24]}", "webhook.test", "", 0, now, told)


def erased(event: Event) -> Event:
    """
    The event without what it told. It keeps its place in the feed, and is not delivered any more.

    The end of a connection is told all the same, and names nobody then: whoever else reads the events has to learn of it. Of
    the attempts only the receiver's words go, which may repeat what they were told.
    """
    told = about(event.data)
    attempts = tuple(replace(attempt, answer="") for attempt in event.attempts)
    ids: Json = {"connection_id": told.connection_id, "user_id": told.user_id}
    if event.type == "connection.disconnected":
        nobody: Json = {"email": None, "display_name": None, "state": State.DISCONNECTED.value}
        return replace(event, data={"connection": ids | nobody}, attempts=attempts)
    return replace(
        event,
        data={"erased": True, **ids},
        delivery="delivered" if event.delivery == "delivered" else "erased",
        attempts=attempts,
        due_at=None,
        reason="",
    )


class About(NamedTuple):
    """Ids of what an event tells of; each is empty where it tells of none."""

    user_id: str = ""
    connection_id: str = ""
    message_id: str = ""


def about(data: Json) -> About:
    """What an event with this `data` tells of, also where that was erased."""
    names: object = data if data.get("erased") else data.get("message") or data.get("connection")
    if not isinstance(names, dict):
        return About()
    return About(*(str(names.get(name) or "") for name in About._fields))


def connection_event(kind: EventType, connection: Connection, once: str, now: datetime, **more: object) -> NewEvent:
    """An event about a connection; `more` are further members of `data`."""
    about: Json = {
        "connection_id": connection.connection_id,
        "user_id": connection.user_id,
        "email": connection.mailbox.email,
        "display_name": connection.mailbox.display_name,
        "state": connection.state.value,
    }
    if connection.problem:
        about["problem"] = connection.problem
    return NewEvent(
        connection.account_id, kind, f"{kind}|{connection.connection_id}|{once}", now, {"connection": about, **more}
    )


def message_event(kind: EventType, message: Message, body: Body, now: datetime, *, report: str = "") -> NewEvent:
    """
    An event about a message, with as much of its body as an event holds.

    `report`: for `message.bounced`, which delivery report says so; each is told once, and an email can have several.
    """
    cut, truncated = for_event(body)
    data: Json = {"message": message_json(message, cut, truncated=truncated)}
    if kind == "message.bounced":
        data["bounces"] = bounces_json(message.bounces)
    if message.problem:
        data["problem"] = problem_json(message)
    # A send ends once: what is told of its end first is not contradicted later.
    once = "outcome" if kind in ("message.sent", "message.failed") else kind
    about_report = f"|{report}" if report else ""
    return NewEvent(message.account_id, kind, f"{once}|{message.message_id}{about_report}", now, data)


def message_json(message: Message, body: Body, *, truncated: bool) -> Json:
    """`data.message` of the contract."""
    return {
        "message_id": message.message_id,
        "thread_id": message.thread_id or None,
        "connection_id": message.connection_id or None,
        "user_id": message.user_id,
        "contact_ids": list(message.contact_ids),
        "direction": message.direction,
        "origin": message.origin,
        "from": _address(message.sender),
        "to": [_address(a) for a in message.to],
        "cc": [_address(a) for a in message.cc],
        "subject": message.subject,
        "html": body.html,
        "text": body.text,
        "body_truncated": truncated,
        "sent_at": rfc3339(message.sent_at),
        "received_at": rfc3339(message.received_at),
        "internet_message_id": message.internet_message_id or None,
        "in_reply_to": message.in_reply_to or None,
        "matched_by": message.matched_by,
        "involves_contact": message.involves_contact,
        "auto_reply": message.auto_reply,
        "attachments": [attachment_json(a) for a in message.attachments],
    }


def whole_message_json(message: Message, body: Body) -> Json:
    """A message as its own route shows it: the fields of `data.message` with the whole body, and its status."""
    shown = message_json(message, readable(body), truncated=False) | {"status": message.status.value}
    if message.send_at is not None:
        shown["send_at"] = rfc3339(message.send_at)
    if message.metadata:
        shown["metadata"] = message.metadata
    if message.bounces:
        shown["bounces"] = bounces_json(message.bounces)
    if message.problem:
        shown["problem"] = problem_json(message)
    return shown


def problem_json(message: Message) -> Json:
    """What went wrong with an email, in plain words, and what to do about it where we know."""
    advice: Json = {"what_to_do": message.what_to_do} if message.what_to_do else {}
    return {"code": message.problem_code, "detail": message.problem, **advice}


def bounces_json(bounces: Iterable[Bounce]) -> list[Json]:
    """`bounces`: each recipient whom an email did not reach."""
    return [{"address": b.address, "status_code": b.status_code or None, "detail": b.detail} for b in bounces]


def attachment_json(attachment: Attachment) -> Json:
    """One of `attachments` of the contract."""
    return {
        "attachment_id": attachment.attachment_id,
        "name": attachment.name,
        "content_type": attachment.content_type,
        "size_bytes": attachment.size_bytes,
        "inline": attachment.inline,
        "content_id": attachment.content_id,
        "status": attachment.status,
        "reason": attachment.reason,
    }


def rfc3339(when: datetime | None) -> str | None:
    """A time as the contract writes it: RFC 3339, UTC, milliseconds."""
    if when is None:
        return None
    if when.tzinfo is None:
        raise ValueError("a time without a zone says nothing")
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _address(address: Address | None) -> Json | None:
    return None if address is None else {"address": address.address, "name": address.name or None}
