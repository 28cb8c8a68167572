"""
Catching up: what Graph did not tell of is found in the mailbox, and the CRM hears of it once.

Graph tells of nothing in most of these tests (`deaf`), so that whatever reaches the CRM was found by looking.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from sync.domain.connection import Connection
from sync.domain.errors import Declined, OperatorAlarm, SyncError, Throttled, Unclear
from sync.domain.mail import MailboxMessage, ThreadKeys
from sync.flows import catch_up
from sync.flows.catch_up import EVERY, OVERLAP, SETTLING
from sync.jobs import MAIL_CHANGES, CatchUp, Job, MailChange
from tests.fakes.mail import HeldFile
from tests.unit.flows.world import ACCOUNT, ADA, World

SECOND = timedelta(seconds=1)
#: Time for everything that is queued, and not for the next look by itself.
SOON = timedelta(minutes=2)


def be_deaf(world: World) -> None:
    """From now on Graph tells of nothing."""
    world.mail.on_change = lambda mailbox, graph_id, change: None


@pytest.fixture
async def copy(world: World, dana: Connection) -> MailboxMessage:
    """An email that Dana sent to Ada from the CRM, in Sent Items: the last thing that Graph told of."""
    sent = await world.sent(dana)
    be_deaf(world)
    return world.mail.sent_copy(sent.message_id)


async def synced(world: World) -> list[str]:
    """The subjects of what was found in the mailbox, as the CRM was told, sorted."""
    told = [e.data["message"] for e in await world.feed() if e.type == "message.synced"]
    return sorted(message["subject"] for message in told)  # type: ignore[index]


async def mark(world: World) -> object:
    return (await world.connection()).synced_through


async def test_what_graph_never_told_of_is_told_once(world: World, dana: Connection, copy: MailboxMessage) -> None:
    """The contact's answer and the user's own from Outlook, within 15 minutes, and never again; with their files."""
    files = [HeldFile("notes.txt", b"plain words", "text/plain")]
    world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy, files=files)
    world.mail.from_outlook(dana.mailbox, ADA.address, "One more thing", answers=copy)
    await world.settle(EVERY)
    assert await synced(world) == ["One more thing", "RE: Offer"]
    await world.settle(timedelta(hours=3))
    assert await synced(world) == ["One more thing", "RE: Offer"]
    (answer,) = [
        m for m in await world.journal.messages_of(ACCOUNT, (await thread_of(world, copy))) if m.origin == "contact"
    ]
    assert [a.status for a in answer.attachments] == ["synced"]


async def thread_of(world: World, copy: MailboxMessage) -> str:
    return (await world.message(copy.stamp)).thread_id


async def test_of_mail_outside_every_thread_only_the_keys_are_listed(
    world: World, dana: Connection, copy: MailboxMessage
) -> None:
    """A look asks for nothing but the list; no body, no files, and nothing is kept or told."""
    kept, told = dict(world.content.stored), await world.told()
    files = [HeldFile("notes.txt", b"private", "text/plain")]
    world.mail.arrives(dana.mailbox, ADA.address, "Dinner?", files=files)
    world.mail.from_outlook(dana.mailbox, ADA.address, "Lunch?")
    before = len(world.faults.calls)
    await world.settle()
    assert {c for c in world.faults.calls[before:] if c.startswith("mail.")} == {"mail.received_since"}
    assert (world.content.stored, await world.told()) == (kept, told)


@pytest.mark.parametrize("page_size", [1, 2, 3, 8, 50])
@pytest.mark.parametrize("at_once", [1, 2, 3, 7, 20])
async def test_any_number_of_pages(
    world: World, dana: Connection, copy: MailboxMessage, page_size: int, at_once: int
) -> None:
    """Of 20 messages, `at_once` of them with one time of receipt, half of them strangers': each of ours is told once."""
    for number in range(20):
        if number % at_once == 0:
            world.clock.advance(SECOND)
        answers = copy if number % 2 else None
        world.mail.arrives(dana.mailbox, ADA.address, f"{number:02}", answers=answers)
    await world.work_off(CatchUp(dana.connection_id, page_size=page_size))
    await world.settle(SOON)
    assert await synced(world) == [f"{number:02}" for number in range(20) if number % 2]
    assert await mark(world) == world.clock() - SETTLING


