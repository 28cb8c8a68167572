"""
Queue triggers and queue outputs on Azure Storage, as host.json says.

Source: https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger (poison messages, peek lock,
polling algorithm, concurrency) and the queue extension of azure-sdk-for-net (QueueListener, QueueProcessor).
A batch of `batchSize` is fetched whenever no more than `newBatchThreshold` messages are running. A running message is hidden by a
lease that is renewed at half its life. Success deletes the message; failure shows it again after `visibilityTimeout`; at
`maxDequeueCount` it is copied to `<queue>-poison`, for 7 days
(https://github.com/Azure/azure-webjobs-sdk-extensions/issues/891), and then deleted. An empty queue is polled ever more seldom,
from 100 ms up to `maxPollingInterval`; a message that this host itself writes wakes the poll at once.
A message that is not in the encoding of host.json goes to the poison queue unread. A queue that a trigger names is not
created by the trigger, only by who writes to it, as in Azure.
Not imitated: target-based scaling, and drain mode.
"""

import asyncio
import base64
import binascii
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from tests.cloud.functions import wire
from tests.cloud.functions.bindings import Queue
from tests.cloud.functions.host_json import QueueOptions

MINIMUM_POLLING_INTERVAL_SECONDS = 0.1
#: The service's limit on the text of one message, after encoding.
MAX_MESSAGE_BYTES = 64 * 1024

Run = Callable[[str, dict[str, wire.Value]], Awaitable[bool]]


class MessageTooLargeError(ValueError):
    """A queue message of more than 64 KiB after encoding (48 KiB before base64)."""


class Storage:
    """The queues of all storage accounts that the app uses."""

    def __init__(self, options: QueueOptions) -> None:
        self._options = options
        self._clients: dict[Queue, QueueClient] = {}

    def client(self, queue: Queue) -> QueueClient:
        """A client that does not try again by itself: the host has its own rules for that."""
        if queue not in self._clients:
            self._clients[queue] = QueueClient.from_connection_string(
                queue.connection_string, queue.name, retry_total=0
            )
        return self._clients[queue]

    async def write(self, queue: Queue, body: bytes) -> None:
        """Add a message with the body of an output; creates the queue when it is not there."""
        text = base64.b64encode(body).decode() if self._options.message_encoding == "base64" else body.decode()
        if len(text.encode()) > MAX_MESSAGE_BYTES:
            raise MessageTooLargeError(f"a message for {queue.name} has {len(body)} bytes, more than a queue takes")
        await self._add(queue, text)

    async def write_poison(self, queue: Queue, text: str) -> None:
        """Add the still encoded text of a failed message to the poison queue of `queue`."""
        await self._add(queue.poison, text)

    async def close(self) -> None:
        """Close all connections."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.close()

    async def _add(self, queue: Queue, text: str) -> None:
        """Add a message with the service's default life of 7 days, as the queue extension does (StorageQueueExtensions)."""
        client = self.client(queue)
        try:
            await client.send_message(text)
        except ResourceNotFoundError:
            with contextlib.suppress(ResourceExistsError):  # somebody else was quicker
                await client.create_queue()
            await client.send_message(text)


