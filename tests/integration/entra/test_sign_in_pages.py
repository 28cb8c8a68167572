"""What a person sees when they sign in, and what the app hears of it."""

import httpx

from tests.cloud.directory import Directory
from tests.cloud.entra import EntraEmulator
from tests.integration.entra.client import CALLBACK, authorize_path, received, redeem, sign_in
from tests.integration.entra.page import Page


async def test_clicking_through(browser: httpx.AsyncClient) -> None:
    """A person picks their account, reads in plain words what is asked, accepts, and the app gets a code that works."""
    accounts = Page(await browser.get(authorize_path()))
    permissions = Page(await accounts.press(browser, "Ann Lee"))
    answer = received((await permissions.press(browser, "Accept")).headers["location"])

    assert (accounts.heading, permissions.heading) == ("Pick an account", "Permissions requested")
    assert "Acme CRM would like to:" in permissions.text
    assert "Send emails as you" in permissions.text
    assert answer["state"] == "state-1"
    assert (await redeem(browser, answer["code"])).status_code == 200


async def test_cancelling(browser: httpx.AsyncClient) -> None:
    """Cancel goes back to the app as access_denied, subcode cancel, AADSTS65004; and the person is asked again next time."""
    permissions = Page(await Page(await browser.get(authorize_path())).press(browser, "Ann Lee"))
    answer = received((await permissions.press(browser, "Cancel")).headers["location"])
    again = Page(await Page(await browser.get(authorize_path())).press(browser, "Ann Lee"))

    assert (answer["error"], answer["error_subcode"], answer["state"]) == ("access_denied", "cancel", "state-1")
    assert answer["error_description"].startswith("AADSTS65004: ")
    assert "code" not in answer
    assert again.heading == "Permissions requested"


async def test_consent_is_asked_once(browser: httpx.AsyncClient, entra: EntraEmulator) -> None:
    """Who agreed before is not asked again, unless the app asks for more or says prompt=consent."""
    await sign_in(browser, entra.url + authorize_path(scope="Mail.Read openid"))
    same = await Page(await browser.get(authorize_path(scope="Mail.Read openid"))).press(browser, "Ann")
    more = await Page(await browser.get(authorize_path(scope="Mail.Read Mail.Send openid"))).press(browser, "Ann")
    told = await Page(await browser.get(authorize_path(scope="Mail.Read openid", prompt="consent"))).press(
        browser, "Ann"
    )

    assert "code" in received(same.headers["location"])
    assert [Page(more).heading, Page(told).heading] == ["Permissions requested"] * 2


async def test_form_post_in_the_browser(browser: httpx.AsyncClient) -> None:
    """With form_post the last page posts the answer to the app, by itself or by its button."""
    accounts = Page(await browser.get(authorize_path(response_mode="form_post")))
    permissions = Page(await accounts.press(browser, "Ann Lee"))
    last = Page(await permissions.press(browser, "Accept"))

    assert last.action == CALLBACK
    assert {"code", "state", "client_info", "session_state"} == last.fields.keys()
    assert "Continue" in last.buttons


async def test_login_hint_preselects(browser: httpx.AsyncClient) -> None:
    """With a known login_hint (an alias will do) only that account is shown, and a link to the others; an unknown one says so."""
    hinted = Page(await browser.get(authorize_path(login_hint="Ann.Lee@contoso.example")))
    others = Page(await browser.get(f"/organizations/oauth2/v2.0/authorize{hinted.links[0]}"))
    unknown = Page(await browser.get(authorize_path(login_hint="zoe@contoso.example")))

    assert [label.split(" ")[0] for label in hinted.buttons] == ["Ann"]
    assert len(others.buttons) == len(unknown.buttons) == 3
    assert "There is no account zoe@contoso.example here." in unknown.text


async def test_domain_hint_narrows(browser: httpx.AsyncClient) -> None:
    """With a domain_hint only the accounts of that domain are shown."""
    page = Page(await browser.get(authorize_path(domain_hint="fabrikam.example")))

    assert [label.split(" ")[0] for label in page.buttons] == ["Bob"]


async def test_pages_escape_what_they_show(browser: httpx.AsyncClient) -> None:
    """A name or a parameter with markup in it is text on the page."""
    page = Page(await browser.get(authorize_path(login_hint="<script>alert(1)</script>", state='"><i>')))

    assert not page.tags & {"b", "script", "i"}
    assert "Bob <b>Stone</b>" in page.text


async def test_nobody_there(browser: httpx.AsyncClient, directory: Directory) -> None:
    """An empty directory says how to add a person."""
    directory.reset()
    page = Page(await browser.get(authorize_path()))

    assert "POST /_lab/users" in page.text
