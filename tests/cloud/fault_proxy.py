"""
Reverse proxies before the app's neighbours, which make calls fail as a `FaultPlan` says: the storage's three services, Graph,
Entra ID, and the CRM's webhook.

They listen on real sockets: a connection that breaks is reset by TCP, an answer that breaks off has announced more than came.
Faults begin with `on()`; before it, and after `off()`, everything passes. `down` is another matter: then nothing passes at all.

Imitated: what a caller sees of a network and of servers in trouble. Busy is 429 with Retry-After, as Graph
(https://learn.microsoft.com/graph/throttling) and webhooks say it, and 503 for storage
(https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes, ServerBusy); the bodies of such answers are the
neighbour's own kind of error.
Entra's discovery document is rewritten to name the proxy as its token endpoint, which would be called past it else; browsers go
straight. Other links in answers (Graph's nextLink and upload addresses) lead past the proxy.
Not imitated: trouble of DNS and TLS.
"""

import asyncio
import contextlib
import json
import socket
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from tests.cloud.azurite import ACCOUNT_KEY, ACCOUNT_NAME
from tests.cloud.fault_plan import FaultPlan, Kind
from tests.cloud.relay import MAX_BODY_BYTES, Answered, Relay
from tests.cloud.server import Server

DISCOVERY = "/.well-known/openid-configuration"
SERVER_ERRORS = (500, 502, 503, 504)
#: To close a socket with a reset rather than in good order: linger for no time (socket(7)).
RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Injected:
    """A fault that was made: which call of the neighbour, by its running number among those of its method, and how it failed."""

    neighbour: str
    number: int
    kind: Kind
    method: str
    path: str


class FaultProxy:
    """
    The proxy of one neighbour. `injected` is what it made fail, oldest first; `calls` is how many calls came while
    faults were on, by method. Each method has numbers of its own: how often the host polls a queue shifts only other polls.
    `refused` counts the calls that came while it was down, `waiting` those that are kept waiting by `hold`.

    target: the neighbour's address (scheme and authority), asked for with each request. busy: the status for `Kind.BUSY`.
    """

    def __init__(self, neighbour: str, plan: FaultPlan, target: Callable[[], str], busy: int = 429) -> None:
        self.neighbour = neighbour
        self.plan = plan
        self.on = False
        self.down = False
        self.refused = 0
        self.waiting = 0
        self.calls: Counter[str] = Counter()
        self.injected: list[Injected] = []
        self._target = target
        self._busy = busy
        self._open = asyncio.Event()
        self._open.set()
        self._relay = Relay()
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._server = Server(application)
        self.url = self._server.url

    async def start(self) -> None:
        """Listen."""
        await self._relay.start()
        await self._server.start()

    async def stop(self) -> None:
        """Stop listening."""
        self.release()
        await self._server.stop()
        await self._relay.stop()

    def hold(self) -> None:
        """Each call waits from now on, before it has any effect, until `release`."""
        self._open.clear()

    def release(self) -> None:
        """What waits goes on, and nothing waits any more."""
        self._open.set()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if not self._open.is_set():
            self.waiting += 1
            try:
                await self._open.wait()
            finally:
                self.waiting -= 1
        if self.down:
            self.refused += 1
            return _broken(request)
        kind = self._decide(request)
        try:
            return await self._answered(request, kind)
        except aiohttp.ClientError:
            # The neighbour broke off by itself: so does the proxy.
            return _broken(request)

    def _decide(self, request: web.Request) -> Kind | None:
        if not self.on:
            return None
        self.calls[request.method] += 1
        number = self.calls[request.method]
        kind = self.plan.decide(self.neighbour, number, f"{request.method} {request.path}")
        if kind is not None:
            self.injected.append(Injected(self.neighbour, number, kind, request.method, request.path))
        return kind

    async def _answered(self, request: web.Request, kind: Kind | None) -> web.StreamResponse:
        match kind:
            case Kind.RESET:
                return _broken(request)
            case Kind.TIMEOUT:
                await self._wait(request, self.plan.hang_s)
                return _broken(request)
            case Kind.BUSY:
                return self._error(self._busy, {"Retry-After": str(self.plan.retry_after_s)})
            case Kind.FAILED:
                return self._server_error()
        root = self._target()
        answered = await self._relay.pass_on(request, root)
        match kind:
            case Kind.LOST:
                return _broken(request)
            case Kind.FAILED_LATE:
                return self._server_error()
            case Kind.TRUNCATED:
                return await _broken_off(request, answered)
            case Kind.SLOW:
                await self._wait(request, self.plan.slow_s)
        if request.path.endswith(DISCOVERY):
            document = json.loads(answered.body)
            document["token_endpoint"] = document["token_endpoint"].replace(root, self.url)
            answered = Answered(answered.status, answered.headers, json.dumps(document).encode())
        return answered.response()

    def _server_error(self) -> web.Response:
        return self._error(SERVER_ERRORS[len(self.injected) % len(SERVER_ERRORS)], {})

    def _error(self, status: int, headers: dict[str, str]) -> web.Response:
        """An error in the neighbour's own words, or without any."""
        code = "ServerBusy" if status in (429, 503) else "InternalError"
        words = "The server is in trouble."
        match self.neighbour:
            case "blob" | "queue":
                text = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{words}</Message></Error>'
                kind = "application/xml"
            case "table":
                text = json.dumps({"odata.error": {"code": code, "message": {"lang": "en-US", "value": words}}})
                kind = "application/json"
            case "graph":
                text = json.dumps({"error": {"code": code, "message": words}})
                kind = "application/json"
            case _:
                return web.Response(status=status, headers=headers)
        return web.Response(status=status, headers=headers, text=text, content_type=kind)

    @staticmethod
    async def _wait(request: web.Request, seconds: float) -> None:
        """Keep the caller waiting, but no longer than it is there."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                # Nobody tells a handler that its caller has gone.
                while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
                    await asyncio.sleep(0.1)


def _broken(request: web.Request) -> web.Response:
    """Reset the connection. The response is for aiohttp, which finds nobody to give it to."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        transport.abort()
    return web.Response(status=502)


