"""Erasing a user: nothing that was synced is left anywhere, the feed keeps its numbers, and nobody else loses anything."""

import asyncio
from datetime import timedelta

import pytest

from sync.domain.connection import Connection, Erased, State
from sync.domain.errors import IdempotencyKeyReused, NotFound
from sync.domain.outgoing import Kind, Outgoing
from sync.jobs import DeliverEvent
from tests.unit.flows.conftest import DANA
from tests.unit.flows.erasing import BOB, CARL, EVE, OF_A_CONVERSATION, ErasingWorld
from tests.unit.flows.world import ACCOUNT, RETURN_URL

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


def added(one: Erased, other: Erased) -> Erased:
    """The counts of both."""
    return Erased(*(a + b for a, b in zip(vars(one).values(), vars(other).values(), strict=True)))


async def test_nothing_of_the_user_is_left_anywhere(world: ErasingWorld, dana: Connection) -> None:
    """
    In rows, blobs, promises and queues, of both mailboxes: no address, name, subject, body or file.

    Also of an email that waits, of deliveries under way, and of sign-ins that came to nothing.
    """
    bob = await world.connected(BOB)
    await world.conversation(bob, "key-2")
    await world.connect.begin(ACCOUNT, "u1", RETURN_URL, expected_email=BOB)
    url, _ = await world.connect.begin(ACCOUNT, "u1", RETURN_URL, login_hint=DANA)
    opened = await world.connect.open_link(url.rpartition("/")[2])
    await world.connect.park(world.entra.sign_in(opened.location, BOB, "decline"), opened.binding)
    world.refuse_deliveries(3)
    await world.asked(bob, "key-3")
    world.people.revoke(BOB)
    await world.settle(timedelta(minutes=3))
    assert (await world.connection()).state is State.NEEDS_RECONNECT
    assert world.work.messages
    assert {place for place, _ in world.traces()} == {"sign_ins", "connections", "journal", "content", "anchors"}

    await world.erased()

    assert world.traces() == []
    assert world.content.stored == {}
    assert not world.work.promises


async def test_how_much_was_erased_is_told(world: ErasingWorld, dana: Connection) -> None:
    """Messages, files that were stored, events and keys."""
    connection = await world.erased()
    assert (connection.connection_id, connection.state) == (dana.connection_id, State.DISCONNECTED)
    assert connection.erased == OF_A_CONVERSATION


async def test_an_update_before_is_erased_too(world: ErasingWorld, dana: Connection) -> None:
    """The mail of the user's first mailbox goes with that of the second, and both are counted."""
    bob = await world.connected(BOB)
    await world.conversation(bob, "key-2")
    connection = await world.erased()
    assert connection.connection_id == bob.connection_id
    # An Update is told once, and ends the first connection without another word.
    assert connection.erased == added(OF_A_CONVERSATION, OF_A_CONVERSATION)
    assert world.traces() == []


async def test_a_repeated_call_gets_the_same_answer(world: ErasingWorld, dana: Connection) -> None:
    """With the counts of the first time; a delete without erase has them, too."""
    first = await world.erased()
    again = await world.erased()
    assert (again.connection_id, again.erased) == (first.connection_id, first.erased)
    assert (await world.disconnect.delete(ACCOUNT, "u1")).erased == OF_A_CONVERSATION
    await world.settle()
    assert (await world.told()).count("connection.disconnected") == 1
    assert not world.work.promises


async def test_calls_at_once_get_one_answer(world: ErasingWorld, dana: Connection) -> None:
    """Each could have counted what another one had removed in part: what was decided first counts."""
    answers = await asyncio.gather(*(world.erase.erase(ACCOUNT, "u1") for _ in range(5)))
    assert {answer.erased for answer in answers} == {OF_A_CONVERSATION}
    await world.settle()
    assert world.traces() == []


async def test_what_was_counted_first_counts(world: ErasingWorld, dana: Connection) -> None:
    """A call that was slow to count, while another one removed it all, has the other one's answer."""
    world.faults.meanwhile("journal.threads_of", lambda: world.erase.erase(ACCOUNT, "u1"))
    assert (await world.erased()).erased == OF_A_CONVERSATION


