"""The process dies at any one of its calls while a report is taken: still exactly one `message.bounced`, after `message.sent`."""

from datetime import timedelta

import pytest

from sync.domain.message import Status
from sync.jobs import CatchUp
from tests.unit.flows.conftest import DANA, new_world
from tests.unit.flows.each_crash import Story, everything_was_heard, with_each_crash
from tests.unit.flows.world import ADA, World

pytestmark = pytest.mark.long


async def a_report() -> World:
    world = new_world()
    dana = await world.connected(DANA)
    sent = await world.sent(dana)
    world.mail.reported(dana.mailbox, world.mail.sent_copy(sent.message_id), [ADA.address])
    return world


async def a_report_found_by_catch_up() -> World:
    world = await a_report()
    for message in [m for m in world.work.messages if m.job.queue == "mail-changes"]:
        world.work.messages.remove(message)
    await world.work.queue(CatchUp((await world.connection()).connection_id))
    return world


async def a_report_before_the_copy_in_sent_items() -> World:
    world = new_world()
    world.mail.sent_copy_delay = timedelta(seconds=30)
    dana = await world.connected(DANA)
    await world.accepted(dana)
    await world.settle(timedelta(seconds=5))
    world.mail.reported(dana.mailbox, world.mail.drafts()[0].seen, [ADA.address])
    return world


@pytest.mark.parametrize("story", [a_report, a_report_found_by_catch_up, a_report_before_the_copy_in_sent_items])
async def test_a_crash_never_loses_or_doubles_a_bounce(story: Story) -> None:
    """Sent once, bounced once, in this order, and both heard, wherever the process dies."""

    async def check(world: World) -> None:
        assert (await world.told())[1:] == ["message.sent", "message.bounced"]
        (left,) = world.mail.outgoing
        message = await world.message(left.seen.stamp)
        assert message.status is Status.BOUNCED
        assert [bounce.address for bounce in message.bounces] == [ADA.address]
        await everything_was_heard(world)

    await with_each_crash(story, check)


async def test_a_crash_never_loses_one_of_two_bounces() -> None:
    """Two reports about two recipients: two events, and the message knows both."""

    async def story() -> World:
        world = await a_report()
        dana = await world.connection()
        copy = next(iter(world.mail.outgoing)).seen
        world.mail.reported(dana.mailbox, copy, ["bob@world.example"])
        return world

    async def check(world: World) -> None:
        assert (await world.told())[1:] == ["message.sent", "message.bounced", "message.bounced"]
        (left,) = world.mail.outgoing
        assert len((await world.message(left.seen.stamp)).bounces) == 2
        await everything_was_heard(world)

    await with_each_crash(story, check)