async def _broken_off(request: web.Request, answered: Answered) -> web.StreamResponse:
    """Half of the answer's bytes where all were announced; an answer without a body is lost."""
    if len(answered.body) < 2:
        return _broken(request)
    response = web.StreamResponse(status=answered.status, headers=answered.headers)
    response.content_length = len(answered.body)
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        await response.write(answered.body[: len(answered.body) // 2])
        # In good order, or what was written might be thrown away with the connection.
        if request.transport is not None:
            request.transport.close()
    return response


class FaultLayer:
    """
    All proxies of one cloud, by the neighbour's name.

    storage: the addresses of the blob, queue and table services, each asked for when it is needed. graph, entra, crm: roots.
    """

    def __init__(
        self, plan: FaultPlan, storage: tuple[Callable[[], str], ...], *, graph: str, entra: str, crm: str
    ) -> None:
        self.plan = plan

        def service(url: Callable[[], str]) -> Callable[[], str]:
            return lambda: url().removesuffix(f"/{ACCOUNT_NAME}")

        self.blob, self.queue, self.table = (
            FaultProxy(name, plan, service(url), busy=503)
            for name, url in zip(("blob", "queue", "table"), storage, strict=True)
        )
        self.graph = FaultProxy("graph", plan, lambda: graph)
        self.entra = FaultProxy("entra", plan, lambda: entra)
        self.crm = FaultProxy("crm", plan, lambda: crm)
        self.proxies = (self.blob, self.queue, self.table, self.graph, self.entra, self.crm)

    @property
    def connection_string(self) -> str:
        """For `AzureWebJobsStorage`: the storage behind its proxies. Known from construction on."""
        endpoints = zip(("Blob", "Queue", "Table"), (self.blob, self.queue, self.table), strict=True)
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT_NAME};AccountKey={ACCOUNT_KEY};" + "".join(
            f"{service}Endpoint={proxy.url}/{ACCOUNT_NAME};" for service, proxy in endpoints
        )

    async def start(self) -> None:
        """Listen on all of them."""
        for proxy in self.proxies:
            await proxy.start()

    async def stop(self) -> None:
        """Stop listening."""
        for proxy in self.proxies:
            await proxy.stop()

    def on(self) -> None:
        """Calls fail from now on, as the plan says."""
        for proxy in self.proxies:
            proxy.on = True

    def off(self) -> None:
        """Everything passes."""
        for proxy in self.proxies:
            proxy.on = proxy.down = False
            proxy.release()

    def storage_down(self) -> None:
        """Each connection to the storage is reset, until `off`."""
        for proxy in (self.blob, self.queue, self.table):
            proxy.down = True

    def counts(self) -> dict[str, Counter[str]]:
        """How many faults of each kind there were, by neighbour."""
        return {proxy.neighbour: Counter(fault.kind.value for fault in proxy.injected) for proxy in self.proxies}