async def test_a_connection_that_was_deleted_before_can_be_erased(world: ErasingWorld, dana: Connection) -> None:
    """However long ago; also if another mailbox was connected and deleted since."""
    await world.disconnect.delete(ACCOUNT, "u1")
    await world.settle(DAYS)
    bob = await world.connected(BOB)
    await world.disconnect.delete(ACCOUNT, "u1")
    await world.settle(DAYS)
    connection = await world.erased()
    assert connection.connection_id == bob.connection_id
    assert connection.erased == added(OF_A_CONVERSATION, Erased(events=2))
    assert world.traces() == []
    assert not world.work.promises


async def test_who_never_connected_can_not_be_erased(world: ErasingWorld, dana: Connection) -> None:
    """Not found, and nobody else is touched."""
    before = await world.kept_of(dana)
    with pytest.raises(NotFound):
        await world.erase.erase(ACCOUNT, "u2")
    with pytest.raises(NotFound):
        await world.erase.erase("other", "u1")
    assert await world.kept_of(dana) == before


async def test_nobody_else_loses_anything(world: ErasingWorld, dana: Connection) -> None:
    """Neither another user of the account nor a user of the same id in another account, who wrote to the same people."""
    carl = await world.connected(CARL, "u2")
    await world.conversation(carl, "key-2")
    url, _ = await world.connect.begin("other", "u1", RETURN_URL)
    opened = await world.connect.open_link(url.rpartition("/")[2])
    back = await world.connect.park(world.entra.sign_in(opened.location, CARL), opened.binding)
    elsewhere = await world.connect.complete("other", "u1", back.location.rpartition("=")[2])
    await world.settle()
    asked = Outgoing("individual", "u1", (EVE,), "Secret plan", "<p>Hi</p>")
    answer = await world.accept.accept("other", "key-1", asked, "hash of key-1")
    await world.settle()
    before = [await world.kept_of(user) for user in (carl, elsewhere)]

    await world.erased()

    assert [await world.kept_of(user) for user in (carl, elsewhere)] == before
    assert await world.accept.accept("other", "key-1", asked, "hash of key-1") == answer
    assert "eve@world.example" in str(answer)


async def test_the_feed_keeps_its_numbers(world: ErasingWorld, dana: Connection) -> None:
    """Every event stays at its place with its id, type and time, and says no more than whose it was and that it was erased."""
    before = await world.feed()
    await world.erased()
    after = await world.feed()
    ids = {"connection_id": dana.connection_id, "user_id": "u1"}
    assert [(e.event_id, e.type, e.sequence, e.occurred_at) for e in after[:-1]] == [
        (e.event_id, e.type, e.sequence, e.occurred_at) for e in before
    ]
    assert [e.data for e in after[:-1]] == [{"erased": True, **ids}] * 4
    assert {e.delivery for e in after} == {"delivered"}


async def test_the_end_of_the_connection_is_told_without_names(world: ErasingWorld, dana: Connection) -> None:
    """Whoever reads the events hears of it, though it was erased before it could be delivered."""
    world.refuse_deliveries(1)
    await world.erased()
    assert world.crm.heard[-1].type == "connection.disconnected"
    assert world.crm.heard[-1].data["connection"] == {
        "connection_id": dana.connection_id,
        "user_id": "u1",
        "email": None,
        "display_name": None,
        "state": "disconnected",
    }


async def test_what_was_not_delivered_yet_never_will_be(world: ErasingWorld, dana: Connection) -> None:
    """The delivery has ended; of its attempts the times and the statuses stay, but not what the CRM answered."""
    world.refuse_deliveries(2)
    await world.asked(dana, "key-2")
    await world.settle(timedelta(minutes=1))
    heard = len(world.crm.heard)

    await world.erase.erase(ACCOUNT, "u1")
    promised = [job for job, _ in world.work.promises.values() if isinstance(job, DeliverEvent)]
    assert [job.event_id for job in promised] == [(await world.feed())[-1].event_id]
    await world.settle(DAYS)

    assert [event.type for event in world.crm.heard[heard:]] == ["connection.disconnected"]
    untold = (await world.feed())[-2]
    assert (untold.type, untold.delivery, untold.due_at) == ("message.sent", "erased", None)
    assert [(attempt.status, attempt.answer) for attempt in untold.attempts] == [(500, ""), (500, "")]
    assert not world.work.promises


