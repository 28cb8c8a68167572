"""Through the account's provider on the real app: what its SMTP server gets, and what the CRM is told of it."""

import asyncio
import base64
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from tests.cloud.smtp import ReceivedMail, Reply
from tests.e2e.account import Account, Connected, Json, unique
from tests.e2e.batches import accepted, bulk, crowd, finished, provider, received, with_provider
from tests.e2e.conversation import ADA, heard_of, told
from tests.files import png

LOGO = png()
CYRILLIC = "Наше предложение — 報價 🎈"


def mail(user_id: str = "nobody", **changes: object) -> Json:
    """A send body that is in order."""
    body: Json = {
        "kind": "individual",
        "user_id": user_id,
        "to": [{"address": ADA, "name": "Ada Quist", "contact_id": "contact-1"}],
        "subject": CYRILLIC,
        "html": "<p>Dear Ada</p>",
    }
    return body | changes


async def heard(of: Account, kind: str, message_id: str) -> Json:
    """The event of this type about this message, waited for."""
    event = await of.cloud.crm.wait_for(
        lambda e: e["type"] == kind and e["data"].get("message", {}).get("message_id") == message_id, timeout=30
    )
    return dict(event["data"])


def about(message_id: str) -> Callable[[Json], bool]:
    """Whether an event is about this message."""
    return lambda event: event["data"].get("message", {}).get("message_id") == message_id


def parsed(one: ReceivedMail) -> EmailMessage:
    """The email as its recipient's program reads it."""
    return message_from_bytes(base64.b64decode(one.raw_base64), policy=policy.default)


def refuse(by: Account, address: str) -> None:
    """The provider's server knows nobody by this address, once."""
    by.cloud.smtp.script(Reply(command="RCPT", reply="550 5.1.1 Nobody here by that name", recipient=address))


async def test_a_user_without_a_mailbox_sends_through_the_provider(account: Account) -> None:
    """Encrypted and logged in, with text, html, files and people as they were asked for; told as sent, in no thread."""
    await with_provider(account)
    files = [
        {"name": "Angebot für Ada – 報價.txt", "content_type": "text/plain", "content_base64": "MTIgY2hhaXJzCg=="},
        {
            "name": "logo.png",
            "content_type": "image/png",
            "content_base64": base64.b64encode(LOGO).decode(),
            "inline": True,
            "content_id": "logo",
        },
    ]
    asked = mail(
        html='<p>Dear Ada</p><img src="cid:logo">',
        text="Dear Ada",
        cc=[{"address": "bob@customer.example", "name": 'Bob "the Builder", Jr.'}],
        bcc=[{"address": "boss@crm.example"}],
        attachments=files,
    )
    answer = await accepted(account, asked)
    assert answer["sender"] == {
        "via": "provider",
        "address": f"crm@{account.account_id}.example",
        "rule": "individual_not_connected",
    }
    (shown,) = answer["messages"]
    assert shown["thread_id"] is None
    data = await heard(account, "message.sent", shown["message_id"])

    (one,) = received(account)
    assert (one.tls, one.authenticated_as) == (True, "apikey")
    assert one.rcpt_to == [ADA, "bob@customer.example", "boss@crm.example"]
    email = parsed(one)
    assert (str(email["subject"]), str(email["from"])) == (CYRILLIC, f"Acme Offers <crm@{account.account_id}.example>")
    assert "boss" not in base64.b64decode(one.raw_base64).decode()
    assert [a.display_name for a in email["cc"].addresses] == ['Bob "the Builder", Jr.']
    assert (one.text or "").strip() == "Dear Ada"
    assert 'src="cid:logo"' in (one.html or "")
    assert {a.name: (a.content_type, a.size) for a in one.attachments} == {
        "Angebot für Ada – 報價.txt": ("text/plain", 10),
        "logo.png": ("image/png", len(LOGO)),
    }
    message = data["message"]
    assert (message["thread_id"], message["connection_id"], message["matched_by"]) == (None, None, None)
    assert message["internet_message_id"] == str(email["message-id"])
    stored = (await account.api.message(shown["message_id"])).json()
    assert (stored["status"], stored["subject"]) == ("sent", CYRILLIC)
    assert (await account.api.threads()).json()["threads"] == []


