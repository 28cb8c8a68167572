"""
The stored sign-ins: one sealed token cache per connection, in a blob that all workers share.

Entra ID gives a new refresh token with each refresh. The one before dies 90 days after its issue, or at its first use, so the
newest has to be kept (https://learn.microsoft.com/entra/identity-platform/refresh-tokens). Therefore one refresh at a time, over
all workers:

    memory    a good token is handed out; calls that come while one is being got wait for it, and share its failure
    blob      else the blob is read: another worker's token is as good as our own, and costs no call to Entra ID
    lease     else the blob is leased in the version read, a token asked for, the new cache stored, the lease released;
              who finds it leased looks at the blob again every moment until the token is there

And what may come between:

    the worker dies                    its lease ends after a minute, then the next one refreshes
    the lease ends during the refresh  what was got is stored all the same, over the version read
    a new sign-in, a delete            they take the lease away; what the refresh got is not stored, and the blob read again
    a call is given up                 its refresh goes on to the end, or a token that is new at Entra ID would be lost here
    Entra ID refuses                   believed only while the blob is still the one read
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sync.adapters.blobs import Container, Leased
from sync.domain.connection import Connection
from sync.domain.errors import Conflict, OperatorAlarm, ReconnectNeeded, Unclear

#: A token with less life left than this is not used any more: a request under way must not outlive it.
LIFE_LEFT = timedelta(minutes=5)
#: How long a refresh may take before another worker tries; at most what Azure allows.
LEASE_SECONDS = 60
PAUSE_SECONDS = 0.2
#: Longer than the lease of a worker that died and the refresh of who comes next.
PATIENCE_SECONDS = 80


class Refreshes(Protocol):
    """Who turns a token cache into an access token. `claims`: what it has to be asked for with (JSON)."""

    def cached(self, token_cache: str, home_account_id: str, *, claims: str = "") -> tuple[str, float] | None:
        """The token in the cache and its life in seconds."""

    async def refresh(self, token_cache: str, home_account_id: str, *, claims: str = "") -> tuple[str, float, str]:
        """A new token, its life in seconds, and the cache to store."""


class Seals(Protocol):
    """Secrets at rest."""

    def seal(self, secret: str, *where: str) -> str:
        """Encrypt for a place, with the newest key."""

    def unseal(self, sealed: str, *where: str) -> str:
        """Decrypt from that place; raises ValueError."""

    def is_newest(self, sealed: str) -> bool:
        """Whether the newest key sealed it."""


@dataclass(frozen=True)
class _Warm:
    """A token in memory, the claims it was asked for with, and the sign-in (by its number) it belongs to."""

    token: str
    expires_at: datetime
    claims: str
    sign_ins: int


class SealedTokens:
    """Keeps `flows.ports.Tokens`."""

    def __init__(self, entra: Refreshes, sealing: Seals, blobs: Container, clock: Callable[[], datetime]) -> None:
        self._entra = entra
        self._sealing = sealing
        self._blobs = blobs
        self._clock = clock
        self._warm: dict[str, _Warm] = {}
        self._under_way: dict[str, asyncio.Task[_Warm]] = {}

    async def keep(self, connection: Connection, token_cache: str) -> None:
        """Store a new sign-in of this connection, whatever is there and whoever is refreshing it."""
        await self._blobs.put_despite_lease(connection.connection_id, self._seal(connection, token_cache))
        self._forget(connection)

    async def access_token(self, connection: Connection, *, refused: str | None = None, claims: str = "") -> str:
        """
        A token for Graph, refreshed where needed, and where Graph `refused` it, with the `claims` it asked for (JSON).

        Raises ReconnectNeeded, OperatorAlarm, Unclear.
        """
        name = connection.connection_id
        while True:
            warm = self._warm.get(name)
            if warm is not None and self._serves(warm, connection, refused, claims):
                return warm.token
            under_way = self._under_way.get(name)
            if under_way is None:
                self._warm.pop(name, None)  # what is refused to one call would be refused to the next
                under_way = asyncio.create_task(self._warmed(connection, refused, claims))
                self._under_way[name] = under_way
                return (await asyncio.shield(under_way)).token
            await asyncio.shield(under_way)

    async def reseal(self, connection: Connection) -> None:
        """Seal them with the newest key, if they are not; raises OperatorAlarm where they can't be opened, Unclear."""
        for _ in range(_looks()):
            stored = await self._blobs.get(connection.connection_id)
            if stored is None or self._sealing.is_newest(_text(stored[0])):
                return
            try:
                opened = self._open(connection, stored[0])
                await self._blobs.put(connection.connection_id, self._seal(connection, opened), version=stored[1])
            except Conflict:  # a refresh or a new sign-in, which are sealed with the newest key anyway
                await asyncio.sleep(PAUSE_SECONDS)
        raise _busy(connection)

    async def destroy(self, connection: Connection) -> None:
        """Destroy them; no error where there are none."""
        await self._blobs.delete(connection.connection_id)
        self._forget(connection)

    def _serves(self, warm: _Warm, connection: Connection, refused: str | None, claims: str) -> bool:
        """Whether this token will do: of this sign-in or a later one, alive, not refused, with the claims that are wanted."""
        return (
            warm.sign_ins >= connection.sign_ins
            and warm.token != refused
            and (not claims or warm.claims == claims)
            and warm.expires_at - self._clock() > LIFE_LEFT
        )

    def _forget(self, connection: Connection) -> None:
        """Nobody gets a token of before from now on, not even one that is just being got."""
        self._warm.pop(connection.connection_id, None)
        self._under_way.pop(connection.connection_id, None)

    async def _warmed(self, connection: Connection, refused: str | None, claims: str) -> _Warm:
        """Get a token for everybody in this process; the body of a task in `_under_way`."""
        name, task = connection.connection_id, asyncio.current_task()
        try:
            token, life_s = await self._from_storage(connection, refused, claims)
            warm = _Warm(token, self._clock() + timedelta(seconds=life_s), claims, connection.sign_ins)
            if self._under_way.get(name) is task:
                self._warm[name] = warm
            return warm
        finally:
            if self._under_way.get(name) is task:
                del self._under_way[name]

    async def _from_storage(self, connection: Connection, refused: str | None, claims: str) -> tuple[str, float]:
        """The token in the blob and its life in seconds; a new one where that does not do, got by one worker at a time."""
        name, account = connection.connection_id, connection.mailbox.home_account_id
        for _ in range(_looks()):
            stored = await self._blobs.get(name)
            if stored is None:
                raise ReconnectNeeded(cause="no stored sign-in")
            cache, version = self._open(connection, stored[0]), stored[1]
            found = self._entra.cached(cache, account, claims=claims)
            if found is not None and found[0] != refused and found[1] > LIFE_LEFT.total_seconds():
                return found
            lease = await self._blobs.lease(name, version=version, seconds=LEASE_SECONDS)
            if lease is not None:
                try:
                    return await self._refreshed(connection, cache, version, lease, claims)
                except Conflict:
                    continue
                finally:
                    await self._blobs.release(name, lease)
            await asyncio.sleep(PAUSE_SECONDS)
        raise _busy(connection)

    async def _refreshed(
        self, connection: Connection, cache: str, version: str, lease: str, claims: str
    ) -> tuple[str, float]:
        """A new token and its life in seconds, its cache stored; raises Conflict where the blob was changed meanwhile."""
        name = connection.connection_id
        try:
            token, life_s, newer = await self._entra.refresh(cache, connection.mailbox.home_account_id, claims=claims)
        except ReconnectNeeded:
            stored = await self._blobs.get(name)
            if stored is not None and stored[1] != version:
                raise Conflict from None
            raise
        sealed = self._seal(connection, newer)
        try:
            await self._blobs.put(name, sealed, version=version, lease=lease)
        except Leased:
            await self._blobs.put_despite_lease(name, sealed, version=version)
        return token, life_s

    def _seal(self, connection: Connection, token_cache: str) -> bytes:
        return self._sealing.seal(token_cache, *_place(connection)).encode()

    def _open(self, connection: Connection, sealed: bytes) -> str:
        try:
            return self._sealing.unseal(_text(sealed), *_place(connection))
        except ValueError as error:
            raise OperatorAlarm(
                f"The stored sign-in of connection {connection.connection_id} can't be opened: {error}."
                " A new sign-in of the user replaces it."
            ) from error


def _place(connection: Connection) -> tuple[str, ...]:
    return (connection.account_id, connection.connection_id, "token_cache")


def _text(sealed: bytes) -> str:
    """What is sealed is ASCII; anything else stays something that can't be opened."""
    return sealed.decode("ascii", "replace")


def _looks() -> int:
    return round(PATIENCE_SECONDS / PAUSE_SECONDS)


def _busy(connection: Connection) -> Unclear:
    return Unclear(
        f"The stored sign-in of connection {connection.connection_id} was held by another worker all the time"
    )
