"""
A reverse proxy's one skill: a request goes on to the neighbour as it came, and the answer comes back as it was given.

What Azure Storage has signed of a request does not hold the host
(https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key), so that it stays valid on the way. Links that a
neighbour writes into its answers lead to itself, past the proxy.
"""

from dataclasses import dataclass

import aiohttp
from aiohttp import web
from yarl import URL

#: Headers that are each connection's own business (RFC 9110, section 7.6.1), and the host.
HOP_BY_HOP = {"host", "connection", "keep-alive", "transfer-encoding"}
MAX_BODY_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Answered:
    """A neighbour's answer, as it came over the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def response(self) -> web.Response:
        """The same answer, for who asked."""
        return web.Response(status=self.status, headers=self.headers, body=self.body)


class Relay:
    """Passes requests on; open between `start` and `stop`."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the HTTP client: no cookies of its own, bodies as they are, and no limit of connections."""
        self._session = aiohttp.ClientSession(
            auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit=0)
        )

    async def stop(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def pass_on(self, request: web.Request, root: str) -> Answered:
        """What the neighbour at `root` (scheme and authority) answers to this request."""
        assert self._session is not None
        async with self._session.request(
            request.method,
            URL(root + request.raw_path, encoded=True),
            headers=[(n, v) for n, v in request.headers.items() if n.lower() not in HOP_BY_HOP],
            data=await request.read() or None,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            allow_redirects=False,
        ) as answer:
            headers = [(n, v) for n, v in answer.headers.items() if n.lower() not in HOP_BY_HOP | {"content-length"}]
            return Answered(answer.status, headers, await answer.read())
