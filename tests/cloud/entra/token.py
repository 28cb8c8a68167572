"""
The token endpoint: an authorization code or a refresh token becomes an access token.

Fidelity. Imitated: both grants as MSAL 1.39 sends them, PKCE, single use of codes, new refresh tokens, scopes asked
within what was agreed to, id_tokens with the request's nonce, errors as JSON
(https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow). Stricter than the real service: unknown
parameters are refused. Not imitated: other grants, longer lifetimes under continuous access evaluation, `refresh_in`,
any effect of `claims`. Uncertain (?): whether a failed PKCE check spends the code (here it does not), and the error of a
refresh token that strict rotation has spent (here AADSTS70000). Access tokens are opaque and come from the directory.
"""

import hashlib
import hmac
import secrets
import uuid
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tests.cloud.directory import ACCESS_TOKEN_LIFETIME, Person
from tests.cloud.entra.authorize import client_info
from tests.cloud.entra.authorize_request import check_claims
from tests.cloud.entra.clients import RegisteredApp
from tests.cloud.entra.discovery import tenant_of
from tests.cloud.entra.errors import EntraError, missing_parameter
from tests.cloud.entra.grants import invalid_grant
from tests.cloud.entra.keys import base64url
from tests.cloud.entra.parameters import read_parameters
from tests.cloud.entra.scopes import GRAPH_RESOURCE, parse_scopes
from tests.cloud.entra.state import EntraState

_COMMON = frozenset({
    "client_id", "grant_type", "client_info", "client_secret", "client_assertion", "client_assertion_type", "claims", "scope",
})  # fmt: skip
_KNOWN = {
    "authorization_code": _COMMON | {"code", "code_verifier", "redirect_uri"},
    "refresh_token": _COMMON | {"refresh_token"},
}
_NO_STORE = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}


