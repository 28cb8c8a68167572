"""Graph's promises to tell us, in memory."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count

from sync.domain import subscription as rule
from sync.domain.connection import Connection, Subscription
from sync.domain.errors import Gone, OperatorAlarm, Unclear
from tests.fakes.faults import Faults
from tests.fakes.graph_access import GraphAccess


@dataclass(frozen=True)
class Open:
    """An open subscription: whose mailbox it tells of, with which clientState, until when, and of which kinds of change."""

    mailbox: tuple[str, str]
    client_state: str
    expires_at: datetime
    change_types: str = rule.CHANGE_TYPES


class FakeSubscriptions:
    """
    Keeps `flows.ports.Subscriptions`. `open_ones`: what is open, by subscription id.

    As Graph does it: one for each mailbox and set of change types, a second is refused.
    """

    def __init__(self, graph: GraphAccess, faults: Faults) -> None:
        self._graph = graph
        self._faults = faults
        self._numbers = count(1)
        self.open_ones: dict[str, Open] = {}
        self.encrypts_for = ""

    @property
    def certificate_id(self) -> str:
        """The certificate that it encrypts for, as a test has set it in `encrypts_for`; OperatorAlarm: it can't be read."""
        if self.encrypts_for == "unreadable":
            raise OperatorAlarm("NOTIFICATION_CERTIFICATES can't be used.")
        return self.encrypts_for

    async def open(self, connection: Connection, *, client_state: str, now: datetime) -> tuple[Subscription, bool]:
        """A subscription, and whether it was made just now; else it is the mailbox's own, with a longer life."""
        await self._graph.let_in(connection)
        async with self._faults.at("subscriptions.open"):
            if not self._taken(connection, rule.CHANGE_TYPES, now):
                return self._made(connection, client_state, rule.CHANGE_TYPES, now), True
            name = max(self._live(connection, now), key=lambda live: self.open_ones[live].expires_at)
            return self._kept(name, replace(self.open_ones[name], expires_at=now + rule.MAX_LIFETIME), now), False

    async def replace(
        self, connection: Connection, *, client_state: str, now: datetime, known: Collection[str]
    ) -> Subscription:
        """A new subscription beside the mailbox's own; one that is not `known` is closed where it stands in the way."""
        await self._graph.let_in(connection)
        async with self._faults.at("subscriptions.replace"):
            for _ in range(2):
                for change_types in (rule.CHANGE_TYPES, rule.OTHER_CHANGE_TYPES):
                    if not self._taken(connection, change_types, now):
                        return self._made(connection, client_state, change_types, now)
                for name in self._live(connection, now):
                    if name not in known:
                        del self.open_ones[name]
            raise Unclear

    async def renew(self, connection: Connection, subscription: Subscription, *, now: datetime) -> Subscription:
        """A longer life; raises Gone where it has ended."""
        await self._graph.let_in(connection)
        async with self._faults.at("subscriptions.renew"):
            held = self.open_ones.get(subscription.subscription_id)
            if held is None or held.expires_at <= now:
                raise Gone
            return self._kept(subscription.subscription_id, replace(held, expires_at=now + rule.MAX_LIFETIME), now)

    async def ours(self, connection: Connection, *, now: datetime) -> list[Subscription]:
        """Every subscription of this mailbox."""
        await self._graph.let_in(connection)
        async with self._faults.at("subscriptions.ours"):
            return [self._kept(name, self.open_ones[name], now) for name in self._live(connection, now)]

    async def close(self, connection: Connection, subscription: Subscription) -> None:
        """End it; no error where it has ended."""
        await self._graph.let_in(connection)
        async with self._faults.at("subscriptions.close"):
            self.open_ones.pop(subscription.subscription_id, None)

    def _live(self, connection: Connection, now: datetime) -> list[str]:
        identity = connection.mailbox.identity
        return [name for name, held in self.open_ones.items() if held.mailbox == identity and held.expires_at > now]

    def _taken(self, connection: Connection, change_types: str, now: datetime) -> bool:
        return any(self.open_ones[name].change_types == change_types for name in self._live(connection, now))

    def _made(self, connection: Connection, client_state: str, change_types: str, now: datetime) -> Subscription:
        made = Open(connection.mailbox.identity, client_state, now + rule.MAX_LIFETIME, change_types)
        return self._kept(f"sub-{next(self._numbers)}", made, now)

    def _kept(self, subscription_id: str, held: Open, now: datetime) -> Subscription:
        self.open_ones[subscription_id] = held
        return Subscription(subscription_id, held.expires_at, rule.renew_at(now, held.expires_at, subscription_id))
