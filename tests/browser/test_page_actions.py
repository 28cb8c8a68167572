"""What a person does on the page: once, with what came of it in plain words."""

import pytest
from playwright.async_api import Frame, expect

from tests.browser.crm import SmallCrm
from tests.browser.stand_in import REQUEST_ID, Call, StandIn
from tests.browser.views import VIEWS
from tests.browser.visit import Visit, focused
from tests.cloud.polling import eventually

SIGN_IN = "Sign in with Microsoft"
LATER = f"That did not work just now. Please try again in a minute. Reference: {REQUEST_ID}"
HELP = f"That did not work. Please try again; if it fails again, tell whoever looks after your CRM. Reference: {REQUEST_ID}"
OFFLINE = "The server could not be reached. Check your internet connection, then try again."


async def _asked(stand_in: StandIn, name: str) -> None:
    async def look() -> bool:
        return stand_in.count(name) > 0

    await eventually(look, f"the page to call {name}")


async def _connected(visit: Visit, stand_in: StandIn, crm: SmallCrm) -> Frame:
    stand_in.view = VIEWS["in-sync"]
    return await visit.opens_in_crm(crm.profile)


async def test_delete_ends_the_connection_once_confirmed(visit: Visit, stand_in: StandIn, crm: SmallCrm) -> None:
    """Delete does nothing before it is confirmed; then the page shows at once that the mailbox is disconnected."""
    frame = await _connected(visit, stand_in, crm)
    await frame.get_by_role("button", name="Delete", exact=True).click()
    await frame.get_by_role("button", name="Cancel").locator("visible=true").click()
    assert stand_in.count("DELETE connection") == 0
    await frame.get_by_role("button", name="Delete", exact=True).click()
    await frame.get_by_role("button", name="Delete connection").click()
    await expect(frame.locator("#state-words")).to_have_text("Disconnected")
    await expect(frame.locator("#default-email")).to_be_hidden()
    await expect(frame.get_by_role("button", name="Connect")).to_be_visible()
    assert await focused(frame) == "mailbox-title"
    assert "Disconnected" in await frame.locator("#announcement").inner_text()


async def test_default_email_is_saved_as_soon_as_it_is_chosen(visit: Visit, stand_in: StandIn, crm: SmallCrm) -> None:
    """Choosing the other door saves it and says so; no further button is needed."""
    frame = await _connected(visit, stand_in, crm)
    await frame.get_by_role("radio", name="The account’s own provider").check()
    await expect(frame.locator("#default-saved")).to_have_text("Saved")
    assert [call.body for call in stand_in.calls if call.name == "PUT default-sender"] == [
        {"default_sender": "provider"}
    ]
    await expect(frame.get_by_role("radio", name="The account’s own provider")).to_be_checked()


async def test_the_last_choice_of_default_email_wins(visit: Visit, stand_in: StandIn, crm: SmallCrm) -> None:
    """Who changes their mind while the first choice is being saved gets the second one saved, and sees it all along."""
    frame = await _connected(visit, stand_in, crm)
    stand_in.open.clear()
    await frame.get_by_role("radio", name="The account’s own provider").check()
    await _asked(stand_in, "PUT default-sender")
    await frame.get_by_role("radio", name="Outlook (dana@").check()
    stand_in.open.set()
    await expect(frame.locator("#default-saved")).to_have_text("Saved")
    await expect(frame.get_by_role("radio", name="Outlook (dana@")).to_be_checked()
    sent = [(call.body or {})["default_sender"] for call in stand_in.calls if call.name == "PUT default-sender"]
    assert sent == ["provider", "outlook"]


