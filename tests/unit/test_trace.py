"""The trace that the code runs in, and how a job carries it on: one story is one trace, and none grows too long to read."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from sync import trace
from sync.jobs import (
    CRM_DELIVERIES,
    CRM_REDELIVERIES,
    MAIL_BATCHES,
    MAIL_CHANGES,
    MAILBOX_CATCH_UP,
    MAILBOX_WATCH,
    CatchUp,
    DeliverEvent,
    Job,
    MailChange,
    SendMail,
    WatchMailbox,
    due_at_of,
    ids_of,
    key_of,
    traced,
)

HERE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BEFORE = "00-11111111111111111111111111111111-2222222222222222-01"
DELIVERY = DeliverEvent("acme", "evt_1")


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (HERE, HERE),
        (HERE[:-1] + "0", HERE[:-1] + "0"),
        ("", ""),
        (None, ""),
        (7, ""),
        ("00-" + "0" * 32 + "-b7ad6b7169203331-01", ""),
        ("00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01", ""),
        (HERE.upper(), ""),
        ("01" + HERE[2:], ""),
        (HERE + "-x", ""),
        (HERE + "\n", ""),
        ("ada@customer.example", ""),
    ],
)
def test_only_a_traceparent_is_taken(given: object, used: str) -> None:
    """What the host or a queue message says is carried on only if it is what W3C Trace Context writes."""
    assert trace.usable(given) == used
    assert trace.of_context(SimpleNamespace(trace_context=SimpleNamespace(trace_parent=given))) == used


def test_a_context_without_a_trace_has_none() -> None:
    """Older hosts, and tests."""
    assert trace.of_context(None) == trace.of_context(SimpleNamespace(trace_context=None)) == ""


async def test_each_task_has_its_own_place() -> None:
    """Functions run side by side in one loop: none sees the trace of another."""

    async def inside(traceparent: str) -> str:
        with trace.inside(traceparent, MAIL_CHANGES):
            await asyncio.sleep(0)
            return trace.current().traceparent

    assert list(await asyncio.gather(inside(HERE), inside(BEFORE))) == [HERE, BEFORE]
    assert trace.current() == trace.Here()


@pytest.mark.parametrize(
    ("job", "queue", "part_of", "linked_to"),
    [
        # What one message asks for is a part of its trace.
        (DELIVERY, MAIL_CHANGES, HERE, ""),
        (DELIVERY, "", HERE, ""),
        (MailChange("con_1", "AAk1"), "", HERE, ""),
        # Where one makes many, each is its own.
        (SendMail("acme", "msg_1"), MAIL_BATCHES, "", HERE),
        (DELIVERY, CRM_REDELIVERIES, "", HERE),
        (MailChange("con_1", "AAk1"), MAILBOX_CATCH_UP, "", HERE),
        # What is tried again stays where it was.
        (replace(DELIVERY, trace=BEFORE), CRM_DELIVERIES, BEFORE, ""),
        (replace(DELIVERY, linked_to=BEFORE), CRM_DELIVERIES, "", BEFORE),
        (replace(DELIVERY, trace=BEFORE), "", BEFORE, ""),
        # Work that never ends would be a trace that never ends.
        (WatchMailbox("con_1", trace=BEFORE), MAILBOX_WATCH, "", HERE),
        (CatchUp("con_1", linked_to=BEFORE), MAILBOX_CATCH_UP, "", HERE),
    ],
)
def test_what_a_job_is_a_part_of(job: Job, queue: str, part_of: str, linked_to: str) -> None:
    """Queued by the work on a message of `queue`."""
    told = traced(job, HERE, queue)
    assert (told.trace, told.linked_to) == (part_of, linked_to)


@pytest.mark.parametrize("job", [DELIVERY, replace(DELIVERY, trace=BEFORE), WatchMailbox("con_1", trace=BEFORE)])
def test_without_a_trace_a_job_stays_as_it_is(job: Job) -> None:
    """Queued by a timer, or where nobody traces."""
    assert traced(job, "", MAILBOX_WATCH) is job


def test_a_trace_is_no_part_of_the_work() -> None:
    """The same work in another trace has the same promise, is shown by the same ids, and is equal."""
    there = MailChange("con_1", "AAk1", trace=HERE, linked_to=BEFORE, due="2026-11-23T09:30:12+00:00")
    here = MailChange("con_1", "AAk1")
    assert there == here
    assert there.key == here.key == key_of(MAIL_CHANGES, there.to_json())
    assert ids_of(MAIL_CHANGES, there.to_json()) == here.work
    assert "trace" not in here.to_json()
    back = MailChange.from_json(there.to_json())
    assert (back.trace, back.linked_to, back.due) == (there.trace, there.linked_to, there.due)


@pytest.mark.parametrize("text", ["", "{}", "null", "[]", '{"due": 7}', '{"due": "soon"}', "no JSON"])
def test_a_message_that_was_not_put_off_is_due_since_it_came(text: str) -> None:
    """And so is one that can't be read."""
    assert due_at_of(text) is None


def test_a_message_that_was_put_off_says_since_when_it_is_due() -> None:
    """So that it is not taken for one that nobody works on."""
    due = due_at_of(replace(DELIVERY, due="2026-11-23T09:30:12+00:00").to_json())
    assert due is not None
    assert due.isoformat() == "2026-11-23T09:30:12+00:00"
