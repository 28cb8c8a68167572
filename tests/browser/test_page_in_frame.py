"""The page where it lives: in a frame of the CRM, another site, with third-party cookies off."""

from playwright.async_api import Browser, expect

from tests.browser.crm import SmallCrm
from tests.browser.stand_in import Call, StandIn
from tests.browser.views import ADMIN_CONSENT_URL, VIEWS
from tests.browser.visit import Visit
from tests.cloud.polling import eventually

SIGN_IN = "Sign in with Microsoft"


async def test_third_party_cookies_are_off_here(visit: Visit, stand_in: StandIn, crm: SmallCrm) -> None:
    """The frame's site gets no cookie from a page in a frame, though it does in a tab: what these tests prove, they prove so."""
    cookies = f"{stand_in.url}/cookie"
    await visit.page.goto(cookies)
    assert "visited=yes" in await (await visit.page.goto(cookies)).text()  # type: ignore[union-attr]
    frame = await visit.opens_in_crm(crm.profile)
    assert await frame.evaluate("document.cookie") == ""
    await frame.goto(cookies)
    assert (await frame.inner_text("body")).strip() == "no cookie"


async def test_the_token_of_the_fragment_is_all_the_page_needs(visit: Visit, stand_in: StandIn, crm: SmallCrm) -> None:
    """The page works in a frame whose site may neither keep nor read anything, and again after a reload of the frame."""
    stand_in.view = VIEWS["in-sync"]
    frame = await visit.opens_in_crm(crm.profile)
    await expect(frame.locator("#state-words")).to_have_text("In sync up to 14:05")
    await frame.evaluate("location.reload()")
    await expect(frame.locator("#state-words")).to_have_text("In sync up to 14:05")
    assert await frame.evaluate("document.hasStorageAccess()") is False


async def test_only_the_crm_may_embed_it(visit: Visit, stand_in: StandIn, crm: SmallCrm) -> None:
    """A site that frame-ancestors does not name is shown nothing of the page."""
    visit.provoked.append("frame-ancestors")
    # Chromium's name for the same place, which the policy does not have.
    stranger = crm.profile.replace("localhost", "127.0.0.1")
    await visit.page.goto(stranger)
    await expect(visit.page.get_by_title("Email (2-way sync)")).to_be_attached()

    async def refused() -> bool:
        return any("frame-ancestors" in said for said in visit.complaints)

    await eventually(refused, "the browser to refuse the frame")
    assert stand_in.calls == []


async def test_sign_in_takes_the_whole_tab(visit: Visit, stand_in: StandIn, crm: SmallCrm) -> None:
    """From the frame the sign-in opens at the top of the tab, since Microsoft shows itself in no frame."""
    frame = await visit.opens_in_crm(crm.profile)
    await frame.get_by_role("button", name="Connect").click()
    await frame.get_by_role("button", name=SIGN_IN).locator("visible=true").click()
    await visit.page.wait_for_url(stand_in.sign_in_url)
    assert stand_in.calls[-1] == Call("POST sign-in", {})


async def test_where_the_frame_may_not_leave_the_person_clicks(visit: Visit, stand_in: StandIn, crm: SmallCrm) -> None:
    """A browser that does not let the script lead the tab away shows a link, and a click on that does."""
    frame = await visit.opens_in_crm(crm.profile)
    await frame.evaluate("HTMLAnchorElement.prototype.click = () => {}")
    await frame.get_by_role("button", name="Connect").click()
    await frame.get_by_role("button", name=SIGN_IN).locator("visible=true").click()
    await frame.get_by_role("link", name="Continue to Microsoft").click()
    await visit.page.wait_for_url(stand_in.sign_in_url)


async def test_back_from_microsoft_by_the_browsers_button(visit: Visit, stand_in: StandIn, crm: SmallCrm) -> None:
    """Who turns back before signing in finds the page as it was, and nobody on the way to Microsoft."""
    frame = await visit.opens_in_crm(crm.profile)
    await frame.get_by_role("button", name="Connect").click()
    await frame.get_by_role("button", name=SIGN_IN).locator("visible=true").click()
    await visit.page.wait_for_url(stand_in.sign_in_url)
    await visit.page.go_back()
    frame = await visit.frame()
    await expect(frame.locator("#state-words")).to_have_text("Not connected")
    await expect(frame.locator(".leaving").locator("visible=true")).to_have_count(0)


async def test_a_new_link_in_the_same_frame_is_taken(visit: Visit, stand_in: StandIn, crm: SmallCrm) -> None:
    """A CRM that puts a fresh link into the frame that shows an expired page sees it work, though only the fragment differs."""
    visit.provoked.append("status of 401")
    frame = await visit.opens_in_crm(crm.profile)
    await frame.evaluate(f"location.replace('{stand_in.link_with('expired')}')")
    await expect(frame.get_by_role("heading", name="Open this page again")).to_be_visible()
    await frame.evaluate(f"location.replace('{stand_in.link}')")
    await expect(frame.locator("#state-words")).to_have_text("Not connected")


async def test_without_any_token_it_says_where_to_go(visit: Visit, stand_in: StandIn) -> None:
    """The bare address, as typed by hand, asks the server for nothing and says where the page is opened."""
    await visit.page.goto(f"{stand_in.url}/settings/email")
    await expect(visit.page.get_by_role("heading", name="Open this page again")).to_be_visible()
    await expect(visit.page.locator("#content")).to_be_hidden()
    assert stand_in.calls == []


async def test_the_link_for_the_administrator_can_be_copied(visit: Visit, stand_in: StandIn, crm: SmallCrm) -> None:
    """The whole link goes to the clipboard, from a frame to which the CRM granted nothing."""
    stand_in.view = VIEWS["waiting-for-administrator"]
    frame = await visit.opens_in_crm(crm.profile)
    await expect(frame.get_by_label("Link for your administrator")).to_have_value(ADMIN_CONSENT_URL)
    await frame.get_by_role("button", name="Copy link").click()
    await expect(frame.get_by_text("Copied. Send it to your administrator.")).to_be_visible()
    await visit.context.grant_permissions(["clipboard-read"])
    assert await visit.page.evaluate("navigator.clipboard.readText()") == ADMIN_CONSENT_URL


async def test_without_scripts_it_says_so(browser: Browser, stand_in: StandIn) -> None:
    """Where no scripts run the page says what it needs, and shows no button that would not work."""
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(stand_in.link)
    # Not by its text: Playwright does not look for texts in here.
    await expect(page.locator("noscript p")).to_be_visible()
    await expect(page.get_by_role("button")).to_have_count(0)
    await context.close()
