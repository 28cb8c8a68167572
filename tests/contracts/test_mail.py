"""The promises of a mailbox, on the fake and on Graph's adapter at the emulator."""

from dataclasses import replace
from datetime import timedelta

import pytest

from sync.adapters.graph_mail import DIRECT_UPLOAD_BYTES
from sync.domain import delivery_report
from sync.domain.attachment_rule import MAX_ATTACHMENT_BYTES
from sync.domain.body import Body
from sync.domain.errors import Declined, Gone, OutsideError, ReconnectNeeded, Unclear
from sync.domain.mail import Address
from sync.domain.outgoing import Draft, OutgoingFile
from tests.contracts.graph_stages import ALIAS, DANA, GraphStage
from tests.fakes.mail import HeldFile

ADA = Address("ada@world.example", "Ada")
SECONDS = timedelta(seconds=2)
DRAFT = Draft("msg_1", (ADA,), (), (Address("eve@world.example", "Eve"),), "Offer", Body("<p>Hi</p>", None))


async def test_a_token_opens_its_owners_mailbox(stage: GraphStage) -> None:
    """Who that is, with all their own addresses; a token that is none opens nothing."""
    owner = await stage.mail.owner(stage.dana_token)
    assert owner.object_id == stage.dana.mailbox.object_id
    assert (owner.email, owner.display_name) == (DANA, "Dana Doe")
    assert owner.own_addresses == {DANA, ALIAS}
    with pytest.raises(OutsideError) as refused:
        await stage.mail.owner("no token")
    assert isinstance(refused.value, ReconnectNeeded)


async def test_a_draft_carries_stamp_people_and_keys(stage: GraphStage) -> None:
    """All that the rules need is in the answer already; reading it again shows the same."""
    made = await stage.mail.create_draft(stage.dana, DRAFT)
    assert made.is_draft
    assert (made.subject, made.to, made.bcc) == ("Offer", DRAFT.to, DRAFT.bcc)
    keys = made.keys
    assert keys.internet_message_id.startswith("<")
    assert keys.conversation_id
    assert keys.conversation_guid
    seen = await stage.mail.keys(stage.dana, made.graph_id)
    assert seen.stamp == "msg_1"
    assert (seen.graph_id, seen.keys.internet_message_id) == (made.graph_id, keys.internet_message_id)
    content = await stage.mail.content(stage.dana, made.graph_id)
    assert content.html is not None
    assert "<p>Hi</p>" in content.html


async def test_a_draft_is_found_by_its_stamp_before_and_after_it_was_sent(stage: GraphStage) -> None:
    """By its own stamp only, in its own mailbox only; the copy in Sent Items keeps id, keys and stamp."""
    made = await stage.mail.create_draft(stage.dana, DRAFT)
    await stage.mail.create_draft(stage.dana, replace(DRAFT, stamp="msg_2"))
    for stamp in ("msg_3", "msg", "", "msg_1' or 'a' eq 'a"):
        assert await stage.mail.find_stamped(stage.dana, stamp) is None
    assert await stage.mail.find_stamped(stage.bob, "msg_1") is None
    found = await stage.mail.find_stamped(stage.dana, "msg_1")
    assert found is not None
    assert (found.graph_id, found.is_draft) == (made.graph_id, True)

    await stage.mail.send(stage.dana, made.graph_id)
    await stage.departed()
    copy = await stage.mail.find_stamped(stage.dana, "msg_1")
    assert copy is not None
    assert (copy.graph_id, copy.is_draft, copy.stamp) == (made.graph_id, False, "msg_1")
    assert copy.keys.internet_message_id == made.keys.internet_message_id
    assert copy.keys.conversation_guid == made.keys.conversation_guid
    assert copy.sent_at is not None
    assert copy.sender is not None
    assert copy.sender.address == DANA
    assert await stage.left() == [("Offer", [])]


async def test_a_draft_is_sent_once(stage: GraphStage) -> None:
    """Sending it again while it is on its way, or after it left, is refused, and nothing more leaves."""
    made = await stage.mail.create_draft(stage.dana, DRAFT)
    await stage.mail.send(stage.dana, made.graph_id)
    with pytest.raises(Declined) as on_its_way:
        await stage.mail.send(stage.dana, made.graph_id)
    assert on_its_way.value.status == 409
    await stage.departed()
    with pytest.raises(Declined) as left:
        await stage.mail.send(stage.dana, made.graph_id)
    assert left.value.status == 400
    assert len(await stage.left()) == 1


