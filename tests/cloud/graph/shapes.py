"""
What a stored message, attachment, folder or person looks like as Graph's JSON.

Imitated: the v1.0 `message` (metadata of 2026-08), `attachment` and its three kinds, `mailFolder`, `user`, and which MAPI
properties are readable through `singleValueExtendedProperties` (https://learn.microsoft.com/graph/api/resources/message,
…/attachment; tags from [MS-OXPROPS]). Copies in Sent Items have no `internetMessageHeaders`, as reported (office-js#5413);
In-Reply-To and References are there as 0x1042 and 0x1039. Not imitated: meeting messages (`eventMessage`), extensions.

Entities are lazy mappings: a filter over a thousand messages reads what it compares and no body.
"""

import base64
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Literal
from urllib.parse import quote

from tests.cloud.directory import Person
from tests.cloud.graph import bodies
from tests.cloud.graph.conversation import base_subject
from tests.cloud.graph.extended_property import IN_REPLY_TO_ID, REFERENCES_ID, property_key
from tests.cloud.graph.mailbox import Mailbox
from tests.cloud.graph.message import Attachment, Folder, Message

BodyType = Literal["html", "text"]


def _names(text: str) -> list[str]:
    return text.split()


#: What an answer carries where nothing is selected. Without: internetMessageHeaders, uniqueBody.
MESSAGE_DEFAULT = _names(
    """
    createdDateTime lastModifiedDateTime changeKey categories receivedDateTime sentDateTime hasAttachments
    internetMessageId subject bodyPreview importance parentFolderId conversationId conversationIndex
    isDeliveryReceiptRequested isReadReceiptRequested isRead isDraft webLink inferenceClassification body sender from
    toRecipients ccRecipients bccRecipients replyTo flag
    """
)
#: What the scope Mail.ReadBasic does not give.
BEYOND_READ_BASIC = frozenset({"body", "bodyPreview", "uniqueBody"})
ATTACHMENT_DEFAULT = _names(
    "lastModifiedDateTime name contentType size isInline contentId contentLocation contentBytes"
)
FOLDER_DEFAULT = _names(
    "displayName parentFolderId childFolderCount unreadItemCount totalItemCount sizeInBytes isHidden"
)
USER_DEFAULT = _names(
    """
    businessPhones displayName givenName jobTitle mail mobilePhone officeLocation preferredLanguage surname
    userPrincipalName
    """
)

#: PidTagMessageFlags [MS-OXCMSG] 2.2.1.6: mfRead, mfUnsent, mfHasAttach.
_READ, _UNSENT, _HAS_ATTACHMENTS = 0x1, 0x8, 0x10


