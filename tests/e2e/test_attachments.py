"""Files of a thread, from the mailbox to the CRM's download: which sync, which do not and why, and that no byte changes."""

from typing import Any
from urllib.parse import unquote

import pytest

from tests import files
from tests.cloud.stage import attached
from tests.e2e.account import Connected, Json
from tests.e2e.conversation import answers, calls, fault, switched, synced
from tests.unit import sample_files

THREE_MIB = 3 * 1024 * 1024
OCTETS = "application/octet-stream"

ALLOWED: dict[str, bytes] = {
    "photo.jpg": files.jpeg(),
    "photo.JPEG": files.jpeg(),
    "plan.png": files.png(),
    "film.mp4": sample_files.mp4(),
    "film.mpeg": sample_files.mpeg(),
    "drawings.zip": files.zip_archive(),
    "drawings.rar": sample_files.rar(),
    "offer.pdf": files.pdf(),
    "letter.doc": sample_files.doc(),
    "letter.docx": files.docx(),
    "notes.txt": files.text(),
    "GRÜẞE 你好 🏠.Pdf": files.pdf(),
}

#: Name, content, and the reason to leave it out (None: it syncs) with the name that is shown.
HOSTILE: list[tuple[str, bytes, str | None, str]] = [
    ("viewer.exe", files.windows_executable(), "type_not_allowed", "viewer.exe"),
    ("invoice.pdf", files.windows_executable(), "content_mismatch", "invoice.pdf"),
    ("invoice.docx", sample_files.docm(), "content_mismatch", "invoice.docx"),
    ("invoice.doc", sample_files.xls(), "content_mismatch", "invoice.doc"),
    ("notes.txt", sample_files.linux_program(), "content_mismatch", "notes.txt"),
    ("photo.png", files.jpeg(), "content_mismatch", "photo.png"),
    ("invoice.pdf.exe", files.pdf(), "type_not_allowed", "invoice.pdf.exe"),
    ("invoice.exe.pdf", files.pdf(), None, "invoice.exe.pdf"),
    ("report\u202efdp.exe", files.pdf(), "type_not_allowed", "reportfdp.exe"),
    ("report\u202eexe.pdf", files.pdf(), None, "reportexe.pdf"),
    ("viewer.exe. . ", files.pdf(), "type_not_allowed", "viewer.exe"),
    ("offer.pdf . ", files.pdf(), None, "offer.pdf"),
    ("offer.ｐｄｆ", files.pdf(), None, "offer.pdf"),
    ("../../etc/offer.pdf", files.pdf(), None, ".._.._etc_offer.pdf"),
    ("C:\\Windows\\offer.pdf", files.pdf(), None, "C__Windows_offer.pdf"),
    ("viewer.exe:offer.pdf", files.pdf(), None, "viewer.exe_offer.pdf"),
    ("offer\r\nSet-Cookie: a=b.pdf", files.pdf(), None, "offerSet-Cookie_ a=b.pdf"),
    ('offer".pdf', files.pdf(), None, 'offer".pdf'),
    ("<script>.pdf", files.pdf(), None, "<script>.pdf"),
    (f"{300 * 'x'}.pdf", files.pdf(), None, f"{251 * 'x'}.pdf"),
    ("pdf", files.pdf(), "type_not_allowed", "pdf"),
    ("", files.pdf(), "type_not_allowed", "attachment"),
    ("page.html", sample_files.html(), "type_not_allowed", "page.html"),
    ("drawing.svg", sample_files.svg(), "type_not_allowed", "drawing.svg"),
    ("empty.txt", b"", None, "empty.txt"),
    ("empty.pdf", b"", "content_mismatch", "empty.pdf"),
    ("bomb.zip", sample_files.bomb(), None, "bomb.zip"),
    ("locked.rar", sample_files.locked_rar(), None, "locked.rar"),
]


async def with_files(to: Connected, *given: Json, **more: Any) -> list[Json]:
    """What the CRM is told of these files on an answer of the contact."""
    offer = await to.sent()
    message = await synced(to, await answers(to, offer, attachments=list(given), **more))
    return list(message["attachments"])


