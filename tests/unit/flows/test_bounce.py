"""Bounces: a delivery report is told of its email, once, after that email was told as sent; and never as a message."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sync.domain.connection import Connection
from sync.domain.delivery_report import MAX_REPORT_BYTES
from sync.domain.errors import Declined, Unclear
from sync.domain.mail import MailboxMessage, ThreadKeys
from sync.domain.message import Bounce, Contact, Message, Status
from sync.jobs import CatchUp, MailChange, SendMail
from tests.fakes.mail import report_about
from tests.unit.flows.world import ACCOUNT, ADA, World

BOB = Contact("bob@world.example", "Bob", "c-bob")


@pytest.fixture
async def sent(world: World, dana: Connection) -> Message:
    """An email that Dana sent to Ada and Bob from the CRM."""
    message = await world.accepted(dana, to=(ADA, BOB))
    await world.settle()
    return await world.message(message.message_id)


@pytest.fixture
def copy(world: World, sent: Message) -> MailboxMessage:
    """Its copy in Sent Items."""
    return world.mail.sent_copy(sent.message_id)


async def bounces(world: World) -> list[dict[str, Any]]:
    """`data` of each `message.bounced`."""
    return [event.data for event in await world.feed() if event.type == "message.bounced"]


async def test_a_report_bounces_the_email_it_is_about(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """Told once, with address, code and the server's words; the report itself is no message of the thread."""
    report = world.mail.reported(dana.mailbox, copy, [BOB.address])
    await world.settle()
    await world.work_off(MailChange(dana.connection_id, report.graph_id))

    (told,) = await bounces(world)
    assert told["bounces"] == [{"address": BOB.address, "status_code": "5.1.1", "detail": "550 5.1.1 No such user"}]
    assert told["message"]["message_id"] == sent.message_id
    assert told["problem"]["code"] == "bounced"
    assert BOB.address in told["problem"]["detail"]
    assert "typing mistakes" in told["problem"]["what_to_do"]
    stored = await world.message(sent.message_id)
    assert stored.status is Status.BOUNCED
    assert stored.bounces == (Bounce(BOB.address, "5.1.1", "550 5.1.1 No such user"),)
    assert [m.message_id for m in await world.journal.messages_of(ACCOUNT, sent.thread_id)] == [sent.message_id]
    assert (await world.told())[1:] == ["message.sent", "message.bounced"]
    assert world.faults.count("mail.mime") == 1, "a report that is known is not read again"


