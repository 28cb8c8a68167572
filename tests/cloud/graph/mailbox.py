"""
One person's mailbox in memory: folders, messages with both of their ids, and what changes in them.

Imitated: well-known folders (https://learn.microsoft.com/graph/api/resources/mailfolder); a mutable id that changes on
every move and an immutable one that does not (https://learn.microsoft.com/graph/outlook-immutable-id); a change key that
changes with every write; delete first moves to Deleted Items, then removes. Not imitated: folders of one's own, search
folders, the archive mailbox, quotas, the recoverable items behind a hard delete.
"""

import base64
import binascii
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from tests.cloud.clock import Clock
from tests.cloud.directory import Person
from tests.cloud.graph import conversation
from tests.cloud.graph.changes import ChangeType, MessageChange
from tests.cloud.graph.conversation import MessageIds
from tests.cloud.graph.errors import bad_request, item_not_found
from tests.cloud.graph.message import Attachment, Folder, Message

WELL_KNOWN_FOLDERS = {
    "inbox": "Inbox",
    "drafts": "Drafts",
    "sentitems": "Sent Items",
    "deleteditems": "Deleted Items",
    "junkemail": "Junk Email",
    "archive": "Archive",
    "outbox": "Outbox",
}


@dataclass(frozen=True)
class Departure:
    """A message left a folder (moved or removed): what a delta query tells as `@removed`."""

    sequence: int
    folder_id: str
    mutable_id: str
    immutable_id: str


