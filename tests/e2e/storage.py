"""
The app's storage as an operator could look into it, and the one thing a test can't wait for: a sign-in that has grown old.

Everything is read through Microsoft's own SDK, as the app does.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from sync.adapters.queues import partition_of
from sync.adapters.sign_ins import SignInsTable
from sync.adapters.tables import Tables
from sync.domain.sign_in import sign_in_id_of
from sync.jobs import Job


@dataclass(frozen=True)
class Contents:
    """All there is: the version (ETag) of each row and each blob by its name, and how many messages each queue holds."""

    rows: dict[str, str]
    blobs: dict[str, str]
    queues: dict[str, int]


class Storage:
    """The storage account behind a connection string."""

    def __init__(self, connection_string: str) -> None:
        self._tables = TableServiceClient.from_connection_string(connection_string)
        self._blobs = BlobServiceClient.from_connection_string(connection_string)
        self._queues = QueueServiceClient.from_connection_string(connection_string)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        for client in (self._tables, self._blobs, self._queues):
            await client.close()

    async def tokens_of(self, connection_id: str) -> bytes | None:
        """The sealed sign-in that is stored for this connection, if any."""
        try:
            stored = await self._blobs.get_container_client("tokens").download_blob(connection_id)
            return await stored.readall()
        except ResourceNotFoundError:
            return None

    async def expire_sign_in(self, handle: str) -> None:
        """
        Let the time of a sign-in run out, as if one had waited for it.

        handle: its link, state or completion code.
        """
        sign_ins = SignInsTable(Tables(self._tables))
        sign_in = await sign_ins.get(sign_in_id_of(handle.rpartition("/")[2]))
        assert sign_in is not None, "there is no such sign-in"
        await sign_ins.save(replace(sign_in, expires_at=datetime.now(UTC)))

    async def provider_row(self, account_id: str) -> dict[str, Any]:
        """What is stored of the account's provider."""
        return dict(await self._tables.get_table_client("providers").get_entity(f"account|{account_id}", "provider"))

    async def connection_row(self, account_id: str, user_id: str) -> dict[str, Any]:
        """What is stored of the user's current connection."""
        rows = self._tables.get_table_client("connections")
        return dict(await rows.get_entity(f"account|{account_id}", f"user|{user_id}"))

    async def put_connection_row(self, row: dict[str, Any]) -> None:
        """Put it in the place of what is stored, as only an operator could."""
        await self._tables.get_table_client("connections").upsert_entity(row, mode=UpdateMode.REPLACE)

    async def owes(self, job: Job) -> bool:
        """Whether there is a promise of this piece of work."""
        return await Tables(self._tables).table("owed").get(partition_of(job.key), job.key) is not None

    async def failures(self) -> int:
        """How many pieces of work have a reason noted why they failed."""
        try:
            return len([row async for row in self._tables.get_table_client("failures").list_entities()])
        except ResourceNotFoundError:
            return 0

    async def poison(self, queue: str) -> list[datetime]:
        """Until when each message in the poison queue lives."""
        found = await self._queues.get_queue_client(f"{queue}-poison").peek_messages(max_messages=32)
        return [message.expires_on for message in found if message.expires_on is not None]

    async def contents(self) -> Contents:
        """Everything in every table, container and queue."""
        rows, blobs, queues = {}, {}, {}
        async for table in self._tables.list_tables():
            async for row in self._tables.get_table_client(table.name).list_entities(select=["PartitionKey", "RowKey"]):
                rows[f"{table.name}: {row['PartitionKey']}, {row['RowKey']}"] = str(row.metadata["etag"])
        async for container in self._blobs.list_containers():
            async for blob in self._blobs.get_container_client(container.name).list_blobs():
                blobs[f"{container.name}/{blob.name}"] = str(blob.etag)
        async for queue in self._queues.list_queues():
            properties = await self._queues.get_queue_client(queue.name).get_queue_properties()
            queues[queue.name] = properties.approximate_message_count or 0
        return Contents(rows, blobs, queues)
