"""Sending: what moves when, who gets what, how answers thread, and the switches for what is doubtful."""

import base64
from email import message_from_bytes
from typing import Any

import pytest

from tests.cloud.graph.conversation import index_guid
from tests.cloud.polling import eventually
from tests.integration.graph_emulator.conftest import IMMUTABLE, Caller, Cloud, to

STAMP = "String {00020329-0000-0000-C000-000000000046} Name CrmMessageId"
THREADING = "$expand=singleValueExtendedProperties($filter=id eq 'String 0x1042' or id eq 'String 0x1039')"


async def only(caller: Caller, folder: str, query: str = "") -> dict[str, Any]:
    """The one message in a folder."""
    page = await caller.get(f"/me/mailFolders/{folder}/messages?{query}")
    (message,) = page["value"]
    return dict(message)


def properties(message: dict[str, Any]) -> dict[str, str]:
    """The extended properties of a message by id."""
    return {p["id"]: p["value"] for p in message.get("singleValueExtendedProperties", [])}


async def test_a_draft_becomes_the_copy_in_sent_items(cloud: Cloud) -> None:
    """202 comes first, then the draft moves and keeps its immutable id, its conversation and its Message-ID."""
    cloud.graph.switches.sent_copy_delay_s = 60.0  # not before it was looked at
    draft = await cloud.dana.draft(headers=IMMUTABLE, singleValueExtendedProperties=[{"id": STAMP, "value": "m1"}])
    path = f"/me/messages/{draft['id']}"
    answer = await cloud.dana.call("POST", f"{path}/send", 202)
    assert answer.content == b""
    assert (await cloud.dana.get(path))["isDraft"] is True
    await cloud.sent()
    expand = f"$expand=singleValueExtendedProperties($filter=id eq '{STAMP}')"
    sent = await cloud.dana.get(f"{path}?{expand}", headers=IMMUTABLE)
    same = ("id", "conversationId", "conversationIndex", "internetMessageId", "subject", "body")
    assert {name: sent[name] for name in same} == {name: draft[name] for name in same}
    assert sent["isDraft"] is False
    assert sent["from"] == sent["sender"] == {"emailAddress": {"name": "Dana Doe", "address": "dana@crm.example"}}
    assert sent["parentFolderId"] == (await cloud.dana.get("/me/mailFolders/sentitems"))["id"]
    assert properties(sent) == {STAMP: "m1"}
    assert (await cloud.dana.get("/me/mailFolders/drafts/messages"))["value"] == []


async def test_the_move_follows_the_clock(cloud: Cloud) -> None:
    """Until the clock shows the delay, nothing is in Sent Items and nothing has left."""
    cloud.graph.switches.sent_copy_delay_s = 60.0
    draft = await cloud.dana.draft()
    await cloud.dana.call("POST", f"/me/messages/{draft['id']}/send", 202)
    cloud.clock.advance(30)
    assert await cloud.lab("GET", "/transport") == {"pending": 1}
    assert await cloud.lab("GET", "/outgoing") == []
    cloud.clock.advance(30)
    await cloud.sent()
    assert len(await cloud.lab("GET", "/outgoing")) == 1


async def test_a_submitted_draft_cannot_be_touched(cloud: Cloud) -> None:
    """Sending twice, or changing what is on its way, fails: one email leaves."""
    cloud.graph.switches.sent_copy_delay_s = 60.0  # not before all of it was tried
    draft = await cloud.dana.draft(headers=IMMUTABLE)
    path = f"/me/messages/{draft['id']}"
    await cloud.dana.call("POST", f"{path}/send", 202)
    for method, place, body in (
        ("POST", f"{path}/send", {}),
        ("PATCH", path, {"json": {"subject": "x"}}),
        ("DELETE", path, {}),
    ):
        assert await cloud.dana.error(method, place, **body) == (409, "ErrorIrresolvableConflict")
    await cloud.sent()
    assert await cloud.dana.error("POST", f"{path}/send") == (400, "ErrorInvalidRequest")
    assert len(await cloud.lab("GET", "/outgoing")) == 1


