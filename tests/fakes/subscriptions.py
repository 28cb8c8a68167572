"""Graph's promises to tell us, in memory."""

from dataclasses import dataclass
from datetime import datetime
from itertools import count

from sync.domain import subscription as rule
from sync.domain.connection import Connection, Subscription
from sync.domain.errors import Gone
from tests.fakes.faults import Faults
from tests.fakes.graph_access import GraphAccess


@dataclass(frozen=True)
class Open:
    """An open subscription: whose mailbox it tells of, and with which clientState."""

    mailbox: tuple[str, str]
    client_state: str
    expires_at: datetime


class FakeSubscriptions:
    """Keeps `flows.ports.Subscriptions`. `open_ones`: what is open, by subscription id."""

    def __init__(self, graph: GraphAccess, faults: Faults) -> None:
        self._graph = graph
        self._faults = faults
        self._numbers = count(1)
        self.open_ones: dict[str, Open] = {}

    async def open(self, connection: Connection, *, client_state: str, now: datetime) -> Subscription:
        """A new subscription, or the mailbox's own where it has one already, as Graph allows no second."""
        await self._graph.let_in(connection)
        async with self._faults.at("subscriptions.open"):
            identity = connection.mailbox.identity
            for name, held in self.open_ones.items():
                if held.mailbox == identity and held.expires_at > now:
                    return self._kept(name, Open(identity, held.client_state, now + rule.MAX_LIFETIME), now)
            subscription_id = f"sub-{next(self._numbers)}"
            return self._kept(subscription_id, Open(identity, client_state, now + rule.MAX_LIFETIME), now)

    async def renew(self, connection: Connection, subscription: Subscription, *, now: datetime) -> Subscription:
        """A longer life; raises Gone where it has ended."""
        await self._graph.let_in(connection)
        async with self._faults.at("subscriptions.renew"):
            held = self.open_ones.get(subscription.subscription_id)
            if held is None or held.expires_at <= now:
                raise Gone
            longer = Open(held.mailbox, held.client_state, now + rule.MAX_LIFETIME)
            return self._kept(subscription.subscription_id, longer, now)

    async def close(self, connection: Connection, subscription: Subscription) -> None:
        """End it; no error where it has ended."""
        await self._graph.let_in(connection)
        async with self._faults.at("subscriptions.close"):
            self.open_ones.pop(subscription.subscription_id, None)

    def _kept(self, subscription_id: str, held: Open, now: datetime) -> Subscription:
        self.open_ones[subscription_id] = held
        return Subscription(subscription_id, held.expires_at, rule.renew_at(now, held.expires_at))
