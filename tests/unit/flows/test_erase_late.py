"""What is erased later than the call, and the connections of a user beside each other: ended, dead, shared, or new."""

from dataclasses import replace
from datetime import timedelta

import pytest

from sync.domain.connection import Connection, Erased, State
from sync.domain.errors import Unclear
from sync.domain.event import connection_event
from sync.domain.ids import key_hash
from sync.domain.message import Status
from sync.domain.outgoing import Outgoing
from sync.jobs import EraseUser
from tests.fakes.faults import Crash
from tests.unit.flows.conftest import DANA
from tests.unit.flows.erasing import BOB, OF_A_CONVERSATION, OF_MAIL, ErasingWorld
from tests.unit.flows.world import ACCOUNT, ADA

DAYS = timedelta(days=3)


@pytest.fixture
def world() -> ErasingWorld:
    """An app with nothing in it."""
    return ErasingWorld()


@pytest.fixture
async def dana(world: ErasingWorld) -> Connection:
    """Dana's mailbox, with one conversation synced."""
    connection = await world.connected(DANA)
    await world.conversation(connection)
    return connection


async def test_what_takes_too_long_goes_on_in_the_background(world: ErasingWorld, dana: Connection) -> None:
    """The answer comes with its counts, and all is removed soon after."""
    world.impatient()
    connection = await world.erase.erase(ACCOUNT, "u1")
    assert connection.erased == OF_A_CONVERSATION
    assert world.traces(OF_MAIL) != []
    await world.settle(timedelta(minutes=1))
    assert world.traces() == []
    await world.settle()
    assert not world.work.promises


async def late_with_erasing(world: ErasingWorld) -> Connection:
    """Dana was erased, and has connected the same mailbox again, but nothing was removed yet."""
    world.impatient()
    await world.erase.erase(ACCOUNT, "u1")
    world.put_off_erasures(timedelta(hours=12))
    return await world.connected(DANA)


async def test_a_new_connection_loses_nothing_to_a_late_removal(world: ErasingWorld, dana: Connection) -> None:
    """Its thread goes on before and after, and its keys keep their answers; what was erased goes."""
    again = await late_with_erasing(world)
    sent = await world.sent(again, key="key-2")
    answer = await world.accept.accept(ACCOUNT, "key-2", Outgoing("individual", "u1", (ADA,), ""), "hash of key-2")
    reply = world.mail.arrives(again.mailbox, ADA.address, "RE: Offer", answers=world.mail.sent_copy(sent.message_id))
    await world.settle()
    before = await world.kept_of(again)
    assert world.traces(OF_MAIL) != []

    await world.settle(timedelta(hours=12))

    after = await world.kept_of(again)
    assert [thread.thread_id for thread, _, _ in after.threads] == [sent.thread_id]
    assert after.threads == [shown for shown in before.threads if shown[0].thread_id == sent.thread_id]
    assert after.events[-3:] == before.events[-3:]
    assert world.traces(OF_MAIL) == []
    assert "ada@" in str(answer)
    asked = Outgoing("individual", "u1", (ADA,), "")
    assert await world.accept.accept(ACCOUNT, "key-2", asked, "hash of key-2") == answer
    world.mail.arrives(again.mailbox, ADA.address, "RE: Offer", answers=reply)
    await world.settle()
    assert (await world.told())[-1] == "message.synced"
    assert not [key for key in world.work.promises if key.startswith("erasures")]


async def test_a_later_connection_that_was_only_deleted_keeps_its_mail(world: ErasingWorld, dana: Connection) -> None:
    """Erased is what was asked to be, and what was before it; nothing that came after."""
    again = await late_with_erasing(world)
    await world.sent(again, key="key-2")
    await world.disconnect.delete(ACCOUNT, "u1")
    before = await world.kept_of(again)
    await world.settle(timedelta(hours=14))
    after = await world.kept_of(again)
    assert world.traces(OF_MAIL) == []
    assert after.threads == [shown for shown in before.threads if shown[0].connection_id == again.connection_id]
    assert (after.connection, after.anchors) == (before.connection, before.anchors)

    connection = await world.erased()
    # What was counted once is not counted again.
    assert connection.erased == Erased(messages=1, events=3, anchors=3)
    assert world.traces() == []


