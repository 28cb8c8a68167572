"""Queues and promises, in memory. A message that is taken stays hidden until it is deleted or given back, as in Azure."""

import math
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync import trace
from sync.jobs import JOB_OF_QUEUE, POISON_SUFFIX, QUEUES, Job, traced
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Faults

#: What a queue message can be hidden for (Azure: 7 days).
MAX_DELAY = timedelta(days=6, hours=23)


@dataclass(eq=False)
class QueueMessage:
    """One message of a queue, and from when on it can be seen."""

    queue: str
    text: str
    visible_at: datetime

    @property
    def job(self) -> Job:
        """What it asks for."""
        return JOB_OF_QUEUE[self.queue].from_json(self.text)


class FakeWork:
    """Keeps `flows.ports.Work`. `messages`: what is queued; `promises`: (job, due) by the job's key, in `parts`."""

    def __init__(self, clock: FakeClock, faults: Faults) -> None:
        self._clock = clock
        self._faults = faults
        self.parts = 1
        self.messages: list[QueueMessage] = []
        self.promises: dict[str, tuple[Job, datetime]] = {}

    async def promise(self, job: Job, *, due_at: datetime, delay: timedelta = timedelta()) -> None:
        """Remember that this is to be done, and queue it, visible after `delay`. Two calls: a crash can part them."""
        await self.postpone(job, due_at)
        await self.queue(job, delay)

    async def queue(self, job: Job, delay: timedelta = timedelta()) -> None:
        """Queue it without a promise."""
        async with self._faults.at("work.queue"):
            self.put(job.queue, _here(job).to_json(), delay)

    async def done(self, job: Job) -> None:
        """Forget the promise."""
        async with self._faults.at("work.done"):
            self.promises.pop(job.key, None)

    async def overdue(self, now: datetime, part: int) -> AsyncIterator[Job]:
        """Promised jobs whose time has come."""
        async with self._faults.at("work.overdue"):
            due = [job for job, due_at in self.promises.values() if due_at <= now and self.part_of(job) == part]
        for job in due:
            yield job

    async def postpone(self, job: Job, due_at: datetime) -> None:
        """Move the promise's time without queueing."""
        async with self._faults.at("work.postpone"):
            self.promises[job.key] = (_here(job), due_at)

    async def waiting(self) -> dict[str, int]:
        """About how many messages are in each queue and each poison queue."""
        async with self._faults.at("work.waiting"):
            counts = Counter(message.queue for message in self.messages)
            return {name: counts[name] for name in (*QUEUES, *(queue + POISON_SUFFIX for queue in QUEUES))}

    async def oldest(self) -> dict[str, datetime]:
        """Since when the oldest message that can be seen waits in each queue; queues without one are left out."""
        async with self._faults.at("work.oldest"):
            seen = [(m.queue, m.visible_at) for m in self.messages if m.visible_at <= self._clock()]
            return {queue: min(at for name, at in seen if name == queue) for queue, _ in seen}

    def part_of(self, job: Job) -> int:
        """The part that holds its promise."""
        return zlib.crc32(job.key.encode()) % self.parts

    def put(self, queue: str, text: str, delay: timedelta = timedelta()) -> None:
        """A message in a queue, as an output binding writes it. Queues count whole seconds, never less than was asked."""
        whole_seconds = math.ceil(min(max(delay, timedelta()), MAX_DELAY).total_seconds())
        self.messages.append(QueueMessage(queue, text, self._clock() + timedelta(seconds=whole_seconds)))

    def visible(self, queue: str) -> list[Job]:
        """The jobs in a queue that can be seen now."""
        return [m.job for m in self.messages if m.queue == queue and m.visible_at <= self._clock()]


def _here(job: Job) -> Job:
    """The job with the trace that it is queued in."""
    here = trace.current()
    return traced(job, here.traceparent, here.queue)
