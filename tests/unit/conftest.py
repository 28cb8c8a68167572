"""What holds for every unit test: no sockets, and no limit to the time that an example takes on a busy machine."""

import gc
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from pytest_socket import disable_socket, enable_socket

settings.register_profile("unit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
#: What `make check` plays: less of what is dealt by chance, so that it takes seconds.
settings.register_profile("quick", settings.get_profile("unit"), max_examples=10)
settings.load_profile("unit")


def pytest_collection_finish() -> None:
    """What was collected stays until the end: the garbage collector need not look through all of it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


@pytest.fixture(autouse=True)
def no_sockets() -> Iterator[None]:
    """A unit test that opens a socket fails. The pair of Unix sockets inside asyncio's event loop is let through."""
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()
