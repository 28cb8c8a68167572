"""
Watching: a live connection always has a subscription, and an ended one has none.

Trouble at Graph and at Microsoft's sign-in is in test_watch_trouble.py, a new signing key in test_key_rotation.py.
"""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from sync.domain.connection import Connection, Subscription, SyncState
from sync.domain.errors import Unclear
from sync.domain.notification import client_state
from sync.domain.subscription import MAX_LIFETIME, OTHER_CHANGE_TYPES
from sync.flows import watch
from sync.jobs import MAILBOX_CATCH_UP, CatchUp, WatchMailbox
from tests.fakes.subscriptions import Open
from tests.unit.flows.conftest import DANA, new_world
from tests.unit.flows.each_crash import Story, everything_was_heard, with_each_crash
from tests.unit.flows.world import ACCOUNT, SIGNING_KEY, World

BOB = "bob@crm.example"
MOMENT = timedelta(minutes=2)
HALF_LIFE = MAX_LIFETIME / 2


def subscription_of(connection: Connection) -> Subscription:
    assert connection.subscription is not None
    return connection.subscription


@pytest.mark.long
async def test_a_subscription_is_renewed_at_half_life_for_ever(world: World, dana: Connection) -> None:
    """Weeks go by without anybody asking: it is the same subscription, never past its end."""
    for _ in range(4):
        await world.settle(MAX_LIFETIME)
        kept = subscription_of(await world.connection())
        assert kept.expires_at > world.clock()
        assert kept.subscription_id == subscription_of(dana).subscription_id
    assert world.faults.count("subscriptions.open") == 1
    assert world.faults.count("subscriptions.renew") >= 7
    assert await world.told() == ["connection.connected"]


async def test_a_subscription_that_graph_dropped_is_opened_anew(world: World, dana: Connection) -> None:
    """Found out at renewal, or told by `subscriptionRemoved`."""
    world.subscriptions.open_ones.clear()
    await world.settle(MAX_LIFETIME)
    second = subscription_of(await world.connection())
    assert list(world.subscriptions.open_ones) == [second.subscription_id]

    world.subscriptions.open_ones.clear()
    await world.work_off(WatchMailbox(dana.connection_id, "subscriptionRemoved"))
    third = subscription_of(await world.connection())
    assert list(world.subscriptions.open_ones) == [third.subscription_id]
    assert len({subscription_of(dana).subscription_id, second.subscription_id, third.subscription_id}) == 3


async def test_a_request_for_reauthorization_renews_at_once(world: World, dana: Connection) -> None:
    """Renewing is what authorizes anew; nothing else changes."""
    world.clock.advance(timedelta(hours=1))
    await world.work_off(WatchMailbox(dana.connection_id, "reauthorizationRequired"))
    assert subscription_of(await world.connection()).expires_at > subscription_of(dana).expires_at
    assert world.faults.count("subscriptions.renew") == 1


async def test_a_wake_up_before_the_time_changes_nothing(world: World, dana: Connection) -> None:
    """Queue messages may come twice or early."""
    before = await world.feed()
    await world.work_off(WatchMailbox(dana.connection_id))
    assert await world.connection() == dana
    assert world.faults.count("subscriptions.*") == 1
    assert await world.feed() == before


async def test_a_delete_while_the_subscription_is_being_opened_leaves_none(world: World) -> None:
    """What Graph opened for a connection that ended meanwhile is closed again."""
    await world.connect.complete(ACCOUNT, "u1", await world.completion_code(DANA))

    async def disconnect() -> None:
        await world.disconnect.delete(ACCOUNT, "u1")

    world.faults.meanwhile("subscriptions.open", disconnect, applied=True)
    await world.settle(timedelta(hours=2))
    assert world.subscriptions.open_ones == {}
    assert world.tokens.stored == {}


async def test_two_watchers_at_once_leave_one_subscription(world: World) -> None:
    """Both may ask Graph; one subscription is open in the end, and it is the one the connection knows."""
    connection = await world.connect.complete(ACCOUNT, "u1", await world.completion_code(DANA))
    job = WatchMailbox(connection.connection_id)
    await asyncio.gather(world.work_off(job), world.work_off(job))
    await world.settle()
    kept = subscription_of(await world.connection())
    assert list(world.subscriptions.open_ones) == [kept.subscription_id]
    assert await world.told() == ["connection.connected"]


