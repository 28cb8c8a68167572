"""Files of an email that the CRM sends: small and large, many, inline, and when Graph's answers are lost on the way."""

import pytest

from tests import files
from tests.cloud.stage import attached
from tests.e2e.account import Connected, Json
from tests.e2e.conversation import at_rest, in_mailbox, left, told, writes

MIB = 1024 * 1024
#: The kinds of two calls; what stands where an attachment's id does in the second is `createUploadSession`.
ADD, OPEN = "POST me/messages/{id}/attachments", "POST me/messages/{id}/attachments/{id}"


def in_sent_items(by: Connected, message: Json) -> list[tuple[str, str | None, bool, str | None, bytes]]:
    """The files on the copy in Sent Items, which are those that left."""
    copy = in_mailbox(by, message["internet_message_id"])
    return [(a.name, a.content_type, a.is_inline, a.content_id, a.content) for a in copy.attachments]


async def test_twenty_mebibytes_in_seven_files(connected: Connected) -> None:
    """All that one email may have: each file once, in order, byte for byte, the large ones through upload sessions."""
    makers = {
        "1.pdf": files.pdf(3 * MIB),
        "2.png": files.png(3 * MIB),
        "3.zip": files.zip_archive(3 * MIB),
        "4.txt": files.text(3 * MIB),
        "5.docx": files.docx(3 * MIB),
        "6.pdf": files.pdf(3 * MIB),
        "7.txt": files.text(2 * MIB),
    }
    assert sum(map(len, makers.values())) == 20 * MIB

    sent = await connected.sent(
        attachments=[attached(name, "application/octet-stream", c) for name, c in makers.items()]
    )

    assert {name: content for name, _, _, _, content in in_sent_items(connected, sent)} == makers
    assert [file["name"] for file in left(connected)[0]["attachments"]] == list(makers)
    large = [OPEN, "PUT upload"] * 6
    assert await writes(connected) == ["POST me/messages", *large, ADD, "POST me/messages/{id}/send"]
    assert [(file["name"], file["size_bytes"], file["status"]) for file in sent["attachments"]] == [
        (name, len(content), "synced") for name, content in makers.items()
    ]


@pytest.mark.parametrize("size", [None, 3 * MIB], ids=["small", "large"])
async def test_an_inline_image_is_where_the_html_shows_it(connected: Connected, size: int | None) -> None:
    """The content id leads from the `cid:` of the body to the file, by both ways that a file takes."""
    image = attached("plan.png", "image/png", files.png(size)) | {"inline": True, "content_id": "plan@crm"}

    sent = await connected.sent(html='<p>Look: <img src="cid:plan@crm"></p>', attachments=[image])

    assert in_sent_items(connected, sent) == [("plan.png", "image/png", True, "plan@crm", files.png(size))]
    assert 'src="cid:plan@crm"' in left(connected)[0]["html"]
    assert [(f["inline"], f["content_id"]) for f in sent["attachments"]] == [(True, "plan@crm")]


async def test_two_files_of_one_name_both_go(connected: Connected) -> None:
    """As different as their bytes are, a small one and a large one too."""
    contents = [files.pdf(), files.pdf(2000), files.pdf(3 * MIB)]

    sent = await connected.sent(attachments=[attached("plan.pdf", "application/pdf", c) for c in contents])

    assert [(name, content) for name, _, _, _, content in in_sent_items(connected, sent)] == [
        ("plan.pdf", content) for content in contents
    ]


#: By name: the call that goes wrong, how, and what is written to Graph until the large file is on the draft. A piece that never
#: arrived is nobody's in Graph's log, since its mailbox is only known from its session.
LOST: dict[str, tuple[str, Json, list[str]]] = {
    "session lost, opened": ("POST */createUploadSession", {"drop": True, "applied": True}, [OPEN, OPEN, "PUT upload"]),
    "piece lost, arrived": ("PUT *AttachmentSessions*", {"drop": True, "applied": True}, [OPEN, "PUT upload"]),
    "piece failed, not arrived": ("PUT *AttachmentSessions*", {"status": 503}, [OPEN, OPEN, "PUT upload"]),
    "piece too late, arrived": ("PUT *AttachmentSessions*", {"status": 504, "applied": True}, [OPEN, "PUT upload"]),
    "piece throttled": ("PUT *AttachmentSessions*", {"status": 429, "retry_after": 1}, [OPEN, OPEN, "PUT upload"]),
    "session ended": ("PUT *AttachmentSessions*", {"status": 404}, [OPEN, OPEN, "PUT upload"]),
}


@pytest.mark.parametrize(("match", "what", "expected"), LOST.values(), ids=LOST)
async def test_a_large_file_is_on_the_email_once(
    connected: Connected, match: str, what: Json, expected: list[str]
) -> None:
    """Whatever becomes of one call: neither twice, nor half of it, and the next file as well."""
    # The address of an upload is no caller's: this fault is the whole cloud's, and the next such call is this one.
    await connected.stage.lab("POST", f"{connected.cloud.graph.url}/_lab/faults", {"match": match} | what)
    large, small = files.pdf(3 * MIB), files.text()

    sent = await connected.sent(
        attachments=[attached("large.pdf", "application/pdf", large), attached("small.txt", "text/plain", small)]
    )
    await at_rest(connected)

    assert [(name, content) for name, _, _, _, content in in_sent_items(connected, sent)] == [
        ("large.pdf", large),
        ("small.txt", small),
    ]
    made = [call for call in await writes(connected) if not call.startswith("DELETE")]
    assert made == ["POST me/messages", *expected, ADD, "POST me/messages/{id}/send"]
    assert told(connected) == [("message.sent", sent["message_id"])]
