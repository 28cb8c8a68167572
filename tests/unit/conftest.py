"""What holds for every unit test: no sockets, and no time limit for a single example on a busy machine."""

from collections.abc import Iterator

import pytest
from hypothesis import settings
from pytest_socket import disable_socket, enable_socket

settings.register_profile("unit", deadline=None)
settings.load_profile("unit")


@pytest.fixture(autouse=True)
def no_sockets() -> Iterator[None]:
    """A unit test that opens a socket fails. The pair of Unix sockets inside asyncio's event loop is let through."""
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()
