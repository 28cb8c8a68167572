"""One account's slow receiver does not hold up the others: so many of its deliveries at a time, and the rest stay away."""

import asyncio
from datetime import timedelta

from sync.domain.event import Answer, Event, NewEvent
from sync.flows.deliver import tell
from sync.flows.turns import AT_ONCE, COME_BACK_AFTER, COME_BACK_WITHIN, Turns
from sync.jobs import DeliverEvent
from tests.fakes.crm import FakeCrm
from tests.fakes.faults import Faults
from tests.unit.flows.world import ACCOUNT, World

#: What the host works on at the same time (host.json: batchSize and newBatchThreshold).
PLACES = 24


class HangingCrm(FakeCrm):
    """A receiver that does not answer for one account until it is let go."""

    def __init__(self, account_id: str) -> None:
        super().__init__(Faults())
        self.let_go = asyncio.Event()
        self.all_hang = asyncio.Event()
        self.heard_another = asyncio.Event()
        self.hanging = 0
        self.most_hanging = 0
        self._account_id = account_id

    async def deliver(self, event: Event) -> Answer:
        """Push an event once."""
        if event.account_id == self._account_id:
            self.hanging += 1
            self.most_hanging = max(self.hanging, self.most_hanging)
            if self.hanging == AT_ONCE:
                self.all_hang.set()
            await self.let_go.wait()
            self.hanging -= 1
        else:
            self.heard_another.set()
        return await super().deliver(event)


def test_turns_are_counted_by_account() -> None:
    """So many for each; one that is given back is the next one's."""
    turns = Turns(2)
    assert [turns.take("a") for _ in range(2)] == [timedelta()] * 2
    assert turns.take("a") == COME_BACK_AFTER
    assert turns.take("b") == timedelta()
    turns.give_back("a")
    assert turns.take("a") == timedelta()
    assert turns.take("a") == COME_BACK_AFTER


def test_the_more_stay_away_the_longer_within_reason() -> None:
    """A hundred that wait do not ask every second, and none is away for more than half a minute."""
    turns = Turns(4)
    for _ in range(4):
        turns.take("a")
    waits = [turns.take("a") for _ in range(300)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (COME_BACK_AFTER, COME_BACK_WITHIN)
    for _ in range(4):
        turns.give_back("a")
    assert turns.take("a") == timedelta()
    assert turns.take("b") == timedelta()


async def test_while_one_account_hangs_another_is_delivered_at_once(world: World) -> None:
    """A hundred events wait, each push hangs: the host has places left, and the other account's event goes out."""
    crm = HangingCrm("slow")
    object.__setattr__(world.deliver, "crm", crm)
    slow = [await told(world, "slow", number) for number in range(100)]
    quick = await told(world, ACCOUNT, 0)

    places = asyncio.Semaphore(PLACES)

    async def worker(event: Event) -> None:
        async with places:
            await world.work_off(DeliverEvent(event.account_id, event.event_id))

    world.work.messages.clear()
    async with asyncio.timeout(60), asyncio.TaskGroup() as host:  # it would wait without end
        for event in [*slow, quick]:
            host.create_task(worker(event))
        await crm.heard_another.wait()
        assert crm.hanging == AT_ONCE
        crm.let_go.set()

    assert len(world.work.messages) == 100 - AT_ONCE, "the others come back"
    await world.settle()
    assert {event.event_id for event in crm.heard} == {event.event_id for event in [*slow, quick]}
    assert crm.most_hanging == AT_ONCE
    assert not world.work.promises


async def test_what_waits_for_its_turn_is_not_lost_and_not_doubled(world: World) -> None:
    """Its promise moves along: the sweep leaves it alone while its wake-up is there, and mends a wake-up that was lost."""
    crm = HangingCrm("slow")
    object.__setattr__(world.deliver, "crm", crm)
    events = [await told(world, "slow", number) for number in range(AT_ONCE + 1)]
    world.work.messages.clear()
    async with asyncio.TaskGroup() as host:
        for event in events[:AT_ONCE]:
            host.create_task(world.work_off(DeliverEvent(event.account_id, event.event_id)))
        await crm.all_hang.wait()
        await world.work_off(DeliverEvent("slow", events[-1].event_id))
        world.clock.advance(timedelta(seconds=100))
        assert [job for job, due_at in world.work.promises.values() if due_at <= world.clock()] == []
        crm.let_go.set()
    world.work.messages.clear()
    await world.settle()
    assert len(crm.heard) == AT_ONCE + 1
    assert not world.work.promises


async def test_a_push_that_fails_gives_its_turn_back(world: World) -> None:
    """Also where storage fails under it."""
    world.faults.fail("journal.event", OSError("storage is away"), times=AT_ONCE)
    events = [await told(world, ACCOUNT, number) for number in range(AT_ONCE)]
    for event in events:
        try:
            await world.work_off(DeliverEvent(ACCOUNT, event.event_id))
        except OSError:
            continue
    assert world.deliver.turns.take(ACCOUNT) == timedelta()


async def told(world: World, account_id: str, number: int) -> Event:
    """A new event."""
    new = NewEvent(account_id, "message.sent", f"event {number}", world.clock(), {})
    return await tell(world.journal, world.work, new, world.clock())
