"""
Mail that comes into a mailbox: what a received message keeps of what came over the wire.

Imitated: Internet headers in the order of transport (Received first), the body as Exchange rewrites it, threading headers
kept as properties, recipients in blind copy never shown, extended properties of the sender never carried over. Not
imitated: the long list of X-MS-Exchange-… headers, spam filtering (mail goes where it is told to), inbox rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import format_datetime, formataddr
from typing import Any

from tests.cloud.graph import bodies
from tests.cloud.graph.conversation import Conversation, base_subject
from tests.cloud.graph.mailbox import Mailbox
from tests.cloud.graph.message import Attachment, Message

JsonRecipient = dict[str, Any]


@dataclass(frozen=True)
class Mail:
    """One email on the wire. Recipients are Graph's JSON; `body` is `{contentType, content}`."""

    sender: JsonRecipient
    to: list[JsonRecipient]
    subject: str
    body: dict[str, str]
    internet_message_id: str
    sent_at: datetime
    cc: list[JsonRecipient] = field(default_factory=list)
    reply_to: list[JsonRecipient] = field(default_factory=list)
    in_reply_to: str | None = None
    references: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    attachments: Sequence[Attachment] = ()
    importance: str = "normal"
    message_class: str = "IPM.Note"
    mime: bytes | None = None


def receive(mailbox: Mailbox, mail: Mail, conversation: Conversation, folder: str = "inbox") -> Message:
    """Put the mail into a folder of the mailbox as a new, unread message, and tell about it."""
    now = mailbox.now()
    body = mail.body
    if body["contentType"] == "html":
        body = {"contentType": "html", "content": bodies.rewritten_html(body["content"])}
    message = Message(
        folder=mailbox.folders[folder],
        conversation=conversation,
        internet_message_id=mail.internet_message_id,
        created_at=now,
        received_at=now,
        sent_at=mail.sent_at,
        is_draft=False,
        headers=wire_headers(mail, conversation, received_at=now),
        in_reply_to=mail.in_reply_to,
        references=list(mail.references),
        message_class=mail.message_class,
        attachments=[replace(attachment, modified_at=now) for attachment in mail.attachments],
        mime=mail.mime,
    )
    message.fields |= {
        "subject": mail.subject,
        "body": body,
        "from": mail.sender,
        "sender": mail.sender,
        "toRecipients": list(mail.to),
        "ccRecipients": list(mail.cc),
        "replyTo": list(mail.reply_to),
        "importance": mail.importance,
    }
    return mailbox.add(message)


def wire_headers(mail: Mail, conversation: Conversation, received_at: datetime | None) -> list[dict[str, str]]:
    """The Internet headers of the mail, as they arrive; `received_at` None leaves the trace header out."""
    domain = mail.sender["emailAddress"]["address"].rpartition("@")[2]
    multipart = "multipart/mixed" if mail.attachments else "multipart/alternative"
    typed = any(header["name"].lower() == "content-type" for header in mail.headers)
    pairs: list[tuple[str, str | None]] = [
        ("Received", f"from mail.{domain} by mx.local; {format_datetime(received_at)}" if received_at else None),
        ("From", _addresses([mail.sender])),
        ("To", _addresses(mail.to)),
        ("CC", _addresses(mail.cc)),
        ("Reply-To", _addresses(mail.reply_to)),
        ("Subject", mail.subject),
        ("Thread-Topic", base_subject(mail.subject)),
        ("Thread-Index", conversation.index),
        ("Date", format_datetime(mail.sent_at)),
        ("Message-ID", mail.internet_message_id),
        ("In-Reply-To", mail.in_reply_to),
        ("References", " ".join(mail.references)),
        *((header["name"], header["value"]) for header in mail.headers),
        ("Content-Type", None if typed else multipart),
        ("MIME-Version", "1.0"),
    ]
    return [{"name": name, "value": value} for name, value in pairs if value]


def _addresses(recipients: list[JsonRecipient]) -> str:
    return ", ".join(
        formataddr((r["emailAddress"].get("name") or "", r["emailAddress"]["address"])) for r in recipients
    )
