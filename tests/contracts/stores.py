"""
Where the ports of storage are kept, in memory or on Azurite, with one shape for both.

Each call makes the port anew, as another process would: what two of them know of each other is in the store.
"""

import base64
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue import TextBase64DecodePolicy
from azure.storage.queue.aio import QueueServiceClient

from sync.adapters.anchors import AnchorsTable
from sync.adapters.blobs import Container, MailContentBlobs
from sync.adapters.connections import ConnectionsTable
from sync.adapters.journal import JournalTable
from sync.adapters.paces import PacesTable
from sync.adapters.poison import PoisonQueues
from sync.adapters.providers import ProvidersTable
from sync.adapters.queues import QueuedWork
from sync.adapters.sealing import AesGcmSealing
from sync.adapters.sign_ins import SignInsTable
from sync.adapters.tables import Table, Tables
from sync.adapters.webhooks import WebhooksTable
from sync.flows.ports import Anchors, Connections, Content, Journal, Paces, Poison, Providers, SignIns, Webhooks, Work
from sync.jobs import JOB_OF_QUEUE, POISON_SUFFIX, QUEUES, Job
from tests.cloud.polling import eventually
from tests.fakes.anchors import FakeAnchors
from tests.fakes.clock import FakeClock
from tests.fakes.connections import FakeConnections
from tests.fakes.content import FakeContent
from tests.fakes.faults import Faults
from tests.fakes.journal import FakeJournal
from tests.fakes.paces import FakePaces
from tests.fakes.poison import FakePoison
from tests.fakes.providers import FakeProviders
from tests.fakes.sign_ins import FakeSignIns
from tests.fakes.webhooks import FakeWebhooks
from tests.fakes.work import FakeWork


class Stores(Protocol):
    """The ports of storage, and the worker's side of a queue."""

    def journal(self) -> Journal: ...
    def connections(self) -> Connections: ...
    def sign_ins(self) -> SignIns: ...
    def anchors(self) -> Anchors: ...
    def content(self) -> Content: ...
    def work(self) -> Work: ...
    def paces(self) -> Paces: ...
    def providers(self) -> Providers: ...
    def webhooks(self) -> Webhooks: ...
    def poison(self) -> Poison: ...

    async def given_up(self, queue: str, text: str) -> None:
        """The Functions host moves a message with this text to the poison queue, where it has 7 days to live."""

    async def expiring(self, queue: str) -> int:
        """How many messages of the poison queue will expire."""

    async def taken(self, queue: str) -> Job | None:
        """The next job that can be seen in a queue, taken out of it."""

    def now(self) -> datetime:
        """The time by which queues show their messages."""

    def passes(self, time: timedelta) -> None:
        """Let so much of it pass, where it does not by itself."""

    async def taken_after(self, queue: str, delay: timedelta) -> Job:
        """
        The job that can be seen in a queue once `delay` has passed, as soon as it can.

        In memory it is seen that this is not a moment earlier; where time passes by itself the caller has to look at that.
        """


class FakeStores:
    """The fakes."""

    def __init__(self) -> None:
        faults = Faults()
        self._clock = FakeClock()
        self._journal = FakeJournal(faults)
        self._connections = FakeConnections(faults)
        self._sign_ins = FakeSignIns(faults)
        self._anchors = FakeAnchors(faults)
        self._content = FakeContent(faults)
        self._paces = FakePaces(faults)
        self._work = FakeWork(self._clock, faults)
        self._providers = FakeProviders(faults)
        self._webhooks = FakeWebhooks(faults)
        self._poison = FakePoison(self._work, faults)

    def poison(self) -> Poison:
        return self._poison

    async def given_up(self, queue: str, text: str) -> None:
        self._poison.given_up(queue, text, self._clock())

    async def expiring(self, queue: str) -> int:
        messages = [m for m in self._work.messages if m.queue == queue + POISON_SUFFIX]
        return len([message for message in messages if message not in self._poison.kept])

    def journal(self) -> Journal:
        return self._journal

    def connections(self) -> Connections:
        return self._connections

    def sign_ins(self) -> SignIns:
        return self._sign_ins

    def anchors(self) -> Anchors:
        return self._anchors

    def content(self) -> Content:
        return self._content

    def work(self) -> Work:
        return self._work

    def paces(self) -> Paces:
        return self._paces

    def providers(self) -> Providers:
        return self._providers

    def webhooks(self) -> Webhooks:
        return self._webhooks

    async def taken(self, queue: str) -> Job | None:
        seen = [m for m in self._work.messages if m.queue == queue and m.visible_at <= self._clock()]
        if not seen:
            return None
        self._work.messages.remove(seen[0])
        return seen[0].job

    def now(self) -> datetime:
        return self._clock()

    def passes(self, time: timedelta) -> None:
        self._clock.advance(time)

    async def taken_after(self, queue: str, delay: timedelta) -> Job:
        self._clock.advance(delay - timedelta(milliseconds=1))
        assert await self.taken(queue) is None, "seen too early"
        self._clock.advance(timedelta(seconds=1))
        job = await self.taken(queue)
        assert job is not None
        return job


