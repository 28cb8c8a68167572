"""
The table `providers`: one row for each account, its password sealed to the account.

    account|<account>    provider    the account's own email provider

A password sealed with an older key is sealed anew when it is read, so that the old key can go.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from sync.adapters.rows import Row, columns_of, value_of
from sync.adapters.tables import Tables
from sync.domain.errors import Conflict, OperatorAlarm
from sync.domain.provider import Provider


class Seals(Protocol):
    """Secrets at rest."""

    def seal(self, secret: str, *where: str) -> str:
        """Encrypt for a place, with the newest key."""

    def unseal(self, sealed: str, *where: str) -> str:
        """Decrypt from that place; raises ValueError."""

    def is_newest(self, sealed: str) -> bool:
        """Whether the newest key sealed it."""


class ProvidersTable:
    """Keeps `flows.ports.Providers`."""

    def __init__(self, tables: Tables, sealing: Seals) -> None:
        self._table = tables.table("providers")
        self._sealing = sealing

    async def of_account(self, account_id: str) -> Provider | None:
        """The account's provider, its password unsealed; raises OperatorAlarm where that can't be done."""
        found = await self._table.get(f"account|{account_id}", "provider")
        if found is None:
            return None
        stored = value_of(Provider, *found)
        if not stored.password:
            return stored
        opened = replace(stored, password=self._opened(stored))
        if self._sealing.is_newest(stored.password):
            return opened
        with suppress(Conflict):  # somebody saved another meanwhile, sealed with the newest key anyway
            return replace(opened, version=await self._table.replace(self._row(opened), found[1]))
        return opened

    async def save(self, provider: Provider) -> Provider:
        """Put it in the place of whatever was there."""
        return replace(provider, version=await self._table.upsert(self._row(provider)))

    async def remove(self, account_id: str) -> None:
        """Forget it; no error where there is none."""
        await self._table.delete(f"account|{account_id}", "provider")

    def _row(self, provider: Provider) -> Row:
        sealed = self._sealing.seal(provider.password, *_place(provider)) if provider.password else ""
        return {
            "PartitionKey": f"account|{provider.account_id}",
            "RowKey": "provider",
            **columns_of(replace(provider, password=sealed)),
        }

    def _opened(self, stored: Provider) -> str:
        try:
            return self._sealing.unseal(stored.password, *_place(stored))
        except ValueError as error:
            raise OperatorAlarm(
                f"The stored password of the provider of account {stored.account_id} can't be opened: {error}."
                " Setting the provider anew replaces it."
            ) from error


def _place(provider: Provider) -> tuple[str, ...]:
    return (provider.account_id, "provider", "password")
