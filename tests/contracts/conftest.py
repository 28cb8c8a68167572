"""One Azurite for the whole session, and the stores under test: the fakes, and the real adapters on it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.cloud.azurite import Azurite
from tests.contracts.graph_stages import FakeGraphStage, GraphStage, emulated
from tests.contracts.stores import AzureStores, FakeStores, Stores


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """
    Azurite, in memory. Every test keeps its things under names of its own.

    It runs in an event loop of its own thread, since each test has another loop.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    storage = Azurite()
    try:
        asyncio.run_coroutine_threadsafe(storage.start(), loop).result()
        yield storage
    finally:
        asyncio.run_coroutine_threadsafe(storage.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(params=["fakes", "azure"])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    """Empty stores: every test runs once on the fakes and once on the real adapters."""
    if request.param == "fakes":
        yield FakeStores()
        return
    azure = AzureStores(request.getfixturevalue("azurite").connection_string)
    yield azure
    await azure.close()


@pytest.fixture(params=["fakes", "graph"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[GraphStage]:
    """Two people's empty mailboxes: every test runs once on the fakes and once on the real adapters at the emulator."""
    if request.param == "fakes":
        yield FakeGraphStage()
        return
    async with emulated() as graph:
        yield graph
