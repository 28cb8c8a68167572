"""Taking back: what was not sent is not sent, what may have been sent is not called cancelled."""

from datetime import timedelta

import pytest

from sync.domain.connection import Connection
from sync.domain.errors import NotCancellable, NotFound, Unclear
from sync.domain.message import Status
from tests.unit.flows.bulk_world import bulk, counts, crowd, left
from tests.unit.flows.conftest import DANA, new_world
from tests.unit.flows.each_crash import everything_was_heard, with_each_crash
from tests.unit.flows.sent_once import TEXT
from tests.unit.flows.world import ACCOUNT, World

HOURS = timedelta(hours=3)


async def test_a_cancelled_batch_sends_nothing_more(world: World, dana: Connection) -> None:
    """What has left is sent, everything else is cancelled, and the counts say so at once."""
    batch_id = await bulk(world, dana, crowd(100))
    await world.settle(timedelta(seconds=40))
    batch, told = await world.cancel.batch(ACCOUNT, batch_id)
    assert batch.cancelled_at == world.clock()
    await world.settle(HOURS)

    ends = await counts(world, batch_id)
    assert ends == {"sent": 30, "cancelled": 70}
    assert (told["sent"], told["cancelled"]) == (30, 70)
    assert sum(left(world).values()) == 30
    messages = await world.batches.messages(batch)
    assert [m.status for m in messages] == [Status.SENT] * 30 + [Status.CANCELLED] * 70
    shown, _ = await world.show.message(ACCOUNT, messages[99].message_id)
    assert shown.status is Status.CANCELLED
    await everything_was_heard(world)


async def test_cancelling_at_the_first_moment_keeps_all_of_it_back(world: World, dana: Connection) -> None:
    """Before any worker has come."""
    batch_id = await bulk(world, dana, crowd(50))
    _, told = await world.cancel.batch(ACCOUNT, batch_id)
    await world.settle(HOURS)
    assert (told["cancelled"], await counts(world, batch_id)) == (50, {"cancelled": 50})
    assert world.mail.outgoing == []
    assert world.mail.drafts() == []


@pytest.mark.parametrize("call", ["journal.save_batch", "journal.release", "paces.save", "mail.create_draft"])
async def test_a_cancel_that_meets_a_worker_ends_each_email_one_way(world: World, dana: Connection, call: str) -> None:
    """Each is sent or cancelled, never both, whatever the worker was at."""

    async def cancel() -> None:
        await world.cancel.batch(ACCOUNT, batch_id)

    batch_id = await bulk(world, dana, crowd(60))
    world.faults.meanwhile(call, cancel)
    await world.settle(HOURS)

    ends = await counts(world, batch_id)
    assert ends["cancelled"] >= 30
    assert ends.get("sent", 0) == sum(left(world).values()) == 60 - ends["cancelled"]
    assert world.mail.drafts() == []


async def test_cancelling_again_changes_nothing(world: World, dana: Connection) -> None:
    """Nor does it after everything was sent."""
    batch_id = await bulk(world, dana, crowd(40))
    await world.settle(timedelta(seconds=30))
    first = await world.cancel.batch(ACCOUNT, batch_id)
    await world.settle(HOURS)
    assert await world.cancel.batch(ACCOUNT, batch_id) == first

    whole = await bulk(world, dana, crowd(3), key="bulk-2")
    await world.settle(HOURS)
    _, told = await world.cancel.batch(ACCOUNT, whole)
    assert (told["sent"], told["cancelled"]) == (3, 0)


async def test_an_email_that_waits_for_its_time_can_be_cancelled(world: World, dana: Connection) -> None:
    """By its own id; it is shown as cancelled, nothing is told, and doing it again is the same."""
    message = await world.accepted(dana, send_at=world.clock() + timedelta(days=2))
    ended = await world.cancel.message(ACCOUNT, message.message_id)
    assert ended.status is Status.CANCELLED
    assert (await world.cancel.message(ACCOUNT, message.message_id)).status is Status.CANCELLED
    await world.settle(timedelta(days=3))
    assert world.mail.outgoing == []
    assert await world.told() == ["connection.connected"]
    await everything_was_heard(world)


async def test_one_email_of_a_batch_can_be_cancelled_before_its_turn(world: World, dana: Connection) -> None:
    """The others go."""
    batch_id = await bulk(world, dana, crowd(50))
    batch = await world.journal.batch(ACCOUNT, batch_id)
    assert batch is not None
    waiting = await world.batches.messages(batch)
    await world.cancel.message(ACCOUNT, waiting[49].message_id)
    assert (await counts(world, batch_id))["cancelled"] == 1
    await world.settle(HOURS)
    assert await counts(world, batch_id) == {"sent": 49, "cancelled": 1}
    assert "c49@world.example" not in left(world)


async def test_what_may_be_on_its_way_can_not_be_cancelled(world: World, dana: Connection) -> None:
    """Its answer was lost: nobody knows yet. Nor what was sent, nor what there is not, nor what came from the mailbox."""
    world.faults.fail("mail.send", Unclear(), applied=True)
    message = await world.accepted(dana)
    await world.settle(timedelta(seconds=1))
    with pytest.raises(NotCancellable):
        await world.cancel.message(ACCOUNT, message.message_id)
    await world.settle()
    for message_id, error in ((message.message_id, NotCancellable), ("msg_none", NotFound)):
        with pytest.raises(error):
            await world.cancel.message(ACCOUNT, message_id)
    assert (await world.message(message.message_id)).status is Status.SENT


async def test_an_email_in_trouble_can_be_cancelled_and_leaves_no_draft(world: World, dana: Connection) -> None:
    """While the mailbox does not take its file, say: the draft goes, too, so that nobody sends it by hand."""
    for _ in range(3):
        world.faults.fail("mail.add_file", Unclear())
    message = await world.accepted(dana, files=[TEXT])
    await world.settle(timedelta(seconds=2))
    assert len(world.mail.drafts()) == 1
    await world.cancel.message(ACCOUNT, message.message_id)
    await world.settle(HOURS)
    assert world.mail.drafts() == []
    assert world.mail.outgoing == []
    assert (await world.message(message.message_id)).status is Status.CANCELLED
    await everything_was_heard(world)


@pytest.mark.long
async def test_a_crash_never_brings_back_what_was_cancelled() -> None:
    """Wherever the process dies after the cancel, and the draft goes in the end."""

    async def story() -> World:
        world = new_world()
        dana = await world.connected(DANA)
        world.faults.fail("mail.add_file", Unclear())
        message = await world.accepted(dana, files=[TEXT])
        await world.settle(timedelta())
        await world.cancel.message(ACCOUNT, message.message_id)
        return world

    async def check(world: World) -> None:
        assert world.mail.outgoing == []
        assert world.mail.drafts() == []
        assert await world.told() == ["connection.connected"]
        await everything_was_heard(world)

    await with_each_crash(story, check)


async def test_an_email_that_is_erased_while_it_is_taken_back_is_let_go(world: World, dana: Connection) -> None:
    """Its row is gone: there is nothing to cancel any more, and nobody tries for ever."""
    message = await world.accepted(dana)
    world.faults.meanwhile("journal.save_message", lambda: world.journal.remove_message(message))
    with pytest.raises(NotCancellable):
        await world.cancel.message(ACCOUNT, message.message_id)
