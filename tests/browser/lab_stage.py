"""Somebody in front of the lab of `make start`, in a real browser, and the lab they are in front of."""

import contextlib
import re
from collections.abc import AsyncIterator

from playwright.async_api import FrameLocator, Locator, Page, expect

from tests.browser.audit import scrolls_sideways, small_targets, take_screenshot, violations
from tests.browser.visit import Visit
from tests.cloud.lab import Lab
from tests.cloud.local import LocalCloud

DANA, LEE = "dana@northwind.example", "lee@fabrikam.example"


#: An email takes its way through queues and the app: seconds, more where other tests run beside this one.
PATIENCE_MS = 30_000


async def sees(shown: Locator) -> None:
    """Wait until this can be seen."""
    await expect(shown).to_be_visible(timeout=PATIENCE_MS)


class Newcomer:
    """Somebody in front of the lab: their words for what is on it."""

    def __init__(self, visit: Visit, lab: Lab, cloud: LocalCloud) -> None:
        self.visit = visit
        self.page: Page = visit.page
        self.lab = lab
        self.cloud = cloud
        self.crm: Locator = self.page.get_by_role("region", name="Contoso CRM")
        self.mailbox: Locator = self.page.get_by_role("region", name="Outlook mailbox")
        self.settings: FrameLocator = self.page.frame_locator("iframe[title='Email (2-way sync)']")

    async def arrives(self) -> None:
        """Open the lab, and wait until it is live."""
        await self.page.goto(self.lab.url)
        await sees(self.page.get_by_text("Live", exact=True))

    async def shown(self) -> None:
        """Press "Show me"."""
        await self.page.get_by_role("button", name="Show me").click()

    async def has_done(self, title: str) -> None:
        """Wait for this step of the tour to be ticked off."""
        await sees(self.page.get_by_role("button", name=f"{title} (done)"))

    async def presses(self, half: Locator, name: str) -> None:
        """Press a button of one half."""
        await half.get_by_role("button", name=name, exact=True).click()

    async def tabs_to(self, name: str) -> None:
        """Press Tab until the button with this name has the focus."""
        wanted = self.page.get_by_role("button", name=name, exact=True)
        for _ in range(60):
            await self.page.keyboard.press("Tab")
            if await wanted.evaluate("button => button === document.activeElement"):
                return
        raise AssertionError(f"{name} is not reached by Tab")

    async def has_looked_again(self) -> None:
        """Wait for the page's next look at its backend."""
        async with self.page.expect_response(re.compile("/now")):
            pass

    async def connects(self) -> None:
        """Press Connect on the embedded page, and sign in at Microsoft as Dana."""
        await self.settings.get_by_role("button", name="Connect").click()
        await (
            self.settings.get_by_role("link", name="Sign in with Microsoft")
            .or_(self.settings.get_by_role("button", name="Sign in with Microsoft"))
            .first.click()
        )
        await self.page.get_by_role("button", name=DANA).click()
        await self.page.get_by_role("button", name="Accept").click()
        await sees(self.crm.get_by_text("Welcome back from Microsoft"))

    async def is_flawless(self, name: str) -> None:
        """Nothing for axe to find in light or dark, nothing beyond the window's edge, nothing too small to hit."""
        for scheme in ("light", "dark"):
            await self.page.emulate_media(color_scheme=scheme)
            # A highlight keeps the colours of the scheme in which it began to fade: also of one that began meanwhile.
            await self.page.evaluate("Promise.allSettled(document.getAnimations().map((running) => running.finished))")
            assert await violations(self.page) == [], f"{name}, {scheme}"
            await take_screenshot(self.page, f"lab-{name}-{scheme}")
        assert not await scrolls_sideways(self.page)
        assert await small_targets(self.page) == []


@contextlib.asynccontextmanager
async def running_lab() -> AsyncIterator[tuple[Lab, LocalCloud]]:
    """A lab where nothing has happened yet, as `make start` gives it."""
    cloud = LocalCloud()
    cloud.directory.add(DANA, "Dana Whitfield", ["dana.whitfield@northwind.example"])
    cloud.directory.add(LEE, "Lee Okafor")
    lab = Lab.beside(cloud)
    async with cloud, contextlib.AsyncExitStack() as running:
        running.push_async_callback(lab.stop)
        await lab.start()
        yield lab, cloud


@contextlib.asynccontextmanager
async def in_front_of(lab: Lab, cloud: LocalCloud, visit: Visit) -> AsyncIterator[Newcomer]:
    """Somebody at this lab, who leaves before it stops."""
    await visit.page.set_viewport_size({"width": 1280, "height": 860})
    yield Newcomer(visit, lab, cloud)
    await visit.page.goto("about:blank")
