"""
Messages as RFC 5322 text: what `/$value` shows, and what a draft in MIME becomes.

Imitated: `GET …/messages/{id}/$value` and creating drafts from base64 MIME (`Content-Type: text/plain`),
https://learn.microsoft.com/graph/outlook-get-mime-message and outlook-send-mime-message. In-Reply-To and References
come from where Exchange keeps them: the message's headers, or the MAPI properties 0x1042 and 0x1039. A `From` in a MIME
draft is dropped, since the mailbox decides who sends.
Not imitated: Exchange's own headers (Received, X-MS-Exchange-…), delivery reports, calendar parts, TNEF, S/MIME, item
and reference attachments (left out), and the exact layout of Exchange's parts: same content, other boundaries.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import unescape
from typing import Any

from tests.cloud.graph.conversation import base_subject
from tests.cloud.graph.errors import bad_request
from tests.cloud.graph.extended_property import IN_REPLY_TO_ID, REFERENCES_ID, property_key

# The standard library encodes a word longer than the line as text (RFC 2047), which destroys long Message-IDs: so the
# lines are as long as RFC 5322 2.1.1 allows.
_POLICY = SMTP.clone(max_line_length=998)
_RECIPIENTS = {"To": "toRecipients", "Cc": "ccRecipients", "Bcc": "bccRecipients", "Reply-To": "replyTo"}
_THREADING = {"In-Reply-To": IN_REPLY_TO_ID, "References": REFERENCES_ID}


def to_mime(message: Mapping[str, Any], attachments: Iterable[Mapping[str, Any]]) -> bytes:
    """
    The message as RFC 5322 text with CRLF.

    `message` is the full JSON-shaped dict, `attachments` likewise, with `contentBytes` in base64. An html body becomes
    multipart/alternative; its inline files become multipart/related with it.
    """
    mail = EmailMessage(_POLICY)
    if sender := message.get("from") or message.get("sender"):
        mail["From"] = _address(sender)
    for header, name in _RECIPIENTS.items():
        if recipients := message.get(name):
            mail[header] = [_address(recipient) for recipient in recipients]
    mail["Subject"] = message.get("subject") or ""
    if sent := message.get("sentDateTime") or message.get("createdDateTime"):
        mail["Date"] = format_datetime(datetime.fromisoformat(sent))
    if message_id := message.get("internetMessageId"):
        mail["Message-ID"] = message_id
    if index := message.get("conversationIndex"):
        mail["Thread-Topic"] = base_subject(message.get("subject") or "")
        mail["Thread-Index"] = index
    for header, property_id in _THREADING.items():
        if value := _extended(message, property_id):
            mail[header] = value
    for header in message.get("internetMessageHeaders") or ():
        name = header["name"].lower()
        if name not in mail and (name in ("in-reply-to", "references") or name.startswith("x-")):
            mail[header["name"]] = header["value"]
    _write_body(mail, message.get("body") or {"contentType": "text", "content": ""}, list(attachments))
    return mail.as_bytes()


def from_mime(base64_body: bytes) -> dict[str, Any]:
    """
    A draft, in the shape of `POST /me/messages`, from the base64 of an RFC 5322 message.

    Files are in `attachments`; In-Reply-To and References in `singleValueExtendedProperties`; other `X-` headers in
    `internetMessageHeaders`. Raises 400 for what is not base64 (`ErrorMimeContentInvalidBase64String`) or not a mail.
    """
    try:
        raw = base64.b64decode(b"".join(base64_body.split()), validate=True)
    except binascii.Error:
        raise bad_request("Invalid base64 string for MIME content.", "ErrorMimeContentInvalidBase64String") from None
    mail = message_from_bytes(raw, policy=_POLICY)
    assert isinstance(mail, EmailMessage)  # what this policy makes
    if not mail.keys():
        raise bad_request("The MIME content has no header.", "ErrorMimeContentInvalid")
    draft: dict[str, Any] = {"subject": str(mail["Subject"] or "")}
    for header, name in _RECIPIENTS.items():
        draft[name] = [
            {"emailAddress": {"name": address.display_name or address.addr_spec, "address": address.addr_spec}}
            for value in mail.get_all(header, [])
            for address in value.addresses
        ]
    if message_id := mail["Message-ID"]:
        draft["internetMessageId"] = str(message_id).strip()
    draft["singleValueExtendedProperties"] = [
        {"id": property_id, "value": " ".join(str(mail[header]).split())}
        for header, property_id in _THREADING.items()
        if mail[header]
    ]
    draft["internetMessageHeaders"] = [
        {"name": name, "value": str(value)} for name, value in mail.items() if name.lower().startswith("x-")
    ]
    body = mail.get_body(("html", "plain"))
    draft["body"] = {
        "contentType": "html" if body is not None and body.get_content_subtype() == "html" else "text",
        "content": body.get_content() if body is not None else "",
    }
    draft["attachments"] = [_read_file(part) for part in _file_parts(mail)]
    return draft


def _write_body(mail: EmailMessage, body: Mapping[str, Any], attachments: Sequence[Mapping[str, Any]]) -> None:
    files = [file for file in attachments if "contentBytes" in file]
    inline = [file for file in files if file.get("isInline") and file.get("contentId")]
    content = body.get("content") or ""
    if str(body.get("contentType")).lower() == "html":
        mail.set_content(_plain(content))
        mail.add_alternative(content, subtype="html")
        *_, html = mail.iter_parts()
        assert isinstance(html, EmailMessage)  # what add_alternative has just put last
        for file in inline:
            _add_file(html.add_related, file, disposition="inline", cid=f"<{file['contentId']}>")
    else:
        mail.set_content(content)
        inline = []
    for file in files:
        if file not in inline:
            _add_file(mail.add_attachment, file)


def _add_file(add: Any, file: Mapping[str, Any], **how: str) -> None:
    maintype, _, subtype = (file.get("contentType") or "application/octet-stream").partition("/")
    if maintype in ("multipart", "message") or not subtype:
        # A file that claims to be a container would be read as one.
        maintype, subtype = "application", "octet-stream"
    add(base64.b64decode(file["contentBytes"]), maintype, subtype, filename=file.get("name") or "attachment", **how)


def _file_parts(mail: EmailMessage) -> list[EmailMessage]:
    """Every leaf that is a file: one with a filename, or one that is not text."""
    return [
        part
        for part in mail.walk()
        if isinstance(part, EmailMessage)
        and not part.is_multipart()
        and (part.get_filename() or part.get_content_maintype() != "text")
    ]


def _read_file(part: EmailMessage) -> dict[str, Any]:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)  # a leaf, decoded
    content_id = str(part["Content-ID"] or "").strip().strip("<>")
    return {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": part.get_filename() or "attachment",
        "contentType": part.get_content_type(),
        "contentBytes": base64.b64encode(content).decode(),
        "isInline": part.get_content_disposition() == "inline" and bool(content_id),
        "contentId": content_id or None,
    }


def _address(recipient: Mapping[str, Any]) -> Address:
    who = recipient["emailAddress"]
    return Address(display_name=who.get("name") or "", addr_spec=who["address"])


def _extended(message: Mapping[str, Any], property_id: str) -> str | None:
    wanted = property_key(property_id)
    for entry in message.get("singleValueExtendedProperties") or ():
        if property_key(entry["id"]) == wanted:
            return str(entry["value"])
    return None


def _plain(html: str) -> str:
    """The words of an html body, roughly: this text is only the alternative that nobody reads."""
    text = re.sub(r"(?is)<(head|style|script)\b.*?</\1>", "", html)
    text = re.sub(r"(?i)<br\s*/?>|</(p|div|tr)>", "\n", text)
    return unescape(re.sub(r"<[^>]+>", "", text)).strip() + "\n"
