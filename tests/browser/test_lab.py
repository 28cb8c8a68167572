"""The lab of `make start`, as a newcomer plays it: the tour from its first step to its last, by hand and by eye."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.lab_stage import DANA, LEE, Newcomer, in_front_of, running_lab, sees
from tests.browser.visit import Visit
from tests.cloud.lab import Lab
from tests.cloud.local import LocalCloud

#: What the tour's own email is called.
SUBJECT = "Our offer for the ground floor"


@pytest_asyncio.fixture(loop_scope="session")
async def newcomer(visit: Visit) -> AsyncIterator[Newcomer]:
    """A newcomer at a lab of their own."""
    async with running_lab() as (lab, cloud), in_front_of(lab, cloud, visit) as person:
        yield person


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_lab() -> AsyncIterator[tuple[Lab, LocalCloud]]:
    """A lab for tests that connect nobody."""
    async with running_lab() as shared:
        yield shared


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(shared_lab: tuple[Lab, LocalCloud], visit: Visit) -> AsyncIterator[Newcomer]:
    """Somebody at a lab where others were before."""
    async with in_front_of(*shared_lab, visit) as person:
        yield person


async def test_the_tour_is_played_from_connect_to_delete(newcomer: Newcomer) -> None:
    """Each step leads to its place, does what it says in both halves, and is ticked off by itself."""
    n = newcomer
    await n.arrives()
    await n.is_flawless("1-start")

    await n.shown()
    await sees(n.settings.get_by_role("heading", name="Email (2-way sync)"))
    await n.connects()
    await n.has_done("Connect Dana’s mailbox")
    await sees(n.crm.get_by_text(f"connected to {DANA}"))
    await n.is_flawless("2-connected")

    await n.shown()
    await n.presses(n.crm, "Send")
    await n.has_done("Write to Ada from the CRM")
    await sees(n.crm.get_by_text("Sent", exact=True))

    await n.shown()
    await n.is_flawless("3-from-outside")
    await n.presses(n.mailbox, "Deliver")
    await n.has_done("Let Ada answer")
    await sees(n.crm.get_by_text("Received · same Outlook conversation"))
    await sees(n.mailbox.get_by_role("button", name=re.compile("Ada Quist .* In the CRM", re.DOTALL)))

    await n.shown()
    await n.mailbox.get_by_label("Message", exact=True).fill("Gladly. I shall call you tomorrow.")
    await n.presses(n.mailbox, "Send")
    await n.has_done("Answer from Outlook")
    await sees(n.crm.get_by_text("Written in Outlook"))
    await n.is_flawless("4-answered")

    await n.shown()
    await n.presses(n.mailbox, "Send")
    await sees(n.mailbox.get_by_text("Begun in Outlook, not in the CRM, so it stays private."))
    await n.has_done("Begin a mail in Outlook")
    await expect(n.crm.get_by_text("The garden party")).to_have_count(0)

    await n.shown()
    await n.presses(n.mailbox, "Deliver")
    await n.has_done("Send a file that is too large")
    await sees(n.crm.get_by_text("Larger than 3 MiB, so it stays in Outlook"))
    await n.is_flawless("5-too-large")

    await n.shown()
    await n.settings.get_by_role("button", name="Delete", exact=True).click()
    await n.settings.get_by_role("button", name=re.compile("Delete|Disconnect")).last.click()
    await n.has_done("Delete the connection")
    await sees(n.page.get_by_text("That was the tour."))
    await n.presses(n.crm, "Emails")
    await sees(n.crm.get_by_text("nothing syncs here any more"))
    await n.is_flawless("6-the-end")


async def test_what_is_typed_survives_everything_that_arrives(visitor: Newcomer) -> None:
    """Mail and events come in while somebody writes: words, caret and focus stay where they are, in both halves' forms."""
    n = visitor
    await n.arrives()
    await n.presses(n.mailbox, "New mail")
    text = n.mailbox.get_by_label("Message", exact=True)
    await text.fill("Half a sent")

    await n.page.evaluate("document.querySelector('#mailbox textarea').setSelectionRange(4, 4)")
    async with httpx.AsyncClient() as http:
        await http.post(
            f"{n.cloud.graph.url}/_lab/mail",
            json={"to": DANA, "from": "ben@builder.example", "subject": "Meanwhile", "text": "Hello"},
        )
    await sees(n.mailbox.get_by_role("button", name=re.compile("Meanwhile")))
    await n.page.keyboard.type(" of")

    await expect(text).to_have_value("Half of a sent")
    await expect(text).to_be_focused()