async def test_a_default_email_that_was_not_saved_goes_back(visit: Visit, stand_in: StandIn, crm: SmallCrm) -> None:
    """When saving fails the choice that holds is selected again, and the page says what to do."""
    visit.provoked.append("status of 503")
    frame = await _connected(visit, stand_in, crm)
    stand_in.refuse("PUT default-sender", 503)
    await frame.get_by_role("radio", name="The account’s own provider").click()
    await expect(frame.locator("#default-failure")).to_have_text(LATER)
    await expect(frame.get_by_role("radio", name="Outlook (dana@")).to_be_checked()
    stand_in.allow()
    await frame.get_by_role("radio", name="The account’s own provider").check()
    await expect(frame.locator("#default-failure")).to_be_empty()
    await expect(frame.locator("#default-saved")).to_have_text("Saved")


@pytest.mark.parametrize("again", ["double click", "click while it runs"])
async def test_pressing_twice_does_it_once(again: str, visit: Visit, stand_in: StandIn, crm: SmallCrm) -> None:
    """A button that was pressed is disabled until its answer is there, and the second half of a double click is nothing."""
    frame = await _connected(visit, stand_in, crm)
    await frame.evaluate("HTMLAnchorElement.prototype.click = () => {}")
    await frame.get_by_role("button", name="Update").click()
    sign_in = frame.get_by_role("button", name=SIGN_IN).locator("visible=true")
    if again == "double click":
        await sign_in.dblclick(delay=1)
    else:
        stand_in.open.clear()
        await sign_in.click()
        await expect(sign_in).to_be_disabled()
        await sign_in.click(force=True)
        stand_in.open.set()
    await expect(frame.get_by_role("link", name="Continue to Microsoft")).to_be_visible()
    await expect(sign_in).to_be_enabled()
    assert stand_in.count("POST sign-in") == 1


@pytest.mark.parametrize(("status", "words"), [(503, LATER), (429, HELP), (409, HELP), (500, LATER)])
async def test_a_failed_action_says_what_to_do(
    status: int, words: str, visit: Visit, stand_in: StandIn, crm: SmallCrm
) -> None:
    """Plain words and the reference for support, no words that were meant for developers; the panel stays open."""
    visit.provoked.append(f"status of {status}")
    frame = await _connected(visit, stand_in, crm)
    stand_in.refuse("DELETE connection", status)
    await frame.get_by_role("button", name="Delete", exact=True).click()
    await frame.get_by_role("button", name="Delete connection").click()
    await expect(frame.locator("#delete-failure")).to_have_text(words)
    await expect(frame.get_by_role("button", name="Delete connection")).to_be_enabled()
    assert await focused(frame) == "delete"
    stand_in.allow()
    await frame.get_by_role("button", name="Delete connection").click()
    await expect(frame.locator("#state-words")).to_have_text("Disconnected")


async def test_without_a_network_it_says_so(visit: Visit, stand_in: StandIn, crm: SmallCrm) -> None:
    """An action without any answer names the connection as what to look at."""
    visit.provoked.append("ERR_INTERNET_DISCONNECTED")
    frame = await _connected(visit, stand_in, crm)
    await frame.get_by_role("button", name="Update").click()
    await visit.context.set_offline(True)
    await frame.get_by_role("button", name=SIGN_IN).locator("visible=true").click()
    await expect(frame.locator("#update-panel .failure")).to_have_text(OFFLINE)
    await visit.context.set_offline(False)


async def test_a_link_that_expires_while_the_page_is_open(visit: Visit, stand_in: StandIn, crm: SmallCrm) -> None:
    """The next action finds the link too old: the page says to open it again from the CRM, and asks for nothing more."""
    visit.provoked.append("status of 401")
    frame = await _connected(visit, stand_in, crm)
    stand_in.refuse("DELETE connection", 401, "settings_page_expired")
    await frame.get_by_role("button", name="Delete", exact=True).click()
    await frame.get_by_role("button", name="Delete connection").click()
    await expect(frame.get_by_role("heading", name="Open this page again")).to_be_focused()
    await expect(frame.locator("#content")).to_be_hidden()
    assert stand_in.calls[-1] == Call("DELETE connection", None)
