"""Retention: what is old goes, body and files first; threads go on; the feed keeps its numbers."""

from dataclasses import replace
from datetime import timedelta

import pytest

from sync.domain.body import Body
from sync.domain.connection import Connection
from sync.domain.errors import NotFound
from sync.domain.event import Answer, Event, NewEvent
from sync.domain.message import Contact
from sync.domain.outgoing import Outgoing, OutgoingFile
from sync.flows.deliver import tell
from sync.jobs import CatchUp, DeliverEvent, RemoveOld
from tests.fakes.mail import HeldFile
from tests.unit.flows.conftest import DANA
from tests.unit.flows.each_crash import with_each_crash
from tests.unit.flows.erasing import OF_MAIL, ErasingWorld
from tests.unit.flows.provider_world import PROVIDER
from tests.unit.flows.world import ACCOUNT, ADA, World

DAY = timedelta(days=1)
TEN_DAYS = 10 * DAY
SOON = timedelta(minutes=2)
EVE = Contact("eve@world.example", "Eve Quist", "c-eve")


@pytest.fixture
def world() -> ErasingWorld:
    """As elsewhere, with a conversation about a secret to be told."""
    return ErasingWorld()


async def cleaned(world: World, after: timedelta = 11 * DAY) -> None:
    """So much later the day's look for old things comes."""
    world.clock.advance(after)
    world.keeping_mail_for(TEN_DAYS)
    await world.retention.begin()
    await world.settle(SOON)
    assert "retention" not in world.work.promises


async def test_without_the_setting_mail_stays(world: ErasingWorld, dana: Connection) -> None:
    """For ever; only how events were delivered is not kept that long."""
    await world.conversation(dana)
    before = await world.kept_of(dana)
    world.clock.advance(36_500 * DAY)
    await world.retention.go_on(RemoveOld())
    kept_events = [replace(event, attempts=()) for event in before.events]
    assert await world.kept_of(dana) == replace(before, events=kept_events)


async def test_what_is_old_goes_and_nothing_names_it(world: ErasingWorld, dana: Connection) -> None:
    """Messages, bodies, files, and what events told; all but the thread itself, which waits for answers."""
    sent = await world.conversation(dana)
    await cleaned(world)
    assert world.content.stored == {}
    thread, live, messages = await world.show.thread(ACCOUNT, sent.thread_id)
    assert (live, messages, thread.subject) == (True, [], "Secret plan")
    with pytest.raises(NotFound):
        await world.show.message(ACCOUNT, sent.message_id)
    with pytest.raises(NotFound):
        await world.show.attachment(ACCOUNT, sent.attachments[0].attachment_id)
    assert await world.anchors.count(dana.connection_id) > 0
    await world.disconnect.delete(ACCOUNT, "u1")
    await cleaned(world)
    assert await world.anchors.count(dana.connection_id) == 0
    assert world.traces(OF_MAIL) == []
    with pytest.raises(NotFound):
        await world.show.thread(ACCOUNT, sent.thread_id)


async def test_what_is_young_stays(world: ErasingWorld, dana: Connection) -> None:
    """Of one thread as of several; the thread shows what is left."""
    sent = await world.conversation(dana)
    copy = world.mail.sent_copy(sent.message_id)
    world.clock.advance(5 * DAY)
    world.mail.arrives(dana.mailbox, EVE.address, "late", answers=copy, files=[HeldFile("a.txt", b"x", "text/plain")])
    await world.settle()
    await cleaned(world, 6 * DAY)
    _, _, messages = await world.show.thread(ACCOUNT, sent.thread_id)
    assert [message.subject for message, _ in messages] == ["late"]
    assert messages[0][1].html is not None
    late = messages[0][0]
    assert (await world.show.attachment(ACCOUNT, late.attachments[0].attachment_id))[1] == b"x"
    assert len(world.content.stored) == 2


async def test_the_feed_keeps_its_numbers(world: ErasingWorld, dana: Connection) -> None:
    """A CRM that is behind finds each event in its place, those that are old saying that what they told is gone."""
    await world.conversation(dana)
    before = await world.feed()
    await cleaned(world, 5 * DAY)
    assert [event.erased for event in await world.feed()] == [False] * len(before)
    await cleaned(world, 6 * DAY)
    await world.conversation(dana, "key-2")
    feed = await world.feed()
    assert [event.sequence for event in feed] == list(range(1, len(feed) + 1))
    assert [event.event_id for event in feed[: len(before)]] == [event.event_id for event in before]
    erased = [event.erased for event in feed]
    assert erased == [True] * len(before) + [False] * (len(feed) - len(before))
    assert (await world.journal.mark(ACCOUNT, "emptied")).sequence == len(before)


