"""
Watching in bad times: outages, our own broken registration, refused sign-ins, and ends that Graph does not hear of.

What is covered has time, what is not is tried as often as may be, and nothing is tried in vain for ever.
"""

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from sync.domain.connection import Connection, State, Subscription, SyncState
from sync.domain.errors import Declined, OperatorAlarm, ReconnectNeeded, SyncError, Throttled, Unclear
from sync.domain.retry import OPERATOR_NEEDS
from sync.domain.subscription import MAX_LIFETIME, MAX_WAIT_TO_CLOSE, MAX_WAIT_WHILE_COVERED
from sync.jobs import WatchMailbox
from tests.unit.flows.conftest import DANA
from tests.unit.flows.world import ACCOUNT, World

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
OUTAGE = timedelta(hours=20)
QUARTER = timedelta(minutes=15)
ALWAYS = 10**6


def subscription_of(connection: Connection) -> Subscription:
    assert connection.subscription is not None
    return connection.subscription


def out(world: World, error: SyncError, *, applied: bool = False) -> None:
    """From now on, until `world.faults.clear()`, every call to Graph's subscriptions ends so."""
    world.faults.fail("subscriptions.*", error, applied=applied, times=ALWAYS)


def tries(world: World) -> int:
    """The calls to Graph's subscriptions so far."""
    return world.faults.count("subscriptions.*")


@pytest.mark.parametrize(
    "error", [Unclear(), Throttled(retry_after=timedelta(minutes=5))], ids=["unclear", "throttled"]
)
async def test_trouble_with_the_first_subscription_is_tried_again(world: World, error: Unclear | Throttled) -> None:
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


# How often it is tried.


@pytest.mark.long
@pytest.mark.parametrize("asked_for", ["by its half-life", "by Graph, long before"])
@pytest.mark.parametrize("applied", [False, True], ids=["nothing done", "cut after its effect"])
async def test_a_renewal_has_time(world: World, dana: Connection, applied: bool, asked_for: str) -> None:
    """20 hours cost at most 90 tries and no minute; once Graph answers, it is renewed within the longest wait."""
    out(world, Unclear(), applied=applied)
    before = tries(world)
    if asked_for == "by its half-life":
        world.clock.advance_to(subscription_of(dana).renew_at)
    else:
        await world.work_off(WatchMailbox(dana.connection_id, "reauthorizationRequired"))
    await world.settle(OUTAGE)
    assert 10 < tries(world) - before <= 90
    assert subscription_of(dana).expires_at > world.clock()
    assert (await world.connection()).sync_state is SyncState.ACTIVE

    world.faults.clear()
    answers_again = world.clock()
    await world.settle(MAX_WAIT_WHILE_COVERED + MINUTE)
    assert subscription_of(await world.connection()).expires_at > answers_again + MAX_LIFETIME - MINUTE
    assert await world.told() == ["connection.connected"]


async def test_a_mailbox_that_nobody_tells_of_is_tried_every_minute(world: World, dana: Connection) -> None:
    """As often as may be, not more; and it is told of again within a minute or two after the outage."""
    world.subscriptions.open_ones.clear()
    before = tries(world)
    out(world, Unclear())
    world.clock.advance_to(subscription_of(dana).expires_at)
    await world.settle(5 * HOUR)
    assert 5 * 60 * 0.9 <= tries(world) - before <= 5 * 60 + 1
    world.faults.clear()
    await world.settle(2 * MINUTE)
    assert list(world.subscriptions.open_ones) == [subscription_of(await world.connection()).subscription_id]


@pytest.mark.long
@pytest.mark.parametrize("users", [1, 3])
@pytest.mark.parametrize("event", ["reauthorizationRequired", "missed"])
async def test_what_graph_says_during_an_outage_starts_no_storm(
    world: World, dana: Connection, event: str, users: int
) -> None:
    """It repeats itself every 15 minutes: each word brings a few tries, not a row of tries beside those of the word before."""
    for number in range(2, users + 1):
        dana = await world.connected(DANA, user_id=f"u{number}")
    world.clock.advance_to(subscription_of(dana).renew_at)  # the last one's; that of the others is due as well
    out(world, Unclear())
    before, quarters = tries(world), 4 * 4
    for _ in range(quarters):
        await world.work.queue(WatchMailbox(dana.connection_id, event))
        await world.settle(QUARTER)
    assert tries(world) - before <= 10 * quarters * users
    assert len(world.work.messages) <= users
    world.faults.clear()
    await world.settle(MAX_WAIT_WHILE_COVERED + MINUTE)
    for number in range(1, users + 1):
        assert subscription_of(await world.connection(f"u{number}")).renew_at > world.clock()


