"""
Azure Table Storage: one client per process, tables made on first use, and the few operations that rows are kept with.

Concurrency control is by ETag on single entities; inside a transaction only "insert if absent" is relied on, which Azurite
keeps too (it ignores If-Match there, https://github.com/Azure/Azurite/issues/1233).
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient, TableServiceClient

from sync.adapters.rows import Row
from sync.domain.errors import Conflict

#: https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model (characters disallowed in keys)
_IMPOSSIBLE_IN_KEY = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f]")
MAX_KEY_CHARS = 512  # 1 KiB of UTF-16

Change = tuple[Literal["create", "upsert"], Row]


class TransactionConflict(Exception):
    """A row to insert is there already; nothing was written. `index`: which of the changes."""

    def __init__(self, index: int) -> None:
        super().__init__(f"change {index} of the transaction meets a row that exists")
        self.index = index


class Tables:
    """The storage account's tables. `prefix` sets a test's tables apart."""

    def __init__(self, client: TableServiceClient, prefix: str = "") -> None:
        self._client = client
        self._prefix = prefix
        self._tables: dict[str, Table] = {}

    def table(self, name: str) -> "Table":
        """The table with this name; it is made when it is first used."""
        if name not in self._tables:
            self._tables[name] = Table(self._client, self._prefix + name)
        return self._tables[name]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class Table:
    """One table."""

    def __init__(self, service: TableServiceClient, name: str) -> None:
        self._service = service
        self._client: TableClient = service.get_table_client(name)
        self._made = False
        self._making = asyncio.Lock()

    async def get(self, partition: str, row: str) -> tuple[Row, str] | None:
        """A row with its ETag. No row has a key that tables can't hold, so that such a key, come from outside, finds none."""
        if _IMPOSSIBLE_IN_KEY.search(row) or len(row) > MAX_KEY_CHARS:
            return None
        await self._ensure_made()
        try:
            entity = await self._client.get_entity(partition, row)
        except ResourceNotFoundError:
            return None
        return dict(entity), str(entity.metadata["etag"])

    async def insert(self, row: Row) -> str:
        """A new row; returns its ETag, raises Conflict where it exists."""
        await self._ensure_made()
        try:
            return str((await self._client.create_entity(row))["etag"])
        except ResourceExistsError as error:
            raise Conflict from error

    async def replace(self, row: Row, version: str) -> str:
        """Replace the version read; returns the new ETag, raises Conflict where it was changed or deleted."""
        await self._ensure_made()
        try:
            done = await self._client.update_entity(
                row, mode=UpdateMode.REPLACE, etag=version, match_condition=MatchConditions.IfNotModified
            )
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            raise Conflict from error
        return str(done["etag"])

    async def upsert(self, row: Row) -> str:
        """Insert or replace; returns the new ETag."""
        await self._ensure_made()
        return str((await self._client.upsert_entity(row, mode=UpdateMode.REPLACE))["etag"])

    async def delete(self, partition: str, row: str) -> None:
        """Delete, if it is there."""
        await self._ensure_made()
        await self._client.delete_entity(partition, row)

    async def delete_version(self, partition: str, row: str, version: str) -> None:
        """Delete the version read, if it is there; one that was changed since stays."""
        await self._ensure_made()
        with contextlib.suppress(ResourceModifiedError, ResourceNotFoundError):
            await self._client.delete_entity(
                partition, row, etag=version, match_condition=MatchConditions.IfNotModified
            )

    async def transact(self, changes: Sequence[Change]) -> None:
        """All or nothing, in one partition; raises TransactionConflict."""
        await self._ensure_made()
        try:
            await self._client.submit_transaction(
                [
                    (kind, row) if kind == "create" else (kind, row, {"mode": UpdateMode.REPLACE})
                    for kind, row in changes
                ]
            )
        except TableTransactionError as error:
            if error.status_code == 409:
                raise TransactionConflict(error.index) from error
            raise

    async def query(
        self, where: str, limit: int | None = None, select: list[str] | None = None, **values: Any
    ) -> AsyncIterator[tuple[Row, str]]:
        """Rows in key order with their ETags. `where` names its values as `@name` (no value is ever part of the text)."""
        await self._ensure_made()
        page = min(limit or 1000, 1000)
        found = self._client.query_entities(where, parameters=values, results_per_page=page, select=select)
        count = 0
        async for entity in found:
            yield dict(entity), str(entity.metadata.get("etag", ""))
            count += 1
            if count == limit:
                return

    async def page(self, where: str, size: int, place: str, **values: Any) -> tuple[list[tuple[Row, str]], str]:
        """
        As `query`: at most `size` rows from a place on (empty: the beginning), and the place to go on from (empty: the end).

        Storage ends a page that takes it more than 5 s, also an empty one
        (https://learn.microsoft.com/rest/api/storageservices/query-timeout-and-pagination).
        """
        await self._ensure_made()
        found = self._client.query_entities(where, parameters=values, results_per_page=size)
        pages = found.by_page(json.loads(place) if place else None)
        async for entities in pages:
            rows = [(dict(entity), str(entity.metadata.get("etag", ""))) async for entity in entities]
            onward = getattr(pages, "continuation_token", None)
            return rows, json.dumps(onward, separators=(",", ":")) if onward else ""
        return [], ""

    async def _ensure_made(self) -> None:
        if self._made:
            return
        async with self._making:
            if not self._made:
                await self._service.create_table_if_not_exists(self._client.table_name)
                self._made = True
