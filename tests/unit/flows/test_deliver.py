"""Telling the CRM: each event is pushed until it was taken or the schedule has ended, and the sweep mends lost wake-ups."""

import contextlib
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from sync.domain.connection import Connection
from sync.domain.errors import NotFound
from sync.domain.event import Answer, Event, NewEvent
from sync.domain.retry import DELIVERY_DELAYS
from sync.flows.deliver import tell
from sync.flows.sweep import GRACE
from sync.jobs import DeliverEvent, MailChange
from tests.fakes.faults import Crash
from tests.unit.flows.world import ACCOUNT, World

ANSWERS = {
    "server error": Answer(500, 0.1, text="oops"),
    "not found": Answer(404, 0.1),
    "redirect": Answer(307, 0.1),
    "no answer": Answer(None, 15.0, error="ReadTimeout"),
}


@pytest.fixture
async def event(world: World) -> Event:
    """An event that was just told."""
    new = NewEvent(ACCOUNT, "connection.connected", "once", world.clock(), {"connection": {}})
    return await tell(world.journal, world.work, new, world.clock())


async def stored(world: World, event: Event) -> Event:
    found = await world.journal.event(ACCOUNT, event.event_id)
    assert found is not None
    return found


async def test_an_event_is_delivered_once_and_its_attempt_kept(world: World, event: Event) -> None:
    """The CRM takes it: one push, one attempt on record, nothing left to do; a late wake-up pushes nothing."""
    await world.settle()
    await world.work_off(DeliverEvent(ACCOUNT, event.event_id))
    assert [heard.event_id for heard in world.crm.heard] == [event.event_id]
    told = await stored(world, event)
    assert (told.delivery, [a.status for a in told.attempts]) == ("delivered", [204])
    assert not world.work.promises


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_a_crm_that_never_takes_it_is_tried_by_the_schedule_and_then_left(
    world: World, event: Event, answer: Answer
) -> None:
    """Ten tries, at the times of Standard Webhooks; then `undelivered`, with all attempts on record."""
    world.crm.answers.extend([answer] * 20)
    began = world.clock()
    await world.settle(timedelta(days=10))

    told = await stored(world, event)
    expected: list[datetime] = [began]
    for delay in DELIVERY_DELAYS:
        expected.append(expected[-1] + delay)
    assert [attempt.at for attempt in told.attempts] == expected
    assert (told.delivery, told.due_at, told.reason) == ("undelivered", None, "10 tries failed")
    assert list(world.webhooks.listed) == [(ACCOUNT, told.sequence)]
    assert {(a.status, a.error, a.answer) for a in told.attempts} == {(answer.status, answer.error, answer.text)}
    assert not world.work.promises


async def test_410_ends_the_deliveries_of_an_event_at_once(world: World, event: Event) -> None:
    """The receiver said that nobody is there any more."""
    world.crm.answers.extend([Answer(410, 0.1)] * 3)
    await world.settle(timedelta(days=10))
    told = await stored(world, event)
    assert (told.delivery, len(told.attempts)) == ("undelivered", 1)
    assert told.reason == "the receiver answered 410 Gone"


@pytest.mark.parametrize(
    ("asked", "waited"), [(timedelta(hours=1), timedelta(hours=1)), (timedelta(seconds=1), DELIVERY_DELAYS[0])]
)
async def test_retry_after_puts_a_try_off_and_never_brings_one_forward(
    world: World, event: Event, asked: timedelta, waited: timedelta
) -> None:
    """What the CRM asks for counts where it is later than the schedule."""
    world.crm.answers.append(Answer(503, 0.1, retry_after=asked))
    await world.settle(timedelta(hours=2))
    first, second = (await stored(world, event)).attempts
    assert second.at - first.at == waited
    assert second.status == 204


async def test_an_early_wake_up_does_not_bring_a_try_forward(world: World, event: Event) -> None:
    """Doubled queue messages do not speed the schedule up."""
    world.crm.answers.extend([Answer(500, 0.1)] * 2)
    await world.settle(timedelta(seconds=10))
    assert len((await stored(world, event)).attempts) == 2
    for _ in range(5):
        await world.work_off(DeliverEvent(ACCOUNT, event.event_id))
    assert len((await stored(world, event)).attempts) == 2
    await world.settle()
    assert len((await stored(world, event)).attempts) == 3


@pytest.mark.parametrize("before", ["delivered", "undelivered"])
async def test_an_event_can_be_delivered_again(world: World, event: Event, before: str) -> None:
    """Whatever became of it: the same id once more, a schedule from the start, older attempts kept."""
    if before == "undelivered":
        world.crm.answers.extend([Answer(404, 0.1)] * 10)
    await world.settle(timedelta(days=4))
    assert (await stored(world, event)).delivery == before
    world.crm.answers.append(Answer(500, 0.1))
    await world.deliver.redeliver(ACCOUNT, event.event_id)
    await world.settle()

    told = await stored(world, event)
    assert told.delivery == "delivered"
    assert [a.status for a in told.attempts] == [*([204] if before == "delivered" else [404] * 10), 500, 204]
    assert (told.reason, world.webhooks.listed) == ("", {})
    assert {heard.event_id for heard in world.crm.heard} == {event.event_id}


