"""Receiving: what belongs to a thread reaches the CRM once, and of nothing else more than its keys is read."""

import asyncio
from datetime import timedelta

import pytest

from sync.domain.attachment_rule import MAX_ATTACHMENT_BYTES
from sync.domain.connection import Connection, State
from sync.domain.errors import Declined, Gone, OutsideError, Throttled, Unclear
from sync.domain.mail import MailboxMessage, ThreadKeys
from sync.domain.message import Message
from sync.flows.receive import MAX_TRIES
from sync.jobs import MailChange
from tests.fakes.mail import HeldFile
from tests.unit.flows.world import ACCOUNT, ADA, World

STRANGER = "eve@elsewhere.example"


@pytest.fixture
async def sent(world: World, dana: Connection) -> Message:
    """An email that Dana sent to Ada from the CRM: the beginning of a thread."""
    return await world.sent(dana)


@pytest.fixture
def copy(world: World, sent: Message) -> MailboxMessage:
    """Its copy in Sent Items."""
    return world.mail.sent_copy(sent.message_id)


async def synced(world: World) -> list[dict[str, object]]:
    """What the CRM was told of mail found in the mailbox."""
    return [e.data["message"] for e in await world.feed() if e.type == "message.synced"]  # type: ignore[misc]


async def test_of_mail_outside_every_thread_only_the_keys_are_read(world: World, dana: Connection) -> None:
    """Not its body, not its files, not even the list of them; and nothing of it is kept."""
    kept = dict(world.content.stored)
    before = len(world.faults.calls)
    files = [HeldFile("notes.txt", b"private", "text/plain")]
    world.mail.arrives(dana.mailbox, ADA.address, "Dinner?", files=files)
    world.mail.from_outlook(dana.mailbox, ADA.address, "Lunch?")
    await world.settle()

    asked_of_mailbox = [call for call in world.faults.calls[before:] if call.startswith("mail.")]
    assert set(asked_of_mailbox) == {"mail.keys", "mail.received_since"}
    assert asked_of_mailbox.count("mail.keys") == 2
    assert world.content.stored == kept
    assert await synced(world) == []


KEYS = {
    "message_id": lambda keys: ThreadKeys("<new@x>", in_reply_to=keys.internet_message_id, conversation_id="other"),
    "references": lambda keys: ThreadKeys("<new@x>", references=("<unknown@x>", keys.internet_message_id)),
    "conversation": lambda keys: ThreadKeys("<new@x>", conversation_id=keys.conversation_id),
    "conversation_index": lambda keys: ThreadKeys("<new@x>", conversation_guid=keys.conversation_guid),
}


@pytest.mark.parametrize(("key", "make"), KEYS.items(), ids=KEYS)
async def test_each_key_alone_brings_a_reply_into_the_thread(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage, key: str, make: object
) -> None:
    """Message-ID, conversation and conversation index: one of them is enough, and the event says which it was."""
    world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", keys=make(copy.keys))  # type: ignore[operator]
    await world.settle()

    (told,) = await synced(world)
    assert told["thread_id"] == sent.thread_id
    assert told["matched_by"] == key.replace("references", "message_id")
    assert (told["direction"], told["origin"], told["contact_ids"]) == ("inbound", "contact", ["c-ada"])


