"""Catching up after a gap: at once when one is known, not at all where the mailbox may not be read, and whole after a crash."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from sync.domain import connection as connection_rule
from sync.domain.connection import Connection, State, SyncState
from sync.domain.errors import Unclear
from sync.flows.catch_up import EVERY, SETTLING
from sync.jobs import MAILBOX_CATCH_UP, CatchUp, WatchMailbox
from tests.unit.flows.conftest import DANA, new_world
from tests.unit.flows.each_crash import everything_was_heard, with_each_crash
from tests.unit.flows.test_catch_up import SECOND, SOON, be_deaf, synced
from tests.unit.flows.world import ACCOUNT, ADA, World

BOB = "bob@crm.example"

#: Lets Graph be silent for a while and the app find out, up to the moment when it has watched the mailbox again.
Gap = Callable[[World, Connection], Awaitable[None]]


async def deaf_with_an_answer(world: World, dana: Connection) -> None:
    """Dana has sent an email from the CRM, and Graph does not tell of Ada's answer."""
    sent = await world.sent(dana)
    be_deaf(world)
    copy = world.mail.sent_copy(sent.message_id)
    world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)


async def graph_says_that_it_missed_some(world: World, dana: Connection) -> None:
    await world.work_off(WatchMailbox(dana.connection_id, "missed"))


async def graph_removes_the_subscription(world: World, dana: Connection) -> None:
    world.subscriptions.open_ones.clear()
    await world.work_off(WatchMailbox(dana.connection_id, "subscriptionRemoved"))


async def the_subscription_lapses(world: World, dana: Connection) -> None:
    """The app was down for longer than a subscription lives."""
    subscription = (await world.connection()).subscription
    assert subscription is not None
    world.clock.advance_to(subscription.expires_at + timedelta(days=2))
    await world.work_off(WatchMailbox(dana.connection_id))


async def the_user_signs_in_again_days_later(world: World, dana: Connection) -> None:
    world.people.revoke(DANA)
    await world.settle(EVERY)
    assert (await world.connection()).state is State.NEEDS_RECONNECT
    world.clock.advance(timedelta(days=3))
    await world.connect.complete(ACCOUNT, "u1", await world.completion_code(DANA))
    await world.work_off(WatchMailbox(dana.connection_id))


@pytest.mark.parametrize(
    "gap",
    [
        graph_says_that_it_missed_some,
        graph_removes_the_subscription,
        the_subscription_lapses,
        the_user_signs_in_again_days_later,
    ],
)
async def test_a_known_gap_is_looked_through_at_once(world: World, dana: Connection, gap: Gap) -> None:
    """What came meanwhile is told, once, however long ago it came."""
    await deaf_with_an_answer(world, dana)
    await gap(world, dana)
    assert CatchUp(dana.connection_id) in world.work.visible(MAILBOX_CATCH_UP)
    await world.settle(SOON)
    assert await synced(world) == ["RE: Offer"]
    await world.settle()
    assert await synced(world) == ["RE: Offer"]


async def test_a_gap_is_shown_until_the_end_of_the_mailbox_was_seen(world: World, dana: Connection) -> None:
    """`catching_up` over every page, also over one that fails; what a regular look finds is no gap."""
    await deaf_with_an_answer(world, dana)
    assert (await world.connection()).sync_state is SyncState.ACTIVE
    await graph_says_that_it_missed_some(world, dana)
    for error in (None, Unclear(), None):
        if error is not None:
            world.faults.fail("mail.received_since", error)
        await world.work_off(CatchUp(dana.connection_id, page_size=1))
        assert (await world.connection()).sync_state is SyncState.CATCHING_UP
    await world.settle(SOON)
    assert (await world.connection()).sync_state is SyncState.ACTIVE
    assert await synced(world) == ["RE: Offer"]


async def test_a_gap_outlives_a_look_that_was_asked_for_before_it_was_known(world: World, dana: Connection) -> None:
    """Its answer may be older than what was missed; the next look closes the gap, and nothing else of the row is lost."""

    async def missed() -> None:
        world.clock.advance(timedelta(seconds=1))
        await graph_says_that_it_missed_some(world, dana)

    world.clock.advance(EVERY)
    world.faults.meanwhile("mail.received_since", missed, applied=True)
    await world.work_off(CatchUp(dana.connection_id))
    after = await world.connection()
    assert after.sync_state is SyncState.CATCHING_UP
    assert after.synced_through is not None
    assert world.clock() - after.synced_through < 2 * SETTLING
    await world.settle(SOON)
    assert (await world.connection()).sync_state is SyncState.ACTIVE


async def test_a_gap_ends_with_the_connection(world: World, dana: Connection) -> None:
    """Nothing is caught up with any more."""
    await graph_says_that_it_missed_some(world, dana)
    ended = await world.disconnect.delete(ACCOUNT, "u1")
    assert (ended.sync_state, ended.gap_since) == (SyncState.STOPPED, None)


@pytest.mark.parametrize("lifecycle", ["", "reauthorizationRequired"])
async def test_without_a_gap_there_is_nothing_to_look_through(world: World, lifecycle: str) -> None:
    """A new mailbox has no threads yet, and a renewed subscription told of everything: the look of every 15 minutes is enough."""
    connection = await world.connect.complete(ACCOUNT, "u1", await world.completion_code(DANA))
    await world.work_off(WatchMailbox(connection.connection_id))
    await world.work_off(WatchMailbox(connection.connection_id, lifecycle))
    assert world.work.visible(MAILBOX_CATCH_UP) == []
    promised, due_at = world.work.promises[CatchUp(connection.connection_id).key]
    assert (promised, due_at) == (CatchUp(connection.connection_id), world.clock() + EVERY)


