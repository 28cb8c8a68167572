"""Once a minute: whatever was promised, is due and lost its wake-up is queued again."""

import logging
from dataclasses import dataclass
from datetime import timedelta

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
        """Queue what is overdue; returns how much that was."""
        now = self.clock()
        count = 0
        async for job in self.work.overdue(now):
            await self.work.promise(job, due_at=now + GRACE)
            count += 1
        if count:
            log.info("overdue jobs queued", extra={"count": count})
        return count