async def test_a_second_with_more_mail_than_a_page_can_hold_is_not_the_end(
    world: World, dana: Connection, copy: MailboxMessage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it is told, a page after the other, and what came behind it."""
    monkeypatch.setattr(catch_up, "MAX_PAGE_SIZE", 4)
    world.clock.advance(SECOND)
    for number in range(9):
        world.mail.arrives(dana.mailbox, ADA.address, f"at once {number}", answers=copy)
    world.clock.advance(SECOND)
    world.mail.arrives(dana.mailbox, ADA.address, "later", answers=copy)
    await world.work_off(CatchUp(dana.connection_id, page_size=2))
    await world.settle(SOON)
    assert await synced(world) == [*(f"at once {number}" for number in range(9)), "later"]


@pytest.mark.parametrize("deleted", range(6))
@pytest.mark.parametrize("page", range(5))
async def test_mail_deleted_between_two_pages_moves_nothing_out_of_sight(
    world: World, dana: Connection, copy: MailboxMessage, deleted: int, page: int
) -> None:
    """Whichever message is deleted while whichever page is read: the others are all told."""
    answers = []
    for number in range(6):
        world.clock.advance(SECOND)
        answers.append(world.mail.arrives(dana.mailbox, ADA.address, str(number), answers=copy))

    async def delete() -> None:
        world.mail.delete(answers[deleted].graph_id)

    async def nothing() -> None:
        pass

    for _ in range(page):
        world.faults.meanwhile("mail.received_since", nothing)
    world.faults.meanwhile("mail.received_since", delete, applied=True)
    await world.work_off(CatchUp(dana.connection_id, page_size=2))
    await world.settle(SOON)
    everything = [str(number) for number in range(6)]
    others = [subject for subject in everything if subject != str(deleted)]
    assert await synced(world) in (everything, others)


async def test_a_look_and_a_notification_at_once_tell_once(
    world: World, dana: Connection, copy: MailboxMessage
) -> None:
    """Whoever is first; as Graph may tell late what a look is just finding."""
    answer = world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    jobs = [CatchUp(dana.connection_id), MailChange(dana.connection_id, answer.graph_id), CatchUp(dana.connection_id)]
    await asyncio.gather(*(world.work_off(job) for job in jobs))
    await world.settle()
    assert await synced(world) == ["RE: Offer"]
    assert len(await world.journal.messages_of(ACCOUNT, await thread_of(world, copy))) == 2


async def test_a_draft_is_told_once_it_is_sent(world: World, dana: Connection) -> None:
    """The drafts of the app are in the list too: none is told, and the copy in Sent Items only as `message.sent`."""
    be_deaf(world)
    world.mail.sent_copy_delay = timedelta(minutes=40)
    await world.accepted(dana)
    await world.settle(timedelta(minutes=35))
    assert world.faults.count("mail.received_since") >= 2
    assert world.mail.drafts()
    assert await world.told() == ["connection.connected"]
    world.clock.advance(timedelta(minutes=10))
    world.mail.depart()
    await world.work_off(CatchUp(dana.connection_id))
    assert await world.told() == ["connection.connected", "message.sent"]
    await world.settle()
    assert await world.told() == ["connection.connected", "message.sent"]


async def test_a_look_comes_every_15_minutes_for_ever(world: World, dana: Connection) -> None:
    """Nobody asks for it but the sweep; the first one a quarter of an hour after the mailbox was connected."""
    began, looks = world.clock(), world.faults.count("mail.received_since")
    await world.settle(timedelta(days=1))
    assert world.faults.count("mail.received_since") - looks in (95, 96)
    assert world.clock() - began > timedelta(hours=23, minutes=45)
    assert not [message for message in world.work.messages if isinstance(message.job, CatchUp)]


async def test_the_mark_moves_only_at_the_end_and_not_past_what_was_asked(
    world: World, dana: Connection, copy: MailboxMessage
) -> None:
    """A page in the middle leaves it; the last page moves it to a little before it was asked for, however long that took."""
    for number in range(3):
        world.clock.advance(SECOND)
        world.mail.arrives(dana.mailbox, ADA.address, str(number), answers=copy)
    before = await mark(world)
    await world.work_off(CatchUp(dana.connection_id, page_size=2))
    assert await mark(world) == before

    async def takes_long() -> None:
        world.clock.advance(timedelta(minutes=5))

    asked_at = world.clock()
    world.faults.meanwhile("mail.received_since", takes_long, applied=True)
    await world.work_off(CatchUp(dana.connection_id))
    assert await mark(world) == asked_at - SETTLING


@pytest.mark.parametrize("moment", ["before", "during"])
async def test_the_mark_never_moves_backwards(world: World, dana: Connection, moment: str) -> None:
    """A slow look that ends after a later one leaves the later one's mark."""
    later = world.clock() + timedelta(hours=1)

    async def another_look_ends() -> None:
        await world.connections.save(replace(await world.connection(), synced_through=later))

    if moment == "before":
        await another_look_ends()
    else:
        world.faults.meanwhile("mail.received_since", another_look_ends)
    await world.work_off(CatchUp(dana.connection_id))
    assert await mark(world) == later


@pytest.mark.parametrize("page_size", [1, 2, 50])
async def test_an_answer_listed_before_what_it_answers_is_found(
    world: World, dana: Connection, copy: MailboxMessage, page_size: int
) -> None:
    """In one second the list has no order: each of these is known as ours by the one behind it alone."""
    world.clock.advance(SECOND)
    for number in range(3):
        before = f"<{number + 1}@chain>" if number < 2 else copy.keys.internet_message_id
        keys = ThreadKeys(f"<{number}@chain>", in_reply_to=before, conversation_id=f"other-{number}")
        world.mail.arrives(dana.mailbox, ADA.address, str(number), keys=keys)
    await world.work_off(CatchUp(dana.connection_id, page_size=page_size))
    await world.settle(SOON)
    assert await synced(world) == ["0", "1", "2"]


@pytest.mark.parametrize("page_size", [2, 3, 50])
@pytest.mark.parametrize("before", [timedelta(minutes=1), OVERLAP - SECOND])
async def test_an_answer_received_before_what_it_answers_is_found(
    world: World, dana: Connection, copy: MailboxMessage, page_size: int, before: timedelta
) -> None:
    """Also where pages lie between the two: what comes shortly before something that was found is looked at again, once."""
    world.clock.advance(timedelta(hours=2))
    keys = ThreadKeys("<answer@chain>", in_reply_to="<late@chain>", conversation_id="other")
    world.mail.arrives(dana.mailbox, ADA.address, "answer", keys=keys)
    for number in range(8):
        world.clock.advance(before / 8)
        world.mail.arrives(dana.mailbox, ADA.address, f"Dinner {number}?")
    late = ThreadKeys("<late@chain>", in_reply_to=copy.keys.internet_message_id, conversation_id="another")
    world.mail.arrives(dana.mailbox, ADA.address, "late", keys=late)
    looks, marked = world.faults.count("mail.received_since"), await mark(world)
    await world.work_off(CatchUp(dana.connection_id, page_size=page_size))
    assert await mark(world) == marked or page_size == 50
    await world.settle(SOON)
    assert await synced(world) == ["answer", "late"]
    assert await mark(world) == world.clock() - SETTLING
    assert world.faults.count("mail.received_since") - looks < 25


async def test_what_is_refused_each_time_does_not_keep_a_look_going(
    world: World, dana: Connection, copy: MailboxMessage
) -> None:
    """It counts as found each time it is looked at, and the look ends all the same."""
    for number in range(6):
        world.clock.advance(SECOND)
        world.mail.arrives(dana.mailbox, ADA.address, str(number), answers=copy)
    refused = Declined(code="ErrorItemCorrupt", status=400)
    world.faults.fail("mail.content", refused, times=1_000)
    pages: list[Job] = [CatchUp(dana.connection_id, page_size=2)]
    for page in pages:
        world.work.messages.clear()
        await world.work_off(page)
        pages += [message.job for message in world.work.messages if isinstance(message.job, CatchUp)]
        assert len(pages) < 60
    assert await mark(world) == world.clock() - SETTLING


async def test_mail_that_exchange_shows_late_is_found(world: World, dana: Connection, copy: MailboxMessage) -> None:
    """Its time of receipt lies before the mark, by what a message takes from there to the list."""
    await world.settle()
    received_at = world.clock() - OVERLAP
    world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy, received_at=received_at)
    assert (await world.connection()).synced_through == world.clock() - SETTLING
    await world.settle(EVERY)
    assert await synced(world) == ["RE: Offer"]


