"""An aiohttp application on a port of its own, with start, stop and url: what every emulator is."""

import socket

from aiohttp import web


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """
    Serves `application` on 127.0.0.1.

    `port=0` takes a free one; `port` and `url` are known from construction on, so that neighbours can be told before
    anything runs.
    """

    def __init__(self, application: web.Application, port: int = 0) -> None:
        self.application = application
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen; returns once the port accepts connections."""
        self._runner = web.AppRunner(self.application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        """Stop listening and end what is in flight."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