async def test_lifecycle_notifications_become_jobs_and_forged_ones_do_not() -> None:
    """Only what carries the connection's secret word reaches the queue."""
    genuine = {"clientState": client_state("con_1", SIGNING_KEY), "lifecycleEvent": "missed"}
    forged = {"clientState": "con_1.forged", "lifecycleEvent": "subscriptionRemoved"}
    jobs = watch.acknowledge(json.dumps({"value": [forged, genuine]}).encode(), [SIGNING_KEY])
    assert [WatchMailbox.from_json(text) for text in jobs] == [WatchMailbox("con_1", "missed")]


async def test_a_watch_of_a_connection_that_never_was_is_forgotten(world: World) -> None:
    """No promise is left to be swept for ever."""
    await world.work.promise(WatchMailbox("con_none"), due_at=world.clock())
    await world.settle()
    assert not world.work.promises


# How the sync is doing, as the CRM reads it.


async def test_the_state_of_the_sync_follows_the_watch(world: World) -> None:
    """`starting`, `active`; after a gap `catching_up` until a look has seen the end; `stopped` once it has ended."""
    connection = await world.connect.complete(ACCOUNT, "u1", await world.completion_code(DANA))
    seen = [connection.sync_state]
    await world.settle(MOMENT)
    seen.append((await world.connection()).sync_state)
    world.subscriptions.open_ones.clear()
    await world.work_off(WatchMailbox(connection.connection_id, "subscriptionRemoved"))
    seen.append((await world.connection()).sync_state)
    await world.settle(MOMENT)
    seen.append((await world.connection()).sync_state)
    await world.disconnect.delete(ACCOUNT, "u1")
    seen.append((await world.connection()).sync_state)
    assert seen == [
        SyncState.STARTING,
        SyncState.ACTIVE,
        SyncState.CATCHING_UP,
        SyncState.ACTIVE,
        SyncState.STOPPED,
    ]


@pytest.mark.parametrize("renewal", ["works", "fails once"])
async def test_a_gap_that_is_told_when_a_renewal_is_due_is_not_forgotten(
    world: World, dana: Connection, renewal: str
) -> None:
    """Renewing says nothing of what was missed before."""
    world.clock.advance_to(subscription_of(dana).renew_at)
    if renewal == "fails once":
        world.faults.fail("subscriptions.renew", Unclear())
    await world.work_off(WatchMailbox(dana.connection_id, "missed"))
    assert (await world.connection()).sync_state is SyncState.CATCHING_UP
    assert CatchUp(dana.connection_id) in world.work.visible(MAILBOX_CATCH_UP)
    await world.settle(timedelta(minutes=5))
    renewed = await world.connection()
    assert subscription_of(renewed).expires_at > subscription_of(dana).expires_at
    assert renewed.sync_state is SyncState.ACTIVE


async def test_a_gap_is_looked_through_even_if_its_first_word_was_lost(world: World, dana: Connection) -> None:
    """The look is promised before the subscription is saved: after that nobody sees any more that there was one."""
    world.subscriptions.open_ones.clear()
    await world.work_off(WatchMailbox(dana.connection_id, "subscriptionRemoved"))
    (look,) = [message for message in world.work.messages if message.queue == MAILBOX_CATCH_UP]
    world.work.messages.remove(look)
    await world.settle(timedelta(minutes=10))
    assert (await world.connection()).sync_state is SyncState.ACTIVE


# What Graph says of a subscription may come twice, and late.


async def test_a_removal_that_is_told_again_leaves_one(world: World, dana: Connection) -> None:
    """The word is about the one before; the one that is open by then lives on."""
    world.subscriptions.open_ones.clear()
    for _ in range(3):
        await world.work_off(WatchMailbox(dana.connection_id, "subscriptionRemoved"))
        await world.settle(timedelta(hours=1))
    kept = subscription_of(await world.connection())
    assert list(world.subscriptions.open_ones) == [kept.subscription_id]


async def test_who_shares_a_mailbox_hears_what_happens_to_its_subscription(world: World, dana: Connection) -> None:
    """It names one of them; all have lost theirs, and all live by one again, whoever is first."""
    other = await world.connected(DANA, user_id="u2")
    world.subscriptions.open_ones.clear()
    await world.work_off(WatchMailbox(dana.connection_id, "subscriptionRemoved"))
    await world.settle(MOMENT)
    both = [subscription_of(await world.connection(user)).subscription_id for user in ("u1", "u2")]
    assert both == list(world.subscriptions.open_ones) * 2
    assert subscription_of(other).subscription_id not in both


# What a worker that died has left behind.


