"""The verification code of who has one: asked for after the account, and not to be got around."""

import httpx
import pytest

from tests.cloud.directory import Directory, Person
from tests.cloud.entra import EntraEmulator
from tests.integration.entra.client import authorize_path, received, redeem, sign_in
from tests.integration.entra.page import Page


@pytest.fixture
def fay(directory: Directory) -> Person:
    return directory.add("fay@contoso.example", "Fay Orr", code="246810")


async def code_page(browser: httpx.AsyncClient) -> Page:
    """The page that asks for Fay's code."""
    page = Page(await Page(await browser.get(authorize_path())).press(browser, "Fay"))
    assert page.heading == "Enter code"
    return page


@pytest.mark.usefixtures("fay")
async def test_the_right_code(browser: httpx.AsyncClient) -> None:
    """After their code, spaces or not, a person is asked what everyone is asked; the page says which code it is."""
    page = await code_page(browser)
    permissions = Page(await page.fill(browser, "Code", " 246 810 ", "Verify"))
    answer = received((await permissions.press(browser, "Accept")).headers["location"])

    assert "246810" in page.text
    assert page.attributes["code"]["autocomplete"] == "one-time-code"
    assert (await redeem(browser, answer["code"])).status_code == 200


@pytest.mark.usefixtures("fay")
@pytest.mark.parametrize("typed", ["", "246811", "2468100", "٢٤٦٨١٠"])
async def test_a_wrong_code(browser: httpx.AsyncClient, typed: str) -> None:
    """Another code brings the page again with an error, as often as one likes."""
    again = Page(await (await code_page(browser)).fill(browser, "Code", typed, "Verify"))
    once_more = Page(await again.fill(browser, "Code", typed, "Verify"))

    for page in (again, once_more):
        assert (page.status, page.heading) == (200, "Enter code")
        assert "AADSTS500121: " in page.text
        assert page.attributes["code"]["aria-invalid"] == "true"


@pytest.mark.usefixtures("fay")
async def test_the_code_is_asked_each_time(browser: httpx.AsyncClient, entra: EntraEmulator) -> None:
    """Also of who has agreed to everything before: then the code is the last page."""
    await sign_in(browser, entra.url + authorize_path(), "fay@contoso.example")
    done = await (await code_page(browser)).fill(browser, "Code", "246810", "Verify")

    assert "code" in received(done.headers["location"])


async def test_no_way_around_the_code(browser: httpx.AsyncClient, fay: Person) -> None:
    """
    Neither without a proof, nor with that of another person or request, nor with that of before the code was changed, can
    anybody accept or decline as this person.
    """
    bobs = Page(await Page(await browser.get(authorize_path())).press(browser, "Bob"))
    fays = Page(await (await code_page(browser)).fill(browser, "Code", "246810", "Verify"))
    elsewhere = {"authorize": fays.fields["authorize"].replace("state-1", "state-9")}
    forged = [
        {**fays.fields, "proof": ""},
        {**fays.fields, "proof": bobs.fields["proof"]},
        {**fays.fields, **elsewhere},
        {name: value for name, value in fays.fields.items() if name != "proof"},
    ]
    fay.code = "135791"
    for fields in [*forged, fays.fields]:
        for decision in ("accept", "decline"):
            refused = await browser.post("/organizations/consent", data={**fields, "decision": decision})

            assert refused.status_code == 400
            assert "location" not in refused.headers


async def test_the_code_comes_before_what_an_administrator_must_grant(
    browser: httpx.AsyncClient, directory: Directory
) -> None:
    """That an administrator is needed is told to the person themselves only."""
    directory.add("gil@northwind.example", "Gil", admin_consent_required=True, code="1234")
    code = Page(await Page(await browser.get(authorize_path())).press(browser, "Gil"))
    page = Page(await code.fill(browser, "Code", "1234", "Verify"))
    back = received((await page.press(browser, "Return to the application")).headers["location"])

    assert (code.heading, page.heading) == ("Enter code", "Need admin approval")
    assert back["error"] == "access_denied"
