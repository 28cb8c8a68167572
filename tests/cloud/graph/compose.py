"""
A new message of one's own, from JSON or MIME: what `POST messages` and `sendMail` have in common.

Imitated (https://learn.microsoft.com/graph/api/user-post-messages, …/outlook-send-mime-message): a draft has its
conversation, its index and its internetMessageId from the first moment. Not imitated: drafts in the Outbox.
"""

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.cloud.graph.conversation import new_conversation, new_internet_message_id
from tests.cloud.graph.drafts import MessageJson, custom_headers, new_attachment, read, read_mime, write
from tests.cloud.graph.errors import GraphError, bad_request
from tests.cloud.graph.message import Folder, Message
from tests.cloud.graph.service import Caller, MailService, read_body
from tests.cloud.graph.transport import recipient_addresses

#: What a mailbox may send unless its administrator allows more (Exchange Online limits: 35 MB).
MAX_MESSAGE_BYTES = 35 * 1024 * 1024


@dataclass(frozen=True)
class Composed:
    """What a client wants written, and for MIME how it threads."""

    content: MessageJson
    in_reply_to: str | None = None
    references: list[str] = field(default_factory=list)


def composed(given: Any) -> Composed:
    """From the JSON of a message; raises 400."""
    return Composed(read(MessageJson, given))


async def composed_mime(request: web.Request) -> Composed:
    """From a `text/plain` body, the base64 of MIME; raises 400 or 413."""
    return Composed(*read_mime(await read_body(request)))


def new_draft(service: MailService, caller: Caller, folder: Folder, wanted: Composed) -> Message:
    """A draft, not yet stored."""
    mailbox = caller.mailbox
    now = mailbox.now()
    draft = Message(
        folder=folder,
        conversation=new_conversation(service.clock.now(), mailbox.guid),
        internet_message_id=new_internet_message_id(caller.person.email.rpartition("@")[2]),
        created_at=now,
        received_at=now,
        sent_at=now,
        is_draft=True,
        headers=custom_headers(wanted.content),
        in_reply_to=wanted.in_reply_to,
        references=wanted.references,
    )
    draft.fields["isRead"] = True
    write_content(service, caller, draft, wanted.content)
    return draft


def write_content(service: MailService, caller: Caller, message: Message, content: MessageJson) -> None:
    """Put onto a message what a client wants written, attachments included."""
    write(message, content, service.names())
    now = caller.mailbox.now()
    message.attachments += [new_attachment(a, now, service.switches) for a in content.attachments or ()]


def check_sendable(service: MailService, caller: Caller, message: Message) -> None:
    """
    Fill in who sends, and raise 400 without good recipients, 403 for somebody else's address.

    https://learn.microsoft.com/graph/outlook-send-mail-from-other-user
    """
    person = caller.person
    own = {address.lower() for address in person.addresses}
    primary = {"emailAddress": {"name": person.name, "address": person.email}}
    for name in ("from", "sender"):
        given = message.fields[name]
        if given is not None and given["emailAddress"]["address"].lower() not in own:
            raise GraphError(
                403,
                "ErrorSendAsDenied",
                "The user account which was used to submit this request does not have the right to send mail on behalf"
                " of the specified sending account., Cannot submit message.",
            )
    if message.fields["from"] is None or not service.switches.send_from_alias_enabled:
        message.fields["from"] = primary
    message.fields["sender"] = message.fields["sender"] or message.fields["from"]
    addresses = recipient_addresses(message)
    if not addresses:
        raise bad_request("At least one recipient is required to send the message.", "ErrorInvalidRecipients")
    if len(message.fields["body"]["content"]) + sum(a.size for a in message.attachments) > MAX_MESSAGE_BYTES:
        raise GraphError(413, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size.")
    for address in addresses:
        local, at, domain = address.rpartition("@")
        if not (local and at and domain) or any(c.isspace() for c in address):
            raise bad_request(f"At least one recipient isn't valid: '{address}'.", "ErrorInvalidRecipients")
