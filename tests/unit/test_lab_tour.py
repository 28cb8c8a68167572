"""The newcomer's path on the lab: what ticks each step off, and what the CRM's activity says of it."""

from typing import Any

import pytest

from sync.domain.attachment_rule import SkipReason
from sync.domain.message import Status
from tests.cloud.lab.contoso import Known
from tests.cloud.lab.tour import STEPS, Tour, done
from tests.cloud.lab.verdict import Reason, Verdict
from tests.cloud.lab.words import MATCHED, ORIGIN, SKIPPED, STATUS, told

type Json = dict[str, Any]


def of_connection(kind: str) -> Json:
    return {"type": f"connection.{kind}", "data": {"connection": {"email": "dana@northwind.example"}}}


def of_message(kind: str, origin: str = "contact", *reasons: str, thread_id: str | None = "thr_1") -> Json:
    files = [{"status": "skipped" if reason else "synced", "reason": reason or None} for reason in reasons]
    ada = {"address": "ada@x.example", "name": None}
    message = {"origin": origin, "subject": "Our offer", "from": ada, "thread_id": thread_id}
    return {"type": f"message.{kind}", "data": {"message": message | {"attachments": files}}}


@pytest.mark.parametrize(
    ("event", "step"),
    [
        (of_connection("connected"), "connect"),
        (of_message("sent", "crm"), "send"),
        (of_message("sent", "crm", thread_id=None), None),
        (of_message("synced", "contact", ""), "answer"),
        (of_message("synced", "outlook", "type_not_allowed"), "outlook"),
        (of_connection("disconnected"), "delete"),
        (of_connection("needs_reconnect"), None),
        (of_message("failed", "crm"), None),
        ({"type": "message.synced", "data": {"erased": True, "user_id": "dana"}}, None),
    ],
)
def test_a_step_is_done_when_the_crm_has_been_told(event: Json, step: str | None) -> None:
    """Each event ticks off its own step and no other."""
    assert done(Known(events=[event]), []) == ({step} if step else set())


def test_a_file_that_is_too_large_ticks_off_its_step() -> None:
    """On an answer: so the step of the answer is done as well. Another reason does not count."""
    assert "too_large" in done(Known(events=[of_message("synced", "contact", "", "too_large")]), [])
    assert "too_large" not in done(Known(events=[of_message("synced", "contact", "content_mismatch")]), [])


def test_a_mail_begun_in_outlook_is_seen_in_the_mailbox_alone() -> None:
    """No event tells of it: that is the point."""
    assert done(Known(), [Verdict(Reason.BEGUN_IN_OUTLOOK, "")]) == {"private"}
    assert done(Known(), [Verdict(Reason.BEGUN_OUTSIDE, ""), Verdict(Reason.DRAFT, "")]) == set()


def test_what_is_done_stays_done() -> None:
    """Looking into another mailbox takes no tick away; the steps keep their order."""
    tour = Tour()

    tour.follow({"private"})
    steps = tour.follow({"connect"})

    assert [step["step_id"] for step in steps] == [step.step_id for step in STEPS]
    assert {step["step_id"] for step in steps if step["done"]} == {"private", "connect"}


def test_every_code_of_the_api_has_words() -> None:
    """A reason, a status or an origin that the app can tell is never shown as a code."""
    assert SKIPPED.keys() == {reason.value for reason in SkipReason}
    assert STATUS.keys() == {status.value for status in Status}
    assert ORIGIN.keys() == {"crm", "outlook", "contact"}
    assert MATCHED.keys() == {"conversation", "message_id", "conversation_index"}


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (of_connection("connected"), "dana@northwind.example is connected"),
        (of_message("sent", "crm"), "“Our offer” was sent"),
        (of_message("synced", "contact", "", "too_large"), "ada@x.example: “Our offer”, 1 file left out"),
        ({"type": "message.sent", "data": {"erased": True}}, "What this event told has been erased"),
        ({"type": "thread.new", "data": {}}, "thread.new"),
    ],
)
def test_an_event_is_told_in_a_sentence(event: Json, words: str) -> None:
    """Also one that was erased, and one of a type that this CRM does not know yet."""
    assert told(event) == words
