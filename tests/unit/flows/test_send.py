"""Sending: one email leaves and one outcome is told, whatever Graph answers."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from sync.domain.connection import Connection, State
from sync.domain.errors import Declined, Gone, Throttled, Unclear
from sync.domain.message import Message, Status
from sync.domain.outgoing import OutgoingFile
from sync.flows.send import LOOKS_FOR_LOST_DRAFT
from sync.jobs import SendMail
from tests.unit.flows.world import ACCOUNT, ADA, World

DAY = timedelta(hours=25)
TEXT = OutgoingFile("notes.txt", "text/plain", b"first")


async def outcomes(world: World) -> list[str]:
    """What the CRM was told of sends."""
    return [kind for kind in await world.told() if kind in ("message.sent", "message.failed")]


async def assert_sent_once(world: World, message: Message) -> Message:
    """One email left, one `message.sent` was told, nothing is left to do, and the journal knows the Sent copy."""
    assert [item.seen.stamp for item in world.mail.outgoing] == [message.message_id]
    assert await outcomes(world) == ["message.sent"]
    assert not [job for job, _ in world.work.promises.values() if isinstance(job, SendMail)]
    stored = await world.message(message.message_id)
    copy = world.mail.sent_copy(message.message_id)
    assert (stored.status, stored.graph_id) == (Status.SENT, copy.graph_id)
    assert stored.internet_message_id == copy.keys.internet_message_id
    return stored


async def test_a_send_reaches_the_contact_and_is_told_once_as_sent(world: World, dana: Connection) -> None:
    """The email goes out as accepted; its copy in Sent Items is the proof, and is not told a second time."""
    message = await world.accepted(dana)
    await world.settle()

    stored = await assert_sent_once(world, message)
    assert [address.address for address in world.mail.outgoing[0].seen.to] == [ADA.address]
    assert world.mail.outgoing[0].body.html == "<p>Hi</p>"
    assert stored.sent_at == world.mail.sent_copy(message.message_id).sent_at
    assert world.crm.heard[-1].type == "message.sent"


async def test_a_send_is_confirmed_even_if_graph_never_tells_of_the_sent_copy(world: World, dana: Connection) -> None:
    """Without any notification the app looks for itself."""
    world.subscriptions.open_ones.clear()
    message = await world.accepted(dana)
    await world.settle()

    await assert_sent_once(world, message)


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
    """First try: its answer lost, yet it goes. Second: throttled. Nothing in between makes a new draft, a second email."""
    world.mail.sent_copy_delay = timedelta(minutes=1)
    world.faults.fail("mail.send", Unclear(), applied=True)
    world.faults.fail("mail.send", Throttled(retry_after=timedelta(seconds=1)))
    # Until its copy shows, a submitted message can be nowhere to be seen.
    world.faults.fail("mail.keys", Gone(), skip=3, times=6)
    world.faults.fail("mail.find_stamped", Gone(), times=6)
    message = await world.accepted(dana)
    await world.settle()

    await assert_sent_once(world, message)
    assert world.faults.count("mail.create_draft") == 1


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


@pytest.mark.parametrize("call", ["mail.create_draft", "mail.add_file", "mail.send"])
async def test_a_refusal_is_told_as_failed_in_outlooks_words(world: World, dana: Connection, call: str) -> None:
    """A permanent no ends the send at once; the CRM hears Outlook's code and reason, and nothing leaves."""
    refusal = Declined("You can't send as this person.", code="ErrorSendAsDenied", status=403)
    world.faults.fail(call, refusal)
    message = await world.accepted(dana, files=[TEXT])
    await world.settle(DAY)

    assert world.mail.outgoing == []
    assert await outcomes(world) == ["message.failed"]
    told = (await world.feed())[-1].data["problem"]
    assert told == {"code": "ErrorSendAsDenied", "detail": "Outlook refused the email: You can't send as this person."}
    assert (await world.message(message.message_id)).status is Status.FAILED


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


async def test_two_workers_on_one_message_send_one_email(world: World, dana: Connection) -> None:
    """A wake-up that was delivered twice meets the other's lease."""
    message = await world.accepted(dana)
    world.work.put(SendMail.queue, SendMail(ACCOUNT, message.message_id).to_json())
    jobs = [SendMail(ACCOUNT, message.message_id)] * 3
    await asyncio.gather(*(world.work_off(job) for job in jobs))
    await world.settle()

    await assert_sent_once(world, message)


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


async def test_a_delete_of_the_connection_stops_what_was_not_sent(world: World, dana: Connection) -> None:
    """Disconnected before the worker came: nothing leaves, and the CRM is told why."""
    message = await world.accepted(dana)
    await world.connect.delete(ACCOUNT, "u1")
    await world.settle()

    assert world.mail.outgoing == []
    assert await outcomes(world) == ["message.failed"]
    assert (await world.message(message.message_id)).problem_code == "connection_disconnected"


