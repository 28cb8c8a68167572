"""The process dies at any one of its calls while a user is erased: all of it is erased in the end, or nothing was."""

from datetime import timedelta

import pytest

from sync.domain.connection import Connection
from sync.jobs import EraseUser
from tests.fakes.faults import Crash
from tests.unit.flows.conftest import DANA
from tests.unit.flows.each_crash import with_each_crash
from tests.unit.flows.erasing import BOB, OF_A_CONVERSATION, OF_MAIL, ErasingWorld
from tests.unit.flows.world import ACCOUNT, World

pytestmark = pytest.mark.long


async def with_a_conversation() -> tuple[ErasingWorld, Connection]:
    world = ErasingWorld()
    dana = await world.connected(DANA)
    await world.conversation(dana)
    return world, dana


async def test_a_call_that_died_is_made_good_by_the_same_call_again() -> None:
    """The CRM got no answer and asks again: it gets the counts of all there was, and nothing is left."""
    calls = 1000
    number = 1
    while number <= calls:
        for applied in (False, True):
            world, dana = await with_a_conversation()
            before = len(world.faults.calls)
            world.faults.crash_at(number, applied=applied)
            try:
                await world.erase.erase(ACCOUNT, "u1")
                calls = len(world.faults.calls) - before
            except Crash:
                pass
            world.faults.clear()
            connection = await world.erased()
            assert connection.connection_id == dana.connection_id
            assert (connection.erased, world.traces()) == (OF_A_CONVERSATION, []), f"call {number}"
            assert not world.work.promises, f"call {number}"
        number += 1
    assert number > 20


async def test_a_call_that_died_and_was_not_repeated_erased_all_or_nothing() -> None:
    """Until the connection is marked everything is whole; from then on it goes, also without another call."""
    ends = set()
    calls = 1000
    number = 1
    while number <= calls:
        for applied in (False, True):
            world, dana = await with_a_conversation()
            whole = await world.kept_of(dana)
            before = len(world.faults.calls)
            world.faults.crash_at(number, applied=applied)
            try:
                await world.erase.erase(ACCOUNT, "u1")
                calls = len(world.faults.calls) - before
            except Crash:
                pass
            world.faults.clear()
            await world.settle()
            connection = await world.connection()
            if connection.erased is None:
                kept = await world.kept_of(dana)
                messages = [shown for _, _, shown in kept.threads]
                assert (messages, kept.files) == ([shown for _, _, shown in whole.threads], whole.files)
                assert kept.anchors == whole.anchors, f"call {number}"
            else:
                assert (connection.erased, world.traces()) == (OF_A_CONVERSATION, []), f"call {number}"
            assert connection.live or not world.work.promises, f"call {number}"
            ends.add((connection.live, connection.erased is None))
        number += 1
    assert ends == {(True, True), (False, True), (False, False)}


async def test_a_removal_that_died_goes_on() -> None:
    """Of both mailboxes of a user, wherever the job dies."""

    async def story() -> World:
        world, _ = await with_a_conversation()
        await world.conversation(await world.connected(BOB), "key-2")
        world.impatient()
        await world.erase.erase(ACCOUNT, "u1")
        return world

    async def check(world: World) -> None:
        assert isinstance(world, ErasingWorld)
        assert world.traces() == []
        assert world.content.stored == {}
        assert not [job for job, _ in world.work.promises.values() if isinstance(job, EraseUser)]
        assert [event.sequence for event in await world.feed()] == list(range(1, 11))
        assert world.crm.heard[-1].type == "connection.disconnected"

    await with_each_crash(story, check)


async def test_a_new_connection_is_whole_wherever_the_removal_dies() -> None:
    """The user has connected again: of that nothing is removed, however often the job begins anew."""

    async def story() -> World:
        world, _ = await with_a_conversation()
        world.impatient()
        await world.erase.erase(ACCOUNT, "u1")
        world.put_off_erasures(timedelta(hours=12))
        again = await world.connected(DANA)
        await world.sent(again, key="key-2")
        await world.settle(timedelta(hours=9, minutes=50))
        return world

    async def check(world: World) -> None:
        assert isinstance(world, ErasingWorld)
        again = await world.connection()
        assert world.traces(OF_MAIL) == []
        kept = await world.kept_of(again)
        assert [(len(messages), live) for _, live, messages in kept.threads] == [(1, True)]
        assert [event.erased for event in kept.events] == [*[True] * 4, *[False] * 3]
        assert kept.anchors == 3

    await with_each_crash(story, check)
