"""Everything else that happens to a connection, as its owner sees it on the page: the real app behind it."""

from playwright.async_api import Browser, expect

from tests.browser.audit import take_screenshot
from tests.browser.person import CrmUser, in_sync, says
from tests.browser.visit import Visit, hide
from tests.cloud.polling import eventually
from tests.cloud.stage import Stage

NOTHING_CHANGED = "The sign-in was cancelled"


async def test_declining_leaves_everything_as_it_was(dana: CrmUser) -> None:
    """Who presses Cancel at Microsoft reads that nothing has changed, and can connect all the same."""
    mailbox = dana.mailbox()
    await dana.opens_settings()
    await dana.begins("Connect")
    frame = await dana.signs_in(mailbox, "Cancel")
    await says(frame, "Not connected")
    await expect(frame.locator("#outcome")).to_contain_text(NOTHING_CHANGED)
    await take_screenshot(dana.page, "life-declined")
    await dana.begins("Connect")
    frame = await dana.signs_in(mailbox)
    await in_sync(frame, mailbox)
    await expect(frame.locator("#outcome")).to_be_hidden()


async def test_declining_an_update_keeps_the_mailbox(dana: CrmUser) -> None:
    """An update that is broken off at Microsoft leaves the connected mailbox in sync, and says so."""
    mailbox = dana.mailbox()
    await dana.connects(mailbox)
    await dana.begins("Update")
    frame = await dana.signs_in(dana.mailbox("Kim Whitfield"), "Cancel")
    await in_sync(frame, mailbox)
    await expect(frame.locator("#outcome")).to_contain_text(NOTHING_CHANGED)
    assert (await dana.sends())["from"]["address"] == mailbox.email


async def test_an_update_with_the_same_mailbox_keeps_the_connection(dana: CrmUser) -> None:
    """Signing in again with the mailbox that is connected renews it: the connection is the same as before."""
    mailbox = dana.mailbox()
    await dana.connects(mailbox)
    before = await dana.connection()
    await dana.begins("Update")
    frame = await dana.signs_in_again(mailbox)
    await in_sync(frame, mailbox)
    assert (await dana.connection())["connection_id"] == before["connection_id"]


async def test_an_administrator_approves(dana: CrmUser, browser: Browser) -> None:
    """
    The page waits for the administrator, and shows the approval without being touched; then the user connects.

    The administrator opens the link from the page in a browser of their own, where nobody is signed in to the CRM.
    """
    mailbox = dana.mailbox(admin_consent_required=True)
    await dana.opens_settings()
    await dana.begins("Connect")
    frame = await dana.signs_in(mailbox, "Return to the application")
    await says(frame, "Waiting for your administrator")
    await take_screenshot(dana.page, "life-waiting-for-administrator")
    link = await frame.get_by_label("Link for your administrator").input_value()

    elsewhere = await browser.new_context()
    administrator = Visit(elsewhere, await elsewhere.new_page())
    administrator.listen()
    page = administrator.page
    await page.goto(link)
    await page.get_by_role("radio", name=mailbox.email.rpartition("@")[2]).check()
    await page.get_by_role("button", name="Accept").click()
    await expect(page.get_by_text("Your organisation has approved the app.")).to_be_visible()
    assert administrator.unexpected() == []
    await elsewhere.close()

    await says(frame, "Your administrator has approved")
    await take_screenshot(dana.page, "life-approved")
    await dana.begins("Connect")
    await in_sync(await dana.signs_in_again(mailbox), mailbox)


async def test_a_revoked_sign_in_is_mended_by_signing_in_again(dana: CrmUser) -> None:
    """The open page says that the sign-in was revoked; after signing in again what came meanwhile is in the CRM."""
    mailbox = dana.mailbox()
    frame = await dana.connects(mailbox)
    stage = Stage(dana.account.cloud, dana.account.http, mailbox.email)
    offer = (await dana.sends())["internet_message_id"]
    before = await dana.connection()
    revoke = f"{dana.account.cloud.entra.url}/_lab/revoke"
    await stage.lab("POST", revoke, {"email": mailbox.email, "access_tokens": True})
    await stage.mail_arrives("ada@customer.example", "RE: Our offer", "Yes please", in_reply_to=offer)

    async def noticed() -> bool:
        return bool((await dana.connection())["state"] == "needs_reconnect")

    await eventually(noticed, "the app to notice")
    await hide(frame, hidden=False)  # They come back to the tab, which looks at once.
    await says(frame, "Sign in again")
    await expect(frame.locator("#state-detail")).to_contain_text("Sign in to Outlook again.")
    await take_screenshot(dana.page, "life-sign-in-again")
    await dana.goes_to_microsoft()
    frame = await dana.signs_in_again(mailbox)
    await in_sync(frame, mailbox)
    assert (await dana.connection())["connection_id"] == before["connection_id"]
    synced = await dana.account.heard("message.synced")
    assert synced["data"]["message"]["text"] == "Yes please"


async def test_what_was_erased_shows_no_address(dana: CrmUser) -> None:
    """After the CRM has had everything erased, the page knows only that there was a connection."""
    mailbox = dana.mailbox()
    frame = await dana.connects(mailbox)
    assert (await dana.account.api.delete_connection(dana.user_id, erase=True)).status_code == 200
    await frame.evaluate('dispatchEvent(new Event("online"))')
    await says(frame, "Disconnected")
    await expect(frame.locator("body")).not_to_contain_text(mailbox.email, use_inner_text=True)
    await expect(frame.locator("#state-detail")).to_contain_text("The mailbox is no longer connected")
