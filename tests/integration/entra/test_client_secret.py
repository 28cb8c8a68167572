"""An app whose secret is wrong or has expired: the operator's trouble, not any person's."""

import asyncio

import httpx
import pytest

from tests.cloud.entra import EntraEmulator
from tests.integration.entra.client import (
    CLIENT_ID,
    LoopbackHttp,
    Msal,
    code_for,
    connect,
    new_refresh_token,
    redeem,
    refresh,
)


@pytest.mark.parametrize(("state", "number"), [("wrong", 7000215), ("expired", 7000222)])
@pytest.mark.parametrize("client_id", [None, CLIENT_ID])
async def test_every_token_call_is_refused(
    browser: httpx.AsyncClient, entra: EntraEmulator, state: str, number: int, client_id: str | None
) -> None:
    """Codes and refreshes alike are 401 invalid_client, nothing is spent by it, and a good secret makes all of it work."""
    token, code = await new_refresh_token(browser, entra), await code_for(browser, entra)
    app = {} if client_id is None else {"client_id": client_id}
    await browser.post("/_lab/client-secret", json={"state": state, **app})
    refused = [await redeem(browser, code), await refresh(browser, token)]
    await browser.post("/_lab/client-secret", json={"state": "good", **app})

    assert [(answer.status_code, answer.json()["error"]) for answer in refused] == [(401, "invalid_client")] * 2
    assert [answer.json()["error_codes"] for answer in refused] == [[number]] * 2
    assert (await redeem(browser, code)).status_code == 200
    assert (await refresh(browser, token)).status_code == 200


async def test_the_secret_of_one_app(browser: httpx.AsyncClient, entra: EntraEmulator) -> None:
    """Another app's secret is its own; an app that nobody registered is told so; a reset makes secrets good."""
    token = await new_refresh_token(browser, entra)
    await browser.post("/_lab/client-secret", json={"state": "expired", "client_id": "other-app"})
    unknown = await browser.post("/_lab/client-secret", json={"state": "expired", "client_id": "nobody"})
    other = {"client_id": "other-app", "client_secret": "other secret"}

    assert (await refresh(browser, token)).status_code == 200
    assert (await refresh(browser, token, **other)).json()["error_codes"] == [7000222]
    assert unknown.status_code == 400
    assert "AADSTS700016" in unknown.json()["error"]
    await browser.post("/_lab/reset")
    assert (await refresh(browser, token, **other)).json()["error_codes"] == [70000]


async def test_msal_sees_an_expired_secret(app: Msal, browser: httpx.AsyncClient) -> None:
    """MSAL hands the refusal on as an error, and goes on once there is a good secret again."""
    await connect(app, browser)
    await browser.post("/_lab/client-secret", json={"state": "expired"})
    refused = await asyncio.to_thread(app.silent, force_refresh=True)
    await browser.post("/_lab/client-secret", json={"state": "good"})

    assert (refused["error"], refused["error_codes"]) == ("invalid_client", [7000222])
    assert "access_token" in await asyncio.to_thread(app.silent, force_refresh=True)


async def test_a_managed_identity_has_no_secret_to_expire(
    entra: EntraEmulator, http: LoopbackHttp, browser: httpx.AsyncClient
) -> None:
    """An app that proves itself by its identity's token goes on."""
    await browser.post("/_lab/client-secret", json={"state": "expired"})
    credential = {"client_assertion": lambda: entra.managed_identity_token("principal-1")}
    app = await asyncio.to_thread(Msal, entra.url, http, client_id="other-app", credential=credential)

    assert "access_token" in await connect(app, browser)
