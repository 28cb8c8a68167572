"""
The book of who was told of their mailbox, and when: as Graph has it, not as the app believes.

A connection is told while Graph has an open, unexpired subscription whose clientState is taken, and which names it or a
connection that passes on to it what comes.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from sync.domain.connection import Connection, share_subscription
from sync.domain.notification import connection_of
from tests.fakes.mail import Identity
from tests.unit.flows.month_weather import Weather
from tests.unit.flows.world import World

#: From when to when.
type Span = tuple[datetime, datetime]


class Ledger:
    """Whether each connection was told, from when on."""

    def __init__(self, world: World, weather: Weather) -> None:
        self._world = world
        self._weather = weather
        self._mailboxes: dict[str, Identity] = {}
        self._connections: defaultdict[Identity, list[str]] = defaultdict(list)
        self._changes: defaultdict[str, list[tuple[datetime, bool]]] = defaultdict(list)

    def follow(self, connection: Connection) -> None:
        """Keep book of this connection from now on, unless it is kept already; it is not told yet."""
        if connection.connection_id in self._mailboxes:
            return
        self._mailboxes[connection.connection_id] = connection.mailbox.identity
        self._connections[connection.mailbox.identity].append(connection.connection_id)
        self._changes[connection.connection_id].append((self._world.clock(), False))

    def mailbox_of(self, connection_id: str) -> Identity:
        """The mailbox of a connection that is followed."""
        return self._mailboxes[connection_id]

    def is_told(self, connection_id: str) -> bool:
        """Whether it is told now."""
        return self._changes[connection_id][-1][1]

    def untold(self, connection_id: str, begin: datetime, end: datetime) -> list[Span]:
        """When in this time it was not told."""
        changes = [*self._changes[connection_id], (max(end, self._world.clock()), True)]
        spans = [(since, until) for (since, told), (until, _) in pairwise(changes) if not told]
        cut = [(max(since, begin), min(until, end)) for since, until in spans]
        return [(since, until) for since, until in cut if since < until]

    async def look(self, mailbox: Identity, signing_keys: Sequence[bytes]) -> datetime | None:
        """Write down who of this mailbox is told now; returns when one of its subscriptions ends if nobody renews it."""
        now = self._world.clock()
        held = [s for s in self._world.subscriptions.open_ones.values() if s.mailbox == mailbox and s.expires_at > now]
        with self._weather.calm():
            named = [await self._row(connection_of(one.client_state, signing_keys)) for one in held]
            for connection_id in self._connections[mailbox]:
                connection = await self._row(connection_id)
                assert connection is not None
                told = any(_passes_on(one, connection) for one in named if one is not None)
                if told != self.is_told(connection_id):
                    self._changes[connection_id].append((now, told))
        return min((one.expires_at for one in held), default=None)

    async def _row(self, connection_id: str | None) -> Connection | None:
        return await self._world.connections.by_id(connection_id) if connection_id is not None else None


def _passes_on(named: Connection, connection: Connection) -> bool:
    return named.connection_id == connection.connection_id or share_subscription(named, connection)


def length(spans: Sequence[Span]) -> timedelta:
    """All of them together."""
    return sum((until - since for since, until in spans), timedelta())
