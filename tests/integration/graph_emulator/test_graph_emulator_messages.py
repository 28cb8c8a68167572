"""Messages and folders of the mail emulator: who may read what, and how a message looks, changes and moves."""

import base64

import pytest

from tests.cloud.graph.shapes import MESSAGE_DEFAULT
from tests.integration.graph_emulator.conftest import IMMUTABLE, Cloud, to

STAMP = "String {00020329-0000-0000-C000-000000000046} Name CrmMessageId"


async def test_me(cloud: Cloud) -> None:
    """`GET me` tells who the token belongs to, with the headers every answer of Graph has."""
    answer = await cloud.dana.call("GET", "/me?$select=id,mail,displayName", 200, headers={"client-request-id": "abc"})
    person = cloud.directory.by_email("dana@crm.example")
    assert person is not None
    assert answer.json() | {"@odata.context": ""} == {
        "@odata.context": "",
        "id": person.oid,
        "mail": "dana@crm.example",
        "displayName": "Dana Doe",
    }
    assert answer.headers["client-request-id"] == "abc"
    assert answer.headers["request-id"]
    assert answer.headers["Content-Type"].startswith("application/json;odata.metadata=minimal")


@pytest.mark.parametrize(
    ("scopes", "method", "path", "status"),
    [
        ("Mail.Read", "GET", "/me", 403),
        ("User.Read", "GET", "/me/messages", 403),
        ("Mail.ReadBasic", "GET", "/me/messages", 200),
        ("Mail.ReadBasic", "GET", "/me/messages?$select=body", 403),
        ("Mail.ReadBasic", "GET", f"/me/messages?$expand=singleValueExtendedProperties($filter=id eq '{STAMP}')", 403),
        ("Mail.Read", "GET", "/me/messages?$select=body", 200),
        ("Mail.Read", "POST", "/me/messages", 403),
        ("Mail.ReadWrite", "POST", "/me/messages", 201),
        ("Mail.ReadWrite", "POST", "/me/sendMail", 403),
        ("Mail.Send", "POST", "/me/messages", 403),
        ("Mail.Send", "POST", "/me/sendMail", 202),
    ],
)
async def test_scopes(cloud: Cloud, scopes: str, method: str, path: str, status: int) -> None:
    """Each endpoint wants its own scope: writing does not let one send, sending does not let one write."""
    person = cloud.directory.by_email("bob@crm.example")
    assert person is not None
    caller = cloud.caller(person, frozenset({scopes}))
    message = {"subject": "x", "toRecipients": [to("ada@world.example")]}
    body = {"message": message} if path == "/me/sendMail" else message
    await caller.call(method, path, status, **({"json": body} if method == "POST" else {}))


async def test_tokens(cloud: Cloud) -> None:
    """No token, a wrong one and an expired one are a 401 each."""
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer nonsense"}):
        assert await cloud.dana.error("GET", "/me", headers=headers) == (401, "InvalidAuthenticationToken")
    cloud.clock.advance(3600)
    assert await cloud.dana.error("GET", "/me") == (401, "InvalidAuthenticationToken")


async def test_isolation(cloud: Cloud) -> None:
    """One's own mailbox has two names; another's is forbidden by name, and its messages are not found by id."""
    draft = await cloud.dana.draft()
    for name in ("users/dana@crm.example", "users/Dana@CRM.example"):
        assert (await cloud.dana.get(f"/{name}/messages/{draft['id']}"))["id"] == draft["id"]
    assert await cloud.bob.error("GET", f"/users/dana@crm.example/messages/{draft['id']}") == (403, "ErrorAccessDenied")
    assert await cloud.bob.error("GET", f"/me/messages/{draft['id']}") == (404, "ErrorItemNotFound")


async def test_unknown_paths_and_methods(cloud: Cloud) -> None:
    """What the emulator does not know is refused in Graph's envelope, not answered with something plausible."""
    assert await cloud.dana.error("GET", "/me/calendar") == (400, "BadRequest")
    assert await cloud.dana.error("PUT", "/me/messages") == (405, "BadRequest")
    assert await cloud.dana.error("GET", "/me/messages/delta") == (400, "ErrorInvalidIdMalformed")
    assert await cloud.dana.error("GET", "/me/mailFolders/nowhere") == (404, "ErrorItemNotFound")


async def test_draft_as_answered(cloud: Cloud) -> None:
    """A new draft has every default property, its conversation and its Message-ID at once, and a rewritten body."""
    draft = await cloud.dana.draft(body={"contentType": "HTML", "content": "<p onclick=x()>Hi</p><script>y()</script>"})
    annotations = {"@odata.context", "@odata.etag", "id"}
    assert set(draft) == annotations | set(MESSAGE_DEFAULT) - {"from", "sender"}
    assert draft["isDraft"] is True
    assert draft["isRead"] is True
    assert draft["@odata.etag"] == f'W/"{draft["changeKey"]}"'
    assert draft["internetMessageId"].endswith("@crm.example>")
    assert draft["id"].startswith("AAMk")
    assert "<p>Hi</p>" in draft["body"]["content"]
    assert 'content="text/html; charset=utf-8"' in draft["body"]["content"]
    assert "script" not in draft["body"]["content"]
    assert draft["bodyPreview"] == "Hi"
    assert draft["toRecipients"] == [{"emailAddress": {"name": "ada@world.example", "address": "ada@world.example"}}]


