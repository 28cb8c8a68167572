"""The process dies at one of its calls: a run for each call, and for each moment, before and after its effect."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from tests.unit.flows.world import World

#: Makes the world in which the story happens, and tells it up to where it goes on by itself.
Story = Callable[[], Awaitable[World]]


#: Longer than it takes until what was lost in a crash is swept, twice.
UNTIL_SWEPT = timedelta(minutes=45)


async def with_each_crash(story: Story, check: Callable[[World], Awaitable[object]]) -> None:
    """Play the story once without a crash, then once for each call and moment, and check each end."""
    world = await story()
    calls_before = len(world.faults.calls)
    await world.settle(UNTIL_SWEPT)
    calls = world.faults.calls[calls_before:]
    await check(world)
    assert len(calls) > 5, "the story is over before it began"
    for number, call in enumerate(calls, start=1):
        for applied in (False, True):
            world = await story()
            world.faults.crash_at(number, applied=applied)
            await world.settle(UNTIL_SWEPT)
            try:
                await check(world)
            except AssertionError as error:
                moment = "after" if applied else "before"
                raise AssertionError(f"died {moment} call {number}, {call}: {error}") from error


async def everything_was_heard(world: World) -> None:
    """
    The CRM heard each event of the feed (one that was under way perhaps twice, with one id), and nothing is promised but
    what comes back for ever.
    """
    assert {event.event_id for event in world.crm.heard} == {event.event_id for event in await world.feed()}
    assert {type(job).__name__ for job, _ in world.work.promises.values()} <= {"WatchMailbox", "CatchUp"}