@pytest.mark.parametrize("applied", [False, True], ids=["not applied", "applied"])
async def test_a_send_whose_answer_is_lost_is_unclear(stage: GraphStage, applied: bool) -> None:
    """And the stamp tells later which it was."""
    made = await stage.mail.create_draft(stage.dana, DRAFT)
    await stage.next_send_is_unclear(applied=applied)
    with pytest.raises(Unclear):
        await stage.mail.send(stage.dana, made.graph_id)
    await stage.departed()
    found = await stage.mail.find_stamped(stage.dana, "msg_1")
    assert found is not None
    assert found.is_draft is not applied
    assert len(await stage.left()) == applied


async def test_an_answer_stays_in_the_conversation(stage: GraphStage) -> None:
    """In-Reply-To and conversation of what it answers; its own stamp, people and body; an empty subject is Outlook's."""
    question = await stage.mail.keys(stage.dana, await stage.arrives(ADA.address, "Price?", "<p>How much?</p>"))
    answer = await stage.mail.create_answer(stage.dana, question.graph_id, replace(DRAFT, subject=""))
    assert answer.subject.casefold() == "re: price?"
    seen = await stage.mail.keys(stage.dana, answer.graph_id)
    assert seen.keys.in_reply_to == question.keys.internet_message_id
    assert seen.keys.conversation_id == question.keys.conversation_id
    assert (seen.stamp, seen.to, seen.is_draft) == ("msg_1", DRAFT.to, True)
    content = await stage.mail.content(stage.dana, answer.graph_id)
    assert content.html is not None
    assert "<p>Hi</p>" in content.html
    await stage.mail.send(stage.dana, answer.graph_id)
    await stage.departed()
    copy = await stage.mail.keys(stage.dana, answer.graph_id)
    assert copy.keys.in_reply_to == question.keys.internet_message_id

    renamed = await stage.mail.create_answer(stage.dana, question.graph_id, replace(DRAFT, subject="Our offer"))
    assert renamed.subject == "Our offer"


async def test_a_message_is_found_by_its_message_id(stage: GraphStage) -> None:
    """In every folder, read or draft, with its keys; not in another mailbox, and nothing by what is not the whole id."""
    kept = await stage.mail.keys(stage.dana, await stage.arrives(ADA.address, "Price?", "<p>How much?</p>"))
    await stage.arrives(ADA.address, "Price?", "")
    await stage.filed(kept.graph_id, "archive")
    draft = await stage.mail.create_draft(stage.dana, DRAFT)
    for message in (kept, await stage.mail.keys(stage.dana, draft.graph_id)):
        internet_message_id = message.keys.internet_message_id
        assert await stage.mail.by_internet_message_id(stage.dana, internet_message_id) == [message]
        assert await stage.mail.by_internet_message_id(stage.bob, internet_message_id) == []
        assert await stage.mail.by_internet_message_id(stage.dana, internet_message_id[:-1]) == []
    for nobodys in ("<a+b&c'd=%41@x.example>", "<x' or subject ne '@x.example>"):
        assert await stage.mail.by_internet_message_id(stage.dana, nobodys) == []


async def test_what_came_since_is_found_in_every_folder(stage: GraphStage) -> None:
    """Oldest first, received, sent and drafts alike, with their keys; in one's own mailbox only; nothing from before."""
    await stage.arrives(ADA.address, "Before", "")
    await stage.passes(SECONDS)
    since = stage.now()
    expected = []
    for folder in ("inbox", "archive", "junkemail", "deleteditems"):
        graph_id = await stage.arrives(ADA.address, f"In {folder}", "<p>private</p>")
        await stage.filed(graph_id, folder)
        expected.append(graph_id)
        await stage.passes(SECONDS)
    sent = await stage.mail.create_draft(stage.dana, DRAFT)
    await stage.mail.send(stage.dana, sent.graph_id)
    await stage.departed()
    await stage.passes(SECONDS)
    draft = await stage.mail.create_draft(stage.dana, replace(DRAFT, stamp="msg_2"))
    gone = await stage.arrives(ADA.address, "Gone", "")
    await stage.deleted(gone)

    found = await stage.mail.received_since(stage.dana, since, 50)
    assert [mail.graph_id for mail in found] == [*expected, sent.graph_id, draft.graph_id]
    assert [mail.is_draft for mail in found] == [False] * 5 + [True]
    assert [mail.stamp for mail in found] == [""] * 4 + ["msg_1", "msg_2"]
    assert found == [await stage.mail.keys(stage.dana, mail.graph_id) for mail in found]
    assert await stage.mail.received_since(stage.bob, since, 50) == []


