"""The controls of the mail emulator: mail from outside, switches, clock, reset, and what is told to subscriptions."""

import base64
from typing import Any

import pytest

from tests.cloud.graph.changes import MessageChange
from tests.cloud.graph.conversation import index_guid
from tests.cloud.graph.switches import Switches
from tests.integration.graph_emulator.conftest import IMMUTABLE, Cloud, to


async def read(cloud: Cloud, message_id: str) -> dict[str, Any]:
    """A message of Dana's."""
    return dict(await cloud.dana.get(f"/me/messages/{message_id}"))


@pytest.mark.parametrize(
    ("conversation", "answers", "subject", "same_id", "same_guid"),
    [
        ("same", True, "RE: Offer", True, True),
        (None, True, "Something else", True, True),
        ("new", True, "RE: Offer", False, False),
        (None, False, "RE: Offer", False, False),
        ("same", False, "RE: Offer", True, False),
    ],
)
async def test_conversations(
    cloud: Cloud, conversation: str | None, answers: bool, subject: str, same_id: bool, same_guid: bool
) -> None:
    """An answer joins as a child; `new` keeps it out although its headers point in; equal subjects can collide."""
    first = await read(cloud, (await cloud.arrives(subject="Offer"))["id"])
    given: dict[str, Any] = {"subject": subject, "conversation": conversation}
    if answers:
        given["in_reply_to"] = first["internetMessageId"]
    arrived = await cloud.arrives(**{name: value for name, value in given.items() if value is not None})
    second = await read(cloud, arrived["id"])
    assert (second["conversationId"] == first["conversationId"]) is same_id
    assert (index_guid(second["conversationIndex"]) == index_guid(first["conversationIndex"])) is same_guid
    headers = (await cloud.dana.get(f"/me/messages/{arrived['id']}?$select=internetMessageHeaders"))[
        "internetMessageHeaders"
    ]
    named = {header["name"]: header["value"] for header in headers}
    expected = first["internetMessageId"] if answers else None
    assert (named.get("In-Reply-To"), named.get("References")) == (expected, expected)


async def test_an_answer_is_a_child_of_what_it_answers(cloud: Cloud) -> None:
    """The index of an answer begins with that of the message it names, found by the last reference too."""
    first = await cloud.arrives()
    answer = await cloud.arrives(references=f"<unknown@x.example> {first['internet_message_id']}")
    parent, child = [base64.b64decode((await read(cloud, m["id"]))["conversationIndex"]) for m in (first, answer)]
    assert child[: len(parent)] == parent
    assert len(child) == len(parent) + 5


async def test_mail_for_several(cloud: Cloud) -> None:
    """Each mailbox gets a message of its own, in the folder asked for, and the first one's id is answered."""
    people = ["dana@crm.example", {"address": "Bob@crm.example", "name": "Bobby"}]
    arrived = await cloud.arrives(to=people, folder="junkemail", message_class="IPM.Note.X", headers={"X-A": "1"})
    assert (await cloud.dana.get(f"/me/messages/{arrived['id']}", headers=IMMUTABLE))["id"] == arrived["id"]
    for email in ("dana@crm.example", "bob@crm.example"):
        (message,) = await cloud.lab("GET", f"/mailboxes/{email}/messages")
        assert message["folder"] == "junkemail"
        assert message["internet_message_id"] == arrived["internet_message_id"]
        assert [who["name"] for who in message["to"]] == ["Dana Doe", "Bobby"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"to": "nobody@crm.example"}, 404),
        ({"to": []}, 400),
        ({"fro": "x"}, 400),
        ({"folder": "nowhere"}, 400),
        ({"conversation": "other"}, 400),
        ({"attachments": [{"name": "x", "content_base64": "%"}]}, 400),
        ({"conversation": "same", "in_reply_to": "<unknown@x.example>"}, 409),
        ({"conversation": "same", "subject": "Never seen"}, 409),
    ],
)
async def test_refused_mail(cloud: Cloud, change: dict[str, Any], status: int) -> None:
    """Mail that cannot arrive as described is refused with a reason."""
    given = {"to": "dana@crm.example", "from": "ada@world.example", "subject": "x", **change}
    assert (await cloud.lab("POST", "/mail", status, json=given))["error"]
    assert await cloud.lab("GET", "/mailboxes/dana@crm.example/messages") == []


async def test_switches(cloud: Cloud) -> None:
    """Switches are listed and set by name; an unknown one or a wrong type changes nothing."""
    assert await cloud.lab("GET", "/switches") == Switches().as_json()
    await cloud.lab("POST", "/switches", json={"sent_copy_delay_s": 2})
    for wrong in ({"sent_copy_delay": 1}, {"sent_copy_delay_s": 1, "delta_link_gone": "yes"}, ["x"]):
        assert (await cloud.lab("POST", "/switches", 400, json=wrong))["error"]
    assert (await cloud.lab("GET", "/switches"))["sent_copy_delay_s"] == 2


