"""
Microsoft's sign-in through MSAL (https://learn.microsoft.com/entra/msal/python). MSAL is synchronous, so it runs in threads.

An application object is made for each call, since each sign-in has a token cache of its own; they share one HTTP cache, so that
the endpoints are discovered once per process and not with every object. In that cache MSAL also keeps refusals: a call that is
repeated word for word within a minute is answered from there, even if what was wrong has been put right meanwhile.

Tokens are asked for as by an app that understands claims challenges (capability CP1): Graph then ends them at once when a sign-in
is revoked, and says so (https://learn.microsoft.com/entra/identity-platform/app-resilience-continuous-access-evaluation).
"""

import asyncio
import base64
import json
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import msal

from sync.adapters.entra_refusals import refusal
from sync.domain.errors import Declined, OperatorAlarm, Unclear
from sync.domain.sign_in import Grant

#: `offline_access`, `openid` and `profile` are added by MSAL. ReadWrite only because a send begins with a draft.
SCOPES = ("Mail.ReadWrite", "Mail.Send", "User.Read")
GRAPH_SCOPE = "https://graph.microsoft.com/{}"
TIMEOUT_S = 15.0

#: In a cached access token: the claims (JSON) that it was asked for with.
_ASKED_WITH = "asked_with"

Credential = str | dict[str, Callable[[], str]]


