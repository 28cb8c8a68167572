"""Stored sign-ins, in memory: each connection's token cache, and Microsoft's word on whether it is still good."""

from dataclasses import dataclass

from sync.domain.connection import Connection
from sync.domain.errors import ReconnectNeeded
from tests.fakes.faults import Faults
from tests.fakes.people import People


@dataclass(frozen=True)
class _Warm:
    token: str
    claims: str
    sign_ins: int


class FakeTokens:
    """
    Keeps `flows.ports.Tokens`.

    stored: token caches by connection id. newest_key: what is written is sealed with it. sealed_with: the key each is
    sealed with, by connection id.
    """

    def __init__(self, people: People, faults: Faults) -> None:
        self._people = people
        self._faults = faults
        self.stored: dict[str, str] = {}
        self.newest_key = "key 1"
        self.sealed_with: dict[str, str] = {}
        self._warm: dict[str, _Warm] = {}

    async def keep(self, connection: Connection, token_cache: str) -> None:
        """Store a new sign-in of this connection."""
        async with self._faults.at("tokens.keep"):
            self.stored[connection.connection_id] = token_cache
            self.sealed_with[connection.connection_id] = self.newest_key
            self._warm.pop(connection.connection_id, None)

    async def access_token(self, connection: Connection, *, refused: str | None = None, claims: str = "") -> str:
        """A token, refreshed where needed, or where Graph `refused` it or asked for `claims`; raises ReconnectNeeded."""
        async with self._faults.at("tokens.access_token"):
            name = connection.connection_id
            warm = self._warm.get(name)
            fits = warm is not None and warm.sign_ins >= connection.sign_ins and claims in ("", warm.claims)
            if warm is not None and fits and warm.token != refused:
                return warm.token
            cache = self.stored.get(name)
            if cache is None:
                raise ReconnectNeeded(cause="no stored sign-in")
            token = self._people.refresh(cache, claims)
            if token is None:
                reason, wanted = self._people.refusal_of(cache)
                raise ReconnectNeeded(cause="invalid_grant", reason=reason, claims=wanted or claims)
            self._warm[name] = _Warm(token, claims, connection.sign_ins)
            self.sealed_with[name] = self.newest_key
            return token

    async def reseal(self, connection: Connection) -> None:
        """Seal them with the newest key, if they are not."""
        async with self._faults.at("tokens.reseal"):
            if connection.connection_id in self.stored:
                self.sealed_with[connection.connection_id] = self.newest_key

    async def destroy(self, connection: Connection) -> None:
        """Destroy them; no error where there are none."""
        async with self._faults.at("tokens.destroy"):
            self.stored.pop(connection.connection_id, None)
            self.sealed_with.pop(connection.connection_id, None)
            self._warm.pop(connection.connection_id, None)
