"""Answering: what the draft of an answer has to be before it goes, and that what it answers stays as it was."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from sync.domain.body import Body
from sync.domain.connection import Connection
from sync.domain.errors import Declined, Gone, OutsideError, Throttled, Unclear
from sync.domain.mail import Address, MailboxMessage
from sync.domain.message import Contact, Message
from sync.domain.outgoing import OutgoingFile
from sync.flows.draft import LOOKS_FOR_LOST_DRAFT, MAX_SENDS_WITH_FILES
from tests import files
from tests.fakes.mail import HeldFile
from tests.unit.flows.sent_once import DAY, TEXT, assert_sent_once, outcomes
from tests.unit.flows.world import ADA, World

ALIAS = "d.doe@crm.example"
LOGO = HeldFile("logo.png", files.png(), "image/png", inline=True, content_id="logo@1")
THROTTLED = Throttled(retry_after=timedelta(seconds=10))
OWN_LOGO = OutgoingFile("logo.png", "image/png", files.png(500), inline=True, content_id="logo@crm")


async def asked(world: World, dana: Connection, **mail: object) -> tuple[Message, MailboxMessage]:
    """A thread whose last message is Ada's: the CRM's email, and her answer, which nobody has read."""
    first = await world.sent(dana)
    copy = world.mail.sent_copy(first.message_id)
    reply = world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy, **mail)  # type: ignore[arg-type]
    await world.settle()
    world.mail.outgoing.clear()
    return first, reply


async def answered(world: World, dana: Connection, first: Message, **more: object) -> Message:
    """The CRM answers into the thread, as it was accepted."""
    return await world.accepted(dana, key="key-2", thread_id=first.thread_id, **more)  # type: ignore[arg-type]


def marks_read(world: World) -> None:
    """Graph marks as read what a draft answers."""
    world.mail.answering_marks_read = True


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("unread", [True, False])
async def test_the_answered_message_stays_as_read_as_it_was(
    world: World, dana: Connection, unread: bool, marked: bool
) -> None:
    """Whether Graph marks it as read or not; and nothing is written to it where nothing has to be."""
    world.mail.answering_marks_read = marked
    first, reply = await asked(world, dana)
    world.mail.read(reply.graph_id, not unread)
    await answered(world, dana, first)
    await world.settle()

    assert len(world.mail.outgoing) == 1
    assert world.mail.unread(reply.graph_id) is unread
    assert world.faults.count("mail.mark_unread") == (unread and marked)
    assert world.faults.count("mail.is_unread") == (2 if unread else 1)


async def test_of_the_users_own_messages_nothing_is_asked(world: World, dana: Connection) -> None:
    """What the user or the CRM wrote is always read."""
    marks_read(world)
    first = await world.sent(dana)
    await world.sent(dana, key="key-2", thread_id=first.thread_id)

    assert world.faults.count("mail.is_unread") == 0


@pytest.mark.parametrize("error", [Gone(), Declined(code="ErrorAccessDenied", status=403)], ids=["gone", "refused"])
@pytest.mark.parametrize("call", ["mail.is_unread", "mail.mark_unread"])
@pytest.mark.parametrize("skip", [0, 1])
async def test_a_mark_that_cannot_be_read_or_set_never_keeps_the_email(
    world: World, dana: Connection, call: str, skip: int, error: OutsideError
) -> None:
    """The user deletes it meanwhile, or Graph refuses: the email goes, once."""
    marks_read(world)
    first, _ = await asked(world, dana)
    world.faults.fail(call, error, skip=skip, times=10)
    message = await answered(world, dana, first)
    await world.settle()

    assert [item.seen.stamp for item in world.mail.outgoing] == [message.message_id]


@pytest.mark.parametrize("error", [Unclear(), THROTTLED], ids=["unclear", "throttled"])
async def test_a_mark_that_graph_never_sets_never_keeps_the_email(
    world: World, dana: Connection, error: OutsideError
) -> None:
    """It is tried a few times."""
    marks_read(world)
    first, _ = await asked(world, dana)
    world.faults.fail("mail.mark_unread", error, times=1_000)
    message = await answered(world, dana, first)
    await world.settle(DAY)

    assert [item.seen.stamp for item in world.mail.outgoing] == [message.message_id]
    assert 1 < world.faults.count("mail.mark_unread") < 10


@pytest.mark.long
@pytest.mark.parametrize(
    ("error", "applied"),
    [(Unclear(), True), (Unclear(), False), (THROTTLED, False)],
    ids=["unclear, applied", "unclear, not applied", "throttled"],
)
@pytest.mark.parametrize("call", ["mail.is_unread", "mail.create_answer", "mail.mark_unread", "mail.set_recipients"])
@pytest.mark.parametrize("skip", [0, 1])
async def test_whatever_answer_is_lost_the_original_is_unread_and_one_email_goes(
    world: World, dana: Connection, call: str, error: OutsideError, skip: int, applied: bool
) -> None:
    """A draft that is found again is looked at as a new one is."""
    marks_read(world)
    world.mail.adds_recipients = True
    first, reply = await asked(world, dana)
    world.faults.fail(call, error, skip=skip, applied=applied)
    message = await answered(world, dana, first, to=[Contact("bob@world.example")])
    await world.settle(DAY)

    (left,) = world.mail.outgoing
    assert left.seen.stamp == message.message_id
    assert left.seen.to == (Address("bob@world.example"),)
    assert world.mail.unread(reply.graph_id)
    assert world.mail.drafts() == []


async def test_a_message_deleted_while_it_is_answered_leaves_the_one_before_as_it_was(
    world: World, dana: Connection
) -> None:
    """The newest is gone when its answer is asked for: the one before is answered, and stays unread."""
    marks_read(world)
    first, reply = await asked(world, dana)
    second = world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=reply)
    await world.settle()

    async def delete() -> None:
        world.mail.delete(second.graph_id)

    world.faults.meanwhile("mail.create_answer", delete)
    await answered(world, dana, first)
    await world.settle()

    (left,) = world.mail.outgoing
    assert left.seen.keys.in_reply_to == reply.keys.internet_message_id
    assert world.mail.unread(reply.graph_id)


@pytest.mark.parametrize("added", [True, False])
async def test_an_answer_goes_to_whom_the_crm_named_and_to_nobody_else(
    world: World, dana: Connection, added: bool
) -> None:
    """Where Graph adds recipients of its own choice they are taken off before anything is sent; else nothing is written."""
    world.mail.adds_recipients = added
    first, _ = await asked(world, dana)
    await answered(world, dana, first, to=[Contact("bob@world.example", "Bob")])
    await world.settle()

    (left,) = world.mail.outgoing
    assert (left.seen.to, left.seen.cc, left.seen.bcc) == ((Address("bob@world.example", "Bob"),), (), ())
    assert world.faults.count("mail.set_recipients") == added


async def test_an_answer_to_ones_own_email_never_goes_to_oneself(world: World, dana: Connection) -> None:
    """Graph would address the sender of what is answered, who is the user."""
    world.mail.adds_recipients = True
    first = await world.sent(dana)
    await world.sent(dana, key="key-2", thread_id=first.thread_id)

    assert [a.address for a in world.mail.outgoing[-1].seen.to] == [ADA.address]


async def test_a_draft_that_may_be_on_its_way_is_not_written_to(world: World, dana: Connection) -> None:
    """After a send without an answer nothing is set any more, even if the mailbox shows other recipients: it would be refused."""
    first, _ = await asked(world, dana)
    message = await answered(world, dana, first)
    world.faults.fail("mail.send", Unclear(), applied=True)
    world.mail.sent_copy_delay *= 40

    async def shown_otherwise() -> None:
        draft = world.mail.drafts()[0]
        draft.seen = replace(draft.seen, to=(Address("ada@internal.example"),))

    world.faults.meanwhile("mail.keys", shown_otherwise, skip=1)  # the first is Graph telling of the new draft
    await world.settle(DAY)

    assert await outcomes(world) == ["message.sent", "message.sent"]
    assert [item.seen.stamp for item in world.mail.outgoing] == [message.message_id]
    assert world.faults.count("mail.set_recipients") == 0


async def test_a_draft_that_was_lost_leaves_the_original_as_it_was(world: World, dana: Connection) -> None:
    """The draft marked the original as read, its answer was lost, and the user deleted it: the next one still knows."""
    marks_read(world)
    first, reply = await asked(world, dana)
    await answered(world, dana, first)
    world.faults.fail("mail.create_answer", Unclear(), applied=True)

    async def delete() -> None:
        world.mail.delete(world.mail.drafts()[0].seen.graph_id)

    world.faults.meanwhile("mail.find_stamped", delete)
    await world.settle(DAY)

    assert len(world.mail.outgoing) == 1
    assert world.mail.unread(reply.graph_id)


@pytest.mark.parametrize("carried", [True, False])
@pytest.mark.parametrize("own", [(), (OWN_LOGO,), (OWN_LOGO, TEXT)])
async def test_an_answer_has_its_own_files_and_no_others(
    world: World, dana: Connection, own: tuple[OutgoingFile, ...], carried: bool
) -> None:
    """Inline files that Graph takes over are taken off, also one with the name of ours, and the quote shows none of them."""
    world.mail.carries_inline_files = carried
    body = Body('<p>See <img src="cid:logo@1"></p>', None)
    first, _ = await asked(world, dana, files=[LOGO], body=body)
    await answered(world, dana, first, files=own)
    await world.settle()

    (left,) = world.mail.outgoing
    assert [(f.name, f.content, f.content_id) for f in left.files] == [(f.name, f.content, f.content_id) for f in own]
    assert left.body.html is not None
    assert "<p>See </p>" in left.body.html
    assert world.faults.count("mail.remove_files") == 1


@pytest.mark.parametrize("call", ["mail.remove_files", "mail.add_file", "mail.create_answer"])
@pytest.mark.parametrize("applied", [True, False])
async def test_a_lost_answer_never_makes_a_file_of_the_original_ours(
    world: World, dana: Connection, call: str, applied: bool
) -> None:
    """The original's logo is not taken for the CRM's, which has the same name."""
    first, _ = await asked(world, dana, files=[LOGO])
    world.faults.fail(call, Unclear(), applied=applied)
    await answered(world, dana, first, files=[OWN_LOGO])
    await world.settle(DAY)

    (left,) = world.mail.outgoing
    assert [(f.name, f.content) for f in left.files] == [(OWN_LOGO.name, OWN_LOGO.content)]


async def test_a_draft_made_anew_gets_all_its_files(world: World, dana: Connection) -> None:
    """The user deletes the draft when its first file is on it: the new one has that file, too."""
    message = await world.accepted(dana, files=[TEXT, replace(TEXT, name="second.txt")])

    async def delete() -> None:
        world.mail.delete(world.mail.drafts()[0].seen.graph_id)

    world.faults.meanwhile("mail.add_file", delete, skip=1)
    await world.settle(DAY)

    stored = await assert_sent_once(world, message)
    assert stored.outbox is not None
    assert stored.outbox.tries >= LOOKS_FOR_LOST_DRAFT
    assert [file.name for file in world.mail.outgoing[0].files] == ["notes.txt", "second.txt"]


def from_alias(message: Message) -> Message:
    """As a bulk send with one of the mailbox's other addresses."""
    return replace(message, sender=Address(ALIAS.upper(), "Dana Doe"))


