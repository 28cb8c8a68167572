"""
Graph's change notifications: open, renew, close (https://learn.microsoft.com/graph/api/resources/subscription).

Where there is a certificate, Graph encrypts the keys of a message for it and sends them along
(https://learn.microsoft.com/graph/outlook-change-notifications-overview): the same that would be asked for else.
"""

import base64
import contextlib
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
from typing import Any

import httpx

from sync.adapters.certificates import NotificationCertificates
from sync.adapters.graph_client import GraphClient
from sync.adapters.graph_shapes import KEYS_QUERY, graph_time, time_of
from sync.domain import subscription as rule
from sync.domain.connection import Connection, Subscription
from sync.domain.errors import Declined, Gone, Unclear

Ask = Callable[[dict[str, str]], Awaitable[httpx.Response]]


class GraphSubscriptions:
    """Keeps `flows.ports.Subscriptions`."""

    def __init__(
        self,
        graph: GraphClient,
        public_base_url: str,
        lifetime: timedelta,
        certificates: NotificationCertificates | None = None,
    ) -> None:
        self._graph = graph
        self._certificates = certificates
        self._notification_url = f"{public_base_url}/graph/notifications"
        self._lifecycle_url = f"{public_base_url}/graph/lifecycle"
        self._lifetime = lifetime

    @property
    def certificate_id(self) -> str:
        """The certificate that Graph encrypts for; empty: it tells ids only. Raises OperatorAlarm where none can be read."""
        return self._certificates.newest.certificate_id if self._certificates is not None else ""

    async def open(self, connection: Connection, *, client_state: str, now: datetime) -> tuple[Subscription, bool]:
        """
        A subscription, and whether it was made just now.

        Else the mailbox had one of ours already (409), opened by a try whose answer was lost or for another connection: that has
        a longer life now.
        """
        try:
            return await self._create(connection, client_state, now, rule.CHANGE_TYPES), True
        except Declined as declined:
            if declined.status != 409:
                raise
        with contextlib.suppress(Gone):
            if ours := await self.ours(connection, now=now):
                youngest = max(ours, key=lambda subscription: subscription.expires_at)
                return await self.renew(connection, youngest, now=now), False
        return await self._create(connection, client_state, now, rule.CHANGE_TYPES), True

    async def replace(
        self, connection: Connection, *, client_state: str, now: datetime, known: Collection[str]
    ) -> Subscription:
        """
        A new subscription beside the mailbox's own, which goes on telling us until it is closed.

        `known`: the ids of those in use; one that nobody uses is closed where it stands in the way.
        """
        made = await self._beside(connection, client_state, now)
        if made is None:
            for other in await self.ours(connection, now=now):
                if other.subscription_id not in known:
                    await self.close(connection, other)
            made = await self._beside(connection, client_state, now)
        if made is None:
            raise Unclear("the mailbox has no room for a subscription beside those in use")
        return made

    async def renew(self, connection: Connection, subscription: Subscription, *, now: datetime) -> Subscription:
        """A longer life, by PATCH, which also renews its authorization; raises Gone where it has ended."""
        path = _path(subscription.subscription_id)
        try:
            renewed = await self._for_as_long_as_allowed(
                now, lambda expiry: self._graph.request(connection, "PATCH", path, json=expiry)
            )
        except Declined as declined:
            if declined.code == "ErrorInvalidParameter":  # seen in the field for a subscription that has ended
                raise Gone(declined.detail) from declined
            raise
        return _subscription(renewed.json(), now)

    async def ours(self, connection: Connection, *, now: datetime) -> list[Subscription]:
        """Every subscription of this mailbox that this app has open at its own address."""
        found = await self._graph.request(connection, "GET", "/subscriptions")
        ours = [data for data in found.json()["value"] if data.get("notificationUrl") == self._notification_url]
        return [_subscription(data, now) for data in ours]

    async def close(self, connection: Connection, subscription: Subscription) -> None:
        """End it; no error where it has ended."""
        with contextlib.suppress(Gone):
            await self._graph.request(connection, "DELETE", _path(subscription.subscription_id))

    async def _beside(self, connection: Connection, client_state: str, now: datetime) -> Subscription | None:
        """A new one with the set of change types that is free; None where neither is."""
        for change_types in (rule.CHANGE_TYPES, rule.OTHER_CHANGE_TYPES):
            try:
                return await self._create(connection, client_state, now, change_types)
            except Declined as declined:
                if declined.status != 409:
                    raise
        return None

    async def _create(
        self, connection: Connection, client_state: str, now: datetime, change_types: str
    ) -> Subscription:
        wanted = {
            "changeType": change_types,
            "resource": rule.RESOURCE,
            "notificationUrl": self._notification_url,
            "lifecycleNotificationUrl": self._lifecycle_url,
            "clientState": client_state,
            "latestSupportedTlsVersion": "v1_2",
            **self._rich(),
        }
        made = await self._for_as_long_as_allowed(
            now, lambda expiry: self._graph.request(connection, "POST", "/subscriptions", json=wanted | expiry)
        )
        return _subscription(made.json(), now)

    def _rich(self) -> dict[str, object]:
        """What a rich subscription asks for: the query is a part of what it is about."""
        if self._certificates is None:
            return {}
        certificate = self._certificates.newest
        query = "&".join(f"{option}={value}" for option, value in KEYS_QUERY.items())
        return {
            "resource": f"{rule.RESOURCE}?{query}",
            "includeResourceData": True,
            "encryptionCertificate": base64.b64encode(certificate.der).decode(),
            "encryptionCertificateId": certificate.certificate_id,
        }

    async def _for_as_long_as_allowed(self, now: datetime, ask: Ask) -> httpx.Response:
        """Ask for our lifetime, and where Graph refuses that expiry, for the shorter one of older tenants."""
        try:
            return await ask({"expirationDateTime": graph_time(now + self._lifetime)})
        except Declined as declined:
            if "expiration" not in declined.detail.casefold() or self._lifetime <= rule.FALLBACK_LIFETIME:
                raise
            return await ask({"expirationDateTime": graph_time(now + rule.FALLBACK_LIFETIME)})


def _subscription(data: dict[str, Any], now: datetime) -> Subscription:
    expires_at = time_of(data["expirationDateTime"])
    if expires_at is None:
        raise Declined("a subscription without an end", code="UnknownError", status=200)
    return Subscription(data["id"], expires_at, rule.renew_at(now, expires_at, data["id"]))


def _path(subscription_id: str) -> str:
    return f"/subscriptions/{subscription_id}"
