"""
What of the table `journal` grows old: found by age, and removed.

    emptied    up to which number the events of the feed have been emptied
    attempts   up to which number they have no attempts any more

Accounts are not listed anywhere: the first row behind the last key that an account can have is the next account's. That is one
request for each account and day, where a list would be one more write, and one more truth, with each account's first row.
"""

import asyncio
import itertools
from datetime import datetime

from sync.adapters.journal_rows import batch_row, end_of, row_of
from sync.adapters.rows import value_of
from sync.adapters.tables import Table
from sync.domain.batch import Batch
from sync.domain.message import Message
from sync.domain.retention import Mark, MarkKind

#: Messages that are looked at in one go.
PAGE = 200
DELETES_AT_ONCE = 16


class AgeingRows:
    """The part of `flows.ports.Journal` that is about age."""

    _table: Table

    async def next_account(self, after: str) -> str | None:
        """The first account behind this one, in the order of their ids, that has anything here."""
        async for row, _ in self._table.query("PartitionKey gt @after", 1, ["PartitionKey"], after=after):
            return str(row["PartitionKey"])
        return None

    async def messages_before(self, account_id: str, before: datetime, place: str) -> tuple[list[Message], str]:
        """Some messages that happened before then, and the place to go on from."""
        where = "PartitionKey eq @account and RowKey gt 'message|' and RowKey lt 'message}' and at lt @before"
        rows, onward = await self._table.page(where, PAGE, place, account=account_id, before=before)
        return [value_of(Message, row, version) for row, version in rows], onward

    async def batches(self, account_id: str, after: str, limit: int) -> list[Batch]:
        """Batches in the order of their ids, from behind `after`."""
        where = "PartitionKey eq @account and RowKey gt @first and RowKey lt @end"
        rows = self._table.query(where, limit, account=account_id, first=f"batch|{after}", end=end_of("batch|"))
        return [value_of(Batch, row, version) async for row, version in rows]

    async def remove_batch(self, batch: Batch) -> None:
        """Remove a batch; no error where it is gone."""
        await self._table.delete(batch.account_id, batch_row(batch)["RowKey"])

    async def remove_keys(self, account_id: str, now: datetime) -> None:
        """Remove the idempotency keys whose time is over."""
        where = "PartitionKey eq @account and RowKey gt 'key|' and RowKey lt 'key}' and expires_at lt @now"
        found = self._table.query(where, select=["RowKey"], account=account_id, now=now)
        keys = [row["RowKey"] async for row, _ in found]
        for some in itertools.batched(keys, DELETES_AT_ONCE, strict=False):
            await asyncio.gather(*(self._table.delete(account_id, key) for key in some))

    async def mark(self, account_id: str, kind: MarkKind) -> Mark:
        """How far the account's feed is done with; a new mark where that was not kept yet."""
        found = await self._table.get(account_id, kind)
        return Mark(account_id, kind, int(found[0]["sequence"]), found[1]) if found else Mark(account_id, kind)

    async def save_mark(self, mark: Mark) -> None:
        """Insert it (no version) or replace the version read; raises Conflict."""
        row = row_of(mark.account_id, mark.kind, sequence=mark.sequence)
        await (self._table.insert(row) if mark.version is None else self._table.replace(row, mark.version))