def from_elsewhere(message: Message) -> Message:
    """As accepted before the mailbox lost that address."""
    return replace(message, sender=Address("old@crm.example", "Dana Doe"))


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize(
    ("sender", "kept"),
    [(from_alias, True), (from_elsewhere, False), (lambda message: message, False)],
    ids=["alias", "not one's own", "primary"],
)
async def test_from_is_an_alias_where_the_message_has_one(
    world: World,
    dana: Connection,
    sender: Callable[[Message], Message],
    kept: bool,
    answers: bool,
    enabled: bool,
) -> None:
    """And `message.sent` tells what really stood in From, where the organisation does not allow aliases."""
    world.mail.sends_from_alias = enabled
    if answers:
        first, _ = await asked(world, dana)
        message = await answered(world, dana, first)
    else:
        message = await world.accepted(dana)
    await world.journal.save_message(sender(message))
    await world.settle()

    really = ALIAS.upper() if kept and enabled else dana.mailbox.email
    (left,) = world.mail.outgoing
    assert left.seen.sender is not None
    assert left.seen.sender.address == really
    told = [event for event in await world.feed() if event.type == "message.sent"][-1].data["message"]
    assert told["from"]["address"] == really  # type: ignore[index]


async def test_few_sends_hold_files_at_a_time(world: World, dana: Connection) -> None:
    """However many run at once: each file is in memory as bytes and as base64 while it is added."""
    under_way: list[str] = []
    most = 0

    async def slowly() -> None:
        nonlocal most
        under_way.append("file")
        most = max(most, len(under_way))
        for _ in range(20):
            await asyncio.sleep(0)
        under_way.pop()

    messages = [
        await world.accepted(dana, key=f"key-{n}", files=[TEXT, replace(TEXT, name="b.txt")])
        for n in range(3 * MAX_SENDS_WITH_FILES)
    ]
    for _ in range(2 * len(messages)):
        world.faults.meanwhile("mail.add_file", slowly)
    jobs = [queued.job for queued in world.work.messages]
    await asyncio.gather(*(world.work_off(job) for job in jobs))

    assert most == MAX_SENDS_WITH_FILES
    await world.settle()
    assert len(world.mail.outgoing) == len(messages)
