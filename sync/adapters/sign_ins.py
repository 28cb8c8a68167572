"""
The table `signins`. What is secret of a sign-in under way is sealed, and gone once it has ended.

    sign-in           <id>                a sign-in
    last|<account>    <user>              how the user's last one ended, where it did not end in a connection
    of|<account>      <user>|<id>         the sign-ins of a user
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime

from sync.adapters.rows import columns_of, value_of
from sync.adapters.tables import Tables
from sync.domain.sign_in import LastSignIn, SignIn


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
            of_user = {"PartitionKey": f"of|{sign_in.account_id}", "RowKey": f"{sign_in.user_id}|{sign_in.sign_in_id}"}
            await self._table.upsert({**of_user, "sign_in": sign_in.sign_in_id})
            return replace(sign_in, version=await self._table.insert(row))
        return replace(sign_in, version=await self._table.replace(row, sign_in.version))

    async def last(self, account_id: str, user_id: str) -> LastSignIn | None:
        """How the user's last sign-in ended, where it did not end in a connection."""
        found = await self._table.get(f"last|{account_id}", user_id)
        return value_of(LastSignIn, found[0]) if found else None

    async def keep_last(self, last: LastSignIn) -> None:
        """Keep how it ended, in the place of what was kept of an earlier one."""
        await self._table.upsert(
            {"PartitionKey": f"last|{last.account_id}", "RowKey": last.user_id, **columns_of(last)}
        )

    async def forget_last(self, account_id: str, user_id: str) -> None:
        """The user has connected since."""
        await self._table.delete(f"last|{account_id}", user_id)

    async def remove_of(self, account_id: str, user_id: str) -> None:
        """Remove all there is of this user's sign-ins."""
        partition = f"of|{account_id}"
        where = "PartitionKey eq @partition and RowKey gt @first and RowKey lt @end"
        rows = self._table.query(where, partition=partition, first=f"{user_id}|", end=f"{user_id}}}")
        for row in [row async for row, _ in rows]:
            await self._table.delete("sign-in", row["sign_in"])
            await self._table.delete(partition, row["RowKey"])
        await self.forget_last(account_id, user_id)

    async def expired(self, before: datetime) -> AsyncIterator[SignIn]:
        """Those of all users whose time was over before then."""
        where = "PartitionKey eq 'sign-in' and expires_at lt @before"
        async for row, version in self._table.query(where, before=before):
            yield value_of(SignIn, row, version)

    async def remove(self, sign_in: SignIn) -> None:
        """Remove one; no error where it is gone. The row itself goes last: as long as it is there, this can be done again."""
        await self._table.delete(f"of|{sign_in.account_id}", f"{sign_in.user_id}|{sign_in.sign_in_id}")
        await self._table.delete("sign-in", sign_in.sign_in_id)

    async def ends(self) -> AsyncIterator[LastSignIn]:
        """How the last sign-in of every user ended, where that is kept."""
        async for row, _ in self._table.query("PartitionKey gt 'last|' and PartitionKey lt 'last}'"):
            yield value_of(LastSignIn, row)
