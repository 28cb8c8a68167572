"""Why a refresh is refused: each reason in Entra's words, by hand and through MSAL, and what heals it."""

import asyncio
import json

import httpx
import pytest

from tests.cloud.directory import OUTLOOK_CLIENT_ID, Directory
from tests.cloud.entra import EntraEmulator
from tests.integration.entra.client import (
    ADMIN_CONSENT,
    Msal,
    authorize_path,
    code_for,
    connect,
    new_refresh_token,
    redeem,
    refresh,
    sign_in,
)
from tests.integration.entra.page import Page

ANN = "ann@contoso.example"
BOB = "bob@fabrikam.example"

#: What a refresh answers in each trouble: error, number, suberror.
REFUSALS = {
    "revoked": ("invalid_grant", 50173, "bad_token"),
    "expired": ("invalid_grant", 700082, "token_expired"),
    "password_expired": ("invalid_grant", 50055, "user_password_expired"),
    "account_disabled": ("invalid_grant", 50057, None),
    "conditional_access": ("invalid_grant", 53003, "message_only"),
    "mfa": ("interaction_required", 50076, "basic_action"),
    "consent_withdrawn": ("invalid_grant", 65001, "consent_required"),
}
#: Of these, the ones that a sign-in heals only with the claims of the refusal.
STEPPED_UP = ["conditional_access", "mfa"]


async def trouble(browser: httpx.AsyncClient, kind: str, email: str = ANN) -> str | None:
    """Begin this trouble; the claims it wants."""
    answer = await browser.post("/_lab/trouble", json={"email": email, "kind": kind})
    assert answer.status_code == 200, answer.text
    claims: str | None = answer.json()["claims"]
    return claims


@pytest.mark.parametrize("kind", REFUSALS)
async def test_a_refused_refresh(browser: httpx.AsyncClient, entra: EntraEmulator, kind: str) -> None:
    """Each reason has its error, number, suberror and, where the person has to bring something along, claims."""
    token, bobs = await new_refresh_token(browser, entra), await new_refresh_token(browser, entra, BOB)
    claims = await trouble(browser, kind)
    refused = await refresh(browser, token)

    body = refused.json()
    assert refused.status_code == 400
    assert (body["error"], body["error_codes"], body.get("suberror")) == (
        REFUSALS[kind][0],
        [REFUSALS[kind][1]],
        REFUSALS[kind][2],
    )
    assert body["error_description"].startswith(f"AADSTS{REFUSALS[kind][1]}: ")
    assert body.get("claims") == claims
    assert (claims is not None) is (kind in STEPPED_UP)
    assert (await refresh(browser, token)).status_code == 400
    assert (await refresh(browser, bobs)).status_code == 200


@pytest.mark.parametrize("kind", REFUSALS)
async def test_healthy_again(browser: httpx.AsyncClient, entra: EntraEmulator, kind: str) -> None:
    """`none` ends each trouble: the refresh token of before works, and the person signs in."""
    token = await new_refresh_token(browser, entra)
    await trouble(browser, kind)
    await trouble(browser, "none")

    assert (await refresh(browser, token)).status_code == 200
    assert (await redeem(browser, await code_for(browser, entra))).status_code == 200


@pytest.mark.parametrize("kind", ["revoked", "expired", "password_expired", "consent_withdrawn"])
async def test_a_new_sign_in_heals(browser: httpx.AsyncClient, entra: EntraEmulator, kind: str) -> None:
    """Who signs in again has tokens that go on; those of before stay dead, but for consent, which is the person's."""
    old = await new_refresh_token(browser, entra)
    await trouble(browser, kind)
    new = await new_refresh_token(browser, entra)

    assert (await refresh(browser, new)).status_code == 200
    assert (await refresh(browser, old)).status_code == (200 if kind == "consent_withdrawn" else 400)


@pytest.mark.parametrize("kind", STEPPED_UP)
async def test_only_a_sign_in_with_the_claims_heals(
    browser: httpx.AsyncClient, entra: EntraEmulator, kind: str
) -> None:
    """Without the claims a sign-in goes well and the next refresh is refused again; a refresh cannot bring them either."""
    old = await new_refresh_token(browser, entra)
    claims = await trouble(browser, kind)
    assert claims is not None
    without = await new_refresh_token(browser, entra)
    merged = json.dumps({"access_token": {**json.loads(claims)["access_token"], "xms_cc": {"values": ["CP1"]}}})
    healed = await new_refresh_token(browser, entra, claims=merged)

    assert (await refresh(browser, without)).json()["claims"] == claims
    assert (await refresh(browser, old, claims=claims)).json()["claims"] == claims
    first = await refresh(browser, healed)
    assert first.status_code == 200
    assert (await refresh(browser, first.json()["refresh_token"])).status_code == 200


@pytest.mark.parametrize("kind", STEPPED_UP)
async def test_the_claims_of_another_policy_do_not_heal(
    browser: httpx.AsyncClient, entra: EntraEmulator, kind: str
) -> None:
    """A policy that comes later wants claims of its own."""
    before = await trouble(browser, kind)
    after = await trouble(browser, kind)
    token = await new_refresh_token(browser, entra, claims=before)

    assert after != before
    assert (await refresh(browser, token)).json()["claims"] == after


