"""
The table `journal`: messages, threads and the feed of events, a partition for each account.

    event|<10 digits>                an event, at its place in the feed
    told|<hash of what it tells>     which event told that; inserting it is what makes "once" true
    message|<id>                     a message
    in_thread|<thread>|<time>|<id>   the messages of a thread, oldest first
    thread|<id>                      a thread
    contact|<contact>|<thread>       the threads of a contact
    key|<hash>                       what was accepted under an idempotency key
    batch|<id>                       a batch; its messages' ids begin alike, so that they stand together
    last                             a hint at the last number of the feed
    emptied                          up to which number retention has emptied the feed (journal_ageing)
    attempts                         up to which number there are no attempts any more (journal_ageing)

Events, threads and keys have a column with the user they are about, so that storage finds those of one user.

Event, `told`, and message go into one transaction: a taken number or a repetition is a conflict, and nothing is written. A
number is tried only if the one before it is taken, so that the feed has no holes at any moment.
"""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import replace
from datetime import datetime

from sync.adapters.journal_ageing import AgeingRows
from sync.adapters.journal_rows import (
    accepted_row,
    batch_row,
    contact_rows,
    end_of,
    event_key,
    event_row,
    index_row,
    message_row,
    row_of,
    thread_row,
)
from sync.adapters.rows import Row, value_of
from sync.adapters.tables import Change, Tables, TransactionConflict
from sync.domain import ids
from sync.domain.batch import Batch
from sync.domain.errors import Conflict, NotFound
from sync.domain.event import Event, NewEvent
from sync.domain.ids import key_hash
from sync.domain.message import Message, Thread
from sync.domain.outgoing import AcceptedSend

LAST_NUMBER = 9_999_999_999
#: Rows that are read or written one by one, so many at the same time.
AT_ONCE = 16