class MsalEntra:
    """
    Keeps `flows.ports.Entra`, and refreshes tokens for `SealedTokens`.

    `authority` is `https://login.microsoftonline.com/organizations` or, on the local cloud, an http address of the loopback:
    MSAL insists on https, so that the scheme is put back on the way out.
    """

    def __init__(self, authority: str, client_id: str, credential: Credential, redirect_uri: str) -> None:
        self._authority = authority
        self._client_id = client_id
        self._credential = credential
        self._redirect_uri = redirect_uri
        self._http = _Http(authority)
        self._http_cache: dict[str, object] = {}

    async def begin(self, *, state: str, login_hint: str, claims: str = "") -> tuple[str, str]:
        """
        The address to send the browser to, and the flow (JSON, secret) to keep until the callback.

        `claims` (JSON) are asked for here and, since MSAL keeps them in the flow, when the code is redeemed.
        """

        def initiate() -> dict[str, Any]:
            with warnings.catch_warnings():
                # MSAL prefers form_post, whose cross-site POST would arrive without our SameSite=Lax cookie.
                warnings.simplefilter("ignore", UserWarning)
                flow: dict[str, Any] = self._application(msal.TokenCache()).initiate_auth_code_flow(
                    list(SCOPES),
                    redirect_uri=self._redirect_uri,
                    state=state,
                    prompt="select_account",
                    login_hint=login_hint or None,
                    response_mode="query",
                    claims_challenge=claims or None,
                )
                return flow

        flow = await self._in_thread(initiate)
        return self._http.outside(flow["auth_uri"]), json.dumps(flow)

    async def redeem(self, flow: str, answer: Mapping[str, str]) -> Grant:
        """Redeem the code in `answer`; raises Declined where Microsoft refuses, OperatorAlarm for a broken registration."""
        cache = msal.SerializableTokenCache()

        def acquire() -> dict[str, Any]:
            application = self._application(cache)
            # client_info in the query is the browser's word, not Microsoft's: the token answer has its own.
            trusted = {k: v for k, v in answer.items() if k != "client_info"}
            try:
                done: dict[str, Any] = application.acquire_token_by_auth_code_flow(json.loads(flow), trusted)
            except json.JSONDecodeError:  # the answer is not Microsoft's
                raise
            except (ValueError, RuntimeError):  # state or nonce do not fit; MSAL's words hold their values
                return {"error": "invalid_grant", "error_description": "state or nonce do not fit"}
            return done

        result = await self._in_thread(acquire)
        if "access_token" not in result:
            raise refusal(result, signing_in=True)
        claims = result.get("id_token_claims") or {}
        # The ID token came straight from the token endpoint over TLS (OpenID Connect Core 3.1.3.7, 6), so its signature
        # proves nothing more; that it was made for us is checked.
        if claims.get("aud") != self._client_id or not claims.get("oid") or not claims.get("tid"):
            raise Declined("The sign-in names no account of ours.", code="invalid_id_token", status=200)
        accounts = self._application(cache).get_accounts()
        return Grant(
            token_cache=cache.serialize(),
            tenant_id=claims["tid"],
            object_id=claims["oid"],
            home_account_id=accounts[0]["home_account_id"] if accounts else "",
            user_name=claims.get("preferred_username", ""),
            display_name=claims.get("name", ""),
            scopes=frozenset(s.rpartition("/")[2].casefold() for s in str(result.get("scope", "")).split()),
            access_token=result["access_token"],
        )

    def cached(self, token_cache: str, home_account_id: str, *, claims: str = "") -> tuple[str, float] | None:
        """
        The access token in a stored cache and its life in seconds, without asking anybody.

        None where there is none, or where it was not asked for with these `claims`.
        """
        cache = msal.SerializableTokenCache()
        cache.deserialize(token_cache)
        now = time.time()
        query = {"home_account_id": home_account_id, "client_id": self._client_id}
        for entry in cache.search(cache.CredentialType.ACCESS_TOKEN, query=query, now=now):
            if not claims or entry.get(_ASKED_WITH) == claims:
                return str(entry["secret"]), int(entry["expires_on"]) - now
        return None

    async def refresh(self, token_cache: str, home_account_id: str, *, claims: str = "") -> tuple[str, float, str]:
        """
        A new access token by a stored cache's refresh token, asked for with these `claims` (JSON).

        Returns the token, its life in seconds, and the cache to store in the place of the one given, which is used up. Raises
        ReconnectNeeded, OperatorAlarm, Unclear.
        """
        cache = msal.SerializableTokenCache()
        cache.deserialize(token_cache)

        def acquire() -> dict[str, Any]:
            application = self._application(cache)
            accounts = application.get_accounts()
            account = next((a for a in accounts if a["home_account_id"] == home_account_id), None)
            if account is None:
                return {"error": "invalid_grant", "error_description": "the stored sign-in holds no account"}
            done = application.acquire_token_silent_with_error(
                list(SCOPES), account, force_refresh=True, claims_challenge=claims or None
            )
            return done or {"error": "invalid_grant", "error_description": "the stored sign-in holds no refresh token"}

        result = await self._in_thread(acquire)
        if "access_token" not in result:
            raise refusal(result, signing_in=False, claims=claims)
        _leave_only(cache, result["access_token"], claims)
        return result["access_token"], float(result["expires_in"]), cache.serialize()

    def admin_consent_url(self, state: str) -> str:
        """Where an administrator can consent for everybody of their organisation."""
        query = urlencode(
            {
                "client_id": self._client_id,
                "scope": " ".join(GRAPH_SCOPE.format(s) for s in SCOPES),
                "redirect_uri": self._redirect_uri,
                "state": state,
            }
        )
        return f"{self._authority}/v2.0/adminconsent?{query}"

    async def try_credential(self, tenant_id: str | None) -> bool:
        """
        Ask for a token of the app's own, for no user: Microsoft gives one to whoever proves to be the app, and it opens nothing
        (https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow). Raises OperatorAlarm, Unclear.

        That has to be asked of one tenant: the authority's, the managed identity's own, or `tenant_id`. False: none is known.
        """

        def acquire() -> dict[str, Any]:
            tenant = _named_tenant(self._authority) or _tenant_of_identity(self._credential) or tenant_id
            if tenant is None:
                return {}
            authority = f"{self._authority.rpartition('/')[0]}/{tenant}"
            # Not from the HTTP cache of the others, where MSAL keeps refusals: it may have been put right just now.
            application = self._application(msal.TokenCache(), authority=authority, http_cache={})
            done: dict[str, Any] = application.acquire_token_for_client([GRAPH_SCOPE.format(".default")])
            return done

        result = await self._in_thread(acquire)
        if result and "access_token" not in result:
            raise refusal(result, signing_in=False)
        return bool(result)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _application(
        self, cache: msal.TokenCache, *, authority: str | None = None, http_cache: dict[str, object] | None = None
    ) -> msal.ConfidentialClientApplication:
        authority = authority or self._authority
        try:
            return msal.ConfidentialClientApplication(
                self._client_id,
                client_credential=self._credential,
                authority=self._http.as_https(authority),
                client_capabilities=["CP1"],
                token_cache=cache,
                http_client=self._http,
                http_cache=self._http_cache if http_cache is None else http_cache,
                # Discovery of the instance asks Microsoft's public cloud, whatever the authority is.
                instance_discovery=False,
            )
        except ValueError as error:  # no endpoints are published there; in trouble it is MsalServiceError
            raise OperatorAlarm(f"There is no sign-in at {authority}. Check ENTRA_AUTHORITY.") from error

    @staticmethod
    async def _in_thread(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return await asyncio.to_thread(call)
        except (httpx.HTTPError, msal.exceptions.MsalServiceError, json.JSONDecodeError) as error:
            raise Unclear(f"Microsoft's sign-in gave no answer: {type(error).__name__}") from error


def federated_credential(managed_identity_client_id: str) -> Credential:
    """
    A credential without a secret: the token of a user-assigned managed identity that the application trusts
    (https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity).
    """
    identity = msal.ManagedIdentityClient(
        msal.UserAssignedManagedIdentity(client_id=managed_identity_client_id),
        http_client=httpx.Client(timeout=TIMEOUT_S),
    )

    def assertion() -> str:
        result = identity.acquire_token_for_client(resource="api://AzureADTokenExchange")
        if "access_token" not in result:
            raise OperatorAlarm(f"The managed identity gave no token: {result.get('error')}")
        return str(result["access_token"])

    return {"client_assertion": assertion}


def _named_tenant(authority: str) -> str | None:
    """The tenant that an authority names; None where it is for several."""
    name = authority.rpartition("/")[2]
    return None if name in ("organizations", "common", "consumers") else name


def _tenant_of_identity(credential: Credential) -> str | None:
    """The tenant of the managed identity, where the application has to be, too. Its token is ours, and only read."""
    if isinstance(credential, str):
        return None
    payload = credential["client_assertion"]().split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return str(claims["tid"])


def _leave_only(cache: msal.TokenCache, token: str, claims: str) -> None:
    """Drop the access tokens of before, which MSAL keeps where they had other scopes, and mark this one with its claims."""
    kind = cache.CredentialType.ACCESS_TOKEN
    for entry in list(cache.search(kind)):
        if entry["secret"] != token:
            cache.remove_at(entry)
        elif claims:
            cache.modify(kind, entry, {_ASKED_WITH: claims})


class _Response:
    """What MSAL reads of an answer."""

    def __init__(self, status_code: int, text: str, headers: Mapping[str, str]) -> None:
        self.status_code = status_code
        self.text = text
        self.headers = headers

    def raise_for_status(self) -> None:
        """As requests and httpx have it."""
        if self.status_code >= 400:
            raise httpx.HTTPStatusError(
                f"HTTP {self.status_code}",
                request=httpx.Request("GET", "https://entra"),
                response=httpx.Response(self.status_code),
            )


class _Http:
    """MSAL's HTTP client. For an authority on http (loopback only, see settings) it turns that root's scheme both ways."""

    def __init__(self, authority: str) -> None:
        parts = urlsplit(authority)
        self._http_root = f"http://{parts.netloc}" if parts.scheme == "http" else ""
        self._https_root = f"https://{parts.netloc}" if self._http_root else ""
        self._client = httpx.Client(timeout=TIMEOUT_S, follow_redirects=False)

    def get(self, url: str, params: object = None, headers: Mapping[str, str] | None = None, **_: object) -> _Response:
        """One GET."""
        return self._answer(self._client.get(self.outside(url), params=params, headers=headers))  # type: ignore[arg-type]

    def post(
        self,
        url: str,
        params: object = None,
        data: object = None,
        headers: Mapping[str, str] | None = None,
        **_: object,
    ) -> _Response:
        """One POST of a form."""
        return self._answer(
            self._client.post(self.outside(url), params=params, data=data, headers=headers)  # type: ignore[arg-type]
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def as_https(self, text: str) -> str:
        """Text with our root as MSAL wants it."""
        return text.replace(self._http_root, self._https_root) if self._http_root else text

    def outside(self, text: str) -> str:
        """Text with our root as it is."""
        return text.replace(self._https_root, self._http_root) if self._http_root else text

    def _answer(self, response: httpx.Response) -> _Response:
        return _Response(response.status_code, self.as_https(response.text), response.headers)
