"""MSAL 1.39, unchanged, against the emulator."""

import asyncio
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from msal.exceptions import MsalServiceError

from tests.cloud.directory import Directory
from tests.cloud.entra import EntraEmulator
from tests.integration.entra.client import (
    CALLBACK,
    CLIENT_ID,
    LoopbackHttp,
    Msal,
    connect,
    new_refresh_token,
    refresh,
    sign_in,
)


async def test_msal_signs_in_and_gets_a_graph_token(
    app: Msal, browser: httpx.AsyncClient, directory: Directory
) -> None:
    """The whole code flow works with MSAL, and Graph knows the token: whose it is, whose app's, and what it may do."""
    result = await connect(app, browser)

    ann = directory.by_email("ann@contoso.example")
    token = directory.token(result["access_token"])
    assert ann is not None
    assert token is not None
    assert (token.oid, token.client_id) == (ann.oid, CLIENT_ID)
    assert token.scopes == {"mail.readwrite", "mail.send", "user.read"}
    assert result["scope"] == "Mail.ReadWrite Mail.Send User.Read profile openid email"
    assert result["expires_in"] == 3599
    claims = result["id_token_claims"]
    assert (claims["oid"], claims["tid"], claims["preferred_username"]) == (ann.oid, ann.tenant_id, ann.email)


async def test_msal_knows_the_account_by_tenant_and_object_id(
    app: Msal, browser: httpx.AsyncClient, directory: Directory
) -> None:
    """client_info makes MSAL's home_account_id, without which nothing is found in its cache again."""
    await connect(app, browser)

    [account] = app.accounts()
    ann = directory.by_email("ann@contoso.example")
    assert ann is not None
    assert account["home_account_id"] == f"{ann.oid}.{ann.tenant_id}"
    assert account["username"] == ann.email


async def test_warm_msal_makes_no_call(app: Msal, entra: EntraEmulator, browser: httpx.AsyncClient) -> None:
    """With a token that is still good nothing is discovered and nothing asked: `requests` and `token_calls` prove it."""
    first = await connect(app, browser)
    before = len(entra.requests)

    again = await asyncio.to_thread(app.silent)

    assert again["access_token"] == first["access_token"]
    assert len(entra.requests) == before
    assert entra.token_calls == 1


async def test_msal_refreshes_and_keeps_the_new_refresh_token(
    app: Msal, entra: EntraEmulator, browser: httpx.AsyncClient
) -> None:
    """Each refresh gives other tokens, and MSAL goes on with the rotated refresh token even where the old one is dead."""
    entra.switches.strict_rotation = True
    first = await connect(app, browser)

    second = await asyncio.to_thread(app.silent, force_refresh=True)
    third = await asyncio.to_thread(app.silent, force_refresh=True)

    assert len({first["access_token"], second["access_token"], third["access_token"]}) == 3
    assert entra.token_calls == 3


async def test_msal_with_form_post(app: Msal, browser: httpx.AsyncClient) -> None:
    """With response_mode=form_post the answer is in the fields of a form, and MSAL takes it."""
    flow, url = app.begin(response_mode="form_post")
    body = {"authorize_url": url, "email": "ann@contoso.example", "decision": "accept"}
    answer = (await browser.post("/_lab/sign-in", json=body)).json()

    assert answer["redirect_url"] == CALLBACK
    result = await asyncio.to_thread(app.finish, flow, answer["form"])
    assert "access_token" in result


async def test_msal_with_login_hint_prompt_and_capabilities(
    entra: EntraEmulator, http: LoopbackHttp, browser: httpx.AsyncClient
) -> None:
    """Everything MSAL can put into an authorize request is known to the emulator (X-AnchorMailbox, claims, prompt)."""
    app = await asyncio.to_thread(Msal, entra.url, http, capabilities=["CP1"])
    flow, url = app.begin(login_hint="ann@contoso.example", prompt="select_account", domain_hint="contoso.example")

    result = await asyncio.to_thread(app.finish, flow, await sign_in(browser, url))

    assert {"X-AnchorMailbox", "claims", "login_hint", "domain_hint"} <= dict(parse_qsl(urlsplit(url).query)).keys()
    assert "access_token" in result


async def test_msal_notices_another_nonce(app: Msal, browser: httpx.AsyncClient) -> None:
    """The nonce of the request is in the id_token: a flow with another one is refused by MSAL itself."""
    flow, url = app.begin()
    answer = await sign_in(browser, url)

    with pytest.raises(RuntimeError, match="nonce"):
        await asyncio.to_thread(app.finish, {**flow, "nonce": "another"}, answer)


async def test_msal_with_a_managed_identity_instead_of_a_secret(
    entra: EntraEmulator, http: LoopbackHttp, browser: httpx.AsyncClient
) -> None:
    """An app without a secret proves itself by its managed identity's token, for the code and for each refresh."""
    credential = {"client_assertion": lambda: entra.managed_identity_token("principal-1")}
    app = await asyncio.to_thread(Msal, entra.url, http, client_id="other-app", credential=credential)

    await connect(app, browser)
    again = await asyncio.to_thread(app.silent, force_refresh=True)

    assert "access_token" in again


@pytest.mark.parametrize(
    ("planned", "expected"),
    [
        pytest.param({"error": "invalid_grant", "error_codes": [50173], "suberror": "bad_token"}, "", id="revoked"),
        pytest.param(
            {"error": "invalid_grant", "error_codes": [700082], "suberror": "token_expired"}, "", id="inactive"
        ),
        pytest.param(
            {"error": "invalid_grant", "error_codes": [65001], "suberror": "consent_required"},
            "consent_required",
            id="consent",
        ),
        pytest.param(
            {"error": "interaction_required", "error_codes": [50076], "suberror": "basic_action", "claims": "{}"},
            "basic_action",
            id="mfa",
        ),
        pytest.param({"error": "invalid_client", "error_codes": [7000222], "status": 401}, None, id="secret expired"),
        pytest.param(
            {"error": "temporarily_unavailable", "error_codes": [90033], "status": 429, "retry_after": 1},
            None,
            id="busy",
        ),
    ],
)
async def test_msal_sees_planned_token_errors(
    app: Msal, entra: EntraEmulator, browser: httpx.AsyncClient, planned: dict[str, Any], expected: str | None
) -> None:
    """A planned failure reaches MSAL as its error, its number and what MSAL makes of the suberror; then it is over."""
    await connect(app, browser)
    await browser.post("/_lab/token-error", json={**planned, "times": 1})

    result = await asyncio.to_thread(app.silent, force_refresh=True)

    assert (result["error"], result["error_codes"]) == (planned["error"], planned["error_codes"])
    assert result.get("classification") == expected
    assert result.get("claims") == planned.get("claims")
    assert result["error_description"].startswith(f"AADSTS{planned['error_codes'][0]}: ")
    fresh = await refresh(browser, await new_refresh_token(browser, entra))
    assert fresh.status_code == 200


async def test_msal_raises_on_a_server_error(app: Msal, browser: httpx.AsyncClient) -> None:
    """A 5xx is no answer to MSAL but an exception, which an app has to expect."""
    await connect(app, browser)
    planned = {"error": "temporarily_unavailable", "error_codes": [90033], "status": 503, "times": 1}
    await browser.post("/_lab/token-error", json=planned)

    with pytest.raises(MsalServiceError, match="503"):
        await asyncio.to_thread(app.silent, force_refresh=True)
