"""Sending while Graph does not answer clearly, late, or not at all: it is looked for, and never written twice."""

from datetime import timedelta

import pytest

from sync.domain.connection import Connection
from sync.domain.errors import Throttled, Unclear
from sync.domain.outgoing import OutgoingFile
from sync.flows.draft import LOOKS_FOR_LOST_DRAFT
from tests.unit.flows.sent_once import DAY, TEXT, assert_sent_once, outcomes
from tests.unit.flows.world import World

CALLS = ("mail.create_draft", "mail.add_file", "mail.send", "mail.keys", "mail.find_stamped", "mail.file_names")


@pytest.mark.parametrize("applied", [False, True], ids=["not applied", "applied"])
@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("call", CALLS)
async def test_an_unclear_answer_is_followed_by_a_look_not_by_a_second_email(
    world: World, dana: Connection, call: str, times: int, applied: bool
) -> None:
    """After a timeout or a 5xx the email still leaves once, with its file once, and is told once."""
    if times > 1 and applied and call == "mail.send":
        world.mail.sent_copy_delay = timedelta(minutes=2)
    world.faults.fail(call, Unclear(), applied=applied, times=times)
    # Makes sure that the calls which only follow another trouble are made, too.
    world.faults.fail("mail.add_file", Unclear(), applied=applied)
    world.faults.fail("mail.send", Unclear(), applied=applied)
    message = await world.accepted(dana, files=[TEXT])
    await world.settle()

    await assert_sent_once(world, message)
    assert [file.name for file in world.mail.outgoing[0].files] == ["notes.txt"]


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=10)])
@pytest.mark.parametrize("applied", [False, True], ids=["not applied", "applied"])
async def test_a_send_answered_504_goes_out_once_however_long_the_mailbox_takes(
    world: World, dana: Connection, delay: timedelta, applied: bool
) -> None:
    """The mailbox may carry a submitted email over for minutes: it is neither sent again nor told as failed."""
    world.mail.sent_copy_delay = delay
    world.faults.fail("mail.send", Unclear("504 GatewayTimeout"), applied=applied)
    message = await world.accepted(dana)
    await world.settle()

    await assert_sent_once(world, message)


async def test_an_accepted_send_is_never_asked_again(world: World, dana: Connection) -> None:
    """Once Graph answered 202, /send is not repeated, even if the copy takes long to show."""
    world.mail.sent_copy_delay = timedelta(minutes=20)
    message = await world.accepted(dana)
    await world.settle()

    await assert_sent_once(world, message)
    assert world.faults.count("mail.send") == 1


async def test_a_throttled_second_try_does_not_forget_the_first(world: World, dana: Connection) -> None:
    """First try: its answer lost, yet it goes. Second: throttled. If then no trace is to be seen, no new draft is made."""
    world.mail.sent_copy_delay = timedelta(minutes=5)
    world.faults.fail("mail.send", Unclear(), applied=True)
    world.faults.fail("mail.send", Throttled(retry_after=timedelta(seconds=1)))
    message = await world.accepted(dana)
    await world.settle(timedelta(seconds=20))
    assert world.faults.count("mail.send") == 2

    world.mail.hides_submitted = True
    await world.settle()
    await assert_sent_once(world, message)
    assert world.faults.count("mail.create_draft") == 1


@pytest.mark.parametrize("answered", [False, True], ids=["answer lost", "answered"])
async def test_an_email_that_can_not_be_seen_on_its_way_is_waited_for(
    world: World, dana: Connection, answered: bool
) -> None:
    """Between /send and Sent Items a message may be nowhere: it is not written again."""
    world.mail.hides_submitted = True
    world.mail.sent_copy_delay = timedelta(minutes=10)
    if not answered:
        world.faults.fail("mail.send", Unclear(), applied=True)
    message = await world.accepted(dana)
    await world.settle()

    await assert_sent_once(world, message)
    assert (world.faults.count("mail.create_draft"), world.faults.count("mail.send")) == (1, 1)


async def test_throttling_is_waited_out(world: World, dana: Connection) -> None:
    """Nothing is asked before Retry-After has passed, and then the email leaves."""
    world.faults.fail("mail.send", Throttled(retry_after=timedelta(minutes=7)))
    began = world.clock()
    message = await world.accepted(dana)
    await world.settle(timedelta(minutes=6))
    assert world.faults.count("mail.send") == 1

    await world.settle()
    stored = await assert_sent_once(world, message)
    assert stored.sent_at is not None
    assert stored.sent_at - began >= timedelta(minutes=7)


@pytest.mark.long
async def test_a_mailbox_that_answers_nothing_for_a_day_fails_the_send(world: World, dana: Connection) -> None:
    """The CRM is not left waiting for ever: after 24 hours it is told, once."""
    world.faults.fail("mail.*", Unclear(), times=100_000)
    await world.accepted(dana)
    await world.settle(2 * DAY)

    assert await outcomes(world) == ["message.failed"]
    assert world.mail.outgoing == []


async def test_a_sent_copy_that_was_deleted_at_once_does_not_make_the_send_failed(
    world: World, dana: Connection
) -> None:
    """Graph said 202 and the message is no draft any more: it went, even if nobody can see its copy."""
    message = await world.accepted(dana)

    async def delete_copy() -> None:
        world.clock.advance(timedelta(seconds=2))
        world.mail.delete(world.mail.sent_copy(message.message_id).graph_id)

    world.faults.meanwhile("mail.send", delete_copy, applied=True)
    await world.settle(2 * DAY)

    assert await outcomes(world) == ["message.sent"]
    assert len(world.mail.outgoing) == 1


async def test_a_deleted_draft_is_made_again(world: World, dana: Connection) -> None:
    """A user who deletes our draft before it was sent does not keep the email from leaving."""
    message = await world.accepted(dana, files=[TEXT])

    async def delete_draft() -> None:
        world.mail.delete(world.mail.drafts()[0].seen.graph_id)

    world.faults.meanwhile("mail.add_file", delete_draft)
    await world.settle()

    await assert_sent_once(world, message)
    assert [file.name for file in world.mail.outgoing[0].files] == ["notes.txt"]


async def test_a_draft_that_shows_late_is_not_made_twice(world: World, dana: Connection) -> None:
    """The draft was made, the answer lost, and Graph's index shows it only after some seconds."""
    world.mail.indexed_after = timedelta(seconds=sum((1, 3)[:LOOKS_FOR_LOST_DRAFT]))
    world.faults.fail("mail.create_draft", Unclear(), applied=True)
    message = await world.accepted(dana)
    await world.settle()

    await assert_sent_once(world, message)
    assert world.mail.drafts() == []


@pytest.mark.parametrize("same_name", [False, True], ids=["other names", "equal names"])
@pytest.mark.parametrize("applied", [False, True], ids=["not applied", "applied"])
@pytest.mark.parametrize("which", [0, 1, 2])
async def test_every_file_is_on_the_email_once(
    world: World, dana: Connection, which: int, applied: bool, same_name: bool
) -> None:
    """Whichever file's answer was lost, and even if files have one name, each arrives once, in order."""
    names = ["a.txt"] * 3 if same_name else ["a.txt", "b.txt", "c.txt"]
    files = [OutgoingFile(name, "text/plain", f"file {i}".encode()) for i, name in enumerate(names)]
    world.faults.fail("mail.add_file", Unclear(), applied=applied, skip=which)
    message = await world.accepted(dana, files=files)
    await world.settle()

    await assert_sent_once(world, message)
    assert [file.content for file in world.mail.outgoing[0].files] == [b"file 0", b"file 1", b"file 2"]
