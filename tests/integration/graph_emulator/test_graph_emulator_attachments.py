"""Attachments: the three kinds, their bytes and sizes, direct upload, and upload sessions."""

import base64
from typing import Any

import httpx
import pytest

from tests.integration.graph_emulator.conftest import IMMUTABLE, Cloud

FILE = "#microsoft.graph.fileAttachment"


def file(content: bytes, name: str = "a.txt", **fields: Any) -> dict[str, Any]:
    """A file as a client writes it."""
    return {"@odata.type": FILE, "name": name, "contentBytes": base64.b64encode(content).decode(), **fields}


async def test_three_kinds(cloud: Cloud) -> None:
    """Files have bytes and a contentId, attached items have MIME, links have no content at all."""
    given = [
        {"name": "a.png", "content_type": "image/png", "content_base64": "aGk=", "inline": True, "content_id": "i1"},
        {"name": "mail", "content_base64": base64.b64encode(b"Subject: x\r\n\r\ny").decode(), "kind": "item"},
        {"name": "link", "kind": "reference"},
    ]
    arrived = await cloud.arrives(attachments=given)
    path = f"/me/messages/{arrived['id']}/attachments"
    listed = (await cloud.dana.get(path))["value"]
    assert [a["@odata.type"].rpartition(".")[2] for a in listed] == [
        "fileAttachment",
        "itemAttachment",
        "referenceAttachment",
    ]
    image, item, link = listed
    assert (image["contentBytes"], image["contentId"], image["isInline"]) == ("aGk=", "i1", True)
    assert "contentBytes" not in item
    assert "contentBytes" not in link
    assert link["contentType"] is None
    raw = await cloud.dana.call("GET", f"{path}/{image['id']}/$value", 200)
    assert (raw.content, raw.headers["Content-Type"]) == (b"hi", "image/png")
    assert (await cloud.dana.call("GET", f"{path}/{item['id']}/$value", 200)).content.startswith(b"Subject: x")
    assert (await cloud.dana.error("GET", f"{path}/{link['id']}/$value"))[0] == 405


@pytest.mark.parametrize(
    ("select", "keys"),
    [
        (
            "",
            {
                "lastModifiedDateTime",
                "name",
                "contentType",
                "size",
                "isInline",
                "contentId",
                "contentLocation",
                "contentBytes",
            },
        ),
        ("$select=name,size", {"name", "size"}),
        ("$select=name,microsoft.graph.fileAttachment/contentId", {"name", "contentId"}),
    ],
)
async def test_bytes_come_unless_deselected(cloud: Cloud, select: str, keys: set[str]) -> None:
    """Listed or expanded, a file brings its bytes by default and only what is selected otherwise."""
    arrived = await cloud.arrives(attachments=[{"name": "a.txt", "content_base64": "aGk="}])
    path = f"/me/messages/{arrived['id']}"
    always = {"@odata.type", "@odata.mediaContentType", "id"}
    (listed,) = (await cloud.dana.get(f"{path}/attachments?{select}"))["value"]
    assert set(listed) == always | keys
    (expanded,) = (await cloud.dana.get(f"{path}?$select=id&$expand=attachments{f'({select})' if select else ''}"))[
        "attachments"
    ]
    assert expanded == listed


async def test_inline_files_alone_are_no_attachments(cloud: Cloud) -> None:
    """`hasAttachments` is false as long as every file is inline."""
    draft = await cloud.dana.draft(attachments=[file(b"x", isInline=True, contentId="i1")])
    assert draft["hasAttachments"] is False
    path = f"/me/messages/{draft['id']}"
    added = (await cloud.dana.call("POST", f"{path}/attachments", 201, json=file(b"x"))).json()
    assert (await cloud.dana.get(path))["hasAttachments"] is True
    await cloud.dana.call("DELETE", f"{path}/attachments/{added['id']}", 204)
    assert (await cloud.dana.get(path))["hasAttachments"] is False


@pytest.mark.parametrize("overhead", [0, 240])
async def test_size_is_the_decoded_length(cloud: Cloud, overhead: int) -> None:
    """`size` is the decoded bytes and what the switch adds, never the length of the base64."""
    cloud.graph.switches.attachment_overhead_bytes = overhead
    draft = await cloud.dana.draft()
    added = await cloud.dana.call("POST", f"/me/messages/{draft['id']}/attachments", 201, json=file(b"x" * 10_000))
    assert added.json()["size"] == 10_000 + overhead


@pytest.mark.parametrize(
    ("attachment", "expected"),
    [
        ({"name": "a.txt", "contentBytes": "aGk="}, (400, "RequestBodyRead")),
        ({"@odata.type": FILE, "name": "a.txt", "contentBytes": "%%%"}, (400, "RequestBodyRead")),
        ({"@odata.type": FILE, "name": "a.txt", "contentBytes": "", "size": 4}, (400, "ErrorInvalidPropertySet")),
        ({"@odata.type": "#microsoft.graph.referenceAttachment", "name": "a"}, (400, "RequestBodyRead")),
        (file(b"x" * 3_000_000), (413, "ErrorMessageSizeExceeded")),
    ],
)
async def test_refused_attachments(cloud: Cloud, attachment: dict[str, Any], expected: tuple[int, str]) -> None:
    """What is malformed, or 3 MB and more, is not attached directly."""
    draft = await cloud.dana.draft()
    assert await cloud.dana.error("POST", f"/me/messages/{draft['id']}/attachments", json=attachment) == expected
    assert (await cloud.dana.get(f"/me/messages/{draft['id']}/attachments"))["value"] == []


