"""The guard of conftest.py itself."""

import asyncio
import socket

import pytest
from pytest_socket import SocketBlockedError


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_unit_test_cannot_open_a_socket(family: socket.AddressFamily) -> None:
    """Whatever a unit test says was computed here: nothing was asked of another process or machine."""
    with pytest.raises(SocketBlockedError):
        socket.socket(family, socket.SOCK_STREAM)


async def test_an_event_loop_runs_without_one() -> None:
    """Asynchronous code can be unit tested: the loop's own pair of sockets is no way out."""
    assert await asyncio.sleep(0, "done") == "done"
