"""Sending: one email leaves and one outcome is told, whatever Graph answers."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from sync.domain import send_refusal
from sync.domain.connection import Connection, State, disconnected
from sync.domain.errors import Declined, Gone, OperatorAlarm, Unclear
from sync.domain.message import Status
from sync.jobs import SendMail
from tests.unit.flows.sent_once import DAY, TEXT, assert_sent_once, outcomes
from tests.unit.flows.world import ACCOUNT, ADA, World


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


@pytest.mark.parametrize("call", ["mail.create_draft", "mail.add_file", "mail.send"])
async def test_a_refusal_is_told_as_failed_with_what_to_do(world: World, dana: Connection, call: str) -> None:
    """A permanent no ends the send at once; the CRM hears Outlook's code, the reason and what to do, and nothing leaves."""
    refusal = Declined("You can't send as this person.", code="ErrorSendAsDenied", status=403)
    world.faults.fail(call, refusal)
    message = await world.accepted(dana, files=[TEXT])
    await world.settle(DAY)

    assert world.mail.outgoing == []
    assert await outcomes(world) == ["message.failed"]
    told = (await world.feed())[-1].data["problem"]
    detail, what_to_do = send_refusal.explained("ErrorSendAsDenied", 403, "")
    assert told == {"code": "ErrorSendAsDenied", "detail": detail, "what_to_do": what_to_do}
    assert (await world.message(message.message_id)).status is Status.FAILED


async def test_two_workers_on_one_message_send_one_email(world: World, dana: Connection) -> None:
    """A wake-up that was delivered twice meets the other's lease."""
    message = await world.accepted(dana)
    world.work.put(SendMail.queue, SendMail(ACCOUNT, message.message_id).to_json())
    jobs = [SendMail(ACCOUNT, message.message_id)] * 3
    await asyncio.gather(*(world.work_off(job) for job in jobs))
    await world.settle()

    await assert_sent_once(world, message)


async def test_a_delete_of_the_connection_stops_what_was_not_sent(world: World, dana: Connection) -> None:
    """Disconnected before the worker came: nothing leaves, and the CRM is told why."""
    message = await world.accepted(dana)
    await world.disconnect.delete(ACCOUNT, "u1")
    await world.settle()

    assert world.mail.outgoing == []
    assert await outcomes(world) == ["message.failed"]
    assert (await world.message(message.message_id)).problem_code == "connection_disconnected"


async def test_what_graph_has_taken_is_told_as_sent_though_the_connection_ends(world: World, dana: Connection) -> None:
    """The user disconnects between Graph's yes and the copy in Sent Items: the email left, and nobody is told otherwise."""
    message = await world.accepted(dana)
    world.mail.on_change = lambda identity, graph_id, change: None
    await world.settle(timedelta(seconds=1))
    await world.disconnect.delete(ACCOUNT, "u1")
    await world.settle()

    assert [item.seen.stamp for item in world.mail.outgoing] == [message.message_id]
    assert await outcomes(world) == ["message.sent"]


@pytest.mark.parametrize("applied", [True, False], ids=["it left", "it did not leave"])
async def test_what_nobody_knows_of_is_told_so_when_the_connection_ends(
    world: World, dana: Connection, applied: bool
) -> None:
    """Graph's answer was lost, and then there is no mailbox any more to look into: the CRM hears that it may have left."""
    message = await world.accepted(dana)
    world.mail.on_change = lambda identity, graph_id, change: None
    world.faults.fail("mail.send", Unclear(), applied=applied)
    await world.settle(timedelta(0))
    await world.disconnect.delete(ACCOUNT, "u1")
    await world.settle()

    assert len(world.mail.outgoing) == applied
    assert await outcomes(world) == ["message.failed"]
    assert (await world.message(message.message_id)).problem_code == "outcome_unknown"


CLOSED = Declined("The mailbox is not enabled.", code="MailboxNotEnabledForRESTAPI", status=403)
#: What may become of a mailbox, for more than a day, once Graph was asked to send.
OUT_OF_SIGHT: dict[str, Callable[[World, Connection], None]] = {
    "signed out": lambda world, dana: world.people.revoke(dana.mailbox.email),
    "silent": lambda world, _: world.faults.outage("mail.*", Unclear(), lambda: True),
    "closed": lambda world, _: world.faults.outage("mail.*", CLOSED, lambda: True),
    "our secret has expired": lambda world, _: world.faults.outage("mail.*", OperatorAlarm("expired"), lambda: True),
    "copy deleted": lambda world, _: world.faults.outage("mail.*", Gone(), lambda: True),
}


