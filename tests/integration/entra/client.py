"""
An app and a person, as they use the emulator: MSAL, the requests by hand, the controls.

MSAL 1.39 is the real one and unchanged. It accepts https authorities only, so that its `http_client` translates the
scheme of the emulator's root: https in what MSAL sees, http on the wire. Whoever uses MSAL with the emulator does so.
"""

import asyncio
import base64
import hashlib
import warnings
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import msal

from tests.cloud.entra import EntraEmulator

CLIENT_ID = "5f0c7a52-6b3e-4f6e-9f3c-0d4f6a1b2c3d"
SECRET = "correct horse battery staple"
CALLBACK = "https://crm.example/oauth/callback"
SCOPES = ["Mail.ReadWrite", "Mail.Send", "User.Read"]
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
#: A complete authorize request, as parameters to vary.
AUTHORIZE = {
    "client_id": CLIENT_ID,
    "response_type": "code",
    "redirect_uri": CALLBACK,
    "scope": "Mail.ReadWrite Mail.Send User.Read offline_access openid profile",
    "state": "state-1",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
    "nonce": "nonce-1",
    "client_info": "1",
}
#: A complete admin consent link.
ADMIN_CONSENT = "/organizations/v2.0/adminconsent?" + urlencode({
    "client_id": CLIENT_ID,
    "scope": "https://graph.microsoft.com/Mail.ReadWrite https://graph.microsoft.com/Mail.Send User.Read",
    "redirect_uri": CALLBACK,
    "state": "state-2",
})  # fmt: skip


class LoopbackHttp:
    """MSAL's `http_client` for an http authority: https towards MSAL, http on the wire, for this one root only."""

    def __init__(self, root: str) -> None:
        self._http = root
        self._https = "https" + root.removeprefix("http")
        self._client = httpx.Client()

    def get(self, url: str, params: Any = None, headers: Any = None, **_: Any) -> "SeenByMsal":
        return self._seen(self._client.get(self._wire(url), params=params, headers=headers))

    def post(self, url: str, params: Any = None, data: Any = None, headers: Any = None, **_: Any) -> "SeenByMsal":
        return self._seen(self._client.post(self._wire(url), params=params, data=data, headers=headers))

    def close(self) -> None:
        self._client.close()

    def _wire(self, url: str) -> str:
        assert url.startswith(self._https), f"MSAL would leave this machine: {url}"
        return self._http + url.removeprefix(self._https)

    def _seen(self, response: httpx.Response) -> "SeenByMsal":
        return SeenByMsal(response, response.text.replace(self._http, self._https))


class SeenByMsal:
    """What MSAL reads of a response."""

    def __init__(self, response: httpx.Response, text: str) -> None:
        self.status_code = response.status_code
        self.headers = response.headers
        self.text = text
        self.raise_for_status = response.raise_for_status


class Msal:
    """A web app with MSAL: one application object, one sign-in at a time."""

    def __init__(
        self,
        root: str,
        http: LoopbackHttp,
        *,
        client_id: str = CLIENT_ID,
        credential: Any = SECRET,
        capabilities: list[str] | None = None,
    ) -> None:
        self._application = msal.ConfidentialClientApplication(
            client_id,
            client_credential=credential,
            authority=f"https{root.removeprefix('http')}/organizations",
            instance_discovery=False,
            http_client=http,
            client_capabilities=capabilities,
        )

    def begin(self, **options: Any) -> tuple[dict[str, Any], str]:
        """The flow to keep, and the address to send the browser to."""
        with warnings.catch_warnings():
            # MSAL recommends form_post each time; with a SameSite=Lax cookie the answer has to come by query.
            warnings.filterwarnings("ignore", message="response_mode='form_post' is recommended")
            flow = self._application.initiate_auth_code_flow(SCOPES, redirect_uri=CALLBACK, **options)
        return flow, "http" + flow["auth_uri"].removeprefix("https")

    def finish(self, flow: dict[str, Any], response: dict[str, str]) -> dict[str, Any]:
        """The tokens, or MSAL's error."""
        result: dict[str, Any] = self._application.acquire_token_by_auth_code_flow(flow, response)
        return result

    def accounts(self) -> list[dict[str, Any]]:
        """Who has signed in."""
        accounts: list[dict[str, Any]] = self._application.get_accounts()
        return accounts

    def silent(self, *, force_refresh: bool = False, claims: str | None = None) -> dict[str, Any]:
        """A token without the person, or MSAL's error; `claims` are those of a challenge."""
        [account] = self.accounts()
        result: dict[str, Any] = self._application.acquire_token_silent_with_error(
            SCOPES, account, force_refresh=force_refresh, claims_challenge=claims
        )
        return result


async def sign_in(
    browser: httpx.AsyncClient, authorize_url: str, email: str = "ann@contoso.example", decision: str = "accept"
) -> dict[str, str]:
    """Sign in by the control; what the app's callback receives."""
    body = {"authorize_url": authorize_url, "email": email, "decision": decision}
    response = await browser.post("/_lab/sign-in", json=body)
    assert response.status_code == 200, response.text
    return received(response.json()["redirect_url"])


async def connect(
    app: Msal, browser: httpx.AsyncClient, email: str = "ann@contoso.example", **options: Any
) -> dict[str, Any]:
    """Sign in with MSAL from beginning to end; `options` are those of MSAL's authorize request."""
    flow, url = app.begin(**options)
    answer = await sign_in(browser, url, email)
    result = await asyncio.to_thread(app.finish, flow, answer)
    assert "access_token" in result, result
    return result


def received(redirect_url: str, callback: str = CALLBACK) -> dict[str, str]:
    """The query that a redirect carries to the app."""
    assert redirect_url.startswith(callback)
    return dict(parse_qsl(urlsplit(redirect_url).query))


def authorize_path(tenant: str = "organizations", /, **changes: str | None) -> str:
    """The authorize request with some parameters changed, or left out where None."""
    query = {name: value for name, value in {**AUTHORIZE, **changes}.items() if value is not None}
    return f"/{tenant}/oauth2/v2.0/authorize?{urlencode(query)}"


async def code_for(browser: httpx.AsyncClient, entra: EntraEmulator, email: str = "ann@contoso.example") -> str:
    """An authorization code of this person."""
    return (await sign_in(browser, entra.url + authorize_path(), email))["code"]


async def redeem(
    browser: httpx.AsyncClient, code: str, tenant: str = "organizations", /, **changes: str | None
) -> httpx.Response:
    """Redeem a code by hand, with some parameters changed, or left out where None."""
    form = {
        "client_id": CLIENT_ID,
        "client_secret": SECRET,
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": VERIFIER,
        "redirect_uri": CALLBACK,
    } | changes
    path = f"/{tenant}/oauth2/v2.0/token"
    return await browser.post(path, data={name: value for name, value in form.items() if value is not None})


async def refresh(browser: httpx.AsyncClient, refresh_token: str, **changes: str) -> httpx.Response:
    """Refresh by hand."""
    form = {
        "client_id": CLIENT_ID,
        "client_secret": SECRET,
        "grant_type": "refresh_token",
        "refresh_token": refresh_token,
    }
    return await browser.post("/organizations/oauth2/v2.0/token", data=form | changes)


async def new_refresh_token(
    browser: httpx.AsyncClient, entra: EntraEmulator, email: str = "ann@contoso.example", *, claims: str | None = None
) -> str:
    """A refresh token of this person, whose sign-in carried these claims."""
    code = (await sign_in(browser, entra.url + authorize_path(claims=claims), email))["code"]
    return str((await redeem(browser, code)).json()["refresh_token"])
