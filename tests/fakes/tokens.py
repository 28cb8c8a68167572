"""Stored sign-ins, in memory: each connection's token cache, and Microsoft's word on whether it is still good."""

from sync.domain.connection import Connection
from sync.domain.errors import ReconnectNeeded
from tests.fakes.faults import Faults
from tests.fakes.people import People


class FakeTokens:
    """Keeps `flows.ports.Tokens`. `stored`: token caches by connection id."""

    def __init__(self, people: People, faults: Faults) -> None:
        self._people = people
        self._faults = faults
        self.stored: dict[str, str] = {}
        self._warm: dict[tuple[str, int], str] = {}

    async def keep(self, connection: Connection, token_cache: str) -> None:
        """Store a new sign-in of this connection."""
        async with self._faults.at("tokens.keep"):
            self.stored[connection.connection_id] = token_cache

    async def access_token(self, connection: Connection, *, refused: str | None = None) -> str:
        """A token for Graph, refreshed where needed (or where Graph `refused` that one); raises ReconnectNeeded."""
        async with self._faults.at("tokens.access_token"):
            key = (connection.connection_id, connection.sign_ins)
            warm = self._warm.get(key)
            if warm is not None and warm != refused:
                return warm
            cache = self.stored.get(connection.connection_id)
            if cache is None:
                raise ReconnectNeeded(cause="no stored sign-in")
            token = self._people.issue_token(cache)
            if token is None:
                raise ReconnectNeeded(cause="invalid_grant")
            self._warm[key] = token
            return token

    async def destroy(self, connection: Connection) -> None:
        """Destroy them; no error where there are none."""
        async with self._faults.at("tokens.destroy"):
            self.stored.pop(connection.connection_id, None)
            self._warm = {key: token for key, token in self._warm.items() if key[0] != connection.connection_id}