class TokenEndpoint:
    """`POST /{tenant}/oauth2/v2.0/token`."""

    def __init__(self, state: EntraState) -> None:
        self._state = state

    async def answer(self, request: web.Request) -> web.Response:
        """Tokens, or an error as JSON."""
        form = [(name, str(value)) for name, value in (await request.post()).items()]
        headers = dict(_NO_STORE)
        try:
            self._fail_as_planned(dict(form).get("grant_type"), headers)
            return web.json_response(self._exchange(request.match_info["tenant"], form), headers=headers)
        except EntraError as error:
            body = error.as_json(self._state.clock.now(), _correlation_id(request))
            return web.json_response(body, status=error.status, headers=headers)

    def _fail_as_planned(self, grant_type: str | None, headers: dict[str, str]) -> None:
        for planned in self._state.planned_errors:
            if planned.times > 0 and planned.grant_type in {None, grant_type}:
                planned.times -= 1
                if planned.retry_after_seconds is not None:
                    headers["Retry-After"] = str(planned.retry_after_seconds)
                raise planned.error

    def _exchange(self, tenant: str, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
        pairs = list(pairs)
        tenant_id = tenant_of(tenant, self._state.directory)
        grant_type = dict(pairs).get("grant_type")
        if not grant_type:
            raise missing_parameter("grant_type")
        if grant_type not in _KNOWN:
            raise EntraError("unsupported_grant_type", 70003, f"The grant type '{grant_type}' is not supported.")
        form = read_parameters(pairs, _KNOWN[grant_type])
        app = self._state.clients.authenticate(form, self._state.clock.now())
        check_claims(form.get("claims"))
        if grant_type == "authorization_code":
            return self._redeem_code(tenant_id, form, app)
        return self._refresh(tenant_id, form, app)

    def _redeem_code(self, tenant_id: str | None, form: dict[str, str], app: RegisteredApp) -> dict[str, Any]:
        for name in ("code", "redirect_uri"):
            if name not in form:
                raise missing_parameter(name)
        code = self._state.grants.find_code(form["code"], app.client_id)
        if form["redirect_uri"] != code.request.destination.redirect_uri:
            message = "The reply address does not match the one provided when requesting the authorization code."
            raise EntraError("invalid_client", 500112, message)
        _check_verifier(form.get("code_verifier"), code.request.code_challenge)
        person = self._person(code.oid)
        if tenant_id not in {None, person.tenant_id}:
            raise invalid_grant(700005, "The authorization code is intended for another tenant.")
        scopes = code.request.scopes
        asked = self._asked_scopes(form, person, app, default=scopes.graph)
        code.redeemed = True
        return self._tokens(person, app, asked, scopes.reserved, code.request.nonce)

    def _refresh(self, tenant_id: str | None, form: dict[str, str], app: RegisteredApp) -> dict[str, Any]:
        if "refresh_token" not in form:
            raise missing_parameter("refresh_token")
        token = self._state.grants.find_refresh_token(form["refresh_token"], app.client_id)
        person = self._person(token.oid)
        if tenant_id not in {None, person.tenant_id}:
            raise invalid_grant(50020, f"User account '{person.email}' does not exist in this tenant.")
        asked = self._asked_scopes(form, person, app, default=token.scopes)
        token.superseded = self._state.switches.strict_rotation
        return self._tokens(person, app, asked, token.reserved, nonce=None)

    def _person(self, oid: str) -> Person:
        person = self._state.directory.by_oid(oid)
        if person is None:
            raise invalid_grant(50034, "The user account does not exist in the directory.")
        return person

    def _asked_scopes(
        self, form: dict[str, str], person: Person, app: RegisteredApp, default: tuple[str, ...]
    ) -> tuple[str, ...]:
        """The Graph scopes of this call, all of them agreed to; without `scope` those of the code or refresh token."""
        asked = parse_scopes(form["scope"]).graph if "scope" in form else default
        agreed = self._state.grants.consented(person, app.client_id)
        if missing := [name for name in asked if name not in agreed]:
            message = f"The user or administrator has not consented to {', '.join(missing)} for '{app.name}'."
            raise invalid_grant(65001, message, "consent_required")
        if self._state.switches.earlier_consents_in_scope:
            return (*asked, *sorted(agreed.difference(asked)))
        return asked

    def _tokens(
        self, person: Person, app: RegisteredApp, graph: tuple[str, ...], reserved: frozenset[str], nonce: str | None
    ) -> dict[str, Any]:
        state = self._state
        access_token = state.directory.issue_token(person, frozenset(graph), app.client_id)
        lifetime_seconds = int(ACCESS_TOKEN_LIFETIME.total_seconds())
        prefix = GRAPH_RESOURCE if state.switches.scopes_as_uri else ""
        told = [prefix + name for name in graph]
        if "openid" in reserved:
            # Quirk: the real service lists all three whichever were asked for, and never offline_access (?).
            told += ["profile", "openid", "email"]
        answer: dict[str, Any] = {
            "token_type": "Bearer",
            "scope": " ".join(told),
            "expires_in": lifetime_seconds,
            "ext_expires_in": lifetime_seconds,
            "access_token": access_token.value,
        }
        if "offline_access" in reserved:
            refresh_token = state.grants.issue_refresh_token(person, app.client_id, graph, reserved)
            answer["refresh_token"] = refresh_token.value
        if "openid" in reserved:
            answer["id_token"] = state.key.sign(self._id_token_claims(person, app, reserved, nonce))
        answer["client_info"] = client_info(person)
        return answer

    def _id_token_claims(
        self, person: Person, app: RegisteredApp, reserved: frozenset[str], nonce: str | None
    ) -> dict[str, Any]:
        now = int(self._state.clock.now().timestamp())
        claims: dict[str, Any] = {
            "aud": app.client_id,
            "iss": f"{self._state.url}/{person.tenant_id}/v2.0",
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "oid": person.oid,
            "tid": person.tenant_id,
            # Pairwise: another app sees another subject for the same person.
            "sub": base64url(hashlib.sha256(f"{app.client_id}|{person.oid}".encode()).digest()),
            "rh": "1." + secrets.token_urlsafe(24),
            "uti": secrets.token_urlsafe(16),
            "ver": "2.0",
        }
        if "profile" in reserved:
            claims |= {"name": person.name, "preferred_username": person.email}
        if "email" in reserved:
            claims["email"] = person.email
        if nonce is not None:
            claims["nonce"] = nonce
        return claims


def _check_verifier(verifier: str | None, challenge: str | None) -> None:
    """PKCE with S256 (RFC 7636, section 4.6): both or neither, and they match."""
    if verifier is None and challenge is None:
        return
    computed = base64url(hashlib.sha256((verifier or "").encode()).digest())
    if verifier is None or challenge is None or not hmac.compare_digest(computed, challenge):
        raise invalid_grant(501481, "The Code_Verifier does not match the code_challenge of the authorization request.")


def _correlation_id(request: web.Request) -> str | None:
    """The caller's client-request-id, which the answer repeats, if it is a GUID."""
    try:
        return str(uuid.UUID(request.headers.get("client-request-id", "")))
    except ValueError:
        return None
