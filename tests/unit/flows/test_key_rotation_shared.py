"""
A new signing key where several users have connected one mailbox, and share what Graph tells of it; and where workers die.
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from sync.domain.connection import Connection, SyncState
from sync.domain.notification import key_name
from sync.jobs import WatchMailbox
from tests.unit.flows.conftest import DANA, new_world
from tests.unit.flows.each_crash import Story, everything_was_heard, with_each_crash
from tests.unit.flows.test_key_rotation import (
    HALF_LIFE,
    MOMENT,
    NEWER,
    NEWEST,
    after_each_call,
    all_held,
    copy_of_a_sent_email,
    held,
    never_without,
    open_ids,
    sign_with,
    synced,
)
from tests.unit.flows.world import ADA, SIGNING_KEY, World

pytestmark = pytest.mark.long


@pytest.fixture
async def colleague(world: World, dana: Connection) -> Connection:
    """Another user of Dana's mailbox."""
    return await world.connected(DANA, user_id="u2")


async def test_who_shares_a_mailbox_adopts_the_new_one(world: World, dana: Connection, colleague: Connection) -> None:
    """One subscription before and one after, each time the key changes; the mailbox is never without, and no mail is missed."""
    copies = {user: await copy_of_a_sent_email(world, user) for user in ("u1", "u2")}
    never_without(world)
    expected: list[str] = []
    for keys in ((NEWER, SIGNING_KEY), (NEWEST, NEWER)):
        sign_with(world, *keys)
        for user, copy in copies.items():
            world.mail.arrives(dana.mailbox, ADA.address, f"{len(expected)} for {user}", answers=copy)
            expected.append(f"{len(expected)} for {user}")
        await world.settle(HALF_LIFE + timedelta(hours=1))
        both = [await held(world), await held(world, "u2")]
        assert [one.made_with for one in both] == [key_name(keys[0])] * 2
        assert open_ids(world) == [both[0].subscription_id] == [both[1].subscription_id]
    assert await synced(world) == expected
    assert world.faults.count("subscriptions.replace") == 2


async def test_mail_that_comes_while_it_is_adopted_reaches_both(
    world: World, dana: Connection, colleague: Connection
) -> None:
    """Between two calls of either, in any thread: told by Graph or found by a look within minutes, once."""
    copies = {user: await copy_of_a_sent_email(world, user) for user in ("u1", "u2")}
    sign_with(world, NEWER, SIGNING_KEY)
    expected: list[str] = []
    world.clock.advance_to(max((await held(world)).renew_at, (await held(world, "u2")).renew_at))

    def answer(call: str) -> None:
        for user, copy in copies.items():
            expected.append(f"{len(expected):03} for {user} after {call}")
            world.mail.arrives(dana.mailbox, ADA.address, expected[-1], answers=copy)

    after_each_call(world, answer)
    await world.work_off(WatchMailbox(dana.connection_id))
    for message in [m for m in world.work.messages if isinstance(m.job, WatchMailbox)]:
        world.work.messages.remove(message)
        await world.work_off(message.job)
    del world.faults.at
    await world.settle(MOMENT)
    assert len(expected) > 20
    assert await synced(world) == expected


async def test_where_there_is_no_room_for_a_new_one_nobody_loses_theirs(
    world: World, dana: Connection, colleague: Connection
) -> None:
    """
    Each of two lives by one of their own: Graph has no third for the mailbox. Both live on until the first of them ends.

    So it comes where two workers open one at the same moment. What comes between that end and the new one is looked for.
    """
    theirs = await world.subscriptions.replace(
        dana, client_state="con.word", now=world.clock(), known=set(open_ids(world))
    )
    await world.connections.save(replace(await world.connection("u2"), subscription=theirs))
    before = set(open_ids(world))
    ends_at = min(world.subscriptions.open_ones[name].expires_at for name in before)
    sign_with(world, NEWER, SIGNING_KEY)
    await world.settle(ends_at - world.clock() - timedelta(hours=1))
    assert set(open_ids(world)) == before
    assert len(before) == 2

    await world.settle(timedelta(hours=2))
    both = [await held(world), await held(world, "u2")]
    assert [one.made_with for one in both] == [key_name(NEWER)] * 2
    await world.settle(HALF_LIFE)
    assert open_ids(world) == [both[0].subscription_id] == [both[1].subscription_id]
    assert [(await world.connection(user)).sync_state for user in ("u1", "u2")] == [SyncState.ACTIVE] * 2


# A worker dies.


async def of_one() -> World:
    """A mailbox of one user, whose renewal is due."""
    world = new_world()
    await world.connected(DANA)
    return await with_a_new_key(world)


async def of_two() -> World:
    """A mailbox of two users, whose renewals are due."""
    world = new_world()
    await world.connected(DANA)
    await world.connected(DANA, user_id="u2")
    return await with_a_new_key(world)


async def with_a_new_key(world: World) -> World:
    """The key has changed, an email is in Sent Items, and all is due that is due by half-life."""
    copy = await copy_of_a_sent_email(world)
    sign_with(world, NEWER, SIGNING_KEY)
    world.clock.advance_to(max(one.renew_at for one in all_held(world)))
    await world.work.queue(WatchMailbox((await world.connection()).connection_id))
    world.mail.arrives((await world.connection()).mailbox, ADA.address, "RE: Offer", answers=copy)
    return world


@pytest.mark.parametrize("story", [of_one, of_two])
async def test_a_crash_while_it_is_replaced_leaves_one_in_the_end(story: Story) -> None:
    """Wherever a worker dies: after the next renewals one is open, made with the new key, and everybody lives by it."""

    async def check(world: World) -> None:
        assert open_ids(world)
        world.clock.advance_to(max(one.renew_at for one in all_held(world)))
        for connection in world.connections._current:
            await world.work_off(WatchMailbox(connection.connection_id))
        await world.settle(MOMENT)
        (used,) = {one.subscription_id for one in all_held(world)}
        assert open_ids(world) == [used]
        assert {one.made_with for one in all_held(world)} == {key_name(NEWER)}
        assert await synced(world) == ["RE: Offer"]
        await everything_was_heard(world)

    await with_each_crash(story, check)
