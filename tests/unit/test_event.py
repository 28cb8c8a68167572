"""What the CRM is told, key by key: the contract's shapes, and what makes an event one that is told once."""

import itertools
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.adapters.rows import columns_of
from sync.domain.body import MAX_EVENT_BODY_BYTES, Body, for_event
from sync.domain.connection import State
from sync.domain.event import (
    MAX_ANSWER_BYTES,
    About,
    Answer,
    Attempt,
    Delivery,
    EventType,
    Json,
    about,
    attempted,
    attempted_anew,
    connection_event,
    erased,
    given_up,
    message_event,
    message_json,
    rfc3339,
    webhook_test,
    whole_message_json,
    without_old_attempts,
)
from sync.domain.ids import sequence_of
from sync.domain.mail import Address
from sync.domain.message import Bounce, Status, bounced
from tests.unit.sample_mail import NOW, attachment, connection, event, message

BODY = Body("<p>Fine with us.</p>", None)
#: An entity has 1 MiB, and characters have two bytes
#: (https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model).
ROW_CHARS = 512 * 1024

MESSAGE = {
    "message_id": "msg_aaaaaaaaaaaaaaaaaaaaaaaa",
    "thread_id": "thr_bbbbbbbbbbbbbbbbbbbbbbbb",
    "connection_id": "con_1",
    "user_id": "anna",
    "contact_ids": ["c-7"],
    "direction": "inbound",
    "origin": "contact",
    "from": {"address": "kim@customer.example", "name": "Kim Lee"},
    "to": [{"address": "anna@contoso.example", "name": "Anna Berger"}],
    "cc": [],
    "subject": "RE: Offer",
    "html": "<p>Fine with us.</p>",
    "text": "Fine with us.",
    "body_truncated": False,
    "sent_at": "2026-11-23T09:30:10.250Z",
    "received_at": "2026-11-23T09:30:12.250Z",
    "internet_message_id": "<k1@customer.example>",
    "in_reply_to": "<a1@contoso.example>",
    "matched_by": "conversation",
    "involves_contact": True,
    "auto_reply": False,
    "attachments": [
        {
            "attachment_id": "att_aaaaaaaaaaaaaaaaaaaaaaaa_0",
            "name": "Offer.pdf",
            "content_type": "application/pdf",
            "size_bytes": 1_234,
            "inline": False,
            "content_id": None,
            "status": "synced",
            "reason": None,
        }
    ],
}


def test_an_event_about_a_message() -> None:
    """`data.message` of the contract, exactly: no key is missing, none leaks what is only ours."""
    told = message_event("message.synced", message(), BODY, NOW)
    assert told.data == {"message": MESSAGE}
    assert (told.account_id, told.type, told.occurred_at) == ("acme", "message.synced", NOW)


def test_an_event_as_it_is_pushed() -> None:
    """The envelope of the contract, in its order; delivery and attempts are not part of it."""
    assert list(event(delivery="delivered", attempt_count=3).payload().items()) == [
        ("id", "evt_0000000042abcdefghijkl"),
        ("type", "message.synced"),
        ("account_id", "acme"),
        ("sequence", 42),
        ("occurred_at", "2026-11-23T09:30:15.250Z"),
        ("data", {"message": {"message_id": "msg_aaaaaaaaaaaaaaaaaaaaaaaa"}}),
    ]


def test_what_is_not_known_is_null() -> None:
    """A key is there even where there is nothing to say, so that a receiver needs no second case."""
    bare = message(
        sender=None,
        to=(Address("x@x.example"),),
        contact_ids=(),
        sent_at=None,
        received_at=None,
        internet_message_id="",
        in_reply_to="",
        matched_by=None,
        attachments=(attachment(status="skipped", reason="too_large", blob=""),),
    )
    shown = message_json(bare, Body(None, "Hi"), truncated=True)
    assert shown.keys() == MESSAGE.keys()
    empty = ("from", "html", "sent_at", "received_at", "internet_message_id", "in_reply_to", "matched_by")
    assert all(shown[name] is None for name in empty)
    assert shown["to"] == [{"address": "x@x.example", "name": None}]
    assert shown["body_truncated"] is True
    assert shown["attachments"] == [MESSAGE["attachments"][0] | {"status": "skipped", "reason": "too_large"}]  # type: ignore[index]