class AzureStores:
    """The real adapters on Azurite, under names that no other test uses."""

    def __init__(self, connection_string: str) -> None:
        self._connection_string = connection_string
        self._prefix = f"t{secrets.token_hex(6)}"
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self._queues = QueueServiceClient.from_connection_string(connection_string)
        self._closers.append(self._queues.close)

    def journal(self) -> Journal:
        return JournalTable(self._tables())

    def connections(self) -> Connections:
        return ConnectionsTable(self._tables())

    def sign_ins(self) -> SignIns:
        return SignInsTable(self._tables())

    def anchors(self) -> Anchors:
        return AnchorsTable(self._tables())

    def content(self) -> Content:
        return MailContentBlobs(self.container("mail"))

    def work(self) -> Work:
        work = QueuedWork(QueueServiceClient.from_connection_string(self._connection_string), self._tables())
        self._closers.append(work.close)
        return work

    def poison(self) -> Poison:
        service = QueueServiceClient.from_connection_string(self._connection_string)
        self._closers.append(service.close)
        return PoisonQueues(service, self._tables())

    async def given_up(self, queue: str, text: str) -> None:
        client = self._queues.get_queue_client(queue + POISON_SUFFIX)
        with contextlib.suppress(ResourceExistsError):
            await client.create_queue()
        await client.send_message(base64.b64encode(text.encode()).decode())

    async def expiring(self, queue: str) -> int:
        found = await self._queues.get_queue_client(queue + POISON_SUFFIX).peek_messages(max_messages=32)
        return len([m for m in found if m.expires_on is not None and m.expires_on.year < 9999])

    def paces(self) -> Paces:
        return PacesTable(self._tables())

    def providers(self, sealing: AesGcmSealing | None = None) -> ProvidersTable:
        return ProvidersTable(self._tables(), sealing or AesGcmSealing([b"k" * 32]))

    def webhooks(self) -> Webhooks:
        return WebhooksTable(self._tables())

    def container(self, name: str) -> Container:
        """A container of blobs."""
        service = BlobServiceClient.from_connection_string(self._connection_string)
        self._closers.append(service.close)
        return Container(service, f"{self._prefix}-{name}")

    async def taken(self, queue: str) -> Job | None:
        """As a worker of the Functions host reads it: base64, or it can't be read."""
        client = self._queues.get_queue_client(queue, message_decode_policy=TextBase64DecodePolicy())
        try:
            message = await client.receive_message(visibility_timeout=60)
        except ResourceNotFoundError:
            return None  # nobody has used this queue yet
        if message is None:
            return None
        await client.delete_message(message)
        return JOB_OF_QUEUE[queue].from_json(message.content)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def passes(self, time: timedelta) -> None:
        pass

    async def taken_after(self, queue: str, delay: timedelta) -> Job:
        # Not looked at once before it is due: on a busy machine it may be due by then. Whoever queued it knows how long it took.
        return await eventually(lambda: self.taken(queue), f"a job in {queue}", timeout=delay.total_seconds() + 20)

    def table(self, name: str) -> Table:
        """A table, to look into."""
        return self._tables().table(name)

    async def emptied_queues(self) -> None:
        """Queues have one name each in the app, so tests share them: each begins with empty ones."""
        for queue in (*QUEUES, *(name + POISON_SUFFIX for name in QUEUES)):
            with contextlib.suppress(ResourceNotFoundError):
                await self._queues.get_queue_client(queue).clear_messages()

    async def close(self) -> None:
        """Close every connection."""
        for close in self._closers:
            await close()

    def _tables(self) -> Tables:
        tables = Tables(TableServiceClient.from_connection_string(self._connection_string), self._prefix)
        self._closers.append(tables.close)
        return tables
