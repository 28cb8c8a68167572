"""
Who a message is and which conversation it belongs to: ids, conversation index, base subject, as Exchange makes them.

Imitated: the conversation index bit by bit ([MS-OXOMSG] 2.2.1.3, with the time laid out as its current revision and
every recent sample have it), the conversation id as samples of Graph show it (undocumented), prefixes of subjects
([MS-OXCMSG] 2.2.1.9), and how Graph's ids look: `AAMk…` (mutable), `AAkA…` (immutable), URL-safe base64, 150-odd
characters, carrying the mailbox, so that two mailboxes never share one.
Not imitated: ids that can be decoded to real folders and stores; conversations by topic hash as such (`collision` gives
what they lead to: one id for unrelated mail with one subject). A conversationId uses the plain base64 alphabet (?), the
harder of the two for callers, as it puts `+`, `/` and `=` into their filters.
"""

import base64
import re
import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_FILETIME_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_HEADER_BYTES = 22
_LEVEL_BYTES = 5
# What every immutable id of a message seen so far begins with.
_IMMUTABLE_HEAD = bytes.fromhex("0009002E00000000001D840311AA6611CD9BC800AA002FC45A0D00")
_SUBJECT_PREFIX = re.compile(r"[^\W\d_]{1,3}(?:\[\d+\])?:(?:\s+|$)")


@dataclass(frozen=True)
class Conversation:
    """`id` is Graph's `conversationId`; `index` the `conversationIndex` of one message in it, both base64."""

    id: str
    index: str


@dataclass(frozen=True)
class MessageIds:
    """The two ids of one message: the mutable changes when it is moved, the immutable does not."""

    mutable: str
    immutable: str


def new_conversation(now: datetime, mailbox_guid: str) -> Conversation:
    """A conversation that begins now, in one mailbox."""
    guid = uuid.uuid4().bytes
    return Conversation(conversation_id(mailbox_guid, guid), new_index(now, guid))


def collision(conversation_id_of_other: str, now: datetime) -> Conversation:
    """Unrelated mail that lands in another's conversation because the subjects are equal: the same id, a new index."""
    return Conversation(conversation_id_of_other, new_index(now, uuid.uuid4().bytes))


def new_index(now: datetime, conversation_guid: bytes) -> str:
    """The index of a conversation's first message: 0x01, the five high bytes of the FILETIME, the 16-byte GUID."""
    header = b"\x01" + _filetime(now).to_bytes(8, "big")[:5] + conversation_guid
    return base64.b64encode(header).decode()


def child_index(parent_index: str, now: datetime) -> str:
    """The index of an answer: the parent's and five bytes more, a delta code, the time since the header, and chance."""
    parent = _index_bytes(parent_index)
    began = int.from_bytes(parent[1:6], "big") << 24
    elapsed = max(0, _filetime(now) - began)
    # Within 1.7 years the delta has a resolution of 2**18 * 100 ns (26 ms), later of 2**23 * 100 ns (0.8 s).
    late = elapsed >> 49 != 0
    delta = (elapsed >> (23 if late else 18)) & 0x7FFFFFFF
    level = (late << 31 | delta).to_bytes(4, "big") + secrets.token_bytes(1)
    return base64.b64encode(parent + level).decode()


def index_guid(index: str) -> bytes:
    """The 16 bytes that every message of one conversation shares."""
    return _index_bytes(index)[6:_HEADER_BYTES]


def conversation_id(mailbox_guid: str, conversation_guid: bytes) -> str:
    """
    The id of a conversation in one mailbox: another mailbox has another id for the same exchange of mail.

    `mailbox_guid` is a GUID as text (36 characters), `conversation_guid` the 16 bytes of `index_guid`.
    """
    return base64.b64encode(b"\x00\x04\x24\x00" + _mailbox(mailbox_guid) + b"\x00\x10\x00" + conversation_guid).decode()


def new_message_ids(mailbox_guid: str) -> MessageIds:
    """Both ids of a new message."""
    immutable = _IMMUTABLE_HEAD + uuid.UUID(mailbox_guid).bytes_le + b"\x00\x00" + secrets.token_bytes(6) + bytes(2)
    return MessageIds(new_mutable_id(mailbox_guid), base64.urlsafe_b64encode(immutable).decode())


def new_mutable_id(mailbox_guid: str) -> str:
    """Another `AAMk…` id, as a message gets with every move (and for folders: theirs are never immutable)."""
    entry = bytes(4) + uuid.UUID(mailbox_guid).bytes_le + b"\x07\x00" + secrets.token_bytes(46) + bytes(2)
    return base64.urlsafe_b64encode(b"\x00\x03\x24\x00" + _mailbox(mailbox_guid) + b"\x00\x46\x00" + entry).decode()


def new_attachment_id(message_id: str) -> str:
    """An id for a file on a message: the message's id with a tail of its own, so it begins with the same characters."""
    tail = b"\x01\x12\x00\x10\x00" + secrets.token_bytes(16)
    return base64.urlsafe_b64encode(base64.urlsafe_b64decode(message_id) + tail).decode()


def new_internet_message_id(domain: str) -> str:
    """A Message-ID (RFC 5322 3.6.4), with its angle brackets, as a server of `domain` gives it."""
    return f"<{secrets.token_hex(16).upper()}@{domain}>"


def change_key() -> str:
    """A new version stamp of an item; its etag is `W/"…"` around it."""
    return base64.b64encode(b"\x09\x00\x00\x00\x16\x00\x00\x00" + secrets.token_bytes(22)).decode()


def base_subject(subject: str) -> str:
    """The subject without any `RE:`, `FW:`, `AW:`, `Re[2]:` before it: up to three letters, a colon and a space."""
    base = subject.strip()
    while match := _SUBJECT_PREFIX.match(base):
        base = base[match.end() :].strip()
    return base


def _filetime(when: datetime) -> int:
    """100-nanosecond steps since 1601 ([MS-DTYP] 2.3.3)."""
    return (when - _FILETIME_EPOCH) // timedelta(microseconds=1) * 10


def _index_bytes(index: str) -> bytes:
    decoded = base64.b64decode(index, validate=True)
    if len(decoded) < _HEADER_BYTES or (len(decoded) - _HEADER_BYTES) % _LEVEL_BYTES or decoded[0] != 1:
        raise ValueError(f"not a conversation index: {index!r}")
    return decoded


def _mailbox(guid: str) -> bytes:
    return str(uuid.UUID(guid)).encode("ascii")
