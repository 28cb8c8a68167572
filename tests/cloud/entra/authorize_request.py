"""
What an app asks for at the authorize endpoint, checked, and how it is answered.

Fidelity. Imitated: the parameters of the authorization code flow with PKCE as MSAL 1.39 sends them, errors about the app
or its redirect URI as a page and all others on the redirect, answers by query and by form_post
(https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow). Stricter than the real service: a parameter
that is not listed here is refused, with a page. Not imitated: response types other than `code`, response_mode `fragment`,
PKCE method `plain`, sessions (so `prompt=none` always answers login_required). Of `claims` only what is asked of the
access token has an effect.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from tests.cloud.claims import Claims, read_claims
from tests.cloud.entra.clients import Clients, RegisteredApp
from tests.cloud.entra.errors import EntraError, invalid_request, missing_parameter
from tests.cloud.entra.parameters import read_parameters
from tests.cloud.entra.scopes import Scopes, parse_scopes

_KNOWN = frozenset({
    "client_id", "response_type", "redirect_uri", "scope", "state", "response_mode", "code_challenge",
    "code_challenge_method", "nonce", "client_info", "login_hint", "domain_hint", "prompt", "claims", "X-AnchorMailbox",
})  # fmt: skip
_RESPONSE_MODES = frozenset({"query", "form_post"})
_PROMPTS = frozenset({"none", "login", "consent", "select_account"})
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Answer:
    """How the browser goes back to the app: to `url`, by GET, or by POST with the fields of `form`."""

    url: str
    form: dict[str, str] | None = None


@dataclass(frozen=True)
class Destination:
    """Where an app wants its answer. `response_mode` is `query` or `form_post`; `state` is None where none was sent."""

    redirect_uri: str
    response_mode: str
    state: str | None

    def answer(self, parameters: dict[str, str]) -> Answer:
        """These parameters and the `state`, in the way the app asked for."""
        if self.state is not None:
            parameters = {**parameters, "state": self.state}
        if self.response_mode == "form_post":
            return Answer(self.redirect_uri, parameters)
        separator = "&" if "?" in self.redirect_uri else "?"
        return Answer(f"{self.redirect_uri}{separator}{urlencode(parameters)}")


@dataclass(frozen=True)
class AuthorizeRequest:
    """
    A valid authorize request.

    `tenant` is the authority's path segment, as written. `code_challenge` is the base64url SHA-256 of PKCE (RFC 7636),
    None where the app does not use it. `claims` are those asked of the access token. `query` is the request itself, to be
    carried from page to page.
    """

    tenant: str
    app: RegisteredApp
    destination: Destination
    scopes: Scopes
    nonce: str | None
    code_challenge: str | None
    wants_client_info: bool
    login_hint: str | None
    domain_hint: str | None
    prompt: str | None
    claims: Claims
    query: str


def read_destination(
    pairs: Iterable[tuple[str, str]], clients: Clients
) -> tuple[dict[str, str], RegisteredApp, Destination]:
    """
    The parameters, the app and where its answer goes.

    Raises `EntraError` for what must be shown on a page: nobody may be redirected to an address that is not the app's.
    """
    query = read_parameters(pairs, _KNOWN)
    app = clients.find(query.get("client_id"))
    redirect_uri = query.get("redirect_uri")
    if not redirect_uri:
        raise missing_parameter("redirect_uri")
    check_redirect_uri(app, redirect_uri)
    # An unknown response_mode is itself reported on the redirect, by query.
    mode = query.get("response_mode", "query")
    return query, app, Destination(redirect_uri, mode if mode in _RESPONSE_MODES else "query", query.get("state"))


def check_redirect_uri(app: RegisteredApp, redirect_uri: str) -> None:
    """Raise AADSTS50011 unless the app has registered exactly this address."""
    if redirect_uri not in app.redirect_uris:
        message = (
            f"The redirect URI '{redirect_uri}' does not match those configured for the application '{app.client_id}'."
        )
        raise EntraError("invalid_request", 50011, message)


def read_request(tenant: str, query: dict[str, str], app: RegisteredApp, destination: Destination) -> AuthorizeRequest:
    """The request behind these parameters; raises `EntraError` for what is told to the app on the redirect."""
    if not (response_type := query.get("response_type")):
        raise missing_parameter("response_type")
    if response_type != "code":
        message = f"The response_type '{response_type}' is not enabled for the application."
        raise EntraError("unsupported_response_type", 700054, message)
    if query.get("response_mode", "query") not in _RESPONSE_MODES:
        raise EntraError("invalid_request", 70007, "The value of response_mode is not supported.")
    if not (scope := query.get("scope")):
        raise missing_parameter("scope")
    prompt = query.get("prompt")
    if prompt is not None and prompt not in _PROMPTS:
        raise invalid_request(f"'{prompt}' is not a supported value of 'prompt'.")
    if prompt == "none":
        raise EntraError("login_required", 50058, "A silent sign-in request was sent but no user is signed in.")
    if query.get("client_info", "0") not in {"0", "1"}:
        raise invalid_request("'client_info' must be 0 or 1.")
    return AuthorizeRequest(
        tenant=tenant,
        app=app,
        destination=destination,
        scopes=parse_scopes(scope),
        nonce=query.get("nonce"),
        code_challenge=_read_challenge(query),
        wants_client_info=query.get("client_info") == "1",
        login_hint=query.get("login_hint"),
        domain_hint=query.get("domain_hint"),
        prompt=prompt,
        claims=checked_claims(query.get("claims")),
        query=urlencode(query),
    )


def checked_claims(parameter: str | None) -> Claims:
    """What is asked of the access token; raises unless `claims` is absent or a JSON object."""
    claims = read_claims(parameter)
    if claims is None:
        raise invalid_request("'claims' is not a JSON object.")
    return claims


def _read_challenge(query: dict[str, str]) -> str | None:
    challenge, method = query.get("code_challenge"), query.get("code_challenge_method")
    if challenge is None and method is None:
        return None
    if challenge is None:
        raise EntraError("invalid_request", 50147, "Missing code challenge.")
    if method != "S256":
        raise invalid_request("This emulator knows the code_challenge_method S256 only.")
    if not _CHALLENGE.fullmatch(challenge):
        raise EntraError("invalid_request", 501491, "Invalid size of Code_Challenge parameter.")
    return challenge