async def test_the_404_window(cloud: Cloud) -> None:
    """With the switch, a message on its way is found neither by id nor in a list."""
    await cloud.lab("POST", "/switches", json={"sent_copy_404_window": True, "sent_copy_delay_s": 60})
    draft = await cloud.dana.draft(headers=IMMUTABLE)
    await cloud.dana.call("POST", f"/me/messages/{draft['id']}/send", 202)
    assert await cloud.dana.error("GET", f"/me/messages/{draft['id']}") == (404, "ErrorItemNotFound")
    assert (await cloud.dana.get("/me/messages"))["value"] == []
    await cloud.sent()
    await cloud.dana.get(f"/me/messages/{draft['id']}")


async def test_ids_that_change_on_send(cloud: Cloud) -> None:
    """With the switches, the immutable id or the Message-ID is another after sending; the stamp still finds the copy."""
    await cloud.lab("POST", "/switches", json={"id_changes_on_send": True, "internet_message_id_changes_on_send": True})
    draft = await cloud.dana.draft(headers=IMMUTABLE, singleValueExtendedProperties=[{"id": STAMP, "value": "m1"}])
    await cloud.dana.call("POST", f"/me/messages/{draft['id']}/send", 202)
    await cloud.sent()
    assert await cloud.dana.error("GET", f"/me/messages/{draft['id']}") == (404, "ErrorItemNotFound")
    by_stamp = f"$filter=singleValueExtendedProperties/any(e: e/id eq '{STAMP}' and e/value eq 'm1')"
    sent = await only(cloud.dana, "sentitems", by_stamp)
    assert sent["internetMessageId"] != draft["internetMessageId"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"toRecipients": []}, (400, "ErrorInvalidRecipients")),
        ({"toRecipients": [to("nobody")]}, (400, "ErrorInvalidRecipients")),
        ({"toRecipients": [to("a b@c.example")]}, (400, "ErrorInvalidRecipients")),
        ({"from": to("bob@crm.example")}, (403, "ErrorSendAsDenied")),
        ({"sender": to("ceo@crm.example")}, (403, "ErrorSendAsDenied")),
    ],
)
async def test_what_cannot_be_sent(cloud: Cloud, fields: dict[str, Any], expected: tuple[int, str]) -> None:
    """Without a good recipient, or in another's name, nothing is sent and the draft stays; so too with sendMail."""
    draft = await cloud.dana.draft(**fields)
    assert await cloud.dana.error("POST", f"/me/messages/{draft['id']}/send") == expected
    message = {"subject": "x", "toRecipients": [to("ada@world.example")], **fields}
    assert await cloud.dana.error("POST", "/me/sendMail", json={"message": message}) == expected
    await cloud.sent()
    assert await cloud.lab("GET", "/outgoing") == []
    assert (await cloud.dana.get(f"/me/messages/{draft['id']}"))["isDraft"] is True


@pytest.mark.parametrize(("enabled", "sender"), [(True, "d.doe@crm.example"), (False, "dana@crm.example")])
async def test_aliases(cloud: Cloud, enabled: bool, sender: str) -> None:
    """One may send from an alias; where the tenant does not allow it, the primary address replaces it."""
    await cloud.lab("POST", "/switches", json={"send_from_alias_enabled": enabled})
    draft = await cloud.dana.draft(**{"from": to("D.Doe@crm.example")})
    await cloud.dana.call("POST", f"/me/messages/{draft['id']}/send", 202)
    await cloud.sent()
    (mail,) = await cloud.lab("GET", "/outgoing")
    assert mail["from"]["address"].lower() == sender


