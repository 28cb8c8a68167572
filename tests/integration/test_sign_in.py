"""The browser with which tests and demo sign in, on pages that do what an app's and Microsoft's do."""

from collections.abc import AsyncIterator

import httpx
import pytest
from aiohttp import web

from tests.cloud.server import Server
from tests.cloud.sign_in import Browser, SignInError


async def show_cookie(request: web.Request) -> web.Response:
    return web.Response(text=request.headers.get("Cookie", ""))


async def set_cookies(request: web.Request) -> web.Response:
    headers = [("Set-Cookie", "__Host-one=1; Secure; HttpOnly; Path=/"), ("Set-Cookie", "two=2; SameSite=Lax")]
    return web.Response(headers=headers)


async def delete_cookie(request: web.Request) -> web.Response:
    return web.Response(headers=[("Set-Cookie", "two=; Max-Age=0")])


async def move_on(request: web.Request) -> web.Response:
    raise web.HTTPFound("/next?a=1")


@pytest.fixture
async def site() -> AsyncIterator[Server]:
    application = web.Application()
    application.add_routes(
        [
            web.get("/", show_cookie),
            web.get("/set", set_cookies),
            web.get("/delete", delete_cookie),
            web.get("/moved", move_on),
        ]
    )
    server = Server(application)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with httpx.AsyncClient() as http:
        yield Browser(http)


async def test_cookies_go_back_to_the_origin_that_set_them(site: Server, browser: Browser) -> None:
    """Secure ones too, since loopback is trustworthy to a browser; a deleted one does not."""
    await browser.get(f"{site.url}/set")
    assert (await browser.get(f"{site.url}/")).text == "__Host-one=1; two=2"

    await browser.get(f"{site.url}/delete")
    assert (await browser.get(f"{site.url}/")).text == "__Host-one=1"


async def test_cookies_stay_away_from_other_origins(site: Server, browser: Browser) -> None:
    """The app's binding cookie is not shown to anybody else, whatever the port."""
    await browser.get(f"{site.url}/set")
    other = Server(site_of_its_own())
    await other.start()

    assert (await browser.get(f"{other.url}/")).text == ""
    await other.stop()


def site_of_its_own() -> web.Application:
    application = web.Application()
    application.add_routes([web.get("/", show_cookie)])
    return application


async def test_a_redirect_is_told_with_its_whole_address_and_not_followed(site: Server, browser: Browser) -> None:
    """The next step of a sign-in is decided by who walks it."""
    assert await browser.redirected(f"{site.url}/moved") == f"{site.url}/next?a=1"


async def test_a_page_where_a_redirect_should_be_ends_the_way(site: Server, browser: Browser) -> None:
    """The error names the page and what it answered, without what its query carried."""
    with pytest.raises(SignInError, match="answered 404") as problem:
        await browser.redirected(f"{site.url}/gone?code=secret")

    assert "secret" not in str(problem.value)