async def test_the_users_own_answer_typed_in_outlook_syncs(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """Direction does not matter: what the user writes into the thread in Outlook is told as theirs."""
    world.mail.from_outlook(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    await world.settle()

    (told,) = await synced(world)
    assert (told["direction"], told["origin"], told["thread_id"]) == ("outbound", "outlook", sent.thread_id)


async def test_the_chain_grows_with_each_message(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """An answer to an answer is recognised by the answer's own keys, long after the first email."""
    last = copy
    for number in range(5):
        keys = ThreadKeys(f"<{number}@x>", in_reply_to=last.keys.internet_message_id, conversation_id=f"c{number}")
        last = world.mail.arrives(dana.mailbox, STRANGER, f"Other subject {number}", keys=keys)
        await world.settle()

    assert [told["thread_id"] for told in await synced(world)] == [sent.thread_id] * 5


async def test_mail_deleted_before_we_look_is_passed_over(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """It is gone: no event, no error, no further try."""
    reply = world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    world.mail.delete(reply.graph_id)
    await world.settle()

    assert await synced(world) == []
    assert not world.work.visible(MailChange.queue)


async def test_one_message_told_many_times_at_once_becomes_one_event(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """Graph may tell of one message often, and workers run side by side."""
    reply = world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    job = MailChange(dana.connection_id, reply.graph_id)
    await asyncio.gather(*(world.work_off(job) for _ in range(3)))
    await world.settle()

    assert len(await synced(world)) == 1
    messages = await world.journal.messages_of(ACCOUNT, sent.thread_id)
    assert [m.origin for m in messages] == ["crm", "contact"]


async def test_two_copies_of_one_message_are_one_message(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """An email to oneself is in Sent Items and in the Inbox, with one Message-ID."""
    keys = ThreadKeys("<self@x>", in_reply_to=copy.keys.internet_message_id)
    for _ in range(2):
        world.mail.arrives(dana.mailbox, dana.mailbox.email, "RE: Offer", keys=keys)
    await world.settle()

    assert len(await synced(world)) == 1
    assert world.faults.count("mail.content") == 1


async def test_a_copy_of_our_email_sent_again_from_outlook_is_another_email(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """Changes of the Sent copy tell nothing new; what the user sends again has its own Message-ID and is told as theirs."""
    events = len(await world.feed())
    await world.work_off(MailChange(dana.connection_id, copy.graph_id))
    assert len(await world.feed()) == events

    world.mail.from_outlook(dana.mailbox, ADA.address, "Offer", answers=copy)
    await world.settle()
    assert [told["origin"] for told in await synced(world)] == ["outlook"]


@pytest.mark.parametrize("moment", ["mail.keys", "anchors.find", "mail.content", "mail.file", "content.put_body"])
async def test_a_disconnect_while_mail_is_read_leaves_nothing_told(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage, moment: str
) -> None:
    """The user disconnects as we read a reply: from that moment on nothing of it reaches the CRM."""

    async def disconnect() -> None:
        await world.disconnect.delete(ACCOUNT, "u1")

    files = [HeldFile("notes.txt", b"plain words", "text/plain")]
    world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy, files=files)
    world.faults.meanwhile(moment, disconnect)
    await world.settle()

    assert await synced(world) == []


async def test_a_thread_of_another_connection_does_not_catch_mail(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """A new connection to the same mailbox does not go on with the old one's threads."""
    await world.disconnect.delete(ACCOUNT, "u1")
    await world.connected(dana.mailbox.email)
    world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    await world.settle()

    assert await synced(world) == []


@pytest.mark.parametrize("withheld", [False, True], ids=["sync", "withhold"])
async def test_internal_forwards_sync_or_not_as_the_operator_wants(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage, withheld: bool
) -> None:
    """A forward to a colleague involves no contact: told so, or with FORWARDED_MESSAGES=withhold not read at all."""
    if withheld:
        world.withholding_forwards()
    before = len(world.faults.calls)
    world.mail.from_outlook(dana.mailbox, "bob@crm.example", "FW: Offer", answers=copy)
    await world.settle()

    assert [told["involves_contact"] for told in await synced(world)] == ([] if withheld else [False])
    assert ("mail.content" in world.faults.calls[before:]) is not withheld


FILES = [
    (HeldFile("ok.txt", b"plain words"), "synced", None),
    (HeldFile("full.txt", b"x" * MAX_ATTACHMENT_BYTES), "synced", None),
    (HeldFile("over.txt", b"x" * (MAX_ATTACHMENT_BYTES + 1)), "skipped", "too_large"),
    (HeldFile("understated.txt", b"x" * (MAX_ATTACHMENT_BYTES + 1), size_hint=10), "skipped", "too_large"),
    (HeldFile("run.exe", b"MZ"), "skipped", "type_not_allowed"),
    (HeldFile("invoice.pdf", b"MZ no pdf"), "skipped", "content_mismatch"),
    (HeldFile("mail.eml", b"", kind="item"), "skipped", "unsupported_kind"),
    (HeldFile("cloud.pdf", b"", kind="reference"), "skipped", "unsupported_kind"),
]


async def test_files_follow_the_attachment_rule_and_the_message_syncs_whatever_they_are(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """Each file is told with its fate; one that fails by name, kind or size is never fetched."""
    files = [file for file, _, _ in FILES]
    world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy, files=files)
    await world.settle()

    (told,) = await synced(world)
    fates = [(a["name"], a["status"], a["reason"]) for a in told["attachments"]]  # type: ignore[attr-defined]
    assert fates == [(file.name, status, reason) for file, status, reason in FILES]
    assert world.faults.count("mail.file") == 4  # ok, full, understated, invoice
    stored = (await world.journal.messages_of(ACCOUNT, sent.thread_id))[1].attachments
    assert [len(await world.content.file(a.blob)) for a in stored if a.blob] == [11, MAX_ATTACHMENT_BYTES]


async def test_an_inline_image_keeps_its_content_id(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """The html refers to it by that."""
    picture = HeldFile("logo.txt", b"text", inline=True, content_id="logo@1")
    world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy, files=[picture])
    await world.settle()

    (told,) = await synced(world)
    file = told["attachments"][0]  # type: ignore[index]
    assert (file["inline"], file["content_id"]) == (True, "logo@1")


@pytest.mark.parametrize("error", [Gone(), Declined(code="ErrorAccessDenied", status=403)])
async def test_a_file_that_the_mailbox_does_not_hand_out_is_told_as_such(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage, error: OutsideError
) -> None:
    """The message syncs; the file is listed as `fetch_failed`."""
    files = [HeldFile("notes.txt", b"plain words", "text/plain"), HeldFile("more.txt", b"more")]
    world.faults.fail("mail.file", error)
    world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy, files=files)
    await world.settle()

    (told,) = await synced(world)
    assert [a["reason"] for a in told["attachments"]] == ["fetch_failed", None]  # type: ignore[attr-defined]


@pytest.mark.parametrize("call", ["mail.keys", "mail.content", "mail.file"])
@pytest.mark.parametrize(
    "error", [Unclear(), Throttled(retry_after=timedelta(minutes=3))], ids=["unclear", "throttled"]
)
async def test_trouble_at_graph_delays_a_reply_and_does_not_lose_it(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage, call: str, error: OutsideError
) -> None:
    """It is tried again until the mailbox answers, not before Retry-After, and then told once."""
    files = [HeldFile("notes.txt", b"plain words", "text/plain")]
    world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy, files=files)
    world.faults.fail(call, error, times=4)
    began = world.clock()
    await world.settle()

    (told,) = await synced(world)
    assert [a["status"] for a in told["attachments"]] == ["synced"]  # type: ignore[attr-defined]
    if isinstance(error, Throttled):
        assert world.clock() - began >= 4 * error.retry_after


async def test_a_mailbox_that_never_answers_ends_in_the_poison_queue(world: World, dana: Connection) -> None:
    """After two days of tries the change is an error that an operator sees, not silently dropped."""
    world.faults.fail("mail.keys", Unclear())
    with pytest.raises(OutsideError, match="two days"):
        await world.receive.fetch(MailChange(dana.connection_id, "graph-1", MAX_TRIES))


async def test_a_refused_sign_in_stops_reading_and_is_told_once(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """However many messages arrive, the CRM hears once that the user must sign in again, and nothing is asked any more."""
    world.people.revoke(dana.mailbox.email)
    for _ in range(3):
        world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    await world.settle()

    assert (await world.told()).count("connection.needs_reconnect") == 1
    assert (await world.connection()).state is State.NEEDS_RECONNECT
    before = world.faults.count("mail.*")
    world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    await world.settle()
    assert world.faults.count("mail.*") == before


async def test_new_people_on_a_thread_are_known_to_it_from_then_on(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """A colleague of the contact answers; later only the conversation id says where their mail belongs."""
    keys = ThreadKeys("<1@x>", in_reply_to=copy.keys.internet_message_id)
    world.mail.arrives(dana.mailbox, STRANGER, "RE: Offer", keys=keys)
    await world.settle()
    world.mail.arrives(
        dana.mailbox, STRANGER, "Offer", keys=ThreadKeys("<2@x>", conversation_id=copy.keys.conversation_id)
    )
    await world.settle()

    assert len(await synced(world)) == 2
    thread = await world.journal.thread(ACCOUNT, sent.thread_id)
    assert thread is not None
    assert STRANGER in thread.participants
