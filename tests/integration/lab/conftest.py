"""
One local cloud with the real app and its lab, on which Dana is connected.

All tests here run in the session's event loop, in which the cloud lives. They share the lab's one account: each has a subject
of its own, and who ends a connection does so as Lee.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.cloud.lab import Lab
from tests.cloud.local import LocalCloud
from tests.integration.lab.visitor import DANA, LEE, Visitor


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of this folder in the session's event loop."""
    session_loop = pytest.mark.asyncio(loop_scope="session")
    for item in items:
        if Path(__file__).parent in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(session_loop, append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lab_cloud() -> AsyncIterator[tuple[LocalCloud, Lab]]:
    """The cloud and its lab, with Dana connected."""
    cloud = LocalCloud()
    cloud.directory.add(DANA, "Dana Whitfield", ["dana.whitfield@northwind.example"])
    cloud.directory.add(LEE, "Lee Okafor")
    lab = Lab.beside(cloud)
    async with cloud:
        await lab.start()
        async with httpx.AsyncClient(base_url=lab.url, timeout=60) as http:
            await Visitor(cloud, lab, http).connects(DANA)
        yield cloud, lab
        await lab.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(lab_cloud: tuple[LocalCloud, Lab]) -> AsyncIterator[Visitor]:
    """A fresh browser at the lab."""
    cloud, lab = lab_cloud
    async with httpx.AsyncClient(base_url=lab.url, timeout=60) as http:
        yield Visitor(cloud, lab, http)
