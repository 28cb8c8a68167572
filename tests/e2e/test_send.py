"""An email sent from the CRM through Outlook: what the CRM is answered and told, what leaves, and what it costs."""

import asyncio

from tests import files
from tests.cloud.polling import eventually
from tests.cloud.stage import attached
from tests.e2e.account import Connected, Json, unique
from tests.e2e.conversation import (
    ADA,
    BOB,
    BOB_IN_CC,
    addresses,
    at_rest,
    calls,
    fault,
    heard_of,
    in_mailbox,
    left,
    told,
    writes,
)

THREE_MIB = 3 * 1024 * 1024
EVE = "eve@secret.example"


async def accepted(by: Connected, key: str | None = None, **changes: object) -> Json:
    """The one message of a send that was accepted."""
    answer = await by.api.send(by.mail(**changes), key or unique("key"))
    assert answer.status_code == 202, answer.text
    [message] = answer.json()["messages"]
    return dict(message)


async def test_the_answer_is_the_contracts(connected: Connected) -> None:
    """202 names the message, its new thread, whom it goes to, and through which door and by which rule."""
    answer = await connected.api.send(connected.mail(), unique("key"))

    body = answer.json()
    [message] = body["messages"]
    assert answer.status_code == 202
    assert body == {
        "batch_id": "bat_" + message["message_id"][4:24],
        "messages": [
            {
                "message_id": message["message_id"],
                "thread_id": message["thread_id"],
                "status": "queued",
                "to": [{"address": ADA, "name": "Ada Quist", "contact_id": "contact-1"}],
            }
        ],
        "sender": {"via": "outlook", "address": connected.email, "rule": "individual_outlook"},
    }
    assert message["message_id"].startswith("msg_")
    assert message["thread_id"].startswith("thr_")


async def test_fifty_equal_requests_at_once_send_one_email(connected: Connected) -> None:
    """The same key gives everybody the same answer, and one email leaves, told once."""
    key = unique("key")

    answers = await asyncio.gather(*(connected.api.send(connected.mail(), key) for _ in range(50)))

    assert {answer.status_code for answer in answers} == {202}
    [body] = {answer.text for answer in answers}
    message_id = answers[0].json()["messages"][0]["message_id"]
    assert message_id in body
    await heard_of(connected, "message.sent", message_id)
    await at_rest(connected)
    assert len(left(connected)) == 1
    assert told(connected) == [("message.sent", message_id)]


async def test_the_crm_is_told_once_with_every_field_of_the_contract(connected: Connected) -> None:
    """`message.sent` carries all of `data.message`, and the copy in Sent Items is not told again."""
    sent = await connected.sent(cc=BOB_IN_CC, metadata={"deal": 7})
    await at_rest(connected)

    copy = in_mailbox(connected, sent["internet_message_id"])
    assert copy.folder.name == "sentitems"
    assert told(connected) == [("message.sent", sent["message_id"])]
    assert sent == {
        "message_id": sent["message_id"],
        "thread_id": sent["thread_id"],
        "connection_id": connected.connection_id,
        "user_id": connected.user_id,
        "contact_ids": ["contact-1", "contact-2"],
        "direction": "outbound",
        "origin": "crm",
        "from": {"address": connected.email, "name": connected.person.name},
        "to": [{"address": ADA, "name": "Ada Quist"}],
        "cc": [{"address": BOB, "name": "Bob Ort"}],
        "subject": "Our offer",
        "html": "<p>Dear Ada, here is our offer.</p>",
        "text": "Dear Ada, here is our offer.",
        "body_truncated": False,
        "sent_at": f"{copy.sent_at:%Y-%m-%dT%H:%M:%S}.000Z",
        "received_at": None,
        "internet_message_id": copy.internet_message_id,
        "in_reply_to": None,
        "matched_by": None,
        "involves_contact": True,
        "auto_reply": False,
        "attachments": [],
    }


