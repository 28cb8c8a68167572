"""Connections, in memory: the current one of each user, and all there ever were."""

from collections import Counter
from datetime import datetime

from sync.domain import connection as rule
from sync.domain.connection import Connection
from tests.fakes.faults import Faults
from tests.fakes.versioned import VersionedRows


class FakeConnections:
    """Keeps `flows.ports.Connections`."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._current: VersionedRows[tuple[str, str], Connection] = VersionedRows()
        self._introduced: dict[str, Connection] = {}
        self._left: set[str] = set()

    async def of_user(self, account_id: str, user_id: str) -> Connection | None:
        """The user's current connection, in any state."""
        async with self._faults.at("connections.of_user"):
            return self._current.get((account_id, user_id))

    async def by_id(self, connection_id: str) -> Connection | None:
        """This connection; disconnected, as it was retired, once another has taken its place."""
        async with self._faults.at("connections.by_id"):
            known = self._introduced.get(connection_id)
            if known is None:
                return None
            current = self._current.get((known.account_id, known.user_id))
            if current is not None and current.connection_id == connection_id:
                return current
            return rule.disconnected(known)

    async def sharing(self, connection: Connection) -> list[Connection]:
        """The other live connections of the same mailbox that are told of it by the same subscription."""
        async with self._faults.at("connections.sharing"):
            return [other for other in self._others(connection) if rule.share_subscription(connection, other)]

    async def of_mailbox(self, connection: Connection) -> list[Connection]:
        """The other live connections of the same mailbox, in any account."""
        async with self._faults.at("connections.of_mailbox"):
            return self._others(connection)

    def _others(self, connection: Connection) -> list[Connection]:
        others = [c for c in self._current if c.connection_id not in (connection.connection_id, *self._left)]
        return [other for other in others if rule.same_mailbox(connection, other)]

    async def all_of(self, account_id: str, user_id: str) -> list[Connection]:
        """Every connection the user has or had: the current one, and the others as they were retired (disconnected)."""
        async with self._faults.at("connections.all_of"):
            current = self._current.get((account_id, user_id))
            had = [c for c in self._introduced.values() if (c.account_id, c.user_id) == (account_id, user_id)]
            return [
                current if current is not None and current.connection_id == c.connection_id else rule.disconnected(c)
                for c in had
            ]

    async def leave(self, connection: Connection) -> None:
        """An ended connection is not looked at any more when others of its mailbox are sought."""
        async with self._faults.at("connections.leave"):
            self._left.add(connection.connection_id)

    async def introduce(self, connection: Connection) -> None:
        """Keep who owns this new connection, before it is saved as the current one."""
        async with self._faults.at("connections.introduce"):
            self._introduced[connection.connection_id] = connection

    async def retire(self, connection: Connection) -> None:
        """Keep a connection that another is about to take the place of, so that what it opened can be closed."""
        async with self._faults.at("connections.retire"):
            self._introduced[connection.connection_id] = connection

    async def save(self, connection: Connection) -> Connection:
        """Insert it (no version) or replace the version read, which may be of the connection whose place it takes."""
        async with self._faults.at("connections.save"):
            write = self._current.insert if connection.version is None else self._current.replace
            return write((connection.account_id, connection.user_id), connection)

    async def standing(self, ends_before: datetime) -> tuple[dict[str, int], int]:
        """How many are in each state, and how many connected ones have a subscription that ends before then."""
        async with self._faults.at("connections.standing"):
            counts = Counter(connection.state for connection in self._current)
            ending = [
                connection
                for connection in self._current
                if connection.state is rule.State.CONNECTED
                and connection.subscription is not None
                and connection.subscription.expires_at < ends_before
            ]
            return {state.value: counts[state] for state in rule.State}, len(ending)

    async def a_tenant(self) -> str | None:
        """The tenant of some connected mailbox; None: there is none."""
        async with self._faults.at("connections.a_tenant"):
            tenants = [c.mailbox.tenant_id for c in self._current if c.state is rule.State.CONNECTED]
            return tenants[0] if tenants else None
