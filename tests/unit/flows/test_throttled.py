"""A neighbour that asks for patience: whatever work meets it, it is put off by that time, and no queue function fails."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from sync.domain.connection import Connection
from sync.domain.errors import Throttled
from sync.jobs import CatchUp, EraseUser, Job, MailChange, SendMail, WatchMailbox
from tests.unit.flows.world import ACCOUNT, World

PATIENCE = timedelta(minutes=7)
GRAPH = ("mail.*", "subscriptions.*")

type Scene = Callable[[World, Connection], Awaitable[Job]]


async def watching(world: World, dana: Connection) -> Job:
    """Graph says that the subscription has to be authorised again."""
    return WatchMailbox(dana.connection_id, "reauthorizationRequired")


async def missed(world: World, dana: Connection) -> Job:
    """Graph says that the subscription is gone."""
    return WatchMailbox(dana.connection_id, "subscriptionRemoved")


async def catching_up(world: World, dana: Connection) -> Job:
    """A look through the mailbox."""
    return CatchUp(dana.connection_id)


async def sending(world: World, dana: Connection) -> Job:
    """An email that was accepted."""
    message = await world.accepted(dana, key="key-2")
    return SendMail(ACCOUNT, message.message_id)


async def receiving(world: World, dana: Connection) -> Job:
    """An answer of the contact."""
    sent = await world.sent(dana)
    copy = world.mail.sent_copy(sent.message_id)
    return MailChange(
        dana.connection_id, world.mail.arrives(dana.mailbox, "ada@world.example", "RE: Offer", answers=copy).graph_id
    )


async def bounced(world: World, dana: Connection) -> Job:
    """A delivery report."""
    sent = await world.sent(dana)
    copy = world.mail.sent_copy(sent.message_id)
    return MailChange(dana.connection_id, world.mail.reported(dana.mailbox, copy, ["ada@world.example"]).graph_id)


async def disconnecting(world: World, dana: Connection) -> Job:
    """The subscription of a connection that has ended."""
    world.faults.fail("subscriptions.*", Throttled(retry_after=PATIENCE), times=1_000)
    await world.disconnect.delete(ACCOUNT, dana.user_id)
    return WatchMailbox(dana.connection_id)


SCENES: list[Scene] = [watching, missed, catching_up, sending, receiving, bounced, disconnecting]


@pytest.mark.parametrize("skip", range(4))
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
async def test_throttled_work_is_put_off_by_a_delay(world: World, dana: Connection, scene: Scene, skip: int) -> None:
    """At whichever call to Graph it comes: the function ends well, and the work is due again no sooner than was asked."""
    job = await scene(world, dana)
    world.work.messages = [message for message in world.work.messages if message.job != job]
    for name in GRAPH:
        world.faults.fail(name, Throttled(retry_after=PATIENCE), skip=skip, times=1_000)
    before, now = len(world.faults.calls), world.clock()
    await world.work_off(job)
    asked = [name for name in world.faults.calls[before:] if name.startswith(("mail.", "subscriptions."))]
    if len(asked) > skip:
        again = [m.visible_at for m in world.work.messages if m.job.key == job.key and m.visible_at > now]
        again += [due_at for promised, due_at in world.work.promises.values() if promised.key == job.key]
        assert again
        assert min(again) >= now + PATIENCE
    told = len(await world.feed())
    world.faults.clear()
    await world.settle(timedelta(hours=3))
    assert len(await world.feed()) >= told


async def test_erasing_asks_nothing_of_graph(world: World, dana: Connection) -> None:
    """What is removed is ours, so that a mailbox that is not to be asked can't hold it up."""
    await world.sent(dana)
    for name in GRAPH:
        world.faults.fail(name, Throttled(retry_after=PATIENCE), times=1_000)
    await world.erase.erase(ACCOUNT, dana.user_id)
    await world.work_off(EraseUser(ACCOUNT, dana.user_id))
    assert await world.journal.threads(ACCOUNT, contact_id=None, user_id=None, after=None, limit=10) == []
