"""Places for work that takes memory: so many at a time in one process, and nobody waits longer than a function may run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from sync.domain.errors import Throttled

#: Seconds that a place is waited for. host.json gives a function 5 minutes, and it has work to do once it has one.
PATIENCE_S = 60.0
COME_BACK_AFTER = timedelta(seconds=5)


class Places:
    """So many places. Whoever has to wait too long is asked to come back, as by a neighbour that has no room."""

    def __init__(self, count: int, patience_s: float = PATIENCE_S) -> None:
        self._free = asyncio.Semaphore(count)
        self._patience_s = patience_s

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Hold a place; raises Throttled where none became free in time."""
        try:
            async with asyncio.timeout(self._patience_s):
                await self._free.acquire()
        except TimeoutError:
            raise Throttled("Other work of this process takes all the room.", retry_after=COME_BACK_AFTER) from None
        try:
            yield
        finally:
            self._free.release()