async def test_reports_of_several_recipients_add_up(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """Each report is an event about its own recipients; the message knows them all, also if they came at once."""
    reports = [world.mail.reported(dana.mailbox, copy, [person.address]) for person in (ADA, BOB)]
    await asyncio.gather(*(world.work_off(MailChange(dana.connection_id, r.graph_id)) for r in reports))
    await world.settle()

    assert sorted(b["address"] for told in await bounces(world) for b in told["bounces"]) == [ADA.address, BOB.address]
    stored = await world.message(sent.message_id)
    assert {bounce.address for bounce in stored.bounces} == {ADA.address, BOB.address}
    assert ADA.address in stored.problem
    assert BOB.address in stored.problem


async def test_a_report_is_told_once_however_often_it_is_seen(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """By several workers at once, by catch-up, and as a second copy of the same report."""
    report = world.mail.reported(dana.mailbox, copy, [BOB.address])
    world.mail.reported(dana.mailbox, copy, [BOB.address], keys=report.keys)
    await asyncio.gather(*(world.work_off(MailChange(dana.connection_id, report.graph_id)) for _ in range(3)))
    await world.settle()
    await world.work_off(CatchUp(dana.connection_id))

    assert len(await bounces(world)) == 1


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
async def test_a_report_of_anything_but_failure_tells_nothing(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage, action: str
) -> None:
    """The email is late, or arrived: it stays sent, and the report is no message."""
    world.mail.reported(dana.mailbox, copy, [BOB.address], action=action)
    await world.settle()

    assert (await world.told())[1:] == ["message.sent"]
    assert (await world.message(sent.message_id)).status is Status.SENT


KEYS = {
    "In-Reply-To": lambda keys: ThreadKeys("<r@x>", in_reply_to=keys.internet_message_id, conversation_id="other"),
    "References": lambda keys: ThreadKeys("<r@x>", references=(keys.internet_message_id,)),
    "conversation index": lambda keys: ThreadKeys("<r@x>", conversation_guid=keys.conversation_guid),
    "conversation": lambda keys: ThreadKeys("<r@x>", conversation_id=keys.conversation_id),
}


@pytest.mark.parametrize(("key", "make"), KEYS.items(), ids=KEYS)
async def test_one_key_is_enough(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage, key: str, make: Any
) -> None:
    """Any key that leads to a thread of ours lets the report be read, though a stranger wrote it."""
    world.mail.reported(dana.mailbox, copy, [BOB.address], keys=make(copy.keys))
    await world.settle()

    assert len(await bounces(world)) == 1, key


ELSEWHERE = {
    "nothing leads to us": lambda keys: ThreadKeys("<r@x>", conversation_id="other"),
    "In-Reply-To points elsewhere": lambda keys: ThreadKeys(
        "<r@x>", "<private@x>", (keys.internet_message_id,), keys.conversation_id
    ),
}


@pytest.mark.parametrize(("why", "make"), ELSEWHERE.items(), ids=ELSEWHERE)
async def test_a_report_of_other_mail_is_not_read(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage, why: str, make: Any
) -> None:
    """Only its keys are, even if it says inside that it is about an email of ours; nothing is kept."""
    kept = dict(world.anchors._known)
    world.mail.reported(dana.mailbox, copy, [BOB.address], keys=make(copy.keys))
    await world.settle()

    assert world.faults.count("mail.mime") == world.faults.count("mail.content") == 0, why
    assert await bounces(world) == []
    assert world.anchors._known == kept


async def test_a_bounce_of_what_the_user_wrote_in_outlook(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """An email of the thread all the same: told as synced first, then as bounced."""
    own = world.mail.from_outlook(dana.mailbox, "eve@world.example", "RE: Offer", answers=copy)
    await world.settle()
    world.mail.reported(dana.mailbox, own, ["eve@world.example"])
    await world.settle()
    await world.work_off(MailChange(dana.connection_id, own.graph_id))

    assert (await world.told())[1:] == ["message.sent", "message.synced", "message.bounced"]
    (told,) = await bounces(world)
    assert told["message"]["internet_message_id"] == own.keys.internet_message_id
    assert (await world.message(told["message"]["message_id"])).status is Status.BOUNCED


async def test_what_others_wrote_does_not_bounce(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """A forged report about the contact's own email: it did not leave from here."""
    reply = world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    await world.settle()
    world.mail.reported(dana.mailbox, reply, [ADA.address])
    await world.settle()

    assert await bounces(world) == []


@pytest.mark.parametrize(
    "mime",
    [
        b"",
        b"\xff\x00",
        b"Subject: Hello\r\n\r\nno report",
        report_about("<unknown@x>", ["a@x"]),
        b"x" * (MAX_REPORT_BYTES + 1),
    ],
    ids=["empty", "no mail", "no report", "of another email", "too large"],
)
async def test_a_report_that_says_nothing_changes_nothing(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage, mime: bytes
) -> None:
    """In the conversation of a thread, and still neither a bounce nor a message."""
    world.mail.reported(dana.mailbox, copy, [], mime=mime)
    await world.settle()

    assert (await world.told())[1:] == ["message.sent"]


async def test_sent_is_told_before_bounced(world: World, dana: Connection) -> None:
    """A report that overtakes the copy in Sent Items waits for it, and does not hold up catch-up meanwhile."""
    world.mail.sent_copy_delay = timedelta(seconds=40)
    message = await world.accepted(dana)
    await world.settle(timedelta(seconds=5))
    draft = world.mail.drafts()[0].seen
    reply = world.mail.reported(dana.mailbox, draft, [ADA.address])
    await world.settle(timedelta(seconds=5))
    assert (await world.told())[1:] == []
    synced_through = (await world.connection()).synced_through
    world.clock.advance(timedelta(seconds=1))
    await world.work_off(CatchUp(dana.connection_id))
    assert (await world.connection()).synced_through != synced_through
    await world.settle()

    assert (await world.told())[1:] == ["message.sent", "message.bounced"]
    assert await world.anchors.message_of(dana.connection_id, reply.graph_id) == message.message_id


async def test_a_late_look_at_the_sent_copy_does_not_undo_a_bounce(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """Nor does the send's own wake-up, or a copy that the user sends again."""
    world.mail.reported(dana.mailbox, copy, [BOB.address])
    await world.settle()
    await world.work_off(MailChange(dana.connection_id, copy.graph_id))
    await world.receive.take(dana, copy)
    await world.receive.take(dana, replace(copy, graph_id="another id"))
    await world.work_off(SendMail(ACCOUNT, sent.message_id))
    assert (await world.told())[1:] == ["message.sent", "message.bounced"]
    assert (await world.message(sent.message_id)).status is Status.BOUNCED

    again = world.mail.from_outlook(dana.mailbox, ADA.address, "Offer", answers=copy)
    world.mail._items[again.graph_id].seen = replace(again, stamp=copy.stamp)
    await world.settle()
    assert (await world.told())[3:] == ["message.synced"]


async def test_a_bounce_does_not_keep_the_crm_from_hearing_that_the_email_was_sent(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """The worker died before it promised the delivery of `message.sent`, and then it bounced: both are delivered."""
    event = next(event for event in await world.feed() if event.type == "message.sent")
    await world.journal.save_event(replace(event, delivery="pending", attempt_count=0))
    world.crm.heard.clear()
    world.mail.reported(dana.mailbox, copy, [BOB.address])
    await world.settle()
    await world.work_off(SendMail(ACCOUNT, sent.message_id))
    await world.settle()

    assert {event.type for event in world.crm.heard} == {"message.sent", "message.bounced"}


async def test_a_failed_email_stays_failed(world: World, dana: Connection) -> None:
    """Whatever a report says of it: the CRM was told that it was not sent."""
    world.mail.refuses_to_send = Declined(code="ErrorSendAsDenied", status=403)
    message = await world.accepted(dana)
    await world.settle()
    world.mail.reported(dana.mailbox, world.mail.drafts()[0].seen, [ADA.address])
    await world.settle()

    assert (await world.told())[1:] == ["message.failed"]
    assert (await world.message(message.message_id)).status is Status.FAILED


@pytest.mark.parametrize("moment", ["mail.keys", "anchors.find", "mail.mime"])
async def test_a_disconnect_while_a_report_is_read_leaves_nothing_told(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage, moment: str
) -> None:
    """From that moment on nothing of the mailbox reaches the CRM."""

    async def disconnect() -> None:
        await world.disconnect.delete(ACCOUNT, "u1")

    world.mail.reported(dana.mailbox, copy, [BOB.address])
    world.faults.meanwhile(moment, disconnect)
    await world.settle()

    assert await bounces(world) == []
    assert (await world.message(sent.message_id)).status is Status.SENT


async def test_a_report_of_an_erased_email_tells_nothing(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """Erased between reading the report and saving: nothing comes back."""

    async def erase() -> None:
        await world.journal.remove_message(await world.message(sent.message_id))

    world.mail.reported(dana.mailbox, copy, [BOB.address])
    world.faults.meanwhile("journal.save_message", erase)
    await world.settle()

    assert await bounces(world) == []
    assert await world.journal.message(ACCOUNT, sent.message_id) is None


async def test_trouble_at_graph_delays_a_bounce_and_does_not_lose_it(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """It is tried again until the mailbox answers."""
    world.mail.reported(dana.mailbox, copy, [BOB.address])
    world.faults.fail("mail.mime", Unclear(), times=3)
    await world.settle()

    assert len(await bounces(world)) == 1


async def test_a_bounce_that_nobody_told_of_is_found_by_catch_up(world: World, dana: Connection, sent: Message) -> None:
    """As any mail."""
    world.subscriptions.open_ones.clear()
    world.mail.reported(dana.mailbox, world.mail.sent_copy(sent.message_id), [BOB.address])
    await world.settle()

    assert len(await bounces(world)) == 1
