"""By keyboard alone, enlarged, without motion, in forced colours: the page works the same."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.audit import scrolls_sideways, take_screenshot, violations
from tests.browser.crm import SmallCrm
from tests.browser.stand_in import StandIn
from tests.browser.views import VIEWS
from tests.browser.visit import Visit, focused


async def _presses(page: Page, *keys: str) -> None:
    for key in keys:
        await page.keyboard.press(key)


async def test_connecting_by_keyboard_alone(visit: Visit, stand_in: StandIn, crm: SmallCrm) -> None:
    """Provider, Connect, the panel and its buttons are reached in reading order; Enter goes to Microsoft."""
    frame = await visit.opens_in_crm(crm.profile)
    await frame.locator("body").focus()
    page = visit.page
    await frame.get_by_role("radio", name="Outlook").focus()
    await _presses(page, "Tab")
    assert await focused(frame) == "Connect"
    await _presses(page, "Enter")
    assert await focused(frame) == "connect-title"
    await _presses(page, "Tab")
    assert await focused(frame) == "Sign in with Microsoft"
    await _presses(page, "Tab")
    assert await focused(frame) == "Cancel"
    await _presses(page, "Shift+Tab", "Enter")
    await page.wait_for_url(stand_in.sign_in_url)


@pytest.mark.parametrize("way_out", ["Escape", "Cancel", "the button again"])
async def test_leaving_a_panel_by_keyboard(way_out: str, visit: Visit, stand_in: StandIn) -> None:
    """A panel closes by Escape, by Cancel and by the button that opened it, and the focus is on that button again."""
    stand_in.view = VIEWS["in-sync"]
    page = await visit.opens(stand_in.link)
    await page.get_by_role("button", name="Update").focus()
    await _presses(page, "Tab", "Enter")
    assert await focused(page) == "delete-title"
    opener = page.get_by_role("button", name="Delete", exact=True)
    await expect(opener).to_have_attribute("aria-expanded", "true")
    if way_out == "the button again":
        await _presses(page, "Shift+Tab", "Space")
    elif way_out == "Cancel":
        await _presses(page, "Tab", "Tab", "Enter")
    else:
        await _presses(page, "Escape")
    await expect(page.get_by_role("heading", name="Delete this connection?")).to_be_hidden()
    await expect(opener).to_have_attribute("aria-expanded", "false")
    await expect(opener).to_be_focused()


async def test_everything_is_reached_once_and_in_order(visit: Visit, stand_in: StandIn) -> None:
    """Tab goes through the page as it reads, holds nowhere, and the arrow keys choose the default email."""
    stand_in.view = VIEWS["reconnect-waits-for-administrator"]
    page = await visit.opens(stand_in.link)
    order = []
    for _ in range(6):
        await _presses(page, "Tab")
        order.append(await focused(page))
    assert order == ["Sign in with Microsoft", "admin-link", "copy", "Update", "Delete", "outlook"]
    await _presses(page, "ArrowDown")
    await expect(page.get_by_role("radio", name="The account’s own provider")).to_be_checked()
    await expect(page.locator("#default-saved")).to_have_text("Saved")
    assert await focused(page) == "provider"
    await _presses(page, "Tab")
    assert await page.evaluate("document.activeElement === document.body")


async def test_the_focus_can_be_seen(visit: Visit, stand_in: StandIn) -> None:
    """Whatever has the focus by keyboard has an outline at least 2 px wide, in light and in dark."""
    stand_in.view = VIEWS["reconnect-waits-for-administrator"]
    page = await visit.opens(stand_in.link)
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        for _ in range(7):
            await _presses(page, "Tab")
            style, width = await page.evaluate(
                "(s => [s.outlineStyle, parseFloat(s.outlineWidth)])(getComputedStyle(document.activeElement))"
            )
            on_a_control = await page.evaluate("document.activeElement !== document.body")
            assert not on_a_control or (style == "solid" and width >= 2), await focused(page)


async def test_text_twice_as_large_still_fits(visit: Visit, stand_in: StandIn) -> None:
    """With the reader's own text size doubled (WCAG 1.4.4), at 640 px, nothing stands out and nothing is cut off."""
    stand_in.view = VIEWS["in-sync-with-a-long-address"]
    await visit.page.set_viewport_size({"width": 640, "height": 800})
    page = await visit.opens(stand_in.link)
    await page.get_by_role("button", name="Delete", exact=True).click()
    await page.evaluate("document.styleSheets[0].insertRule(':root { font-size: 200% }')")
    await take_screenshot(page, "text-twice-as-large")
    assert not await scrolls_sideways(page)
    cut_off = await page.evaluate(
        """() => [...document.querySelectorAll("button, p:not(.unseen), li")]
            .filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1)
            .map((e) => e.outerHTML)"""
    )
    assert cut_off == []


async def test_the_readers_text_spacing_fits(visit: Visit, stand_in: StandIn) -> None:
    """With the spacing of WCAG 1.4.12, at 320 px, nothing stands out."""
    stand_in.view = VIEWS["waiting-for-administrator"]
    await visit.page.set_viewport_size({"width": 320, "height": 800})
    page = await visit.opens(stand_in.link)
    await page.get_by_role("button", name="Connect").click()
    await page.evaluate(
        """document.styleSheets[0].insertRule(
            "* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important }")"""
    )
    await take_screenshot(page, "text-spacing")
    assert not await scrolls_sideways(page)


@pytest.mark.parametrize(("motion", "moves"), [("no-preference", True), ("reduce", False)])
async def test_nothing_moves_for_who_wants_no_motion(motion: Any, moves: bool, visit: Visit, stand_in: StandIn) -> None:
    """The turning arrows of Connecting stand still where the system asks for reduced motion."""
    stand_in.view = VIEWS["connecting"]
    await visit.page.emulate_media(reduced_motion=motion)
    page = await visit.opens(stand_in.link)
    await expect(page.locator("#state-words")).to_have_text("Connecting…")
    assert bool(await page.evaluate("document.getAnimations().length")) is moves


async def test_in_forced_colours_states_can_be_told(visit: Visit, stand_in: StandIn) -> None:
    """In a high-contrast theme the state has a visible edge, and the chosen default email a stronger one than the other."""
    stand_in.view = VIEWS["in-sync"]
    await visit.page.emulate_media(forced_colors="active")
    page = await visit.opens(stand_in.link)
    await page.get_by_role("button", name="Update").click()
    await take_screenshot(page, "forced-colours")
    assert await violations(page) == []
    widths = await page.evaluate(
        """["#state", ".choice:has(:checked):has([value=outlook])", ".choice:has([value=provider])"].map(
            (place) => parseFloat(getComputedStyle(document.querySelector(place)).borderTopWidth))"""
    )
    state, chosen, other = widths
    assert state >= 1
    assert chosen > other >= 1