async def test_an_erased_event_is_not_delivered_again(world: ErasingWorld, dana: Connection) -> None:
    """It comes back as it is; that a connection has ended can be told again."""
    await world.erased()
    *erased, ended = await world.feed()
    heard = len(world.crm.heard)
    for event in erased:
        assert await world.deliver.redeliver(ACCOUNT, event.event_id) == event
    await world.deliver.redeliver(ACCOUNT, ended.event_id)
    await world.settle()
    assert [event.event_id for event in world.crm.heard[heard:]] == [ended.event_id]
    assert await world.feed() == [*erased, *(await world.feed())[-1:]]


async def test_an_event_that_changes_as_it_is_erased_is_erased(world: ErasingWorld, dana: Connection) -> None:
    """The later version, in the same look."""
    first = (await world.feed())[0]
    world.faults.meanwhile("journal.save_event", lambda: world.deliver.redeliver(ACCOUNT, first.event_id))
    await world.erase.erase(ACCOUNT, "u1")
    assert (await world.feed())[0].delivery == "erased"
    await world.settle()
    assert [event.event_id for event in world.crm.heard].count(first.event_id) == 1


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("taken", [True, False])
async def test_a_delivery_that_is_under_way_does_not_bring_anything_back(
    world: ErasingWorld, dana: Connection, applied: bool, taken: bool
) -> None:
    """Before or after the CRM has answered, whatever it answers: the note of the attempt does not undo the erasing."""
    await world.asked(dana, "key-2")
    world.faults.meanwhile("crm.deliver", lambda: world.erase.erase(ACCOUNT, "u1"), applied=applied)
    if not taken:
        world.refuse_deliveries(1)
    await world.settle()
    assert world.traces() == []
    assert not world.work.promises
    assert world.crm.heard[-1].type == "connection.disconnected"


@pytest.mark.parametrize("applied", [False, True])
async def test_the_end_is_told_though_it_was_being_delivered_as_it_was_erased(
    world: ErasingWorld, dana: Connection, applied: bool
) -> None:
    """Once or twice, with one id: it does not stay pending for ever."""
    await world.disconnect.delete(ACCOUNT, "u1")

    async def a_little_later() -> None:
        world.clock.advance(timedelta(seconds=1))
        await world.erase.erase(ACCOUNT, "u1")

    world.faults.meanwhile("crm.deliver", a_little_later, applied=applied)
    await world.settle()
    ended = (await world.feed())[-1]
    assert (ended.type, ended.delivery) == ("connection.disconnected", "delivered")
    assert ended.event_id in {event.event_id for event in world.crm.heard}
    assert world.traces() == []


async def test_a_request_made_before_is_not_sent_again(world: ErasingWorld, dana: Connection) -> None:
    """Its key still leads to the ids of its messages, and to nobody's name; another request can't have the key."""
    sent = (await world.feed())[1].data["message"]
    await world.erased()
    left = len(world.mail.outgoing)
    kind: Kind = "individual"
    asked = Outgoing(kind, "u1", (EVE,), "Secret plan", "<p>Hi</p>")
    answer = await world.accept.accept(ACCOUNT, "key-1", asked, "hash of key-1")
    assert answer == {
        "batch_id": "bat_" + sent["message_id"][4:24],  # type: ignore[index]
        "messages": [
            {"message_id": sent["message_id"], "thread_id": sent["thread_id"], "status": "queued", "to": []}  # type: ignore[index]
        ],
        "sender": {"via": "outlook", "address": None, "rule": "individual_outlook"},
    }
    with pytest.raises(IdempotencyKeyReused):
        await world.accept.accept(ACCOUNT, "key-1", asked, "another hash")
    await world.settle()
    assert len(world.mail.outgoing) == left


async def test_nothing_erased_can_be_looked_up(world: ErasingWorld, dana: Connection) -> None:
    """Message, thread and file are not found, as if they had never been."""
    messages = [event.data["message"] for event in (await world.feed())[1:]]
    await world.erased()
    for message in messages:
        assert isinstance(message, dict)
        with pytest.raises(NotFound):
            await world.show.message(ACCOUNT, message["message_id"])
        with pytest.raises(NotFound):
            await world.show.thread(ACCOUNT, message["thread_id"])
        for file in message["attachments"]:
            with pytest.raises(NotFound):
                await world.show.attachment(ACCOUNT, file["attachment_id"])
    assert await world.show.threads(ACCOUNT, EVE.contact_id, None, None, 10) == []
    assert await world.show.threads(ACCOUNT, None, "u1", None, 10) == []
