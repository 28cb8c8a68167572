"""Batches: what each email of one call is before its turn has come, and what the call is answered."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sync.domain import batch as rule
from sync.domain.batch import Batch, Letter
from sync.domain.mail import Address
from sync.domain.message import Attachment, Contact, Status
from sync.domain.sender_rule import Sender

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KIM, LEE = Contact("kim@customer.example", "Kim", "c-1"), Contact("lee@customer.example")
LETTERS = (Letter((KIM,)), Letter((LEE,)), Letter((Contact("nowhere"),), "no address"))
BULK = Batch(
    batch_id="bat_" + "a" * 20,
    account_id="acme",
    user_id="anna",
    kind="bulk",
    sender=Sender("outlook", "anna@contoso.example", "bulk_from_outlook"),
    sender_name="Anna",
    size=3,
    subject="News",
    body_blob="body",
    accepted_at=NOW,
    connection_id="con_1",
    mailbox=("tenant", "object"),
    letters_name="letters",
    files=(Attachment("att_x", "a.txt", "text/plain", 3, blob="b"),),
    metadata={"deal": 7},
)
THROUGH_PROVIDER = replace(
    BULK, sender=Sender("provider", "crm@acme.example", "bulk_from_blank"), connection_id="", mailbox=None
)
ANSWER = replace(BULK, kind="individual", size=1, thread_id="thr_1", letters=LETTERS[:1], letters_name="", cc=(LEE,))


def test_each_email_of_a_bulk_send_is_for_one_recipient_and_begins_a_thread() -> None:
    """With ids, files and a thread of its own; body and bytes are those of all."""
    first, second = (rule.message_of(BULK, LETTERS[i], i) for i in (0, 1))
    assert (first.to, first.contact_ids, first.metadata) == ((Address(KIM.address, "Kim"),), ("c-1",), {"deal": 7})
    assert (first.status, first.answers, first.via) == (Status.QUEUED, False, "outlook")
    assert first.outbox is not None
    assert first.outbox.contacts == (KIM,)
    assert {first.message_id, first.thread_id, first.attachments[0].attachment_id}.isdisjoint(
        {second.message_id, second.thread_id, second.attachments[0].attachment_id}
    )
    assert first.attachments[0].blob == second.attachments[0].blob == "b"
    thread = rule.thread_of(BULK, LETTERS[0], 0, NOW)
    assert thread is not None
    assert (thread.thread_id, thread.contacts, thread.participants) == (first.thread_id, (KIM,), frozenset({KIM.key}))


@pytest.mark.parametrize(
    ("batch", "letter", "thread_id"),
    [
        (THROUGH_PROVIDER, LETTERS[0], ""),
        (BULK, LETTERS[2], ""),
        (ANSWER, LETTERS[0], "thr_1"),
    ],
    ids=["provider", "bad address", "answer"],
)
def test_what_begins_no_thread(batch: Batch, letter: Letter, thread_id: str) -> None:
    """What goes through the provider has none, what can't go at all neither, an answer has the one it answers into."""
    assert rule.message_of(batch, letter, 0).thread_id == thread_id
    assert rule.thread_of(batch, letter, 0, NOW) is None


def test_the_answer_to_a_bulk_send() -> None:
    """Each email with its id and its recipient; the one that can't go says why, and the others are queued."""
    told = rule.answer(BULK, LETTERS)
    assert told["batch_id"] == BULK.batch_id
    assert told["sender"] == {"via": "outlook", "address": "anna@contoso.example", "rule": "bulk_from_outlook"}
    messages = told["messages"]
    assert isinstance(messages, list)
    assert [m["status"] for m in messages] == ["queued", "queued", "failed"]
    assert [m["to"][0]["address"] for m in messages] == [KIM.address, LEE.address, "nowhere"]
    assert messages[2]["problem"] == {"code": "invalid_address", "detail": "no address"}
    assert messages[2]["thread_id"] is None
    assert [m["message_id"] for m in messages] == [
        rule.message_of(BULK, x, i).message_id for i, x in enumerate(LETTERS)
    ]


def test_the_answer_of_an_erased_batch_has_the_same_ids_and_nobodys_name() -> None:
    """So that the same request still sends nothing."""
    blank = BULK.blank()
    told, before = rule.answer(blank, rule.blank_letters(blank)), rule.answer(BULK, LETTERS)
    assert [m["message_id"] for m in told["messages"]] == [m["message_id"] for m in before["messages"]]  # type: ignore[attr-defined]
    assert all(m["to"] == [] for m in told["messages"])  # type: ignore[attr-defined]
    assert told["sender"] == {"via": "outlook", "address": None, "rule": "bulk_from_outlook"}
    assert "example" not in repr(blank)
    assert blank.finished


@pytest.mark.parametrize(
    ("changes", "released", "expected"),
    [
        ({}, {}, {"queued": 3}),
        ({"released": 2}, {"sent": 1, "sending": 1}, {"sent": 1, "sending": 1, "queued": 1}),
        ({"released": 2}, {"queued": 1, "sent": 1}, {"queued": 2, "sent": 1}),
        ({"released": 3}, {"sent": 2, "bounced": 1}, {"sent": 2, "bounced": 1}),
        ({"cancelled_at": NOW}, {"sent": 1}, {"sent": 1, "cancelled": 2}),
        ({"cancelled_at": NOW}, {"sent": 1, "cancelled": 1, "sending": 1}, {"sent": 1, "cancelled": 1, "sending": 1}),
    ],
)
def test_counts_add_up(changes: dict[str, object], released: dict[str, int], expected: dict[str, int]) -> None:
    """What has had no turn is queued, or cancelled with its batch; every status is named, and none is left out."""
    told = rule.counts(replace(BULK, **changes), released)  # type: ignore[arg-type]
    assert {status: count for status, count in told.items() if count} == expected
    assert sum(told.values()) == BULK.size
    assert told.keys() == {"queued", "sending", "sent", "failed", "bounced", "cancelled"}


def test_when_a_batch_is_finished() -> None:
    """Once every email has had its turn, or none will get one any more."""
    assert [replace(BULK, released=n).finished for n in (0, 2, 3)] == [False, False, True]
    assert replace(BULK, cancelled_at=NOW).finished
    assert BULK.due_at == NOW
    later = NOW + timedelta(days=2)
    assert replace(BULK, send_at=later).due_at == later
    assert rule.message_of(replace(BULK, cancelled_at=NOW), LETTERS[0], 0).status is Status.CANCELLED
