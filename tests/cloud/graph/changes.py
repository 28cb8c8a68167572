"""What a mailbox tells when something in it changes: the seam between the mailbox and its subscriptions."""

from dataclasses import dataclass
from typing import Literal

ChangeType = Literal["created", "updated", "deleted"]


@dataclass(frozen=True)
class MessageChange:
    """
    One change of one message. A draft that is sent is `updated` in `me/messages` and `created` in Sent Items.

    `message_id` is the mutable id (`AAMk…`), `immutable_id` the other (`AAkA…`): a subscription made with
    `Prefer: IdType="ImmutableId"` is told the second. `folder` is the well-known name (`inbox`, `drafts`,
    `sentitems`, `deleteditems`, `junkemail`, `archive`) or an id.
    """

    oid: str
    change_type: ChangeType
    message_id: str
    immutable_id: str
    etag: str
    folder: str
