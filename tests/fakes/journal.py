"""Messages, threads and the feed of events, in memory."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection
from datetime import datetime

from sync.domain import ids
from sync.domain.batch import Batch
from sync.domain.errors import Conflict
from sync.domain.event import Event, NewEvent, about
from sync.domain.message import Message, Thread
from sync.domain.outgoing import AcceptedSend
from sync.domain.retention import Mark, MarkKind
from tests.fakes.faults import Faults
from tests.fakes.versioned import VersionedRows


class FakeJournal:
    """Keeps `flows.ports.Journal`."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._accepted: dict[tuple[str, str], AcceptedSend] = {}
        self._expires: dict[tuple[str, str], datetime] = {}
        self._marks: VersionedRows[tuple[str, str], Mark] = VersionedRows()
        self._batches: VersionedRows[tuple[str, str], Batch] = VersionedRows()
        self._messages: VersionedRows[tuple[str, str], Message] = VersionedRows()
        self._threads: VersionedRows[tuple[str, str], Thread] = VersionedRows()
        self._events: VersionedRows[tuple[str, int], Event] = VersionedRows()
        self._told: dict[tuple[str, str], int] = {}
        self._last: defaultdict[str, int] = defaultdict(int)

    async def accepted(self, account_id: str, key: str) -> AcceptedSend | None:
        """What was accepted under this idempotency key."""
        async with self._faults.at("journal.accepted"):
            return self._accepted.get((account_id, key))

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
        async with self._faults.at("journal.accept"):
            before = self._accepted.get((account_id, send.key))
            if before is not None:
                return before
            if (account_id, batch.batch_id) in self._batches or (message and not self._can_begin(message, thread)):
                raise Conflict
            self._accepted[account_id, send.key] = send
            self._expires[account_id, send.key] = expires_at
            self._batches.insert((account_id, batch.batch_id), batch)
            if message is not None:
                self._begin(message, thread)
            return send

    async def batch(self, account_id: str, batch_id: str) -> Batch | None:
        """The batch with this id."""
        async with self._faults.at("journal.batch"):
            return self._batches.get((account_id, batch_id))

    async def save_batch(self, batch: Batch) -> Batch:
        """Replace the version read."""
        async with self._faults.at("journal.save_batch"):
            return self._batches.replace((batch.account_id, batch.batch_id), batch)

    async def release(self, message: Message, thread: Thread | None) -> Message:
        """Insert a message of a batch, and the thread it begins, all or nothing; returns the message as it was inserted first."""
        async with self._faults.at("journal.release"):
            if self._can_begin(message, thread):
                self._begin(message, thread)
            found = self._messages.get((message.account_id, message.message_id))
            if found is None:
                raise Conflict
            return found

    async def in_batch(self, account_id: str, batch_id: str, *, unfinished: bool = False) -> list[Message]:
        """The messages of a batch that have had their turn, in its order; or only those of them that are not final."""
        async with self._faults.at("journal.in_batch"):
            found = [m for m in self._of_batch(account_id, batch_id) if not (unfinished and m.status.final)]
            return sorted(found, key=lambda message: message.message_id)

    async def count_in_batch(self, account_id: str, batch_id: str) -> dict[str, int]:
        """How many messages of a batch that have had their turn are in each status."""
        async with self._faults.at("journal.count_in_batch"):
            return dict(Counter(message.status.value for message in self._of_batch(account_id, batch_id)))

    def _of_batch(self, account_id: str, batch_id: str) -> list[Message]:
        prefix = ids.messages_of_batch(batch_id)
        return [m for m in self._messages if m.account_id == account_id and m.message_id.startswith(prefix)]

    def _can_begin(self, message: Message, thread: Thread | None) -> bool:
        taken = (message.account_id, message.message_id) in self._messages
        return not taken and (thread is None or (thread.account_id, thread.thread_id) not in self._threads)

    def _begin(self, message: Message, thread: Thread | None) -> None:
        self._messages.insert((message.account_id, message.message_id), message)
        if thread is not None:
            self._threads.insert((thread.account_id, thread.thread_id), thread)

    async def message(self, account_id: str, message_id: str) -> Message | None:
        """The message with this id."""
        async with self._faults.at("journal.message"):
            return self._messages.get((account_id, message_id))

    async def save_message(self, message: Message) -> Message:
        """Replace the version read."""
        async with self._faults.at("journal.save_message"):
            return self._messages.replace((message.account_id, message.message_id), message)

    async def thread(self, account_id: str, thread_id: str) -> Thread | None:
        """The thread with this id."""
        async with self._faults.at("journal.thread"):
            return self._threads.get((account_id, thread_id))

    async def save_thread(self, thread: Thread) -> Thread:
        """Replace the version read."""
        async with self._faults.at("journal.save_thread"):
            return self._threads.replace((thread.account_id, thread.thread_id), thread)

    async def threads(
        self, account_id: str, *, contact_id: str | None, user_id: str | None, after: str | None, limit: int
    ) -> list[Thread]:
        """Threads in the order of their ids, from behind `after`."""
        async with self._faults.at("journal.threads"):
            found = [
                thread
                for thread in self._threads
                if thread.account_id == account_id
                and user_id in (None, thread.user_id)
                and contact_id in (None, *(contact.contact_id for contact in thread.contacts))
                and thread.thread_id > (after or "")
            ]
            return sorted(found, key=lambda thread: thread.thread_id)[:limit]

    async def messages_of(self, account_id: str, thread_id: str) -> list[Message]:
        """The messages of a thread, oldest first."""
        async with self._faults.at("journal.messages_of"):
            of_thread = (account_id, thread_id)
            found = [m for m in self._messages if m.thread_id and (m.account_id, m.thread_id) == of_thread]
            return sorted(found, key=lambda m: (m.at, m.accepted_at, m.message_id))

    async def count_threads(self, account_id: str, connection_id: str) -> int:
        """How many threads this connection holds."""
        async with self._faults.at("journal.count_threads"):
            return sum((t.account_id, t.connection_id) == (account_id, connection_id) for t in self._threads)

    async def append(self, event: NewEvent, message: Message | None = None) -> Event:
        """
        Give the event the next place in the feed and store the message with it, all or nothing.

        What was told before (`once`) is not told again: then nothing is written and the earlier event returned.
        """
        async with self._faults.at("journal.append"):
            account_id = event.account_id
            before = self._told.get((account_id, event.once))
            if before is not None:
                told = self._events.get((account_id, before))
                assert told is not None
                return told
            self._last[account_id] += 1
            sequence = self._last[account_id]
            self._told[account_id, event.once] = sequence
            if message is not None:
                self._messages.put((account_id, message.message_id), message)
            placed = Event(
                event_id=ids.event_id(account_id, sequence, event.once),
                type=event.type,
                account_id=account_id,
                sequence=sequence,
                occurred_at=event.occurred_at,
                data=event.data,
            )
            return self._events.insert((account_id, sequence), placed)

    async def event(self, account_id: str, event_id: str) -> Event | None:
        """The event with this id."""
        async with self._faults.at("journal.event"):
            sequence = ids.sequence_of(event_id)
            found = self._events.get((account_id, sequence)) if sequence is not None else None
            return found if found is not None and found.event_id == event_id else None

    async def save_event(self, event: Event) -> Event:
        """Replace the version read."""
        async with self._faults.at("journal.save_event"):
            return self._events.replace((event.account_id, event.sequence), event)

    async def events(self, account_id: str, after: int, limit: int) -> list[Event]:
        """Events with a sequence above `after`, in order."""
        async with self._faults.at("journal.events"):
            found = [e for e in self._events if e.account_id == account_id and e.sequence > after]
            return sorted(found, key=lambda e: e.sequence)[:limit]

    async def last_sequence(self, account_id: str) -> int:
        """The highest sequence there is; 0: no event yet."""
        async with self._faults.at("journal.last_sequence"):
            return self._last.get(account_id, 0)

    async def threads_of(self, account_id: str, user_id: str) -> AsyncIterator[Thread]:
        """Every thread of a user."""
        async with self._faults.at("journal.threads_of"):
            found = [t for t in self._threads if (t.account_id, t.user_id) == (account_id, user_id)]
        for thread in sorted(found, key=lambda thread: thread.thread_id):
            yield thread

    async def events_of(self, account_id: str, user_id: str) -> AsyncIterator[Event]:
        """Every event that tells of a user, in order."""
        async with self._faults.at("journal.events_of"):
            found = [e for e in self._events if e.account_id == account_id and about(e.data).user_id == user_id]
        for event in sorted(found, key=lambda event: event.sequence):
            yield event

    async def remove_thread(self, thread: Thread) -> None:
        """Remove a thread and the ways that lead to it; no error where it is gone."""
        async with self._faults.at("journal.remove_thread"):
            self._threads.remove((thread.account_id, thread.thread_id))

    async def remove_message(self, message: Message) -> None:
        """Remove a message and its place in its thread; no error where it is gone."""
        async with self._faults.at("journal.remove_message"):
            self._messages.remove((message.account_id, message.message_id))

    async def blank_batches(self, account_id: str, user_id: str, connections: Collection[str]) -> None:
        """Take everybody's names out of what was accepted of this user for these connections, and end what waits."""
        async with self._faults.at("journal.blank_batches"):
            for batch in list(self._batches):
                if (batch.account_id, batch.user_id) == (account_id, user_id) and batch.connection_id in connections:
                    self._batches.put((account_id, batch.batch_id), batch.blank())

    async def next_account(self, after: str) -> str | None:
        """The first account behind this one, in the order of their ids, that has anything here."""
        async with self._faults.at("journal.next_account"):
            rows = (*self._messages, *self._threads, *self._events, *self._batches)
            accounts = {row.account_id for row in rows} | {account_id for account_id, _ in self._accepted}
            return min((account_id for account_id in accounts if account_id > after), default=None)

    async def messages_before(self, account_id: str, before: datetime, place: str) -> tuple[list[Message], str]:
        """Some messages that happened before then, three at a time, and the place to go on from."""
        async with self._faults.at("journal.messages_before"):
            found = [m for m in self._messages if m.account_id == account_id and m.at < before]
            behind = sorted((m for m in found if m.message_id > place), key=lambda m: m.message_id)
            return behind[:3], behind[2].message_id if len(behind) > 3 else ""

    async def batches(self, account_id: str, after: str, limit: int) -> list[Batch]:
        """Batches in the order of their ids, from behind `after`."""
        async with self._faults.at("journal.batches"):
            found = [b for b in self._batches if b.account_id == account_id and b.batch_id > after]
            return sorted(found, key=lambda batch: batch.batch_id)[:limit]

    async def remove_batch(self, batch: Batch) -> None:
        """Remove a batch; no error where it is gone."""
        async with self._faults.at("journal.remove_batch"):
            self._batches.remove((batch.account_id, batch.batch_id))

    async def remove_keys(self, account_id: str, now: datetime) -> None:
        """Remove the idempotency keys whose time is over."""
        async with self._faults.at("journal.remove_keys"):
            for key, expires_at in list(self._expires.items()):
                if key[0] == account_id and expires_at < now:
                    del self._expires[key], self._accepted[key]

    async def mark(self, account_id: str, kind: MarkKind) -> Mark:
        """How far the account's feed is done with; a new mark where that was not kept yet."""
        async with self._faults.at("journal.mark"):
            return self._marks.get((account_id, kind)) or Mark(account_id, kind)

    async def save_mark(self, mark: Mark) -> None:
        """Insert it (no version) or replace the version read; raises Conflict."""
        async with self._faults.at("journal.save_mark"):
            key = (mark.account_id, mark.kind)
            _ = self._marks.insert(key, mark) if mark.version is None else self._marks.replace(key, mark)
