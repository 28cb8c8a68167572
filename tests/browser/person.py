"""A user of the CRM in front of their browser, with the real app behind the page, and their way through Microsoft's pages."""

from dataclasses import dataclass
from typing import Any, Literal

from playwright.async_api import Frame, Page, expect

from tests.browser.crm import SmallCrm
from tests.browser.visit import Visit
from tests.cloud.directory import Person
from tests.e2e.account import Account, unique

#: The code that Microsoft's pages ask people for.
CODE = "246810"
#: How long the app may take for what it does after a sign-in, on a machine that is busy with other tests.
PATIENCE_MS = 30_000

type Json = dict[str, Any]


@dataclass(frozen=True)
class CrmUser:
    """`visit` is their browser, `crm` what they work with; `account` calls the app as the CRM's backend."""

    visit: Visit
    crm: SmallCrm
    account: Account
    user_id: str

    @property
    def page(self) -> Page:
        """The tab."""
        return self.visit.page

    def mailbox(self, name: str = "Dana Whitfield", **more: Any) -> Person:
        """Somebody with a mailbox, in a company of their own, whose sign-in asks for a code."""
        address = f"{name.partition(' ')[0].lower()}@{unique('northwind')}.example"
        return self.account.cloud.directory.add(address, name, code=CODE, **more)

    async def opens_settings(self) -> Frame:
        """The settings page, in the CRM's My Profile."""
        return await self.visit.opens_in_crm(self.crm.profile)

    async def begins(self, panel: Literal["Connect", "Update"]) -> None:
        """Open this panel of the page that is on the screen, and go to Microsoft."""
        frame = await self.visit.frame()
        await frame.get_by_role("button", name=panel, exact=True).click()
        await self.goes_to_microsoft()

    async def goes_to_microsoft(self) -> None:
        """Press the sign-in button that is on the screen."""
        frame = await self.visit.frame()
        await frame.get_by_role("button", name="Sign in with Microsoft").locator("visible=true").click()
        await expect(self.page.get_by_role("heading", name="Pick an account")).to_be_visible()

    async def gives_email(self, mailbox: Person) -> None:
        """On Microsoft's first page."""
        await self.page.get_by_label("Email").fill(mailbox.email)
        await self.page.get_by_role("button", name="Next").click()
        await expect(self.page.get_by_role("heading", name="Enter code")).to_be_visible()

    async def gives_code(self) -> None:
        """On the second."""
        await self.page.get_by_label("Code").fill(CODE)
        await self.page.get_by_role("button", name="Verify").click()

    async def decides(self, button: str) -> Frame:
        """On the last, which leads back to the CRM; the settings page, which it shows anew."""
        await self.page.get_by_role("button", name=button).click()
        return await self.is_back()

    async def is_back(self) -> Frame:
        """The settings page, once Microsoft has led back to the CRM."""
        await self.page.wait_for_url(self.crm.profile)
        return await self.visit.frame()

    async def signs_in(self, mailbox: Person, button: str = "Accept") -> Frame:
        """All of Microsoft's pages, for somebody who has not been asked for permissions before."""
        await self.gives_email(mailbox)
        await self.gives_code()
        return await self.decides(button)

    async def signs_in_again(self, mailbox: Person) -> Frame:
        """The same for somebody who has agreed before, and is not asked again."""
        await self.gives_email(mailbox)
        await self.gives_code()
        return await self.is_back()

    async def connects(self, mailbox: Person) -> Frame:
        """The whole way from the CRM's settings to a connection that is in sync."""
        await self.opens_settings()
        await self.begins("Connect")
        frame = await self.signs_in(mailbox)
        await in_sync(frame, mailbox)
        return frame

    async def sends(self) -> Json:
        """`data.message` of an individual email of this user, which begins a thread, once it has left."""
        mail = {
            "kind": "individual",
            "user_id": self.user_id,
            "to": [{"address": "ada@customer.example", "name": "Ada Quist", "contact_id": "contact-1"}],
            "subject": "Our offer",
            "html": "<p>Dear Ada, here is our offer.</p>",
        }
        accepted = await self.account.api.send(mail, unique("offer"))
        assert accepted.status_code == 202, accepted.text
        sent = await self.account.heard("message.sent")
        return dict(sent["data"]["message"])

    async def connection(self) -> Json:
        """What the CRM's backend reads."""
        answer = await self.account.api.connection(self.user_id)
        return dict(answer.json())


async def in_sync(frame: Frame, mailbox: Person) -> None:
    """See on the page that this mailbox is connected and in sync."""
    await expect(frame.locator("#address")).to_have_text(mailbox.email, timeout=PATIENCE_MS)
    await says(frame, "In sync up to")


async def says(frame: Frame, state: str) -> None:
    """See this state on the page."""
    await expect(frame.locator("#state-words")).to_contain_text(state, timeout=PATIENCE_MS)
