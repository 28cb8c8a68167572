"""
Ids that say the same thing twice when the same thing happens twice.

What can be repeated (a send with its idempotency key, a message of a mailbox) gets its id from a hash, so that a repetition
meets the row of the first time. Everything else gets random ids from the caller.

What one send asks for shares its characters: the messages of a batch are the batch's 20 and four that count them, and a thread
has those of the message that begins it. So the messages of a batch stand together in a table, and from each its batch is found.
"""

import base64
import hashlib
import re

#: 120 bits in base32: too many to meet by chance or to guess
_HASH_CHARS = 24
_BATCH_CHARS = 20
#: base32's characters in ASCII order, so that ids sort as what they count
_DIGITS = "234567abcdefghijklmnopqrstuvwxyz"


def _hashed(prefix: str, *parts: str) -> str:
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return prefix + base64.b32encode(digest).decode().lower()[:_HASH_CHARS]


def key_hash(value: str) -> str:
    """A value of any characters and length as a table key (which forbids `/ \\ # ?` and more than 1 KiB)."""
    return hashlib.sha256(value.encode()).hexdigest()[:40]


def mailbox_key(mailbox: tuple[str, str]) -> str:
    """A name of a mailbox (tenant id, object id) from which nobody can read whose it is."""
    return key_hash("|".join(mailbox))


def batch_id(account_id: str, idempotency_key: str, body_hash: str) -> str:
    """The id of what one send asks for."""
    return _hashed("bat_", "send", account_id, idempotency_key, body_hash)[: len("bat_") + _BATCH_CHARS]


def message_in_batch(batch: str, index: int) -> str:
    """The id of the `index`th email of a batch, below 32^4; in the order of the index."""
    digits = "".join(_DIGITS[index >> shift & 31] for shift in (15, 10, 5, 0))
    return f"msg_{batch.removeprefix('bat_')}{digits}"


def messages_of_batch(batch: str) -> str:
    """What the ids of all messages of a batch begin with."""
    return f"msg_{batch.removeprefix('bat_')}"


def place_in_batch(message: str) -> tuple[str, int] | None:
    """The batch id and the index that a message id was made of; None where it is no message id. A batch may not be there."""
    found = re.fullmatch(r"msg_([a-z2-7]{20})([a-z2-7]{4})", message)
    if found is None:
        return None
    index = 0
    for digit in found[2]:
        index = index << 5 | _DIGITS.index(digit)
    return f"bat_{found[1]}", index


def thread_id_of(message_id: str) -> str:
    """The id of the thread that this message begins."""
    return f"thr_{message_id.removeprefix('msg_')}"


def message_that_begins(thread: str) -> str:
    """The id of the message that this thread began with."""
    return f"msg_{thread.removeprefix('thr_')}"


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
