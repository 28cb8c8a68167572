"""
The table `connections`.

    account|<account>    user|<user>         the user's current connection: one row, so that taking over and ending are one write
    account|<account>    had|<user>|<id>     the connections the user has or had
    connection|<id>      owner               whose connection that is or was; once another took its place, how it was then
    mailbox|<hash>       <id>                the connections to a mailbox that have not ended
"""

from dataclasses import replace
from datetime import datetime

from sync.adapters.rows import Row, columns_of, value_of
from sync.adapters.tables import Tables
from sync.domain import connection as rule
from sync.domain.connection import Connection
from sync.domain.ids import mailbox_key


class ConnectionsTable:
    """Keeps `flows.ports.Connections`."""

    def __init__(self, tables: Tables) -> None:
        self._table = tables.table("connections")
        # Who owns a connection never changes.
        self._owners: dict[str, tuple[str, str]] = {}

    async def of_user(self, account_id: str, user_id: str) -> Connection | None:
        """The user's current connection, in any state."""
        found = await self._table.get(f"account|{account_id}", f"user|{user_id}")
        return value_of(Connection, *found) if found else None

    async def by_id(self, connection_id: str) -> Connection | None:
        """This connection; disconnected, as it was retired, once another has taken its place."""
        owner = self._owners.get(connection_id)
        if owner is None:
            row = await self._owner_row(connection_id)
            if row is None:
                return None
            owner = self._owners[connection_id] = (row["account"], row["user"])
        current = await self.of_user(*owner)
        if current is not None and current.connection_id == connection_id:
            return current
        row = await self._owner_row(connection_id)
        return rule.disconnected(value_of(Connection, row)) if row is not None else None

    async def sharing(self, connection: Connection) -> list[Connection]:
        """The other live connections of the same mailbox that are told of it by the same subscription."""
        return [other for other in await self.of_mailbox(connection) if rule.share_subscription(connection, other)]

    async def of_mailbox(self, connection: Connection) -> list[Connection]:
        """The other live connections of the same mailbox, in any account."""
        rows = self._table.query("PartitionKey eq @mailbox", select=["RowKey"], mailbox=_mailbox(connection))
        ids = [row["RowKey"] async for row, _ in rows if row["RowKey"] != connection.connection_id]
        others = [await self.by_id(connection_id) for connection_id in ids]
        return [other for other in others if other is not None and rule.same_mailbox(connection, other)]

    async def all_of(self, account_id: str, user_id: str) -> list[Connection]:
        """Every connection the user has or had: the current one, and the others as they were retired (disconnected)."""
        # User ids hold no "|", and "}" is the character behind it: the range is this user's alone.
        where = "PartitionKey eq @account and RowKey gt @first and RowKey lt @end"
        account, first, end = f"account|{account_id}", f"had|{user_id}|", f"had|{user_id}}}"
        rows = self._table.query(where, select=["connection"], account=account, first=first, end=end)
        found = [await self.by_id(row["connection"]) async for row, _ in rows]
        return [connection for connection in found if connection is not None]

    async def leave(self, connection: Connection) -> None:
        """An ended connection is not looked at any more when others of its mailbox are sought."""
        await self._table.delete(_mailbox(connection), connection.connection_id)

    async def introduce(self, connection: Connection) -> None:
        """Keep who owns this new connection, before it is saved as the current one."""
        await self._table.upsert(self._owner(connection))
        await self._table.upsert({"PartitionKey": _mailbox(connection), "RowKey": connection.connection_id})
        await self._table.upsert(
            {
                "PartitionKey": f"account|{connection.account_id}",
                "RowKey": f"had|{connection.user_id}|{connection.connection_id}",
                "connection": connection.connection_id,
            }
        )

    async def retire(self, connection: Connection) -> None:
        """Keep a connection that another is about to take the place of, so that what it opened can be closed."""
        await self._table.upsert(self._owner(connection))

    async def save(self, connection: Connection) -> Connection:
        """Insert it (no version) or replace the version read, which may be of the connection whose place it takes."""
        row: Row = {
            "PartitionKey": f"account|{connection.account_id}",
            "RowKey": f"user|{connection.user_id}",
            "connection": connection.connection_id,
            "state": connection.state.value,
            **({"watched_until": held.expires_at} if (held := connection.subscription) else {}),
            **columns_of(connection),
        }
        if connection.version is None:
            return replace(connection, version=await self._table.insert(row))
        return replace(connection, version=await self._table.replace(row, connection.version))

    async def standing(self, ends_before: datetime) -> tuple[dict[str, int], int]:
        """How many are in each state, and how many connected ones have a subscription that ends before then."""
        counts = {state.value: 0 for state in rule.State}
        ending = 0
        users = self._table.query("RowKey ge 'user|' and RowKey lt 'user}'", select=["state", "watched_until"])
        async for row, _ in users:
            counts[row["state"]] += 1
            # A row that was last written before there was this column has it from its next renewal on.
            until = row.get("watched_until")
            ending += row["state"] == rule.State.CONNECTED and until is not None and until < ends_before
        return counts, ending

    async def a_tenant(self) -> str | None:
        """The tenant of some connected mailbox; None: there is none."""
        where = "RowKey ge 'user|' and RowKey lt 'user}' and state eq @state"
        async for row, version in self._table.query(where, 1, state=rule.State.CONNECTED.value):
            return value_of(Connection, row, version).mailbox.tenant_id
        return None

    async def _owner_row(self, connection_id: str) -> Row | None:
        found = await self._table.get(f"connection|{connection_id}", "owner")
        return found[0] if found else None

    @staticmethod
    def _owner(connection: Connection) -> Row:
        return {
            "PartitionKey": f"connection|{connection.connection_id}",
            "RowKey": "owner",
            "account": connection.account_id,
            "user": connection.user_id,
            **columns_of(connection),
        }


def _mailbox(connection: Connection) -> str:
    return f"mailbox|{mailbox_key(connection.mailbox.identity)}"
