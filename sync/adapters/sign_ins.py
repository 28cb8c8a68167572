"""The table `signins`: sign-ins, one row each. What is secret of one under way is sealed, and gone once it has ended."""

from dataclasses import replace

from sync.adapters.rows import columns_of, value_of
from sync.adapters.tables import Tables
from sync.domain.sign_in import SignIn


class SignInsTable:
    """Keeps `flows.ports.SignIns`."""

    def __init__(self, tables: Tables) -> None:
        self._table = tables.table("signins")

    async def get(self, sign_in_id: str) -> SignIn | None:
        """The sign-in with this id."""
        found = await self._table.get("sign-in", sign_in_id)
        return value_of(SignIn, *found) if found else None

    async def save(self, sign_in: SignIn) -> SignIn:
        """Insert it (no version) or replace the version read."""
        row = {
            "PartitionKey": "sign-in",
            "RowKey": sign_in.sign_in_id,
            "expires_at": sign_in.expires_at,
            **columns_of(sign_in),
        }
        if sign_in.version is None:
            return replace(sign_in, version=await self._table.insert(row))
        return replace(sign_in, version=await self._table.replace(row, sign_in.version))
