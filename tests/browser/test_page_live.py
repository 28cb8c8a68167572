"""The page looks again and again, and disturbs nobody by it."""

from collections.abc import AsyncIterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, Request, expect

from tests.browser.stand_in import StandIn
from tests.browser.views import CATCHING_UP, CONNECTING, NEEDS_RECONNECT, NOW, VIEWS, WAITING, connected, ended, view
from tests.browser.visit import Visit, focused, hide

type Json = dict[str, Any]

SOON_MS, LATER_MS = 3_000, 20_000


@dataclass
class Watched:
    """The page with its time in the test's hand: nothing is due unless `page.clock` is moved."""

    page: Page
    stand_in: StandIn
    looks: int = 0
    _marks: int = field(default=0)

    def count(self, request: Request) -> None:
        """Count the page's looks as the browser sends them."""
        self.looks += request.method == "GET" and request.url.endswith("/email/connection")

    async def moves(self, milliseconds: int) -> None:
        """So much time passes. A look that this makes due has been sent when it returns."""
        await self.page.clock.run_for(milliseconds)
        await self.page.evaluate("0")

    async def says(self, said: Json) -> None:
        """The API says this from now on; something in it is new each time, so that a test can see it arrive."""
        self._marks += 1
        self.stand_in.view = deepcopy(said)
        self.stand_in.view["connection"]["display_name"] = self._mark

    @property
    def _mark(self) -> str:
        return f"Dana, look {self._marks}"

    async def shows_it(self) -> None:
        """What the API says now is on the page."""
        await expect(self.page.locator("#name")).to_contain_text(f"{self._mark} ")

    async def looks_again(self, after_ms: int) -> None:
        """The next look is due in so many milliseconds, no sooner and no later."""
        before = self.looks
        await self.says(self.stand_in.view)
        await self.moves(after_ms - 1)
        assert self.looks == before, f"looked before {after_ms} ms had passed"
        await self.moves(1)
        assert self.looks == before + 1, f"did not look after {after_ms} ms"
        await self.shows_it()


async def _has_read_its_answers(page: Page) -> None:
    """Answers that arrived before a further one was fetched and read have been read too."""
    await page.evaluate("fetch('assets/mailbox.svg').then((answer) => answer.text())")


@pytest_asyncio.fixture(loop_scope="session")
async def watched(visit: Visit, stand_in: StandIn) -> AsyncIterator[Watched]:
    """The page of a connection in sync, which has just looked for the second time."""
    watched = Watched(visit.page, stand_in)
    await watched.says(VIEWS["in-sync"])
    visit.page.on("request", watched.count)
    await visit.page.clock.install(time=NOW)
    await visit.opens(stand_in.link)
    await watched.says(VIEWS["in-sync"])
    await visit.page.clock.pause_at("2026-11-23T15:06:00Z")
    await watched.shows_it()
    yield watched


@pytest.mark.parametrize(
    ("said", "pause_ms"),
    [
        (view(connected()), LATER_MS),
        (view(NEEDS_RECONNECT), LATER_MS),
        (view(connected(), ended("declined")), LATER_MS),
        (view(CONNECTING), SOON_MS),
        (view(CATCHING_UP), SOON_MS),
        (view(connected(), WAITING), SOON_MS),
    ],
    ids=["in-sync", "needs-reconnect", "declined", "connecting", "catching-up", "waiting-for-administrator"],
)
async def test_it_looks_more_often_while_something_is_under_way(said: Json, pause_ms: int, watched: Watched) -> None:
    """Every 3 s while something is about to change by itself, else every 20 s."""
    await watched.says(said)
    await watched.moves(LATER_MS)
    await watched.shows_it()
    await watched.looks_again(pause_ms)
    await watched.looks_again(pause_ms)


async def test_in_the_background_it_does_not_look(watched: Watched) -> None:
    """A hidden page asks the server for nothing; in front again it looks at once."""
    await hide(watched.page, hidden=True)
    before = watched.looks
    await watched.moves(10 * LATER_MS)
    assert watched.looks == before
    await watched.says(view(CATCHING_UP))
    await hide(watched.page, hidden=False)
    await watched.shows_it()
    assert watched.looks == before + 1
    await watched.looks_again(SOON_MS)


async def test_a_look_that_ends_in_the_background_plans_no_other(watched: Watched) -> None:
    """A page that is hidden while an answer is on its way does not go on looking either."""
    watched.stand_in.open.clear()
    await watched.says(view(connected()))
    await watched.moves(LATER_MS)
    await hide(watched.page, hidden=True)
    watched.stand_in.open.set()
    await watched.shows_it()
    before = watched.looks
    await watched.moves(10 * LATER_MS)
    assert watched.looks == before


async def test_looking_leaves_focus_panel_and_selection_alone(watched: Watched) -> None:
    """Who is reading a panel, or has something selected or focused, still has it after looks that found something new."""
    page = watched.page
    await watched.says(view(connected(), WAITING))
    await watched.moves(LATER_MS)
    await watched.shows_it()
    await page.get_by_role("button", name="Delete", exact=True).click()
    await page.get_by_label("Link for your administrator").select_text()
    for _ in range(3):
        await watched.says(view(connected(synced_through="2026-11-23T14:05:59.000Z"), WAITING))
        await watched.moves(SOON_MS)
        await watched.shows_it()
    assert await focused(page) == "admin-link"
    assert await page.evaluate("getSelection().toString()") == WAITING["admin_consent_url"]
    await expect(page.get_by_role("button", name="Delete connection")).to_be_visible()


