"""
The token endpoint: an authorization code or a refresh token becomes an access token; an app gets one of its own.

Fidelity. Imitated: both grants as MSAL 1.39 sends them, PKCE, single use of codes, new refresh tokens, scopes asked
within what was agreed to, id_tokens with the request's nonce, errors as JSON, refusals of a refresh (refusals.py)
(https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow); CAE tokens, and answering Graph's claims
challenge (https://learn.microsoft.com/entra/identity-platform/app-resilience-continuous-access-evaluation); an app's own token,
in a tenant that somebody is of and for `/.default` alone, which opens nothing
(https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow). Stricter than the real service: unknown
parameters are refused. Not imitated: other grants, `refresh_in` of tokens of an hour, any effect of `claims` other than that,
whether a tenant has the app. Uncertain (?): whether a failed PKCE check spends the code (here it does not), the error of a
refresh token that strict rotation has spent (here AADSTS70000), and that of an app's token without a tenant (here AADSTS50059).
Access tokens are opaque and come from the directory.
"""

import hashlib
import hmac
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aiohttp import web

from tests.cloud.claims import Claims, answers, can_be_challenged
from tests.cloud.directory import ACCESS_TOKEN_LIFETIME, Person
from tests.cloud.entra.authorize import client_info
from tests.cloud.entra.authorize_request import checked_claims
from tests.cloud.entra.clients import RegisteredApp
from tests.cloud.entra.discovery import tenant_of
from tests.cloud.entra.errors import REFUSED, EntraError, missing_parameter
from tests.cloud.entra.keys import base64url
from tests.cloud.entra.parameters import read_parameters
from tests.cloud.entra.refusals import invalid_grant, not_consented, sign_in_again
from tests.cloud.entra.scopes import GRAPH_RESOURCE, parse_scopes
from tests.cloud.entra.state import EntraState

_COMMON = frozenset({
    "client_id", "grant_type", "client_info", "client_secret", "client_assertion", "client_assertion_type", "claims", "scope",
})  # fmt: skip
_KNOWN = {
    "authorization_code": _COMMON | {"code", "code_verifier", "redirect_uri"},
    "refresh_token": _COMMON | {"refresh_token"},
    "client_credentials": _COMMON,
}
_NO_STORE = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}
#: The longest that a CAE token lives.
CAE_TOKEN_LIFETIME = timedelta(hours=28)


