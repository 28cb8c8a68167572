"""Who may not agree, and the administrator who may."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.cloud.directory import Directory
from tests.cloud.entra import EntraEmulator
from tests.integration.entra.client import ADMIN_CONSENT, Msal, authorize_path, received, redeem, sign_in
from tests.integration.entra.page import Page


async def test_need_admin_approval(browser: httpx.AsyncClient, entra: EntraEmulator) -> None:
    """Who may not agree sees why, and the only way back tells the app AADSTS90094; the control tells it the same."""
    page = Page(await Page(await browser.get(authorize_path())).press(browser, "Cas Vos"))
    clicked = received((await page.press(browser, "Return to the application")).headers["location"])
    by_control = await sign_in(browser, entra.url + authorize_path(), "cas@northwind.example")

    assert page.heading == "Need admin approval"
    assert list(page.buttons) == ["Return to the application without granting consent"]
    for answer in (clicked, by_control):
        assert (answer["error"], answer["state"]) == ("access_denied", "state-1")
        assert answer["error_description"].startswith("AADSTS90094: ")
        assert "error_subcode" not in answer


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        ({"admin_consent_answer": "consent_required"}, ("consent_required", None, "AADSTS90094")),
        ({"admin_consent_answer": "interaction_required"}, ("interaction_required", None, "AADSTS90094")),
        ({"admin_consent_number": 90095}, ("access_denied", None, "AADSTS90095")),
        ({"admin_consent_answer": "cancel"}, ("access_denied", "cancel", "")),
    ],
)
async def test_other_ways_to_say_that_an_administrator_is_needed(
    browser: httpx.AsyncClient, entra: EntraEmulator, switches: dict[str, Any], expected: tuple[str, str | None, str]
) -> None:
    """Tenants differ in what the app is told: each way can be switched on."""
    assert (await browser.post("/_lab/switches", json=switches)).status_code == 200
    answer = await sign_in(browser, entra.url + authorize_path(), "cas@northwind.example")

    number = answer.get("error_description", "").partition(":")[0]
    assert (answer["error"], answer.get("error_subcode"), number) == expected


async def test_administrator_agrees_for_the_tenant(
    browser: httpx.AsyncClient, entra: EntraEmulator, directory: Directory
) -> None:
    """After an administrator accepted, the people of that tenant sign in, and are not even asked."""
    cas = directory.by_email("cas@northwind.example")
    assert cas is not None
    page = Page(await browser.get(ADMIN_CONSENT))
    page.fields["tenant"] = cas.tenant_id
    answer = received((await page.press(browser, "Accept")).headers["location"])
    then = await Page(await browser.get(authorize_path())).press(browser, "Cas Vos")

    assert page.heading == "Permissions requested for your organization"
    assert (answer["admin_consent"], answer["tenant"], answer["state"]) == ("True", cas.tenant_id, "state-2")
    assert answer["scope"].split()[0] == "https://graph.microsoft.com/Mail.ReadWrite"
    assert (await redeem(browser, received(then.headers["location"])["code"])).status_code == 200


async def test_consent_of_an_administrator_ends_at_the_tenant_and_the_scopes(
    browser: httpx.AsyncClient, entra: EntraEmulator, directory: Directory
) -> None:
    """Another tenant, or a permission more, still needs an administrator."""
    directory.add("dan@tailspin.example", "Dan", admin_consent_required=True)
    body = {"admin_consent_url": entra.url + ADMIN_CONSENT, "email": "cas@northwind.example", "decision": "accept"}
    await browser.post("/_lab/admin-consent", json=body)
    more = authorize_path(scope="Mail.ReadWrite MailboxSettings.Read openid")

    assert "error" in await sign_in(browser, entra.url + authorize_path(), "dan@tailspin.example")
    assert "error" in await sign_in(browser, entra.url + more, "cas@northwind.example")
    assert "code" in await sign_in(browser, entra.url + authorize_path(), "cas@northwind.example")


async def test_administrator_declines(browser: httpx.AsyncClient, entra: EntraEmulator) -> None:
    """Cancel tells the app access_denied, or as switched, and nothing is granted."""
    page = Page(await browser.get(ADMIN_CONSENT))
    answer = received((await page.press(browser, "Cancel")).headers["location"])
    entra.switches.admin_decline_answer = "permission_denied"
    body = {"admin_consent_url": entra.url + ADMIN_CONSENT, "email": "cas@northwind.example", "decision": "decline"}
    switched = received((await browser.post("/_lab/admin-consent", json=body)).json()["redirect_url"])

    assert (answer["error"], answer["state"]) == ("access_denied", "state-2")
    assert answer["error_description"].startswith("AADSTS65004: ")
    assert switched["error"] == "permission_denied"
    assert "error" in await sign_in(browser, entra.url + authorize_path(), "cas@northwind.example")


async def test_from_refusal_to_tokens(
    app: Msal, browser: httpx.AsyncClient, entra: EntraEmulator, directory: Directory
) -> None:
    """The whole way, clicked, with MSAL: refused, declined by the administrator, granted, and then the person is let in."""
    cas = directory.by_email("cas@northwind.example")
    assert cas is not None

    async def clicks_in() -> dict[str, Any]:
        """Cas at the sign-in, pressing whatever leads on; what MSAL makes of it."""
        flow, url = app.begin(login_hint=cas.email)
        answer = await Page(await browser.get(url)).press(browser, "Cas Vos")
        while not answer.has_redirect_location:
            page = Page(answer)
            answer = await page.press(browser, "Return" if page.heading == "Need admin approval" else "Accept")
        return await asyncio.to_thread(app.finish, flow, received(answer.headers["location"]))

    async def administrator(presses: str) -> dict[str, str]:
        """The administrator at the link of the app, for their organization; what the app's callback receives."""
        page = Page(await browser.get(f"/{cas.tenant_id}{ADMIN_CONSENT.removeprefix('/organizations')}"))
        assert page.text.count("northwind.example") == 1
        return received((await page.press(browser, presses)).headers["location"])

    refused = await clicks_in()
    declined = await administrator("Cancel")
    still_refused = await clicks_in()
    granted = await administrator("Accept")
    result = await clicks_in()

    assert (refused["error"], still_refused["error"]) == ("access_denied", "access_denied")
    assert refused["error_description"].startswith("AADSTS90094: ")
    assert (declined["error"], declined["state"]) == ("access_denied", "state-2")
    assert (granted["admin_consent"], granted["tenant"], granted["state"]) == ("True", cas.tenant_id, "state-2")
    assert result["id_token_claims"]["tid"] == cas.tenant_id
    assert "access_token" in await asyncio.to_thread(app.silent, force_refresh=True)


@pytest.mark.parametrize(
    ("path", "number"),
    [
        (ADMIN_CONSENT.replace("client_id", "clientid"), 90023),
        (ADMIN_CONSENT.replace("crm.example", "evil.example"), 50011),
        (ADMIN_CONSENT.partition("&redirect_uri")[0], 900144),
        (ADMIN_CONSENT.replace("Mail.Send", "Mail.Sent"), 650053),
    ],
)
async def test_admin_consent_errors(browser: httpx.AsyncClient, path: str, number: int) -> None:
    """A wrong admin consent link is an error page, not a redirect."""
    response = await browser.get(path)

    assert response.status_code == 400
    assert f"AADSTS{number}" in response.text
