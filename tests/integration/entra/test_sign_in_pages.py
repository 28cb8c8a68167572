"""What a person sees when they sign in, and what the app hears of it."""

import httpx
import pytest

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
    others = Page(await browser.get(hinted.links[0]))
    unknown = Page(await browser.get(authorize_path(login_hint="zoe@contoso.example")))

    assert hinted.people == ["Ann"]
    assert others.people == unknown.people == ["Ann", "Bob", "Cas"]
    assert "There is no account zoe@contoso.example here." in unknown.text


async def test_domain_hint_narrows(browser: httpx.AsyncClient) -> None:
    """With a domain_hint only the accounts of that domain are shown."""
    page = Page(await browser.get(authorize_path(domain_hint="fabrikam.example")))

    assert page.people == ["Bob"]


async def test_use_another_account(browser: httpx.AsyncClient) -> None:
    """Who is not shown writes their address, in whatever case, and goes on as if they had been picked."""
    page = Page(await browser.get(authorize_path(domain_hint="fabrikam.example")))
    permissions = Page(await page.fill(browser, "Email", " Ann.Lee@contoso.example ", "Next"))

    assert "Use another account" in page.text
    assert page.attributes["email"]["autocomplete"] == "username"
    assert permissions.heading == "Permissions requested"
    assert "ann@contoso.example" in permissions.text


@pytest.mark.parametrize(
    ("tenant", "email", "says"),
    [
        ("organizations", "zoe@contoso.example", "AADSTS50034"),
        ("organizations", '"><script>@x.example', "AADSTS50034"),
        ("{tenant}", "bob@fabrikam.example", "AADSTS50020"),
        ("organizations", "", "AADSTS900144"),
    ],
)
async def test_an_address_that_cannot_sign_in(
    browser: httpx.AsyncClient, directory: Directory, tenant: str, email: str, says: str
) -> None:
    """The page comes again, says what is wrong beside the field, and keeps what was written; the way on is open."""
    ann = directory.by_email("ann@contoso.example")
    assert ann is not None
    first = Page(
        await browser.get(authorize_path(tenant.format(tenant=ann.tenant_id), login_hint="ann@contoso.example"))
    )
    again = Page(await first.fill(browser, "Email", email, "Next"))

    assert (again.status, again.heading) == (200, "Pick an account")
    assert f"{says}: " in again.text
    assert again.fields["email"] == email
    assert again.attributes["email"]["aria-invalid"] == "true"
    assert "script" not in again.tags
    assert Page(await again.press(browser, "Ann")).heading == "Permissions requested"


async def test_nobody_consents_who_has_not_signed_in(browser: httpx.AsyncClient) -> None:
    """The consent page's answer counts only from who got that page, for that request and as that person."""
    permissions = Page(await Page(await browser.get(authorize_path())).press(browser, "Ann Lee"))
    other_request = Page(await Page(await browser.get(authorize_path(state="state-2"))).press(browser, "Ann Lee"))
    for change in ({"proof": ""}, {"email": "bob@fabrikam.example"}, {"authorize": other_request.fields["authorize"]}):
        form = {**permissions.fields, **change, "decision": "accept"}
        refused = await browser.post(permissions.action, data=form)

        assert refused.status_code == 400
        assert "AADSTS50058" in refused.text
    assert (await permissions.press(browser, "Accept")).status_code == 302


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