async def test_what_the_crm_never_got_is_kept_longer(world: ErasingWorld, dana: Connection) -> None:
    """For 30 days, as the feed and a redelivery still have it."""
    world.crm.answers.append(Answer(410, 0.1))
    sent = await world.sent(dana)
    await cleaned(world)
    (undelivered,) = [event for event in await world.feed() if not event.erased]
    assert (undelivered.type, undelivered.delivery) == ("message.sent", "undelivered")
    with pytest.raises(NotFound):
        await world.show.message(ACCOUNT, sent.message_id)
    await cleaned(world, 20 * DAY)
    assert all(event.erased for event in await world.feed())


async def test_an_answer_to_a_removed_message_syncs_into_its_thread(world: ErasingWorld, dana: Connection) -> None:
    """However late it comes, and the CRM can answer it, or write into the empty thread."""
    sent = await world.sent(dana)
    copy = world.mail.sent_copy(sent.message_id)
    await cleaned(world, 300 * DAY)
    dana = await world.connected(DANA)
    more = await world.accepted(dana, key="key-2", thread_id=sent.thread_id, subject="Still there?")
    await world.settle()
    assert (await world.message(more.message_id)).status == "sent"
    await cleaned(world)

    late = world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    await world.settle()

    event = (await world.feed())[-1]
    assert event.type == "message.synced"
    message = event.data["message"]
    assert isinstance(message, dict)
    assert (message["thread_id"], message["contact_ids"]) == (sent.thread_id, ["c-ada"])
    assert message["internet_message_id"] == late.keys.internet_message_id
    answer = await world.sent(dana, key="key-3", thread_id=sent.thread_id)
    assert (answer.status, answer.thread_id) == ("sent", sent.thread_id)
    assert answer.in_reply_to == late.keys.internet_message_id


async def test_what_was_removed_is_not_told_again(world: ErasingWorld, dana: Connection) -> None:
    """Whatever Graph says of it later, or a look through the mailbox finds: the email, its answers, other copies of them."""
    sent = await world.conversation(dana)
    found = [item.seen for item in world.mail._items.values()]
    await cleaned(world)
    told = len(await world.feed())
    calls = len(world.faults.calls)
    for seen in found:
        world.mail.on_change(dana.mailbox.identity, seen.graph_id, "updated")
    await world.settle(SOON)
    assert "mail.content" not in world.faults.calls[calls:]
    for seen in found:
        world.mail.arrives(dana.mailbox, EVE.address, seen.subject, keys=seen.keys, received_at=world.clock())
    await world.settle()
    await world.work_off(CatchUp(dana.connection_id, since=sent.accepted_at.isoformat()))
    await world.settle()
    assert [event.type for event in (await world.feed())[told:] if event.type.startswith("message")] == []
    assert world.content.stored == {}


async def bulk(world: World, count: int, *, via: str, send_at_days: int | None = None) -> str:
    """A bulk send with a file, accepted; the id of its batch."""
    if via == "provider":
        await world.providers.save(PROVIDER)
    asked = Outgoing(
        "bulk",
        "u1",
        tuple(Contact(f"p{i}@world.example") for i in range(count)),
        "News",
        "<p>News</p>",
        files=(OutgoingFile("a.txt", "text/plain", b"x"),),
        from_address=DANA if via == "outlook" else None,
        send_at=world.clock() + send_at_days * DAY if send_at_days else None,
    )
    return str((await world.accept.accept(ACCOUNT, f"bulk {via}", asked, "hash"))["batch_id"])


