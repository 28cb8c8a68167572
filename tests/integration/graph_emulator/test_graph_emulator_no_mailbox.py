"""People whom Graph knows and Exchange Online does not: no licence, or no longer."""

from typing import Any

import pytest

from tests.cloud.directory import MailboxState
from tests.integration.graph_emulator.conftest import Cloud, to

DANA = "dana@crm.example"
#: Calls that need a mailbox, of every family of routes; `{id}` is a message that was there before.
CALLS: list[tuple[str, str, Any]] = [
    ("GET", "/me/messages", None),
    ("GET", "/me/messages/{id}", None),
    ("GET", "/me/messages/{id}/$value", None),
    ("GET", "/me/messages/{id}/attachments", None),
    ("PATCH", "/me/messages/{id}", {"subject": "x"}),
    ("DELETE", "/me/messages/{id}", None),
    ("POST", "/me/messages", {"subject": "x"}),
    ("POST", "/me/messages/{id}/createReply", {}),
    ("POST", "/me/messages/{id}/send", None),
    ("POST", "/me/messages/{id}/attachments/createUploadSession", {}),
    ("GET", "/me/mailFolders", None),
    ("GET", "/me/mailFolders/inbox", None),
    ("GET", "/me/mailFolders/inbox/messages", None),
    ("GET", "/me/mailFolders/inbox/messages/delta", None),
    ("POST", "/me/sendMail", {"message": {"subject": "x", "toRecipients": [to("ada@world.example")]}}),
    ("GET", "/users/dana@crm.example/messages", None),
    ("GET", "/subscriptions", None),
    ("POST", "/subscriptions", {}),
    ("PATCH", "/subscriptions/x", {}),
    ("DELETE", "/subscriptions/x", None),
]


async def state(cloud: Cloud, state: MailboxState, email: str = DANA) -> None:
    """Give or take this person's mailbox."""
    await cloud.lab("POST", "/mailbox", json={"email": email, "state": state})


@pytest.mark.parametrize("gone", ["none", "inactive"])
async def test_every_call_for_mail_is_refused(cloud: Cloud, gone: MailboxState) -> None:
    """In Graph's words, whatever is asked of the mailbox, alone or in a batch; and other people's mail is untouched."""
    message = await cloud.dana.draft()
    await state(cloud, gone)
    for method, path, body in CALLS:
        options = {} if body is None else {"json": body}
        answer = await cloud.dana.call(method, path.replace("{id}", message["id"]), 404, **options)
        assert answer.json()["error"]["code"] == "MailboxNotEnabledForRESTAPI", f"{method} {path}"
        assert answer.json()["error"]["message"].startswith(
            "The mailbox is either inactive, soft-deleted, or is hosted"
        )
    batch = {
        "requests": [{"id": "1", "method": "GET", "url": "/me"}, {"id": "2", "method": "GET", "url": "/me/messages"}]
    }
    answers = (await cloud.dana.call("POST", "/$batch", 200, json=batch)).json()["responses"]
    assert [answer["status"] for answer in answers] == [200, 404]
    assert (await cloud.bob.get("/me/messages"))["value"] == []


@pytest.mark.parametrize(
    ("gone", "mail", "addresses"),
    [("none", None, []), ("inactive", DANA, [f"SMTP:{DANA}", "smtp:d.doe@crm.example"])],
)
async def test_who_they_are_is_still_told(
    cloud: Cloud, gone: MailboxState, mail: str | None, addresses: list[str]
) -> None:
    """`/me` answers; who never had a mailbox has no address of mail, only a name to sign in with."""
    await state(cloud, gone)
    me = await cloud.dana.get("/me?$select=mail,userPrincipalName,proxyAddresses")

    assert (me["mail"], me["userPrincipalName"], me["proxyAddresses"]) == (mail, DANA, addresses)


async def test_a_licence_that_comes_back(cloud: Cloud) -> None:
    """What was in the mailbox is there again, and nothing arrived meanwhile: the sender got a report."""
    kept = await cloud.dana.draft()
    await state(cloud, "inactive")
    refused = await cloud.lab("POST", "/mail", 409, json={"to": DANA, "from": "ada@world.example", "subject": "Hello"})
    message = {"subject": "Lunch", "toRecipients": [to(DANA)]}
    await cloud.bob.call("POST", "/me/sendMail", 202, json={"message": message})
    await cloud.sent()
    await state(cloud, "active")

    assert DANA in refused["error"]
    assert [found["id"] for found in (await cloud.dana.get("/me/messages"))["value"]] == [kept["id"]]
    subjects = [found["subject"] for found in await cloud.lab("GET", "/mailboxes/bob@crm.example/messages")]
    assert subjects == ["Lunch", "Undeliverable: Lunch"]


async def test_an_upload_ends_with_the_mailbox(cloud: Cloud) -> None:
    """The upload address of before is refused as well."""
    draft = await cloud.dana.draft()
    item = {"AttachmentItem": {"attachmentType": "file", "name": "a.pdf", "size": 4}}
    path = f"/me/messages/{draft['id']}/attachments/createUploadSession"
    session = (await cloud.dana.call("POST", path, 201, json=item)).json()
    await state(cloud, "none")
    answer = await cloud.http.put(session["uploadUrl"], content=b"1234", headers={"Content-Range": "bytes 0-3/4"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "MailboxNotEnabledForRESTAPI")


async def test_a_renewal_is_refused_as_without_a_mailbox(cloud: Cloud) -> None:
    """Also where a subscription that is gone would be answered 400: the licence is looked at first."""
    await cloud.lab("POST", "/subscription-rules", json={"missing": "invalid_parameter"})
    await state(cloud, "inactive")

    assert await cloud.dana.error("PATCH", "/subscriptions/x", json={}) == (404, "MailboxNotEnabledForRESTAPI")


@pytest.mark.parametrize(("change", "status"), [({"email": "z@z.example"}, 404), ({"state": "full"}, 400)])
async def test_wrong_use(cloud: Cloud, change: dict[str, str], status: int) -> None:
    """A mailbox of nobody, or a state that there is not, is refused with a reason."""
    given = {"email": DANA, "state": "none", **change}

    assert (await cloud.lab("POST", "/mailbox", status, json=given))["error"]