async def test_users_of_one_mailbox_each_catch_up(world: World, dana: Connection) -> None:
    """Graph says `missed` to one of them; the other has threads of their own."""
    other = await world.connected(DANA, user_id="u2")
    await world.work_off(WatchMailbox(dana.connection_id, "missed"))
    for message in [m for m in world.work.messages if isinstance(m.job, WatchMailbox)]:
        world.work.messages.remove(message)
        await world.work_off(message.job)
    looks = {job.connection_id for job in world.work.visible(MAILBOX_CATCH_UP) if isinstance(job, CatchUp)}
    assert looks == {dana.connection_id, other.connection_id}


async def test_an_answer_from_before_the_mailbox_could_be_watched_is_told(world: World) -> None:
    """Emails go out while the first subscription is still being tried for: what answers them is not lost."""
    be_deaf(world)
    await world.connect.complete(ACCOUNT, "u1", await world.completion_code(DANA))
    world.faults.fail("subscriptions.open", Unclear(), times=40)
    dana = await world.connection()
    message = await world.accepted(dana)
    await world.settle(timedelta(minutes=5))
    assert (await world.connection()).state is State.CONNECTING
    world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=world.mail.sent_copy(message.message_id))
    await world.settle(timedelta(hours=2))
    assert (await world.connection()).state is State.CONNECTED
    assert await synced(world) == ["RE: Offer"]


async def ended(world: World) -> None:
    await world.disconnect.delete(ACCOUNT, "u1")


async def refused(world: World) -> None:
    await world.connections.save(
        connection_rule.needs_reconnect(await world.connection(), "sign_in_expired", "Sign in again.")
    )


@pytest.mark.parametrize("stop", [ended, refused])
async def test_a_mailbox_that_may_not_be_read_is_not_looked_at(
    world: World, dana: Connection, stop: Callable[[World], Awaitable[None]]
) -> None:
    """Nor is it promised any more, whatever was queued."""
    await deaf_with_an_answer(world, dana)
    await stop(world)
    calls = world.faults.count("mail.*")
    await world.work_off(CatchUp(dana.connection_id))
    assert world.faults.count("mail.*") == calls
    assert CatchUp(dana.connection_id).key not in world.work.promises


@pytest.mark.parametrize("answered", [True, False])
async def test_a_mailbox_whose_connection_ends_during_a_look_is_left_alone(
    world: World, dana: Connection, answered: bool
) -> None:
    """Nothing is told any more, the mark stays, and no further look is promised."""
    if answered:
        await deaf_with_an_answer(world, dana)
    before = (await world.connection()).synced_through
    world.clock.advance(EVERY)
    world.faults.meanwhile("mail.received_since", lambda: ended(world), applied=True)
    await world.work_off(CatchUp(dana.connection_id))
    assert await synced(world) == []
    left = await world.connection()
    assert (left.state, left.synced_through) == (State.DISCONNECTED, before)
    await world.settle()
    assert not world.work.promises


async def test_a_look_that_is_refused_tells_the_crm_once(world: World, dana: Connection) -> None:
    """A mailbox where nothing happens shows within 15 minutes that its sign-in is dead."""
    world.people.revoke(DANA)
    await world.settle(EVERY)
    assert (await world.connection()).state is State.NEEDS_RECONNECT
    assert await world.told() == ["connection.connected", "connection.needs_reconnect"]
    await world.settle(timedelta(days=4))
    assert not world.work.promises
    assert (await world.told()).count("connection.needs_reconnect") == 1


async def test_a_look_at_a_connection_that_never_was_is_forgotten(world: World) -> None:
    """No promise is left to be swept for ever."""
    await world.work.promise(CatchUp("con_none"), due_at=world.clock())
    await world.settle()
    assert not world.work.promises


async def silence() -> World:
    """Three emails of one thread of which Graph told nothing, and a look of several pages that is due."""
    world = new_world()
    dana = await world.connected(DANA)
    sent = await world.sent(dana)
    be_deaf(world)
    copy = world.mail.sent_copy(sent.message_id)
    for subject in ("first", "second"):
        world.clock.advance(SECOND)
        world.mail.arrives(dana.mailbox, ADA.address, subject, answers=copy)
    world.mail.from_outlook(dana.mailbox, ADA.address, "third", answers=copy)
    await world.work.promise(CatchUp(dana.connection_id, page_size=2), due_at=world.clock() + EVERY)
    return world


async def a_new_sign_in() -> World:
    """Three emails came while nobody was signed in."""
    world = await silence()
    world.people.revoke(DANA)
    await world.settle(EVERY)
    await world.connect.complete(ACCOUNT, "u1", await world.completion_code(DANA))
    return world


@pytest.mark.long
@pytest.mark.parametrize("story", [silence, a_new_sign_in])
async def test_a_crash_never_loses_or_doubles_what_is_found(story: Callable[[], Awaitable[World]]) -> None:
    """Each email is told once, the mark has moved, and the next look is promised, wherever the process dies."""

    async def check(world: World) -> None:
        assert await synced(world) == ["first", "second", "third"]
        dana = await world.connection()
        assert dana.synced_through is not None
        assert world.clock() - dana.synced_through < 2 * EVERY
        assert CatchUp(dana.connection_id).key in world.work.promises
        await everything_was_heard(world)

    await with_each_crash(story, check)