@pytest.mark.parametrize("via", ["outlook", "provider"])
async def test_emails_of_a_batch_go_together(world: ErasingWorld, dana: Connection, via: str) -> None:
    """They share body and files: as long as one of them is young, each can be read."""
    batch_id = await bulk(world, 5, via=via)
    await world.settle()
    messages = await world.journal.in_batch(ACCOUNT, batch_id)
    assert [m.status for m in messages] == ["sent"] * 5
    youngest = messages[2]
    late = world.clock() + 2 * DAY
    await world.journal.save_message(replace(youngest, sent_at=late))
    await cleaned(world)
    for message in messages:
        assert (await world.show.message(ACCOUNT, message.message_id))[1] == Body("<p>News</p>", None)
        await world.show.attachment(ACCOUNT, message.attachments[0].attachment_id)
    await cleaned(world, 2 * DAY)
    assert world.content.stored == {}
    assert await world.journal.batch(ACCOUNT, batch_id) is None
    for message in messages:
        with pytest.raises(NotFound):
            await world.show.message(ACCOUNT, message.message_id)


async def test_a_batch_that_has_not_begun_stays(world: ErasingWorld, dana: Connection) -> None:
    """However long ago it was accepted; one that was cancelled before goes, and its letters and body with it."""
    batch_id = await bulk(world, 3, via="outlook", send_at_days=20)
    await cleaned(world)
    assert await world.journal.batch(ACCOUNT, batch_id) is not None
    await world.cancel.batch(ACCOUNT, batch_id)
    await cleaned(world, 20 * DAY)
    assert await world.journal.batch(ACCOUNT, batch_id) is None
    assert world.content.stored == {}


async def test_what_only_the_app_needs_goes_without_the_setting(world: ErasingWorld, dana: Connection) -> None:
    """Keys after two days, sign-ins after one, paces without tickets, batches after 30 days; the emails stay."""
    batch_id = await bulk(world, 3, via="outlook")
    await world.completion_code(DANA, "u7")
    await world.settle()
    messages = await world.journal.in_batch(ACCOUNT, batch_id)
    world.clock.advance(3 * DAY)
    await world.retention.go_on(RemoveOld())
    assert [pace async for pace in world.paces.every()] == []
    assert [sign_in async for sign_in in world.sign_ins.expired(world.clock())] == []
    assert world.journal._accepted == {}
    assert await world.journal.batch(ACCOUNT, batch_id) is not None
    world.clock.advance(28 * DAY)
    await world.retention.go_on(RemoveOld())
    assert await world.journal.batch(ACCOUNT, batch_id) is None
    for message in messages:
        assert (await world.show.message(ACCOUNT, message.message_id))[1] == Body("<p>News</p>", None)


async def test_a_run_goes_on_where_the_one_before_stopped(world: ErasingWorld, dana: Connection) -> None:
    """One that has no time stops behind each page, and all is removed in the end."""
    for number in range(5):
        await world.sent(dana, key=f"key-{number}")
    world.retention = replace(world.retention, patience=timedelta())
    await cleaned(world)
    assert world.faults.count("journal.messages_before") == 2
    assert world.content.stored == {}
    assert all(event.erased for event in await world.feed())


async def test_every_account_is_found(world: ErasingWorld) -> None:
    """By its rows alone; none twice."""
    accounts = [f"acme-{number}" for number in range(7)]
    await world.providers.save(replace(PROVIDER, account_id=accounts[0]))
    for account_id in accounts:
        await world.providers.save(replace(PROVIDER, account_id=account_id))
        asked = Outgoing("workflow", "u1", (ADA,), "Hi", "<p>Hi</p>")
        await world.accept.accept(account_id, "key", asked, "hash")
    await world.settle()
    await cleaned(world)
    assert world.content.stored == {}
    assert world.faults.count("journal.next_account") == len(accounts) + 1


@pytest.mark.long
async def test_cut_short_anywhere_it_is_finished_by_the_next_run() -> None:
    """Wherever the process dies: no email without its body is left, and everything old is gone in the end."""

    async def story() -> World:
        world = ErasingWorld()
        dana = await world.connected(DANA)
        await world.conversation(dana)
        await bulk(world, 3, via="outlook")
        await world.settle()
        world.clock.advance(11 * DAY)
        world.keeping_mail_for(TEN_DAYS)
        await world.retention.begin()
        return world

    async def check(world: World) -> None:
        assert isinstance(world, ErasingWorld)
        assert world.content.stored == {}
        assert list(world.journal._messages) == []
        assert all(event.erased for event in await world.feed())
        assert "retention" not in world.work.promises

    await with_each_crash(story, check)