class Mailbox:
    """The mailbox of one person. Every change is counted (`sequence`) and published."""

    def __init__(self, person: Person, clock: Clock, publish: Callable[[MessageChange], None]) -> None:
        self.oid = person.oid
        self.guid = str(uuid.uuid5(uuid.NAMESPACE_OID, person.oid))
        self._clock = clock
        self._publish = publish
        self._messages: dict[str, Message] = {}
        self.sequence = 0
        self.departures: list[Departure] = []
        self.root_id = conversation.new_mutable_id(self.guid)
        self.folders = {
            name: Folder(conversation.new_mutable_id(self.guid), name, display)
            for name, display in WELL_KNOWN_FOLDERS.items()
        }

    def now(self) -> datetime:
        """The clock's time in whole seconds."""
        return self._clock.now().replace(microsecond=0)

    def folder(self, name_or_id: str) -> Folder:
        """A folder by well-known name (any case) or id; raises 404."""
        known = self.folders.get(name_or_id.lower())
        folder = known or next((f for f in self.folders.values() if f.id == name_or_id), None)
        if folder is None:
            raise item_not_found()
        return folder

    def messages(self, folder: Folder | None = None) -> list[Message]:
        """All messages (of one folder), newest first."""
        found = [m for m in self._messages.values() if folder is None or m.folder == folder]
        return sorted(found, key=lambda m: (m.received_at, m.created_sequence), reverse=True)

    def message(self, message_id: str) -> Message:
        """The message with this id, in either format; raises 400 for what is no id, 404 for what is none of ours."""
        _check_id(message_id)
        by_immutable = self._messages.get(message_id)
        found = by_immutable or next((m for m in self._messages.values() if m.mutable_id == message_id), None)
        if found is None:
            raise item_not_found()
        return found

    def attachment(self, message: Message, attachment_id: str) -> Attachment:
        """The attachment of the message with this id, in either format; raises 400 or 404."""
        _check_id(attachment_id)
        found = next((a for a in message.attachments if attachment_id in (a.ids.mutable, a.ids.immutable)), None)
        if found is None:
            raise item_not_found()
        return found

    def by_internet_id(self, internet_message_ids: Iterable[str]) -> Message | None:
        """The first message that has one of these internetMessageIds, in the order of the ids."""
        by_id = {m.internet_message_id: m for m in reversed(self.messages())}
        return next((by_id[i] for i in internet_message_ids if i in by_id), None)

    def add(self, message: Message, *, publish: bool = True) -> Message:
        """Store a new message: it gets its ids here."""
        ids = conversation.new_message_ids(self.guid)
        message.mutable_id, message.immutable_id = ids.mutable, ids.immutable
        for attachment in message.attachments:
            _give_ids(attachment, message)
        self._messages[message.immutable_id] = message
        self._count_change(message)
        message.created_sequence = message.arrived_sequence = self.sequence
        if publish:
            self._tell("created", message)
        return message

    def attach(self, message: Message, attachment: Attachment) -> None:
        """Put an attachment on a stored message."""
        _give_ids(attachment, message)
        message.attachments.append(attachment)
        self.changed(message)

    def changed(self, message: Message) -> None:
        """Note that something in the message was written."""
        self._count_change(message)
        self._tell("updated", message)

    def move(self, message: Message, destination: Folder, tell: ChangeType = "updated") -> None:
        """Move a message: a new mutable id, the same immutable id."""
        self._leave_folder(message)
        message.folder = destination
        message.mutable_id = conversation.new_mutable_id(self.guid)
        for attachment in message.attachments:
            attachment.ids = MessageIds(conversation.new_attachment_id(message.mutable_id), attachment.ids.immutable)
        self._count_change(message)
        message.arrived_sequence = self.sequence
        self._tell(tell, message)

    def give_new_immutable_id(self, message: Message) -> None:
        """What some say happens when a draft is sent. The old id is unknown from now on."""
        del self._messages[message.immutable_id]
        message.immutable_id = conversation.new_message_ids(self.guid).immutable
        for attachment in message.attachments:
            _give_ids(attachment, message)
        self._messages[message.immutable_id] = message

    def remove(self, message: Message, *, publish: bool = True) -> None:
        """Remove for good."""
        self._leave_folder(message)
        del self._messages[message.immutable_id]
        if publish:
            self._tell("deleted", message)

    def delete(self, message: Message) -> None:
        """What DELETE does: to Deleted Items, and from there for good."""
        if message.folder.name == "deleteditems":
            self.remove(message)
        else:
            self.move(message, self.folders["deleteditems"])

    def _leave_folder(self, message: Message) -> None:
        self.sequence += 1
        self.departures.append(Departure(self.sequence, message.folder.id, message.mutable_id, message.immutable_id))

    def _count_change(self, message: Message) -> None:
        self.sequence += 1
        message.changed_sequence = self.sequence
        message.change_key = conversation.change_key()
        message.modified_at = self.now()

    def _tell(self, change_type: ChangeType, message: Message) -> None:
        self._publish(
            MessageChange(
                oid=self.oid,
                change_type=change_type,
                message_id=message.mutable_id,
                immutable_id=message.immutable_id,
                etag=message.etag,
                folder=message.folder.name,
            )
        )


class Mailboxes:
    """Every mailbox, made when first asked for."""

    def __init__(self, clock: Clock, publish: Callable[[MessageChange], None]) -> None:
        self._clock = clock
        self._publish = publish
        self._by_oid: dict[str, Mailbox] = {}

    def of(self, person: Person) -> Mailbox:
        """The mailbox of this person."""
        if person.oid not in self._by_oid:
            self._by_oid[person.oid] = Mailbox(person, self._clock, self._publish)
        return self._by_oid[person.oid]

    def reset(self) -> None:
        """Empty them all: the next use makes new ones, with new folder ids."""
        self._by_oid.clear()


def _give_ids(attachment: Attachment, message: Message) -> None:
    attachment.ids = MessageIds(
        conversation.new_attachment_id(message.mutable_id), conversation.new_attachment_id(message.immutable_id)
    )


def _check_id(item_id: str) -> None:
    """Raise 400 for what cannot be the id of an item: not URL-safe base64, or too short to name a store and an item."""
    try:
        decoded = base64.b64decode(item_id, altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        decoded = b""
    if len(decoded) < 40:
        raise bad_request("Id is malformed.", "ErrorInvalidIdMalformed")
