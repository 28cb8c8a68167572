"""
Ids that say the same thing twice when the same thing happens twice.

What can be repeated (a send with its idempotency key, a message of a mailbox) gets its id from a hash, so that a repetition
meets the row of the first time. Everything else gets random ids from the caller.
"""

import base64
import hashlib
import re

#: 120 bits in base32: too many to meet by chance or to guess
_HASH_CHARS = 24


def _hashed(prefix: str, *parts: str) -> str:
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return prefix + base64.b32encode(digest).decode().lower()[:_HASH_CHARS]


def key_hash(value: str) -> str:
    """A value of any characters and length as a table key (which forbids `/ \\ # ?` and more than 1 KiB)."""
    return hashlib.sha256(value.encode()).hexdigest()[:40]


def sent_message_id(account_id: str, idempotency_key: str, index: int) -> str:
    """The id of the `index`th email of a send."""
    return _hashed("msg_", "send", account_id, idempotency_key, str(index))


def thread_id_of(message_id: str) -> str:
    """The id of the thread that this message begins."""
    return _hashed("thr_", message_id)


def mailbox_message_id(connection_id: str, internet_message_id: str, graph_id: str) -> str:
    """The id of a message found in a mailbox; two copies of one message (Sent Items and Inbox) have one id."""
    return _hashed("msg_", "mailbox", connection_id, internet_message_id or graph_id)


def attachment_id(message_id: str, index: int) -> str:
    """The id of the `index`th file of a message; the message's id can be read from it."""
    return f"att_{message_id.removeprefix('msg_')}_{index}"


def message_of_attachment(attachment: str) -> tuple[str, int] | None:
    """The message id and the index that an attachment id was made of; None where it is no such id."""
    found = re.fullmatch(r"att_([a-z2-7]{24})_([0-9]{1,4})", attachment)
    return (f"msg_{found[1]}", int(found[2])) if found else None


def event_id(account_id: str, sequence: int, once: str) -> str:
    """The id of an event; its sequence number can be read from it."""
    return f"evt_{sequence:010d}{_hashed('', account_id, str(sequence), once)[:12]}"


def sequence_of(event: str) -> int | None:
    """The sequence number that an event id was made of; None where it is no such id."""
    found = re.fullmatch(r"evt_([0-9]{10})[a-z2-7]{12}", event)
    return int(found[1]) if found else None
