"""
What a client may write: the JSON of a message and of an attachment, checked field by field.

Imitated (https://learn.microsoft.com/graph/api/user-post-messages, …/message-update, …/message-post-attachments): which
properties are writable, which of them only while the message is a draft, the rules on `internetMessageHeaders`, the limit
for direct attachments. Stricter than Graph: a property that is read-only or unknown is a 400 instead of being ignored.
Not imitated: `multiValueExtendedProperties`, open extensions, reference attachments (v1.0 has none to create), contacts and
events as attached items.
"""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tests.cloud.graph import bodies, mime
from tests.cloud.graph.errors import GraphError, bad_request
from tests.cloud.graph.extended_property import IN_REPLY_TO_ID, REFERENCES_ID, property_key
from tests.cloud.graph.message import Attachment, Message
from tests.cloud.graph.switches import Switches

MAX_INTERNET_HEADERS = 5
#: Writable on a message that was sent or received; everything else only on a draft.
WRITABLE_ANY_TIME = frozenset(
    {"isRead", "categories", "flag", "importance", "inferenceClassification", "singleValueExtendedProperties"}
)


def _enumeration(value: Any) -> Any:
    """Graph reads enumerations without case: "HTML", "Low", "NotFlagged"."""
    if not isinstance(value, str):
        return value
    return value.lower() if value.isupper() else value[:1].lower() + value[1:]


_Enumeration = BeforeValidator(_enumeration)


