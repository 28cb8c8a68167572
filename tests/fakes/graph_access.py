"""What every call to Graph begins with: a token, and another one where Graph no longer takes the first."""

from sync.domain.connection import Connection
from sync.domain.errors import ReconnectNeeded
from sync.flows.ports import Tokens
from tests.fakes.people import People


class GraphAccess:
    """Lets a connection in, as Graph's door and our client in front of it do together."""

    def __init__(self, people: People, tokens: Tokens) -> None:
        self._people = people
        self._tokens = tokens

    async def let_in(self, connection: Connection) -> None:
        """Return for a connection with a token of its mailbox's owner; raises ReconnectNeeded."""
        token = await self._tokens.access_token(connection)
        if self._people.owner_of(token) is None:
            claims = self._people.challenge_to(token)
            token = await self._tokens.access_token(connection, refused=token, claims=claims)
        owner = self._people.owner_of(token)
        if owner is None or owner.mailbox.identity != connection.mailbox.identity:
            claims = self._people.challenge_to(token)
            raise ReconnectNeeded(cause="InvalidAuthenticationToken", reason="sign_in_expired", claims=claims)