async def test_a_second_erasing_counts_what_is_its_own(world: ErasingWorld, dana: Connection) -> None:
    """Also while the first one's mail is still there: that was counted already."""
    again = await late_with_erasing(world)
    await world.sent(again, key="key-2")
    connection = await world.erased()
    assert (connection.connection_id, connection.erased) == (
        again.connection_id,
        Erased(messages=1, events=3, anchors=3),
    )
    await world.settle(timedelta(hours=14))
    assert world.traces() == []
    assert not world.work.promises


async def test_a_live_connection_is_not_erased_whatever_the_clocks_say(world: ErasingWorld, dana: Connection) -> None:
    """Two instances can differ about which of two connections was the first."""
    again = await late_with_erasing(world)
    await world.connections.save(replace(again, connected_at=dana.connected_at - timedelta(hours=1)))
    sent = await world.sent(again, key="key-2")
    await world.settle(timedelta(hours=14))
    assert [shown[0].thread_id for shown in (await world.kept_of(again)).threads] == [sent.thread_id]
    assert await world.anchors.count(again.connection_id) == 3


async def test_a_sign_in_after_the_erasing_is_not_disturbed(world: ErasingWorld, dana: Connection) -> None:
    """By a repeated call, nor by a look that comes at any moment of it: the new connection is whole."""
    await world.erased()
    before = len(world.faults.calls)
    await world.connect.complete(ACCOUNT, "u1", await world.completion_code(BOB))
    names = dict.fromkeys(world.faults.calls[before:])
    await world.settle()
    for name in names:
        await world.erased()
        code = await world.completion_code(BOB)
        await world.erase.erase(ACCOUNT, "u1")
        world.faults.meanwhile(name, lambda: world.erase.go_on(EraseUser(ACCOUNT, "u1")))
        bob = await world.connect.complete(ACCOUNT, "u1", code)
        await world.settle()
        connection = await world.connection()
        assert (connection.connection_id, connection.state) == (bob.connection_id, State.CONNECTED), name
        assert list(world.tokens.stored) == [bob.connection_id], name


async def test_a_send_into_an_old_thread_is_not_lost(world: ErasingWorld, dana: Connection) -> None:
    """It was accepted before the thread was removed: it is sent, and the thread begins anew with it."""
    thread_id = str((await world.feed())[1].data["message"]["thread_id"])  # type: ignore[index]
    again = await late_with_erasing(world)
    sent = await world.accepted(again, key="key-2", thread_id=thread_id, subject="Another matter")
    await world.erase.go_on(EraseUser(ACCOUNT, "u1"))
    await world.settle()
    assert (await world.message(sent.message_id)).status is Status.SENT
    thread, live, [_] = await world.show.thread(ACCOUNT, thread_id)
    assert (live, thread.connection_id, thread.subject) == (True, again.connection_id, "Another matter")
    assert world.traces(OF_MAIL) == []


async def test_what_was_written_late_is_looked_for_until_there_is_nothing(
    world: ErasingWorld, dana: Connection
) -> None:
    """A look that found something is not the last, nor is one that goes on where the time was up."""
    await world.erased()
    job = EraseUser(ACCOUNT, "u1")
    await world.erase.go_on(job)
    assert world.work.promises[job.key][0] == replace(job, again=True)
    await world.settle()
    assert not world.work.promises

    await world.journal.append(connection_event("connection.connected", dana, "late", world.clock()))
    await world.erase.go_on(replace(job, again=True))
    assert world.traces() == []
    assert world.work.promises[job.key][0] == replace(job, again=True)
    await world.settle()
    assert not world.work.promises