async def test_a_page_of_what_came_since_holds_the_oldest(stage: GraphStage) -> None:
    """At most the limit; from the last one's time on come those behind it, and this one again, never fewer."""
    since = stage.now()
    for number in range(5):
        await stage.arrives(ADA.address, str(number), "")
        await stage.passes(SECONDS)
    pages = []
    for _ in range(4):
        page = await stage.mail.received_since(stage.dana, since, 2)
        pages.append([mail.subject for mail in page])
        times = [mail.received_at for mail in page]
        assert times == sorted(filter(None, times))
        since = times[-1] or since
    assert pages == [["0", "1"], ["1", "2"], ["2", "3"], ["3", "4"]]


@pytest.mark.parametrize("into_the_second", [timedelta(), timedelta(microseconds=999_999)])
async def test_since_is_a_whole_second(stage: GraphStage, into_the_second: timedelta) -> None:
    """A part of a second that is asked for is rounded down, so that nothing of that second is left out."""
    await stage.arrives(ADA.address, "Price?", "")
    (mail,) = await stage.mail.received_since(stage.dana, stage.now() - SECONDS, 10)
    assert mail.received_at is not None
    second = mail.received_at.replace(microsecond=0)
    assert await stage.mail.received_since(stage.dana, second + into_the_second, 10) == [mail]
    assert await stage.mail.received_since(stage.dana, second + timedelta(seconds=1), 10) == []


async def test_what_was_deleted_is_gone(stage: GraphStage) -> None:
    """For reading, answering, files and sending alike; and so is what is in another's mailbox."""
    graph_id = await stage.arrives(ADA.address, "Price?", "<p>How much?</p>", [HeldFile("a.txt", b"x", "text/plain")])
    (file,) = (await stage.mail.content(stage.dana, graph_id)).files
    with pytest.raises(Gone):
        await stage.mail.keys(stage.bob, graph_id)
    await stage.deleted(graph_id)
    with pytest.raises(Gone):
        await stage.mail.keys(stage.dana, graph_id)
    with pytest.raises(Gone):
        await stage.mail.content(stage.dana, graph_id)
    with pytest.raises(Gone):
        await stage.mail.file(stage.dana, graph_id, file.graph_id, 100)
    with pytest.raises(Gone):
        await stage.mail.create_answer(stage.dana, graph_id, DRAFT)
    draft = await stage.mail.create_draft(stage.dana, DRAFT)
    await stage.deleted(draft.graph_id)
    with pytest.raises(Gone):
        await stage.mail.send(stage.dana, draft.graph_id)