async def test_both_ids(cloud: Cloud) -> None:
    """The header decides which id is answered, either is understood, and a move changes only the mutable one."""
    immutable = (await cloud.dana.draft(headers=IMMUTABLE))["id"]
    assert immutable.startswith("AAkA")
    answer = await cloud.dana.call("GET", f"/me/messages/{immutable}", 200)
    assert "Preference-Applied" not in answer.headers
    mutable = answer.json()["id"]
    assert mutable.startswith("AAMk")
    moved = await cloud.dana.call("POST", f"/me/messages/{mutable}/move", 201, json={"destinationId": "archive"})
    assert moved.json()["id"] not in (mutable, immutable)
    assert await cloud.dana.error("GET", f"/me/messages/{mutable}") == (404, "ErrorItemNotFound")
    answer = await cloud.dana.call("GET", f"/me/messages/{immutable}", 200, headers=IMMUTABLE)
    assert answer.headers["Preference-Applied"] == 'IdType="ImmutableId"'
    assert answer.json()["id"] == immutable
    assert answer.json()["parentFolderId"] == (await cloud.dana.get("/me/mailFolders/archive"))["id"]


async def test_select_only_properties(cloud: Cloud) -> None:
    """`internetMessageHeaders` and `uniqueBody` come only when they are selected."""
    arrived = await cloud.arrives(html="<p>New</p><blockquote>Old</blockquote>", headers={"X-Spam": "no"})
    path = f"/me/messages/{arrived['id']}"
    plain = await cloud.dana.get(path)
    assert not {"internetMessageHeaders", "uniqueBody"} & set(plain)
    selected = await cloud.dana.get(f"{path}?$select=internetMessageHeaders,uniqueBody")
    assert set(selected) == {"@odata.context", "@odata.etag", "id", "internetMessageHeaders", "uniqueBody"}
    assert selected["uniqueBody"]["content"] == "<html><body><p>New</p></body></html>"
    names = [header["name"] for header in selected["internetMessageHeaders"]]
    assert names[0] == "Received"
    assert {"Message-ID", "Thread-Index", "X-Spam"} <= set(names)


@pytest.mark.parametrize(
    ("kept", "prefer", "as_html", "answered"),
    [
        ("text", None, True, "html"),
        ("text", None, False, "text"),
        ("text", "html", False, "html"),
        ("text", "text", True, "text"),
        ("html", None, True, "html"),
        ("html", "text", True, "text"),
    ],
)
async def test_body_types(cloud: Cloud, kept: str, prefer: str | None, as_html: bool, answered: str) -> None:
    """`Prefer: outlook.body-content-type` decides how a body is answered; without it HTML, or (a switch) as it is kept."""
    await cloud.lab("POST", "/switches", json={"text_bodies_as_html": as_html})
    arrived = await cloud.arrives(**{kept: "one\ntwo" if kept == "text" else "<p>one</p><p>two</p>"})
    headers = {"Prefer": f'outlook.body-content-type="{prefer}"'} if prefer else {}
    answer = await cloud.dana.call("GET", f"/me/messages/{arrived['id']}?$select=body", 200, headers=headers)
    body = answer.json()["body"]
    assert body["contentType"] == answered
    assert ("<" in body["content"]) == (answered == "html")
    assert "one" in body["content"]
    assert answer.headers.get("Preference-Applied") == (f'outlook.body-content-type="{prefer}"' if prefer else None)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"subjekt": "x"}, "ErrorInvalidPropertySet"),
        ({"isDraft": False}, "ErrorInvalidPropertySet"),
        ({"subject": 5}, "RequestBodyRead"),
        ({"subject": None}, "RequestBodyRead"),
        ({"body": {"contentType": "markdown", "content": ""}}, "RequestBodyRead"),
        ({"toRecipients": [{"address": "a@b.c"}]}, "RequestBodyRead"),
        ({"internetMessageHeaders": [{"name": "In-Reply-To", "value": "<a@b>"}]}, "InvalidInternetMessageHeader"),
        (
            {"internetMessageHeaders": [{"name": f"x-{n}", "value": "1"} for n in range(6)]},
            "InvalidInternetMessageHeaderCollection",
        ),
        ({"singleValueExtendedProperties": [{"id": "String Nonsense", "value": "1"}]}, "ErrorInvalidProperty"),
    ],
)
async def test_refused_drafts(cloud: Cloud, fields: dict[str, object], code: str) -> None:
    """A property that cannot be written, or not so, is a 400 with Graph's code, and nothing is stored."""
    assert await cloud.dana.error("POST", "/me/messages", json=fields) == (400, code)
    assert (await cloud.dana.get("/me/messages"))["value"] == []


