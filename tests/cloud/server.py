"""An aiohttp application on a port of its own, with start, stop and url: what every emulator is."""

import asyncio
import socket
import ssl
import weakref
from collections.abc import Callable

from aiohttp import web


class Port:
    """
    A TCP port of 127.0.0.1: the one that was `given`, or, for 0, a free one that nobody else gets while this object lives.

    A port that was only found free may be somebody's by the time it is listened on: each process of this machine takes such ports
    for its calls. A socket that is bound and does not listen keeps it (connecting is refused); who shares it by SO_REUSEPORT may
    listen (socket(7)). One that was given is not shared: that it is taken is told.
    """

    def __init__(self, given: int = 0) -> None:
        #: What `create_server` and its like are to be told.
        self.reuse_port = not given
        self.number = given
        if not given:
            kept = socket.socket()
            kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            kept.bind(("127.0.0.1", 0))
            self.number = kept.getsockname()[1]
            weakref.finalize(self, kept.close)

    async def serve(
        self, protocol: Callable[[], asyncio.BaseProtocol], tls: ssl.SSLContext | None = None
    ) -> asyncio.Server:
        """Listen here."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(protocol, "127.0.0.1", self.number, ssl=tls, reuse_port=self.reuse_port)


class Server:
    """
    Serves `application` on 127.0.0.1.

    `port=0` takes a free one; `port` and `url` are known from construction on, so that neighbours can be told before
    anything runs. tls: what to encrypt with, asked for at each start.
    """

    def __init__(
        self, application: web.Application, port: int | Port = 0, tls: Callable[[], ssl.SSLContext] | None = None
    ) -> None:
        self.application = application
        self._port = port if isinstance(port, Port) else Port(port)
        self._tls = tls
        self.port = self._port.number
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen; returns once the port accepts connections."""
        self._runner = web.AppRunner(self.application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(
            self._runner,
            "127.0.0.1",
            self.port,
            ssl_context=self._tls() if self._tls else None,
            reuse_port=self._port.reuse_port,
        )
        await site.start()

    async def stop(self) -> None:
        """Stop listening and end what is in flight."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
