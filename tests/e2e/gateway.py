"""
A gateway in front of Azurite: it notes what the app and its host ask of the storage, and can refuse it or keep it waiting.

Requests pass unchanged. The queue, table and blob services each have a gateway, since a connection string names each.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx
from aiohttp import web

from tests.cloud.azurite import ACCOUNT_KEY, ACCOUNT_NAME, Azurite
from tests.cloud.relay import MAX_BODY_BYTES, Relay
from tests.cloud.server import Server
from tests.e2e.account import Connected, Json

#: So often a look is taken again. What disturbs it is seldom: where it does each time, the look itself is the cause.
ROUNDS = 10


class Gateway:
    """
    One service's gateway. `requests` are (method, path without the account), oldest first.

    `refuses(method, path)` says which requests are answered 503, as by a service that is down; `holds(method, path)` returns
    when a request may go on. `target` gives the service's address, which is asked for with each request.
    """

    def __init__(self) -> None:
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self._pass_on)
        self._server = Server(application)
        self._relay = Relay()
        self.url = f"{self._server.url}/{ACCOUNT_NAME}"
        self.target: Callable[[], str] | None = None
        self.requests: list[tuple[str, str]] = []
        self.open()

    def open(self) -> None:
        """Let everything through at once, as in the beginning."""
        self.refuses: Callable[[str, str], bool] = lambda _method, _path: False
        self.holds: Callable[[str, str], Awaitable[None]] | None = None

    async def start(self) -> None:
        """Listen."""
        await self._relay.start()
        await self._server.start()

    async def stop(self) -> None:
        """Stop listening."""
        await self._server.stop()
        await self._relay.stop()

    async def _pass_on(self, request: web.Request) -> web.Response:
        path = request.path.removeprefix(f"/{ACCOUNT_NAME}")
        self.requests.append((request.method, path))
        if self.refuses(request.method, path):
            return web.Response(status=503)
        if self.holds is not None:
            await self.holds(request.method, path)
        assert self.target is not None
        answered = await self._relay.pass_on(request, self.target().removesuffix(f"/{ACCOUNT_NAME}"))
        return answered.response()


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


class Together:
    """
    Keeps the first `count` requests of a kind waiting until all of them are there: who came first is then nobody's luck.

    Raises TimeoutError where fewer come.
    """

    def __init__(self, count: int, method: str, path_begins: str) -> None:
        self._missing = count
        self._kind = method, path_begins
        self._complete = asyncio.Event()

    async def __call__(self, method: str, path: str) -> None:
        """Return when this request may go on."""
        wanted, begins = self._kind
        if method != wanted or not path.startswith(begins) or self._complete.is_set():
            return
        self._missing -= 1
        if not self._missing:
            self._complete.set()
        async with asyncio.timeout(20):
            await self._complete.wait()


@dataclass(frozen=True)
class Behind:
    """A connected user on a cloud whose storage is behind `gateway`."""

    user: Connected
    gateway: StorageGateway

    async def post(self, path: str, items: list[Json]) -> httpx.Response:
        """A collection of notifications, as Microsoft Graph posts it."""
        return await self.user.http.post(self.user.cloud.functions_url + path, json={"value": items})

    async def undisturbed[T](
        self, look: Callable[[], Awaitable[T]], begins: Mapping[str, int], among: Callable[[str], bool] = lambda _: True
    ) -> T:
        """
        What `look` finds while no function runs but for those that it begins; called again where another one did.

        begins: how often, by the name of the function. among: which functions matter, where `look` begins others too.
        """
        for _ in range(ROUNDS):
            await self.user.stage.quiet()
            before = Counter(self.user.cloud.functions.invocations)
            found = await look()
            ran = self.user.cloud.functions.invocations - before
            if {name: times for name, times in ran.items() if among(name)} == begins:
                return found
        raise AssertionError(f"something else ran each time: {dict(ran)}")


def comes_by_itself(function: str) -> bool:
    """Whether it may run without anything being done: by the clock, or because of what was done earlier."""
    # 20 s after a send it is seen whether the email has left. Graph says nothing by itself here: conftest's `keeps_still`.
    later = {"queue_mailbox_catch_up", "queue_mail_send"}
    return function.startswith("timer_") or function in later
