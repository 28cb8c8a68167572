"""What becomes of a connection: signed in again, taken over by another mailbox, ended."""

from datetime import timedelta

import pytest

from sync.domain.connection import Connection, State
from sync.domain.errors import (
    Unclear,
)
from tests.unit.flows.conftest import DANA
from tests.unit.flows.world import ACCOUNT, ADA, World

BOB = "bob@crm.example"


async def complete(world: World, code: str, user_id: str = "u1", account_id: str = ACCOUNT) -> Connection:
    return await world.connect.complete(account_id, user_id, code)


async def test_the_same_mailbox_again_renews_the_connection_and_keeps_its_threads(world: World) -> None:
    """Same id, same threads, a fresh subscription, and `connection.connected` once more."""
    first = await world.connected(DANA)
    sent = await world.sent(first)
    again = await world.connected(DANA)

    assert again.connection_id == first.connection_id
    assert again.sign_ins == first.sign_ins + 1
    assert await world.told() == ["connection.connected", "message.sent", "connection.connected"]
    world.mail.arrives(first.mailbox, "ada@world.example", "RE", answers=world.mail.sent_copy(sent.message_id))
    await world.settle()
    assert (await world.told())[-1] == "message.synced"


async def test_another_mailbox_takes_over_and_the_old_one_is_closed(world: World) -> None:
    """Only a completed sign-in takes over; then the old subscription and sign-in are gone and its threads stopped."""
    old = await world.connected(DANA)
    sent = await world.sent(old)
    code = await world.completion_code(BOB)
    assert (await world.connection()).connection_id == old.connection_id

    await complete(world, code)
    await world.settle()
    new = await world.connection()
    assert new.mailbox.email == BOB
    assert new.connection_id != old.connection_id
    (held,) = world.subscriptions.open_ones.values()
    assert held.mailbox == new.mailbox.identity
    assert set(world.tokens.stored) == {new.connection_id}
    ended = await world.connections.by_id(old.connection_id)
    assert ended is not None
    assert ended.state is State.DISCONNECTED
    events = await world.feed()
    assert [e.type for e in events[2:]] == ["connection.updated", "connection.connected"]
    assert events[2].data["previous_connection_id"] == old.connection_id
    assert events[2].data["previous_email"] == DANA

    world.mail.arrives(old.mailbox, "ada@world.example", "RE", answers=world.mail.sent_copy(sent.message_id))
    await world.settle()
    assert "message.synced" not in await world.told()


async def connecting(world: World) -> None:
    await complete(world, await world.completion_code(DANA))


async def connected(world: World) -> None:
    await world.connected(DANA)


async def needing_reconnect(world: World) -> None:
    dana = await world.connected(DANA)
    world.people.revoke(DANA)
    world.mail.arrives(dana.mailbox, "ada@world.example", "Hello")
    await world.settle()
    assert (await world.connection()).state is State.NEEDS_RECONNECT


async def after_taking_over(world: World) -> None:
    await world.connected(BOB)
    await world.connected(DANA)


@pytest.mark.parametrize("before", [connecting, connected, needing_reconnect, after_taking_over])
@pytest.mark.parametrize("graph", ["works", "fails for a while"])
async def test_a_delete_ends_the_connection_in_every_state(world: World, before: object, graph: str) -> None:
    """At once for us and the CRM; at Graph as soon as that answers. Again: the same answer and no second event."""
    await before(world)  # type: ignore[operator]
    if graph != "works":
        world.faults.fail("subscriptions.*", Unclear(), times=6)
    first = await world.disconnect.delete(ACCOUNT, "u1")
    second = await world.disconnect.delete(ACCOUNT, "u1")
    assert first.state is second.state is State.DISCONNECTED
    assert first.connection_id == second.connection_id

    await world.settle(timedelta(hours=2))
    live = [held for held in world.subscriptions.open_ones.values() if held.mailbox == first.mailbox.identity]
    # Of a sign-in that Microsoft refuses nothing can be closed at Graph: the subscription ends by itself.
    assert len(live) == (1 if before is needing_reconnect else 0)
    assert world.tokens.stored == {}
    assert (await world.told()).count("connection.disconnected") == 1
    assert not world.work.promises


async def test_a_new_connect_after_a_delete_is_a_new_connection(world: World) -> None:
    """Even of the same mailbox: old threads stay with the old one."""
    first = await world.connected(DANA)
    await world.sent(first)
    await world.disconnect.delete(ACCOUNT, "u1")
    second = await world.connected(DANA)
    assert second.connection_id != first.connection_id
    shown, _ = await world.show.connection(ACCOUNT, "u1")
    assert shown is not None
    assert shown.thread_count == 0


@pytest.mark.parametrize("moved", [False, True], ids=["the same message", "a copy of it"])
async def test_what_was_told_is_not_told_again_by_who_takes_up_a_thread(world: World, moved: bool) -> None:
    """The CRM sends into a thread of an ended connection, and the user reads its old mail: neither is news."""
    dana = await world.connected(DANA)
    first = await world.sent(dana)
    copy = world.mail.sent_copy(first.message_id)
    reply = world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    await world.settle()
    await world.disconnect.delete(ACCOUNT, "u1")
    again = await world.connected(DANA)
    await world.sent(again, key="key-2", thread_id=first.thread_id)
    told = await world.told()

    for seen in (copy, reply):
        if moved:
            assert seen.sender is not None
            world.mail.arrives(dana.mailbox, seen.sender.address, seen.subject, keys=seen.keys)
        else:
            world.mail.read(seen.graph_id)
    await world.settle()
    assert await world.told() == told

    world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=reply)
    await world.settle()
    assert await world.told() == [*told, "message.synced"]
