"""Every state of the page: readable for everyone, in light and dark, on a small and on a large screen."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import pytest
from playwright.async_api import Page, expect

from tests.browser.audit import scrolls_sideways, small_targets, take_screenshot, violations
from tests.browser.stand_in import StandIn
from tests.browser.views import VIEWS
from tests.browser.visit import Visit

NARROW, WIDE = 320, 1280


async def _opens(panel: str, page: Page) -> None:
    await page.get_by_role("button", name=panel, exact=True).click()
    await expect(page.get_by_role("button", name="Cancel").locator("visible=true")).to_be_visible()


async def _connect(page: Page, _: StandIn) -> None:
    await _opens("Connect", page)


async def _update(page: Page, _: StandIn) -> None:
    await _opens("Update", page)


async def _delete(page: Page, _: StandIn) -> None:
    await _opens("Delete", page)


async def _delete_fails(page: Page, stand_in: StandIn) -> None:
    await _opens("Delete", page)
    stand_in.refuse("DELETE connection", 503)
    await page.get_by_role("button", name="Delete connection").click()
    await expect(page.get_by_role("alert").locator("visible=true")).to_contain_text("try again")


async def _sign_in_is_kept_in_the_frame(page: Page, stand_in: StandIn) -> None:
    await _opens("Connect", page)
    await page.evaluate('document.addEventListener("click", (e) => e.target.closest("a") && e.preventDefault())')
    await page.get_by_role("button", name="Sign in with Microsoft").locator("visible=true").click()
    await expect(page.get_by_role("link", name="Continue to Microsoft")).to_be_visible()


async def _default_sender_is_saved(page: Page, _: StandIn) -> None:
    await page.get_by_role("radio", name="The account’s own provider").check()
    await expect(page.get_by_text("Saved", exact=True)).to_be_visible()


async def _link_is_copied(page: Page, _: StandIn) -> None:
    await page.get_by_role("button", name="Copy link").click()
    await expect(page.locator("#copied")).not_to_be_empty()


async def _server_falls_silent(page: Page, stand_in: StandIn) -> None:
    stand_in.refuse("GET connection", 503)
    await page.evaluate('dispatchEvent(new Event("online"))')
    await expect(page.locator("#interruption")).to_be_visible()


type Scene = Callable[[Page, StandIn], Awaitable[None]]
#: What a person, or bad luck, does in a state, and what is seen then.
SCENES: dict[str, tuple[str, Scene]] = {
    "panel-connect": ("never-connected", _connect),
    "panel-update": ("in-sync", _update),
    "panel-delete": ("in-sync", _delete),
    "panel-update-in-trouble": ("needs-reconnect", _update),
    "panel-delete-with-a-long-address": ("in-sync-with-a-long-address", _delete),
    "delete-fails": ("in-sync", _delete_fails),
    "sign-in-is-kept-in-the-frame": ("never-connected", _sign_in_is_kept_in_the_frame),
    "default-sender-is-saved": ("in-sync", _default_sender_is_saved),
    "link-is-copied": ("waiting-for-administrator", _link_is_copied),
    "server-falls-silent": ("in-sync", _server_falls_silent),
}


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> Literal["light", "dark"]:
    """Which colours the reader's system asks for."""
    chosen: Literal["light", "dark"] = request.param
    return chosen


@pytest.fixture
def profile(scheme: str) -> dict[str, Any]:
    """A reader with this colour scheme."""
    return {"color_scheme": scheme, "viewport": {"width": WIDE, "height": 800}}


async def _is_fit_to_be_seen(page: Page, name: str) -> None:
    for width in (WIDE, NARROW):
        await page.set_viewport_size({"width": width, "height": 800})
        await take_screenshot(page, f"{name}-{width}")
        assert await violations(page) == []
        assert await small_targets(page) == []
        assert not await scrolls_sideways(page), f"{name} scrolls sideways at {width} px"


@pytest.mark.parametrize("name", VIEWS)
async def test_every_state_is_fit_to_be_seen(name: str, scheme: str, visit: Visit, stand_in: StandIn) -> None:
    """In each state axe finds nothing, targets are large enough, and nothing needs scrolling sideways at 320 px."""
    stand_in.view = VIEWS[name]
    page = await visit.opens(stand_in.link)
    await expect(page.locator("#state-words")).not_to_be_empty()
    await _is_fit_to_be_seen(page, f"{name}-{scheme}")


@pytest.mark.parametrize("name", SCENES)
async def test_every_scene_is_fit_to_be_seen(name: str, scheme: str, visit: Visit, stand_in: StandIn) -> None:
    """The same holds with a panel open, with an action that failed or was done, and with a server that does not answer."""
    state, scene = SCENES[name]
    stand_in.view = VIEWS[state]
    visit.provoked.append("status of 503")
    page = await visit.opens(stand_in.link)
    await scene(page, stand_in)
    await _is_fit_to_be_seen(page, f"{name}-{scheme}")


async def test_looking_is_fit_to_be_seen(scheme: str, visit: Visit, stand_in: StandIn) -> None:
    """The same holds while the first answer is awaited."""
    stand_in.open.clear()
    await visit.page.goto(stand_in.link)
    await expect(visit.page.locator("#loading")).to_be_visible()
    await _is_fit_to_be_seen(visit.page, f"looking-{scheme}")


async def test_an_expired_link_is_fit_to_be_seen(scheme: str, visit: Visit, stand_in: StandIn) -> None:
    """The same holds where the link has expired."""
    visit.provoked.append("status of 401")
    await visit.opens(stand_in.link_with("forged"))
    await expect(visit.page.get_by_role("heading", name="Open this page again")).to_be_visible()
    await _is_fit_to_be_seen(visit.page, f"expired-{scheme}")
