"""
The stored sign-ins: one sealed token cache per connection, refreshed when needed, the newest always kept.

Entra ID rotates the refresh token at each use, and one that is not saved dies after 90 days. Two processes may refresh at the
same time: the cache is only written over the version that was read, and who comes second takes what the first one stored.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sync.adapters.blobs import Container
from sync.domain.connection import Connection
from sync.domain.errors import Conflict, ReconnectNeeded

#: A token with less life left than this is not used any more: a request under way must not outlive it.
LIFE_LEFT = timedelta(minutes=5)


class Refreshes(Protocol):
    """Who turns a token cache into an access token."""

    async def refresh(self, token_cache: str, home_account_id: str, *, force: bool) -> tuple[str, float, str | None]:
        """Token, life in seconds, and the cache where it changed."""


class Seals(Protocol):
    """Secrets at rest."""

    def seal(self, secret: str, *where: str) -> str:
        """Encrypt for a place."""

    def unseal(self, sealed: str, *where: str) -> str:
        """Decrypt from that place."""


@dataclass(frozen=True)
class _Warm:
    token: str
    expires_at: datetime


class SealedTokens:
    """Keeps `flows.ports.Tokens`."""

    def __init__(self, entra: Refreshes, sealing: Seals, blobs: Container, clock: Callable[[], datetime]) -> None:
        self._entra = entra
        self._sealing = sealing
        self._blobs = blobs
        self._clock = clock
        # By connection and sign-in: a new sign-in never meets a token of the old one.
        self._warm: dict[tuple[str, int], _Warm] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def keep(self, connection: Connection, token_cache: str) -> None:
        """Store a new sign-in of this connection."""
        await self._blobs.put(connection.connection_id, self._seal(connection, token_cache))

    async def access_token(self, connection: Connection, *, refused: str | None = None) -> str:
        """A token for Graph, refreshed where needed, and where Graph `refused` it; raises ReconnectNeeded, OperatorAlarm."""
        key = (connection.connection_id, connection.sign_ins)
        async with self._locks.setdefault(connection.connection_id, asyncio.Lock()):
            warm = self._warm.get(key)
            if warm and warm.token != refused and warm.expires_at - self._clock() > LIFE_LEFT:
                return warm.token
            token, life_s = await self._refreshed(connection, force=refused is not None)
            self._warm[key] = _Warm(token, self._clock() + timedelta(seconds=life_s))
            return token

    async def destroy(self, connection: Connection) -> None:
        """Destroy them; no error where there are none."""
        self._warm = {key: warm for key, warm in self._warm.items() if key[0] != connection.connection_id}
        await self._blobs.delete(connection.connection_id)

    async def _refreshed(self, connection: Connection, *, force: bool) -> tuple[str, float]:
        while True:
            stored = await self._blobs.get(connection.connection_id)
            if stored is None:
                raise ReconnectNeeded(cause="no stored sign-in")
            cache = self._sealing.unseal(stored[0].decode(), *_place(connection))
            token, life_s, changed = await self._entra.refresh(cache, connection.mailbox.home_account_id, force=force)
            if changed is None:
                return token, life_s
            try:
                await self._blobs.put(connection.connection_id, self._seal(connection, changed), version=stored[1])
            except Conflict:
                force = False  # another process stored a newer one: use that
                continue
            return token, life_s

    def _seal(self, connection: Connection, token_cache: str) -> bytes:
        return self._sealing.seal(token_cache, *_place(connection)).encode()


def _place(connection: Connection) -> tuple[str, ...]:
    return (connection.account_id, connection.connection_id, "token_cache")
