"""Scheduled emails: not a moment early, not lost, and as any other email when their time has come."""

from datetime import timedelta

import pytest

from sync.domain.connection import Connection
from sync.domain.errors import InvalidRequest
from sync.domain.message import Status
from sync.domain.outgoing import MAX_AHEAD
from tests.unit.flows.bulk_world import bulk, counts, crowd, left
from tests.unit.flows.conftest import DANA, new_world
from tests.unit.flows.each_crash import everything_was_heard, with_each_crash
from tests.unit.flows.world import ACCOUNT, World

SOON = timedelta(minutes=10)


@pytest.mark.long
@pytest.mark.parametrize("ahead", [SOON, timedelta(days=10), MAX_AHEAD], ids=str)
async def test_an_email_leaves_at_its_time(world: World, dana: Connection, ahead: timedelta) -> None:
    """Also behind the seven days for which a queue can hide a message; until then it is queued, with its time shown."""
    at = world.clock() + ahead
    message = await world.accepted(dana, send_at=at)
    await world.settle(ahead - timedelta(seconds=1))
    assert world.mail.outgoing == []
    waiting = await world.message(message.message_id)
    assert (waiting.status, waiting.send_at) == (Status.QUEUED, at)
    world.clock.advance_to(at - timedelta(seconds=1))
    await world.settle(timedelta(minutes=1))
    (left_at,) = [item.seen.sent_at for item in world.mail.outgoing]
    assert left_at is not None
    assert timedelta() <= left_at - at < timedelta(seconds=5)
    assert (await world.told())[1:] == ["message.sent"]


async def test_a_lost_wake_up_is_made_good(world: World, dana: Connection) -> None:
    """The queue forgot it; the promise did not."""
    await world.accepted(dana, send_at=world.clock() + SOON)
    world.work.messages.clear()
    await world.settle(timedelta(hours=1))
    assert len(world.mail.outgoing) == 1


async def test_a_repeated_request_neither_hastens_nor_doubles_it(world: World, dana: Connection) -> None:
    """The same answer, the same time, one email."""
    at = world.clock() + SOON
    first = await world.accepted(dana, send_at=at)
    await world.settle(SOON / 2)
    assert await world.accepted(dana, send_at=at) == first
    await world.settle(SOON / 2 - timedelta(seconds=1))
    assert world.mail.outgoing == []
    await world.settle()
    assert len(world.mail.outgoing) == 1


async def test_a_scheduled_bulk_send_begins_at_its_time(world: World, dana: Connection) -> None:
    """None of it earlier, all of it after."""
    batch_id = await bulk(world, dana, crowd(20), send_at=world.clock() + timedelta(days=9))
    await world.settle(timedelta(days=9) - timedelta(seconds=1))
    assert await counts(world, batch_id) == {"queued": 20}
    await world.settle()
    assert sum(left(world).values()) == 20


async def test_what_waited_for_its_time_has_a_whole_day_to_be_sent(world: World, dana: Connection) -> None:
    """It is given up a day after its time, not a day after it was accepted."""
    world.people.revoke(DANA)
    await world.settle(timedelta(days=1))
    dana = await world.connected(DANA)
    await world.accepted(dana, send_at=world.clock() + timedelta(days=5))
    await world.settle(timedelta(days=5) - timedelta(minutes=1))
    world.people.revoke(DANA)
    await world.settle(timedelta(hours=20))
    assert "message.failed" not in await world.told()
    await world.connected(DANA)
    await world.settle(timedelta(hours=1))
    assert len(world.mail.outgoing) == 1


@pytest.mark.parametrize("ahead", [MAX_AHEAD + timedelta(seconds=1), -timedelta(minutes=6)], ids=["too far", "past"])
async def test_a_time_that_can_not_be_kept_is_refused(world: World, dana: Connection, ahead: timedelta) -> None:
    """More than thirty days ahead, or gone by."""
    with pytest.raises(InvalidRequest) as refused:
        await world.accepted(dana, send_at=world.clock() + ahead)
    assert [wrong["field"] for wrong in refused.value.extra["errors"]] == ["send_at"]  # type: ignore[attr-defined]


async def test_a_time_that_has_just_passed_means_at_once(world: World, dana: Connection) -> None:
    """A request that was on its way for a minute is not refused."""
    message = await world.accepted(dana, send_at=world.clock() - timedelta(minutes=1))
    assert message.send_at is None
    await world.settle(timedelta(seconds=5))
    assert len(world.mail.outgoing) == 1


async def test_a_delete_before_its_time_is_told_at_its_time(world: World, dana: Connection) -> None:
    """It is not sent, and the CRM hears why."""
    await world.accepted(dana, send_at=world.clock() + SOON)
    await world.disconnect.delete(ACCOUNT, "u1")
    await world.settle(timedelta(hours=1))
    assert world.mail.outgoing == []
    assert (await world.told())[-1] == "message.failed"


@pytest.mark.long
async def test_a_crash_never_loses_or_doubles_a_scheduled_email() -> None:
    """Wherever the process dies, before its time or at it."""

    async def story() -> World:
        world = new_world()
        dana = await world.connected(DANA)
        await world.accepted(dana, send_at=world.clock() + timedelta(minutes=5))
        return world

    async def check(world: World) -> None:
        assert len(world.mail.outgoing) == 1
        assert (await world.told())[1:] == ["message.sent"]
        await everything_was_heard(world)

    await with_each_crash(story, check)
