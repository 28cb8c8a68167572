"""Queue messages: what stands in them, and what the app makes of those of another version."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.jobs import (
    CRM_DELIVERIES,
    CRM_REDELIVERIES,
    CRM_UNDELIVERED,
    ERASURES,
    JOB_OF_QUEUE,
    MAIL_CHANGES,
    MAIL_SENDS,
    MAILBOX_CATCH_UP,
    MAILBOX_WATCH,
    QUEUES,
    RETENTION,
    BringBack,
    CatchUp,
    DeliverEvent,
    EraseUser,
    Job,
    MailChange,
    RedeliverEvents,
    RemoveOld,
    SendMail,
    WatchMailbox,
)

WRITTEN: list[tuple[Job, str, str]] = [
    (
        WatchMailbox("con_1"),
        MAILBOX_WATCH,
        '{"connection_id":"con_1","lifecycle":"","passed_on":false,"failing_since":""}',
    ),
    (
        WatchMailbox("con_1", "missed"),
        MAILBOX_WATCH,
        '{"connection_id":"con_1","lifecycle":"missed","passed_on":false,"failing_since":""}',
    ),
    (CatchUp("con_1"), MAILBOX_CATCH_UP, '{"connection_id":"con_1","since":"","page_size":50,"skip":0,"again_to":""}'),
    (
        CatchUp("con_1", "2026-11-23T09:30:12+00:00", 200),
        MAILBOX_CATCH_UP,
        '{"connection_id":"con_1","since":"2026-11-23T09:30:12+00:00","page_size":200,"skip":0,"again_to":""}',
    ),
    (SendMail("acme", "msg_1"), MAIL_SENDS, '{"account_id":"acme","message_id":"msg_1"}'),
    (
        MailChange("con_1", "AAk1", 2),
        MAIL_CHANGES,
        '{"connection_id":"con_1","graph_id":"AAk1","tries":2,"passed_on":false}',
    ),
    (DeliverEvent("acme", "evt_1"), CRM_DELIVERIES, '{"account_id":"acme","event_id":"evt_1"}'),
    (
        RedeliverEvents("acme", 3, 500, "2026-11-23T09:30:12+00:00", 103),
        CRM_REDELIVERIES,
        '{"account_id":"acme","since":3,"through":500,"asked_at":"2026-11-23T09:30:12+00:00","after":103}',
    ),
    (BringBack(), CRM_UNDELIVERED, '{"again":false}'),
    (EraseUser("acme", "u1"), ERASURES, '{"account_id":"acme","user_id":"u1","again":false}'),
    (EraseUser("acme", "u1", again=True), ERASURES, '{"account_id":"acme","user_id":"u1","again":true}'),
    (RemoveOld(), RETENTION, '{"account_id":"","stage":"","place":""}'),
    (RemoveOld("acme", "events", "200"), RETENTION, '{"account_id":"acme","stage":"events","place":"200"}'),
]


@pytest.mark.parametrize(("job", "queue", "text"), WRITTEN)
def test_what_is_queued(job: Job, queue: str, text: str) -> None:
    """The queue and the bytes of each job: messages that wait during a deployment are understood after it."""
    assert (job.queue, job.to_json()) == (queue, text)
    assert type(job).from_json(text) == job
    assert JOB_OF_QUEUE[queue] is type(job)


def test_every_job_has_its_queue() -> None:
    """No queue is without a job, no job without a queue, and their names are ones that Azure takes."""
    assert set(JOB_OF_QUEUE) == set(QUEUES)
    assert set(JOB_OF_QUEUE.values()) == set(Job.__subclasses__())
    assert all(
        name.replace("-", "").isalnum() and name.islower() and 3 <= len(name) <= 63 - len("-poison") for name in QUEUES
    )


def test_queue_messages_hold_ids_only() -> None:
    """Never mail: no job has a field that could hold any, but for what Graph encrypted for us and only we can read."""
    fields = {field.name for kind in JOB_OF_QUEUE.values() for field in dataclasses.fields(kind)}
    ids = {"account_id", "connection_id", "message_id", "event_id", "graph_id", "user_id", "batch_id"}
    marks = {
        "tries",
        "lifecycle",
        "passed_on",
        "failing_since",
        "since",
        "page_size",
        "skip",
        "again_to",
        "again",
        "stage",
        "place",
        "after",
        "through",
        "asked_at",
        "trace",
        "linked_to",
        "due",
    }
    assert fields <= ids | marks | {"carried"}, (
        "an id or a mark may stand in a queue message, nothing that a person wrote"
    )


def test_a_newer_message_is_understood() -> None:
    """During a deployment an old instance may get what a new one queued: unknown fields are passed over."""
    assert SendMail.from_json('{"account_id":"acme","message_id":"msg_1","color":"red"}') == SendMail("acme", "msg_1")


def test_an_older_message_is_understood() -> None:
    """And the other way round: fields that came later have defaults."""
    assert MailChange.from_json('{"connection_id":"con_1","graph_id":"AAk1"}') == MailChange("con_1", "AAk1")
    assert WatchMailbox.from_json('{"connection_id":"con_1"}') == WatchMailbox("con_1")
    assert CatchUp.from_json('{"connection_id":"con_1"}') == CatchUp("con_1")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (WatchMailbox("con_1"), WatchMailbox("con_1", "missed"), True),
        (WatchMailbox("con_1"), WatchMailbox("con_2"), False),
        (CatchUp("con_1"), CatchUp("con_1", "2026-11-23T09:30:12+00:00", 200), True),
        (CatchUp("con_1"), CatchUp("con_2"), False),
        (CatchUp("con_1"), WatchMailbox("con_1"), False),
        (MailChange("con_1", "AAk1"), MailChange("con_1", "AAk1", 3), True),
        (MailChange("con_1", "AAk1"), MailChange("con_1", "AAk2"), False),
        (SendMail("acme", "x"), SendMail("acme", "x"), True),
        (SendMail("acme", "x"), DeliverEvent("acme", "x"), False),
        (SendMail("a", "cme"), SendMail("ac", "me"), False),
        (RedeliverEvents("acme", 0, 9, "then", 0), RedeliverEvents("acme", 0, 9, "later", 5), True),
        (RedeliverEvents("acme", 0, 9, "then", 0), RedeliverEvents("acme", 1, 9, "then", 1), False),
        (RedeliverEvents("acme", 0, 9, "then", 0), RedeliverEvents("acme", 0, 8, "then", 0), False),
        (RedeliverEvents("acme", 0, 9, "then", 0), RedeliverEvents("other", 0, 9, "then", 0), False),
        (BringBack(), BringBack(again=True), True),
        (EraseUser("acme", "u1"), EraseUser("acme", "u1", again=True), True),
        (EraseUser("acme", "u1"), EraseUser("acme", "u2"), False),
        (EraseUser("acme", "u1"), EraseUser("other", "u1"), False),
        (RemoveOld("acme", "events"), RemoveOld("other", "messages", "x"), True),
    ],
)
def test_a_key_names_the_work(one: Job, other: Job, same: bool) -> None:
    """The same work queued twice, for another reason or in another try, has one promise."""
    assert (one.key == other.key) is same


@given(st.text(), st.text(), st.integers())
def test_jobs_survive_the_queue(connection_id: str, graph_id: str, tries: int) -> None:
    """What is read is what was written, as one line of ASCII."""
    job = MailChange(connection_id, graph_id, tries)
    text = job.to_json()
    assert MailChange.from_json(text) == job
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text)
