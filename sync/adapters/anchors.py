"""
The table `anchors`, a partition for each connection.

    <kind>|<hash of the key>    the thread it leads to
    known|<hash of a name>      the message of ours that a message of the mailbox is

Keys are hashed: conversation and message ids may hold characters that a row key can't.
"""

import asyncio
import itertools
from collections.abc import Sequence

from sync.adapters.tables import Tables
from sync.domain.errors import Conflict
from sync.domain.ids import key_hash
from sync.domain.thread_rule import Anchor, KeyKind

DELETES_AT_ONCE = 16


class AnchorsTable:
    """Keeps `flows.ports.Anchors`."""

    def __init__(self, tables: Tables) -> None:
        self._table = tables.table("anchors")

    async def find(self, connection_id: str, keys: Sequence[tuple[KeyKind, str]]) -> list[Anchor]:
        """The anchors that exist under these keys: point reads at the same time, the fastest that tables have."""

        async def read(kind: KeyKind, value: str) -> Anchor | None:
            found = await self._table.get(connection_id, f"{kind}|{key_hash(value)}")
            if found is None:
                return None
            row = found[0]
            return Anchor(kind, value, row["thread"], row["base_subject"])

        found = await asyncio.gather(*(read(kind, value) for kind, value in keys))
        return [anchor for anchor in found if anchor is not None]

    async def add(self, connection_id: str, anchors: Sequence[Anchor]) -> None:
        """Keep these anchors; a key that exists already stays as it is."""

        async def insert(anchor: Anchor) -> None:
            row = {
                "PartitionKey": connection_id,
                "RowKey": f"{anchor.kind}|{key_hash(anchor.value)}",
                "thread": anchor.thread_id,
                "base_subject": anchor.base_subject,
            }
            try:
                await self._table.insert(row)
            except Conflict:
                return

        await asyncio.gather(*(insert(anchor) for anchor in anchors))

    async def message_of(self, connection_id: str, name: str) -> str | None:
        """The id of our message that this name (a Graph id, an internet message id) was remembered for; an empty name: None."""
        found = await self._table.get(connection_id, f"known|{key_hash(name)}") if name else None
        return str(found[0]["message"]) if found else None

    async def remember(self, connection_id: str, name: str, message_id: str) -> None:
        """Keep which message of ours a message of the mailbox is."""
        await self._table.upsert(
            {"PartitionKey": connection_id, "RowKey": f"known|{key_hash(name)}", "message": message_id}
        )

    async def count(self, connection_id: str) -> int:
        """How many keys there are; what was remembered is not counted."""
        where = "PartitionKey eq @connection and (RowKey lt 'known|' or RowKey gt 'known}')"
        return sum([1 async for _ in self._table.query(where, select=["RowKey"], connection=connection_id)])

    async def remove_all(self, connection_id: str) -> None:
        """Remove every key, and all that was remembered."""
        rows = self._table.query("PartitionKey eq @connection", select=["RowKey"], connection=connection_id)
        names = [row["RowKey"] async for row, _ in rows]
        for some in itertools.batched(names, DELETES_AT_ONCE, strict=False):
            await asyncio.gather(*(self._table.delete(connection_id, name) for name in some))