async def test_a_redelivery_that_died_is_made_good(world: World, event: Event) -> None:
    """Wherever the process dies: the event is delivered again, or it is as it was, and it is never left without a wake-up."""
    await world.settle()
    for number in range(1, 6):
        for applied in (False, True):
            world.faults.crash_at(number, applied=applied)
            with contextlib.suppress(Crash):
                await world.deliver.redeliver(ACCOUNT, event.event_id)
            world.faults.clear()
            await world.settle()
            assert (await stored(world, event)).delivery == "delivered", f"call {number}"
            assert not world.work.promises


async def test_a_delivery_that_is_noted_too_late_leaves_the_wake_up_of_a_redelivery(world: World, event: Event) -> None:
    """Somebody asks for the event again while it is pushed: what that push says is not the end of it."""
    world.faults.meanwhile("crm.deliver", lambda: world.deliver.redeliver(ACCOUNT, event.event_id))
    await world.work_off(DeliverEvent(ACCOUNT, event.event_id))
    assert (await stored(world, event)).delivery == "pending"
    assert [job for job, _ in world.work.promises.values()] == [DeliverEvent(ACCOUNT, event.event_id)]
    await world.settle()
    assert (await stored(world, event)).delivery == "delivered"


async def test_another_accounts_event_can_not_be_delivered_again(world: World, event: Event) -> None:
    """Nor one that never was."""
    for account_id, event_id in (("other", event.event_id), (ACCOUNT, "evt_none")):
        with pytest.raises(NotFound):
            await world.deliver.redeliver(account_id, event_id)


async def test_telling_again_tells_nothing_new(world: World, event: Event) -> None:
    """Work that is done twice meets the event of the first time, even after it was delivered."""
    await world.settle()
    new = NewEvent(ACCOUNT, "connection.connected", "once", world.clock(), {"connection": {"other": 1}})
    again = await tell(world.journal, world.work, new, world.clock())
    assert again.event_id == event.event_id
    assert await world.told() == ["connection.connected"]
    assert not world.work.promises


async def test_a_lost_wake_up_is_mended_by_the_sweep(world: World, event: Event) -> None:
    """The promise outlives the queue message."""
    world.work.messages.clear()
    await world.settle()
    assert (await stored(world, event)).delivery == "delivered"


async def test_the_sweep_queues_what_is_overdue_and_nothing_else(world: World, dana: Connection) -> None:
    """Each overdue promise once in its time of grace; what is not due, or was never promised, stays alone."""
    world.work.promises.clear()
    overdue, later = DeliverEvent(ACCOUNT, "evt_1"), DeliverEvent(ACCOUNT, "evt_2")
    await world.work.postpone(overdue, world.clock())
    await world.work.postpone(later, world.clock() + timedelta(minutes=5))
    await world.work.queue(MailChange(dana.connection_id, "x"), timedelta(hours=1))

    assert await world.sweep.sweep() == 1
    assert await world.sweep.sweep() == 0
    assert world.work.visible(DeliverEvent.queue) == [overdue]
    world.clock.advance(GRACE)
    assert await world.sweep.sweep() == 2


async def test_a_part_of_the_promises_that_can_not_be_read_stops_no_other(world: World) -> None:
    """What is due elsewhere is queued all the same; that a part failed is told, and the next sweep has what it holds."""
    world.work.promises.clear()
    world.work.parts = 4
    jobs = [DeliverEvent(ACCOUNT, f"evt_{number}") for number in range(20)]
    for job in jobs:
        await world.work.postpone(job, world.clock())
    assert {world.work.part_of(job) for job in jobs} == {0, 1, 2, 3}

    world.faults.fail("work.overdue", TimeoutError("storage"), skip=1)
    with pytest.raises(TimeoutError):
        await world.sweep.sweep()
    queued = [job for job in world.work.visible(DeliverEvent.queue) if isinstance(job, DeliverEvent)]
    assert sorted(job.event_id for job in queued) == sorted(j.event_id for j in jobs if world.work.part_of(j) != 1)

    assert await world.sweep.sweep() == len(jobs) - len(queued)
    assert len(world.work.visible(DeliverEvent.queue)) == len(jobs)


async def test_a_second_workers_late_record_does_not_undo_the_first(world: World, event: Event) -> None:
    """Two workers pushed it, the slower one failed: it stays delivered."""

    async def other_worker_delivers() -> None:
        current = await stored(world, event)
        await world.journal.save_event(replace(current, delivery="delivered"))

    world.crm.answers.append(Answer(500, 0.1))
    world.faults.meanwhile("crm.deliver", other_worker_delivers)
    await world.settle(timedelta(days=10))
    assert (await stored(world, event)).delivery == "delivered"
    assert not world.work.promises