@pytest.mark.parametrize("becomes", OUT_OF_SIGHT)
async def test_what_graph_has_taken_is_told_as_sent_though_nobody_can_look(
    world: World, dana: Connection, becomes: str
) -> None:
    """Graph said yes, and then the mailbox can't be looked into until the send is given up: the email left, and it is told so."""
    message = await world.accepted(dana)
    world.mail.on_change = lambda identity, graph_id, change: None
    await world.settle(timedelta(seconds=1))
    OUT_OF_SIGHT[becomes](world, dana)
    await world.settle(DAY)

    assert [item.seen.stamp for item in world.mail.outgoing] == [message.message_id]
    assert await outcomes(world) == ["message.sent"]


@pytest.mark.parametrize("applied", [True, False], ids=["it left", "it did not leave"])
@pytest.mark.parametrize("becomes", OUT_OF_SIGHT)
async def test_what_nobody_knows_of_is_told_so_when_nobody_can_look(
    world: World, dana: Connection, becomes: str, applied: bool
) -> None:
    """Graph's answer was lost, and then the mailbox can't be looked into: nobody is told to send it again."""
    message = await world.accepted(dana)
    world.mail.on_change = lambda identity, graph_id, change: None
    world.faults.fail("mail.send", Unclear(), applied=applied)
    await world.settle(timedelta(0))
    OUT_OF_SIGHT[becomes](world, dana)
    await world.settle(DAY)

    assert len(world.mail.outgoing) == applied
    assert await outcomes(world) == ["message.failed"]
    told = await world.message(message.message_id)
    assert told.problem_code == "outcome_unknown"
    assert "then the mailbox gave no clear answer for 24 hours" in told.problem


@pytest.mark.parametrize("call", ["mail.create_draft", "anchors.add", "mail.add_file", "content.file"])
async def test_a_delete_while_the_worker_is_at_it_stops_the_send(world: World, dana: Connection, call: str) -> None:
    """Up to the moment of /send itself a disconnect keeps the email from leaving."""

    async def disconnect() -> None:
        await world.disconnect.delete(ACCOUNT, "u1")

    await world.accepted(dana, files=[TEXT])
    world.faults.meanwhile(call, disconnect)
    await world.settle(DAY)

    assert world.mail.outgoing == []
    assert await outcomes(world) == ["message.failed"]


async def test_nothing_is_sent_once_the_row_says_disconnected(world: World, dana: Connection) -> None:
    """Even where a token is still at hand: the row counts, read last of all before /send."""

    async def end() -> None:
        await world.connections.save(disconnected(await world.connection()))

    await world.accepted(dana, files=[TEXT])
    world.faults.meanwhile("content.file", end)
    await world.settle(DAY)

    assert world.faults.count("mail.send") == 0
    assert await outcomes(world) == ["message.failed"]


async def test_a_second_worker_leaves_a_message_alone_that_the_first_is_at(world: World, dana: Connection) -> None:
    """It asks nothing of the mailbox, and comes back when the first one's time is over."""
    message = await world.accepted(dana)
    seen: list[str] = []

    async def second_worker() -> None:
        before = len(world.faults.calls)
        await world.work_off(SendMail(ACCOUNT, message.message_id))
        seen.extend(call for call in world.faults.calls[before:] if call.startswith("mail."))

    world.faults.meanwhile("mail.create_draft", second_worker)
    await world.settle()

    assert seen == []
    await assert_sent_once(world, message)


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


async def test_an_answer_is_never_to_an_email_that_was_not_sent(world: World, dana: Connection) -> None:
    """What was refused was never said, though its draft lies in the mailbox: the one before it is answered."""
    first = await world.sent(dana)
    world.mail.refuses_to_send = Declined("No.", code="ErrorSendAsDenied", status=403)
    refused = await world.sent(dana, key="key-2", thread_id=first.thread_id)
    assert refused.status is Status.FAILED
    world.mail.refuses_to_send = None
    await world.sent(dana, key="key-3", thread_id=first.thread_id)

    assert world.mail.outgoing[-1].seen.keys.in_reply_to == first.internet_message_id


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
    await world.disconnect.delete(ACCOUNT, "u1")
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
