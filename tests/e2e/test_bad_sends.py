"""Sends that can't be: which field or file is wrong is named, and nothing is stored, queued, told or sent."""

import base64

import pytest

from tests import files
from tests.cloud.stage import attached
from tests.e2e.account import Json, unique
from tests.e2e.witness import Witness

THREE_MIB = 3 * 1024 * 1024
ADA = {"address": "ada@customer.example"}


async def refused(witness: Witness, changes: Json, status: int = 422, code: str = "invalid_request") -> Json:
    """The problem that a send with these fields changed is answered with."""
    mail = witness.user.mail(**changes)
    return await witness.refused(lambda: witness.user.api.send(mail, unique("key")), status, code)


def fields(problem: Json) -> list[str]:
    """The fields that a problem names."""
    assert all(wrong["message"] for wrong in problem["errors"])
    return [wrong["field"] for wrong in problem["errors"]]


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"kind": None}, ["kind"]),
        ({"kind": "Individual"}, ["kind"]),
        ({"kind": 1}, ["kind"]),
        ({"user_id": None}, ["user_id"]),
        ({"user_id": ""}, ["user_id"]),
        ({"user_id": "x" * 65}, ["user_id"]),
        ({"user_id": "dana\n"}, ["user_id"]),
        ({"from": "no address"}, ["from"]),
        ({"to": None}, ["to"]),
        ({"to": []}, ["to"]),
        ({"to": ADA}, ["to"]),
        ({"to": ["ada@customer.example"]}, ["to[0]"]),
        ({"to": [ADA, {"name": "Bob"}]}, ["to[1].address"]),
        ({"to": [ADA | {"name": 7}]}, ["to[0].name"]),
        ({"to": [ADA | {"name": "x" * 201}]}, ["to[0].name"]),
        ({"to": [ADA | {"contact_id": "x" * 201}]}, ["to[0].contact_id"]),
        ({"to": [ADA | {"email": "a@b.example"}]}, ["to[0].email"]),
        ({"to": [ADA] * 501}, ["to"]),
        ({"to": [ADA] * 200, "cc": [ADA] * 200, "bcc": [ADA] * 101}, ["to"]),
        ({"cc": "ada@customer.example"}, ["cc"]),
        ({"cc": [{"address": ""}]}, ["cc[0].address"]),
        ({"bcc": [{"address": "a@b@c.example"}]}, ["bcc[0].address"]),
        ({"subject": None}, ["subject"]),
        ({"subject": 7}, ["subject"]),
        ({"subject": "x" * 999}, ["subject"]),
        ({"html": None}, ["html"]),
        ({"html": 7}, ["html"]),
        ({"text": ["a", "b"]}, ["text"]),
        ({"thread_id": "x" * 65}, ["thread_id"]),
        ({"attachments": {}}, ["attachments"]),
        ({"metadata": []}, ["metadata"]),
        ({"metadata": {"note": "x" * 9_000}}, ["metadata"]),
        ({"Subject": "twice"}, ["Subject"]),
        ({"kind": "mass", "subject": 7, "to": [{"address": "x"}]}, ["kind", "to[0].address", "subject"]),
    ],
    ids=repr,
)
async def test_each_field_is_checked_and_named(witness: Witness, changes: Json, wrong: list[str]) -> None:
    """Missing, empty, too long, too many, of another type, unknown: by its path, and all of them at once."""
    assert fields(await refused(witness, changes)) == wrong


@pytest.mark.parametrize(
    "address",
    [
        "",
        " ",
        "ada",
        "@customer.example",
        "ada@",
        "ada@@customer.example",
        "ada@customer..example",
        "ada@-customer.example",
        ".ada@customer.example",
        "ada.@customer.example",
        "a da@customer.example",
        "ada@customer.example, bob@customer.example",
        "ada@customer.example; bob@customer.example",
        "Ada <ada@customer.example>",
        "<ada@customer.example>",
        "mailto:ada@customer.example",
        "ada@customer.example\r\nBcc: eve@evil.example",
        "ada\r\n@customer.example",
        "ada@customer\u0000.example",
        "ada\u0000@customer.example",
        "ada\u2028@customer.example",
        "ada\u202e@customer.example",
        '"ada"@customer.example',
        "ada@[127.0.0.1]",
        "ada@" + "x" * 64 + ".example",
        "ada@" + ".".join(["x" * 60] * 5),
    ],
)
@pytest.mark.parametrize("group", ["to", "cc"])
async def test_what_is_no_address_is_refused(witness: Witness, group: str, address: str) -> None:
    """Also what would smuggle a second recipient or a header line in."""
    assert fields(await refused(witness, {group: [{"address": address}]})) == [f"{group}[0].address"]