class JournalTable(AgeingRows):
    """Keeps `flows.ports.Journal`. `on_told` is called once for each event that gets a place in the feed, with its message."""

    def __init__(self, tables: Tables, on_told: Callable[[NewEvent, Message | None], None] | None = None) -> None:
        self._table = tables.table("journal")
        self._on_told = on_told
        self._last_seen: dict[str, int] = {}

    async def accepted(self, account_id: str, key: str) -> AcceptedSend | None:
        """What was accepted under this idempotency key."""
        return await self._get(AcceptedSend, account_id, f"key|{key}")

    async def accept(
        self,
        account_id: str,
        send: AcceptedSend,
        batch: Batch,
        message: Message | None = None,
        thread: Thread | None = None,
        *,
        expires_at: datetime,
    ) -> AcceptedSend:
        """Insert key, batch, and what else is given, all or nothing; returns what stands under the key then."""
        changes: list[Change] = [
            ("create", accepted_row(account_id, send, expires_at)),
            ("create", batch_row(batch)),
        ]
        if message is not None:
            changes += await self._beginning(message, thread)
        try:
            await self._table.transact(changes)
        except TransactionConflict:
            before = await self.accepted(account_id, send.key)
            if before is None:
                raise
            return before
        return send

    async def batch(self, account_id: str, batch_id: str) -> Batch | None:
        """The batch with this id."""
        return await self._get(Batch, account_id, f"batch|{batch_id}", versioned=True)

    async def save_batch(self, batch: Batch) -> Batch:
        """Replace the version read."""
        return replace(batch, version=await self._table.replace(batch_row(batch), batch.version or "*"))

    async def release(self, message: Message, thread: Thread | None) -> Message:
        """Insert a message of a batch, and the thread it begins, all or nothing; returns the message as it was inserted first."""
        with contextlib.suppress(TransactionConflict):
            await self._table.transact(await self._beginning(message, thread))
        inserted = await self.message(message.account_id, message.message_id)
        if inserted is None:
            raise Conflict
        return inserted

    async def in_batch(self, account_id: str, batch_id: str, *, unfinished: bool = False) -> list[Message]:
        """The messages of a batch that have had their turn, in its order; or only those of them that are not final."""
        found = [value_of(Message, row, version) async for row, version in self._of_batch(account_id, batch_id)]
        return [message for message in found if not (unfinished and message.status.final)]

    async def count_in_batch(self, account_id: str, batch_id: str) -> dict[str, int]:
        """How many messages of a batch that have had their turn are in each status."""
        rows = self._of_batch(account_id, batch_id, select=["status"])
        return dict(Counter([str(row["status"]) async for row, _ in rows]))

    async def _beginning(self, message: Message, thread: Thread | None) -> list[Change]:
        """What inserts a message, and the thread it begins."""
        changes: list[Change] = [("create", message_row(message))]
        if message.thread_id:
            changes.append(("create", index_row(message)))
        if thread is not None:
            changes.append(("create", thread_row(thread)))
            await self._index_contacts(thread)
        return changes

    def _of_batch(
        self, account_id: str, batch_id: str, select: list[str] | None = None
    ) -> AsyncIterator[tuple[Row, str]]:
        prefix = f"message|{ids.messages_of_batch(batch_id)}"
        where = "PartitionKey eq @account and RowKey gt @first and RowKey lt @end"
        return self._table.query(where, select=select, account=account_id, first=prefix, end=end_of(prefix))

    async def message(self, account_id: str, message_id: str) -> Message | None:
        """The message with this id."""
        return await self._get(Message, account_id, f"message|{message_id}", versioned=True)

    async def save_message(self, message: Message) -> Message:
        """Replace the version read."""
        return replace(message, version=await self._table.replace(message_row(message), message.version or "*"))

    async def thread(self, account_id: str, thread_id: str) -> Thread | None:
        """The thread with this id."""
        return await self._get(Thread, account_id, f"thread|{thread_id}", versioned=True)

    async def save_thread(self, thread: Thread) -> Thread:
        """Replace the version read."""
        await self._index_contacts(thread)
        return replace(thread, version=await self._table.replace(thread_row(thread), thread.version or "*"))

    async def threads(
        self, account_id: str, *, contact_id: str | None, user_id: str | None, after: str | None, limit: int
    ) -> list[Thread]:
        """Threads in the order of their ids, from behind `after`."""
        found: list[Thread] = []
        prefix = "thread|" if contact_id is None else f"contact|{key_hash(contact_id)}|"
        async for row in self._range(account_id, prefix, after):
            thread = value_of(Thread, row) if contact_id is None else await self.thread(account_id, row["thread"])
            if thread is None or user_id not in (None, thread.user_id):
                continue
            # An index row is written first: where the thread was not saved after it, it says too much.
            if contact_id in (None, *(contact.contact_id for contact in thread.contacts)):
                found.append(thread)
            if len(found) == limit:
                break
        return found

    async def messages_of(self, account_id: str, thread_id: str) -> list[Message]:
        """The messages of a thread, oldest first."""
        ids = [row["message"] async for row in self._range(account_id, f"in_thread|{thread_id}|")]
        messages: list[Message | None] = []
        for some in itertools.batched(ids, AT_ONCE, strict=False):
            messages += await asyncio.gather(*(self.message(account_id, message_id) for message_id in some))
        return sorted((m for m in messages if m is not None), key=lambda m: m.at)

    async def count_threads(self, account_id: str, connection_id: str) -> int:
        """How many threads this connection holds."""
        where = "PartitionKey eq @account and RowKey ge 'thread|' and RowKey lt 'thread}' and connection eq @connection"
        rows = self._table.query(where, select=["connection"], account=account_id, connection=connection_id)
        return sum([1 async for _ in rows])

    async def append(self, event: NewEvent, message: Message | None = None) -> Event:
        """Give the event the next place in the feed and store the message with it, all or nothing."""
        account_id, told = event.account_id, f"told|{key_hash(event.once)}"
        before = await self._table.get(account_id, told)
        if before is not None:
            return await self._told(account_id, before[0])
        sequence = await self._last(account_id) + 1
        while True:
            placed = Event(
                event_id=ids.event_id(account_id, sequence, event.once),
                type=event.type,
                account_id=account_id,
                sequence=sequence,
                occurred_at=event.occurred_at,
                data=event.data,
            )
            changes: list[Change] = [
                ("create", event_row(placed)),
                ("create", row_of(account_id, told, sequence=sequence)),
            ]
            if message is not None:
                changes.append(("upsert", message_row(message)))
                if message.thread_id:
                    changes.append(("upsert", index_row(message)))
            try:
                await self._table.transact(changes)
            except TransactionConflict as conflict:
                if conflict.index == 0:
                    sequence += 1
                    continue
                row = await self._table.get(account_id, told)
                if row is None:
                    raise
                return await self._told(account_id, row[0])
            self._last_seen[account_id] = sequence
            if self._on_told is not None:
                self._on_told(event, message)
            await self._table.upsert(row_of(account_id, "last", sequence=sequence))
            return placed

    async def event(self, account_id: str, event_id: str) -> Event | None:
        """The event with this id."""
        sequence = ids.sequence_of(event_id)
        if sequence is None:
            return None
        event = await self._get(Event, account_id, event_key(sequence), versioned=True)
        return event if event is not None and event.event_id == event_id else None

    async def save_event(self, event: Event) -> Event:
        """Replace the version read."""
        return replace(event, version=await self._table.replace(event_row(event), event.version or "*"))

    async def events(self, account_id: str, after: int, limit: int) -> list[Event]:
        """Events with a sequence above `after`, in order."""
        where = "PartitionKey eq @account and RowKey gt @after and RowKey le @last"
        rows = self._table.query(where, limit, account=account_id, after=event_key(after), last=event_key(LAST_NUMBER))
        return [value_of(Event, row, version) async for row, version in rows]

    async def last_sequence(self, account_id: str) -> int:
        """The highest sequence there is; 0: no event yet."""
        last = await self._last(account_id)
        where = "PartitionKey eq @account and RowKey gt @after and RowKey le @last"
        after, end = event_key(last), event_key(LAST_NUMBER)
        # The hint may be behind: a process can die between an event and the hint.
        async for row, _ in self._table.query(where, select=["RowKey"], account=account_id, after=after, last=end):
            last = int(row["RowKey"].partition("|")[2])
        return last

    async def threads_of(self, account_id: str, user_id: str) -> AsyncIterator[Thread]:
        """Every thread of a user."""
        async for row, version in self._of_user(account_id, "thread|", user_id):
            yield value_of(Thread, row, version)

    async def events_of(self, account_id: str, user_id: str) -> AsyncIterator[Event]:
        """Every event that tells of a user, in order."""
        async for row, version in self._of_user(account_id, "event|", user_id):
            yield value_of(Event, row, version)

    async def remove_thread(self, thread: Thread) -> None:
        """
        Remove a thread and the ways that lead to it; no error where it is gone.

        The thread goes last: as long as it is there, this can be done again.
        """
        account_id, thread_id = thread.account_id, thread.thread_id
        for row in contact_rows(thread):
            await self._table.delete(account_id, row["RowKey"])
        async for row in self._range(account_id, f"in_thread|{thread_id}|"):
            # Left where a removal of the message was cut short. One that leads to a message is not ours to break.
            if await self.message(account_id, row["message"]) is None:
                await self._table.delete(account_id, row["RowKey"])
        await self._table.delete(account_id, f"thread|{thread_id}")

    async def remove_message(self, message: Message) -> None:
        """Remove a message and its place in its thread; no error where it is gone."""
        # The message first: what its thread does not lead to any more would never be found again.
        await self._table.delete(message.account_id, f"message|{message.message_id}")
        if message.thread_id:
            await self._table.delete(message.account_id, index_row(message)["RowKey"])

    async def blank_batches(self, account_id: str, user_id: str, connections: Collection[str]) -> None:
        """Take everybody's names out of what was accepted of this user for these connections, and end what waits."""

        async def blank(batch: Batch) -> None:
            current: Batch | None = batch
            while current is not None and not current.erased:
                try:
                    await self.save_batch(current.blank())
                except Conflict:  # its emails are having their turns
                    current = await self.batch(account_id, batch.batch_id)
                else:
                    return

        rows = [value_of(Batch, row, version) async for row, version in self._of_user(account_id, "batch|", user_id)]
        going = [batch for batch in rows if batch.connection_id in connections and not batch.erased]
        for some in itertools.batched(going, AT_ONCE, strict=False):
            await asyncio.gather(*(blank(batch) for batch in some))

    async def _index_contacts(self, thread: Thread) -> None:
        """Not in a transaction, which holds 100 rows at most: an entry that leads to no thread is passed over."""
        await asyncio.gather(*(self._table.upsert(row) for row in contact_rows(thread)))

    async def _last(self, account_id: str) -> int:
        """A number that is surely taken (0: none is): the newest this process or the hint knows."""
        hint = await self._table.get(account_id, "last")
        return max(self._last_seen.get(account_id, 0), int(hint[0]["sequence"]) if hint else 0)

    async def _told(self, account_id: str, row: Row) -> Event:
        event = await self._get(Event, account_id, event_key(int(row["sequence"])), versioned=True)
        if event is None:
            raise NotFound(f"event {row['sequence']} was removed")
        return event

    async def _get[T](self, kind: type[T], account_id: str, key: str, *, versioned: bool = False) -> T | None:
        found = await self._table.get(account_id, key)
        return value_of(kind, found[0], found[1] if versioned else None) if found else None

    async def _range(self, account_id: str, prefix: str, after: str | None = None) -> AsyncIterator[Row]:
        """The rows whose key begins with the prefix, from behind `after`, in key order."""
        where = "PartitionKey eq @account and RowKey gt @first and RowKey lt @end"
        first = prefix + (after or "")
        async for row, _ in self._table.query(where, account=account_id, first=first, end=end_of(prefix)):
            yield row

    def _of_user(self, account_id: str, prefix: str, user_id: str) -> AsyncIterator[tuple[Row, str]]:
        """As `_range`, those that are about this user, with their versions."""
        where = "PartitionKey eq @account and RowKey gt @first and RowKey lt @end and user eq @user"
        return self._table.query(where, account=account_id, first=prefix, end=end_of(prefix), user=user_id)
