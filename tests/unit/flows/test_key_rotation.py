"""
A new signing key: each subscription is replaced at its renewal by one whose clientState is made with it.

The old key can be dropped once all have been. Until then what Graph tells with either is taken, and at no moment is there no
subscription.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from sync.domain.connection import Connection, Subscription, SyncState
from sync.domain.errors import OutsideError, Throttled, Unclear
from sync.domain.mail import MailboxMessage
from sync.domain.notification import client_state, key_name
from sync.domain.subscription import JITTER, MAX_LIFETIME, MAX_WAIT_WHILE_COVERED
from sync.flows import receive
from sync.jobs import CatchUp, WatchMailbox
from tests.fakes.mail import Change, Identity
from tests.unit.flows.conftest import DANA
from tests.unit.flows.month import arrives, notice
from tests.unit.flows.world import ADA, SIGNING_KEY, World

NEWER, NEWEST = b"n" * 32, b"N" * 32
MOMENT = timedelta(minutes=2)
HALF_LIFE = MAX_LIFETIME / 2


def sign_with(world: World, *keys: bytes) -> None:
    """The app is started anew with these SIGNING_KEYS, the newest first."""
    world.watch = replace(world.watch, signing_key=keys[0])

    def tell(mailbox: Identity, graph_id: str, change: Change) -> None:
        arrives(world, notice(world, mailbox, graph_id, change), keys)

    world.mail.on_change = tell


async def held(world: World, user_id: str = "u1") -> Subscription:
    """The subscription that the user's connection lives by."""
    return subscription_of(await world.connection(user_id))


def subscription_of(connection: Connection) -> Subscription:
    assert connection.subscription is not None
    return connection.subscription


def all_held(world: World) -> list[Subscription]:
    """The subscriptions that the connections live by, one for each connection."""
    return [subscription_of(connection) for connection in world.connections._current]


async def copy_of_a_sent_email(world: World, user_id: str = "u1") -> MailboxMessage:
    """What a user has sent from the CRM, in Sent Items."""
    sent = await world.sent(await world.connection(user_id), key=f"key of {user_id}")
    return world.mail.sent_copy(sent.message_id)


async def synced(world: World) -> list[str]:
    """The subjects of what came by mail, as the CRM was told, sorted."""
    told = [e.data["message"] for e in await world.feed() if e.type == "message.synced"]
    return sorted(message["subject"] for message in told)  # type: ignore[index]


def open_ids(world: World) -> list[str]:
    """What tells of anything now."""
    return [name for name, one in world.subscriptions.open_ones.items() if one.expires_at > world.clock()]


def after_each_call(world: World, check: Callable[[str], None]) -> None:
    """Call `check` with the name of each call to the outside, as soon as it took effect."""
    as_usual = world.faults.at

    @asynccontextmanager
    async def checked(call: str) -> AsyncIterator[None]:
        async with as_usual(call):
            yield
        check(call)

    world.faults.at = checked  # type: ignore[method-assign]


def never_without(world: World) -> None:
    """From now on the mailbox has a subscription after every call; whatever else goes wrong."""

    def check(call: str) -> None:
        assert open_ids(world), f"nothing is open after {call}"

    after_each_call(world, check)


async def test_a_subscription_is_replaced_at_its_renewal_not_before(world: World, dana: Connection) -> None:
    """A new key brings no rush: what was made with the old one goes on to its half-life, and nobody is told anything."""
    old, told = await held(world), await world.told()
    sign_with(world, NEWER, SIGNING_KEY)
    await world.settle(MAX_LIFETIME * (0.5 - JITTER) - timedelta(hours=3))
    assert (await held(world)).subscription_id == old.subscription_id
    assert world.faults.count("subscriptions.*") == 1

    await world.settle(MAX_LIFETIME * JITTER + timedelta(hours=4))
    new = await held(world)
    assert new.subscription_id != old.subscription_id
    assert (old.made_with, new.made_with) == (key_name(SIGNING_KEY), key_name(NEWER))
    assert open_ids(world) == [new.subscription_id]
    assert world.subscriptions.open_ones[new.subscription_id].client_state == client_state(dana.connection_id, NEWER)
    assert await world.told() == told


async def test_one_made_with_the_newest_key_is_renewed_and_stays(world: World, dana: Connection) -> None:
    """Replacing comes to its end: the week after is as any other."""
    sign_with(world, NEWER, SIGNING_KEY)
    await world.settle(HALF_LIFE + timedelta(hours=1))
    new = await held(world)
    await world.settle(MAX_LIFETIME)
    assert (await held(world)).subscription_id == new.subscription_id
    assert (world.faults.count("subscriptions.replace"), world.faults.count("subscriptions.close")) == (1, 1)