async def downloaded(by: Connected, file: Json) -> bytes:
    """The bytes that the attachment route gives, which has to give them as nothing but bytes."""
    answer = await by.api.attachment(file["attachment_id"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == OCTETS
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("attachment;")
    return answer.content


async def test_every_allowed_type_syncs_byte_for_byte(connected: Connected) -> None:
    """One real file of each type that the product names, whatever case its extension has."""
    told = await with_files(connected, *(attached(name, OCTETS, content) for name, content in ALLOWED.items()))

    assert [(file["name"], file["status"], file["reason"]) for file in told] == [
        (name, "synced", None) for name in ALLOWED
    ]
    assert [file["size_bytes"] for file in told] == [len(content) for content in ALLOWED.values()]
    assert {file["name"]: await downloaded(connected, file) for file in told} == ALLOWED


async def test_hostile_files_and_names(connected: Connected) -> None:
    """Each is decided by its last extension and its bytes and shown under a harmless name, in the download's header too."""
    told = await with_files(connected, *(attached(name, "application/pdf", content) for name, content, *_ in HOSTILE))

    assert [(file["reason"], file["name"]) for file in told] == [(reason, shown) for _, _, reason, shown in HOSTILE]
    for file, (_, content, reason, shown) in zip(told, HOSTILE, strict=True):
        answer = await connected.api.attachment(file["attachment_id"])
        if reason is not None:
            assert (file["status"], answer.status_code) == ("skipped", 404)
            continue
        disposition = answer.headers["content-disposition"]
        plain, _, encoded = disposition.removeprefix('attachment; filename="').partition("\"; filename*=UTF-8''")
        assert answer.content == content
        assert plain.isascii()
        assert not set(plain) & set('"\\/\r\n;')
        assert unquote(encoded) == shown
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("beyond", [-1, 0, 1])
async def test_the_limit_is_three_mebibytes_to_the_byte(connected: Connected, beyond: int) -> None:
    """3,145,728 bytes pass and one more does not; what is too large is listed and never downloaded."""
    makers = {"plan.pdf": files.pdf, "plan.png": files.png, "plan.zip": files.zip_archive}
    content = {name: make(THREE_MIB + beyond) for name, make in makers.items()}

    told = await with_files(connected, *(attached(name, OCTETS, body) for name, body in content.items()))

    assert [(file["name"], file["size_bytes"]) for file in told] == [(name, THREE_MIB + beyond) for name in content]
    asked_for = [call for call in await calls(connected) if "/attachments/" in call["path"]]
    outcome = {(file["status"], file["reason"]) for file in told}
    if beyond > 0:
        assert (outcome, asked_for) == ({("skipped", "too_large")}, [])
        assert (await connected.api.attachment(told[0]["attachment_id"])).status_code == 404
    else:
        assert (outcome, len(asked_for)) == ({("synced", None)}, 3)
        assert {file["name"]: await downloaded(connected, file) for file in told} == content


async def test_a_size_that_counts_more_than_the_bytes_never_lets_a_large_file_in(connected: Connected) -> None:
    """Where Graph's size counts MAPI properties too, it is the limit as it is; the size told of a synced file is its bytes'."""
    async with switched(connected, attachment_overhead_bytes=400):
        small, large = await with_files(
            connected,
            attached("small.pdf", "application/pdf", files.pdf(THREE_MIB - 400)),
            attached("large.pdf", "application/pdf", files.pdf(THREE_MIB + 1)),
        )

    assert (small["status"], small["size_bytes"]) == ("synced", THREE_MIB - 400)
    assert (large["status"], large["reason"]) == ("skipped", "too_large")


async def test_items_and_links_are_no_files(connected: Connected) -> None:
    """An attached mail and a link to a cloud file are listed, whatever they are called, and never asked for."""
    mail = attached("Our offer.pdf", "message/rfc822", b"Subject: x\r\n\r\n") | {"kind": "item"}
    link = attached("Shared.pdf", "application/pdf", b"") | {"kind": "reference"}

    told = await with_files(connected, mail, link, attached("plan.pdf", OCTETS, files.pdf()))

    assert [(file["name"], file["status"], file["reason"]) for file in told] == [
        ("Our offer.pdf", "skipped", "unsupported_kind"),
        ("Shared.pdf", "skipped", "unsupported_kind"),
        ("plan.pdf", "synced", None),
    ]
    assert len([call for call in await calls(connected) if "/attachments/" in call["path"]]) == 1


async def test_an_inline_image_keeps_its_place(connected: Connected) -> None:
    """The content id leads from the body's `cid:` to the file; an inline image that is none follows the same rule."""
    logo = attached("logo.png", "image/png", files.png()) | {"inline": True, "content_id": "logo@1"}
    fake = attached("fake.png", "image/png", sample_files.html()) | {"inline": True, "content_id": "fake@1"}
    html = '<p>Regards <img src="cid:logo@1"><img src="cid:fake@1"></p>'

    told = await with_files(connected, logo, fake, text=None, html=html)

    assert [(file["inline"], file["content_id"], file["reason"]) for file in told] == [
        (True, "logo@1", None),
        (True, "fake@1", "content_mismatch"),
    ]
    assert await downloaded(connected, told[0]) == files.png()


async def test_two_files_of_one_name_are_two(connected: Connected) -> None:
    """They are told apart by their ids."""
    told = await with_files(
        connected, attached("a.txt", "text/plain", b"first"), attached("a.txt", "text/plain", b"second")
    )

    assert [await downloaded(connected, file) for file in told] == [b"first", b"second"]
    assert told[0]["attachment_id"] != told[1]["attachment_id"]


@pytest.mark.parametrize("status", [404, 403])
async def test_a_file_that_graph_does_not_give_does_not_hold_up_the_message(connected: Connected, status: int) -> None:
    """The message syncs with its words; the file is listed as not fetched."""
    await fault(connected, "GET */attachments/*", status=status)

    first, second = await with_files(
        connected, attached("a.pdf", OCTETS, files.pdf()), attached("b.pdf", OCTETS, files.pdf())
    )

    assert (first["status"], first["reason"]) == ("skipped", "fetch_failed")
    assert (second["status"], second["reason"]) == ("synced", None)


async def test_a_file_is_its_accounts_alone(connected: Connected) -> None:
    """Under another account, and under ids that never were, there is nothing."""
    [file] = await with_files(connected, attached("plan.pdf", OCTETS, files.pdf()))
    known = file["attachment_id"]

    async with connected.cloud.api(f"other-{connected.account_id}") as other:
        foreign = await other.attachment(known)
    unknown = [await connected.api.attachment(name) for name in (f"{known}9", known[:-1] + "7", "att_x", "..%2f..")]

    assert [answer.status_code for answer in (foreign, *unknown)] == [404] * 5
