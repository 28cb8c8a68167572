"""A user is erased while something is under way: whatever it was about to write, in the end nothing of it is left."""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import pytest

from sync.domain.connection import State
from sync.domain.errors import NotFound, SyncError
from sync.domain.outgoing import Outgoing, OutgoingFile
from tests.unit.flows.conftest import DANA
from tests.unit.flows.erasing import BOB, EVE, OF_MAIL, ErasingWorld
from tests.unit.flows.world import ACCOUNT

pytestmark = pytest.mark.long

NOTES = OutgoingFile("secret.txt", "text/plain", b"secret notes")
ASKED = Outgoing("individual", "u1", (EVE,), "Secret plan", "<p>secret words</p>", files=(NOTES,))
#: What is about to happen, and what makes it happen.
type Story = Callable[[ErasingWorld], Awaitable[Callable[[], Awaitable[object]]]]


async def an_email_is_sent(world: ErasingWorld) -> Callable[[], Awaitable[object]]:
    await world.asked(await world.connected(DANA), "key-1")
    return world.settle


async def an_email_is_accepted(world: ErasingWorld) -> Callable[[], Awaitable[object]]:
    await world.connected(DANA)
    return lambda: world.accept.accept(ACCOUNT, "key-1", ASKED, "hash")


async def an_answer_is_accepted(world: ErasingWorld) -> Callable[[], Awaitable[object]]:
    first = await world.conversation(await world.connected(DANA))
    return lambda: world.accept.accept(ACCOUNT, "key-2", replace(ASKED, thread_id=first.thread_id), "hash")


async def an_answer_is_sent(world: ErasingWorld) -> Callable[[], Awaitable[object]]:
    dana = await world.connected(DANA)
    first = await world.conversation(dana)
    await world.asked(dana, "key-2", first.thread_id)
    return world.settle


async def an_answer_is_received(world: ErasingWorld) -> Callable[[], Awaitable[object]]:
    dana = await world.connected(DANA)
    first = await world.conversation(dana)
    world.answered(dana, first)
    return world.settle


async def an_answer_is_caught_up_with(world: ErasingWorld) -> Callable[[], Awaitable[object]]:
    dana = await world.connected(DANA)
    first = await world.conversation(dana)
    held = dict(world.subscriptions.open_ones)
    world.subscriptions.open_ones.clear()
    world.answered(dana, first)
    world.subscriptions.open_ones.update(held)
    return world.settle


async def the_sign_in_is_refused(world: ErasingWorld) -> Callable[[], Awaitable[object]]:
    dana = await world.connected(DANA)
    first = await world.conversation(dana)
    world.people.revoke(DANA)
    world.answered(dana, first)
    return world.settle


async def until_all_is_over(world: ErasingWorld) -> None:
    """Let everything happen; a job that fails is tried again after a while, as the host does."""
    for _ in range(20):
        with contextlib.suppress(NotFound):
            await world.settle()
            return
    raise AssertionError("a job fails for ever")


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "story",
    [
        an_email_is_sent,
        an_email_is_accepted,
        an_answer_is_accepted,
        an_answer_is_sent,
        an_answer_is_received,
        an_answer_is_caught_up_with,
        the_sign_in_is_refused,
    ],
)
async def test_what_is_under_way_leaves_nothing(story: Story, applied: bool) -> None:
    """The erasing happens before or after the effect of any call of it."""
    world = ErasingWorld()
    go_on = await story(world)
    before = len(world.faults.calls)
    await go_on()
    await world.settle()
    names = dict.fromkeys(world.faults.calls[before:])
    assert len(names) > 5, "the story is over before it began"
    left = {}
    for name in names:
        world = ErasingWorld()
        go_on = await story(world)
        world.faults.meanwhile(name, partial(world.erase.erase, ACCOUNT, "u1"), applied=applied)
        with contextlib.suppress(SyncError):  # its caller is told that it came too late
            await go_on()
        await until_all_is_over(world)
        if world.traces() or world.content.stored or world.work.promises:
            left[name] = (world.traces(), world.content.stored, world.work.promises)
    assert left == {}


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
async def test_an_update_that_is_under_way_is_erased_or_whole(applied: bool) -> None:
    """Where it is completed after the erasing it is a new connection, and of the mailbox before nothing is left."""

    async def updating() -> tuple[ErasingWorld, str]:
        world = ErasingWorld()
        await world.conversation(await world.connected(DANA))
        return world, await world.completion_code(BOB)

    world, code = await updating()
    before = len(world.faults.calls)
    await world.connect.complete(ACCOUNT, "u1", code)
    names = dict.fromkeys(world.faults.calls[before:])
    ends = set()
    for name in names:
        world, code = await updating()
        world.faults.meanwhile(name, partial(world.erase.erase, ACCOUNT, "u1"), applied=applied)
        with contextlib.suppress(SyncError):  # the sign-in is gone: its last note is refused, or all of it
            await world.connect.complete(ACCOUNT, "u1", code)
        await until_all_is_over(world)
        current = await world.connection()
        if current.live:
            assert (current.mailbox.email, current.state) == (BOB, State.CONNECTED), name
            assert list(world.tokens.stored) == [current.connection_id], name
            assert world.traces((*OF_MAIL, "dana@", "dana doe", "d.doe@", "oid-dana")) == [], name
        else:
            assert world.traces() == [], name
            assert not world.tokens.stored, name
        ends.add(current.live)
    assert ends == {True, False}
