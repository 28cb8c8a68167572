"""The promises of a mailbox about drafts that answer, on the fake and on Graph's adapter, whichever way Graph has it."""

from dataclasses import replace

import pytest

from sync.domain.body import Body
from sync.domain.errors import Declined, Gone
from sync.domain.mail import Address
from sync.domain.outgoing import Draft, OutgoingFile
from tests.contracts.graph_stages import ALIAS, DANA, GraphStage
from tests.fakes.mail import HeldFile

ADA, BOB, EVE = (Address(f"{name}@world.example", name.title()) for name in ("ada", "bob", "eve"))
DRAFT = Draft("msg_1", (BOB,), (), (EVE,), "Offer", Body("<p>Hi</p>", None))
LOGO = HeldFile("logo.png", b"png", "image/png", inline=True, content_id="logo@1")
PLAN = HeldFile("plan.pdf", b"%PDF", "application/pdf")
BOTH_WAYS = pytest.mark.parametrize("on", [True, False], ids=["on", "off"])


async def question(stage: GraphStage, *files: HeldFile) -> str:
    """Mail of Ada's; its id."""
    return await stage.arrives(ADA.address, "Price?", "<p>How much?</p>", files)


@BOTH_WAYS
async def test_whether_answering_marks_as_read_is_seen_and_undone(stage: GraphStage, on: bool) -> None:
    """What arrives is unread; whatever a draft does to it, it can be unread again, as often as one likes."""
    await stage.switch("create_reply_marks_read", on)
    graph_id = await question(stage)
    assert await stage.mail.is_unread(stage.dana, graph_id)
    await stage.mail.create_answer(stage.dana, graph_id, DRAFT)
    assert await stage.mail.is_unread(stage.dana, graph_id) is not on
    for _ in range(2):
        await stage.mail.mark_unread(stage.dana, graph_id)
        assert await stage.mail.is_unread(stage.dana, graph_id)


async def test_what_the_user_sent_is_not_unread(stage: GraphStage) -> None:
    """Nor is a draft."""
    made = await stage.mail.create_draft(stage.dana, DRAFT)
    assert not await stage.mail.is_unread(stage.dana, made.graph_id)
    await stage.mail.send(stage.dana, made.graph_id)
    await stage.departed()
    assert not await stage.mail.is_unread(stage.dana, made.graph_id)


async def test_what_is_gone_is_neither_read_nor_unread(stage: GraphStage) -> None:
    """Deleted, or in another's mailbox."""
    graph_id = await question(stage)
    with pytest.raises(Gone):
        await stage.mail.is_unread(stage.bob, graph_id)
    await stage.deleted(graph_id)
    for call in (stage.mail.is_unread, stage.mail.mark_unread):
        with pytest.raises(Gone):
            await call(stage.dana, graph_id)


async def test_where_the_sender_wants_answers_is_a_key_that_is_read(stage: GraphStage) -> None:
    """Its Reply-To, which makes nobody a participant; nothing where there is none."""
    graph_id = await stage.arrives(ADA.address, "Price?", "", reply_to=[BOB.address, EVE.address])
    mail = await stage.mail.keys(stage.dana, graph_id)
    assert [a.address for a in mail.reply_to] == [BOB.address, EVE.address]
    assert mail.participants == {ADA.key, DANA}
    assert (await stage.mail.keys(stage.dana, await question(stage))).reply_to == ()


@BOTH_WAYS
async def test_the_recipients_of_an_answer_can_be_set(stage: GraphStage, on: bool) -> None:
    """Where Graph adds those it chose to those given, the draft shows it, and setting them leaves those wanted alone."""
    await stage.switch("reply_recipients_are_added", on)
    made = await stage.mail.create_answer(stage.dana, await question(stage), DRAFT)
    assert [a.address for a in made.to] == [*([ADA.address] if on else []), BOB.address]
    assert made.bcc == (EVE,)
    for wanted in (DRAFT, replace(DRAFT, to=(), cc=(BOB,), bcc=()), DRAFT):
        await stage.mail.set_recipients(stage.dana, made.graph_id, wanted)
        seen = await stage.mail.keys(stage.dana, made.graph_id)
        assert (seen.to, seen.cc, seen.bcc) == (wanted.to, wanted.cc, wanted.bcc)
        assert (seen.stamp, seen.subject, bool(seen.keys.in_reply_to)) == ("msg_1", made.subject, True)


async def test_recipients_can_only_be_set_while_it_is_a_draft(stage: GraphStage) -> None:
    """On its way, sent, or gone: refused, and it goes to whom it went."""
    made = await stage.mail.create_draft(stage.dana, DRAFT)
    await stage.mail.send(stage.dana, made.graph_id)
    for _ in range(2):
        with pytest.raises(Declined):
            await stage.mail.set_recipients(stage.dana, made.graph_id, replace(DRAFT, to=(ADA,)))
        await stage.departed()
    await stage.deleted(made.graph_id)
    with pytest.raises(Gone):
        await stage.mail.set_recipients(stage.dana, made.graph_id, DRAFT)


@BOTH_WAYS
async def test_what_an_answer_took_over_can_be_taken_off(stage: GraphStage, on: bool) -> None:
    """Inline files of what it answers may be on the draft, others never are; afterwards it holds what is added to it."""
    await stage.switch("reply_carries_inline_files", on)
    made = await stage.mail.create_answer(stage.dana, await question(stage, LOGO, PLAN), DRAFT)
    assert await stage.mail.file_names(stage.dana, made.graph_id) == (["logo.png"] if on else [])
    for _ in range(2):
        await stage.mail.remove_files(stage.dana, made.graph_id)
        assert await stage.mail.file_names(stage.dana, made.graph_id) == []
    await stage.mail.add_file(stage.dana, made.graph_id, OutgoingFile("logo.png", "image/png", b"png", True, "logo@2"))
    (file,) = (await stage.mail.content(stage.dana, made.graph_id)).files
    assert await stage.mail.file(stage.dana, made.graph_id, file.graph_id, 100) == (b"png", "logo@2")


@BOTH_WAYS
@pytest.mark.parametrize("answers", [True, False])
async def test_an_alias_as_from_is_kept_or_replaced(stage: GraphStage, answers: bool, on: bool) -> None:
    """Where the organisation does not allow aliases, the copy in Sent Items says from whom it really went."""
    await stage.switch("send_from_alias_enabled", on)
    draft = replace(DRAFT, sender=Address(ALIAS, "Dana Doe"))
    if answers:
        made = await stage.mail.create_answer(stage.dana, await question(stage), draft)
    else:
        made = await stage.mail.create_draft(stage.dana, draft)
    await stage.mail.send(stage.dana, made.graph_id)
    await stage.departed()
    copy = await stage.mail.keys(stage.dana, made.graph_id)
    assert copy.sender == Address(ALIAS if on else DANA, "Dana Doe")