@dataclass(frozen=True)
class _Grant:
    """
    What a token call may have: for whom, which Graph scopes, the reserved ones, and the claims it has answered.

    `asked` is what this very call asks of the access token. `nonce` is that of the sign-in, None for a refresh.
    """

    person: Person
    app: RegisteredApp
    graph: tuple[str, ...]
    reserved: frozenset[str]
    claims: Claims
    asked: Claims
    nonce: str | None


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
            request[REFUSED] = error
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
        asked = checked_claims(form.get("claims"))
        if grant_type == "client_credentials":
            return _token_of_the_app(tenant_id, form)
        if grant_type == "authorization_code":
            return self._tokens(self._redeem_code(tenant_id, form, app, asked))
        return self._tokens(self._refresh(tenant_id, form, app, asked))

    def _redeem_code(self, tenant_id: str | None, form: dict[str, str], app: RegisteredApp, asked: Claims) -> _Grant:
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
        graph = self._asked_scopes(form, person, app, default=scopes.graph)
        code.redeemed = True
        claims = self._answered(person, code.request.claims, asked)
        return _Grant(person, app, graph, scopes.reserved, claims, asked, code.request.nonce)

    def _refresh(self, tenant_id: str | None, form: dict[str, str], app: RegisteredApp, asked: Claims) -> _Grant:
        if "refresh_token" not in form:
            raise missing_parameter("refresh_token")
        token = self._state.grants.find_refresh_token(form["refresh_token"], app.client_id)
        person = self._person(token.oid)
        if tenant_id not in {None, person.tenant_id}:
            raise invalid_grant(50020, f"User account '{person.email}' does not exist in this tenant.")
        if refusal := self._state.troubles.refusal_of_refresh(token, self._state.switches):
            raise refusal
        claims = self._answered(person, token.claims, asked)
        challenge = self._state.directory.challenge_of(person.oid)
        if challenge and answers(asked, challenge.claims) and not answers(claims, challenge.claims):
            raise sign_in_again(self._state.switches.mfa_answer, challenge.claims)
        graph = self._asked_scopes(form, person, app, default=token.scopes)
        token.superseded = self._state.switches.strict_rotation
        return _Grant(person, app, graph, token.reserved, claims, asked, nonce=None)

    def _answered(self, person: Person, by_sign_in: Claims, asked: Claims) -> Claims:
        """The claims of the new tokens: those of their sign-in, and those asked for now if that is enough to have them."""
        challenge = self._state.directory.challenge_of(person.oid)
        if challenge and not challenge.interactive and answers(asked, challenge.claims):
            return {**by_sign_in, **challenge.claims}
        return by_sign_in

    def _person(self, oid: str) -> Person:
        person = self._state.directory.by_oid(oid)
        if person is None:
            raise invalid_grant(50034, "The user account does not exist in the directory.")
        if refusal := self._state.troubles.refusal_of_anything(person):
            raise refusal
        return person

    def _asked_scopes(
        self, form: dict[str, str], person: Person, app: RegisteredApp, default: tuple[str, ...]
    ) -> tuple[str, ...]:
        """The Graph scopes of this call, all of them agreed to; without `scope` those of the code or refresh token."""
        asked = parse_scopes(form["scope"]).graph if "scope" in form else default
        agreed = self._state.grants.consented(person, app.client_id)
        if missing := [name for name in asked if name not in agreed]:
            raise not_consented(app.name, missing)
        if self._state.switches.earlier_consents_in_scope:
            return (*asked, *sorted(agreed.difference(asked)))
        return asked

    def _tokens(self, grant: _Grant) -> dict[str, Any]:
        state = self._state
        cae = can_be_challenged(grant.asked)
        lifetime = CAE_TOKEN_LIFETIME if cae and state.switches.long_cae_tokens else ACCESS_TOKEN_LIFETIME
        access_token = state.directory.issue_token(
            grant.person, frozenset(grant.graph), grant.app.client_id, lifetime=lifetime, cae=cae, claims=grant.claims
        )
        lifetime_seconds = int(lifetime.total_seconds())
        prefix = GRAPH_RESOURCE if state.switches.scopes_as_uri else ""
        told = [prefix + name for name in grant.graph]
        if "openid" in grant.reserved:
            # Quirk: the real service lists all three whichever were asked for, and never offline_access (?).
            told += ["profile", "openid", "email"]
        answer: dict[str, Any] = {
            "token_type": "Bearer",
            "scope": " ".join(told),
            "expires_in": lifetime_seconds,
            "ext_expires_in": lifetime_seconds,
            "access_token": access_token.value,
        }
        if lifetime == CAE_TOKEN_LIFETIME:
            answer["refresh_in"] = lifetime_seconds // 2
        if "offline_access" in grant.reserved:
            refresh_token = state.grants.issue_refresh_token(
                grant.person, grant.app.client_id, grant.graph, grant.reserved, grant.claims
            )
            answer["refresh_token"] = refresh_token.value
        if "openid" in grant.reserved:
            answer["id_token"] = state.key.sign(self._id_token_claims(grant))
        answer["client_info"] = client_info(grant.person)
        return answer

    def _id_token_claims(self, grant: _Grant) -> dict[str, Any]:
        person, client_id = grant.person, grant.app.client_id
        now = int(self._state.clock.now().timestamp())
        claims: dict[str, Any] = {
            "aud": client_id,
            "iss": f"{self._state.url}/{person.tenant_id}/v2.0",
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "oid": person.oid,
            "tid": person.tenant_id,
            # Pairwise: another app sees another subject for the same person.
            "sub": base64url(hashlib.sha256(f"{client_id}|{person.oid}".encode()).digest()),
            "rh": "1." + secrets.token_urlsafe(24),
            "uti": secrets.token_urlsafe(16),
            "ver": "2.0",
        }
        if "profile" in grant.reserved:
            claims |= {"name": person.name, "preferred_username": person.email}
        if "email" in grant.reserved and person.mailbox != "none":
            claims["email"] = person.email
        if grant.nonce is not None:
            claims["nonce"] = grant.nonce
        return claims


def _token_of_the_app(tenant_id: str | None, form: dict[str, str]) -> dict[str, Any]:
    """A token without a user."""
    if tenant_id is None:
        raise EntraError("invalid_request", 50059, "No tenant-identifying information found in the request.")
    if form.get("scope") != f"{GRAPH_RESOURCE}.default":
        raise EntraError("invalid_scope", 1002012, f"The provided value for scope {form.get('scope')} is not valid.")
    lifetime_seconds = int(ACCESS_TOKEN_LIFETIME.total_seconds())
    return {
        "token_type": "Bearer",
        "expires_in": lifetime_seconds,
        "ext_expires_in": lifetime_seconds,
        "access_token": secrets.token_urlsafe(64),
    }


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
