"""
Room at Graph: how many requests of this process go to one mailbox at a time, and from when on they may again.

Graph runs at most 4 requests to one mailbox at a time for each app, and what is asked inside a Retry-After counts against the app
and lengthens it (https://learn.microsoft.com/graph/throttling, https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits).
So nothing is asked of a mailbox before its Retry-After is over, and nobody waits for a place for longer than a function can wait:
both raise Throttled, for the work to be put off. What other processes do is seen by their 429s alone.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from sync.domain.errors import Throttled

MAX_REQUESTS_PER_MAILBOX = 4
#: Seconds that a place is waited for.
PATIENCE_S = 30.0
COME_BACK_AFTER = timedelta(seconds=5)

Identity = tuple[str, str]


@dataclass(eq=False)
class _Room:
    """One mailbox's. `users`: who holds a place or waits for one. `closed_until`: on the monotonic clock."""

    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_REQUESTS_PER_MAILBOX))
    users: int = 0
    closed_until: float = 0.0


class MailboxRooms:
    """The rooms of all mailboxes that are asked something, or not to be asked anything, now; others are forgotten."""

    def __init__(self, patience_s: float = PATIENCE_S, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._patience_s = patience_s
        self._now = monotonic
        self._rooms: dict[Identity, _Room] = {}

    @property
    def remembered(self) -> int:
        """How many there are."""
        return len(self._rooms)

    @asynccontextmanager
    async def place(self, mailbox: Identity) -> AsyncIterator[None]:
        """Hold a place at this mailbox; raises Throttled inside a Retry-After, and where none became free in time."""
        room = self._room(mailbox)
        self._check(room)
        room.users += 1
        try:
            await self._acquire(room)
            try:
                self._check(room)  # whoever had the place before may have been told to wait
                yield
            finally:
                room.places.release()
        finally:
            room.users -= 1
            self._forget(mailbox, room)

    def close(self, mailbox: Identity, wait: timedelta) -> None:
        """Nothing is asked of this mailbox for so long; a shorter wait does not end a longer one."""
        room = self._room(mailbox)
        room.closed_until = max(room.closed_until, self._now() + wait.total_seconds())
        self._forget(mailbox, room)

    def closed(self, mailbox: Identity) -> bool:
        """Whether nothing may be asked of this mailbox now."""
        room = self._rooms.get(mailbox)
        return room is not None and room.closed_until > self._now()

    async def _acquire(self, room: _Room) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                await room.places.acquire()
        except TimeoutError:
            words = "Other requests of this process to the mailbox take all the room."
            raise Throttled(words, retry_after=COME_BACK_AFTER) from None

    def _check(self, room: _Room) -> None:
        left = room.closed_until - self._now()
        if left > 0:
            raise Throttled("The mailbox is not to be asked yet.", retry_after=timedelta(seconds=left))

    def _room(self, mailbox: Identity) -> _Room:
        if mailbox not in self._rooms:
            for name, room in list(self._rooms.items()):
                self._forget(name, room)
            self._rooms[mailbox] = _Room()
        return self._rooms[mailbox]

    def _forget(self, mailbox: Identity, room: _Room) -> None:
        """A room that nobody uses, and that is open, is as good as a new one."""
        if not room.users and room.closed_until <= self._now():
            self._rooms.pop(mailbox, None)
