"""
The process dies at any one of its calls to the outside, before or after that call took effect; then what was under way is
delivered again, or swept (each_crash.py).
"""

from datetime import timedelta

import pytest

from sync.domain.connection import Connection, State
from sync.domain.errors import Declined, Unclear
from sync.domain.message import Contact
from sync.domain.outgoing import OutgoingFile
from sync.jobs import CatchUp, SendMail
from tests.fakes.faults import Crash
from tests.fakes.mail import HeldFile
from tests.unit.flows.conftest import DANA, new_world
from tests.unit.flows.each_crash import Story, everything_was_heard, with_each_crash
from tests.unit.flows.world import ACCOUNT, ADA, World

pytestmark = pytest.mark.long

BOB = Contact("bob@world.example", "Bob")
TEXT = OutgoingFile("notes.txt", "text/plain", b"first")


async def sending(world: World, files: tuple[OutgoingFile, ...] = ()) -> None:
    await world.accepted(await world.connected(DANA), files=files)


async def a_send() -> World:
    world = new_world()
    await sending(world, (TEXT, TEXT))
    return world


async def a_send_without_notifications() -> World:
    world = new_world()
    await sending(world)
    world.subscriptions.open_ones.clear()
    return world


async def a_send_whose_answer_is_lost() -> World:
    world = new_world()
    await sending(world)
    world.faults.fail("mail.send", Unclear(), applied=True)
    world.mail.sent_copy_delay = timedelta(seconds=40)
    return world


async def a_send_that_takes_two_tries() -> World:
    world = new_world()
    await sending(world)
    world.faults.fail("mail.send", Unclear())
    return world


async def an_answer() -> World:
    world = new_world()
    dana = await world.connected(DANA)
    first = await world.sent(dana)
    world.mail.outgoing.clear()
    await world.accepted(dana, key="key-2", thread_id=first.thread_id)
    return world


async def an_answer_to_an_unread_message() -> World:
    """Graph marks as read what is answered, adds recipients, and takes over an inline file that is called as ours."""
    world = new_world()
    dana = await world.connected(DANA)
    first = await world.sent(dana)
    world.mail.arrives(
        dana.mailbox,
        ADA.address,
        "RE: Offer",
        answers=world.mail.sent_copy(first.message_id),
        files=[HeldFile(TEXT.name, b"theirs", "text/plain", inline=True)],
    )
    await world.settle()
    world.mail.outgoing.clear()
    world.mail.answering_marks_read = world.mail.adds_recipients = True
    await world.accepted(dana, key="key-2", thread_id=first.thread_id, to=[BOB], files=[TEXT])
    return world


async def a_send_into_a_thread_of_an_ended_connection() -> World:
    world = new_world()
    first = await world.sent(await world.connected(DANA))
    await world.disconnect.delete(ACCOUNT, "u1")
    again = await world.connected(DANA)
    world.mail.outgoing.clear()
    await world.accepted(again, key="key-2", thread_id=first.thread_id)
    return world


@pytest.mark.parametrize(
    "story",
    [
        a_send,
        a_send_without_notifications,
        a_send_whose_answer_is_lost,
        a_send_that_takes_two_tries,
        an_answer,
        an_answer_to_an_unread_message,
        a_send_into_a_thread_of_an_ended_connection,
    ],
)
async def test_a_crash_never_makes_a_second_email_or_a_second_outcome(story: Story) -> None:
    """
    Exactly one email leaves, to whom it was for, with its files once, and exactly one `message.sent` is told, wherever the
    process dies; and what it answers is as unread as it was.
    """

    async def check(world: World) -> None:
        (left,) = world.mail.outgoing
        message = await world.message(left.seen.stamp)
        assert [file.name for file in left.files] == [file.name for file in message.attachments]
        assert b"theirs" not in [file.content for file in left.files]
        assert (left.seen.to, left.seen.cc, left.seen.bcc) == (message.to, message.cc, ())
        assert world.mail.read_ones() == []
        outcomes = [e.type for e in await world.feed() if message.message_id in str(e.data)]
        assert outcomes == ["message.sent"]
        assert world.mail.drafts() == []
        await everything_was_heard(world)

    await with_each_crash(story, check)


async def test_a_crash_never_makes_a_second_failure_of_a_refused_send() -> None:
    """A refused send is told as failed once, and nothing leaves."""

    async def story() -> World:
        world = new_world()
        await sending(world)
        world.mail.refuses_to_send = Declined(code="ErrorSendAsDenied", status=403)
        return world

    async def check(world: World) -> None:
        assert world.mail.outgoing == []
        assert [kind for kind in await world.told() if kind.startswith("message.")] == ["message.failed"]
        await everything_was_heard(world)

    await with_each_crash(story, check)


async def test_a_crash_never_loses_or_doubles_a_reply() -> None:
    """A reply with a file becomes exactly one message and one `message.synced`, wherever the process dies."""

    async def story() -> World:
        world = new_world()
        dana = await world.connected(DANA)
        sent = await world.sent(dana)
        copy = world.mail.sent_copy(sent.message_id)
        files = [HeldFile("notes.txt", b"plain words", "text/plain")]
        world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy, files=files)
        return world

    async def check(world: World) -> None:
        assert (await world.told())[2:] == ["message.synced"]
        thread_id = str((await world.feed())[-1].data["message"]["thread_id"])  # type: ignore[index]
        messages = await world.journal.messages_of(ACCOUNT, thread_id)
        assert [m.origin for m in messages] == ["crm", "contact"]
        assert [a.status for a in messages[1].attachments] == ["synced"]
        await everything_was_heard(world)

    await with_each_crash(story, check)