async def tried(world: World, *answers: Answer) -> Event:
    """An event that was told, and what the CRM answered."""
    world.crm.answers.extend(answers)
    number = await world.journal.last_sequence(ACCOUNT)
    new = NewEvent(ACCOUNT, "connection.connected", f"event {number}", world.clock(), {"connection": {}})
    event = await tell(world.journal, world.work, new, world.clock())
    await world.settle(DAY)
    return event


async def attempts_kept(world: World) -> list[int]:
    """How many attempts the stored rows have, event by event."""
    return [len(event.attempts) for event in await world.journal.events(ACCOUNT, 0, 1_000)]


async def test_attempts_go_after_thirty_days(world: ErasingWorld) -> None:
    """Also where mail stays for ever, an event at a time; nothing else of the event changes."""
    await tried(world, Answer(500, 0.1, text="oops"))
    world.clock.advance(DAY)
    last = await tried(world)
    assert await attempts_kept(world) == [2, 1]
    world.clock.advance(last.occurred_at + 29 * DAY - world.clock())
    await world.retention.go_on(RemoveOld())
    assert await attempts_kept(world) == [0, 1]
    before = await world.feed()
    world.clock.advance(DAY)
    await world.retention.go_on(RemoveOld())
    assert await attempts_kept(world) == [0, 0]
    assert [replace(event, attempts=()) for event in before] == await world.feed()
    assert (await world.journal.mark(ACCOUNT, "attempts")).sequence == 2
    calls = len(world.faults.calls)
    await world.retention.go_on(RemoveOld())
    assert "journal.save_event" not in world.faults.calls[calls:]


async def test_nobody_is_shown_an_attempt_that_is_too_old(world: ErasingWorld) -> None:
    """Not even before the day's look."""
    event = await tried(world)
    assert len((await world.show.event(ACCOUNT, event.event_id)).attempts) == 1
    world.clock.advance(30 * DAY)
    assert await attempts_kept(world) == [1]
    assert (await world.show.event(ACCOUNT, event.event_id)).attempts == ()


async def test_an_old_event_that_is_delivered_again_is_looked_at_again(world: ErasingWorld) -> None:
    """Whatever the look had passed by then: the new attempt stays its 30 days, and goes."""
    events = [await tried(world) for _ in range(3)]
    world.clock.advance(40 * DAY)
    await world.retention.go_on(RemoveOld())
    assert await attempts_kept(world) == [0, 0, 0]
    await world.deliver.redeliver(ACCOUNT, events[1].event_id)
    await world.settle(DAY)
    world.clock.advance(28 * DAY)
    await world.retention.go_on(RemoveOld())
    assert await attempts_kept(world) == [0, 1, 0]
    world.clock.advance(2 * DAY)
    await world.retention.go_on(RemoveOld())
    assert await attempts_kept(world) == [0, 0, 0]


@pytest.mark.parametrize("call", ["journal.events", "journal.save_event", "journal.mark", "journal.save_mark"])
async def test_a_delivery_while_the_look_passes(world: ErasingWorld, call: str) -> None:
    """An old event is delivered again in the midst of the look at it: its attempt is not forgotten there for ever."""
    event = await tried(world)
    world.clock.advance(40 * DAY)

    async def again() -> None:
        await world.deliver.redeliver(ACCOUNT, event.event_id)
        await world.work_off(DeliverEvent(ACCOUNT, event.event_id))

    world.faults.meanwhile(call, again)
    await world.retention.go_on(RemoveOld())
    assert await attempts_kept(world) == [1]
    world.clock.advance(31 * DAY)
    await world.retention.go_on(RemoveOld())
    assert await attempts_kept(world) == [0]


@pytest.mark.long
async def test_no_attempt_is_left_behind_by_a_crash() -> None:
    """An old event is delivered again, and the process dies anywhere: its attempts go when they are 30 days old."""

    async def story() -> World:
        world = ErasingWorld()
        event = await tried(world)
        world.clock.advance(40 * DAY)
        await world.retention.go_on(RemoveOld())
        world.crm.answers.append(Answer(500, 0.1, text="oops"))
        await world.deliver.redeliver(ACCOUNT, event.event_id)
        return world

    async def check(world: World) -> None:
        assert [event.delivery for event in await world.feed()] == ["delivered"]
        assert (await attempts_kept(world))[0] >= 1
        world.clock.advance(31 * DAY)
        await world.retention.go_on(RemoveOld())
        assert await attempts_kept(world) == [0]

    await with_each_crash(story, check)
