"""
What was agreed to, and the codes and refresh tokens that were issued for it. All in memory.

Fidelity. Imitated: codes live 10 minutes and work once; refresh tokens die after 90 days without use; each use gives a
new one and leaves the old one alive, or not, as the switch `strict_rotation` says
(https://learn.microsoft.com/entra/identity-platform/refresh-tokens). Not imitated: sessions of the browser (one signs in
anew each time), families of apps, sign-in frequency.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from tests.cloud.claims import Claims
from tests.cloud.clock import Clock
from tests.cloud.directory import Person
from tests.cloud.entra.authorize_request import AuthorizeRequest
from tests.cloud.entra.errors import EntraError
from tests.cloud.entra.refusals import grant_expired, grant_revoked, invalid_grant, password_expired

CODE_LIFETIME = timedelta(minutes=10)
REFRESH_TOKEN_INACTIVITY = timedelta(days=90)

#: How a refresh token ends before its time.
Ending = Literal["revoked", "expired", "password_expired"]


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
    """
    A refresh token. `scopes` are Graph's short names; `reserved` those of OpenID Connect.

    `claims` are those that its sign-in, and the refreshes since, have answered. `ended` says how a control ended it.
    """

    value: str
    oid: str
    client_id: str
    scopes: tuple[str, ...]
    reserved: frozenset[str]
    claims: Claims
    issued_at: datetime
    ended: Ending | None = None
    superseded: bool = False


@dataclass
class Grants:
    """Consents, codes and refresh tokens."""

    clock: Clock
    _consents: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    _withdrawals: dict[str, int] = field(default_factory=dict)
    _decisions: int = 0
    _codes: dict[str, Code] = field(default_factory=dict)
    _refresh_tokens: dict[str, RefreshToken] = field(default_factory=dict)

    def consent(self, who: str, client_id: str, scopes: tuple[str, ...]) -> None:
        """Remember that `who`, a person's oid or for all its people a tenant's id, agreed to these scopes."""
        self._decisions += 1
        self._consents.setdefault((who, client_id), {}).update(dict.fromkeys(scopes, self._decisions))

    def consented(self, person: Person, client_id: str) -> frozenset[str]:
        """The Graph scopes that this person, or the tenant for them, agreed to."""
        return self._standing(person.oid, person, client_id) | self.tenant_consented(person, client_id)

    def tenant_consented(self, person: Person, client_id: str) -> frozenset[str]:
        """The Graph scopes that an administrator agreed to for this person's tenant."""
        return self._standing(person.tenant_id, person, client_id)

    def _standing(self, who: str, person: Person, client_id: str) -> frozenset[str]:
        """What `who` agreed to after it was last withdrawn for this person."""
        withdrawn = self._withdrawals.get(person.oid, 0)
        agreed = self._consents.get((who, client_id), {})
        return frozenset(scope for scope, decision in agreed.items() if decision > withdrawn)

    def withdraw_consent(self, person: Person) -> set[str]:
        """Nothing agreed to so far is valid for this person any longer; the apps that they had let in."""
        self._withdrawals[person.oid] = self._decisions
        # Who signs in has agreed themselves, also where an administrator spared them the question.
        return {client_id for who, client_id in self._consents if who == person.oid}

    def restore_consent(self, oid: str) -> None:
        """Everything agreed to is valid for this person again."""
        self._withdrawals.pop(oid, None)

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

    def whose(self, form: Mapping[str, object]) -> str | None:
        """The object id of the person whose code or refresh token stands in a form."""
        found = self._refresh_tokens.get(str(form.get("refresh_token"))) or self._codes.get(str(form.get("code")))
        return found.oid if found else None

    def issue_refresh_token(
        self, person: Person, client_id: str, scopes: tuple[str, ...], reserved: frozenset[str], claims: Claims
    ) -> RefreshToken:
        """A new refresh token."""
        value = "1.R" + secrets.token_urlsafe(64)
        token = RefreshToken(value, person.oid, client_id, scopes, reserved, claims, self.clock.now())
        self._refresh_tokens[value] = token
        return token

    def find_refresh_token(self, value: str, client_id: str) -> RefreshToken:
        """The refresh token, if this app can still use it."""
        token = self._refresh_tokens.get(value)
        if token is None or token.superseded:
            raise invalid_grant(70000, "The refresh token isn't valid.", "bad_token")
        if token.client_id != client_id:
            raise invalid_grant(70000, "The refresh token was issued to another app.", "client_mismatch")
        if token.ended is not None:
            raise _refusal(token.ended)
        if self.clock.now() >= token.issued_at + REFRESH_TOKEN_INACTIVITY:
            raise grant_expired()
        return token

    def end(self, oid: str, how: Ending) -> int:
        """End every refresh token of a person; how many there were."""
        live = [token for token in self._refresh_tokens.values() if token.oid == oid and token.ended is None]
        for token in live:
            token.ended = how
        return len(live)

    def revive(self, oid: str) -> None:
        """Every refresh token of a person is as if it had not been ended."""
        for token in self._refresh_tokens.values():
            if token.oid == oid:
                token.ended = None

    def reset(self) -> None:
        """Forget all of it."""
        self._consents.clear()
        self._withdrawals.clear()
        self._codes.clear()
        self._refresh_tokens.clear()


def _refusal(how: Ending) -> EntraError:
    match how:
        case "revoked":
            return grant_revoked()
        case "expired":
            return grant_expired()
        case "password_expired":
            return password_expired()