async def test_the_message_route_follows_the_send(connected: Connected) -> None:
    """Its status goes from queued through sending to sent, and then it shows what the event told, and the metadata."""
    # Longer than a look at it takes on a machine that is busy with other tests.
    await fault(connected, "POST */me/messages", delay_s=2)
    message_id = (await accepted(connected, metadata={"deal": 7}))["message_id"]
    seen: list[str] = []

    async def is_sent() -> bool:
        status = (await connected.api.message(message_id)).json()["status"]
        seen.extend([status] if status not in seen else [])
        return bool(status == "sent")

    await eventually(is_sent, "the email to be sent")
    event = await heard_of(connected, "message.sent", message_id)
    shown = (await connected.api.message(message_id)).json()
    # Between the answer, which says queued, and the first look the work may have begun.
    assert seen[-2:] == ["sending", "sent"]
    assert seen[:-2] in ([], ["queued"])
    assert shown == event["data"]["message"] | {"status": "sent", "metadata": {"deal": 7}}


async def test_who_gets_it(connected: Connected) -> None:
    """From is the mailbox, To and Cc are as asked with their names, and nobody sees who is in Bcc, not even the CRM's event."""
    sent = await connected.sent(cc=BOB_IN_CC, bcc=[{"address": EVE}])

    [mail] = left(connected)
    assert mail["from"] == {"address": connected.email, "name": connected.person.name}
    assert mail["to"] == [{"address": ADA, "name": "Ada Quist"}]
    assert mail["cc"] == [{"address": BOB, "name": "Bob Ort"}]
    assert addresses(mail["bcc"]) == [EVE]
    assert EVE not in str(mail["headers"])
    assert EVE not in str(sent)


async def test_the_words_that_leave(connected: Connected) -> None:
    """Subject and HTML arrive as written, whatever the alphabet."""
    subject, html = "Angebot für Zürich: 5 € – 你好 🏠", "<p>Grüße &amp; <b>Küsse</b> – 你好</p>"

    sent = await connected.sent(subject=subject, html=html)

    [mail] = left(connected)
    assert (mail["subject"], sent["subject"]) == (subject, subject)
    assert "<p>Grüße &amp; <b>Küsse</b> – 你好</p>" in mail["html"]


async def test_a_text_stays_a_text(connected: Connected) -> None:
    """Without HTML the email leaves as plain text, and no HTML is made up for the event."""
    sent = await connected.sent(html=None, text="Grüße,\nDana < > &")

    [mail] = left(connected)
    assert (mail["html"], mail["text"]) == (None, "Grüße,\nDana < > &")
    assert (sent["html"], sent["text"]) == (None, "Grüße,\nDana < > &")


async def test_files_leave_byte_for_byte(connected: Connected) -> None:
    """
    A small file, one of 2.4 MB in one request, one of exactly 3 MiB through an upload session; an inline image keeps its id.

    The event lists them as synced, and the attachment route gives the same bytes.
    """
    content = {"small.txt": files.text(), "large.pdf": files.pdf(2_400_000), "limit.pdf": files.pdf(THREE_MIB)}
    logo = attached("logo.png", "image/png", files.png()) | {"inline": True, "content_id": "logo@1"}
    given = [
        attached(name, "application/pdf" if name.endswith("pdf") else "text/plain", body)
        for name, body in content.items()
    ]

    sent = await connected.sent(html='<p><img src="cid:logo@1"></p>', attachments=[*given, logo])

    copy = in_mailbox(connected, sent["internet_message_id"])
    assert {file.name: file.content for file in copy.attachments} == content | {"logo.png": files.png()}
    assert [(file.is_inline, file.content_id) for file in copy.attachments] == [(False, None)] * 3 + [(True, "logo@1")]
    assert await writes(connected) == [
        "POST me/messages",
        "POST me/messages/{id}/attachments",
        "POST me/messages/{id}/attachments",
        "POST me/messages/{id}/attachments/{id}",  # createUploadSession
        "PUT upload",
        "POST me/messages/{id}/attachments",
        "POST me/messages/{id}/send",
    ]
    assert [(file["name"], file["status"], file["size_bytes"], file["content_id"]) for file in sent["attachments"]] == [
        *((name, "synced", len(body), None) for name, body in content.items()),
        ("logo.png", "synced", len(files.png()), "logo@1"),
    ]
    download = await connected.api.attachment(sent["attachments"][2]["attachment_id"])
    assert download.content == content["limit.pdf"]


async def test_an_email_without_files_takes_two_writes(connected: Connected) -> None:
    """Draft and send, each once; everything else the app asks of Graph for it is a look at keys."""
    await connected.sent()
    await at_rest(connected)

    assert await writes(connected) == ["POST me/messages", "POST me/messages/{id}/send"]
    assert {call["method"] for call in await calls(connected)} <= {"POST", "GET"}
