"""
The guide "How to connect Outlook two-way email sync", followed to the letter in a real browser.

Each step is one that the guide's readers take, in its order and with its numbers; a screenshot of each is kept.
"""

from playwright.async_api import Page, expect

from tests.browser.audit import take_screenshot
from tests.browser.person import CrmUser, in_sync, says
from tests.cloud.directory import Person
from tests.cloud.polling import eventually


async def _seen(page: Page, step: int, what: str) -> None:
    await take_screenshot(page, f"step-{step:02}-{what}")


async def _nothing_tells_of(dana: CrmUser, mailbox: Person) -> None:
    """Wait until no subscription of this mailbox is left: where Graph is slow to close one, the queue does it later."""

    async def look() -> bool:
        return await dana.account.subscriptions(mailbox.email) == []

    await eventually(look, f"the subscriptions of {mailbox.email} to end", timeout=60)


async def test_the_twelve_steps(dana: CrmUser) -> None:
    """Whoever does what the guide says gets what the guide promises, and the sync does the same as the page says."""
    page = dana.page
    mailbox, other = dana.mailbox(), dana.mailbox("Kim Whitfield")
    await page.goto(dana.crm.home)
    await _seen(page, 0, "the-crm")

    # 1. Click "Settings"
    await page.get_by_role("link", name="Settings").click()
    await expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    await _seen(page, 1, "settings")

    # 2. Click "My Profile"
    await page.get_by_role("link", name="My Profile").click()
    await expect(page.get_by_role("heading", name="My Profile")).to_be_visible()

    # 3. Navigate to "Email (2-way sync)"
    frame = await dana.visit.frame()
    await frame.get_by_role("heading", name="Email (2-way sync)").scroll_into_view_if_needed()
    await says(frame, "Not connected")
    await _seen(page, 3, "email-2-way-sync")

    # 4. Select "Outlook"
    await frame.get_by_role("radio", name="Outlook").check()
    await _seen(page, 4, "outlook")

    # 5. Click "Connect"
    await frame.get_by_role("button", name="Connect").click()
    await _seen(page, 5, "connect")
    await dana.goes_to_microsoft()

    # 6. Input "Email"
    await _seen(page, 6, "email")
    await dana.gives_email(mailbox)

    # 7. Input "Code"
    await _seen(page, 7, "code")
    await dana.gives_code()

    # 8. Click "Accept"
    await expect(page.get_by_role("heading", name="Permissions requested")).to_be_visible()
    await _seen(page, 8, "accept")
    frame = await dana.decides("Accept")

    # 9. Connected
    await in_sync(frame, mailbox)
    await _seen(page, 9, "connected")
    first = await dana.connection()
    assert (first["state"], first["email"]) == ("connected", mailbox.email)

    # 10. Click here to "Update": another mailbox, without disconnecting the first one before
    await frame.get_by_role("button", name="Update").click()
    await _seen(page, 10, "update")
    await dana.goes_to_microsoft()
    assert (await dana.connection())["connection_id"] == first["connection_id"]
    frame = await dana.signs_in(other)
    await in_sync(frame, other)
    second = await dana.connection()
    assert second["connection_id"] != first["connection_id"]
    await _nothing_tells_of(dana, mailbox)

    # 11. Click here to "Delete"
    await frame.get_by_role("button", name="Delete", exact=True).click()
    await _seen(page, 11, "delete")
    await frame.get_by_role("button", name="Delete connection").click()
    await says(frame, "Disconnected")
    assert (await dana.connection())["state"] == "disconnected"
    await _nothing_tells_of(dana, other)

    # 12. Default email: of a mailbox connected anew
    await dana.begins("Connect")
    frame = await dana.signs_in_again(mailbox)
    await in_sync(frame, mailbox)
    await expect(frame.get_by_role("radio", name=f"Outlook ({mailbox.email})")).to_be_checked()
    await frame.get_by_role("radio", name="The account’s own provider").check()
    await expect(frame.locator("#default-saved")).to_have_text("Saved")
    await _seen(page, 12, "default-email")
    assert (await dana.connection())["default_sender"] == "provider"
    await frame.get_by_role("radio", name=f"Outlook ({mailbox.email})").check()
    await expect(frame.locator("#default-saved")).to_have_text("Saved")
    assert (await dana.sends())["from"]["address"] == mailbox.email