@pytest.mark.parametrize("control", ["\r\n", "\n", "\r", "\u0000", "\u001b", "\u007f", "\u0085", "\u2028", "\u2029"])
@pytest.mark.parametrize(
    "where",
    ["subject", "to[0].name", "attachments[0].name", "attachments[0].content_type", "attachments[0].content_id"],
)
async def test_nothing_that_ends_a_header_line_passes(witness: Witness, where: str, control: str) -> None:
    """CR, LF, NUL and their like in anything that becomes a header: refused, and the field named."""
    smuggled = f"Our offer{control}Bcc: eve@evil.example"
    file = attached("offer.pdf", "application/pdf", files.pdf())
    places: dict[str, Json] = {
        "subject": {"subject": smuggled},
        "to[0].name": {"to": [ADA | {"name": smuggled}]},
        "attachments[0].name": {"attachments": [file | {"name": f"offer{control}.pdf"}]},
        "attachments[0].content_type": {"attachments": [file | {"content_type": f"text/plain{control}X: y"}]},
        "attachments[0].content_id": {"attachments": [file | {"inline": True, "content_id": f"a{control}b"}]},
    }

    assert fields(await refused(witness, places[where])) == [where]


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 252 + ".pdf"}, "name"),
        ({"content_type": "pdf"}, "content_type"),
        ({"content_type": ""}, "content_type"),
        ({"content_base64": "no base64!"}, "content_base64"),
        ({"content_base64": "YWJj\n"}, "content_base64"),
        ({"content_base64": "YWJ"}, "content_base64"),
        ({"content_base64": "-_8="}, "content_base64"),
        ({"content_base64": "ü"}, "content_base64"),
        ({"inline": "yes"}, "inline"),
        ({"inline": True}, "content_id"),
        ({"url": "https://files.example/offer.pdf"}, "url"),
    ],
    ids=repr,
)
async def test_each_field_of_a_file_is_checked(witness: Witness, changes: Json, wrong: str) -> None:
    """Of the second file just as of the first."""
    good = attached("offer.pdf", "application/pdf", files.pdf())

    assert fields(await refused(witness, {"attachments": [good, good | changes]})) == [f"attachments[1].{wrong}"]


async def test_a_file_that_may_not_go_is_named_with_its_reason(witness: Witness) -> None:
    """The attachment rule, on the way out: one email with every kind of bad file between good ones, all told at once."""
    sent = [
        attached("good.pdf", "application/pdf", files.pdf()),
        attached("setup.exe", "application/pdf", files.windows_executable()),
        attached("invoice.pdf", "application/pdf", files.windows_executable()),
        attached("invoice.pdf.exe", "application/pdf", files.pdf()),
        attached("no extension", "application/pdf", files.pdf()),
        attached("page.html", "text/html", b"<p>Hello</p>"),
        attached("empty.png", "image/png", b""),
        attached("huge.pdf", "application/pdf", files.pdf(THREE_MIB + 1)),
        attached("also good.txt", "text/plain", files.text()),
    ]

    problem = await refused(witness, {"attachments": sent}, code="attachment_refused")

    assert [(file["index"], file["name"], file["reason"]) for file in problem["files"]] == [
        (1, "setup.exe", "type_not_allowed"),
        (2, "invoice.pdf", "content_mismatch"),
        (3, "invoice.pdf.exe", "type_not_allowed"),
        (4, "no extension", "type_not_allowed"),
        (5, "page.html", "type_not_allowed"),
        (6, "empty.png", "content_mismatch"),
        (7, "huge.pdf", "too_large"),
    ]
    assert "Nothing was sent." in problem["detail"]


async def test_all_files_together_have_a_limit(witness: Witness) -> None:
    """Seven files of 3 MiB are each in order, and too much for one email: 413."""
    file = attached("plan.pdf", "application/pdf", files.pdf(THREE_MIB))

    problem = await refused(witness, {"attachments": [file] * 7}, 413, "payload_too_large")

    assert str(20 * 1024 * 1024) in problem["detail"]


async def test_a_body_has_a_limit(witness: Witness) -> None:
    """More than 2 MiB of HTML or of text: 413 that names which."""
    for name in ("html", "text"):
        problem = await refused(witness, {name: "x" * (2 * 1024 * 1024 + 1)}, 413, "payload_too_large")
        assert problem["detail"].startswith(name)


async def test_more_files_than_an_email_holds(witness: Witness) -> None:
    """51 files: 413."""
    file = {"name": "a.txt", "content_type": "text/plain", "content_base64": base64.b64encode(b"a").decode()}

    await refused(witness, {"attachments": [file] * 51}, 413, "payload_too_large")


@pytest.mark.parametrize(("kind", "more"), [("workflow", {}), ("bulk", {}), ("bulk", {"from": "x@elsewhere.example"})])
async def test_what_only_a_provider_can_send_needs_one(witness: Witness, kind: str, more: Json) -> None:
    """409, although the mailbox is connected: these kinds go through the account's own provider, and there is none."""
    await refused(witness, {"kind": kind} | more, 409, "provider_not_configured")


async def test_who_is_not_connected_needs_a_provider(witness: Witness) -> None:
    """409 `provider_not_configured`: it would go through the account's own provider, and there is none."""
    await refused(witness, {"user_id": unique("nobody")}, 409, "provider_not_configured")


async def test_a_thread_that_is_not_there_cannot_be_answered(witness: Witness) -> None:
    """404 that names it; no new thread is begun instead."""
    problem = await refused(witness, {"thread_id": "thr_unknown"}, 404, "not_found")

    assert "thr_unknown" in problem["detail"]
