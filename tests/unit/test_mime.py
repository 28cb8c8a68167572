"""Messages to MIME and back: what `/$value` shows and what a MIME draft becomes."""

import base64
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest

from tests.cloud.graph.errors import GraphError
from tests.cloud.graph.mime import from_mime, to_mime

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def _recipient(address: str, name: str = "") -> dict[str, Any]:
    return {"emailAddress": {"name": name, "address": address}}


def _file(name: str, content: bytes, content_type: str, **more: Any) -> dict[str, Any]:
    return {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": name,
        "contentType": content_type,
        "contentBytes": base64.b64encode(content).decode(),
        **more,
    }


MESSAGE: dict[str, Any] = {
    "subject": "RE: Angebot für Zoë",
    "from": _recipient("ada@crm.example", "Ada, Sales"),
    "toRecipients": [_recipient("zoe@contact.example", "Zoë Ünal"), _recipient("b@contact.example")],
    "ccRecipients": [_recipient("c@contact.example", "C")],
    "replyTo": [_recipient("answers@crm.example")],
    "sentDateTime": "2026-11-23T08:00:00Z",
    "internetMessageId": "<CRM1@crm.example>",
    "conversationIndex": "AQHTe7/VAniOJVgCxEmtF1z6ZY1rFQ==",
    "body": {"contentType": "html", "content": "<p>Grüße &amp; Küsse</p>"},
}


def _parsed(raw: bytes) -> EmailMessage:
    mail = message_from_bytes(raw, policy=default)
    assert isinstance(mail, EmailMessage)
    return mail


def test_headers_are_written() -> None:
    """Everything a mail reader needs is there, names outside ASCII and commas in names included."""
    raw = to_mime(MESSAGE, [])
    mail = _parsed(raw)
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert mail["Subject"] == "RE: Angebot für Zoë"
    assert mail["From"].addresses[0].display_name == "Ada, Sales"
    assert [a.addr_spec for a in mail["To"].addresses] == ["zoe@contact.example", "b@contact.example"]
    assert mail["To"].addresses[0].display_name == "Zoë Ünal"
    assert mail["Date"] == "Mon, 23 Nov 2026 08:00:00 +0000"
    assert mail["Message-ID"] == "<CRM1@crm.example>"
    assert mail["Thread-Topic"] == "Angebot für Zoë"
    assert mail["Thread-Index"] == MESSAGE["conversationIndex"]


def test_html_has_a_plain_alternative() -> None:
    """An html body is the preferred of two alternatives."""
    mail = _parsed(to_mime(MESSAGE, []))
    assert mail.get_content_type() == "multipart/alternative"
    plain, html = mail.iter_parts()
    assert plain.get_content().strip() == "Grüße & Küsse"
    assert html.get_content().strip() == MESSAGE["body"]["content"]


def test_a_text_body_stays_text() -> None:
    """No html is invented for a plain message."""
    mail = _parsed(to_mime({**MESSAGE, "body": {"contentType": "text", "content": "Hello\r\nthere"}}, []))
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().splitlines() == ["Hello", "there"]


def test_threading_headers_come_from_either_place() -> None:
    """In-Reply-To and References are found in the MAPI properties of a sent copy, and in the headers of received mail."""
    references = " ".join(f"<{'a' * 90}{n}@long.example>" for n in range(12))
    sent = {
        **MESSAGE,
        "singleValueExtendedProperties": [
            {"id": "string 0x1042", "value": "<one@x>"},
            {"id": "String 0x1039", "value": references},
        ],
    }
    received = {
        **MESSAGE,
        "internetMessageHeaders": [
            {"name": "In-Reply-To", "value": "<one@x>"},
            {"name": "References", "value": references},
            {"name": "X-Trace", "value": "7"},
            {"name": "Received", "value": "from elsewhere"},
        ],
    }
    for message in (sent, received):
        raw = to_mime(message, [])
        assert b"=?utf-8" not in raw.split(b"References:")[1].split(b"\r\nX-")[0].split(b"\r\nMIME")[0]
        mail = _parsed(raw)
        assert mail["In-Reply-To"] == "<one@x>"
        assert " ".join(str(mail["References"]).split()) == references
    assert _parsed(to_mime(received, []))["X-Trace"] == "7"


def test_files_keep_name_type_and_bytes() -> None:
    """An attached file is found under its name with the same bytes, text files included; inline ones with their id."""
    files = [
        _file("Größe.txt", "Größe\n".encode("latin-1"), "text/plain"),
        _file("logo.png", PNG, "image/png", isInline=True, contentId="logo1"),
        _file("nested.eml", b"Subject: x\r\n\r\nhello", "message/rfc822"),
    ]
    mail = _parsed(to_mime(MESSAGE, files))
    assert mail.get_content_type() == "multipart/mixed"
    attached = {part.get_filename(): part for part in mail.iter_attachments()}
    assert attached["Größe.txt"].get_payload(decode=True) == "Größe\n".encode("latin-1")
    assert attached["Größe.txt"].get_content_type() == "text/plain"
    assert attached["nested.eml"].get_payload(decode=True) == b"Subject: x\r\n\r\nhello"
    (logo,) = [part for part in mail.walk() if part.get("Content-ID") == "<logo1>"]
    assert logo.get_payload(decode=True) == PNG
    assert logo.get_content_disposition() == "inline"


def test_a_message_survives_the_round_trip() -> None:
    """A message written as MIME and sent in as a MIME draft is the same message, except for its sender."""
    message = {
        **MESSAGE,
        "singleValueExtendedProperties": [{"id": "String 0x1042", "value": "<one@x>"}],
        "internetMessageHeaders": [{"name": "X-Crm", "value": "opaque"}],
    }
    files = [
        _file("a.pdf", b"%PDF-1.7", "application/pdf", isInline=False, contentId=None),
        _file("logo.png", PNG, "image/png", isInline=True, contentId="logo1"),
    ]
    draft = from_mime(base64.b64encode(to_mime(message, files)))
    assert "from" not in draft
    assert draft["subject"] == message["subject"]
    assert [r["emailAddress"]["address"] for r in draft["toRecipients"]] == ["zoe@contact.example", "b@contact.example"]
    assert draft["ccRecipients"] == message["ccRecipients"]
    assert draft["internetMessageId"] == message["internetMessageId"]
    assert draft["singleValueExtendedProperties"] == message["singleValueExtendedProperties"]
    assert draft["internetMessageHeaders"] == message["internetMessageHeaders"]
    assert draft["body"]["contentType"] == "html"
    assert draft["body"]["content"].strip() == MESSAGE["body"]["content"]
    assert sorted(draft["attachments"], key=lambda file: str(file["name"])) == files


def test_wrapped_base64_is_read() -> None:
    """Callers wrap base64 into lines; that is still the same message."""
    draft = from_mime(base64.encodebytes(to_mime(MESSAGE, [])))
    assert draft["subject"] == MESSAGE["subject"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"not base64!", "ErrorMimeContentInvalidBase64String"),
        (base64.b64encode(b"\r\nno header"), "ErrorMimeContentInvalid"),
    ],
)
def test_what_is_not_mime_is_refused(body: bytes, code: str) -> None:
    """A broken MIME draft is a 400 with Exchange's code, never an empty draft."""
    with pytest.raises(GraphError) as refused:
        from_mime(body)
    assert (refused.value.status, refused.value.code) == (400, code)
