"""What the CRM can look up: messages, threads, files, the feed, and how the app is doing."""

import contextlib
from dataclasses import dataclass, replace

from sync.domain.body import Body
from sync.domain.connection import Connection
from sync.domain.errors import NotFound
from sync.domain.event import Event, without_old_attempts
from sync.domain.failure import Poisoned
from sync.domain.ids import message_of_attachment, message_that_begins
from sync.domain.message import Attachment, Message, Thread
from sync.domain.sign_in import SignInEnd
from sync.flows.batches import Batches
from sync.flows.poison import Poisons
from sync.flows.ports import Clock, Connections, Content, Journal, Work
from sync.flows.sign_in_end import SignInEnds


@dataclass(frozen=True)
class Show:
    """Reading, always within one account: another account's id is not found, as one that never was."""

    connections: Connections
    ends: SignInEnds
    journal: Journal
    content: Content
    work: Work
    batches: Batches
    poisons: Poisons
    clock: Clock

    async def connection(self, account_id: str, user_id: str) -> tuple[Connection | None, SignInEnd | None]:
        """The user's connection with its number of threads, if there ever was one; and what became of the last sign-in else."""
        connection = await self.connections.of_user(account_id, user_id)
        end = await self.ends.show(account_id, user_id)
        if connection is None:
            return None, end
        threads = await self.journal.count_threads(account_id, connection.connection_id)
        return replace(connection, thread_count=threads), end

    async def message(self, account_id: str, message_id: str) -> tuple[Message, Body]:
        """A message with its whole body."""
        message = await self.journal.message(account_id, message_id)
        if message is None:
            waiting = await self.batches.waiting(account_id, message_id)
            if waiting is None:
                raise NotFound
            message = waiting.message
        return message, await self.content.body(message.body_blob)

    async def threads(
        self, account_id: str, contact_id: str | None, user_id: str | None, after: str | None, limit: int
    ) -> list[tuple[Thread, bool]]:
        """Threads, each with whether it syncs now."""
        found = await self.journal.threads(account_id, contact_id=contact_id, user_id=user_id, after=after, limit=limit)
        live = {u: await self._live_connection(account_id, u) for u in {t.user_id for t in found}}
        return [(t, live[t.user_id] == t.connection_id) for t in found]

    async def thread(self, account_id: str, thread_id: str) -> tuple[Thread, bool, list[tuple[Message, Body]]]:
        """A thread, whether it syncs now, and its messages, oldest first."""
        thread = await self.journal.thread(account_id, thread_id)
        messages = await self.journal.messages_of(account_id, thread_id) if thread is not None else []
        if thread is None:
            waiting = await self.batches.waiting(account_id, message_that_begins(thread_id))
            if waiting is None or waiting.thread is None:
                raise NotFound
            thread, messages = waiting.thread, [waiting.message]
        with_bodies = []
        for message in messages:
            with contextlib.suppress(NotFound):  # it is being removed
                with_bodies.append((message, await self.content.body(message.body_blob)))
        return thread, await self._live_connection(account_id, thread.user_id) == thread.connection_id, with_bodies

    async def attachment(self, account_id: str, attachment_id: str) -> tuple[Attachment, bytes]:
        """A file that synced, with its bytes."""
        place = message_of_attachment(attachment_id)
        message = await self.journal.message(account_id, place[0]) if place else None
        if message is None and place is not None:
            waiting = await self.batches.waiting(account_id, place[0])
            message = waiting.message if waiting else None
        if message is None or place is None or place[1] >= len(message.attachments):
            raise NotFound
        attachment = message.attachments[place[1]]
        if not attachment.blob:
            raise NotFound(f"This file was not synced ({attachment.reason}), so there are no bytes of it here.")
        return attachment, await self.content.file(attachment.blob)

    async def event(self, account_id: str, event_id: str) -> Event:
        """An event with its delivery attempts, as far as they are kept."""
        event = await self.journal.event(account_id, event_id)
        if event is None:
            raise NotFound
        return without_old_attempts(event, self.clock())

    async def events(self, account_id: str, after: int, limit: int) -> tuple[list[Event], bool]:
        """A piece of the feed, and whether there is more."""
        found = await self.journal.events(account_id, after, limit + 1)
        return found[:limit], len(found) > limit

    async def status(self) -> tuple[dict[str, int], dict[str, int], list[Poisoned]]:
        """Messages waiting in each queue, connections in each state, and the work that was given up."""
        connections, _ = await self.connections.standing(self.clock())
        return await self.work.waiting(), connections, await self.poisons.show()

    async def _live_connection(self, account_id: str, user_id: str) -> str | None:
        connection: Connection | None = await self.connections.of_user(account_id, user_id)
        return connection.connection_id if connection is not None and connection.live else None