async def test_clock(cloud: Cloud) -> None:
    """The clock moves forward only."""
    before = cloud.clock.now()
    await cloud.lab("POST", "/clock", json={"advance_s": 60})
    assert (cloud.clock.now() - before).total_seconds() >= 60
    await cloud.lab("POST", "/clock", 400, json={"advance_s": -1})


async def test_reset(cloud: Cloud) -> None:
    """A reset empties mailboxes, switches, what is under way and the log; the people stay."""
    draft = await cloud.dana.draft()
    await cloud.dana.call("POST", f"/me/messages/{draft['id']}/send", 202)
    await cloud.lab("POST", "/switches", json={"delta_link_gone": True})
    await cloud.lab("POST", "/reset")
    assert await cloud.lab("GET", "/transport") == {"pending": 0}
    assert (await cloud.dana.get("/me/messages"))["value"] == []
    assert await cloud.lab("GET", "/switches") == Switches().as_json()
    assert [call["path"] for call in await cloud.lab("GET", "/requests")] == ["/v1.0/me/messages"]


async def test_what_is_published(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each change of a mailbox is told once, with both ids: a sent draft as updated, and delivered mail as created."""
    told: list[MessageChange] = []
    monkeypatch.setattr(cloud.graph.mailboxes, "_publish", told.append)
    draft = await cloud.dana.draft(headers=IMMUTABLE, toRecipients=[to("bob@crm.example")])
    await cloud.dana.call("PATCH", f"/me/messages/{draft['id']}", 200, json={"subject": "New"})
    await cloud.dana.call("POST", f"/me/messages/{draft['id']}/send", 202)
    await cloud.sent()
    for _ in range(2):
        await cloud.dana.call("DELETE", f"/me/messages/{draft['id']}", 204)
    message = {"subject": "Hi", "toRecipients": [to("ada@world.example")]}
    await cloud.dana.call("POST", "/me/sendMail", 202, json={"message": message})
    await cloud.sent()
    assert [(change.change_type, change.folder) for change in told] == [
        ("created", "drafts"),
        ("updated", "drafts"),
        ("updated", "sentitems"),
        ("created", "inbox"),
        ("updated", "deleteditems"),
        ("deleted", "deleteditems"),
        ("created", "sentitems"),
    ]
    person = cloud.directory.by_email("dana@crm.example")
    assert person is not None
    hers = [change for change in told[:6] if change.oid == person.oid]
    assert {change.immutable_id for change in hers} == {draft["id"]}
    assert len({change.message_id for change in hers}) == 3


@pytest.mark.parametrize(
    ("given", "message_class", "report_type"),
    [
        ({}, "REPORT.IPM.Note.NDR", False),
        ({"action": "delayed", "status_code": "4.4.7"}, "REPORT.IPM.Note.Delayed", False),
        ({"from": "mailer-daemon@world.example", "diagnostic": "smtp; 550 5.7.1 no"}, "IPM.Note", True),
    ],
    ids=["Exchange's own", "delayed", "a foreign server's"],
)
@pytest.mark.parametrize("named", [True, False], ids=["In-Reply-To", "no In-Reply-To"])
async def test_a_delivery_report(
    cloud: Cloud, given: dict[str, str], message_class: str, report_type: bool, named: bool
) -> None:
    """About a message of the mailbox: its class or its Content-Type says what it is, its MIME what became of whom."""
    await cloud.lab("POST", "/switches", json={"report_has_in_reply_to": named})
    about = (await cloud.arrives(subject="Offer"))["internet_message_id"]
    asked = {"mailbox": "dana@crm.example", "internet_message_id": about, "address": "x@world.example"} | given
    arrived = await cloud.lab("POST", "/bounce", json=asked)
    query = "$select=internetMessageHeaders&$expand=singleValueExtendedProperties($filter=id eq 'String 0x001A')"
    seen = await cloud.dana.get(f"/me/messages/{arrived['id']}?{query}")
    assert [p["value"] for p in seen["singleValueExtendedProperties"]] == [message_class]
    headers = {header["name"]: header["value"] for header in seen["internetMessageHeaders"]}
    assert ("report-type=delivery-status" in headers["Content-Type"]) is report_type
    assert headers.get("In-Reply-To") == (about if named else None)
    mime = (await cloud.dana.call("GET", f"/me/messages/{arrived['id']}/$value", 200)).text
    assert f"Action: {given.get('action', 'failed')}" in mime
    assert f"Status: {given.get('status_code', '5.1.1')}" in mime
    assert ("In-Reply-To" in mime) is named


@pytest.mark.parametrize(("mailbox", "about"), [("nobody@crm.example", "<a@x>"), ("dana@crm.example", "<unknown@x>")])
async def test_a_delivery_report_about_nothing_is_refused(cloud: Cloud, mailbox: str, about: str) -> None:
    """A control that can't be done says why."""
    asked = {"mailbox": mailbox, "internet_message_id": about, "address": "x@world.example"}
    await cloud.lab("POST", "/bounce", 404, json=asked)
