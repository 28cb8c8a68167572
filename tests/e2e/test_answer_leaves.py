"""What answering leaves alone, whichever way Graph has it: the answered message, who else could get the answer, foreign files."""

from typing import Any

import pytest

from tests import files
from tests.cloud.request_log import kind_of_call
from tests.cloud.stage import attached
from tests.e2e.account import Connected, Json
from tests.e2e.conversation import (
    ADA,
    BOB,
    addresses,
    answers,
    at_rest,
    calls,
    fault,
    in_mailbox,
    left,
    mailbox_of,
    switched,
    synced,
    told,
    writes,
)

CREATE, SEND, MARK = "POST me/messages/{id}/createReply", "POST me/messages/{id}/send", "PATCH me/messages/{id}"
LOGO = attached("logo.png", "image/png", files.png()) | {"inline": True, "content_id": "logo@1"}


async def asked(by: Connected, **more: Any) -> tuple[Json, Json]:
    """The CRM's email, and what the contact answered, which the user has not read yet."""
    offer = await by.sent()
    reply = await synced(by, await answers(by, offer, **more))
    await at_rest(by)
    return offer, reply


@pytest.mark.parametrize("marks", [True, False], ids=["createReply marks as read", "it does not"])
@pytest.mark.parametrize("read", [True, False], ids=["was read", "was unread"])
async def test_the_answered_message_stays_as_read_as_it_was(connected: Connected, read: bool, marks: bool) -> None:
    """One look before, one after; a write only where Graph changed it; nothing of that is told to the CRM."""
    offer, reply = await asked(connected)
    letter = in_mailbox(connected, reply["internet_message_id"])
    letter.fields["isRead"] = read
    before = len(await calls(connected))

    async with switched(connected, create_reply_marks_read=marks):
        answer = await connected.sent(thread_id=offer["thread_id"], subject="Our offer")
        await at_rest(connected)

    assert letter.fields["isRead"] is read
    restored = marks and not read
    made = (await calls(connected))[before:]
    written = [kind_of_call(call) for call in made if call["method"] != "GET"]
    assert written == [CREATE, *([MARK] if restored else []), SEND]
    assert len([call for call in made if "isRead" in str(call["query"])]) == (1 if read else 2)
    assert [message_id for _, message_id in told(connected)] == [m["message_id"] for m in (offer, reply, answer)]


async def test_a_lost_answer_of_graph_leaves_the_answered_message_unread(connected: Connected) -> None:
    """The draft was made, the original marked, and nobody heard of it: the draft is found, and the original unread again."""
    offer, reply = await asked(connected)
    await fault(connected, "POST */createReply", drop=True, applied=True)

    async with switched(connected, create_reply_marks_read=True):
        await connected.sent(thread_id=offer["thread_id"], subject="Our offer")

    assert in_mailbox(connected, reply["internet_message_id"]).fields["isRead"] is False
    assert (await writes(connected))[2:] == [CREATE, MARK, SEND]


async def test_a_message_that_is_gone_by_then_keeps_nothing_from_going(connected: Connected) -> None:
    """The user deletes what is answered once its draft is there: the email goes all the same."""
    offer, _ = await asked(connected)
    await fault(connected, "PATCH */messages/*", status=404)

    async with switched(connected, create_reply_marks_read=True):
        await connected.sent(thread_id=offer["thread_id"], subject="Our offer")

    assert len(left(connected)) == 2


@pytest.mark.parametrize("added", [True, False], ids=["recipients are added", "they replace"])
@pytest.mark.parametrize("to_self", [True, False])
async def test_an_answer_goes_to_whom_the_crm_named(connected: Connected, added: bool, to_self: bool) -> None:
    """Not to the sender of what is answered, if that is not asked for, and never to the user."""
    offer, _ = await asked(connected)
    async with switched(connected, reply_recipients_are_added=added, reply_to_own_mail_addresses_self=to_self):
        to_contact = await connected.sent(thread_id=offer["thread_id"], to=[{"address": BOB}], bcc=[{"address": ADA}])
        own = await connected.sent(thread_id=offer["thread_id"])

    first, second = left(connected)[1:]
    assert (addresses(first["to"]), first["cc"], addresses(first["bcc"])) == ([BOB], [], [ADA])
    assert (addresses(second["to"]), second["cc"], second["bcc"]) == ([ADA], [], [])
    assert mailbox_of(connected).by_internet_id([own["internet_message_id"]]) is not None
    assert addresses(to_contact["to"]) == [BOB]


@pytest.mark.parametrize("carried", [True, False], ids=["inline files are taken over", "they are not"])
async def test_the_contacts_images_are_not_sent_back(connected: Connected, carried: bool) -> None:
    """The quote has the contact's words without images that would be broken; the CRM's own image of the same name goes."""
    html = '<p>Look: <img src="cid:logo@1"> nice</p>'
    offer, reply = await asked(connected, text=None, html=html, attachments=[LOGO])
    own = attached("logo.png", "image/png", files.png(500)) | {"inline": True, "content_id": "crm@1"}

    async with switched(connected, reply_carries_inline_files=carried):
        answer = await connected.sent(
            thread_id=offer["thread_id"], html='<p>Ours: <img src="cid:crm@1"></p>', attachments=[own]
        )

    copy = in_mailbox(connected, answer["internet_message_id"])
    assert [(a.name, a.content, a.is_inline, a.content_id) for a in copy.attachments] == [
        ("logo.png", files.png(500), True, "crm@1")
    ]
    mail = left(connected)[-1]["html"]
    assert '<img src="cid:crm@1">' in mail
    assert "cid:logo@1" not in mail
    assert "Look:  nice" in mail
    assert "cid:logo@1" in reply["html"]