def test_a_message_on_its_own_route() -> None:
    """The same fields and its status; metadata and a problem only where there are some."""
    assert whole_message_json(message(), BODY) == MESSAGE | {"status": "synced"}
    failed = message(
        status=Status.FAILED, problem_code="mailbox_refused", problem="No.", metadata={"deal": 7}, attachments=()
    )
    assert whole_message_json(failed, BODY) == MESSAGE | {
        "status": "failed",
        "attachments": [],
        "metadata": {"deal": 7},
        "problem": {"code": "mailbox_refused", "detail": "No."},
    }


def test_an_event_holds_as_much_of_a_body_as_it_may_and_the_route_all() -> None:
    """A long body is cut in the event, which says so; the message's own route has the whole."""
    long = Body(None, "x" * (MAX_EVENT_BODY_BYTES + 1))
    told = message_event("message.synced", message(), long, NOW).data["message"]
    assert isinstance(told, dict)
    assert (len(told["text"]), told["body_truncated"]) == (MAX_EVENT_BODY_BYTES, True)
    whole = whole_message_json(message(), long)
    assert (whole["text"], whole["body_truncated"]) == (long.text, False)


def test_a_body_is_sanitised_wherever_it_is_shown() -> None:
    """Neither the event nor the route hands out what an email may run."""
    hostile = Body("<p onclick='x()'>Hi<script>x()</script></p>", None)
    told = message_event("message.synced", message(), hostile, NOW).data["message"]
    assert isinstance(told, dict)
    assert told["html"] == whole_message_json(message(), hostile)["html"] == "<p>Hi</p>"


def test_a_failed_send_says_why() -> None:
    """The problem stands beside the message, with a code for programs and words for people."""
    failed = message(status=Status.FAILED, problem_code="mailbox_refused", problem="Mailbox full.")
    assert message_event("message.failed", failed, BODY, NOW).data["problem"] == {
        "code": "mailbox_refused",
        "detail": "Mailbox full.",
    }


BOUNCES = (Bounce("kim@customer.example", "5.1.1", "550 No such user"), Bounce("lee@customer.example", "", ""))
BOUNCES_JSON = [
    {"address": "kim@customer.example", "status_code": "5.1.1", "detail": "550 No such user"},
    {"address": "lee@customer.example", "status_code": None, "detail": ""},
]


def test_a_bounce_says_who_why_and_what_to_do() -> None:
    """Beside the message, in the event and on the message's own route; told once for each report."""
    it = bounced(message(status=Status.SENT), BOUNCES, "It did not reach Kim.", "Check the address.")
    told = message_event("message.bounced", it, BODY, NOW, report="<r@mx.example>")
    problem = {"code": "bounced", "detail": "It did not reach Kim.", "what_to_do": "Check the address."}
    assert (told.data["bounces"], told.data["problem"]) == (BOUNCES_JSON, problem)
    assert told.data["message"] == MESSAGE
    assert told.once == "message.bounced|msg_aaaaaaaaaaaaaaaaaaaaaaaa|<r@mx.example>"
    shown = whole_message_json(it, BODY)
    assert (shown["status"], shown["bounces"], shown["problem"]) == ("bounced", BOUNCES_JSON, problem)
    assert {"bounces", "problem"}.isdisjoint(whole_message_json(message(), BODY))


@pytest.mark.parametrize(
    ("kind", "once"),
    [
        ("message.sent", "outcome|msg_aaaaaaaaaaaaaaaaaaaaaaaa"),
        ("message.failed", "outcome|msg_aaaaaaaaaaaaaaaaaaaaaaaa"),
        ("message.bounced", "message.bounced|msg_aaaaaaaaaaaaaaaaaaaaaaaa"),
        ("message.synced", "message.synced|msg_aaaaaaaaaaaaaaaaaaaaaaaa"),
    ],
)
def test_a_send_has_one_outcome(kind: EventType, once: str) -> None:
    """Sent and failed shut each other out; a bounce may follow; each is told once."""
    assert message_event(kind, message(), BODY, NOW).once == once


def test_an_event_about_a_connection() -> None:
    """Who it is and how it stands; a problem only where there is one, further members beside it."""
    told = connection_event("connection.connected", connection(), "1", NOW, previous="con_0")
    assert told.data == {
        "connection": {
            "connection_id": "con_1",
            "user_id": "anna",
            "email": "anna@contoso.example",
            "display_name": "Anna Berger",
            "state": "connected",
        },
        "previous": "con_0",
    }
    assert told.once == "connection.connected|con_1|1"
    stopped = connection(state=State.NEEDS_RECONNECT, problem="Sign in again.")
    about = connection_event("connection.needs_reconnect", stopped, "1", NOW).data["connection"]
    assert isinstance(about, dict)
    assert (about["state"], about["problem"]) == ("needs_reconnect", "Sign in again.")