@pytest.mark.parametrize("security", ["none", "tls", "starttls"])
async def test_each_way_to_the_server(account: Account, security: str) -> None:
    """In the clear only on this machine; else encrypted from the first byte or by STARTTLS."""
    port = account.cloud.smtp.tls_port if security == "tls" else account.cloud.smtp.port
    login = {"username": None, "password": None} if security == "none" else {}
    await with_provider(account, security=security, port=port, **login)
    answer = await accepted(account, mail())
    await heard(account, "message.sent", answer["messages"][0]["message_id"])
    (one,) = received(account)
    assert one.tls is (security != "none")


async def test_the_door_of_each_kind(connected: Connected) -> None:
    """The sender rule on the real app: the question before gets the same answer as the send, down to the refusal."""
    api, user_id = connected.api, connected.user_id
    alone = await api.resolve_sender("workflow", user_id)
    assert (alone.status_code, alone.json()["code"]) == (409, "provider_not_configured")
    await with_provider(connected)
    own, domain = f"crm@{connected.account_id}.example", f"{connected.account_id}.example"
    table: list[tuple[str, str | None, str, str, str]] = [
        ("individual", None, "outlook", connected.email, "individual_outlook"),
        ("individual", "x@y.example", "outlook", connected.email, "individual_outlook"),
        ("bulk", connected.email, "outlook", connected.email, "bulk_from_outlook"),
        ("bulk", None, "provider", own, "bulk_from_blank"),
        ("bulk", f"news@{domain}", "provider", f"news@{domain}", "bulk_from_other"),
        ("workflow", connected.email, "provider", own, "workflow_provider"),
    ]
    for kind, from_address, via, address, rule in table:
        answer = await api.resolve_sender(kind, user_id, from_address)
        expected = {"via": via, "address": address, "rule": rule}
        assert answer.json() == expected | {"syncs": via == "outlook"}, answer.text
        body = mail(user_id, kind=kind) | ({"from": from_address} if from_address else {})
        sent = await accepted(connected, body)
        assert sent["sender"] == expected
        await heard(connected, "message.sent", sent["messages"][0]["message_id"])
    refused = [
        await api.resolve_sender("bulk", user_id, "boss@elsewhere.example"),
        await api.send(mail(user_id, kind="bulk") | {"from": "boss@elsewhere.example"}, unique("key")),
    ]
    assert [(r.status_code, r.json()["code"]) for r in refused] == [(422, "from_not_allowed")] * 2
    assert len(received(connected)) == 3

    await connected.api.set_default_sender(user_id, "provider")
    assert (await api.resolve_sender("individual", user_id)).json()["rule"] == "individual_default_provider"
    await connected.api.delete_connection(user_id)
    assert (await api.resolve_sender("individual", user_id)).json()["rule"] == "individual_not_connected"
    assert (await api.resolve_sender("bulk", user_id, connected.email)).json()["code"] == "from_not_allowed"


async def test_a_bulk_send_through_the_provider(account: Account) -> None:
    """One email each, each told, none in a thread; one that the server refuses fails alone, with the server's words."""
    await with_provider(account)
    refuse(account, "nope1@customer.example")
    people = [*crowd(40), {"address": "nope1@customer.example"}]
    answer = await accepted(account, bulk("dana", people))
    assert answer["sender"]["rule"] == "bulk_from_blank"
    batch = await finished(account, answer["batch_id"])
    assert (batch["counts"]["sent"], batch["counts"]["failed"]) == (40, 1)
    assert sorted(one.rcpt_to[0] for one in received(account)) == sorted(p["address"] for p in crowd(40))
    failed = await heard(account, "message.failed", answer["messages"][40]["message_id"])
    assert failed["problem"]["code"] == "smtp_550"
    assert "Nobody here by that name" in failed["problem"]["detail"]