async def test_what_leaves_for_the_world(cloud: Cloud) -> None:
    """`/_lab/outgoing` shows each email once, with its headers and files and without extended properties."""
    content = base64.b64encode(b"%PDF-").decode()
    pdf = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.pdf", "contentType": "application/pdf"}
    draft = await cloud.dana.draft(
        body={"contentType": "html", "content": "<p>Hi</p>"},
        bccRecipients=[to("hidden@world.example")],
        internetMessageHeaders=[{"name": "x-crm", "value": "1"}],
        attachments=[{**pdf, "contentBytes": content}],
        singleValueExtendedProperties=[{"id": STAMP, "value": "m1"}],
    )
    await cloud.dana.call("POST", f"/me/messages/{draft['id']}/send", 202)
    await cloud.sent()
    (mail,) = await cloud.lab("GET", "/outgoing")
    assert mail["to"] == [{"name": "ada@world.example", "address": "ada@world.example"}]
    assert [who["address"] for who in mail["bcc"]] == ["hidden@world.example"]
    assert mail["attachments"] == [{"name": "a.pdf", "content_type": "application/pdf", "size": 5}]
    assert mail["internet_message_id"] == draft["internetMessageId"] == mail["headers"]["Message-ID"]
    assert mail["headers"]["x-crm"] == "1"
    assert "hidden" not in str(mail["headers"])
    assert "m1" not in str(mail)


async def test_delivery_to_a_colleague(cloud: Cloud) -> None:
    """A colleague gets a message of their own ids and their own conversationId, with the sender's Message-ID and GUID."""
    draft = await cloud.dana.draft(
        toRecipients=[to("bob@crm.example")],
        bccRecipients=[to("ada@world.example")],
        internetMessageHeaders=[{"name": "x-crm", "value": "1"}],
        singleValueExtendedProperties=[{"id": STAMP, "value": "m1"}],
    )
    await cloud.dana.call("POST", f"/me/messages/{draft['id']}/send", 202)
    await cloud.sent()
    expand = f"$expand=singleValueExtendedProperties($filter=id eq '{STAMP}')"
    select = "internetMessageHeaders,internetMessageId,conversationId,conversationIndex,bccRecipients,isRead"
    got = await only(cloud.bob, "inbox", f"{expand}&$select={select}")
    assert got["internetMessageId"] == draft["internetMessageId"]
    assert got["conversationId"] != draft["conversationId"]
    assert index_guid(got["conversationIndex"]) == index_guid(draft["conversationIndex"])
    assert got["bccRecipients"] == []
    assert got["isRead"] is False
    assert {"name": "x-crm", "value": "1"} in got["internetMessageHeaders"]
    assert properties(got) == {}


async def test_sent_copies_have_no_headers(cloud: Cloud) -> None:
    """A copy in Sent Items has no `internetMessageHeaders`; its threading is in the extended properties."""
    arrived = await cloud.arrives()
    headers = {"message": {"internetMessageHeaders": [{"name": "x-crm", "value": "1"}]}}
    reply = (await cloud.dana.call("POST", f"/me/messages/{arrived['id']}/createReply", 201, json=headers)).json()
    draft = await cloud.dana.get(f"/me/messages/{reply['id']}?$select=internetMessageHeaders")
    assert draft["internetMessageHeaders"] == [{"name": "x-crm", "value": "1"}]
    await cloud.dana.call("POST", f"/me/messages/{reply['id']}/send", 202)
    await cloud.sent()
    sent = await only(cloud.dana, "sentitems", f"$select=internetMessageHeaders&{THREADING}")
    assert "internetMessageHeaders" not in sent
    message_id = arrived["internet_message_id"]
    assert properties(sent) == {"String 0x1042": message_id, "String 0x1039": message_id}