async def test_a_look_that_finds_the_same_touches_nothing(watched: Watched) -> None:
    """An answer equal to the last one changes not a single node of the page."""
    await watched.page.evaluate(
        """() => {
            window.touched = [];
            new MutationObserver((changes) => window.touched.push(...changes.map((change) => change.target.id)))
                .observe(document.body, { subtree: true, childList: true, characterData: true });
        }"""
    )
    for _ in range(2):
        async with watched.page.expect_response("**/email/connection") as looking:
            await watched.moves(LATER_MS)
        await (await looking.value).finished()
    await watched.looks_again(LATER_MS)
    assert set(await watched.page.evaluate("window.touched")) == {"name"}  # what the last look was marked with


async def test_only_changes_of_state_are_read_out(watched: Watched) -> None:
    """A screen reader hears of a new state once, and nothing of the minutes going by."""
    aloud = watched.page.get_by_role("status").and_(watched.page.locator("#announcement"))
    for minute in (6, 7):
        await watched.says(view(connected(synced_through=f"2026-11-23T14:{minute:02}:00.000Z")))
        await watched.moves(LATER_MS)
        await watched.shows_it()
        await expect(watched.page.locator("#state-words")).to_have_text(f"In sync up to 14:{minute:02}")
        await expect(aloud).to_be_empty()
    await watched.says(view(NEEDS_RECONNECT))
    await watched.moves(LATER_MS)
    await expect(aloud).to_contain_text("Sign in again. The sign-in to Outlook has expired or was revoked.")
    await watched.says(view(connected(), ended("declined")))
    await watched.moves(LATER_MS)
    await expect(aloud).to_have_text("In sync up to 14:05. The sign-in was cancelled at 14:03. Nothing has changed.")


async def test_a_panel_whose_button_has_gone_closes(watched: Watched) -> None:
    """When the connection was deleted elsewhere, the panel about it closes and the focus goes where the news stands."""
    page = watched.page
    await page.get_by_role("button", name="Update").click()
    watched.stand_in.view = VIEWS["disconnected"]
    await watched.moves(LATER_MS)
    await expect(page.locator("#state-words")).to_have_text("Disconnected")
    await expect(page.get_by_role("heading", name="Use another mailbox")).to_be_hidden()
    assert await focused(page) == "mailbox-title"


async def test_a_server_that_falls_silent_is_tried_again(visit: Visit, watched: Watched) -> None:
    """What was shown stays, the page says that it tries again, ever more slowly, and all is as before once it is answered."""
    visit.provoked.append("status of 503")
    page, silence = watched.page, watched.page.locator("#interruption")
    watched.stand_in.refuse("GET connection", 503)
    await watched.moves(LATER_MS)
    for wait in (3_000, 6_000, 12_000, LATER_MS, LATER_MS):
        await expect(silence).to_have_text("The server does not answer. Trying again…")
        await expect(page.locator("#state-words")).to_have_text("In sync up to 14:05")
        before = watched.looks
        async with page.expect_response("**/email/connection") as looking:
            await watched.moves(wait - 1)
            assert watched.looks == before
            await watched.moves(1)
        await (await looking.value).finished()
        await _has_read_its_answers(page)
    watched.stand_in.allow()
    await watched.says(view(connected()))
    await watched.moves(LATER_MS)
    await watched.shows_it()
    await expect(silence).to_be_hidden()
    await expect(page.locator("#announcement")).to_be_empty()
    await watched.looks_again(LATER_MS)


async def test_with_the_network_back_it_looks_at_once(visit: Visit, watched: Watched) -> None:
    """Offline it says that it tries again; online again it does not wait for the next turn."""
    visit.provoked.append("ERR_INTERNET_DISCONNECTED")
    await visit.context.set_offline(True)
    await watched.moves(LATER_MS)
    await expect(watched.page.locator("#interruption")).to_be_visible()
    await watched.says(view(connected()))
    await visit.context.set_offline(False)
    await watched.shows_it()
    await expect(watched.page.locator("#interruption")).to_be_hidden()


async def test_a_first_look_that_fails_is_made_again(visit: Visit, stand_in: StandIn) -> None:
    """A page that opens while the server is down shows the state as soon as it is up."""
    visit.provoked.append("status of 503")
    stand_in.refuse("GET connection", 503)
    await visit.page.goto(stand_in.link)
    await expect(visit.page.locator("#interruption")).to_be_visible()
    await expect(visit.page.locator("#loading")).to_be_visible()
    stand_in.allow()
    await expect(visit.page.locator("#state-words")).to_have_text("Not connected")
    await expect(visit.page.locator("#interruption")).to_be_hidden()


async def test_an_action_is_newer_than_a_look_under_way(visit: Visit, stand_in: StandIn) -> None:
    """A look that was asked before Delete and answered after it does not bring the connection back to the page."""
    stand_in.view = VIEWS["in-sync"]
    page = await visit.opens(stand_in.link)
    old = deepcopy(stand_in.view)

    async def late(route: Any) -> None:
        async with page.expect_response(lambda response: response.request.method == "DELETE"):
            pass
        await expect(page.locator("#state-words")).to_have_text("Disconnected")
        await route.fulfill(json=old)

    await page.get_by_role("button", name="Delete", exact=True).click()
    await page.route("**/email/connection", lambda r: late(r) if r.request.method == "GET" else r.continue_())
    await page.evaluate('dispatchEvent(new Event("online"))')
    async with page.expect_event("requestfinished", lambda request: request.method == "GET"):
        await page.get_by_role("button", name="Delete connection").click()
    await _has_read_its_answers(page)
    await expect(page.locator("#state-words")).to_have_text("Disconnected")
