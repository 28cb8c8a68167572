"""
The process dies at any one of its calls, before or after the effect: the stories that the other crash tests do not tell
(each_crash.py). Those are a send and its answer, a reply, a sign-in that is refused, completing, deleting (test_crashes), bulk
sends, bounces, erasing, and the replacing of a shared subscription (test_*_crashes, test_watch, test_key_rotation_shared).
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from sync.domain.connection import Connection, State
from sync.domain.errors import Unclear
from sync.domain.event import Answer
from sync.flows.catch_up import EVERY
from sync.jobs import CatchUp, WatchMailbox
from tests.unit.flows.conftest import DANA, new_world
from tests.unit.flows.each_crash import Story, everything_was_heard, with_each_crash
from tests.unit.flows.world import ACCOUNT, ADA, World

pytestmark = pytest.mark.long

#: Replies, more than a page of two holds.
MANY = 4
NEW_KEY = b"n" * 32


async def connected() -> tuple[World, Connection]:
    world = new_world()
    dana = await world.connected(DANA)
    return world, dana


async def a_crm_that_refuses_twice() -> World:
    world, dana = await connected()
    world.crm.answers.extend([Answer(500, 0.1), Answer(None, 15.0, "timed out")])
    await world.accepted(dana)
    return world


async def a_crm_that_asks_to_wait() -> World:
    world, dana = await connected()
    world.crm.answers.append(Answer(429, 0.1, retry_after=timedelta(minutes=10)))
    await world.accepted(dana)
    return world


@pytest.mark.parametrize("story", [a_crm_that_refuses_twice, a_crm_that_asks_to_wait])
async def test_a_crash_never_loses_a_delivery_that_has_to_be_tried_again(story: Story) -> None:
    """Two events, both delivered in the end, each attempt on record."""

    async def check(world: World) -> None:
        feed = await world.feed()
        assert [event.type for event in feed] == ["connection.connected", "message.sent"]
        assert [(event.sequence, event.delivery) for event in feed] == [(1, "delivered"), (2, "delivered")]
        assert feed[1].attempts[-1].status == 204
        await everything_was_heard(world)

    await with_each_crash(story, check)


async def test_a_crash_never_brings_back_what_a_receiver_gave_up() -> None:
    """The receiver answers 410, which switches deliveries off: the event is undelivered, says why, and stays so."""

    async def story() -> World:
        world, dana = await connected()
        world.crm.answers.extend([Answer(410, 0.1)] * 3)
        await world.accepted(dana)
        return world

    async def check(world: World) -> None:
        (told,) = [event for event in await world.feed() if event.type == "message.sent"]
        assert told.delivery == "undelivered"
        # Where the process died once they were off, it was not pushed again.
        assert {attempt.status for attempt in told.attempts} <= {410}
        assert "410" in told.reason or "switched off" in told.reason

    await with_each_crash(story, check)


async def a_renewal() -> World:
    world, dana = await connected()
    assert dana.subscription is not None
    world.clock.advance_to(dana.subscription.renew_at)
    await world.work.queue(WatchMailbox(dana.connection_id))
    return world


async def a_replacement_after_the_key_was_rotated() -> World:
    world = await a_renewal()
    world.watch = replace(world.watch, signing_key=NEW_KEY)
    return world


async def a_subscription_that_has_lapsed() -> World:
    world, dana = await connected()
    assert dana.subscription is not None
    world.clock.advance_to(dana.subscription.expires_at + timedelta(hours=1))
    await world.work.queue(WatchMailbox(dana.connection_id))
    return world


async def lifecycle(event: str) -> World:
    world, dana = await connected()
    if event == "subscriptionRemoved":
        world.subscriptions.open_ones.clear()
    await world.work.queue(WatchMailbox(dana.connection_id, event))
    return world


async def a_missed_notification() -> World:
    return await lifecycle("missed")


async def a_removed_subscription() -> World:
    return await lifecycle("subscriptionRemoved")


async def a_request_for_authorization() -> World:
    return await lifecycle("reauthorizationRequired")


@pytest.mark.parametrize(
    "story",
    [
        a_renewal,
        a_replacement_after_the_key_was_rotated,
        a_subscription_that_has_lapsed,
        a_missed_notification,
        a_removed_subscription,
        a_request_for_authorization,
    ],
)
async def test_a_crash_never_leaves_a_mailbox_without_its_subscription(story: Story) -> None:
    """The connection knows a subscription that is open and will be renewed, looks go on, and nothing is told twice."""

    async def check(world: World) -> None:
        dana = await world.connection()
        assert dana.state is State.CONNECTED
        assert dana.subscription is not None
        assert dana.subscription.subscription_id in world.subscriptions.open_ones
        assert world.subscriptions.open_ones[dana.subscription.subscription_id].expires_at > world.clock()
        assert dana.gap_since is None, "the gap was not looked through"
        assert await world.told() == ["connection.connected"]
        promised = {WatchMailbox(dana.connection_id).key, CatchUp(dana.connection_id).key}
        assert promised <= world.work.promises.keys()
        await everything_was_heard(world)

    await with_each_crash(story, check)


async def test_a_crash_never_loses_what_several_pages_of_a_look_hold() -> None:
    """Four replies that nobody told of, two messages to a page: each told once, and the mark passes them at the end."""

    async def story() -> World:
        world, dana = await connected()
        copy = world.mail.sent_copy((await world.sent(dana)).message_id)
        tell, world.mail.on_change = world.mail.on_change, lambda identity, graph_id, change: None
        for _ in range(MANY):
            world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
            world.mail.arrives(dana.mailbox, ADA.address, "Hello")
            world.clock.advance(timedelta(seconds=1))
        world.mail.on_change = tell
        await world.work.queue(CatchUp(dana.connection_id, page_size=2))
        return world

    async def check(world: World) -> None:
        assert (await world.told())[2:] == ["message.synced"] * MANY
        dana = await world.connection()
        assert dana.synced_through is not None
        assert dana.synced_through > world.clock() - EVERY - timedelta(minutes=5)
        assert [event.sequence for event in await world.feed()] == list(range(1, MANY + 3))
        await everything_was_heard(world)

    await with_each_crash(story, check)


async def test_a_crash_never_leaves_a_deleted_connection_open_at_graph() -> None:
    """Graph did not answer as the CRM deleted the connection: the queue closes it, wherever that dies."""

    async def story() -> World:
        world, _ = await connected()
        world.faults.fail("subscriptions.ours", Unclear(), times=2)
        await world.disconnect.delete(ACCOUNT, "u1")
        return world

    async def check(world: World) -> None:
        assert not world.tokens.stored
        assert not world.subscriptions.open_ones
        assert await world.told() == ["connection.connected", "connection.disconnected"]

    await with_each_crash(story, check)
