"""A Graph that has subscriptions and nothing else, and an address for its notifications that can misbehave."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import aiohttp
from aiohttp import web

from tests.cloud.clock import Clock
from tests.cloud.directory import Directory, Person
from tests.cloud.graph.changes import ChangeType, MessageChange
from tests.cloud.graph.errors import GraphError, error_response
from tests.cloud.graph.subscriptions import Subscriptions
from tests.cloud.server import Server

APP = "11111111-1111-1111-1111-111111111111"
OTHER_APP = "22222222-2222-2222-2222-222222222222"
PATIENCE_SECONDS = 10.0

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def eventually(condition: Callable[[], bool], *, nudge: Callable[[], None] = lambda: None) -> None:
    """Return once `condition` holds; `nudge` is called between the looks."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            nudge()
            await asyncio.sleep(0.005)


async def prove(request: web.Request) -> web.StreamResponse:
    """What a good address answers to the handshake: the token, decoded once."""
    return web.Response(text=request.query["validationToken"], content_type="text/plain")


def answering(status: int = 200, text: str | None = None, content_type: str = "text/plain") -> Behaviour:
    """An address that answers the handshake in its own way; `text` None echoes the token."""

    async def answer(request: web.Request) -> web.StreamResponse:
        echoed = request.query["validationToken"] if text is None else text
        headers = {"Location": str(request.url)} if 300 <= status < 400 else None
        return web.Response(status=status, text=echoed, content_type=content_type, headers=headers)

    return answer


class Receiver:
    """An address for notifications. `prove` answers handshakes, `take` notifications; all that came is kept."""

    def __init__(self) -> None:
        self.validations: list[tuple[str, str, bytes]] = []
        self.posts: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.content_types: list[str | None] = []
        self.prove: Behaviour = prove
        self.take: Behaviour = self.accept
        application = web.Application()
        application.router.add_post("/{name}", self._receive)
        self.server = Server(application)

    @property
    def items(self) -> list[dict[str, Any]]:
        """The notifications of all POSTs, in the order they came."""
        return [item for post in self.posts for item in post["value"]]

    async def accept(self, _: web.Request) -> web.StreamResponse:
        """Take it, as the app does."""
        return web.Response(status=202)

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        if "validationToken" in request.query:
            content_type = request.headers.get("Content-Type", "")
            self.validations.append((request.raw_path, content_type, await request.read()))
            return await self.prove(request)
        self.posts.append(await request.json())
        self.paths.append(request.path)
        self.content_types.append(request.headers.get("Content-Type"))
        return await self.take(request)


class Cloud:
    """A Graph that has subscriptions and nothing else, two people, and a receiver."""

    def __init__(self, **rich: Any) -> None:
        self.clock = Clock()
        self.directory = Directory(self.clock)
        self.anna = self.directory.add("anna@fabrikam.example", "Anna")
        self.ben = self.directory.add("ben@fabrikam.example", "Ben")
        self.subscriptions = Subscriptions(self.directory, self.clock, **rich)
        self.receiver = Receiver()

        @web.middleware
        async def errors(request: web.Request, handler: Behaviour) -> web.StreamResponse:
            try:
                return await handler(request)
            except GraphError as error:
                return error_response(error, self.clock)

        application = web.Application(middlewares=[errors])
        self.subscriptions.register(application.router)
        self.server = Server(application)
        self.http = aiohttp.ClientSession()

    async def start(self) -> None:
        await self.receiver.server.start()
        await self.subscriptions.start()
        await self.server.start()

    async def stop(self) -> None:
        await self.http.close()
        await self.subscriptions.stop()
        await self.server.stop()
        await self.receiver.server.stop()

    def address(self, name: str = "notifications") -> str:
        return f"{self.receiver.server.url}/{name}"

    def request_body(self, **fields: Any) -> dict[str, Any]:
        """A good subscription request; a field given as None is left out."""
        body = {
            "changeType": "created,updated",
            "notificationUrl": self.address(),
            "lifecycleNotificationUrl": self.address("lifecycle"),
            "resource": "me/messages",
            "expirationDateTime": (self.clock.now() + timedelta(days=6)).isoformat(),
            "clientState": "con_1.secret",
        }
        return {name: value for name, value in {**body, **fields}.items() if value is not None}

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        person: Person | None = None,
        client_id: str = APP,
        scope: str = "Mail.ReadWrite",
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """One call with a fresh token; the status and the JSON body, None where there is none."""
        token = self.directory.issue_token(person or self.anna, frozenset({scope}), client_id)
        authorization = {"Authorization": f"Bearer {token.value}", **(headers or {})}
        async with self.http.request(method, self.server.url + path, json=body, headers=authorization) as answer:
            return answer.status, await answer.json() if await answer.read() else None

    async def subscribe(self, *, headers: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
        """A new subscription of Anna's."""
        status, subscription = await self.call(
            "POST", "/v1.0/subscriptions", self.request_body(**fields), headers=headers
        )
        assert status == 201, subscription
        return dict(subscription)

    async def control(self, name: str, body: Any = None, *, expect: int = 200) -> Any:
        """A `/_lab` control: POST with a body, GET without."""
        method = "GET" if body is None else "POST"
        async with self.http.request(method, f"{self.server.url}/_lab/{name}", json=body) as answer:
            assert answer.status == expect, await answer.text()
            return await answer.json()

    def change(
        self, number: int = 1, kind: ChangeType = "created", folder: str = "inbox", *, person: Person | None = None
    ) -> None:
        """Publish a change of message `number`; its mutable id depends on the folder, as Outlook's does."""
        self.subscriptions.publish(
            MessageChange(
                oid=(person or self.anna).oid,
                change_type=kind,
                message_id=f"AAMk{number}-{folder}",
                immutable_id=f"AAkA{number}",
                etag=f'W/"{number}"',
                folder=folder,
            )
        )

    async def settled(self) -> None:
        """Return once nothing is on its way any more."""
        await eventually(lambda: self.subscriptions.notifier.counts.pending == 0)
