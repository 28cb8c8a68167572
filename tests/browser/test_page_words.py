"""What a person reads in each state, and what they can do there."""

import pytest
from playwright.async_api import expect

from tests.browser.stand_in import StandIn
from tests.browser.views import VIEWS, connected, view
from tests.browser.visit import Visit

SIGN_IN = "Sign in with Microsoft"
CONNECT = ("Connect",)
CHANGE = ("Update", "Delete")
APPROVAL = "Waiting for your administrator: the sign-in needs their approval first. Send them the link below."
AGAIN = (
    "The sign-in to Outlook has expired or was revoked. Sign in to Outlook again. Until then nothing syncs and nothing is sent "
    "through the mailbox."
)
STOPPED = "dana@northwind.example is no longer connected, and its threads have stopped. Connecting again starts anew."

#: For each view: the state, what is said about it, how the last sign-in ended, and the buttons.
READ = {
    "never-connected": ("Not connected", "Nothing syncs until you connect your mailbox.", "", CONNECT),
    "connecting": ("Connecting…", "This takes a few seconds.", "", CHANGE),
    "in-sync": ("In sync up to 14:05", "", "", CHANGE),
    "in-sync-since-today": ("In sync", "", "", CHANGE),
    "in-sync-with-a-long-address": ("In sync up to 14:05", "", "", CHANGE),
    "catching-up": (
        "Catching up…",
        "Complete up to 22 November at 17:40. What came since is on its way.",
        "",
        CHANGE,
    ),
    "needs-reconnect": ("Sign in again", AGAIN, "", (SIGN_IN, *CHANGE)),
    "disconnected": ("Disconnected", STOPPED, "", CONNECT),
    "erased": ("Disconnected", STOPPED.replace("dana@northwind.example", "The mailbox"), "", CONNECT),
    "waiting-for-administrator": (
        "Waiting for your administrator",
        "In your organisation an administrator has to approve the app first. Send them the link below. This page shows it as "
        "soon as they have approved.",
        "",
        ("Copy link", *CONNECT),
    ),
    "administrator-approved": ("Your administrator has approved", "You can connect now.", "", CONNECT),
    "sign-in-declined": (
        "Not connected",
        "Nothing syncs until you connect your mailbox.",
        "The sign-in was cancelled at 14:03. Nothing has changed.",
        CONNECT,
    ),
    "sign-in-expired": (
        "Not connected",
        "Nothing syncs until you connect your mailbox.",
        "The sign-in took too long and has expired. Nothing has changed. Please try again.",
        CONNECT,
    ),
    "sign-in-failed": (
        "Disconnected",
        STOPPED,
        "The sign-in at 14:03 did not work. Nothing has changed. Please try again in a few minutes.",
        CONNECT,
    ),
    "update-declined": (
        "In sync up to 14:05",
        "",
        "The sign-in was cancelled at 14:03. Nothing has changed.",
        CHANGE,
    ),
    "update-with-wrong-mailbox": (
        "In sync up to 14:05",
        "",
        "That was another mailbox than the one this sign-in was for. Nothing has changed. Please try again with the right one.",
        CHANGE,
    ),
    "update-waits-for-administrator": ("In sync up to 14:05", "", APPROVAL, ("Copy link", *CHANGE)),
    "update-approved": ("In sync up to 14:05", "", "Your administrator has approved. You can sign in now.", CHANGE),
    "reconnect-waits-for-administrator": ("Sign in again", AGAIN, APPROVAL, (SIGN_IN, "Copy link", *CHANGE)),
}


@pytest.mark.parametrize("name", VIEWS)
async def test_each_state_has_its_words_and_buttons(name: str, visit: Visit, stand_in: StandIn) -> None:
    """The state, what it means, how the last sign-in ended, and exactly the buttons that are of use, in plain words."""
    state, detail, outcome, buttons = READ[name]
    stand_in.view = VIEWS[name]
    page = await visit.opens(stand_in.link)
    await expect(page.locator("#state-words")).to_have_text(state)
    await expect(page.locator("#state-detail")).to_have_text(detail)
    outcome_shown = page.locator("#outcome")
    await (expect(outcome_shown).to_have_text(outcome) if outcome else expect(outcome_shown).to_be_hidden())
    await expect(page.get_by_role("button").locator("visible=true")).to_have_text(list(buttons))


async def test_a_connection_shows_whose_it_is_and_since_when(visit: Visit, stand_in: StandIn) -> None:
    """The address, the owner's name and the day; machines read the same times in full."""
    stand_in.view = VIEWS["in-sync"]
    page = await visit.opens(stand_in.link)
    await expect(page.locator("#mailbox")).to_have_text(
        "dana@northwind.example Dana Whitfield · connected since 3 November 2026", use_inner_text=True
    )
    await expect(page.locator("#since time")).to_have_attribute("datetime", "2026-11-03T09:12:30.000Z")
    await expect(page.locator("#state-words time")).to_have_attribute("datetime", "2026-11-23T14:05:10.000Z")
    outlook, provider = (
        page.get_by_role("radio", name=name) for name in ("Outlook (dana@", "The account’s own provider")
    )
    await expect(outlook).to_be_checked()
    await expect(provider).not_to_be_checked()


async def test_only_outlook_can_be_chosen(visit: Visit, stand_in: StandIn) -> None:
    """The other providers can be read, with the reason, and not be chosen."""
    page = await visit.opens(stand_in.link)
    await expect(page.get_by_role("radio", name="Outlook")).to_be_checked()
    for name in ("Gmail", "Other (IMAP)"):
        await expect(page.get_by_role("radio", name=f"{name} Not offered here")).to_be_disabled()


async def test_the_panels_say_what_stops(visit: Visit, stand_in: StandIn) -> None:
    """Update and Delete tell their consequences for this mailbox before anything happens; one panel is open at a time."""
    stand_in.view = VIEWS["in-sync"]
    page = await visit.opens(stand_in.link)
    update, delete = (
        page.get_by_role("region", name="Use another mailbox"),
        page.get_by_role("region", name="Delete this"),
    )
    await page.get_by_role("button", name="Update").click()
    await expect(update.get_by_role("listitem")).to_have_text(
        [
            "dana@northwind.example stays as it is until the new one is complete.",
            "Then its threads stop syncing, in both directions.",
            "New emails from the CRM go through the new mailbox.",
        ]
    )
    await page.get_by_role("button", name="Delete", exact=True).click()
    await expect(update).to_be_hidden()
    await expect(delete.get_by_role("listitem")).to_have_text(
        [
            "Nothing syncs any more between the CRM and dana@northwind.example.",
            "Threads that are under way stop for good. Connecting again starts anew.",
            "New emails from the CRM go through the account’s own provider and do not sync.",
            "Emails that are in the CRM stay there, and your mailbox keeps its own.",
        ]
    )
    assert [call.name for call in stand_in.calls] == ["GET connection"]


async def test_text_from_outside_is_only_text(visit: Visit, stand_in: StandIn) -> None:
    """A name, an address or a problem with markup in it is shown as it was written."""
    markup = "<img src=x onerror=alert(1)><b>Dana</b>"
    stand_in.view = view(connected(display_name=markup, email=markup, problem=markup, sync_state="stopped"))
    page = await visit.opens(stand_in.link)
    for place in ("#address", "#name", "#state-detail"):
        await expect(page.locator(place)).to_contain_text(markup)
        assert await page.locator(place).evaluate("(element) => element.childElementCount") == 0