@pytest.mark.parametrize("call", ["mail.create_draft", "anchors.add", "mail.add_file", "content.file"])
async def test_a_delete_while_the_worker_is_at_it_stops_the_send(world: World, dana: Connection, call: str) -> None:
    """Up to the moment of /send itself a disconnect keeps the email from leaving."""

    async def disconnect() -> None:
        await world.connect.delete(ACCOUNT, "u1")

    await world.accepted(dana, files=[TEXT])
    world.faults.meanwhile(call, disconnect)
    await world.settle(DAY)

    assert world.mail.outgoing == []
    assert await outcomes(world) == ["message.failed"]


async def test_a_send_waits_for_the_user_to_sign_in_again(world: World, dana: Connection) -> None:
    """A refused sign-in holds the send back, tells the CRM once, and signing in again lets it go."""
    message = await world.accepted(dana)
    world.people.revoke(dana.mailbox.email)
    await world.settle()
    assert (await world.connection()).state is State.NEEDS_RECONNECT
    assert (await world.told()).count("connection.needs_reconnect") == 1

    renewed = await world.connected(dana.mailbox.email)
    assert renewed.connection_id == dana.connection_id
    await world.settle(DAY)
    await assert_sent_once(world, message)


async def test_an_answer_goes_into_the_conversation_and_quotes_what_it_answers(world: World, dana: Connection) -> None:
    """A send into a thread answers its newest message: same conversation, its Message-ID, its words below."""
    first = await world.sent(dana)
    copy = world.mail.sent_copy(first.message_id)
    reply = world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    await world.settle()
    answer = await world.sent(dana, key="key-2", thread_id=first.thread_id)

    left = world.mail.outgoing[-1]
    assert left.seen.keys.in_reply_to == reply.keys.internet_message_id
    assert left.seen.keys.conversation_id == copy.keys.conversation_id
    assert left.body.html is not None
    assert left.body.html.startswith("<p>Hi</p>")
    assert "Hello" in left.body.html
    assert answer.in_reply_to == reply.keys.internet_message_id
    assert answer.thread_id == first.thread_id


async def test_an_answer_to_a_deleted_message_answers_the_one_before(world: World, dana: Connection) -> None:
    """What the user deleted can't be answered; the thread goes on from what is left."""
    first = await world.sent(dana)
    copy = world.mail.sent_copy(first.message_id)
    reply = world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    await world.settle()
    world.mail.delete(reply.graph_id)
    await world.sent(dana, key="key-2", thread_id=first.thread_id)

    assert world.mail.outgoing[-1].seen.keys.in_reply_to == copy.keys.internet_message_id


async def test_an_answer_with_nothing_left_to_answer_goes_out_as_a_new_email(world: World, dana: Connection) -> None:
    """Even with the whole thread deleted from the mailbox the email leaves, and stays in the CRM's thread."""
    first = await world.sent(dana)
    world.mail.delete(world.mail.sent_copy(first.message_id).graph_id)
    answer = await world.sent(dana, key="key-2", thread_id=first.thread_id)

    assert answer.status is Status.SENT
    assert answer.thread_id == first.thread_id
    assert world.mail.outgoing[-1].seen.keys.in_reply_to == ""


async def test_a_send_takes_up_a_thread_of_an_ended_connection_again(world: World, dana: Connection) -> None:
    """Old threads stay stopped after a new connect, until the CRM sends into one: then answers to it sync again."""
    first = await world.sent(dana)
    copy = world.mail.sent_copy(first.message_id)
    await world.connect.delete(ACCOUNT, "u1")
    again = await world.connected(dana.mailbox.email)
    assert again.connection_id != dana.connection_id
    world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    await world.settle()
    assert "message.synced" not in await world.told()

    await world.sent(again, key="key-2", thread_id=first.thread_id)
    world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    await world.settle()
    assert (await world.told()).count("message.synced") == 1
    thread = await world.journal.thread(ACCOUNT, first.thread_id)
    assert thread is not None
    assert thread.connection_id == again.connection_id


async def test_a_wake_up_of_a_message_that_is_not_there_is_forgotten(world: World, dana: Connection) -> None:
    """An erased message leaves no promise behind that would be swept for ever."""
    job = SendMail(ACCOUNT, "msg_none")
    await world.work.promise(job, due_at=world.clock())
    await world.settle()

    assert job.key not in world.work.promises


async def test_outcome_of_a_send_is_told_with_its_final_ids(world: World, dana: Connection) -> None:
    """`message.sent` carries the Message-ID by which answers will come."""
    message = await world.sent(dana)
    (event,) = [event for event in await world.feed() if event.type == "message.sent"]
    told = event.data["message"]
    assert isinstance(told, dict)
    assert told["internet_message_id"] == message.internet_message_id
    assert replace(message, outbox=None).contact_ids == ("c-ada",)
