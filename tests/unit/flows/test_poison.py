"""Failed work: its reason is noted without its words, shown, and forgotten; nothing of it makes matters worse."""

import traceback
from datetime import timedelta
from typing import Any

import azure.functions as func
import pytest

from sync.domain.errors import InvalidRequest
from sync.domain.failure import UNKNOWN
from sync.jobs import QUEUES, SendMail, ids_of, key_of
from sync.wiring.noting import WorkFailed, noting
from tests.fakes.faults import Crash
from tests.unit.flows.world import World

JOB = SendMail("acme", "msg_1")
QUEUE, TEXT = JOB.queue, JOB.to_json()
SECRET = "ada@customer.example"
NO_CONTEXT: Any = None


def message(text: str = TEXT, dequeue_count: int | None = 1) -> func.QueueMessage:
    """A queue message as a function gets it."""

    class Message(func.QueueMessage):
        @property
        def dequeue_count(self) -> int | None:
            return dequeue_count

    return Message(body=text.encode())


async def failed(world: World, tries: int = 1, text: str = TEXT) -> None:
    """The function of the queue raises on this try."""

    @noting(lambda: world.poisons, QUEUE)
    async def work(msg: func.QueueMessage, context: func.Context) -> None:
        raise KeyError(SECRET)

    with pytest.raises(WorkFailed, match="KeyError at ") as told:
        await work(message(text, tries), NO_CONTEXT)
    assert SECRET not in "".join(traceback.format_exception(told.value))


async def done(world: World, tries: int) -> None:
    """The function of the queue succeeds on this try."""

    @noting(lambda: world.poisons, QUEUE)
    async def work(msg: func.QueueMessage, context: func.Context) -> None:
        return

    await work(message(dequeue_count=tries), NO_CONTEXT)


async def test_a_failure_is_noted_without_its_words(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Kind and place, the time of the first and the number of tries; in the log, too."""
    began = world.clock()
    await failed(world)
    world.clock.advance(timedelta(minutes=1))
    await failed(world, 2)
    noted = await world.poison.failure(QUEUE, JOB.key)
    assert noted is not None
    assert (noted.since, noted.tries) == (began, 2)
    assert noted.reason.startswith("KeyError at test_poison.py:")
    assert SECRET not in noted.reason
    assert SECRET not in caplog.text
    assert noted.reason in caplog.text


async def test_it_is_forgotten_once_the_work_is_done(world: World) -> None:
    """What is done on the first try never touches the storage."""
    await failed(world)
    world.faults.fail("poison.forget", Crash())
    await done(world, 1)
    assert world.poison.failures
    world.faults.clear()
    await done(world, 2)
    assert not world.poison.failures


async def test_a_storage_that_is_down_does_not_hide_the_failure(world: World) -> None:
    """The work's own error goes on to the host; work that was done stays done."""
    world.faults.fail("poison.note", OSError(SECRET))
    await failed(world)
    world.faults.fail("poison.forget", OSError(SECRET))
    await done(world, 2)


async def test_poison_is_shown_with_its_reason(world: World) -> None:
    """By its ids; where the process died each time the reason is not known, and what can't be read has no ids."""
    at = world.clock()
    await failed(world, 5)
    world.poison.given_up(QUEUE, TEXT, at)
    world.poison.given_up(QUEUE, SendMail("acme", "msg_2").to_json(), at)
    world.poison.given_up(QUEUE, SECRET, at)
    first, second, unreadable = await world.poisons.show()
    assert (first.queue, first.job, first.since, first.tries) == (
        QUEUE,
        {"account_id": "acme", "message_id": "msg_1"},
        at,
        5,
    )
    assert first.reason.startswith("KeyError at")
    assert (second.reason, second.tries, second.since) == (UNKNOWN, None, at)
    assert unreadable.job == {}


async def test_poison_is_put_back_and_its_reason_forgotten(world: World) -> None:
    """Of one queue, or of all; a queue that is none of ours is refused by name."""
    await failed(world, 5)
    for queue in QUEUES:
        world.poison.given_up(queue, TEXT, world.clock())
    assert await world.poisons.put_back(QUEUE) == {QUEUE: 1}
    assert not world.poison.failures
    assert world.work.visible(QUEUE) == [JOB]
    counts = await world.poisons.put_back()
    assert counts == {queue: int(queue != QUEUE) for queue in QUEUES}
    with pytest.raises(InvalidRequest) as refused:
        await world.poisons.put_back("mail-sends-poison")
    assert QUEUE in str(refused.value.extra)


async def test_a_crash_while_it_is_put_back_loses_nothing(world: World) -> None:
    """Put first, then deleted: it may be there twice, which its worker bears."""
    world.poison.given_up(QUEUE, TEXT, world.clock())
    world.faults.fail("poison.delete", Crash())
    with pytest.raises(Crash):
        await world.poisons.put_back(QUEUE)
    assert world.work.visible(QUEUE) == [JOB]
    assert await world.poisons.put_back(QUEUE) == {QUEUE: 1}


async def test_the_hosts_copies_are_kept(world: World) -> None:
    """Of every queue."""
    for queue in QUEUES:
        world.poison.given_up(queue, TEXT, world.clock())
    assert await world.poisons.keep() == len(QUEUES)
    assert await world.poisons.keep() == 0


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"account_id": "acme"}', SECRET])
def test_a_message_that_can_not_be_read_has_a_key_and_no_ids(text: str) -> None:
    """The same text has the same key, and the key says nothing of it."""
    assert ids_of(QUEUE, text) == {}
    assert key_of(QUEUE, text) == key_of(QUEUE, text)
    assert SECRET not in key_of(QUEUE, text)
    assert key_of(QUEUE, text) != key_of(QUEUE, text + " ")
