"""
Azure Queue Storage, and the table `owed` of promises behind the queues.

Messages are base64 as the Functions host expects them (host.json `messageEncoding`), hidden for at most 7 days, and never
expire. A promise is one row per piece of work, deleted when it is done. Message and promise carry the trace they were made in.

Promises are spread over partitions by the hash of their key: all of them are read each minute, and one partition hands out some
2,000 entities a second (https://learn.microsoft.com/azure/storage/tables/scalability-targets).
"""

import asyncio
import math
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from azure.core.exceptions import DecodeError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import TextBase64DecodePolicy, TextBase64EncodePolicy
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from sync import trace
from sync.adapters.tables import Tables
from sync.jobs import JOB_OF_QUEUE, POISON_SUFFIX, QUEUES, Job, due_at_of, traced

MAX_DELAY = timedelta(days=6, hours=23)
NEVER_EXPIRES = -1
#: Rows are found again by this number: it can grow only together with a move of all promises.
PARTS = 16


class QueuedWork:
    """Keeps `flows.ports.Work`."""

    parts = PARTS

    def __init__(self, service: QueueServiceClient, tables: Tables) -> None:
        self._service = service
        self._owed = tables.table("owed")
        self._clients: dict[str, QueueClient] = {}

    async def promise(self, job: Job, *, due_at: datetime, delay: timedelta = timedelta()) -> None:
        """Remember that this is to be done, and queue it, visible after `delay`."""
        job = _here(job)
        await self.postpone(job, due_at)
        await self.queue(job, delay)

    async def queue(self, job: Job, delay: timedelta = timedelta()) -> None:
        """Queue it without a promise."""
        hidden_s = math.ceil(min(max(delay, timedelta()), MAX_DELAY).total_seconds())  # whole seconds, never too few
        client = self._client(job.queue)
        due = (datetime.now(UTC) + timedelta(seconds=hidden_s)).isoformat(timespec="seconds") if hidden_s else ""
        text = replace(_here(job), due=due).to_json()
        try:
            await client.send_message(text, visibility_timeout=hidden_s, time_to_live=NEVER_EXPIRES)
        except ResourceNotFoundError:
            await self._make(client)
            await client.send_message(text, visibility_timeout=hidden_s, time_to_live=NEVER_EXPIRES)

    async def done(self, job: Job) -> None:
        """Forget the promise."""
        await self._owed.delete(partition_of(job.key), job.key)

    async def overdue(self, now: datetime, part: int) -> AsyncIterator[Job]:
        """Promised jobs of this part whose time has come."""
        where = "PartitionKey eq @partition and due_at le @now"
        async for row, _ in self._owed.query(where, partition=_partition(part), now=now):
            yield JOB_OF_QUEUE[row["queue"]].from_json(row["job"])

    async def postpone(self, job: Job, due_at: datetime) -> None:
        """Move the promise's time without queueing."""
        job = replace(_here(job), due="")
        names = {"PartitionKey": partition_of(job.key), "RowKey": job.key}
        await self._owed.upsert(names | {"queue": job.queue, "job": job.to_json(), "due_at": due_at})

    async def waiting(self) -> dict[str, int]:
        """About how many messages are in each queue and each poison queue."""
        counts = {}
        for name in (*QUEUES, *(queue + POISON_SUFFIX for queue in QUEUES)):
            try:
                properties = await self._client(name).get_queue_properties()
                counts[name] = properties.approximate_message_count or 0
            except ResourceNotFoundError:
                counts[name] = 0
        return counts

    async def oldest(self) -> dict[str, datetime]:
        """Since when the oldest message that can be seen waits in each queue; queues without one are left out."""
        ages = await asyncio.gather(*(self._oldest(name) for name in QUEUES))
        return {name: since for name, since in zip(QUEUES, ages, strict=True) if since is not None}

    async def _oldest(self, name: str) -> datetime | None:
        try:
            messages = await self._client(name).peek_messages(max_messages=1)
        except ResourceNotFoundError:
            return None
        except DecodeError:  # not ours, and on its way to the poison queue
            return None
        if not messages or messages[0].inserted_on is None:
            return None
        # A message that was put off is as old as the time from which it can be seen.
        put_off_to = due_at_of(messages[0].content)
        return max(messages[0].inserted_on, put_off_to) if put_off_to else messages[0].inserted_on

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()
        await self._service.close()

    def _client(self, name: str) -> QueueClient:
        if name not in self._clients:
            self._clients[name] = self._service.get_queue_client(
                name, message_encode_policy=TextBase64EncodePolicy(), message_decode_policy=TextBase64DecodePolicy()
            )
        return self._clients[name]

    @staticmethod
    async def _make(client: QueueClient) -> None:
        try:
            await client.create_queue()
        except ResourceExistsError:
            return


def partition_of(key: str) -> str:
    """The partition of the table `owed` that holds the promise of the work with this key."""
    return _partition(zlib.crc32(key.encode()) % PARTS)


def _partition(part: int) -> str:
    return f"owed-{part:02}"


def _here(job: Job) -> Job:
    here = trace.current()
    return traced(job, here.traceparent, here.queue)