async def test_too_large(cloud: Cloud) -> None:
    """A request above about 4 MB is a 413."""
    big = {"subject": "x" * (4 * 1024 * 1024)}
    assert await cloud.dana.error("POST", "/me/messages", json=big) == (413, "RequestEntityTooLarge")


async def test_changing_a_message(cloud: Cloud) -> None:
    """A draft can be written to, with If-Match only as it is now; a received message takes flags but no new subject."""
    draft = await cloud.dana.draft()
    path = f"/me/messages/{draft['id']}"
    stale = draft["@odata.etag"]
    changed = (await cloud.dana.call("PATCH", path, 200, json={"subject": "New"}, headers={"If-Match": stale})).json()
    assert changed["subject"] == "New"
    assert changed["@odata.etag"] != stale
    error = await cloud.dana.error("PATCH", path, json={"subject": "Newer"}, headers={"If-Match": stale})
    assert error == (412, "ErrorIrresolvableConflict")
    arrived = await cloud.arrives()
    path = f"/me/messages/{arrived['id']}"
    assert (await cloud.dana.call("PATCH", path, 200, json={"isRead": True})).json()["isRead"] is True
    assert await cloud.dana.error("PATCH", path, json={"subject": "x"}) == (400, "ErrorInvalidPropertySet")


async def test_a_refused_change_changes_nothing(cloud: Cloud) -> None:
    """Of several properties with one that is refused, none is written."""
    draft = await cloud.dana.draft()
    path = f"/me/messages/{draft['id']}"
    error = await cloud.dana.error("PATCH", path, json={"subject": "New", "importance": None})
    assert error == (400, "RequestBodyRead")
    assert (await cloud.dana.get(path)) == {**draft, "@odata.context": draft["@odata.context"]}


async def test_deleting(cloud: Cloud) -> None:
    """The first DELETE moves to Deleted Items, the second removes."""
    arrived = await cloud.arrives()
    path = f"/me/messages/{arrived['id']}"
    await cloud.dana.call("DELETE", path, 204)
    deleted = await cloud.dana.get("/me/mailFolders/deleteditems/messages")
    assert [m["subject"] for m in deleted["value"]] == ["Hello"]
    await cloud.dana.call("DELETE", path, 204)
    assert await cloud.dana.error("GET", path) == (404, "ErrorItemNotFound")


async def test_extended_properties(cloud: Cloud) -> None:
    """A stamp written on a draft is found and read back; its id compares without case but for the name."""
    draft = await cloud.dana.draft(singleValueExtendedProperties=[{"id": STAMP, "value": "msg_1"}])
    await cloud.dana.draft()
    lower = STAMP.replace("C000", "c000")
    found = await cloud.dana.get(
        "/me/mailFolders/drafts/messages",
        params={
            "$filter": f"singleValueExtendedProperties/any(ep: ep/id eq '{lower}' and ep/value eq 'msg_1')",
            "$expand": f"singleValueExtendedProperties($filter=id eq '{lower}')",
            "$select": "id",
        },
    )
    assert [m["id"] for m in found["value"]] == [draft["id"]]
    assert found["value"][0]["singleValueExtendedProperties"] == [{"id": STAMP, "value": "msg_1"}]


async def test_mime_draft(cloud: Cloud) -> None:
    """A draft can be made of base64 MIME with its threading headers, and any message can be read as MIME."""
    mime = b"To: Ada <ada@world.example>\r\nSubject: Hi\r\nIn-Reply-To: <1@world.example>\r\n\r\nHello\r\n"
    headers = {"Content-Type": "text/plain"}
    answer = await cloud.dana.call("POST", "/me/messages", 201, content=base64.b64encode(mime), headers=headers)
    value = await cloud.dana.call("GET", f"/me/messages/{answer.json()['id']}/$value", 200)
    assert value.headers["Content-Type"].startswith("text/plain")
    assert b"In-Reply-To: <1@world.example>" in value.content
    error = await cloud.dana.error("POST", "/me/messages", content=b"%%%", headers=headers)
    assert error == (400, "ErrorMimeContentInvalidBase64String")


async def test_folders(cloud: Cloud) -> None:
    """Well-known names lead to folders with ids of their own, which count what is in them."""
    await cloud.arrives()
    inbox = await cloud.dana.get("/me/mailFolders('inbox')")
    assert (inbox["displayName"], inbox["totalItemCount"], inbox["unreadItemCount"]) == ("Inbox", 1, 1)
    listed = await cloud.dana.get("/me/mailFolders?$top=50&$select=displayName")
    assert inbox["id"] in [folder["id"] for folder in listed["value"]]
    by_id = await cloud.dana.get(f"/me/mailFolders/{inbox['id']}/messages")
    assert [m["parentFolderId"] for m in by_id["value"]] == [inbox["id"]]
