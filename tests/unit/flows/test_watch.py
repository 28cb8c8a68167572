"""Watching: a live connection always has a subscription, and an ended one has none."""

import asyncio
import json
from datetime import timedelta

import pytest

from sync.domain.connection import Connection, State, Subscription
from sync.domain.errors import Throttled, Unclear
from sync.domain.notification import client_state
from sync.domain.subscription import MAX_LIFETIME
from sync.flows import watch
from sync.jobs import WatchMailbox
from tests.unit.flows.conftest import DANA
from tests.unit.flows.world import ACCOUNT, SIGNING_KEY, World


def subscription_of(connection: Connection) -> Subscription:
    assert connection.subscription is not None
    return connection.subscription


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


@pytest.mark.parametrize(
    "error", [Unclear(), Throttled(retry_after=timedelta(minutes=5))], ids=["unclear", "throttled"]
)
async def test_trouble_at_graph_is_tried_again(world: World, error: Unclear | Throttled) -> None:
    """The connection stays `connecting` meanwhile; not before Retry-After."""
    await world.connect.complete(ACCOUNT, "u1", await world.completion_code(DANA))
    world.faults.fail("subscriptions.open", error, times=3)
    began = world.clock()
    await world.settle(timedelta(seconds=30))
    assert (await world.connection()).state is State.CONNECTING

    await world.settle()
    assert (await world.connection()).state is State.CONNECTED
    assert await world.told() == ["connection.connected"]
    if isinstance(error, Throttled):
        assert subscription_of(await world.connection()).expires_at - MAX_LIFETIME - began >= 3 * error.retry_after


async def test_a_refused_sign_in_ends_the_watch_until_the_user_signs_in_again(world: World, dana: Connection) -> None:
    """Nothing is tried in vain; the new sign-in is watched again."""
    world.people.revoke(DANA)
    await world.settle(MAX_LIFETIME)
    assert (await world.connection()).state is State.NEEDS_RECONNECT
    assert not world.work.promises

    await world.connected(DANA)
    assert (await world.connection()).state is State.CONNECTED
    assert await world.told() == ["connection.connected", "connection.needs_reconnect", "connection.connected"]


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