async def test_moving_the_mark_keeps_what_others_changed_meanwhile(world: World, dana: Connection) -> None:
    """Another change of the connection is neither overwritten nor does it stop the mark."""

    async def changed() -> None:
        await world.connections.save(replace(await world.connection(), thread_count=7))

    world.clock.advance(EVERY)
    world.faults.meanwhile("mail.received_since", changed)
    await world.work_off(CatchUp(dana.connection_id))
    assert ((await world.connection()).thread_count, await mark(world)) == (7, world.clock() - SETTLING)


TROUBLE: dict[str, tuple[SyncError, timedelta]] = {
    "throttled": (Throttled(retry_after=timedelta(minutes=7)), timedelta(minutes=7)),
    "unclear": (Unclear(), timedelta(minutes=1)),
    "refused": (Declined(code="ErrorInternal", status=400), timedelta(minutes=1)),
    "our registration is broken": (OperatorAlarm(), timedelta(minutes=1)),
}


@pytest.mark.parametrize("page", [0, 1, 3])
@pytest.mark.parametrize(("error", "wait"), TROUBLE.values(), ids=TROUBLE)
async def test_trouble_with_a_page_is_tried_again(
    world: World, dana: Connection, copy: MailboxMessage, error: SyncError, wait: timedelta, page: int
) -> None:
    """Not before Retry-After; the mark stays until the end was seen, and then all is told once."""
    for number in range(4):
        world.clock.advance(SECOND)
        world.mail.arrives(dana.mailbox, ADA.address, str(number), answers=copy)
    before = await mark(world)
    world.faults.fail("mail.received_since", error, skip=page)
    await world.work_off(CatchUp(dana.connection_id, page_size=2))
    await world.settle(SECOND)
    (again,) = [message for message in world.work.messages if isinstance(message.job, CatchUp)]
    assert again.visible_at == world.clock() + wait
    assert await mark(world) == before
    await world.settle(wait)
    assert await synced(world) == ["0", "1", "2", "3"]
    assert await mark(world) == world.clock() - SETTLING