async def test_a_thread_to_and_fro(cloud: Cloud) -> None:
    """Each answer is a child: the index grows by five bytes, the GUID stays, the references grow by the answered one."""
    first = await cloud.dana.draft(toRecipients=[to("bob@crm.example")], subject="Offer")
    await cloud.dana.call("POST", f"/me/messages/{first['id']}/send", 202)
    await cloud.sent()
    ids, writer = [first["internetMessageId"]], cloud.bob
    for depth in (1, 2, 3):
        newest = (await writer.get("/me/mailFolders/inbox/messages?$top=1"))["value"][0]
        draft = (await writer.call("POST", f"/me/messages/{newest['id']}/createReply", 201)).json()
        assert draft["subject"] == "RE: Offer"
        assert draft["conversationId"] == newest["conversationId"]
        index = base64.b64decode(draft["conversationIndex"])
        assert len(index) == 22 + 5 * depth
        assert index.startswith(base64.b64decode(newest["conversationIndex"]))
        threading = properties(await writer.get(f"/me/messages/{draft['id']}?{THREADING}"))
        assert threading == {"String 0x1042": ids[-1], "String 0x1039": " ".join(ids)}
        await writer.call("POST", f"/me/messages/{draft['id']}/send", 202)
        await cloud.sent()
        cloud.clock.advance(60)
        ids.append(draft["internetMessageId"])
        writer = cloud.dana if writer is cloud.bob else cloud.bob


@pytest.mark.parametrize(
    ("action", "own", "to_self", "recipients", "copies", "subject"),
    [
        ("createReply", False, True, ["ada@world.example"], [], "RE: Hello"),
        ("createReplyAll", False, True, ["ada@world.example", "bob@crm.example"], ["eve@world.example"], "RE: Hello"),
        ("createForward", False, True, [], [], "FW: Hello"),
        ("createReply", True, True, ["dana@crm.example"], [], "RE: Hello"),
        ("createReply", True, False, ["ada@world.example"], [], "RE: Hello"),
        ("createReplyAll", True, True, ["ada@world.example"], ["eve@world.example"], "RE: Hello"),
    ],
)
async def test_whom_an_answer_addresses(
    cloud: Cloud, action: str, own: bool, to_self: bool, recipients: list[str], copies: list[str], subject: str
) -> None:
    """A reply goes to the sender, a reply to all to the others too, never to oneself unless one wrote the original."""
    await cloud.lab("POST", "/switches", json={"reply_to_own_mail_addresses_self": to_self})
    if own:
        draft = await cloud.dana.draft(headers=IMMUTABLE, subject="Hello", ccRecipients=[to("eve@world.example")])
        await cloud.dana.call("POST", f"/me/messages/{draft['id']}/send", 202)
        await cloud.sent()
        message_id = draft["id"]
    else:
        both = ["dana@crm.example", "bob@crm.example"]
        message_id = (await cloud.arrives(to=both, cc=["eve@world.example", "Dana@crm.example"]))["id"]
    reply = (await cloud.dana.call("POST", f"/me/messages/{message_id}/{action}", 201)).json()
    assert [r["emailAddress"]["address"] for r in reply["toRecipients"]] == recipients
    assert [r["emailAddress"]["address"] for r in reply["ccRecipients"]] == copies
    assert reply["subject"] == subject


async def test_reply_to(cloud: Cloud) -> None:
    """Where the sender asked for answers elsewhere, a reply goes there."""
    draft = await cloud.dana.draft(toRecipients=[to("bob@crm.example")], replyTo=[to("desk@crm.example")])
    await cloud.dana.call("POST", f"/me/messages/{draft['id']}/send", 202)
    await cloud.sent()
    arrived = await only(cloud.bob, "inbox")
    reply = (await cloud.bob.call("POST", f"/me/messages/{arrived['id']}/createReply", 201)).json()
    assert [r["emailAddress"]["address"] for r in reply["toRecipients"]] == ["desk@crm.example"]


async def test_bodies_of_answers(cloud: Cloud) -> None:
    """A comment stands above the quoted original; a comment and a body together, or an answer to a draft, is a 400."""
    arrived = await cloud.arrives(html="<p>Original</p>")
    path = f"/me/messages/{arrived['id']}"
    reply = (await cloud.dana.call("POST", f"{path}/createReply", 201, json={"Comment": "a < b"})).json()
    assert reply["body"]["content"].index("a &lt; b") < reply["body"]["content"].index("Original")
    unique = await cloud.dana.get(f"/me/messages/{reply['id']}?$select=uniqueBody")
    assert unique["uniqueBody"]["content"] == "<html><body>a &lt; b</body></html>"
    both = {"comment": "x", "message": {"body": {"contentType": "text", "content": "y"}}}
    assert await cloud.dana.error("POST", f"{path}/createReply", json=both) == (400, "ErrorInvalidRequest")
    assert await cloud.dana.error("POST", f"{path}/createReply", json={"coment": "x"}) == (400, "RequestBodyRead")
    error = await cloud.dana.error("POST", f"/me/messages/{reply['id']}/createReply")
    assert error == (400, "ErrorInvalidReferenceItem")