async def test_attachments_of_sent_and_received_messages_are_fixed(cloud: Cloud) -> None:
    """Only a draft takes and loses files."""
    arrived = await cloud.arrives()
    error = await cloud.dana.error("POST", f"/me/messages/{arrived['id']}/attachments", json=file(b"x"))
    assert error == (400, "ErrorInvalidRequest")


async def test_attachment_ids_follow_the_id_format(cloud: Cloud) -> None:
    """An attachment, too, has an immutable id that outlives a move, and a mutable one that does not."""
    draft = await cloud.dana.draft(headers=IMMUTABLE, attachments=[file(b"x")])
    path = f"/me/messages/{draft['id']}/attachments"
    (immutable,) = (await cloud.dana.get(path, headers=IMMUTABLE))["value"]
    (mutable,) = (await cloud.dana.get(path))["value"]
    await cloud.dana.call("POST", f"/me/messages/{draft['id']}/send", 202)
    await cloud.sent()
    assert (await cloud.dana.get(f"{path}/{immutable['id']}", headers=IMMUTABLE))["id"] == immutable["id"]
    assert await cloud.dana.error("GET", f"{path}/{mutable['id']}") == (404, "ErrorItemNotFound")


async def session(cloud: Cloud, message_id: str, size: int) -> dict[str, Any]:
    """A new upload session."""
    item = {"attachmentType": "file", "name": "big.bin", "size": size, "contentType": "application/x-big"}
    place = f"/me/messages/{message_id}/attachments/createUploadSession"
    return dict((await cloud.dana.call("POST", place, 201, json={"AttachmentItem": item})).json())


async def put(cloud: Cloud, url: str, content: bytes, first: int, total: int, **headers: str) -> httpx.Response:
    """Upload one range."""
    content_range = f"bytes {first}-{first + len(content) - 1}/{total}"
    return await cloud.http.put(url, content=content, headers={"Content-Range": content_range, **headers})


async def test_upload_session(cloud: Cloud) -> None:
    """A large file goes up in ranges, without a token, and is attached with the last one."""
    draft = await cloud.dana.draft()
    content = bytes(range(256)) * 20_000
    half = 2_560_000
    opened = await session(cloud, draft["id"], len(content))
    url = opened["uploadUrl"]
    assert opened["nextExpectedRanges"] == ["0-"]
    first = await put(cloud, url, content[:half], 0, len(content))
    assert (first.status_code, first.json()["nextExpectedRanges"]) == (200, [f"{half}-"])
    assert (await cloud.http.get(url)).json()["nextExpectedRanges"] == [f"{half}-"]
    last = await put(cloud, url, content[half:], half, len(content))
    assert (last.status_code, last.content) == (201, b"")
    attachment_id = last.headers["Location"].rpartition("('")[2].removesuffix("')")
    attached = await cloud.dana.call("GET", f"/me/messages/{draft['id']}/attachments/{attachment_id}/$value", 200)
    assert attached.content == content
    assert attached.headers["Content-Type"] == "application/x-big"
    assert (await cloud.http.get(url)).status_code == 404
    uploads = [call for call in await cloud.lab("GET", "/requests?mailbox=dana@crm.example") if call["method"] == "PUT"]
    assert [call["status"] for call in uploads] == [200, 201]


async def test_upload_session_refusals(cloud: Cloud) -> None:
    """Ranges out of order, of another total, too long, or sent with a token are refused; the session goes on."""
    draft = await cloud.dana.draft()
    url = (await session(cloud, draft["id"], 5_000_000))["uploadUrl"]
    assert (await put(cloud, url, b"xx", 2, 5_000_000)).status_code == 416
    assert (await put(cloud, url, b"xx", 0, 4_000_000)).status_code == 400
    assert (await put(cloud, url, b"x" * 4_194_304, 0, 5_000_000)).status_code == 400
    assert (await put(cloud, url, b"xx", 0, 5_000_000, Authorization="Bearer x")).status_code == 401
    assert (await put(cloud, url.replace("authtoken=", "authtoken=x"), b"xx", 0, 5_000_000)).status_code == 401
    assert (await put(cloud, url, b"xx", 0, 5_000_000)).status_code == 200
    assert (await cloud.http.delete(url)).status_code == 204
    assert (await put(cloud, url, b"xx", 2, 5_000_000)).status_code == 404


async def test_upload_sessions_expire(cloud: Cloud) -> None:
    """An upload address dies when its time is over."""
    draft = await cloud.dana.draft()
    opened = await session(cloud, draft["id"], 5_000_000)
    cloud.clock.advance(3600)
    assert (await put(cloud, opened["uploadUrl"], b"xx", 0, 5_000_000)).status_code == 404


async def test_small_upload_sessions(cloud: Cloud) -> None:
    """Whether a small file may use an upload session is a switch."""
    draft = await cloud.dana.draft()
    await session(cloud, draft["id"], 10)
    await cloud.lab("POST", "/switches", json={"upload_session_minimum_bytes": 3_000_000})
    item = {"attachmentType": "file", "name": "s", "size": 10}
    place = f"/me/messages/{draft['id']}/attachments/createUploadSession"
    assert (await cloud.dana.error("POST", place, json={"AttachmentItem": item}))[0] == 400