async def test_a_crash_never_keeps_the_crm_from_hearing_that_a_sign_in_is_refused() -> None:
    """`connection.needs_reconnect` is told exactly once, even if the process dies as it finds out."""

    async def story() -> World:
        world = new_world()
        dana = await world.connected(DANA)
        world.people.revoke(DANA)
        world.mail.arrives(dana.mailbox, ADA.address, "Hello")
        return world

    async def check(world: World) -> None:
        assert (await world.connection()).state is State.NEEDS_RECONNECT
        assert (await world.told())[1:] == ["connection.needs_reconnect"]
        await everything_was_heard(world)

    await with_each_crash(story, check)


async def test_a_crash_never_keeps_a_mailbox_from_being_watched() -> None:
    """A completed connection gets its subscription, and the CRM hears `connection.connected` once."""

    async def story() -> World:
        world = new_world()
        await world.connect.complete(ACCOUNT, "u1", await world.completion_code(DANA))
        return world

    async def check(world: World) -> None:
        dana = await world.connection()
        assert dana.state is State.CONNECTED
        assert dana.subscription is not None
        assert list(world.subscriptions.open_ones) == [dana.subscription.subscription_id]
        assert await world.told() == ["connection.connected"]
        assert CatchUp(dana.connection_id).key in world.work.promises, "nobody will look for what Graph does not tell"

    await with_each_crash(story, check)


async def test_an_accept_that_died_is_made_good_by_the_same_request_again() -> None:
    """The CRM got no answer and asks again with its key: the email is sent once, wherever the first request died."""
    calls = 100
    number = 1
    while number <= calls:
        for applied in (False, True):
            world = new_world()
            dana = await world.connected(DANA)
            before = len(world.faults.calls)
            world.faults.crash_at(number, applied=applied)
            try:
                await world.accepted(dana, files=[TEXT])
                calls = len(world.faults.calls) - before
            except Crash:
                pass
            world.faults.clear()
            message = await world.accepted(dana, files=[TEXT])
            await world.settle()
            assert [item.seen.stamp for item in world.mail.outgoing] == [message.message_id], f"call {number}"
            assert (await world.told()).count("message.sent") == 1
            assert not [job for job, _ in world.work.promises.values() if isinstance(job, SendMail)]
        number += 1
    assert number > 5


async def assert_whole(world: World, connection: Connection) -> None:
    """This connection is watched and can be used, and of no other one anything is left at Graph or in the store."""
    assert connection.state is State.CONNECTED
    assert list(world.tokens.stored) == [connection.connection_id]
    assert connection.subscription is not None
    assert list(world.subscriptions.open_ones) == [connection.subscription.subscription_id]


@pytest.mark.parametrize("before", [None, DANA, "bob@crm.example"], ids=["first", "same mailbox", "another mailbox"])
async def test_a_completion_that_died_leaves_one_whole_connection_or_none(before: str | None) -> None:
    """
    The process dies in `complete` and nobody tries again: the connection there was still works, or the new one does.

    Never both, never half of one, and no stored sign-in without a connection.
    """
    calls = 100
    number = 1
    while number <= calls:
        for applied in (False, True):
            world = new_world()
            if before is not None:
                await world.connected(before)
            code = await world.completion_code(DANA)
            first_call = len(world.faults.calls)
            world.faults.crash_at(number, applied=applied)
            try:
                await world.connect.complete(ACCOUNT, "u1", code)
                calls = len(world.faults.calls) - first_call
            except Crash:
                pass
            world.faults.clear()
            await world.settle()
            current = await world.connections.of_user(ACCOUNT, "u1")
            try:
                if current is None:
                    assert not world.tokens.stored
                    assert not world.subscriptions.open_ones
                else:
                    await assert_whole(world, current)
            except AssertionError as error:
                call = world.faults.calls[first_call + number - 1]
                raise AssertionError(
                    f"died {'after' if applied else 'before'} call {number}, {call}: {error}"
                ) from error
        number += 1
    assert number > 5


async def test_a_delete_that_died_ends_the_connection_or_leaves_it_whole() -> None:
    """The process dies in `delete` and nobody tries again: then the connection works on, or nothing of it is left."""
    calls = 100
    number = 1
    while number <= calls:
        for applied in (False, True):
            world = new_world()
            await world.connected(DANA)
            first_call = len(world.faults.calls)
            world.faults.crash_at(number, applied=applied)
            try:
                await world.disconnect.delete(ACCOUNT, "u1")
                calls = len(world.faults.calls) - first_call
            except Crash:
                pass
            world.faults.clear()
            await world.settle()
            current = await world.connection()
            if current.live:
                await assert_whole(world, current)
            else:
                assert not world.tokens.stored, f"call {number}"
                assert not world.subscriptions.open_ones, f"call {number}"
        number += 1
    assert number > 5