async def test_reply_and_forward_at_once(cloud: Cloud) -> None:
    """`reply` and `forward` send without a draft; a forward takes the files along."""
    arrived = await cloud.arrives(attachments=[{"name": "a.txt", "content_base64": "aGk="}])
    path = f"/me/messages/{arrived['id']}"
    await cloud.dana.call("POST", f"{path}/reply", 202, json={"comment": "Thanks"})
    await cloud.sent()
    await cloud.dana.call("POST", f"{path}/forward", 202, json={"toRecipients": [to("eve@world.example")]})
    await cloud.sent()
    reply, forward = await cloud.lab("GET", "/outgoing")
    assert (reply["to"][0]["address"], reply["attachments"]) == ("ada@world.example", [])
    assert (forward["to"][0]["address"], [a["name"] for a in forward["attachments"]]) == (
        "eve@world.example",
        ["a.txt"],
    )
    assert reply["headers"]["In-Reply-To"] == arrived["internet_message_id"]


@pytest.mark.parametrize("save", [True, False])
async def test_send_mail(cloud: Cloud, save: bool) -> None:
    """sendMail leaves a copy in Sent Items unless told not to, and spells its parameters in either case."""
    message = {"subject": "Hi", "toRecipients": [to("ada@world.example")]}
    await cloud.dana.call("POST", "/me/sendMail", 202, json={"Message": message, "saveToSentItems": save})
    await cloud.sent()
    assert len(await cloud.lab("GET", "/outgoing")) == 1
    assert [m["subject"] for m in (await cloud.dana.get("/me/messages"))["value"]] == ["Hi"] * save


async def test_carry_over(cloud: Cloud) -> None:
    """Above the documented rate per minute, messages are accepted and leave in a later minute."""
    await cloud.lab("POST", "/switches", json={"messages_per_minute": 2})
    message = {"subject": "Hi", "toRecipients": [to("ada@world.example")]}
    for _ in range(3):
        await cloud.dana.call("POST", "/me/sendMail", 202, json={"message": message})
    cloud.clock.advance(1)

    async def two_left() -> bool:
        return len(await cloud.lab("GET", "/outgoing")) == 2

    await eventually(two_left, "the first two to leave")
    assert cloud.graph.transport.pending == 1
    cloud.clock.advance(60)
    await cloud.sent()
    assert len(await cloud.lab("GET", "/outgoing")) == 3


@pytest.mark.parametrize("joins", [True, False])
async def test_non_delivery(cloud: Cloud, joins: bool) -> None:
    """An address unknown in a domain that is here bounces: a report in the Inbox that names the message and the address."""
    await cloud.lab(
        "POST", "/switches", json={"report_joins_conversation": joins, "undeliverable": ["ada@world.example"]}
    )
    draft = await cloud.dana.draft(toRecipients=[to("ghost@crm.example"), to("ada@world.example")])
    await cloud.dana.call("POST", f"/me/messages/{draft['id']}/send", 202)
    await cloud.sent()
    assert await cloud.lab("GET", "/outgoing") == []
    expand = "$expand=singleValueExtendedProperties($filter=id eq 'String 0x001A' or id eq 'String 0x1042')"
    report = await only(cloud.dana, "inbox", expand)
    assert report["subject"] == "Undeliverable: Offer"
    assert (report["conversationId"] == draft["conversationId"]) is joins
    assert properties(report) == {
        "String 0x001A": "REPORT.IPM.Note.NDR",
        "String 0x1042": draft["internetMessageId"],
    }
    value = await cloud.dana.call("GET", f"/me/messages/{report['id']}/$value", 200)
    mime = message_from_bytes(value.content)
    assert mime.get_content_type() == "multipart/report"
    parts: Any = mime.get_payload()
    _, status, original = parts
    assert [block["Final-Recipient"] for block in status.get_payload()[1:]] == [
        "rfc822;ghost@crm.example",
        "rfc822;ada@world.example",
    ]
    assert draft["internetMessageId"] in original.get_payload()


