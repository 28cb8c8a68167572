"""What is counted: each thing once, with attributes that have few values and are nobody's."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain import readings
from sync.domain.body import Body
from sync.domain.encrypted_content import Reason
from sync.domain.errors import MalformedRequest
from sync.domain.event import Answer, Attempt, Event, EventType, message_event, rfc3339
from sync.domain.message import Message, Status
from sync.domain.metrics import METRICS
from sync.domain.notification import Changes
from sync.flows.counted import counted
from tests.fakes.metrics import FakeMetrics
from tests.unit.sample_mail import NOW, attachment, event, message

BODY = Body("<p>Fine with us.</p>", None)
ACCEPTED = Answer(204, 0.1)


def short(found: Any) -> list[tuple[str, float, dict[str, Any]]]:
    """Readings as a table writes them."""
    return [(reading.metric.name, reading.value, dict(reading.attributes)) for reading in found]


def told(kind: EventType, of: Message, *, stored: bool = True) -> list[tuple[str, float, dict[str, Any]]]:
    """What is counted when this event of the message got its place in the feed."""
    return short(readings.of_told(message_event(kind, of, BODY, NOW), of if stored else None))


def test_a_synced_message_counts_with_its_skipped_files() -> None:
    """By direction and key; each file that was left out by its reason, files that synced not at all."""
    files = (
        attachment(),
        attachment(status="skipped", reason="too_large"),
        attachment(status="skipped", reason="too_large"),
    )
    synced = message(status=Status.SYNCED, direction="inbound", matched_by="message_id", attachments=files)
    assert told("message.synced", synced) == [
        ("sync.messages.synced", 1, {"direction": "inbound", "matched_by": "message_id"}),
        ("sync.files.skipped", 1, {"reason": "too_large"}),
        ("sync.files.skipped", 1, {"reason": "too_large"}),
    ]


@pytest.mark.parametrize("via", ["outlook", "provider"])
@pytest.mark.parametrize(
    ("kind", "outcome"), [("message.sent", "sent"), ("message.failed", "failed"), ("message.bounced", "bounced")]
)
def test_an_email_counts_by_its_door_and_its_end(via: Any, kind: EventType, outcome: str) -> None:
    """Also where no message was stored with the event, as of a bounce that a report tells of."""
    sent = message(via=via, connection_id="con_1" if via == "outlook" else "", matched_by=None)
    wanted = [("sync.messages.sent", 1, {"via": via, "outcome": outcome})]
    assert told(kind, sent) == wanted
    assert told(kind, sent, stored=False) == wanted


def test_other_events_count_nothing() -> None:
    """What a connection does is told by a gauge."""
    about = message_event("message.sent", message(), BODY, NOW)
    assert short(readings.of_told(replace(about, type="connection.connected"), None)) == []


def delivered(**changes: Any) -> Event:
    """An event about a message that came in 40 s ago."""
    data = {"message": {"received_at": rfc3339(NOW - timedelta(seconds=40))}}
    return event(**{"type": "message.synced", "data": data, "attempts": ()} | changes)


TAKEN_BEFORE = (Attempt(NOW, 0.1, 200),)
REFUSED_BEFORE = (Attempt(NOW, 0.1, 500), Attempt(NOW, 15.0, None, "ReadTimeout"))
TAKEN = ("sync.deliveries.attempts", 1, {"outcome": "accepted", "http.response.status_code": 204})
DELAY: tuple[str, float, dict[str, Any]] = ("sync.deliveries.delay", 40.0, {})


@pytest.mark.parametrize(
    ("of", "answer", "wanted"),
    [
        (delivered(), ACCEPTED, [TAKEN, DELAY]),
        (delivered(attempts=REFUSED_BEFORE), ACCEPTED, [TAKEN, DELAY]),
        # Told again: it was not late.
        (delivered(attempts=TAKEN_BEFORE), ACCEPTED, [TAKEN]),
        (delivered(type="message.sent"), ACCEPTED, [TAKEN]),
        (delivered(data={"message": {"received_at": None}}), ACCEPTED, [TAKEN]),
        (delivered(data={"erased": True}), ACCEPTED, [TAKEN]),
        (
            delivered(),
            Answer(302, 0.1),
            [("sync.deliveries.attempts", 1, {"outcome": "refused", "http.response.status_code": 302})],
        ),
        (delivered(), Answer(None, 15.0, "ReadTimeout"), [("sync.deliveries.attempts", 1, {"outcome": "unreachable"})]),
    ],
)
def test_a_delivery_counts_and_its_delay_once(of: Event, answer: Answer, wanted: list[Any]) -> None:
    """From the mailbox to the first delivery that was accepted."""
    assert short(readings.of_delivery(of, answer, NOW)) == wanted


def test_a_clock_that_goes_back_makes_no_delay_below_nothing() -> None:
    """Microsoft's clock and ours differ by a little."""
    ahead = delivered(data={"message": {"received_at": rfc3339(NOW + timedelta(seconds=3))}})
    assert short(readings.of_delivery(ahead, ACCEPTED, NOW))[1] == ("sync.deliveries.delay", 0.0, {})