@pytest.mark.parametrize("call", ["mail.content", "mail.file"])
async def test_trouble_with_a_message_is_tried_again(
    world: World, dana: Connection, copy: MailboxMessage, call: str
) -> None:
    """What could not be read is not passed over: the mark waits for it."""
    files = [HeldFile("notes.txt", b"plain words", "text/plain")]
    world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy, files=files)
    before = await mark(world)
    world.faults.fail(call, Unclear())
    await world.work_off(CatchUp(dana.connection_id))
    assert (await mark(world), await synced(world)) == (before, [])
    await world.settle(SOON)
    assert await synced(world) == ["RE: Offer"]
    assert await mark(world) != before


async def test_a_message_that_is_refused_keeps_back_no_other(
    world: World, dana: Connection, copy: MailboxMessage
) -> None:
    """It is left to a queue message of its own, which people find among the poison ones; the look goes on."""
    broken = world.mail.arrives(dana.mailbox, ADA.address, "Broken", answers=copy)
    world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    world.faults.fail("mail.content", Declined(code="ErrorItemCorrupt", status=400))
    await world.work_off(CatchUp(dana.connection_id))
    assert await synced(world) == ["RE: Offer"]
    assert await mark(world) == world.clock() - SETTLING
    (left,) = world.work.visible(MAIL_CHANGES)
    assert left == MailChange(dana.connection_id, broken.graph_id, passed_on=True)


@pytest.mark.parametrize("deleted_at", ["mail.content", "anchors.find"])
async def test_a_message_that_is_deleted_while_it_is_looked_at_keeps_back_no_other(
    world: World, dana: Connection, copy: MailboxMessage, deleted_at: str
) -> None:
    """It is gone, and there is nothing to tell of it."""
    gone = world.mail.arrives(dana.mailbox, ADA.address, "Gone", answers=copy)
    world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)

    async def delete() -> None:
        world.mail.delete(gone.graph_id)

    world.faults.meanwhile(deleted_at, delete)
    await world.work_off(CatchUp(dana.connection_id))
    assert await synced(world) == ["RE: Offer"]
    assert await mark(world) == world.clock() - SETTLING