@pytest.mark.parametrize("asked_for", [timedelta(seconds=10), timedelta(minutes=7), timedelta(hours=2)])
async def test_no_try_is_made_before_retry_after(world: World, dana: Connection, asked_for: timedelta) -> None:
    """However long Graph asks for, and whatever else would be due."""
    tried_at: list[datetime] = []

    async def note() -> None:
        tried_at.append(world.clock())
        raise Throttled(retry_after=asked_for)

    world.clock.advance_to(subscription_of(dana).renew_at)
    for _ in range(3):
        world.faults.meanwhile("subscriptions.renew", note)
    await world.settle(4 * (asked_for + MINUTE))
    assert len(tried_at) == 3
    assert all(later - earlier >= asked_for for earlier, later in pairwise(tried_at))
    assert subscription_of(await world.connection()).renew_at > world.clock()


# Our own registration with Microsoft is broken: the operator's business, never the user's.


@pytest.mark.long
@pytest.mark.parametrize("lasts", [timedelta(hours=3), timedelta(days=8)], ids=["hours", "longer than a life"])
async def test_an_operator_alarm_is_waited_out(
    world: World, dana: Connection, caplog: pytest.LogCaptureFixture, lasts: timedelta
) -> None:
    """Logged as critical each time it is met, told to nobody, never a reconnect; once mended, all is as before."""
    world.clock.advance_to(subscription_of(dana).renew_at)
    world.faults.fail("tokens.access_token", OperatorAlarm(), times=ALWAYS)
    with caplog.at_level(logging.CRITICAL):
        await world.settle(lasts)
    alarms = [record for record in caplog.records if record.name == "sync.flows.watch"]
    assert lasts / OPERATOR_NEEDS * 0.5 <= len(alarms) <= lasts / OPERATOR_NEEDS + 1
    assert (await world.connection()).state is State.CONNECTED

    world.faults.clear()
    await world.settle(OPERATOR_NEEDS + 2 * MINUTE)
    assert subscription_of(await world.connection()).renew_at > world.clock()
    assert (await world.connection()).sync_state is SyncState.ACTIVE
    assert await world.told() == ["connection.connected"]


async def test_an_operator_alarm_while_a_connection_begins_keeps_it_waiting(world: World) -> None:
    """It stays `connecting`, and is connected once the operator has mended it."""
    await world.connect.complete(ACCOUNT, "u1", await world.completion_code(DANA))
    world.faults.fail("tokens.access_token", OperatorAlarm(), times=ALWAYS)
    await world.settle(HOUR)
    assert (await world.connection()).state is State.CONNECTING
    world.faults.clear()
    await world.settle(OPERATOR_NEEDS + 2 * MINUTE)
    assert (await world.connection()).state is State.CONNECTED


# Microsoft refuses the stored sign-in.


@pytest.mark.parametrize("lifecycle", ["", "reauthorizationRequired", "subscriptionRemoved"])
async def test_a_refused_sign_in_ends_the_watch_at_once(world: World, dana: Connection, lifecycle: str) -> None:
    """The CRM hears of it once, nothing is promised any more, and nothing is asked of Graph until the user signs in again."""
    world.clock.advance_to(subscription_of(dana).renew_at)
    world.people.revoke(DANA)
    await world.work_off(WatchMailbox(dana.connection_id, lifecycle))
    assert (await world.connection()).state is State.NEEDS_RECONNECT
    assert WatchMailbox(dana.connection_id).key not in world.work.promises
    before = tries(world)
    await world.work_off(WatchMailbox(dana.connection_id, lifecycle))
    await world.settle(MAX_LIFETIME)
    assert tries(world) == before
    assert await world.told() == ["connection.connected", "connection.needs_reconnect"]

    await world.connected(DANA)
    assert (await world.connection()).sync_state is SyncState.ACTIVE
    assert list(world.subscriptions.open_ones) == [subscription_of(await world.connection()).subscription_id]


async def test_a_refused_sign_in_of_one_leaves_those_who_share_the_mailbox(world: World, dana: Connection) -> None:
    """Each has signed in for themselves."""
    await world.connected(DANA, user_id="u2")
    world.clock.advance_to(subscription_of(await world.connection("u2")).renew_at)
    world.faults.fail("tokens.access_token", ReconnectNeeded(cause="invalid_grant"))
    await world.work_off(WatchMailbox(dana.connection_id))
    await world.settle(HOUR)
    states = [(await world.connection(user)).state for user in ("u1", "u2")]
    assert states == [State.NEEDS_RECONNECT, State.CONNECTED]
    assert subscription_of(await world.connection("u2")).renew_at > world.clock()
    assert len(world.subscriptions.open_ones) == 1


