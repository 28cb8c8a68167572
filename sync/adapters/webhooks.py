"""
The table `webhook`: how it stands with the CRM's webhook, and the events that are undelivered.

    webhook | state                                  the one row for the whole app
    undelivered | <account>|<10 digits>              an event of the list, at its place in the account's feed

The list has one partition for all accounts, so that what is undelivered is found without looking through every feed.
"""

from dataclasses import replace
from datetime import datetime

from sync.adapters.rows import columns_of, value_of
from sync.adapters.tables import Tables
from sync.domain.webhook import Undelivered, Webhook


class WebhooksTable:
    """Keeps `flows.ports.Webhooks`."""

    def __init__(self, tables: Tables) -> None:
        self._table = tables.table("webhook")

    async def state(self) -> Webhook | None:
        """What was stored last."""
        found = await self._table.get("webhook", "state")
        return value_of(Webhook, found[0], found[1]) if found else None

    async def save(self, webhook: Webhook) -> Webhook:
        """Insert it (no version) or replace the version read; raises Conflict."""
        row = {"PartitionKey": "webhook", "RowKey": "state", **columns_of(webhook)}
        if webhook.version is None:
            version = await self._table.insert(row)
        else:
            version = await self._table.replace(row, webhook.version)
        return replace(webhook, version=version)

    async def list_undelivered(self, event: Undelivered) -> None:
        """Put an event on the list, in the place of an earlier entry for it."""
        key = _key(event.account_id, event.sequence)
        await self._table.upsert(
            {"PartitionKey": "undelivered", "RowKey": key, "left_at": event.at, **columns_of(event)}
        )

    async def undelivered(self, since: datetime, limit: int) -> list[Undelivered]:
        """Those that became undelivered since then, account by account, each in the order of its feed."""
        rows = self._table.query("PartitionKey eq 'undelivered' and left_at ge @since", limit, since=since)
        return [value_of(Undelivered, row) async for row, _ in rows]

    async def forget_undelivered(self, account_id: str, sequence: int) -> None:
        """Take an event off the list; no error where it is not on it."""
        await self._table.delete("undelivered", _key(account_id, sequence))

    async def count_undelivered(self) -> int:
        """How many are on the list."""
        rows = self._table.query("PartitionKey eq 'undelivered'", select=["RowKey"])
        return sum([1 async for _ in rows])


def _key(account_id: str, sequence: int) -> str:
    return f"{account_id}|{sequence:010d}"