class QueueListener:
    """
    Takes messages from one queue and runs them.

    `run(text, metadata)` is the invocation; it says whether the function succeeded. `lease_seconds` is how long a message
    stays hidden when whoever runs it is gone (10 minutes in Azure).
    """

    def __init__(self, queue: Queue, options: QueueOptions, storage: Storage, lease_seconds: float, run: Run) -> None:
        self.queue = queue
        self._options = options
        self._storage = storage
        self._lease_seconds = lease_seconds
        self._run = run
        self._running: set[asyncio.Task[None]] = set()
        self._one_ended = asyncio.Event()
        self._woken = asyncio.Event()
        self._stopping = False
        self._polling = asyncio.Lock()

    @property
    def running(self) -> int:
        """How many messages are being processed."""
        return len(self._running)

    def wake(self) -> None:
        """Poll now."""
        self._woken.set()

    async def listen(self) -> None:
        """Poll until `stop()`; what is running then goes on."""
        self._stopping = False
        empty_polls = 0
        while not self._stopping:
            if await self._fetch():
                empty_polls = 0
                await self._room_for_a_batch()
            elif await _happens(self._woken, self._back_off(empty_polls)):
                self._woken.clear()
                empty_polls = 0
            else:
                empty_polls += 1

    async def quiet(self) -> bool:
        """Whether nothing runs and no message is visible; polls at once when one is."""
        async with self._polling:
            if self._running:
                return False
            try:
                visible = await self._storage.client(self.queue).peek_messages()
            except AzureError:
                return True
        if visible:
            self.wake()
        return not visible

    def stop(self) -> None:
        """Let `listen()` return, not in the middle of a fetch: messages fetched and dropped would be hidden for a lease."""
        self._stopping = True
        self._woken.set()
        self._one_ended.set()

    async def finish(self, timeout_seconds: float) -> None:
        """Wait for what is running, then abandon the rest: it comes back when its lease ends."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=timeout_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def abandon(self) -> None:
        """Forget what is running, without a word to the storage."""
        await self.finish(0)

    async def _fetch(self) -> bool:
        async with self._polling:
            try:
                messages = [message async for message in self._receive()]
            except AzureError:  # no such queue yet, or no storage: as good as empty
                return False
            for message in messages:
                task = asyncio.create_task(self._process(message))
                self._running.add(task)
                task.add_done_callback(self._ended)
        return bool(messages)

    async def _receive(self) -> AsyncIterator[QueueMessage]:
        """One page of messages, which is one request."""
        pages = self._storage.client(self.queue).receive_messages(
            messages_per_page=self._options.batch_size, visibility_timeout=max(1, round(self._lease_seconds))
        )
        async for page in pages.by_page():
            async for message in page:
                yield message
            return

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._one_ended.set()

    async def _room_for_a_batch(self) -> None:
        while len(self._running) > self._options.new_batch_threshold and not self._stopping:
            self._one_ended.clear()
            await self._one_ended.wait()

    def _back_off(self, empty_polls: int) -> float:
        """Seconds until the next poll: 100 ms, then doubling with a fifth of randomness, up to maxPollingInterval."""
        increment = (2.0 ** min(empty_polls, 20) - 1) * MINIMUM_POLLING_INTERVAL_SECONDS * random.uniform(0.8, 1.2)
        return min(MINIMUM_POLLING_INTERVAL_SECONDS + increment, self._options.max_polling_interval)

    async def _process(self, message: QueueMessage) -> None:
        """Run one message and settle it."""
        # An error of the storage: the message is no longer ours, or there is no storage. Its lease will end.
        with contextlib.suppress(AzureError):
            dequeue_count = message.dequeue_count or 0
            text = _decoded(message.content, self._options.message_encoding)
            # More than the maximum: whoever had it before died between the copy to the poison queue and the delete.
            if text is None or dequeue_count > self._options.max_dequeue_count:
                await self._poison(message)
                return
            async with self._lease(message):
                succeeded = await self._run(text, _metadata(message, text))
            if succeeded:
                await self._storage.client(self.queue).delete_message(message.id, message.pop_receipt)
            elif dequeue_count >= self._options.max_dequeue_count:
                await self._poison(message)
            else:
                await self._hide(message, self._options.visibility_timeout)

    @contextlib.asynccontextmanager
    async def _lease(self, message: QueueMessage) -> AsyncIterator[None]:
        """Keep the message hidden while it runs."""
        ended = asyncio.Event()
        renewing = asyncio.create_task(self._renew(message, ended))
        try:
            yield
        finally:
            # Not cancelled: a renewal under way must end, since it changes the receipt that settles the message.
            ended.set()
            await renewing

    async def _renew(self, message: QueueMessage, ended: asyncio.Event) -> None:
        while not await _happens(ended, self._lease_seconds / 2):
            with contextlib.suppress(AzureError):
                await self._hide(message, self._lease_seconds)

    async def _hide(self, message: QueueMessage, seconds: float) -> None:
        updated = await self._storage.client(self.queue).update_message(
            message.id, message.pop_receipt, visibility_timeout=round(seconds)
        )
        message.pop_receipt = updated.pop_receipt

    async def _poison(self, message: QueueMessage) -> None:
        await self._storage.write_poison(self.queue, message.content)
        await self._storage.client(self.queue).delete_message(message.id, message.pop_receipt)


async def _happens(event: asyncio.Event, within_seconds: float) -> bool:
    """Wait for an event; False where it did not come in time."""
    try:
        async with asyncio.timeout(within_seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _decoded(content: str, encoding: str) -> str | None:
    """The text of a message, or None where it is not in this encoding."""
    if encoding == "none":
        return content
    try:
        return base64.b64decode(content, validate=True).decode(errors="replace")
    except binascii.Error:
        return None


def _metadata(message: QueueMessage, text: str) -> dict[str, wire.Value]:
    return metadata(
        text,
        message_id=message.id,
        dequeue_count=message.dequeue_count or 0,
        pop_receipt=message.pop_receipt or "",
        inserted_on=message.inserted_on,
        expires_on=message.expires_on,
        next_visible_on=message.next_visible_on,
    )


def metadata(
    text: str,
    *,
    message_id: str,
    dequeue_count: int,
    pop_receipt: str,
    inserted_on: datetime | None,
    expires_on: datetime | None,
    next_visible_on: datetime | None,
) -> dict[str, wire.Value]:
    """The metadata of a queue trigger, by the names of the documentation (section "Message metadata")."""

    def time(when: datetime | None) -> wire.Value:
        return "json", f'"{when.isoformat()}"' if when else '"9999-12-31T23:59:59+00:00"'

    return {
        "QueueTrigger": ("string", text),
        "Id": ("string", message_id),
        "DequeueCount": ("json", str(dequeue_count)),
        "PopReceipt": ("string", pop_receipt),
        "InsertionTime": time(inserted_on),
        "ExpirationTime": time(expires_on),
        "NextVisibleTime": time(next_visible_on),
    }
