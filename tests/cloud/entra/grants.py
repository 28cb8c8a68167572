"""
What was agreed to, and the codes and refresh tokens that were issued for it. All in memory.

Fidelity. Imitated: codes live 10 minutes and work once; refresh tokens die after 90 days without use; each use gives a
new one and leaves the old one alive, or not, as the switch `strict_rotation` says
(https://learn.microsoft.com/entra/identity-platform/refresh-tokens). Not imitated: sessions of the browser (one signs in
anew each time), families of apps, sign-in frequency, Conditional Access.
"""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.cloud.clock import Clock
from tests.cloud.directory import Person
from tests.cloud.entra.authorize_request import AuthorizeRequest
from tests.cloud.entra.errors import EntraError

CODE_LIFETIME = timedelta(minutes=10)
REFRESH_TOKEN_INACTIVITY = timedelta(days=90)


@dataclass
class Code:
    """An authorization code: who signed in and what the app had asked for."""

    value: str
    oid: str
    request: AuthorizeRequest
    issued_at: datetime
    redeemed: bool = False


@dataclass
class RefreshToken:
    """A refresh token. `scopes` are Graph's short names; `reserved` those of OpenID Connect."""

    value: str
    oid: str
    client_id: str
    scopes: tuple[str, ...]
    reserved: frozenset[str]
    issued_at: datetime
    revoked: bool = False
    superseded: bool = False


@dataclass
class Grants:
    """Consents, codes and refresh tokens."""

    clock: Clock
    _consents: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    _codes: dict[str, Code] = field(default_factory=dict)
    _refresh_tokens: dict[str, RefreshToken] = field(default_factory=dict)

    def consent(self, who: str, client_id: str, scopes: tuple[str, ...]) -> None:
        """Remember that `who`, a person's oid or for all its people a tenant's id, agreed to these scopes."""
        self._consents.setdefault((who, client_id), set()).update(scopes)

    def consented(self, person: Person, client_id: str) -> frozenset[str]:
        """The Graph scopes that this person, or the tenant for them, agreed to."""
        own = self._consents.get((person.oid, client_id), set())
        return frozenset(own | self._consents.get((person.tenant_id, client_id), set()))

    def tenant_consented(self, tenant_id: str, client_id: str) -> frozenset[str]:
        """The Graph scopes that an administrator agreed to for this tenant."""
        return frozenset(self._consents.get((tenant_id, client_id), set()))

    def issue_code(self, person: Person, request: AuthorizeRequest) -> Code:
        """A new authorization code."""
        code = Code("1.A" + secrets.token_urlsafe(64), person.oid, request, self.clock.now())
        self._codes[code.value] = code
        return code

    def find_code(self, value: str, client_id: str) -> Code:
        """The code, if it can still be redeemed by this app."""
        code = self._codes.get(value)
        if code is None or code.request.app.client_id != client_id:
            raise invalid_grant(70000, "The provided value for the input parameter 'code' is not valid.")
        if code.redeemed:
            raise invalid_grant(54005, "OAuth2 authorization code was already redeemed.")
        if self.clock.now() >= code.issued_at + CODE_LIFETIME:
            raise invalid_grant(70008, "The provided authorization code has expired.")
        return code

    def issue_refresh_token(
        self, person: Person, client_id: str, scopes: tuple[str, ...], reserved: frozenset[str]
    ) -> RefreshToken:
        """A new refresh token."""
        value = "1.R" + secrets.token_urlsafe(64)
        token = RefreshToken(value, person.oid, client_id, scopes, reserved, self.clock.now())
        self._refresh_tokens[value] = token
        return token

    def find_refresh_token(self, value: str, client_id: str) -> RefreshToken:
        """The refresh token, if this app can still use it."""
        token = self._refresh_tokens.get(value)
        if token is None or token.superseded:
            raise invalid_grant(70000, "The refresh token isn't valid.", "bad_token")
        if token.client_id != client_id:
            raise invalid_grant(70000, "The refresh token was issued to another app.", "client_mismatch")
        if token.revoked:
            raise invalid_grant(50173, "The provided grant has expired due to it being revoked.", "bad_token")
        if self.clock.now() >= token.issued_at + REFRESH_TOKEN_INACTIVITY:
            raise invalid_grant(700082, "The refresh token has expired due to inactivity.", "token_expired")
        return token

    def revoke(self, oid: str) -> int:
        """Revoke every refresh token of a person; how many there were."""
        live = [token for token in self._refresh_tokens.values() if token.oid == oid and not token.revoked]
        for token in live:
            token.revoked = True
        return len(live)

    def reset(self) -> None:
        """Forget all of it."""
        self._consents.clear()
        self._codes.clear()
        self._refresh_tokens.clear()


def invalid_grant(number: int, message: str, suberror: str | None = None) -> EntraError:
    """The code or refresh token cannot be used."""
    return EntraError("invalid_grant", number, message, suberror=suberror)