async def test_the_new_one_is_open_and_saved_before_the_old_one_is_closed(world: World, dana: Connection) -> None:
    """At every call there is one that the connection knows; no gap is seen, and none is looked through."""
    sign_with(world, NEWER, SIGNING_KEY)
    old = await held(world)
    world.clock.advance_to(old.renew_at)
    steps: list[tuple[str, int, bool]] = []

    def look(call: str) -> None:
        (current,) = all_held(world)
        assert current.subscription_id in open_ids(world), call
        steps.append((call, len(open_ids(world)), current.subscription_id == old.subscription_id))

    after_each_call(world, look)
    await world.work_off(WatchMailbox(dana.connection_id))
    assert [step for step in steps if step[0].startswith(("subscriptions.", "connections.save"))] == [
        ("subscriptions.replace", 2, True),
        ("connections.save", 2, False),
        ("subscriptions.close", 1, False),
    ]
    assert (await world.connection()).sync_state is SyncState.ACTIVE
    assert not world.work.messages


async def test_mail_is_told_once_whichever_key_its_notification_was_made_with(world: World, dana: Connection) -> None:
    """Before, at every call while it is replaced, and after; Graph tells of some of it twice, with either word."""
    copy = await copy_of_a_sent_email(world)
    sign_with(world, NEWER, SIGNING_KEY)
    await world.settle(timedelta(hours=1))
    expected: list[str] = []

    def answer(moment: str) -> None:
        expected.append(f"{len(expected)} {moment}")
        world.mail.arrives(dana.mailbox, ADA.address, expected[-1], answers=copy)

    answer("before")
    await world.settle(MOMENT)
    world.clock.advance_to((await held(world)).renew_at)
    await world.work.postpone(CatchUp(dana.connection_id), world.clock() + timedelta(hours=1))  # it would find them all
    after_each_call(world, answer)
    await world.work_off(WatchMailbox(dana.connection_id))
    del world.faults.at
    sign_with(world, NEWER)  # the old key is dropped: all that was told with it has come in
    answer("after")
    await world.settle(MOMENT)
    assert await synced(world) == sorted(expected)


async def test_a_dropped_key_proves_nothing(world: World, dana: Connection) -> None:
    """What was told with it is dropped as forged."""
    body = notice(world, dana.mailbox.identity, "graph-1", "created")
    assert receive.acknowledge(body, [NEWER, SIGNING_KEY]) != []
    assert receive.acknowledge(body, [NEWER]) == []


async def test_one_that_was_found_open_is_replaced_too(world: World) -> None:
    """Its first try's answer was lost, so that nobody knows which key it was made with: at its renewal that is put right."""
    world.faults.fail("subscriptions.open", Unclear(), applied=True)
    await world.connected(DANA)
    assert (await held(world)).made_with == ""
    await world.settle(HALF_LIFE + timedelta(hours=1))
    assert (await held(world)).made_with == key_name(SIGNING_KEY)
    assert open_ids(world) == [(await held(world)).subscription_id]


@pytest.mark.parametrize("how", ["it has lapsed", "Graph says that it is removed"])
async def test_where_the_old_one_has_ended_there_is_a_gap(world: World, dana: Connection, how: str) -> None:
    """The mailbox is looked through: the new one tells of nothing that came before it."""
    copy = await copy_of_a_sent_email(world)
    sign_with(world, NEWER, SIGNING_KEY)
    if how == "it has lapsed":
        world.clock.advance_to((await held(world)).expires_at + timedelta(hours=1))
        job = WatchMailbox(dana.connection_id)
    else:
        world.subscriptions.open_ones.clear()
        job = WatchMailbox(dana.connection_id, "subscriptionRemoved")
    world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    await world.work_off(job)
    assert (await world.connection()).sync_state is SyncState.CATCHING_UP
    await world.settle(MOMENT)
    assert (await world.connection()).sync_state is SyncState.ACTIVE
    assert await synced(world) == ["RE: Offer"]


TROUBLE: dict[str, tuple[OutsideError, bool]] = {
    "unclear": (Unclear(), False),
    "cut after its effect": (Unclear(), True),
    "throttled": (Throttled(retry_after=timedelta(minutes=20)), False),
}


@pytest.mark.long
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("call", ["replace", "close"])
@pytest.mark.parametrize(("error", "applied"), TROUBLE.values(), ids=TROUBLE)
async def test_trouble_while_it_is_replaced_leaves_one_in_the_end(
    world: World, dana: Connection, error: OutsideError, applied: bool, call: str, times: int
) -> None:
    """What could not be closed now goes at the next renewal; an outage of some tries is over soon after it ends."""
    sign_with(world, NEWER, SIGNING_KEY)
    never_without(world)
    world.faults.fail(f"subscriptions.{call}", error, applied=applied, times=times)
    await world.settle(HALF_LIFE)
    assert (await held(world)).made_with == key_name(NEWER)
    await world.settle(times * timedelta(minutes=21) + MAX_WAIT_WHILE_COVERED + HALF_LIFE)
    assert open_ids(world) == [(await held(world)).subscription_id]