async def test_one_trouble_at_a_time(browser: httpx.AsyncClient, entra: EntraEmulator) -> None:
    """A new trouble takes the place of the one before."""
    token = await new_refresh_token(browser, entra)
    await trouble(browser, "account_disabled")
    await trouble(browser, "expired")

    assert (await refresh(browser, token)).json()["error_codes"] == [700082]
    assert "code" in await sign_in(browser, entra.url + authorize_path())


async def test_a_disabled_account_cannot_sign_in(browser: httpx.AsyncClient, entra: EntraEmulator) -> None:
    """The page says so and stays; the control, and a code of before, are refused as well; other people sign in."""
    code = await code_for(browser, entra)
    await trouble(browser, "account_disabled")
    page = Page(await Page(await browser.get(authorize_path())).press(browser, "Ann"))
    by_control = await browser.post(
        "/_lab/sign-in",
        json={"authorize_url": entra.url + authorize_path(), "email": ANN, "decision": "accept"},
    )

    assert (page.status, page.heading) == (200, "Pick an account")
    assert "AADSTS50057: " in page.text
    assert by_control.status_code == 400
    assert "AADSTS50057" in by_control.json()["error"]
    assert (await redeem(browser, code)).json()["error_codes"] == [50057]
    assert Page(await page.press(browser, "Bob")).heading == "Permissions requested"


async def test_withdrawn_consent(browser: httpx.AsyncClient, entra: EntraEmulator, directory: Directory) -> None:
    """The app's access tokens lose their force at once, Outlook's do not, and the person is asked again."""
    answer = (await redeem(browser, await code_for(browser, entra))).json()
    scope = {"email": ANN, "scope": "Mail.Read"}
    outlook = (await browser.post("/_lab/token", json=scope)).json()["access_token"]
    await trouble(browser, "consent_withdrawn")
    page = Page(await Page(await browser.get(authorize_path())).press(browser, "Ann"))

    assert directory.token(answer["access_token"]) is None
    kept = directory.token(outlook)
    assert kept is not None
    assert kept.client_id == OUTLOOK_CLIENT_ID
    assert page.heading == "Permissions requested"


async def test_withdrawn_consent_of_an_administrator(
    browser: httpx.AsyncClient, entra: EntraEmulator, directory: Directory
) -> None:
    """Withdrawn for one person, the consent of their administrator holds for everyone else."""
    cas = directory.by_email("cas@northwind.example")
    assert cas is not None
    directory.add("cem@northwind.example", "Cem", admin_consent_required=True)
    body = {"admin_consent_url": entra.url + ADMIN_CONSENT, "email": cas.email, "decision": "accept"}
    assert (await browser.post("/_lab/admin-consent", json=body)).status_code == 200
    await trouble(browser, "consent_withdrawn", cas.email)

    assert "error" in await sign_in(browser, entra.url + authorize_path(), cas.email)
    assert "code" in await sign_in(browser, entra.url + authorize_path(), "cem@northwind.example")
    assert (await browser.post("/_lab/admin-consent", json=body)).status_code == 200
    assert "code" in await sign_in(browser, entra.url + authorize_path(), cas.email)


@pytest.mark.parametrize("kind", REFUSALS)
async def test_msal_sees_each_refusal(app: Msal, browser: httpx.AsyncClient, kind: str) -> None:
    """Through MSAL the error, the number, the suberror and the claims arrive, as keys of the result."""
    await connect(app, browser)
    claims = await trouble(browser, kind)
    result = await asyncio.to_thread(app.silent, force_refresh=True)

    error, number, suberror = REFUSALS[kind]
    assert (result["error"], result["error_codes"], result.get("suberror")) == (error, [number], suberror)
    assert result.get("claims") == claims


@pytest.mark.parametrize("kind", [kind for kind in REFUSALS if kind != "account_disabled"])
async def test_msal_signs_in_again(app: Msal, browser: httpx.AsyncClient, kind: str) -> None:
    """MSAL's next sign-in, with the claims where there are any, ends the trouble for good."""
    await connect(app, browser)
    await trouble(browser, kind)
    refused = await asyncio.to_thread(app.silent, force_refresh=True)
    await connect(app, browser, claims_challenge=refused.get("claims"))

    assert "access_token" in await asyncio.to_thread(app.silent, force_refresh=True)


@pytest.mark.parametrize(
    ("kind", "switch"), [("mfa", "mfa_answer"), ("conditional_access", "conditional_access_answer")]
)
@pytest.mark.parametrize("error", ["interaction_required", "invalid_grant"])
async def test_the_error_of_a_policy_is_a_switch(
    browser: httpx.AsyncClient, entra: EntraEmulator, kind: str, switch: str, error: str
) -> None:
    """Both errors are seen in the wild; the claims come with either."""
    token = await new_refresh_token(browser, entra)
    await browser.post("/_lab/switches", json={switch: error})
    claims = await trouble(browser, kind)

    body = (await refresh(browser, token)).json()
    assert (body["error"], body["claims"]) == (error, claims)


async def test_reset_ends_every_trouble(browser: httpx.AsyncClient, entra: EntraEmulator, directory: Directory) -> None:
    """After a reset people with the same addresses are healthy."""
    await trouble(browser, "account_disabled")
    await trouble(browser, "mfa", BOB)
    await browser.post("/_lab/reset")
    for email in (ANN, BOB):
        directory.add(email, "Somebody")

        assert (await refresh(browser, await new_refresh_token(browser, entra, email))).status_code == 200