# A connection that has ended.

NEVER_ANSWERS: dict[str, tuple[str, SyncError]] = {
    "unclear": ("subscriptions.*", Unclear()),
    "throttled": ("subscriptions.*", Throttled(retry_after=timedelta(minutes=5))),
    "refused": ("subscriptions.*", Declined(code="ErrorAccessDenied", status=403)),
    "our registration is broken": ("tokens.access_token", OperatorAlarm()),
}


@pytest.mark.parametrize(("call", "error"), NEVER_ANSWERS.values(), ids=NEVER_ANSWERS)
async def test_closing_is_tried_until_graph_answers(
    world: World, dana: Connection, call: str, error: SyncError
) -> None:
    """Here it has ended at once; at Graph within an hour after Graph does what it is asked, and then the tokens are destroyed."""
    world.faults.fail(call, error, times=ALWAYS)
    ended = await world.disconnect.delete(ACCOUNT, "u1")
    before = len(world.faults.calls)
    await world.settle(OUTAGE)
    assert ended.state is State.DISCONNECTED
    assert len(world.subscriptions.open_ones) == 1
    assert list(world.tokens.stored) == [dana.connection_id]
    attempts = sum(name == "tokens.access_token" for name in world.faults.calls[before:])
    assert 10 < attempts <= OUTAGE / OPERATOR_NEEDS + 1

    world.faults.clear()
    await world.settle(MAX_WAIT_TO_CLOSE + MINUTE)
    assert world.subscriptions.open_ones == {}
    assert world.tokens.stored == {}
    assert not world.work.promises
    assert (await world.told())[-1] == "connection.disconnected"


@pytest.mark.long
@pytest.mark.parametrize(("call", "error"), NEVER_ANSWERS.values(), ids=NEVER_ANSWERS)
async def test_closing_is_given_up_once_the_subscription_has_ended_by_itself(
    world: World, dana: Connection, call: str, error: SyncError
) -> None:
    """Nothing is open any more then, so nobody keeps the keys to a mailbox that its user has disconnected."""
    world.faults.fail(call, error, times=ALWAYS)
    await world.disconnect.delete(ACCOUNT, "u1")
    await world.settle(subscription_of(dana).expires_at - world.clock() - HOUR)
    assert list(world.tokens.stored) == [dana.connection_id]
    await world.settle(MAX_WAIT_TO_CLOSE + 2 * HOUR)
    assert world.tokens.stored == {}
    assert not world.work.promises


async def test_a_refused_sign_in_ends_the_closing(world: World, dana: Connection) -> None:
    """Nothing can be closed with it any more: the subscription ends by itself, and the tokens are destroyed."""
    world.people.revoke(DANA)
    await world.disconnect.delete(ACCOUNT, "u1")
    await world.settle(HOUR)
    assert world.tokens.stored == {}
    assert not world.work.promises
    assert "connection.needs_reconnect" not in await world.told()


@pytest.mark.parametrize("call", ["open", "replace"])
async def test_what_was_opened_without_an_answer_is_closed_with_the_connection(
    world: World, dana: Connection, call: str
) -> None:
    """The connection was cut after Graph took it, and before the next try the user deletes: nothing of the mailbox is told."""
    if call == "open":
        world.subscriptions.open_ones.clear()
        job = WatchMailbox(dana.connection_id, "subscriptionRemoved")
    else:
        row = await world.connection()
        await world.connections.save(replace(row, subscription=replace(subscription_of(row), made_with="")))
        world.clock.advance_to(subscription_of(dana).renew_at)
        job = WatchMailbox(dana.connection_id)
    world.faults.fail(f"subscriptions.{call}", Unclear(), applied=True)
    await world.work_off(job)
    assert len(world.subscriptions.open_ones) == (1 if call == "open" else 2)
    await world.disconnect.delete(ACCOUNT, "u1")
    await world.settle(HOUR)
    assert world.subscriptions.open_ones == {}
    assert world.tokens.stored == {}


async def test_what_a_new_connection_was_opened_without_an_answer_is_closed_with_it(world: World) -> None:
    """The same for a connection that never knew of any subscription."""
    await world.connect.complete(ACCOUNT, "u1", await world.completion_code(DANA))
    world.faults.fail("subscriptions.open", Unclear(), applied=True)
    await world.settle(timedelta(seconds=10))
    assert len(world.subscriptions.open_ones) == 1
    await world.disconnect.delete(ACCOUNT, "u1")
    await world.settle(HOUR)
    assert world.subscriptions.open_ones == {}
    assert world.tokens.stored == {}