@pytest.mark.parametrize(
    ("call", "about"),
    [
        (("GET", 200), {"http.request.method": "GET", "http.response.status_code": 200}),
        (("PATCH", 429), {"http.request.method": "PATCH", "http.response.status_code": 429}),
        (("BREW", 418), {"http.request.method": "_OTHER", "http.response.status_code": 418}),
        (("POST", None, "ConnectError"), {"http.request.method": "POST", "error.type": "ConnectError"}),
    ],
)
def test_a_call_to_graph_counts_by_how_it_ended(call: Any, about: dict[str, Any]) -> None:
    """A status, or the kind of error where no answer came; never both."""
    assert short([readings.of_graph_call(*call)]) == [("sync.graph.requests", 1, about)]


def test_notifications_are_counted_by_what_becomes_of_them() -> None:
    """Genuine ones, forged ones, those of no use; nothing is counted that there was none of."""
    noted = FakeMetrics()
    changes = Changes((("con_1", "AAk1"), ("con_2", "AAk2")), forged=3, ignored=0)
    assert counted("change", noted, lambda: changes) is changes
    counted("lifecycle", noted, lambda: Changes((), 0, 1))
    assert short(noted.readings) == [
        ("sync.notifications.accepted", 2, {"kind": "change"}),
        ("sync.notifications.dropped", 3, {"kind": "change", "reason": "forged"}),
        ("sync.notifications.dropped", 1, {"kind": "lifecycle", "reason": "ignored"}),
    ]


@pytest.mark.parametrize("noted", [FakeMetrics(), None])
def test_a_post_that_can_not_be_read_is_counted_and_refused(noted: FakeMetrics | None) -> None:
    """Whether anybody counts or not."""

    def read() -> Changes:
        raise MalformedRequest

    with pytest.raises(MalformedRequest):
        counted("change", noted, read)
    if noted is not None:
        assert short(noted.readings) == [("sync.notifications.dropped", 1, {"kind": "change", "reason": "malformed"})]


def test_metrics_have_names_of_the_field() -> None:
    """Lower case with dots, each once; a unit and a sentence; a distribution has boundaries, and nothing else has."""
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.name.startswith("sync.")
        assert metric.name.replace(".", "").replace("_", "").isalpha()
        assert metric.name.islower()
        assert metric.unit
        assert metric.description.endswith(".")
        assert bool(metric.boundaries) is (metric.kind == "histogram")
        assert list(metric.boundaries) == sorted(metric.boundaries)


@given(st.text(), st.integers(100, 599) | st.none(), st.text())
def test_readings_have_the_attributes_of_their_metric(method: str, status: int | None, error: str) -> None:
    """And no other: a name that the table does not know would make a series that nobody looks at."""
    for reading in (
        readings.of_graph_call(method, status, error),
        *readings.of_delivery(delivered(), Answer(status, 0.1, error), NOW),
        *readings.of_notifications("change", Changes((("a", "b"),), 1, 1)),
        *(readings.of_resource_data(outcome) for outcome in ("used", *get_args(Reason))),
        *readings.of_told(message_event("message.synced", message(), BODY, NOW), message()),
    ):
        assert reading.attributes.keys() <= set(reading.metric.attributes)
