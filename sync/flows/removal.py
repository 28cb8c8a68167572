"""
What was synced by some connections of a user: counted, and removed.

It belongs to them by the connection id that a message, an event, a key or a stored body or file carries. What leads to something
goes after it (a message, its thread), so that a removal that was cut short is finished by doing it again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, replace

from sync.domain import event as event_rule
from sync.domain.connection import Erased
from sync.domain.errors import Conflict
from sync.domain.event import Event, about
from sync.domain.message import Message, Thread
from sync.domain.retry import LOST_AFTER
from sync.flows.ports import Anchors, Clock, Content, Journal, Work
from sync.jobs import DeliverEvent

#: Threads, or events, that are worked on at the same time.
AT_ONCE = 16


@dataclass(frozen=True)
class Removal:
    """The mail, the events and the keys of connections that have ended."""

    anchors: Anchors
    journal: Journal
    content: Content
    work: Work
    clock: Clock

    async def count(self, account_id: str, user_id: str, connections: Collection[str]) -> Erased:
        """What there is of these connections. A file counts where it is stored: of one that was skipped there is nothing here."""

        async def of_thread(thread: Thread) -> Erased:
            messages = [m for m in await self._messages(thread) if m.connection_id in connections]
            return Erased(messages=len(messages), attachments=sum(len(_files(message)) for message in messages))

        found = await _each(self.journal.threads_of(account_id, user_id), of_thread)
        return Erased(
            messages=sum(of.messages for of in found),
            attachments=sum(of.attachments for of in found),
            events=sum([_tells_of(e, connections) async for e in self.journal.events_of(account_id, user_id)]),
            anchors=sum([await self.anchors.count(connection_id) for connection_id in connections]),
        )

    async def remove(self, account_id: str, user_id: str, connections: Collection[str]) -> bool:
        """Remove what there is of them, and of what was accepted for them; whether anything was found."""

        async def of_thread(thread: Thread) -> bool:
            return await self._remove_of(thread, connections)

        async def of_event(event: Event) -> bool:
            return await self._blank(event, connections)

        found = [
            *await _each(self.journal.threads_of(account_id, user_id), of_thread),
            *await _each(self.journal.events_of(account_id, user_id), of_event),
        ]
        for connection_id in connections:
            # After the messages: as long as one is there, somebody may read its body.
            found.append(await self.content.remove_all(account_id, connection_id) > 0)
            found.append(await self.anchors.count(connection_id) > 0)
            await self.anchors.remove_all(connection_id)
        await self.journal.blank_batches(account_id, user_id, connections)
        return any(found)

    async def _messages(self, thread: Thread) -> list[Message]:
        return await self.journal.messages_of(thread.account_id, thread.thread_id)

    async def _remove_of(self, thread: Thread, connections: Collection[str]) -> bool:
        """Remove of a thread what these connections synced: all of it, unless another connection has taken it up by now."""
        messages = await self._messages(thread)
        going = [message for message in messages if message.connection_id in connections]
        staying = [message for message in messages if message.connection_id not in connections]
        if not going and thread.connection_id not in connections:
            return False
        if staying:
            await self._narrow(thread, staying)
        for message in going:
            await self.journal.remove_message(message)
        if not staying and thread.connection_id in connections:
            await self.journal.remove_thread(thread)
        return True

    async def _narrow(self, thread: Thread, messages: list[Message]) -> None:
        """Leave of a thread what these messages say of it."""
        addresses = [a for m in messages for a in (m.sender, *m.to, *m.cc) if a is not None]
        asked_for = [c for m in messages if m.outbox is not None for c in m.outbox.contacts]
        people = {a.key for a in addresses} | {c.key for c in asked_for}
        current: Thread | None = thread
        while current is not None:
            narrow = replace(
                current,
                subject=messages[0].subject,
                contacts=tuple(c for c in current.contacts if c.key in people),
                participants=current.participants & people,
            )
            try:
                await self.journal.save_thread(narrow)
                return
            except Conflict:
                current = await self.journal.thread(thread.account_id, thread.thread_id)

    async def _blank(self, event: Event, connections: Collection[str]) -> bool:
        """Take what it told out of an event, and end its delivery."""
        if not _tells_of(event, connections):
            return False
        # A message that was stored while its thread was removed is found by what was told of it.
        message_id = about(event.data).message_id
        message = await self.journal.message(event.account_id, message_id) if message_id else None
        if message is not None and message.connection_id in connections:
            await self.journal.remove_message(message)
        current: Event | None = event
        while current is not None:
            blank = event_rule.erased(current)
            try:
                await self.journal.save_event(blank)
            except Conflict:  # it was being delivered
                current = await self.journal.event(event.account_id, event.event_id)
                continue
            if current.delivery in ("pending", "undelivered"):
                await self._see_to_delivery(current, blank)
            break
        return True

    async def _see_to_delivery(self, before: Event, event: Event) -> None:
        """
        Forget the delivery. One that stays due is queued anew: it may be under way with names, and could not be noted then.

        So is one that was undelivered: its wake-up takes it off the list of those.
        """
        job = DeliverEvent(event.account_id, event.event_id)
        if event.delivery != "pending" and before.delivery == "pending":
            await self.work.done(job)
            return
        now = self.clock()
        when = max(event.due_at or now, now)
        await self.work.promise(job, due_at=when + LOST_AFTER, delay=when - now)


def _files(message: Message) -> list[str]:
    """The names of its stored files."""
    return [file.blob for file in message.attachments if file.blob]


def _tells_of(event: Event, connections: Collection[str]) -> bool:
    """Whether there is something to erase in it that it tells of these connections."""
    return about(event.data).connection_id in connections and event_rule.erased(event) != event


async def _each[Item, Outcome](items: AsyncIterator[Item], do: Callable[[Item], Awaitable[Outcome]]) -> list[Outcome]:
    """What comes of each item, so many at the same time. Where one fails, the others end with it."""
    room = asyncio.Semaphore(AT_ONCE)
    outcomes = []

    async def one(item: Item) -> None:
        try:
            outcomes.append(await do(item))
        finally:
            room.release()

    try:
        async with asyncio.TaskGroup() as together:
            async for item in items:
                await room.acquire()
                together.create_task(one(item))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return outcomes
