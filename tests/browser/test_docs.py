"""The API reference in a browser: to be read by everybody, in light and dark, on a phone, by keyboard, and without JavaScript."""

from collections.abc import AsyncIterator
from typing import Any

import azure.functions as func
import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Page, expect

from sync.api import reference
from tests.browser.audit import SCREENSHOTS, scrolls_sideways, small_targets, violations
from tests.browser.visit import Visit
from tests.cloud.polling import eventually
from tests.cloud.server import Server

WIDE, PHONE, NARROWEST = {"width": 1440, "height": 900}, {"width": 390, "height": 800}, {"width": 320, "height": 640}

#: All of one group are made alike, and axe takes long for a page of so many.
KEEP_ONE_OF_EACH = """
for (const group of document.querySelectorAll("main section"))
    [...group.querySelectorAll("article")].filter((article, i) => i > 0)
        .forEach((article) => article.remove());
"""


def _sent(answer: func.HttpResponse) -> web.Response:
    """The app's answer as the Functions host sends it."""
    return web.Response(
        body=answer.get_body(), headers=dict(answer.headers), content_type=answer.mimetype, charset=answer.charset
    )


@pytest_asyncio.fixture(loop_scope="session")
async def docs(visit: Visit) -> AsyncIterator[str]:
    """The address of the reference, served with the app's own headers."""
    asked = func.HttpRequest("GET", "https://sync.example/docs", body=b"")
    application = web.Application()

    async def page(_request: web.Request) -> web.Response:
        return _sent(reference.docs(asked, "https://sync.example"))

    async def document(_request: web.Request) -> web.Response:
        return _sent(reference.openapi(asked, "https://sync.example"))

    application.add_routes([web.get("/docs", page), web.get("/openapi.json", document)])
    server = Server(application)
    await server.start()
    yield f"{server.url}/docs"
    await visit.leaves()
    await server.stop()


async def _shows(page: Page, anchor: str) -> bool:
    """Whether what has this id begins within the window."""
    place = await page.locator(f"[id='{anchor}']").bounding_box()
    size = page.viewport_size
    return place is not None and size is not None and 0 <= place["y"] < size["height"]


@pytest.mark.parametrize(
    ("size", "scheme"),
    [(WIDE, "light"), (WIDE, "dark"), (PHONE, "dark"), (NARROWEST, "light")],
    ids=["wide", "wide and dark", "phone and dark", "narrowest"],
)
async def test_it_can_be_read_by_everybody(visit: Visit, docs: str, size: Any, scheme: Any) -> None:
    """axe finds nothing, nothing stands out of the window, and what can be pressed is large enough."""
    page = visit.page
    await page.set_viewport_size(size)
    await page.emulate_media(color_scheme=scheme)
    await page.goto(f"{docs}#send_message")
    await eventually(lambda: _shows(page, "send_message"), "the page to show what its address names")
    await page.screenshot(path=SCREENSHOTS / f"docs-{size['width']}-{scheme}.png")
    assert not await scrolls_sideways(page)
    assert await small_targets(page) == []
    await page.evaluate(KEEP_ONE_OF_EACH)
    assert await violations(page) == []


async def test_it_asks_for_nothing_else(visit: Visit, docs: str) -> None:
    """The page is one answer: no font, no script, no picture, from nowhere."""
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))
    await visit.page.goto(docs)
    await visit.page.wait_for_load_state("networkidle")
    assert asked == [docs]
    async with visit.page.expect_response("**/openapi.json"):
        await visit.page.get_by_role("link", name="openapi.json").first.click()
    assert asked[1:] == [docs.replace("/docs", "/openapi.json")]


async def test_by_keyboard(visit: Visit, docs: str) -> None:
    """The first Tab offers to skip the contents; examples that scroll can be reached and scrolled."""
    page = visit.page
    await page.goto(docs)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the reference")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.querySelector('main').contains(document.activeElement)")
    example = page.get_by_role("region", name="Send: A person writes")
    await example.focus()
    await page.keyboard.press("End")

    async def scrolled() -> bool:
        return bool(await example.evaluate("(region) => region.scrollTop > 0"))

    await eventually(scrolled, "the example to scroll")


async def test_the_contents_on_a_phone(visit: Visit, docs: str) -> None:
    """Out of the way until they are wanted, and again once something was chosen."""
    page = visit.page
    await page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    await page.goto(docs)
    contents = page.get_by_role("navigation", name="Contents")
    entry = contents.get_by_role("link", name="Cancel a batch")
    await expect(entry).to_be_hidden()
    await page.get_by_role("banner").get_by_role("link", name="Contents").click()
    await entry.click()
    await expect(entry).to_be_hidden()
    await expect(page.get_by_role("heading", name="Cancel a batch")).to_be_in_viewport()


async def test_a_command_is_copied_as_it_stands(visit: Visit, docs: str) -> None:
    """Also one with quotes and line breaks in it."""
    page = visit.page
    await visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.goto(docs)
    await page.get_by_role("button", name="Copy: Send: A person writes").click()
    await expect(page.get_by_text("Copied", exact=True)).to_be_visible()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith('curl "$APP/v1/accounts/acme/messages" \\\n  -H "x-functions-key: $KEY"')
    assert copied.endswith("}'")
    assert '"html": "<p>Dear Ada, here is our offer.</p>"' in copied


class TestWithoutJavaScript:
    """A reader who switched it off."""

    @pytest.fixture
    def profile(self) -> dict[str, Any]:
        """The browser of such a reader, on a phone."""
        return {"java_script_enabled": False, "viewport": PHONE}

    async def test_nothing_is_missing(self, visit: Visit, docs: str) -> None:
        """Contents, text and examples are there, and links lead to their places."""
        page = visit.page
        await page.goto(docs)
        await page.get_by_role("navigation").get_by_role("link", name="Read the feed").click()
        await expect(page.get_by_role("heading", name="Read the feed")).to_be_in_viewport()
        await page.locator("#list_events summary", has_text="Problems").click()
        await expect(page.locator("#list_events").get_by_role("link", name="invalid_request")).to_be_visible()
        assert await page.get_by_role("button").count() == 0