def test_everything_told_is_json() -> None:
    """An event is written by plain JSON, without a special case."""
    for told in (
        message_event("message.synced", message(), BODY, NOW).data,
        connection_event("connection.connected", connection(), "1", NOW).data,
        event().payload(),
    ):
        assert json.loads(json.dumps(told)) == told


@pytest.mark.parametrize(
    ("status", "accepted"),
    [
        (200, True),
        (202, True),
        (204, True),
        (299, True),
        (199, False),
        (300, False),
        (302, False),
        (410, False),
        (None, False),
    ],
)
def test_which_answers_count_as_taken(status: int | None, accepted: bool) -> None:
    """2xx is taken; a redirect is a failure, as is no answer."""
    assert Answer(status, 0.1).accepted is accepted


def test_attempts_are_counted_and_kept_for_thirty_days() -> None:
    """However often an event is tried: an attempt is there until 30 days later, and goes then; the count stays right."""
    at = event()
    for day in range(100):
        at = attempted(at, Attempt(NOW + timedelta(days=day), 0.1, 500), "pending", NOW + timedelta(days=day + 1))
    assert at.attempt_count == 100
    assert [a.at for a in at.attempts] == [NOW + timedelta(days=day) for day in range(70, 100)]
    later = NOW + timedelta(days=100)
    assert [a.at for a in without_old_attempts(at, later).attempts] == [NOW + timedelta(days=d) for d in range(71, 100)]
    assert without_old_attempts(at, NOW + timedelta(days=129, seconds=-1)).attempts == at.attempts[-1:]
    assert without_old_attempts(at, NOW + timedelta(days=129)).attempts == ()
    done = attempted(at, Attempt(NOW, 0.1, 200), "delivered", None)
    assert (done.delivery, done.due_at) == ("delivered", None)
    assert replace(done, attempts=(), attempt_count=0, delivery="pending", due_at=None) == event()


