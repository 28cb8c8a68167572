"""What the CRM may send: every limit at its edge, every header that could be broken out of, every file by the attachment rule."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.attachment_rule import MAX_ATTACHMENT_BYTES
from sync.domain.errors import AttachmentRefused, InvalidRequest, PayloadTooLarge
from sync.domain.mail import Address
from sync.domain.message import Contact
from sync.domain.outgoing import (
    MAX_ALL_FILES_BYTES,
    MAX_BODY_BYTES,
    MAX_BULK_RECIPIENTS,
    MAX_FILES,
    MAX_METADATA_BYTES,
    MAX_RECIPIENTS,
    MAX_SUBJECT_CHARS,
    Outgoing,
    OutgoingFile,
    addresses,
    check,
    has_control_characters,
    request_hash,
)
from tests import files

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KIM = Contact("kim@customer.example", "Kim", "c-7")
EMAIL = Outgoing(kind="individual", user_id="anna", to=(KIM,), subject="Offer", html="<p>Hi</p>")
TEXT_FILE = OutgoingFile("notes.txt", "text/plain", b"notes")


def wrong_fields(outgoing: Outgoing) -> list[str]:
    """The fields that are named as wrong; empty where it may be sent."""
    try:
        check(outgoing, NOW)
    except InvalidRequest as refused:
        errors: Any = refused.extra["errors"]
        assert all(error["message"].endswith(".") for error in errors)
        return [error["field"] for error in errors]
    return []


def people(count: int) -> tuple[Contact, ...]:
    """So many recipients."""
    return tuple(Contact(f"p{i}@x.example") for i in range(count))


def test_an_ordinary_email_may_be_sent() -> None:
    """With names, copies, both bodies, a file and metadata."""
    assert not wrong_fields(
        replace(
            EMAIL,
            cc=people(1),
            bcc=people(1),
            subject="Grüße 你好 👋🏽 – “Offer”",
            text="Hi\r\n\tKim",
            files=(TEXT_FILE, OutgoingFile("logo.png", "image/png", files.png(), inline=True, content_id="logo@crm")),
            metadata={"deal": 7, "tags": ["a"]},
        )
    )


BREAKS = {
    "CR LF": "\r\n",
    "CR": "\r",
    "LF": "\n",
    "NUL": "\0",
    "tab": "\t",
    "vertical tab": "\v",
    "form feed": "\f",
    "escape": "\x1b",
    "delete": "\x7f",
    "next line": "\x85",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
}


def file_with(**changes: Any) -> Outgoing:
    """The email with one file that is otherwise fine."""
    return replace(EMAIL, files=(replace(TEXT_FILE, **changes),))


@pytest.mark.parametrize("break_", BREAKS.values(), ids=BREAKS)
@pytest.mark.parametrize("place", ["{}Bcc: x@evil.example", "a{}b", "a{}"])
def test_nothing_breaks_out_of_a_header(break_: str, place: str) -> None:
    """A line break or another control character is refused, with the field it stands in, wherever a header is made of it."""
    value = place.format(break_)
    assert wrong_fields(replace(EMAIL, subject=value)) == ["subject"]
    assert wrong_fields(replace(EMAIL, to=(KIM, replace(KIM, name=value)))) == ["to[1].name"]
    assert wrong_fields(replace(EMAIL, cc=(replace(KIM, name=value),))) == ["cc[0].name"]
    assert wrong_fields(replace(EMAIL, bcc=(replace(KIM, name=value),))) == ["bcc[0].name"]
    assert wrong_fields(file_with(name=value)) == ["attachments[0].name"]
    assert wrong_fields(file_with(content_type=value)) == ["attachments[0].content_type"]
    assert wrong_fields(file_with(content_id=value)) == ["attachments[0].content_id"]


@given(st.text())
def test_what_has_no_control_characters_is_one_line(value: str) -> None:
    """No character that Python, and so any careful parser, takes for a line's end is let through."""
    if not has_control_characters(value):
        assert len(value.splitlines()) <= 1
        assert "\0" not in value


@pytest.mark.parametrize(
    ("outgoing", "fields"),
    [
        (replace(EMAIL, to=()), ["to"]),
        (replace(EMAIL, to=(), cc=(KIM,)), ["to"]),
        (replace(EMAIL, html=None), ["html"]),
        (replace(EMAIL, html=None, text=""), []),
        (replace(EMAIL, html="", text=None), []),
        (replace(EMAIL, subject=""), []),
        (replace(EMAIL, subject="\ud83d"), ["subject"]),
        (replace(EMAIL, html="\ud83d"), ["html"]),
        (replace(EMAIL, text="\udc00"), ["text"]),
        (file_with(inline=True), ["attachments[0].content_id"]),
        (file_with(inline=True, content_id=""), ["attachments[0].content_id"]),
        (file_with(inline=True, content_id="a"), []),
        (
            replace(EMAIL, to=(), subject="\n", html=None, files=(replace(TEXT_FILE, name="\r", inline=True),)),
            ["to", "subject", "html", "attachments[0].name", "attachments[0].content_id"],
        ),
    ],
)
def test_wrong_fields_are_named_all_at_once(outgoing: Outgoing, fields: list[str]) -> None:
    """Who has to mend a request mends it once."""
    assert wrong_fields(outgoing) == fields


BELOW, AT, ABOVE = -1, 0, 1


