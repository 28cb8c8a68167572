"""The process dies at any one of its calls in a bulk send; each recipient gets one email all the same (each_crash.py)."""

from datetime import timedelta

import pytest

from sync.domain.errors import Throttled, Unclear
from tests.unit.flows.bulk_world import bulk, counts, crowd, left
from tests.unit.flows.conftest import DANA, new_world
from tests.unit.flows.each_crash import Story, everything_was_heard, with_each_crash
from tests.unit.flows.world import ACCOUNT, World

pytestmark = pytest.mark.long

#: More than one turn of a batch, few enough to die at each call.
MANY = 4


async def a_bulk_send() -> World:
    world = new_world()
    world.pacing_of(3)
    await bulk(world, await world.connected(DANA), crowd(MANY), unusable={1: "This is no email address."})
    return world


async def a_bulk_send_in_trouble() -> World:
    world = await a_bulk_send()
    world.faults.fail("mail.send", Unclear(), applied=True)
    world.faults.fail("mail.create_draft", Throttled(retry_after=timedelta(seconds=9)))
    return world


@pytest.mark.parametrize("story", [a_bulk_send, a_bulk_send_in_trouble])
async def test_a_crash_never_loses_or_doubles_an_email_of_a_bulk_send(story: Story) -> None:
    """Each recipient one email and one outcome, and the batch comes to its end."""

    async def check(world: World) -> None:
        expected = {contact.address: 1 for i, contact in enumerate(crowd(MANY)) if i != 1}
        assert left(world) == expected
        (batch,) = list(world.journal._batches)
        assert await counts(world, batch.batch_id) == {"sent": MANY - 1, "failed": 1}
        assert sorted((await world.told())[1:]) == ["message.failed"] + ["message.sent"] * (MANY - 1)
        assert world.mail.drafts() == []
        await everything_was_heard(world)

    await with_each_crash(story, check)


async def test_a_crash_never_leaves_an_email_of_an_ended_mailbox_without_an_end() -> None:
    """The mailbox is disconnected: every email is told as failed, once."""

    async def story() -> World:
        world = await a_bulk_send()
        await world.disconnect.delete(ACCOUNT, "u1")
        return world

    async def check(world: World) -> None:
        assert world.mail.outgoing == []
        assert (await world.told())[2:] == ["message.failed"] * MANY
        await everything_was_heard(world)

    await with_each_crash(story, check)


async def test_an_accept_that_died_is_made_good_by_the_same_request_again() -> None:
    """As for one email: the CRM got no answer and asks again with its key, wherever the first request died."""
    calls = 100
    number = 1
    while number <= calls:
        for applied in (False, True):
            world = new_world()
            dana = await world.connected(DANA)
            before = len(world.faults.calls)
            world.faults.crash_at(number, applied=applied)
            if await world.survive(bulk(world, dana, crowd(3))):
                calls = len(world.faults.calls) - before
            world.faults.clear()
            await bulk(world, dana, crowd(3))
            await world.settle()
            assert left(world) == {contact.address: 1 for contact in crowd(3)}, f"call {number}"
        number += 1
    assert number > 5
