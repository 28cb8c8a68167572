"""
The table `paces`: a row for each mailbox through which emails are sent, with its tickets.

A mailbox has one pace whoever sends through it, also where several accounts are connected to it.
"""

from collections.abc import AsyncIterator

from sync.adapters.rows import columns_of, value_of
from sync.adapters.tables import Tables
from sync.domain.ids import mailbox_key
from sync.domain.pace import Pace


class PacesTable:
    """Keeps `flows.ports.Paces`."""

    def __init__(self, tables: Tables) -> None:
        self._table = tables.table("paces")

    async def of_mailbox(self, mailbox: tuple[str, str]) -> Pace:
        """The mailbox's pace; a new one where nothing was sent yet."""
        name = mailbox_key(mailbox)
        found = await self._table.get(name, "pace")
        return value_of(Pace, found[0], found[1]) if found else Pace(name)

    async def save(self, pace: Pace) -> None:
        """Insert it (no version) or replace the version read; raises Conflict."""
        row = {"PartitionKey": pace.mailbox, "RowKey": "pace", **columns_of(pace)}
        if pace.version is None:
            await self._table.insert(row)
        else:
            await self._table.replace(row, pace.version)

    async def every(self) -> AsyncIterator[Pace]:
        """The paces of all mailboxes."""
        async for row, version in self._table.query("RowKey eq 'pace'"):
            yield value_of(Pace, row, version)

    async def remove(self, pace: Pace) -> None:
        """Remove it, unless it was changed since it was read."""
        await self._table.delete_version(pace.mailbox, "pace", pace.version or "*")