@pytest.mark.parametrize("sent_as_headers", [False, True])
async def test_threading_by_properties(cloud: Cloud, sent_as_headers: bool) -> None:
    """In-Reply-To written as an extended property goes out as a header only where that trick works (a switch)."""
    await cloud.lab("POST", "/switches", json={"threading_properties_are_sent": sent_as_headers})
    draft = await cloud.dana.draft(
        singleValueExtendedProperties=[{"id": "String 0x1042", "value": "<1@world.example>"}]
    )
    await cloud.dana.call("POST", f"/me/messages/{draft['id']}/send", 202)
    await cloud.sent()
    (mail,) = await cloud.lab("GET", "/outgoing")
    assert mail["headers"].get("In-Reply-To") == ("<1@world.example>" if sent_as_headers else None)


@pytest.mark.parametrize("added", [True, False])
async def test_recipients_given_with_an_answer(cloud: Cloud, added: bool) -> None:
    """Whether they replace those that Graph chooses or are added, each once, is a switch; what is not given stays Graph's."""
    await cloud.lab("POST", "/switches", json={"reply_recipients_are_added": added})
    path = f"/me/messages/{(await cloud.arrives(cc=['eve@world.example']))['id']}"
    wanted = {
        "toRecipients": [to("bob@crm.example"), to("ADA@world.example")],
        "bccRecipients": [to("zoe@world.example")],
    }
    reply = (await cloud.dana.call("POST", f"{path}/createReplyAll", 201, json={"message": wanted})).json()
    shown = {
        group: [r["emailAddress"]["address"] for r in reply[f"{group}Recipients"]] for group in ("to", "cc", "bcc")
    }
    chosen = ["ada@world.example", "bob@crm.example"] if added else ["bob@crm.example", "ADA@world.example"]
    assert shown == {"to": chosen, "cc": ["eve@world.example"], "bcc": ["zoe@world.example"]}


@pytest.mark.parametrize("carried", [True, False])
async def test_inline_files_of_what_is_answered(cloud: Cloud, carried: bool) -> None:
    """Whether an answer has them is a switch; others it never has, and a forward has all."""
    await cloud.lab("POST", "/switches", json={"reply_carries_inline_files": carried})
    inline = {"name": "logo.png", "content_base64": "aGk=", "inline": True, "content_id": "logo@1"}
    arrived = await cloud.arrives(attachments=[inline, {"name": "a.txt", "content_base64": "aGk="}])
    names = {}
    for action in ("createReply", "createForward"):
        draft = (await cloud.dana.call("POST", f"/me/messages/{arrived['id']}/{action}", 201)).json()
        listed = await cloud.dana.get(f"/me/messages/{draft['id']}/attachments?$select=name")
        names[action] = [file["name"] for file in listed["value"]]
    assert names == {"createReply": ["logo.png"] if carried else [], "createForward": ["logo.png", "a.txt"]}


async def test_reply_to_of_mail_from_outside(cloud: Cloud) -> None:
    """The control for incoming mail knows Reply-To, and an answer goes there."""
    arrived = await cloud.arrives(reply_to=["desk@world.example", {"address": "two@world.example", "name": "Two"}])
    shown = await cloud.dana.get(f"/me/messages/{arrived['id']}?$select=replyTo")
    assert [r["emailAddress"]["address"] for r in shown["replyTo"]] == ["desk@world.example", "two@world.example"]
    reply = (await cloud.dana.call("POST", f"/me/messages/{arrived['id']}/createReply", 201)).json()
    assert reply["toRecipients"] == shown["replyTo"]