@pytest.mark.long
@pytest.mark.parametrize(
    ("answer", "at_least"),
    [
        ("x" * MAX_ANSWER_BYTES, 150),
        ("\u00e9" * (MAX_ANSWER_BYTES // 2), 55),
        ("\x00" * MAX_ANSWER_BYTES, 30),
        ("", 1_000),
    ],
)
def test_the_attempts_never_outgrow_the_row(answer: str, at_least: int) -> None:
    """Whatever was answered: with the longest body beside them there is room in a row, and the newest are kept."""
    body = Body("\u00e9" * (MAX_EVENT_BODY_BYTES // 2), None)
    at = event(data={"message": {"html": for_event(body)[0].html}})
    for i in range(at_least + 50):
        at = attempted(at, Attempt(NOW + timedelta(minutes=i), 0.1, 500, answer=answer), "pending", NOW)
    assert at.attempts[-1].at == NOW + timedelta(minutes=at_least + 49)
    assert len(at.attempts) >= at_least
    assert [b.at - a.at for a, b in itertools.pairwise(at.attempts)] == [timedelta(minutes=1)] * (len(at.attempts) - 1)
    assert sum(len(piece) for piece in columns_of(at).values()) < ROW_CHARS
    lone = attempted(event(), Attempt(NOW, 0.1, 500, answer="\x00" * 100_000), "pending", NOW)
    assert len(lone.attempts) == 1


def test_an_event_told_anew_keeps_what_was_tried() -> None:
    """A schedule from the start; the attempts stay, and why it was undelivered counts no more."""
    tried = attempted(event(), Attempt(NOW, 0.1, 500, answer="no"), "undelivered", None, "10 tries failed")
    anew = attempted_anew(tried)
    assert (anew.delivery, anew.due_at, anew.attempt_count, anew.reason) == ("pending", None, 0, "")
    assert anew.attempts == tried.attempts
    assert given_up(anew, "Off.") == replace(anew, delivery="undelivered", reason="Off.")


def test_a_test_event_is_in_no_feed() -> None:
    """No account, no sequence, an id that no event of a feed can have, and one that a webhook-id can be."""
    one, other = webhook_test("x" * 43, NOW), webhook_test("y" * 43, NOW)
    assert one.event_id != other.event_id
    assert sequence_of(one.event_id) is None
    assert re.fullmatch(r"evt_test_[A-Za-z0-9_-]{24}", one.event_id)
    assert one.payload() == {
        "id": one.event_id,
        "type": "webhook.test",
        "account_id": None,
        "sequence": None,
        "occurred_at": rfc3339(NOW),
        "data": one.data,
    }


TOLD: dict[EventType, Json] = {
    "message.synced": message_event("message.synced", message(), BODY, NOW).data,
    "message.failed": message_event("message.failed", message(problem="To Kim."), BODY, NOW).data,
    "connection.connected": connection_event("connection.connected", connection(), "1", NOW).data,
    "connection.updated": connection_event(
        "connection.updated", connection(), "1", NOW, previous_email="a@b.example"
    ).data,
}


@pytest.mark.parametrize(
    ("before", "after"),
    [("pending", "erased"), ("delivered", "delivered"), ("undelivered", "erased")],
)
@pytest.mark.parametrize("kind", TOLD)
def test_what_is_left_of_an_erased_event(kind: EventType, before: Delivery, after: Delivery) -> None:
    """Its place in the feed, whose it was, and its attempts without the receiver's words; it is not to be delivered any more."""
    attempts = (Attempt(NOW, 0.1, 500, "", "no room for Kim"), Attempt(NOW, 15.0, None, "ReadTimeout"))
    told = event(type=kind, data=TOLD[kind], delivery=before, attempts=attempts, attempt_count=2, due_at=NOW)
    left = erased(told)
    assert left == replace(
        told,
        data={"erased": True, "connection_id": "con_1", "user_id": "anna"},
        delivery=after,
        attempts=(Attempt(NOW, 0.1, 500), Attempt(NOW, 15.0, None, "ReadTimeout")),
        due_at=None,
    )
    assert (told.erased, left.erased) == (False, True)
    assert erased(left) == left


@pytest.mark.parametrize("delivery", ["pending", "delivered", "undelivered"])
def test_the_end_of_an_erased_connection_names_nobody_and_is_still_told(delivery: Delivery) -> None:
    """The same members as before, without names; when it is to be delivered stays as it was."""
    data = connection_event("connection.disconnected", connection(state=State.DISCONNECTED), "ended", NOW).data
    told = event(type="connection.disconnected", data=data, delivery=delivery, due_at=NOW)
    left = erased(told)
    assert left.data == {"connection": data["connection"] | {"email": None, "display_name": None}}  # type: ignore[operator]
    assert left == replace(told, data=left.data)
    assert not left.erased
    assert erased(left) == left


@pytest.mark.parametrize("kind", TOLD)
def test_whose_an_event_is_can_be_seen_also_once_it_was_erased(kind: EventType) -> None:
    """User and connection always, the message as long as it is told of."""
    told = event(type=kind, data=TOLD[kind])
    message_id = message().message_id if kind.startswith("message.") else ""
    assert about(told.data) == About("anna", "con_1", message_id)
    assert about(erased(told).data) == About("anna", "con_1", "")


@pytest.mark.parametrize(
    "data", [{}, {"test": 1}, {"message": None}, {"message": {"user_id": None}}, {"connection": "x"}, {"erased": False}]
)
def test_an_event_can_be_about_nobody(data: Json) -> None:
    """Then no id is made up."""
    assert about(data) == About("", "", "")
    assert not event(data=data).erased


@pytest.mark.parametrize(
    ("when", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05.000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC), "2026-01-02T03:04:05.999Z"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5, minutes=30))), "2026-01-01T21:34:05.000Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000Z"),
        (None, None),
    ],
)
def test_times_are_rfc_3339_in_utc(when: datetime | None, text: str | None) -> None:
    """One form for every time of the contract."""
    assert rfc3339(when) == text


def test_a_time_without_a_zone_is_refused() -> None:
    """A time that could mean any hour is never told."""
    with pytest.raises(ValueError, match="zone"):
        rfc3339(datetime(2026, 1, 2))


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_is_read_back_to_the_millisecond(when: datetime) -> None:
    """What is told names the same moment."""
    text = rfc3339(when)
    assert text is not None
    assert text.endswith("Z")
    assert timedelta() <= when - datetime.fromisoformat(text) < timedelta(milliseconds=1)
