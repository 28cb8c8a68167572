"""Bulk sends: one email for each recipient, at the mailbox's pace, each with an end of its own."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta

import pytest

from sync.domain.connection import Connection
from sync.domain.errors import Declined, InvalidRequest, NotFound
from sync.domain.message import Contact, Status
from sync.domain.outgoing import Outgoing
from sync.jobs import SendBatch
from tests.unit.flows.bulk_world import bulk, busiest_minute, counts, crowd, left
from tests.unit.flows.conftest import DANA
from tests.unit.flows.world import ACCOUNT, ADA, World

HOURS = timedelta(hours=3)


def sending_times(world: World) -> list[datetime]:
    """Record when each `/send` is asked for; the list fills as the world goes on."""
    times: list[datetime] = []
    send = world.mail.send

    async def timed(connection: Connection, draft_id: str) -> None:
        times.append(world.clock())
        await send(connection, draft_id)

    world.mail.send = timed  # type: ignore[method-assign]
    return times


async def test_each_recipient_gets_one_email_and_a_thread_of_their_own(world: World, dana: Connection) -> None:
    """Nobody sees the others; each email begins a thread with its contact, into which the answer comes."""
    batch_id = await bulk(world, dana, crowd(5))
    await world.settle()

    assert left(world) == {contact.address: 1 for contact in crowd(5)}
    assert await counts(world, batch_id) == {"sent": 5}
    messages = await world.journal.in_batch(ACCOUNT, batch_id)
    assert [m.contact_ids for m in messages] == [(f"c-{i}",) for i in range(5)]
    assert len({m.thread_id for m in messages}) == 5
    copy = world.mail.sent_copy(messages[3].message_id)
    world.mail.arrives(dana.mailbox, "c3@world.example", "RE: News", answers=copy)
    await world.settle()
    told = (await world.feed())[-1].data["message"]
    assert (told["thread_id"], told["contact_ids"]) == (messages[3].thread_id, ["c-3"])  # type: ignore[index]


@pytest.mark.long
async def test_a_thousand_keep_to_thirty_a_minute(world: World, dana: Connection) -> None:
    """All are sent, in as many minutes as that takes and no more, and never more than thirty in any minute."""
    times = sending_times(world)
    began = world.clock()
    batch_id = await bulk(world, dana, crowd(1_000))
    await world.settle(HOURS)

    assert await counts(world, batch_id) == {"sent": 1_000}
    assert left(world) == {contact.address: 1 for contact in crowd(1_000)}
    assert len(times) == 1_000
    assert busiest_minute(times) <= 30
    assert max(times) - began < timedelta(minutes=45)
    assert (await world.told()).count("message.sent") == 1_000
    assert not [job for job, _ in world.work.promises.values() if isinstance(job, SendBatch)]


@pytest.mark.long
async def test_two_bulk_sends_share_the_pace_of_their_mailbox(world: World, dana: Connection) -> None:
    """And both come to their end."""
    times = sending_times(world)
    batches = [await bulk(world, dana, crowd(60), key=f"bulk-{n}") for n in (1, 2)]
    await world.settle(HOURS)

    assert [await counts(world, batch_id) for batch_id in batches] == [{"sent": 60}] * 2
    assert busiest_minute(times) <= 30


async def test_an_individual_email_does_not_wait_behind_a_bulk_send(world: World, dana: Connection) -> None:
    """It leaves at once, and the bulk send makes room for it."""
    await bulk(world, dana, crowd(100))
    await world.settle(timedelta(seconds=20))
    message = await world.accepted(dana)
    await world.settle(timedelta(seconds=5))
    assert world.mail.sent_copy(message.message_id)
    await world.settle(HOURS)
    assert sum(left(world).values()) == 101


async def test_what_waits_can_be_looked_up_before_its_turn(world: World, dana: Connection) -> None:
    """Message and thread, as they were told in the answer: in the row of the batch alone, and the same with their own."""
    batch_id = await bulk(world, dana, crowd(50))
    batch = await world.journal.batch(ACCOUNT, batch_id)
    assert batch is not None
    waiting = await world.batches.messages(batch)
    assert [m.status for m in waiting] == [Status.QUEUED] * 50
    shown, body = await world.show.message(ACCOUNT, waiting[49].message_id)
    assert (shown, body.html) == (waiting[49], "<p>Hi all</p>")
    thread, _, messages = await world.show.thread(ACCOUNT, waiting[49].thread_id)
    assert (thread.contacts[0].contact_id, len(messages)) == ("c-49", 1)
    await world.settle(HOURS)
    shown, _ = await world.show.message(ACCOUNT, waiting[49].message_id)
    assert (shown.status, shown.to, shown.thread_id) == (Status.SENT, waiting[49].to, waiting[49].thread_id)


async def test_nothing_beyond_a_batch_can_be_looked_up(world: World, dana: Connection) -> None:
    """Neither an index behind its end, nor anything of it in another account."""
    batch_id = await bulk(world, dana, crowd(3))
    first = "msg_" + batch_id.removeprefix("bat_")
    for account, message_id in ((ACCOUNT, f"{first}222d"), ("other", f"{first}2222"), (ACCOUNT, "msg_" + "a" * 24)):
        with pytest.raises(NotFound):
            await world.show.message(account, message_id)
        with pytest.raises(NotFound):
            await world.show.thread(account, message_id.replace("msg_", "thr_"))
    with pytest.raises(NotFound):
        await world.batches.batch("other", batch_id)


async def test_a_bad_recipient_fails_alone(world: World, dana: Connection) -> None:
    """An address that is none is told as failed from the start, one that Outlook refuses when it does; the others are sent."""
    refused = Declined("At least one recipient isn't valid.", code="ErrorInvalidRecipients", status=400)
    world.faults.fail("mail.send", refused)
    to = (*crowd(3), Contact("no address", "Nobody", "c-x"), *crowd(5)[3:])
    batch_id = await bulk(world, dana, to, unusable={3: "This is no email address."})
    await world.settle(HOURS)

    assert await counts(world, batch_id) == {"sent": 4, "failed": 2}
    failed = [m for m in await world.journal.in_batch(ACCOUNT, batch_id) if m.status is Status.FAILED]
    assert {(m.problem_code, m.to[0].address == "no address") for m in failed} == {
        ("invalid_address", True),
        ("ErrorInvalidRecipients", False),
    }
    assert Counter(await world.told())["message.failed"] == 2
    assert "no address" not in left(world)


@pytest.mark.long
async def test_the_same_bulk_send_again_gets_the_same_answer(world: World, dana: Connection) -> None:
    """At once, while it goes, and afterwards; and each recipient still gets one email."""
    asked = Outgoing("bulk", "u1", crowd(40), "News", "<p>Hi</p>", from_address=DANA)
    requests = [world.accept.accept(ACCOUNT, "key", asked, "hash") for _ in range(20)]
    answers = await asyncio.gather(*requests)
    await world.settle(timedelta(seconds=90))
    answers.append(await world.accept.accept(ACCOUNT, "key", asked, "hash"))
    await world.settle(HOURS)
    answers.append(await world.accept.accept(ACCOUNT, "key", asked, "hash"))
    await world.settle(HOURS)

    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0]["messages"]) == 40  # type: ignore[arg-type]
    assert left(world) == {contact.address: 1 for contact in crowd(40)}


@pytest.mark.long
@pytest.mark.parametrize("after", [timedelta(), timedelta(seconds=70)], ids=["at once", "on the way"])
async def test_a_delete_of_the_connection_fails_what_was_not_sent(
    world: World, dana: Connection, after: timedelta
) -> None:
    """Each email has its end and is told: sent before, or failed because the mailbox was disconnected."""
    batch_id = await bulk(world, dana, crowd(100))
    await world.settle(after)
    asked = world.faults.count("mail.send")
    await world.disconnect.delete(ACCOUNT, "u1")
    await world.settle(HOURS)

    assert world.faults.count("mail.send") == asked
    # Of what was on its way at that moment nobody was told whether it left.
    assert sum(left(world).values()) == asked
    ends = await counts(world, batch_id)
    assert ends["failed"] >= 100 - asked
    assert sum(ends.values()) == 100
    told = Counter(await world.told())
    assert (told["message.failed"], told["message.sent"]) == (ends["failed"], ends.get("sent", 0))
    failed = await world.journal.in_batch(ACCOUNT, batch_id)
    assert {m.problem_code for m in failed if m.status is Status.FAILED} == {"connection_disconnected"}


@pytest.mark.long
async def test_a_bulk_send_waits_for_the_user_to_sign_in_again(world: World, dana: Connection) -> None:
    """It stops where the sign-in was refused, and goes on from there."""
    batch_id = await bulk(world, dana, crowd(100))
    await world.settle(timedelta(seconds=30))
    world.people.revoke(DANA)
    await world.settle(HOURS)
    stopped = await counts(world, batch_id)
    assert stopped["queued"] > 0
    await world.connected(DANA)
    await world.settle(HOURS)

    assert await counts(world, batch_id) == {"sent": 100}
    assert left(world) == {contact.address: 1 for contact in crowd(100)}


@pytest.mark.long
async def test_a_user_who_never_signs_in_again_has_it_told_as_failed_after_a_day(
    world: World, dana: Connection
) -> None:
    """Nothing waits for ever."""
    batch_id = await bulk(world, dana, crowd(40))
    world.people.revoke(DANA)
    await world.settle(timedelta(hours=30))
    assert await counts(world, batch_id) == {"failed": 40}
    assert Counter(await world.told())["message.failed"] == 40


async def test_an_erase_ends_a_bulk_send_and_leaves_no_name(world: World, dana: Connection) -> None:
    """Nothing more is sent, nobody who was to get it can be found any more, and the same request still sends nothing."""
    asked = Outgoing("bulk", "u1", crowd(90), "Secret news", "<p>Hi</p>", from_address=DANA)
    answer = await world.accept.accept(ACCOUNT, "key", asked, "hash")
    await world.settle(timedelta(seconds=30))
    await world.erase.erase(ACCOUNT, "u1")
    before = sum(left(world).values())
    await world.settle(HOURS)

    again = await world.accept.accept(ACCOUNT, "key", asked, "hash")
    await world.settle(HOURS)
    assert [m["message_id"] for m in again["messages"]] == [m["message_id"] for m in answer["messages"]]  # type: ignore[attr-defined]
    assert "world.example" not in str(again)
    assert "world.example" not in str([vars(batch) for batch in world.journal._batches])
    assert "Secret" not in str([vars(batch) for batch in world.journal._batches])
    assert not [name for name in world.content.stored if dana.connection_id in name]
    assert sum(left(world).values()) == before


REFUSED = {
    "cc": ({"cc": (ADA,)}, "cc"),
    "bcc": ({"bcc": (ADA,)}, "bcc"),
    "an answer": ({"thread_id": "thr_1"}, "thread_id"),
    "nobody": ({"to": ()}, "to"),
    "too many": ({"to": crowd(1_001)}, "to"),
}


@pytest.mark.parametrize(("changes", "field"), REFUSED.values(), ids=REFUSED)
async def test_what_makes_no_sense_in_bulk_is_refused(
    world: World, dana: Connection, changes: dict[str, object], field: str
) -> None:
    """With the name of the field, and nothing is sent."""
    fields: dict[str, object] = {"kind": "bulk", "user_id": "u1", "to": crowd(2), "subject": "News", "text": "Hi"}
    with pytest.raises(InvalidRequest) as refused:
        await world.accept.accept(ACCOUNT, "key", Outgoing(**fields | changes), "hash")  # type: ignore[arg-type]
    assert [wrong["field"] for wrong in refused.value.extra["errors"]] == [field]  # type: ignore[attr-defined]
    assert world.work.promises.keys() <= {key for key in world.work.promises if "mail-" not in key}
