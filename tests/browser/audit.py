"""What can be said of any page without knowing it: accessible, not wider than its window, and how it looks."""

from pathlib import Path

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Frame, Page

#: Kept for people to look at; `build/` is in no commit.
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"


async def violations(page: Page | Frame) -> list[str]:
    """What axe finds: WCAG 2.0 to 2.2, A and AA, and its best practices. A line each: the rule and the elements."""
    found = await Axe().run(page)
    return [
        f"{violation['id']}: {violation['help']}: {[node['html'] for node in violation['nodes']]}"
        for violation in found.response["violations"]
    ]


async def scrolls_sideways(page: Page | Frame) -> bool:
    """Whether something stands out beyond the window's right edge."""
    return bool(await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


async def small_targets(page: Page | Frame) -> list[str]:
    """Controls smaller than 24 by 24 CSS pixels (WCAG 2.2, 2.5.8). A choice counts with its label; links in text are exempt."""
    return list(
        await page.evaluate(
            """() => [...document.querySelectorAll("button, input")]
                .map((control) => control.closest("label") ?? control)
                .filter((target) => target.checkVisibility())
                .filter((target) => target.getBoundingClientRect().width < 24 || target.getBoundingClientRect().height < 24)
                .map((target) => target.outerHTML)"""
        )
    )


async def take_screenshot(page: Page, name: str) -> None:
    """The whole page as `build/screenshots/{name}.png`."""
    await page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True, animations="disabled")
