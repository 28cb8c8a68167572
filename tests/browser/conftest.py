"""
One browser and one cloud for all tests of this folder, a fresh profile and a fresh account for each.

Nothing a browser complains of goes unnoticed. Tests and fixtures run in the one event loop of the session, in which the browser
and the cloud live.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from tests.browser.chromium import launch
from tests.browser.crm import SmallCrm, origin_at
from tests.browser.person import CrmUser
from tests.browser.stand_in import StandIn
from tests.browser.visit import Visit
from tests.cloud.local import LocalCloud
from tests.cloud.server import Port
from tests.e2e.account import Account, unique

#: As long as all else here is waited for: by itself an expectation has 5 s, of which the page's own pauses take 3 or more.
expect.set_options(timeout=30_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of this folder in the session's event loop."""
    session_loop = pytest.mark.asyncio(loop_scope="session")
    for item in items:
        if Path(__file__).parent in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(session_loop, append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The browser that all tests share."""
    async with async_playwright() as playwright:
        running = await launch(playwright)
        yield running
        await running.close()


@pytest.fixture
def profile() -> dict[str, Any]:
    """Options of the visit's browser profile; a test module may give its own."""
    return {}


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, profile: dict[str, Any]) -> AsyncIterator[Visit]:
    """A person in London with a fresh browser profile; third-party cookies are off in it, as is Chromium's default there."""
    context = await browser.new_context(**{"locale": "en-GB", "timezone_id": "Europe/London"} | profile)
    context.set_default_timeout(30_000)
    person = Visit(context, await context.new_page())
    person.listen()
    yield person
    await person.leaves()
    assert person.unexpected() == []


@pytest_asyncio.fixture(loop_scope="session")
async def stand_in(visit: Visit) -> AsyncIterator[StandIn]:
    """The page with a scripted API; any page of `localhost` may embed it."""
    serving = StandIn("http://localhost:*")
    await serving.start()
    yield serving
    await visit.leaves()
    await serving.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def crm(stand_in: StandIn, visit: Visit) -> AsyncIterator[SmallCrm]:
    """A CRM that embeds the stand-in's page."""

    async def link(_return_url: str) -> str:
        return stand_in.link

    async def nothing_to_complete(_code: str) -> None:
        raise AssertionError("the stand-in makes no completion codes")

    embedding = SmallCrm(link, nothing_to_complete)
    await embedding.start()
    yield embedding
    await visit.leaves()
    await embedding.stop()


@pytest.fixture(scope="session")
def crm_port() -> Port:
    """Where the CRM of each test on the cloud listens; the app has to know its origin before it starts."""
    return Port()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cloud(crm_port: Port) -> AsyncIterator[LocalCloud]:
    """The cloud that all tests share. The small CRM's origin is one that may embed the page, and that sign-ins return to."""
    shared = LocalCloud()
    shared.app_settings["ALLOWED_RETURN_ORIGINS"] += f",{origin_at(crm_port.number)}"
    async with shared as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def dana(cloud: LocalCloud, visit: Visit, crm_port: Port) -> AsyncIterator[CrmUser]:
    """A user of a fresh account, signed in to its CRM in a fresh browser, and not connected."""
    user_id = unique("dana")
    # Chromium draws a frame of another site only as far as the window shows it: a screenshot needs all of it there.
    await visit.page.set_viewport_size({"width": 1280, "height": 1300})
    async with cloud.api(unique("acme")) as api, httpx.AsyncClient(timeout=60) as http:

        async def link(return_url: str) -> str:
            opened = await api.settings_page(user_id, return_url)
            assert opened.status_code == 201, opened.text
            return str(opened.json()["url"])

        async def complete(code: str) -> httpx.Response:
            return await api.complete(user_id, code)

        crm = SmallCrm(link, complete, crm_port)
        await crm.start()
        yield CrmUser(visit, crm, Account(cloud, api, http), user_id)
        await visit.leaves()
        await crm.stop()