def leave_open(world: World, name: str, ends_in: timedelta, email: str = DANA) -> None:
    """A subscription that no connection knows."""
    ends_at = world.clock() + ends_in
    identity = world.people[email].mailbox.identity
    world.subscriptions.open_ones[name] = Open(identity, "con_gone.word", ends_at, OTHER_CHANGE_TYPES)


async def test_an_orphan_is_closed_at_the_next_renewal(world: World, dana: Connection) -> None:
    """Its notifications named nobody, or came twice; what another mailbox has open is not touched."""
    leave_open(world, "orphan", MAX_LIFETIME)
    leave_open(world, "bob's", MAX_LIFETIME, BOB)
    await world.settle(HALF_LIFE - timedelta(hours=20))
    assert "orphan" in world.subscriptions.open_ones
    await world.settle(timedelta(hours=21))
    assert list(world.subscriptions.open_ones) == [subscription_of(dana).subscription_id, "bob's"]


async def test_a_fresh_one_is_left_to_the_worker_that_may_be_about_to_save_it(world: World, dana: Connection) -> None:
    """Only what is older than a worker needs is an orphan; the renewal after that finds it again."""
    world.clock.advance_to(subscription_of(dana).renew_at)
    leave_open(world, "fresh", MAX_LIFETIME)
    await world.work_off(WatchMailbox(dana.connection_id))
    assert "fresh" in world.subscriptions.open_ones
    await world.settle(HALF_LIFE + timedelta(hours=1))
    assert list(world.subscriptions.open_ones) == [subscription_of(dana).subscription_id]


async def test_what_a_colleague_lives_by_is_no_orphan(world: World, dana: Connection) -> None:
    """Two users of one mailbox, each with a subscription of their own, as where Graph accepts duplicates."""
    other = await world.connected(DANA, user_id="u2")
    leave_open(world, "theirs", MAX_LIFETIME)
    row = await world.connections.by_id(other.connection_id)
    assert row is not None
    theirs = Subscription("theirs", world.clock() + MAX_LIFETIME, world.clock() + MAX_LIFETIME)
    await world.connections.save(replace(row, subscription=theirs))
    await world.settle(HALF_LIFE + timedelta(hours=1))
    assert list(world.subscriptions.open_ones) == [subscription_of(dana).subscription_id, "theirs"]


@pytest.mark.parametrize("call", ["subscriptions.ours", "subscriptions.close"])
async def test_trouble_while_tidying_is_left_to_the_next_renewal(world: World, dana: Connection, call: str) -> None:
    """The renewal itself has been done, and is not done again."""
    leave_open(world, "orphan", MAX_LIFETIME)
    world.faults.fail(call, Unclear())
    await world.settle(HALF_LIFE + timedelta(hours=1))
    assert subscription_of(await world.connection()).expires_at > subscription_of(dana).expires_at
    assert (world.faults.count("subscriptions.renew"), "orphan" in world.subscriptions.open_ones) == (1, True)
    await world.settle(HALF_LIFE)
    assert "orphan" not in world.subscriptions.open_ones


async def a_renewal_with_an_orphan() -> World:
    """It is time to renew, and a worker has left another one open."""
    world = new_world()
    dana = await world.connected(DANA)
    leave_open(world, "orphan", HALF_LIFE + timedelta(hours=1))
    world.clock.advance_to(subscription_of(dana).renew_at)
    return world


async def a_removal_of_a_shared_one() -> World:
    """Graph has removed the subscription of two users' mailbox, and says so."""
    world = new_world()
    dana = await world.connected(DANA)
    await world.connected(DANA, user_id="u2")
    world.subscriptions.open_ones.clear()
    await world.work.queue(WatchMailbox(dana.connection_id, "subscriptionRemoved"))
    return world


@pytest.mark.long
@pytest.mark.parametrize("story", [a_renewal_with_an_orphan, a_removal_of_a_shared_one])
async def test_a_crash_leaves_everybody_watched(story: Story) -> None:
    """Wherever a worker dies: every connection lives by an open subscription, is caught up, and nothing is told of it."""

    async def check(world: World) -> None:
        for connection in list(world.connections._current):
            assert subscription_of(connection).subscription_id in world.subscriptions.open_ones
            assert connection.sync_state is SyncState.ACTIVE
            assert subscription_of(connection).renew_at > world.clock()
        assert set(await world.told()) == {"connection.connected"}
        await everything_was_heard(world)

    await with_each_crash(story, check)
