"""The rows of the table `journal`: their keys, and the columns that storage finds them by. No I/O."""

from datetime import datetime
from typing import Any

from sync.adapters.rows import Row, columns_of
from sync.domain.batch import Batch
from sync.domain.event import Event, about
from sync.domain.ids import key_hash
from sync.domain.message import Message, Thread
from sync.domain.outgoing import AcceptedSend


def row_of(account_id: str, key: str, **columns: Any) -> Row:
    """A row of the account."""
    return {"PartitionKey": account_id, "RowKey": key, **columns}


def end_of(prefix: str) -> str:
    """Behind every key that begins with the prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def event_key(sequence: int) -> str:
    """The key of an event's row."""
    return f"event|{sequence:010d}"


def event_row(event: Event) -> Row:
    """An event, at its place in the feed."""
    return row_of(
        event.account_id,
        event_key(event.sequence),
        delivery=event.delivery,
        user=about(event.data).user_id,
        **columns_of(event),
    )


def accepted_row(account_id: str, send: AcceptedSend, expires_at: datetime) -> Row:
    """What was accepted under an idempotency key."""
    return row_of(account_id, f"key|{send.key}", user=send.user_id, expires_at=expires_at, **columns_of(send))


def batch_row(batch: Batch) -> Row:
    """A batch."""
    return row_of(batch.account_id, f"batch|{batch.batch_id}", user=batch.user_id, **columns_of(batch))


def message_row(message: Message) -> Row:
    """A message."""
    return row_of(
        message.account_id,
        f"message|{message.message_id}",
        status=message.status.value,
        at=message.at,
        **columns_of(message),
    )


def index_row(message: Message) -> Row:
    """A message's place in its thread, by the time of acceptance: that never changes, so it has one such row for life."""
    at = f"{message.accepted_at:%Y%m%d%H%M%S%f}"
    return row_of(
        message.account_id,
        f"in_thread|{message.thread_id}|{at}|{message.message_id}",
        message=message.message_id,
    )


def thread_row(thread: Thread) -> Row:
    """A thread."""
    return row_of(
        thread.account_id,
        f"thread|{thread.thread_id}",
        user=thread.user_id,
        connection=thread.connection_id,
        **columns_of(thread),
    )


def contact_rows(thread: Thread) -> list[Row]:
    """The ways from the contacts of a thread to it."""
    return [
        row_of(thread.account_id, f"contact|{key_hash(contact_id)}|{thread.thread_id}", thread=thread.thread_id)
        for contact_id in sorted({c.contact_id for c in thread.contacts if c.contact_id})
    ]