async def test_what_the_server_says_is_told(account: Account) -> None:
    """Later: it is tried again. No: failed, in the server's words. Nothing, after it had all of it: nobody knows."""
    await with_provider(account)
    await account.cloud.functions.idle()  # the next emails that the server gets are this test's
    smtp = account.cloud.smtp
    outcome: dict[str, tuple[str, str | None, int]] = {}
    for name, reply in {
        "greylisted": {"command": "RCPT", "reply": "450 4.2.0 Greylisted, come back"},
        "busy": {"command": "DATA", "reply": "451 4.3.0 Try again later"},
        "spam": {"command": "DATA", "reply": "554 5.7.1 This looks like spam"},
        "lost, taken": {"command": "DATA", "drop": True, "applied": True},
        "lost, not taken": {"command": "DATA", "drop": True},
    }.items():
        before = len(received(account))
        answered = await account.http.post(f"{smtp.url}/_lab/answer", json=reply)
        assert answered.status_code == 200, answered.text
        answer = await accepted(account, mail())
        message_id = answer["messages"][0]["message_id"]
        event = await account.cloud.crm.wait_for(about(message_id), timeout=30)
        code = event["data"].get("problem", {}).get("code")
        outcome[name] = (event["type"], code, len(received(account)) - before)
    assert outcome == {
        "greylisted": ("message.sent", None, 1),
        "busy": ("message.sent", None, 1),
        "spam": ("message.failed", "smtp_554", 0),
        "lost, taken": ("message.failed", "outcome_unknown", 1),
        "lost, not taken": ("message.failed", "outcome_unknown", 0),
    }


async def test_a_recipient_who_is_refused_is_told_as_bounced(account: Account) -> None:
    """The others have the email."""
    await with_provider(account)
    refuse(account, "nope2@customer.example")
    answer = await accepted(account, mail(to=[{"address": ADA}, {"address": "nope2@customer.example"}]))
    message_id = answer["messages"][0]["message_id"]
    data = await heard(account, "message.bounced", message_id)
    assert data["bounces"] == [
        {
            "address": "nope2@customer.example",
            "status_code": "5.1.1",
            "detail": "550 5.1.1 Nobody here by that name",
        }
    ]
    assert [event["type"] for event in await account.feed()] == ["message.sent", "message.bounced"]
    assert [one.rcpt_to for one in received(account)] == [[ADA]]


async def test_fifty_equal_requests_are_one_email(account: Account) -> None:
    """As through Outlook: one answer, one email."""
    await with_provider(account)
    body, key = mail(), unique("key")
    every = await asyncio.gather(*(accepted(account, body, key) for _ in range(50)))
    assert all(answer == every[0] for answer in every)
    await heard(account, "message.sent", every[0]["messages"][0]["message_id"])
    await account.cloud.functions.idle()
    assert len(received(account)) == 1


async def test_the_provider_of_one_account_is_not_anothers(account: Account) -> None:
    """Nor is what was sent through it."""
    await with_provider(account)
    answer = await accepted(account, mail())
    async with account.cloud.api(unique("other")) as other:
        refused = await other.send(mail(), unique("key"))
        assert (refused.status_code, refused.json()["code"]) == (409, "provider_not_configured")
        assert (await other.message(answer["messages"][0]["message_id"])).status_code == 404
    assert provider(account)["domains"] == [f"{account.account_id}.example"]
    # Not left to meet what another test has planned for the server.
    await heard(account, "message.sent", answer["messages"][0]["message_id"])


async def test_an_answer_through_the_provider_finds_its_conversation(connected: Connected) -> None:
    """With the headers of a reply and the history below; it goes to whom Outlook would answer, and does not sync."""
    offer = await connected.sent()
    await with_provider(connected)
    await connected.api.set_default_sender(connected.user_id, "provider")
    answer = await accepted(
        connected,
        {
            "kind": "individual",
            "user_id": connected.user_id,
            "subject": "Our offer",
            "html": "<p>One more thing</p>",
            "thread_id": offer["thread_id"],
        },
    )
    await heard_of(connected, "message.sent", answer["messages"][0]["message_id"])
    (one,) = received(connected)
    email = parsed(one)
    assert one.rcpt_to == [ADA]
    assert str(email["subject"]) == "RE: Our offer"
    assert str(email["in-reply-to"]) == offer["internet_message_id"] == str(email["references"])
    assert (one.html or "").index("One more thing") < (one.html or "").index("here is our offer")
    assert len((await connected.api.thread(offer["thread_id"])).json()["messages"]) == 1
    assert [kind for kind, _ in told(connected)] == ["message.sent"] * 2