class _GraphObject(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _EmailAddress(_GraphObject):
    address: str
    name: str | None = None


class _Recipient(_GraphObject):
    emailAddress: _EmailAddress


class _Body(_GraphObject):
    contentType: Annotated[Literal["html", "text"], _Enumeration] = "text"
    content: str = ""


class _Flag(_GraphObject):
    flagStatus: Annotated[Literal["notFlagged", "complete", "flagged"], _Enumeration]


class _Header(_GraphObject):
    name: str
    value: str


class _ExtendedProperty(_GraphObject):
    id: str
    value: str


class AttachmentJson(_GraphObject):
    """An attachment as a client writes it."""

    odata_type: Literal["#microsoft.graph.fileAttachment", "#microsoft.graph.itemAttachment"] = Field(
        alias="@odata.type"
    )
    name: str
    contentType: str | None = None
    contentBytes: str | None = None
    isInline: bool = False
    contentId: str | None = None
    item: dict[str, Any] | None = None


class MessageJson(_GraphObject):
    """A message as a client writes it, in whole or in part; what is not given stays as it is."""

    odata_type: Literal["#microsoft.graph.message", "microsoft.graph.message"] = Field(
        "#microsoft.graph.message", alias="@odata.type"
    )
    subject: str | None = None
    body: _Body | None = None
    importance: Annotated[Literal["low", "normal", "high"], _Enumeration] | None = None
    toRecipients: list[_Recipient] | None = None
    ccRecipients: list[_Recipient] | None = None
    bccRecipients: list[_Recipient] | None = None
    replyTo: list[_Recipient] | None = None
    sender_from: _Recipient | None = Field(None, alias="from")
    sender: _Recipient | None = None
    categories: list[str] | None = None
    flag: _Flag | None = None
    isRead: bool | None = None
    isDeliveryReceiptRequested: bool | None = None
    isReadReceiptRequested: bool | None = None
    inferenceClassification: Annotated[Literal["focused", "other"], _Enumeration] | None = None
    internetMessageId: str | None = None
    internetMessageHeaders: list[_Header] | None = None
    singleValueExtendedProperties: list[_ExtendedProperty] | None = None
    attachments: list[AttachmentJson] | None = None


def read[T: BaseModel](model: type[T], given: Any) -> T:
    """The JSON as `model`; raises 400 naming the property that Graph would not take."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        code = "ErrorInvalidPropertySet" if first["type"] == "extra_forbidden" else "RequestBodyRead"
        raise bad_request(f"The property '{where}' cannot be written: {first['msg']}.", code) from None


def read_mime(base64_body: bytes) -> tuple[MessageJson, str | None, list[str]]:
    """A draft given as base64 of MIME: what is to be written, In-Reply-To, and References."""
    given = mime.from_mime(base64_body)
    threading = {property_key(p["id"]): p["value"] for p in given.pop("singleValueExtendedProperties")}
    in_reply_to = threading.get(property_key(IN_REPLY_TO_ID))
    references = threading.get(property_key(REFERENCES_ID), "").split()
    return read(MessageJson, given), in_reply_to, references


def write(message: Message, given: MessageJson, names: Mapping[str, str]) -> None:
    """
    Put onto the message what was given.

    `names` are display names by lower-case address, for recipients given without one. Extended properties are merged by
    id; all else is replaced. Attachments are not written here.
    """
    values = given.model_dump(by_alias=True, exclude_unset=True)
    for ours in ("@odata.type", "attachments", "singleValueExtendedProperties", "internetMessageHeaders"):
        values.pop(ours, None)
    if not message.is_draft and (late := set(values) - WRITABLE_ANY_TIME):
        raise bad_request(f"'{min(late)}' can only be written on a draft.", "ErrorInvalidPropertySet")
    internet_message_id = values.pop("internetMessageId", None)
    for name, value in values.items():
        if value is None and name not in ("from", "sender"):
            raise bad_request(f"The property '{name}' cannot be null.", "RequestBodyRead")
    # Everything that can be refused has been looked at before anything is written.
    properties = {property_key(p.id): (p.id, p.value) for p in given.singleValueExtendedProperties or ()}
    message.properties.update(properties)
    message.internet_message_id = internet_message_id or message.internet_message_id
    message.fields.update({name: _as_kept(name, value, names) for name, value in values.items()})


def _as_kept(name: str, value: Any, names: Mapping[str, str]) -> Any:
    if name == "body" and value["contentType"] == "html":
        return {"contentType": "html", "content": bodies.rewritten_html(value["content"])}
    if name in ("from", "sender") and value is not None:
        return named(value, names)
    if name.endswith("Recipients") or name == "replyTo":
        return [named(recipient, names) for recipient in value]
    return value


def named(recipient: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The recipient with a name: the given one, the directory's, or the address itself."""
    address = recipient["emailAddress"]["address"]
    name = recipient["emailAddress"].get("name") or names.get(address.lower()) or address
    return {"emailAddress": {"name": name, "address": address}}


def custom_headers(given: MessageJson) -> list[dict[str, str]]:
    """The `internetMessageHeaders` of a new draft: at most five, all named `x-`; raises 400."""
    headers = [{"name": h.name, "value": h.value} for h in given.internetMessageHeaders or ()]
    if len(headers) > MAX_INTERNET_HEADERS:
        raise bad_request(
            f"Maximum number of headers in one message should be less than or equal to {MAX_INTERNET_HEADERS}.",
            "InvalidInternetMessageHeaderCollection",
        )
    for header in headers:
        if not header["name"].lower().startswith("x-"):
            raise bad_request(
                f"The internet message header name '{header['name']}' should start with 'x-' or 'X-'.",
                "InvalidInternetMessageHeader",
            )
    return headers


def new_attachment(given: AttachmentJson, now: datetime, switches: Switches) -> Attachment:
    """An attachment to be put on a draft; raises 400 for broken bytes and 413 from the limit of direct attachments on."""
    if given.odata_type == "#microsoft.graph.itemAttachment":
        item = read(MessageJson, given.item).model_dump(by_alias=True, exclude_none=True)
        content, content_type = mime.to_mime(item, []), given.contentType
        kind: Literal["file", "item"] = "item"
    else:
        content, content_type, kind = _decoded(given.contentBytes), given.contentType, "file"
        content_type = content_type or "application/octet-stream"
    if len(content) >= switches.direct_attachment_limit_bytes:
        raise GraphError(413, "ErrorMessageSizeExceeded", "The attachment is too large: use an upload session.")
    return Attachment(
        kind=kind,
        name=given.name,
        content_type=content_type,
        content=content,
        is_inline=given.isInline,
        content_id=given.contentId,
        modified_at=now,
        overhead_bytes=switches.attachment_overhead_bytes,
    )


def _decoded(content_bytes: str | None) -> bytes:
    try:
        return base64.b64decode(content_bytes or "", validate=True)
    except binascii.Error:
        raise bad_request("Cannot convert the value of 'contentBytes' to Edm.Binary.", "RequestBodyRead") from None
