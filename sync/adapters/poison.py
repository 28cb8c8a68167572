"""
The poison queues of Azure Queue Storage, and the table `failures` of why work failed.

The host's copies have the service's default life of 7 days (https://github.com/Azure/azure-webjobs-sdk-extensions/issues/891).
A message's life can't be changed, so one that is to stay is put anew and then deleted: in this order a crash leaves two of it,
and never none.
"""

import base64
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from sync.adapters.queues import NEVER_EXPIRES
from sync.adapters.tables import Tables
from sync.domain.failure import Failure, PoisonMessage
from sync.domain.ids import key_hash
from sync.jobs import POISON_SUFFIX

#: What is being moved is hidden from others for so long.
MOVING_S = 60
PAGE = 32
#: So many messages of a poison queue are looked at in one go; the others have their turn the next time.
MAX_LOOKED_AT = 1_000
#: A message that lives longer than this was put to stay for ever (it says the year 9999).
FOR_EVER = timedelta(days=365)


class PoisonQueues:
    """Keeps `flows.ports.Poison`."""

    def __init__(self, service: QueueServiceClient, tables: Tables) -> None:
        self._service = service
        self._failures = tables.table("failures")

    async def note(self, failure: Failure) -> None:
        """Keep why it failed, in the place of what was kept of an earlier try."""
        await self._failures.upsert(
            {
                "PartitionKey": failure.queue,
                "RowKey": key_hash(failure.key),
                "key": failure.key,
                "reason": failure.reason,
                "since": failure.since,
                "tries": failure.tries,
            }
        )

    async def failure(self, queue: str, key: str) -> Failure | None:
        """Why this work failed the last time."""
        found = await self._failures.get(queue, key_hash(key))
        if found is None:
            return None
        row = found[0]
        since = datetime.fromtimestamp(row["since"].timestamp(), UTC)
        return Failure(queue, row["key"], row["reason"], since, int(row["tries"]))

    async def forget(self, queue: str, key: str) -> None:
        """It was done, or is to be tried anew; no error where nothing was kept."""
        await self._failures.delete(queue, key_hash(key))

    async def peek(self, queue: str, limit: int) -> list[PoisonMessage]:
        """The messages in the poison queue of this queue that can be seen now, at most `limit` (and at most 32)."""
        try:
            found = await self._client(queue + POISON_SUFFIX).peek_messages(max_messages=min(limit, PAGE))
        except ResourceNotFoundError:
            return []
        return [PoisonMessage(queue, _decoded(m.content), m.inserted_on or datetime.now(UTC)) for m in found]

    async def put_back(self, queue: str, limit: int) -> AsyncIterator[str]:
        """Put what is in the poison queue back to its queue; the text of each that was."""
        source, target = self._client(queue + POISON_SUFFIX), self._client(queue)
        count = 0
        while count < limit and (page := await self._taken(source, min(limit - count, PAGE))):
            for message in page:
                await _move(message, source, target)
                count += 1
                yield _decoded(message.content)

    async def keep(self, queue: str) -> int:
        """Put those of the poison queue that would expire anew, so that they never do; how many that were."""
        client = self._client(queue + POISON_SUFFIX)
        kept = 0
        hidden: list[QueueMessage] = []
        while len(hidden) < MAX_LOOKED_AT and (page := await self._taken(client, PAGE)):
            for message in page:
                if message.expires_on is None or message.expires_on - datetime.now(UTC) > FOR_EVER:
                    hidden.append(message)
                    continue
                # Hidden as long as this look lasts, so that it is not met again.
                stays = await client.send_message(
                    message.content, visibility_timeout=MOVING_S, time_to_live=NEVER_EXPIRES
                )
                await _deleted(client, message)
                hidden.append(stays)
                kept += 1
        for message in hidden:
            with contextlib.suppress(ResourceNotFoundError):
                await client.update_message(message, visibility_timeout=0)
        return kept

    def _client(self, name: str) -> QueueClient:
        """A client that takes and puts the text of a message as it is, whatever that is."""
        return self._service.get_queue_client(name)

    @staticmethod
    async def _taken(client: QueueClient, count: int) -> list[QueueMessage]:
        """The next page, hidden from others; nothing where nobody has used the queue yet."""
        pages = client.receive_messages(messages_per_page=count, visibility_timeout=MOVING_S, max_messages=count)
        try:
            return [message async for message in pages]
        except ResourceNotFoundError:
            return []


async def _move(message: QueueMessage, source: QueueClient, target: QueueClient) -> None:
    try:
        await target.send_message(message.content, time_to_live=NEVER_EXPIRES)
    except ResourceNotFoundError:
        with contextlib.suppress(ResourceExistsError):
            await target.create_queue()
        await target.send_message(message.content, time_to_live=NEVER_EXPIRES)
    await _deleted(source, message)


async def _deleted(client: QueueClient, message: QueueMessage) -> None:
    """Gone, by us or by another who moved it at the same time."""
    with contextlib.suppress(ResourceNotFoundError):
        await client.delete_message(message)


def _decoded(content: str) -> str:
    """The text that the host would give a function; as it stands where it is not in the host's encoding."""
    try:
        return base64.b64decode(content, validate=True).decode()
    except ValueError:
        return content
