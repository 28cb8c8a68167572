"""One person in front of the page, and everything that their browser complained of."""

from dataclasses import dataclass, field

from playwright.async_api import BrowserContext, ConsoleMessage, Frame, Page, expect


@dataclass
class Visit:
    """
    A fresh browser of one person. `page` is its one tab.

    complaints: errors on the console, among them every violation of a Content-Security-Policy, and exceptions that nothing
    caught. The fixture that gives the visit fails its test if any is left; what a test provokes it names in `provoked`.
    """

    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)
    provoked: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Note complaints from now on, of frames too."""
        self.context.on("console", self._heard)
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))

    def unexpected(self) -> list[str]:
        """Complaints that no test asked for."""
        return [said for said in self.complaints if not any(words in said for words in self.provoked)]

    async def leaves(self) -> None:
        """Close every tab: before what they show stops answering, which an open page would look for in vain."""
        await self.context.close()

    async def opens(self, link: str) -> Page:
        """The page in a tab of its own, once it shows something."""
        await self.page.goto(link)
        await _shows_something(self.page)
        return self.page

    async def opens_in_crm(self, profile: str) -> Frame:
        """The page in the CRM's frame, once it shows something."""
        await self.page.goto(profile)
        return await self.frame()

    async def frame(self) -> Frame:
        """The page in the CRM's frame that is open now, once it shows something."""
        element = await self.page.get_by_title("Email (2-way sync)").element_handle()
        frame = await element.content_frame() if element else None
        assert frame is not None, f"no settings page in {self.page.url}"
        await _shows_something(frame)
        return frame

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)


async def _shows_something(page: Page | Frame) -> None:
    """The state of the connection is there, or what to do where the link has expired."""
    await expect(page.locator("#content:visible, #expired:visible")).to_have_count(1, timeout=30_000)


async def hide(frame: Frame | Page, *, hidden: bool) -> None:
    """Make the document believe that its tab went to the back, or came to the front; headless tabs never do."""
    await frame.evaluate(
        """(hidden) => {
            Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


async def focused(frame: Frame | Page) -> str:
    """What has the focus, as its id or its text."""
    return str(
        await frame.evaluate(
            "document.activeElement.id || document.activeElement.value || document.activeElement.innerText"
        )
    )
