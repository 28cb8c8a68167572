"""
A gateway in front of Azurite: it notes what the app and its host ask of the storage, and can refuse it.

Requests pass unchanged; what is signed of them (https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key)
does not hold the host. The queue, table and blob services each have a gateway, since a connection string names each.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web
from yarl import URL

from tests.cloud.azurite import ACCOUNT_KEY, ACCOUNT_NAME, Azurite
from tests.cloud.server import Server

#: Headers that are each connection's own business.
HOP_BY_HOP = {"host", "connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding"}


class Gateway:
    """
    One service's gateway. `requests` are (method, path without the account), oldest first.

    `refuses(method, path)` says which requests are answered 503, as by a service that is down. `target` gives the service's
    address, which is asked for with each request.
    """

    def __init__(self) -> None:
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._pass_on)
        self._server = Server(application)
        self._session: aiohttp.ClientSession | None = None
        self.url = f"{self._server.url}/{ACCOUNT_NAME}"
        self.target: Callable[[], str] | None = None
        self.requests: list[tuple[str, str]] = []
        self.refuses: Callable[[str, str], bool] = lambda _method, _path: False

    async def start(self) -> None:
        """Listen."""
        self._session = aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())
        await self._server.start()

    async def stop(self) -> None:
        """Stop listening."""
        await self._server.stop()
        if self._session is not None:
            await self._session.close()

    async def _pass_on(self, request: web.Request) -> web.Response:
        path = request.path.removeprefix(f"/{ACCOUNT_NAME}")
        self.requests.append((request.method, path))
        if self.refuses(request.method, path):
            return web.Response(status=503)
        assert self._session is not None
        assert self.target is not None
        root = self.target().removesuffix(f"/{ACCOUNT_NAME}")
        async with self._session.request(
            request.method,
            URL(root + request.raw_path, encoded=True),
            headers=[(n, v) for n, v in request.headers.items() if n.lower() not in HOP_BY_HOP - {"content-length"}],
            data=await request.read(),
            allow_redirects=False,
        ) as answer:
            print(answer.status, request.method, request.raw_path, dict(request.headers), (await answer.read())[:300]) if answer.status >= 400 else 0
            headers = [(n, v) for n, v in answer.headers.items() if n.lower() not in HOP_BY_HOP]
            return web.Response(status=answer.status, headers=headers, body=await answer.read())


class StorageGateway:
    """The three services of one storage account, each behind its gateway."""

    def __init__(self) -> None:
        self.blob, self.queue, self.table = Gateway(), Gateway(), Gateway()

    @property
    def connection_string(self) -> str:
        """For `AzureWebJobsStorage`; known from construction on."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT_NAME};AccountKey={ACCOUNT_KEY};"
            f"BlobEndpoint={self.blob.url};QueueEndpoint={self.queue.url};TableEndpoint={self.table.url};"
        )

    def lead_to(self, azurite: Azurite) -> None:
        """Name the storage behind; it may be started later."""
        self.blob.target = lambda: azurite.blob_url
        self.queue.target = lambda: azurite.queue_url
        self.table.target = lambda: azurite.table_url

    async def __aenter__(self) -> Self:
        for gateway in (self.blob, self.queue, self.table):
            await gateway.start()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        for gateway in (self.blob, self.queue, self.table):
            await gateway.stop()