SIZES = [0, 1, DIRECT_UPLOAD_BYTES - 1, DIRECT_UPLOAD_BYTES, MAX_ATTACHMENT_BYTES]


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
@pytest.mark.parametrize("size", SIZES)
async def test_a_file_of_every_size_goes_onto_a_draft_and_comes_back(stage: GraphStage, size: int) -> None:
    """Below and above what one request holds, up to the limit of the rule; byte for byte, with name and content id."""
    content = (b"0123456789abcde\n" * (size // 16 + 1))[:size]
    made = await stage.mail.create_draft(stage.dana, DRAFT)
    await stage.mail.add_file(stage.dana, made.graph_id, OutgoingFile("a b.txt", "text/plain", content, True, "cid@1"))
    assert await stage.mail.file_names(stage.dana, made.graph_id) == ["a b.txt"]
    (file,) = (await stage.mail.content(stage.dana, made.graph_id)).files
    assert (file.name, file.kind, file.inline) == ("a b.txt", "file", True)
    assert await stage.mail.file(stage.dana, made.graph_id, file.graph_id, MAX_ATTACHMENT_BYTES) == (content, "cid@1")
    await stage.mail.send(stage.dana, made.graph_id)
    await stage.departed()
    assert await stage.left() == [("Offer", ["a b.txt"])]


async def test_equal_files_are_each_on_the_draft(stage: GraphStage) -> None:
    """Two files of one name are two files."""
    made = await stage.mail.create_draft(stage.dana, DRAFT)
    for _ in range(2):
        await stage.mail.add_file(stage.dana, made.graph_id, OutgoingFile("a.txt", "text/plain", b"x"))
    assert await stage.mail.file_names(stage.dana, made.graph_id) == ["a.txt", "a.txt"]


async def test_what_arrived_shows_its_files_by_kind(stage: GraphStage) -> None:
    """A file, a mail within the mail, a link to the cloud; only a file has bytes to ask for."""
    files = [
        HeldFile("a.pdf", b"%PDF", "application/pdf"),
        HeldFile("logo.png", b"png", "image/png", inline=True, content_id="logo@1"),
        HeldFile("fw.eml", b"Subject: x\r\n\r\nx", "message/rfc822", kind="item"),
        HeldFile("cloud.docx", b"", "application/octet-stream", kind="reference"),
    ]
    graph_id = await stage.arrives(ADA.address, "Files", "<p>See</p>", files)
    shown = (await stage.mail.content(stage.dana, graph_id)).files
    assert [(f.name, f.kind, f.inline) for f in shown] == [(f.name, f.kind, f.inline) for f in files]
    assert await stage.mail.file(stage.dana, graph_id, shown[0].graph_id, 100) == (b"%PDF", None)
    assert await stage.mail.file(stage.dana, graph_id, shown[1].graph_id, 100) == (b"png", "logo@1")


async def test_a_file_that_is_too_large_is_not_handed_out(stage: GraphStage) -> None:
    """None, not its bytes: with room to spare for the JSON around a small one."""
    graph_id = await stage.arrives(ADA.address, "Large", "", [HeldFile("big.txt", b"x" * 1_000_000, "text/plain")])
    (file,) = (await stage.mail.content(stage.dana, graph_id)).files
    assert await stage.mail.file(stage.dana, graph_id, file.graph_id, 500_000) is None
    assert await stage.mail.file(stage.dana, graph_id, file.graph_id, 1_000_000) is not None


@pytest.mark.parametrize("foreign", [False, True], ids=["Exchange's own", "a foreign server's"])
async def test_a_delivery_report_is_known_by_its_keys_and_read_as_it_came(stage: GraphStage, foreign: bool) -> None:
    """What it is shows before it is read; as MIME it says which email and which recipient; ordinary mail is no report."""
    sent = await stage.mail.create_draft(stage.dana, DRAFT)
    await stage.mail.send(stage.dana, sent.graph_id)
    await stage.departed()
    graph_id = await stage.reported(sent, ADA.address, foreign=foreign)
    seen = await stage.mail.keys(stage.dana, graph_id)
    assert seen.report
    assert seen.keys.in_reply_to == sent.keys.internet_message_id
    assert not (await stage.mail.keys(stage.dana, sent.graph_id)).report
    assert not (await stage.mail.keys(stage.dana, await stage.arrives(ADA.address, "Undeliverable: Offer", ""))).report

    mime = await stage.mail.mime(stage.dana, graph_id, 100_000)
    assert mime is not None
    report = delivery_report.parse(mime)
    assert report is not None
    assert report.original_message_id == sent.keys.internet_message_id
    assert [(failed.final, failed.status_code) for failed in report.failed] == [(ADA.address, "5.1.1")]


async def test_a_report_that_is_too_large_is_not_handed_out(stage: GraphStage) -> None:
    """None above the limit, all of it at the limit; gone is gone, and another's mailbox holds none of it."""
    sent = await stage.mail.create_draft(stage.dana, DRAFT)
    graph_id = await stage.reported(sent, ADA.address)
    mime = await stage.mail.mime(stage.dana, graph_id, 100_000)
    assert mime is not None
    assert await stage.mail.mime(stage.dana, graph_id, len(mime)) == mime
    assert await stage.mail.mime(stage.dana, graph_id, len(mime) - 1) is None
    with pytest.raises(Gone):
        await stage.mail.mime(stage.bob, graph_id, 100_000)
    await stage.deleted(graph_id)
    with pytest.raises(Gone):
        await stage.mail.mime(stage.dana, graph_id, 100_000)