def graph_date(when: datetime) -> str:
    """A date as Graph writes it, in whole seconds."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


class LazyEntity(Mapping[str, Any]):
    """A mapping whose values are computed when they are read."""

    def __init__(self, values: Mapping[str, Callable[[], Any]]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]()

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def message_entity(message: Message, *, immutable_ids: bool, body_type: BodyType | None = None) -> LazyEntity:
    """
    Every property of a message, with its attachments and extended properties.

    `body_type` None answers the body in the format it is kept in.
    """
    message_id = message.id_as(immutable=immutable_ids)
    values: dict[str, Callable[[], Any]] = {
        "@odata.etag": lambda: message.etag,
        "id": lambda: message_id,
        "createdDateTime": lambda: graph_date(message.created_at),
        "lastModifiedDateTime": lambda: graph_date(message.modified_at),
        "changeKey": lambda: message.change_key,
        "receivedDateTime": lambda: graph_date(message.received_at),
        "sentDateTime": lambda: graph_date(message.sent_at),
        "hasAttachments": lambda: message.has_attachments,
        "internetMessageId": lambda: message.internet_message_id,
        "parentFolderId": lambda: message.folder.id,
        "conversationId": lambda: message.conversation.id,
        "conversationIndex": lambda: message.conversation.index,
        "isDraft": lambda: message.is_draft,
        "webLink": lambda: (
            f"https://outlook.office365.com/owa/?ItemID={quote(message_id, safe='')}&exvsurl=1&viewmodel=ReadMessageItem"
        ),
        "body": lambda: _body(message, body_type),
        "bodyPreview": lambda: bodies.preview(_body(message, "text")["content"]),
        "uniqueBody": lambda: _unique_body(message, body_type),
        "attachments": lambda: [attachment_entity(a, immutable_ids=immutable_ids) for a in message.attachments],
        "singleValueExtendedProperties": lambda: extended_properties(message),
    }
    if message.headers and not (message.folder.name == "sentitems" and not message.is_draft):
        values["internetMessageHeaders"] = lambda: message.headers
    for name, value in message.fields.items():
        # A draft that nobody gave a sender has neither; Graph leaves the properties out.
        if name != "body" and not (name in ("from", "sender") and value is None):
            values[name] = partial(message.fields.__getitem__, name)
    return LazyEntity(values)


def attachment_entity(attachment: Attachment, *, immutable_ids: bool) -> LazyEntity:
    """Every property of an attachment; only files have bytes and a contentId."""
    values: dict[str, Callable[[], Any]] = {
        "@odata.type": lambda: f"#microsoft.graph.{attachment.kind}Attachment",
        "@odata.mediaContentType": lambda: attachment.content_type,
        "id": lambda: attachment.id_as(immutable=immutable_ids),
        "lastModifiedDateTime": lambda: graph_date(attachment.modified_at),
        "name": lambda: attachment.name,
        "contentType": lambda: attachment.content_type,
        "size": lambda: attachment.size,
        "isInline": lambda: attachment.is_inline,
    }
    if attachment.kind == "file":
        values |= {
            "contentId": lambda: attachment.content_id,
            "contentLocation": lambda: None,
            "contentBytes": lambda: base64.b64encode(attachment.content).decode(),
        }
    return LazyEntity(values)


def folder_entity(folder: Folder, mailbox: Mailbox) -> dict[str, Any]:
    """A mail folder with its counts."""
    messages = mailbox.messages(folder)
    return {
        "id": folder.id,
        "displayName": folder.display_name,
        "parentFolderId": mailbox.root_id,
        "childFolderCount": 0,
        "unreadItemCount": sum(not m.fields["isRead"] for m in messages),
        "totalItemCount": len(messages),
        "sizeInBytes": sum(len(m.fields["body"]["content"]) + sum(a.size for a in m.attachments) for m in messages),
        "isHidden": False,
    }


def user_entity(person: Person) -> dict[str, Any]:
    """A person, as `GET me` tells. Who never had a mailbox has no address of mail either, only a name to sign in with."""
    given, _, surname = person.name.rpartition(" ")
    has_address = person.mailbox != "none"
    addresses = [f"SMTP:{person.email}", *(f"smtp:{alias}" for alias in person.aliases)]
    return {
        "id": person.oid,
        "businessPhones": [],
        "displayName": person.name,
        "givenName": given or None,
        "jobTitle": None,
        "mail": person.email if has_address else None,
        "mobilePhone": None,
        "officeLocation": None,
        "preferredLanguage": None,
        "surname": surname or None,
        "userPrincipalName": person.email,
        "proxyAddresses": addresses if has_address else [],
        "otherMails": [],
        "userType": "Member",
        "accountEnabled": True,
    }


def extended_properties(message: Message) -> list[dict[str, str]]:
    """What is readable as single-value extended properties: what Exchange keeps of any message, and what was written."""
    flags = (
        (_READ * message.fields["isRead"]) | (_UNSENT * message.is_draft) | (_HAS_ATTACHMENTS * message.has_attachments)
    )
    kept = {
        "String 0x001A": message.message_class,
        "String 0x0037": message.fields["subject"],
        "String 0x0070": base_subject(message.fields["subject"]),
        "Binary 0x0071": message.conversation.index,
        "String 0x007D": "".join(f"{h['name']}: {h['value']}\r\n" for h in message.headers),
        "SystemTime 0x0E06": graph_date(message.received_at),
        "Integer 0x0E07": str(flags),
        "String 0x1035": message.internet_message_id,
        IN_REPLY_TO_ID: message.in_reply_to or "",
        REFERENCES_ID: " ".join(message.references),
    }
    merged = {property_key(name): (name, value) for name, value in kept.items() if value} | message.properties
    return [{"id": name, "value": value} for name, value in merged.values()]


def _body(message: Message, body_type: BodyType | None) -> dict[str, str]:
    kept: dict[str, str] = message.fields["body"]
    if body_type == "text" and kept["contentType"] == "html":
        return {"contentType": "text", "content": bodies.text_of_html(kept["content"])}
    if body_type == "html" and kept["contentType"] == "text":
        return {"contentType": "html", "content": bodies.html_of_text(kept["content"])}
    return kept


def _unique_body(message: Message, body_type: BodyType | None) -> dict[str, str]:
    unique = bodies.unique_part(_body(message, "html")["content"])
    if body_type == "text":
        return {"contentType": "text", "content": bodies.text_of_html(unique)}
    return {"contentType": "html", "content": unique}
