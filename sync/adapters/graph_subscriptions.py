"""Graph's change notifications: open, renew, close (https://learn.microsoft.com/graph/api/resources/subscription)."""

import contextlib
from datetime import datetime, timedelta
from typing import Any

from sync.adapters.graph_client import GraphClient
from sync.adapters.graph_shapes import graph_time, time_of
from sync.domain import subscription as rule
from sync.domain.connection import Connection, Subscription
from sync.domain.errors import Declined, Gone


class GraphSubscriptions:
    """Keeps `flows.ports.Subscriptions`."""

    def __init__(self, graph: GraphClient, public_base_url: str, lifetime: timedelta) -> None:
        self._graph = graph
        self._notification_url = f"{public_base_url}/graph/notifications"
        self._lifecycle_url = f"{public_base_url}/graph/lifecycle"
        self._lifetime = lifetime

    async def open(self, connection: Connection, *, client_state: str, now: datetime) -> Subscription:
        """
        A new subscription, or the mailbox's own where it has one already (409), with a longer life.

        That was opened by a try whose answer was lost, or for another connection of this mailbox.
        """
        try:
            return await self._create(connection, client_state, now, self._lifetime)
        except Declined as declined:
            if declined.status == 409:
                with contextlib.suppress(Gone):
                    if (ours := await self._ours(connection, now)) is not None:
                        return await self.renew(connection, ours, now=now)
                return await self._create(connection, client_state, now, self._lifetime)
            if "expiration" in declined.detail.casefold() and self._lifetime > rule.FALLBACK_LIFETIME:
                return await self._create(connection, client_state, now, rule.FALLBACK_LIFETIME)
            raise

    async def renew(self, connection: Connection, subscription: Subscription, *, now: datetime) -> Subscription:
        """A longer life, by PATCH, which also renews its authorization; raises Gone where it has ended."""
        body = {"expirationDateTime": graph_time(now + self._lifetime)}
        try:
            renewed = await self._graph.request(connection, "PATCH", _path(subscription.subscription_id), json=body)
        except Declined as declined:
            if declined.code == "ErrorInvalidParameter":  # seen in the field for a subscription that has ended
                raise Gone(declined.detail) from declined
            raise
        return _subscription(renewed.json(), now)

    async def close(self, connection: Connection, subscription: Subscription) -> None:
        """End it; no error where it has ended."""
        await self._delete(connection, subscription.subscription_id)

    async def _delete(self, connection: Connection, subscription_id: str) -> None:
        with contextlib.suppress(Gone):
            await self._graph.request(connection, "DELETE", _path(subscription_id))

    async def _create(
        self, connection: Connection, client_state: str, now: datetime, lifetime: timedelta
    ) -> Subscription:
        body = {
            "changeType": rule.CHANGE_TYPES,
            "resource": rule.RESOURCE,
            "notificationUrl": self._notification_url,
            "lifecycleNotificationUrl": self._lifecycle_url,
            "clientState": client_state,
            "expirationDateTime": graph_time(now + lifetime),
            "latestSupportedTlsVersion": "v1_2",
        }
        made = await self._graph.request(connection, "POST", "/subscriptions", json=body)
        return _subscription(made.json(), now)

    async def _ours(self, connection: Connection, now: datetime) -> Subscription | None:
        """What this app has open for this mailbox at our own address."""
        found = await self._graph.request(connection, "GET", "/subscriptions")
        ours = [data for data in found.json()["value"] if data.get("notificationUrl") == self._notification_url]
        return _subscription(ours[0], now) if ours else None


def _subscription(data: dict[str, Any], now: datetime) -> Subscription:
    expires_at = time_of(data["expirationDateTime"])
    if expires_at is None:
        raise Declined("a subscription without an end", code="UnknownError", status=200)
    return Subscription(data["id"], expires_at, rule.renew_at(now, expires_at))


def _path(subscription_id: str) -> str:
    return f"/subscriptions/{subscription_id}"
