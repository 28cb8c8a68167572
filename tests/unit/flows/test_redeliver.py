"""All events since a sequence again: in pages, whatever became of them, each at least once more and none forgotten."""

from datetime import timedelta

import pytest

from sync.domain.event import Answer, Event, NewEvent
from sync.flows.deliver import tell
from sync.flows.redeliver import PAGE
from sync.jobs import RedeliverEvents
from tests.unit.flows.conftest import new_world
from tests.unit.flows.each_crash import with_each_crash
from tests.unit.flows.world import ACCOUNT, World


async def told(world: World, count: int, account_id: str = ACCOUNT) -> list[Event]:
    """So many new events."""
    last = await world.journal.last_sequence(account_id)
    news = [NewEvent(account_id, "message.sent", f"event {last + n}", world.clock(), {}) for n in range(count)]
    return [await tell(world.journal, world.work, new, world.clock()) for new in news]


@pytest.mark.long
@pytest.mark.parametrize("after", [0, 1, 149, PAGE, 250])
async def test_every_event_behind_a_sequence_is_pushed_once_more_in_order(world: World, after: int) -> None:
    """Over several pages, and no event that came afterwards twice."""
    await told(world, 251)
    await world.settle()
    world.crm.heard.clear()

    assert await world.redelivery.since(ACCOUNT, after) == 251
    await told(world, 3)
    await world.settle()

    heard = [event.sequence for event in world.crm.heard]
    assert sorted(heard) == list(range(after + 1, 255))
    assert [n for n in heard if n <= 251] == list(range(after + 1, 252))
    assert {event.attempt_count for event in await world.feed()} == {1}
    assert not world.work.promises


async def test_whatever_became_of_an_event(world: World) -> None:
    """Delivered, undelivered, or waiting for its next try: each is pushed at once, and its attempts stay on record."""
    await told(world, 1)
    await world.settle()
    world.crm.answers.extend([Answer(500, 0.2, text="oops")] * 10)
    await told(world, 1)
    await world.settle(timedelta(days=4))
    world.crm.answers.append(Answer(None, 15.0, error="ReadTimeout"))
    await told(world, 1)
    await world.settle(timedelta(seconds=1))
    assert [event.delivery for event in await world.feed()] == ["delivered", "undelivered", "pending"]

    await world.redelivery.since(ACCOUNT, 0)
    await world.settle(timedelta(seconds=2))

    feed = await world.feed()
    assert [event.delivery for event in feed] == ["delivered"] * 3
    assert [[a.status for a in event.attempts] for event in feed] == [[204, 204], [*[500] * 10, 204], [None, 204]]
    assert (feed[1].attempts[0].answer, feed[1].attempts[0].duration_s) == ("oops", 0.2)
    assert (feed[2].attempts[0].error, feed[1].reason, world.webhooks.listed) == ("ReadTimeout", "", {})


async def test_other_accounts_and_what_was_erased_stay_alone(world: World) -> None:
    """Nothing of another account is pushed; an erased event has nothing to tell."""
    await told(world, 2)
    await told(world, 2, "other")
    await world.settle()
    world.crm.heard.clear()
    await world.journal.append(NewEvent(ACCOUNT, "message.sent", "erased", world.clock(), {"erased": True}))
    await world.redelivery.since(ACCOUNT, 0)
    await world.settle()
    assert [(event.account_id, event.sequence) for event in world.crm.heard] == [(ACCOUNT, 1), (ACCOUNT, 2)]


@pytest.mark.parametrize("after", [2, 3, 9_999_999_999])
async def test_where_there_is_nothing_to_redeliver_nothing_is_done(world: World, after: int) -> None:
    """An account without events, or none that high."""
    assert await world.redelivery.since("nobody", 0) == 0
    await told(world, 2)
    await world.settle()
    assert await world.redelivery.since(ACCOUNT, after) == 2
    assert not world.work.messages


async def test_a_wake_up_that_comes_twice_redelivers_once(world: World) -> None:
    """What was taken since the redelivery was asked for is passed over; asked for anew, it goes out anew."""
    await told(world, 3)
    await world.settle()
    world.crm.heard.clear()
    await world.redelivery.since(ACCOUNT, 0)
    job = world.work.visible(RedeliverEvents.queue)[0]
    world.clock.advance(timedelta(seconds=1))
    await world.settle()
    await world.work_off(job)
    await world.settle()
    assert len(world.crm.heard) == 3
    await world.redelivery.since(ACCOUNT, 0)
    await world.settle()
    assert len(world.crm.heard) == 6


async def test_a_redelivery_that_is_being_delivered_is_not_lost(world: World) -> None:
    """An event changes hands while its page is worked on: it is read again, and pushed once more."""
    (event,) = await told(world, 1)
    await world.settle()
    await world.redelivery.since(ACCOUNT, 0)
    world.faults.meanwhile("journal.save_event", lambda: world.deliver.redeliver(ACCOUNT, event.event_id))
    await world.settle()
    assert [e.delivery for e in await world.feed()] == ["delivered"]
    assert not world.work.promises


async def test_a_crash_never_keeps_an_event_from_being_redelivered() -> None:
    """Wherever the process dies, each is heard once more at least, and nothing is promised in the end."""

    async def story() -> World:
        world = new_world()
        world.crm.answers.extend([Answer(500, 0.1)] * 2)
        await told(world, 3)
        await world.settle(timedelta(seconds=4))
        world.crm.heard.clear()
        await world.redelivery.since(ACCOUNT, 1)
        return world

    async def check(world: World) -> None:
        assert {event.sequence for event in world.crm.heard} >= {2, 3}
        assert {event.delivery for event in await world.feed()} == {"delivered"}
        assert not world.work.promises

    await with_each_crash(story, check)
