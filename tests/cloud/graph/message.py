"""
What a mailbox keeps: messages, their attachments, and the folders they are in.

Imitated: what a client may write and what the store decides (https://learn.microsoft.com/graph/api/resources/message),
two ids for each item, `hasAttachments` that leaves inline files out. Whether `size` counts more than the bytes of a file is not
documented: a switch. Dates are aware, in UTC, whole seconds: Exchange answers no finer.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from tests.cloud.graph.conversation import Conversation, MessageIds

AttachmentKind = Literal["file", "item", "reference"]


@dataclass(frozen=True)
class Folder:
    """A mail folder; `name` is the well-known name, the id the same in both id formats."""

    id: str
    name: str
    display_name: str


@dataclass
class Attachment:
    """
    One file, item or link on a message.

    `content` are the decoded bytes: of a file itself, of an item its MIME, of a reference nothing.
    """

    kind: AttachmentKind
    name: str
    content_type: str | None
    content: bytes
    is_inline: bool
    content_id: str | None
    modified_at: datetime
    ids: MessageIds = field(default=MessageIds("", ""))
    #: what `size` counts beside the bytes (the switch `attachment_overhead_bytes`)
    overhead_bytes: int = 0

    @property
    def size(self) -> int:
        """As Graph tells it."""
        return len(self.content) + self.overhead_bytes

    def id_as(self, *, immutable: bool) -> str:
        """The id in the format the caller prefers."""
        return self.ids.immutable if immutable else self.ids.mutable


def blank_fields() -> dict[str, Any]:
    """What a client may write on a message, as Graph's JSON, with the values nobody wrote."""
    return {
        "subject": "",
        "body": {"contentType": "text", "content": ""},
        "importance": "normal",
        "toRecipients": [],
        "ccRecipients": [],
        "bccRecipients": [],
        "replyTo": [],
        "from": None,
        "sender": None,
        "categories": [],
        "flag": {"flagStatus": "notFlagged"},
        "isRead": False,
        "isDeliveryReceiptRequested": False,
        "isReadReceiptRequested": False,
        "inferenceClassification": "focused",
    }


@dataclass
class Message:
    """
    One stored message. What a client may write is in `fields`, as Graph's JSON; the store decides the rest.

    `headers` are Internet headers, `[{name, value}]`: all of a received message, the `x-` ones of a draft.
    `properties` are the extended properties somebody wrote, by `property_key`: the id as written and the value.
    """

    folder: Folder
    conversation: Conversation
    internet_message_id: str
    created_at: datetime
    received_at: datetime
    sent_at: datetime
    is_draft: bool
    mutable_id: str = ""
    immutable_id: str = ""
    change_key: str = ""
    modified_at: datetime = datetime.min
    fields: dict[str, Any] = field(default_factory=blank_fields)
    headers: list[dict[str, str]] = field(default_factory=list)
    properties: dict[tuple[str, str, str | int], tuple[str, str]] = field(default_factory=dict)
    in_reply_to: str | None = None
    references: list[str] = field(default_factory=list)
    message_class: str = "IPM.Note"
    attachments: list[Attachment] = field(default_factory=list)
    #: The message as it came over the wire, where it is more than `mime.to_mime` would write (reports).
    mime: bytes | None = None
    #: Handed to the transport, the copy not yet in Sent Items.
    submitted: bool = False
    #: When, in the mailbox's own count, this message was made, came to its folder, and last changed.
    created_sequence: int = 0
    arrived_sequence: int = 0
    changed_sequence: int = 0

    @property
    def etag(self) -> str:
        """`W/"<change key>"`."""
        return f'W/"{self.change_key}"'

    @property
    def has_attachments(self) -> bool:
        """Graph's `hasAttachments`: false when every attachment is inline."""
        return any(not a.is_inline for a in self.attachments)

    def id_as(self, *, immutable: bool) -> str:
        """The id in the format the caller prefers."""
        return self.immutable_id if immutable else self.mutable_id
