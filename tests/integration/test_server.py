"""A port that an emulator will listen on is its own from the moment its address is told to others."""

import contextlib
import socket
import struct

import httpx
import pytest
from aiohttp import web

from tests.cloud.server import Port, Server


def somebody_else(number: int) -> socket.socket:
    """Who wants just this port."""
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(socket.socket())
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", number))
        stack.pop_all()
        return other


async def hello(_request: web.Request) -> web.Response:
    """Any answer."""
    return web.Response(text="hello")


def serving(port: int | Port = 0) -> Server:
    """A server that says hello."""
    application = web.Application()
    application.add_routes([web.get("/", hello)])
    return Server(application, port)


async def test_a_free_port_is_kept_before_between_and_after() -> None:
    """Nobody takes it before the server listens, nor while it is stopped for a while; meanwhile connecting is refused."""
    server = serving()
    async with httpx.AsyncClient() as http:
        for _ in range(2):
            with pytest.raises(OSError, match="in use"):
                somebody_else(server.port)
            with pytest.raises(httpx.ConnectError):
                await http.get(server.url)
            await server.start()
            assert (await http.get(server.url)).text == "hello"
            with pytest.raises(OSError, match="in use"):
                somebody_else(server.port)
            await server.stop()


async def test_calls_of_this_machine_do_not_take_it() -> None:
    """The system gives a call's own end any free port: one that is kept is not free."""
    local_port_range = getattr(socket, "IP_LOCAL_PORT_RANGE", 51)  # ip(7), since Linux 6.3
    port, server = Port(), serving()
    await server.start()
    try:
        with socket.socket() as caller:
            try:
                caller.setsockopt(socket.IPPROTO_IP, local_port_range, struct.pack("=HH", port.number, port.number))
            except OSError:
                pytest.skip("this system does not let a caller choose from one port")
            with pytest.raises(OSError, match=r"assign requested address"):
                caller.connect(("127.0.0.1", server.port))
    finally:
        await server.stop()


def test_it_is_free_again_once_nobody_knows_it() -> None:
    """It is kept by the object, not by the process."""
    port = Port()
    number = port.number
    del port
    somebody_else(number).close()


async def test_a_port_that_was_asked_for_is_not_shared() -> None:
    """Two that are told the same port would each get some of the calls: the second is told that it is taken."""
    number = Port().number
    one, two = serving(number), serving(number)
    await one.start()
    try:
        with pytest.raises(OSError, match="in use"):
            await two.start()
    finally:
        await two.stop()
        await one.stop()