@pytest.mark.parametrize("by", [BELOW, AT, ABOVE])
def test_limits_that_name_a_field(by: int) -> None:
    """As many as the limit says may be sent; one more may not."""
    fine = by <= 0

    def field(name: str) -> list[str]:
        return [] if fine else [name]

    assert wrong_fields(replace(EMAIL, to=people(MAX_RECIPIENTS + by))) == field("to")
    copies: dict[str, Any] = {"cc": people(200), "bcc": people(200)}
    assert wrong_fields(replace(EMAIL, to=people(MAX_RECIPIENTS - 400 + by), **copies)) == field("to")
    assert wrong_fields(replace(EMAIL, kind="bulk", to=people(MAX_BULK_RECIPIENTS + by))) == field("to")
    assert wrong_fields(replace(EMAIL, subject="é" * (MAX_SUBJECT_CHARS + by))) == field("subject")
    metadata: dict[str, object] = {"a": "x" * (MAX_METADATA_BYTES + by - len('{"a": ""}'))}
    assert wrong_fields(replace(EMAIL, metadata=metadata)) == field("metadata")


@pytest.mark.parametrize("by", [BELOW, AT, ABOVE])
@pytest.mark.parametrize(
    "at_the_limit",
    [
        lambda by: replace(EMAIL, html="x" * (MAX_BODY_BYTES + by)),
        lambda by: replace(EMAIL, text="é" * (MAX_BODY_BYTES // 2 - 1) + "x" * (2 + by)),
        lambda by: replace(EMAIL, files=(TEXT_FILE,) * (MAX_FILES + by)),
        lambda by: replace(
            EMAIL,
            files=tuple(
                OutgoingFile("a.txt", "text/plain", b"x" * size)
                for size in [MAX_ATTACHMENT_BYTES] * 6 + [MAX_ALL_FILES_BYTES - 6 * MAX_ATTACHMENT_BYTES + by]
            ),
        ),
    ],
    ids=["html", "text in UTF-8", "number of files", "all files"],
)
def test_limits_of_the_whole(at_the_limit: Any, by: int) -> None:
    """Sizes are counted in bytes of UTF-8 and of decoded files, exact to one."""
    if by <= 0:
        check(at_the_limit(by), NOW)
    else:
        with pytest.raises(PayloadTooLarge):
            check(at_the_limit(by), NOW)


@pytest.mark.parametrize("by", [AT, ABOVE])
def test_the_largest_file(by: int) -> None:
    """3 MiB may be sent, one byte more may not: the rule of files that come in."""
    email = replace(EMAIL, files=(OutgoingFile("a.txt", "text/plain", b"x" * (MAX_ATTACHMENT_BYTES + by)),))
    if by <= 0:
        check(email, NOW)
    else:
        with pytest.raises(AttachmentRefused) as refused:
            check(email, NOW)
        assert refused.value.extra == {"files": [{"index": 0, "name": "a.txt", "reason": "too_large"}]}


def test_every_bad_file_is_named_with_its_reason() -> None:
    """The attachment rule guards what is sent, and all bad files are told at once; the good ones are not named."""
    email = replace(
        EMAIL,
        files=(
            OutgoingFile("setup.exe", "application/pdf", b"MZ"),
            TEXT_FILE,
            OutgoingFile("offer.pdf", "application/pdf", b"no pdf"),
            OutgoingFile("offer.pdf", "application/octet-stream", files.pdf()),
        ),
    )
    with pytest.raises(AttachmentRefused) as refused:
        check(email, NOW)
    assert refused.value.extra["files"] == [
        {"index": 0, "name": "setup.exe", "reason": "type_not_allowed"},
        {"index": 2, "name": "offer.pdf", "reason": "content_mismatch"},
    ]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}, True),
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": None}, {}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": "é"}, {"a": "e\u0301"}, False),
        ({"a": "ab", "b": ""}, {"a": "a", "b": "b"}, False),
    ],
)
def test_when_two_requests_are_the_same(one: object, other: object, same: bool) -> None:
    """The order of an object's members does not make another request; any value does."""
    assert (request_hash(one) == request_hash(other)) is same


def test_a_request_hash_is_stable() -> None:
    """Keys are kept for two days, over deployments: the hash of a body never changes."""
    body = {"kind": "individual", "to": [{"address": "kim@customer.example"}], "subject": "Grüße"}
    written = b'{"kind":"individual","subject":"Gr\\u00fc\\u00dfe","to":[{"address":"kim@customer.example"}]}'
    assert request_hash(body) == hashlib.sha256(written).hexdigest()


def test_recipients_are_everybody() -> None:
    """Copies and blind copies count as recipients, and addresses keep their names."""
    email = replace(EMAIL, cc=people(1), bcc=(replace(KIM, name=""),))
    assert email.recipients == (KIM, *people(1), replace(KIM, name=""))
    assert addresses(email.to) == (Address("kim@customer.example", "Kim"),)


def test_recipients_that_no_row_could_hold_are_refused() -> None:
    """Five hundred with the longest names in other scripts; with ordinary ones there is room."""
    long = tuple(Contact(f"c{i}@customer.example", "名" * 200, "x" * 200) for i in range(MAX_RECIPIENTS))
    assert wrong_fields(replace(EMAIL, to=long)) == ["to"]
    usual = tuple(
        Contact(f"c{i}@customer.example", f"Contact Number {i}", f"contact-{i}") for i in range(MAX_RECIPIENTS)
    )
    assert wrong_fields(replace(EMAIL, to=usual)) == []
    assert wrong_fields(replace(EMAIL, kind="bulk", to=long)) == [], "each of them has a row of its own"


def test_an_answer_may_name_nobody() -> None:
    """It goes to whom the thread's last message is answered to; a bulk send has nobody to answer."""
    assert wrong_fields(replace(EMAIL, to=(), thread_id="thr_1")) == []
    assert wrong_fields(replace(EMAIL, to=())) == ["to"]
    assert wrong_fields(replace(EMAIL, kind="bulk", to=(), thread_id="thr_1")) == ["to", "thread_id"]