async def test_a_thread_that_is_taken_up_meanwhile_keeps_what_is_new(world: ErasingWorld, dana: Connection) -> None:
    """The CRM has sent into it through the new connection: that goes on, and of what was before nothing is left."""
    thread_id = str((await world.feed())[1].data["message"]["thread_id"])  # type: ignore[index]
    again = await late_with_erasing(world)
    sent = await world.accepted(again, key="key-2", thread_id=thread_id, subject="Another matter")
    await world.settle(timedelta(hours=14))

    thread, _, [(message, _)] = await world.show.thread(ACCOUNT, thread_id)
    assert (thread.connection_id, message.message_id) == (again.connection_id, sent.message_id)
    assert (thread.subject, thread.contacts) == ("Another matter", (ADA,))
    assert "eve@world.example" not in thread.participants
    assert {place for place, _ in world.traces(OF_MAIL)} <= {"anchors"}
    copy = world.mail.sent_copy(sent.message_id)
    world.mail.arrives(again.mailbox, ADA.address, "RE: Another matter", answers=copy)
    await world.settle()
    assert (await world.told())[-1] == "message.synced"


async def test_a_sign_in_that_died_leaves_no_names(world: ErasingWorld, dana: Connection) -> None:
    """An Update whose process died kept a connection that never became the user's: it is found, too."""
    code = await world.completion_code(BOB)
    world.faults.fail("tokens.keep", Crash())
    with pytest.raises(Crash):
        await world.connect.complete(ACCOUNT, "u1", code)
    connection = await world.erased()
    assert (connection.connection_id, connection.erased) == (dana.connection_id, OF_A_CONVERSATION)
    assert world.traces() == []


async def test_whose_mailbox_it_was_is_forgotten_once_all_is_closed_at_graph(
    world: ErasingWorld, dana: Connection
) -> None:
    """While Graph does not answer it is still needed; names and addresses go at once."""
    world.faults.fail("subscriptions.*", Unclear(), times=4)
    await world.erase.erase(ACCOUNT, "u1")
    await world.settle(timedelta(minutes=1))
    assert {trace for _, trace in world.traces()} == {"oid-dana"}
    await world.settle(DAYS)
    assert world.traces() == []
    assert world.subscriptions.open_ones == {}
    assert not world.work.promises


async def test_who_shares_the_mailbox_is_still_told_of_its_mail(world: ErasingWorld, dana: Connection) -> None:
    """Graph tells of it by the name of the erased connection: whose mailbox that was is kept until nobody needs it."""
    colleague = await world.connected(DANA, "u2")
    sent = await world.sent(colleague, key="key-2")
    await world.erased()
    world.mail.arrives(colleague.mailbox, ADA.address, "RE: Offer", answers=world.mail.sent_copy(sent.message_id))
    await world.settle(timedelta(seconds=1))
    assert (await world.told())[-1] == "message.synced"

    await world.disconnect.delete(ACCOUNT, "u2")
    await world.settle(DAYS)
    erased = await world.connection()
    assert (erased.connection_id, erased.mailbox.identity) == (dana.connection_id, ("", ""))
    assert not world.work.promises


async def test_a_job_without_an_erasure_removes_nothing(world: ErasingWorld, dana: Connection) -> None:
    """The call that promised it died before anything was decided, and was not repeated."""
    await world.disconnect.delete(ACCOUNT, "u1")
    [(_, _, [(first, _), *_])] = (await world.kept_of(dana)).threads
    await world.journal.remove_message(first)  # as it will be once it is old
    accepted = await world.journal.accepted(ACCOUNT, key_hash("key-1"))
    before = await world.kept_of(dana)
    await world.work.promise(EraseUser(ACCOUNT, "u1"), due_at=world.clock())
    await world.settle()
    after = await world.kept_of(dana)
    assert (after.threads, after.files, after.anchors) == (before.threads, before.files, before.anchors)
    assert await world.journal.accepted(ACCOUNT, key_hash("key-1")) == accepted
    assert not world.work.promises
