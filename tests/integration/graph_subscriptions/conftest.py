"""A running cloud for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.graph_subscriptions.cloud import Cloud


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    """A running cloud."""
    running = Cloud()
    await running.start()
    yield running
    await running.stop()
