"""
Graph's JSON and our values: what is asked for, how it is read, how a draft is written. No I/O.

Message: https://learn.microsoft.com/graph/api/resources/message. Extended properties:
https://learn.microsoft.com/graph/api/resources/extended-properties-overview ([MS-OXPROPS] names the tags).
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sync.domain.mail import Address, MailboxMessage, MailContent, MailFile, ThreadKeys, message_ids
from sync.domain.outgoing import Draft, OutgoingFile

#: Our stamp: one fixed named property (a mailbox can hold about 16,000 names), its value the id of the CRM's message.
STAMP = "String {3f1e8c52-6f0b-4c1f-9a57-0d2b7a64c9e1} Name CrmMessageId"
#: PidTagInReplyToId and PidTagInternetReferences: on Sent Items the only place of these headers.
IN_REPLY_TO = "String 0x1042"
REFERENCES = "String 0x1039"
#: PidTagMessageClass ([MS-OXCMSG] 2.2.1.3), of which Graph's message has no property of its own.
MESSAGE_CLASS = "String 0x001A"
#: How the class of an automatic reply by rule begins (https://learn.microsoft.com/office/vba/outlook/concepts/forms/item-types-and-message-classes).
_AUTOMATIC_CLASSES = ("ipm.note.rules.ooftemplate.", "ipm.note.rules.replytemplate.")
#: REPORT.<class>.<what it reports>: these two report reading, the others (NDR, DR, Delayed, ...) delivery ([MS-OXCMAIL]).
_READING = ("ipnrn", "ipnnrn")

_KEYS = (
    "id,conversationId,conversationIndex,internetMessageId,internetMessageHeaders,isDraft,subject,from,sender,"
    "replyTo,toRecipients,ccRecipients,bccRecipients,receivedDateTime,sentDateTime"
)
_PROPERTIES = " or ".join(f"id eq '{name}'" for name in (STAMP, IN_REPLY_TO, REFERENCES, MESSAGE_CLASS))

#: Keys and addresses, and nothing that a message says: all that is asked of mail that may not be ours.
KEYS_QUERY = {"$select": _KEYS, "$expand": f"singleValueExtendedProperties($filter={_PROPERTIES})"}
CONTENT_QUERY = {"$select": "id,body", "$expand": "attachments($select=id,name,contentType,size,isInline)"}


def stamped_query(stamp: str) -> dict[str, str]:
    """The query that finds the message with this stamp, draft or sent."""
    value = stamp.replace("'", "''")
    return {
        **KEYS_QUERY,
        "$filter": f"singleValueExtendedProperties/any(ep: ep/id eq '{STAMP}' and ep/value eq '{value}')",
        "$top": "5",
    }


def message_id_query(internet_message_id: str) -> dict[str, str]:
    """The query that finds the copies of the message with this Message-ID."""
    value = internet_message_id.replace("'", "''")
    return {**KEYS_QUERY, "$filter": f"internetMessageId eq '{value}'", "$top": "10"}


def since_query(since: datetime, limit: int, skip: int = 0) -> dict[str, str]:
    """The query that lists keys by time of receipt. What is sorted by has to be filtered by, too (else InefficientFilter)."""
    return {
        **KEYS_QUERY,
        "$filter": f"receivedDateTime ge {since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "$orderby": "receivedDateTime asc",
        "$top": str(limit),
        **({"$skip": str(skip)} if skip else {}),
    }


def mailbox_message(data: Mapping[str, Any]) -> MailboxMessage:
    """A message as `KEYS_QUERY` shows it."""
    data = _well_formed(data)
    properties = {p["id"].casefold(): p["value"] for p in data.get("singleValueExtendedProperties") or []}
    headers = {h["name"].casefold(): h["value"] for h in data.get("internetMessageHeaders") or []}
    message_class = str(properties.get(MESSAGE_CLASS.casefold()) or "").casefold()
    replied = message_ids(headers.get("in-reply-to") or properties.get(IN_REPLY_TO.casefold()) or "")
    return MailboxMessage(
        graph_id=data["id"],
        keys=ThreadKeys(
            internet_message_id=data.get("internetMessageId") or "",
            in_reply_to=replied[0] if replied else "",
            references=message_ids(headers.get("references") or properties.get(REFERENCES.casefold()) or ""),
            conversation_id=data.get("conversationId") or "",
            conversation_guid=conversation_guid(data.get("conversationIndex") or ""),
        ),
        subject=data.get("subject") or "",
        sender=_address(data.get("from") or data.get("sender")),
        reply_to=_addresses(data.get("replyTo")),
        to=_addresses(data.get("toRecipients")),
        cc=_addresses(data.get("ccRecipients")),
        bcc=_addresses(data.get("bccRecipients")),
        is_draft=bool(data.get("isDraft")),
        sent_at=time_of(data.get("sentDateTime")),
        received_at=time_of(data.get("receivedDateTime")),
        stamp=properties.get(STAMP.casefold(), ""),
        auto_reply=headers.get("auto-submitted", "no").strip().casefold() not in ("", "no")
        or message_class.startswith(_AUTOMATIC_CLASSES),
        report=is_report(message_class, headers.get("content-type") or ""),
    )


def is_report(message_class: str, content_type: str) -> bool:
    """Whether mail of this class (folded), with this Content-Type, is a delivery report (RFC 6522 3, RFC 3464 2)."""
    if message_class.startswith("report."):
        return message_class.rpartition(".")[2] not in _READING
    kind, _, parameters = content_type.casefold().partition(";")
    reports = re.search(r"(?:^|;)\s*report-type\s*=\s*\"?([a-z-]+)", parameters)
    return kind.strip() == "multipart/report" and reports is not None and reports[1] == "delivery-status"


def mail_content(data: Mapping[str, Any]) -> MailContent:
    """A message as `CONTENT_QUERY` shows it."""
    data = _well_formed(data)
    body = data.get("body") or {}
    content = body.get("content") or ""
    is_html = str(body.get("contentType", "")).casefold() == "html"
    return MailContent(
        html=content if is_html else None,
        text=None if is_html else content,
        files=tuple(_file(a) for a in data.get("attachments") or []),
    )


def _file(data: Mapping[str, Any]) -> MailFile:
    kind = str(data.get("@odata.type", "")).rpartition(".")[2]
    return MailFile(
        graph_id=data["id"],
        kind="file" if kind == "fileAttachment" else "item" if kind == "itemAttachment" else "reference",
        name=data.get("name") or "",
        content_type=data.get("contentType") or "application/octet-stream",
        size_hint=int(data.get("size") or 0),
        inline=bool(data.get("isInline")),
    )


def new_message(draft: Draft) -> dict[str, object]:
    """The JSON of a draft to create, or of what a reply is to say."""
    message: dict[str, object] = {
        **recipients(draft),
        "body": {"contentType": "html", "content": draft.body.html}
        if draft.body.html is not None
        else {"contentType": "text", "content": draft.body.text or ""},
        "singleValueExtendedProperties": [{"id": STAMP, "value": draft.stamp}],
    }
    if draft.subject:
        message["subject"] = draft.subject
    if draft.sender is not None:
        message["from"] = _recipients([draft.sender])[0]
    return message


def recipients(draft: Draft) -> dict[str, object]:
    """Whom a draft goes to, as JSON: all three groups, since one that is left out stays as it is."""
    return {
        "toRecipients": _recipients(draft.to),
        "ccRecipients": _recipients(draft.cc),
        "bccRecipients": _recipients(draft.bcc),
    }


def new_file(file: OutgoingFile) -> dict[str, object]:
    """The JSON of a file to add to a draft."""
    return {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": file.name,
        "contentType": file.content_type,
        "contentBytes": base64.b64encode(file.content).decode(),
        "isInline": file.inline,
        **({"contentId": file.content_id} if file.content_id else {}),
    }


def new_upload(file: OutgoingFile) -> dict[str, object]:
    """The JSON that opens an upload session for a file."""
    return {
        "AttachmentItem": {
            "attachmentType": "file",
            "name": file.name,
            "size": len(file.content),
            "contentType": file.content_type,
            "isInline": file.inline,
            **({"contentId": file.content_id} if file.content_id else {}),
        }
    }


def conversation_guid(index: str) -> str:
    """The GUID in a conversation index, bytes 6..21 of its 22 byte header ([MS-OXOMSG] 2.2.1.3), in hexadecimal."""
    try:
        data = base64.b64decode(index, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return data[6:22].hex() if len(data) >= 22 else ""


def time_of(text: str | None) -> datetime | None:
    """A DateTimeOffset of Graph; up to seven digits of a second."""
    if not text:
        return None
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def graph_time(when: datetime) -> str:
    """A time as Graph writes it."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def _well_formed(value: Any) -> Any:
    """
    The JSON with U+FFFD where half of a surrogate pair stands alone.

    Quirk: Exchange keeps text as UTF-16 and cuts it anywhere, so a subject can end in half an emoji, which is nothing in UTF-8.
    """
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {name: _well_formed(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_well_formed(member) for member in value]
    return value


def _address(recipient: Mapping[str, Any] | None) -> Address | None:
    data = (recipient or {}).get("emailAddress") or {}
    address = data.get("address")
    return Address(address, data.get("name") or "") if address else None


def _addresses(recipients: Sequence[Mapping[str, Any]] | None) -> tuple[Address, ...]:
    return tuple(a for a in map(_address, recipients or ()) if a is not None)


def _recipients(addresses: Sequence[Address]) -> list[dict[str, object]]:
    return [{"emailAddress": {"address": a.address, **({"name": a.name} if a.name else {})}} for a in addresses]
