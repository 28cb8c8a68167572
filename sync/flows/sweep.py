"""Once a minute: whatever was promised, is due and lost its wake-up is queued again."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync.flows.ports import Clock, Work

log = logging.getLogger(__name__)

#: So long a job that was queued again has before the next sweep may queue it once more.
GRACE = timedelta(minutes=10)


@dataclass(frozen=True)
class Sweep:
    """The promises."""

    work: Work
    clock: Clock

    async def sweep(self) -> int:
        """
        Queue what is overdue; returns how much that was.

        The parts are swept side by side. One that can't be read stops no other; its error is raised in the end.
        """
        now = self.clock()
        parts = range(self.work.parts)
        counts = await asyncio.gather(*(self._sweep(part, now) for part in parts), return_exceptions=True)
        count = sum(of_part for of_part in counts if isinstance(of_part, int))
        if count:
            log.info("overdue jobs queued", extra={"count": count})
        for of_part in counts:
            if isinstance(of_part, BaseException):
                raise of_part
        return count

    async def _sweep(self, part: int, now: datetime) -> int:
        count = 0
        async for job in self.work.overdue(now, part):
            await self.work.promise(job, due_at=now + GRACE)
            count += 1
        return count