async def test_hostile_mail_is_shown_and_does_nothing(visitor: Newcomer) -> None:
    """A subject with markup is words; a body with a script, a form, a picture from elsewhere and a frame is only its text."""
    n = visitor
    subject = "<img src=x onerror=alert(1)>"
    html = (
        "<p>Read me</p><svg onload=alert(1)><img src='https://evil.example/pixel'><form action='https://evil.example'>"
        "<button>Win</button></form><meta http-equiv=refresh content='0;url=https://evil.example'>"
    )
    async with httpx.AsyncClient() as http:
        await http.post(
            f"{n.cloud.graph.url}/_lab/mail",
            json={"to": DANA, "from": "eve@evil.example", "subject": subject, "html": html},
        )
    went: list[str] = []
    refused: list[str | None] = []
    n.page.on("requestfinished", lambda request: went.append(request.url))
    n.page.on("requestfailed", lambda request: refused.append(request.failure))
    n.visit.provoked += ["Content Security Policy", "sandboxed"]

    await n.arrives()
    await n.mailbox.get_by_role("button", name=re.compile(re.escape(subject))).click()
    await sees(n.mailbox.get_by_role("heading", name=subject))
    body = n.mailbox.frame_locator("iframe.mail")
    await sees(body.get_by_text("Read me"))
    await body.get_by_role("button", name="Win").click()

    await n.has_looked_again()
    assert [url for url in went if not url.startswith(n.lab.url)] == []
    assert set(refused) <= {"csp"}, "refused by the policy, before anything leaves the browser"


async def test_half_a_screen_is_enough(visitor: Newcomer) -> None:
    """At 1000 pixels both halves are side by side, at 700 one is below the other; nothing is cut off at either."""
    n = visitor
    for width, beside in ((1000, True), (700, False)):
        await n.page.set_viewport_size({"width": width, "height": 760})
        await n.arrives()
        crm, mailbox = await n.crm.bounding_box(), await n.mailbox.bounding_box()
        assert crm is not None
        assert mailbox is not None
        assert (crm["y"] == mailbox["y"]) is beside
        await n.is_flawless(f"{width}-wide")


async def test_it_can_be_played_by_keyboard(visitor: Newcomer) -> None:
    """From the top of the page: skip to the mailbox, receive a mail, and read it, without a mouse."""
    n = visitor
    await n.arrives()
    keyboard = n.page.keyboard

    await keyboard.press("Tab")
    await keyboard.press("Tab")
    await keyboard.press("Enter")
    await n.tabs_to("Receive from outside")
    await keyboard.press("Enter")
    await sees(n.mailbox.get_by_role("heading", name="Receive from outside"))
    await n.mailbox.get_by_label("Subject").focus()
    await keyboard.type("By keyboard")
    await n.tabs_to("Deliver")
    await keyboard.press("Space")
    letter = n.mailbox.get_by_role("button", name=re.compile("By keyboard"))
    await sees(letter)
    await letter.focus()
    await keyboard.press("Enter")

    await sees(n.mailbox.get_by_role("heading", name="By keyboard"))
    await expect(letter).to_be_focused()


async def test_each_half_leads_to_the_other(newcomer: Newcomer) -> None:
    """From a message in the CRM to its copy in the mailbox, whoever's mailbox was looked at, and back again."""
    n = newcomer
    await n.arrives()
    await n.presses(n.crm, "Settings")
    await n.connects()
    await n.page.get_by_role("button", name="Write to Ada from the CRM").click()
    await n.shown()
    await n.presses(n.crm, "Send")
    await n.has_done("Write to Ada from the CRM")
    await n.mailbox.get_by_label("Mailbox of").select_option(LEE)
    await sees(n.mailbox.get_by_text("Nothing in this folder."))

    await n.presses(n.crm, "Show in mailbox")
    await sees(n.mailbox.get_by_role("heading", name=SUBJECT))
    await sees(n.mailbox.get_by_text("Sent from the CRM."))
    await n.presses(n.crm, "Activity")
    await sees(n.crm.get_by_text(f"“{SUBJECT}” was sent"))
    await n.is_flawless("7-activity")
    await n.presses(n.mailbox, "Show in CRM")

    await sees(n.crm.get_by_role("heading", name=SUBJECT))


async def test_what_may_not_be_sent_is_said_beside_it(newcomer: Newcomer) -> None:
    """The CRM's user reads which file is the trouble, keeps what they wrote, and sends it without that file."""
    n = newcomer
    n.visit.provoked.append("422")
    await n.arrives()
    await n.presses(n.crm, "Settings")
    await n.connects()
    await n.presses(n.crm, "Emails")
    await n.presses(n.crm, "New email")
    await n.crm.get_by_label("To").fill("ada@customer.example")
    await n.crm.get_by_label("Message", exact=True).fill("See attached.")
    await n.crm.get_by_text("Attach files").click()
    await n.crm.get_by_role("button", name=re.compile("viewer.exe")).click()
    await n.presses(n.crm, "Send")
    await sees(n.crm.get_by_role("alert").get_by_text("viewer.exe is of a type that is not sent."))
    await n.is_flawless("8-refused")

    await n.presses(n.crm, "Remove viewer.exe · a program")
    await n.presses(n.crm, "Send")

    await sees(n.crm.get_by_text("Sent", exact=True))


async def test_the_developers_page_is_flawless(visitor: Newcomer) -> None:
    """The second page, with the addresses, keys and commands."""
    n = visitor
    await n.arrives()

    await n.page.get_by_role("link", name="For developers").click()

    await sees(n.page.get_by_role("heading", name="Try it from a terminal"))
    await n.is_flawless("9-developers")
