"""A running mail emulator with two people in one company, and how each of them calls Graph."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.cloud.clock import Clock
from tests.cloud.directory import Directory, Person
from tests.cloud.graph import GraphEmulator

ALL_SCOPES = frozenset({"User.Read", "Mail.ReadWrite", "Mail.Send"})
IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}


class Caller:
    """Calls Graph as one person. Every call says which status it expects, so that a test shows only what it is about."""

    def __init__(self, http: httpx.AsyncClient, root: str, token: str) -> None:
        self.http = http
        self._root = root
        self._token = token

    async def call(self, method: str, path: str, expected: int | None = None, **options: Any) -> httpx.Response:
        """Call `path`, which is under `/v1.0` or absolute."""
        headers = {"Authorization": f"Bearer {self._token}", **options.pop("headers", {})}
        url = path if path.startswith("http") else f"{self._root}/v1.0{path}"
        answer = await self.http.request(method, url, headers=headers, **options)
        assert expected in (None, answer.status_code), f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    async def get(self, path: str, expected: int = 200, **options: Any) -> Any:
        """The JSON at `path`."""
        return (await self.call("GET", path, expected, **options)).json()

    async def draft(self, *, headers: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
        """A new draft to a contact outside, with these properties besides or instead."""
        given = {"subject": "Offer", "toRecipients": [to("ada@world.example")], **fields}
        answer = await self.call("POST", "/me/messages", 201, json=given, headers=headers or {})
        return dict(answer.json())

    async def error(self, method: str, path: str, **options: Any) -> tuple[int, str]:
        """Status and code of a call that fails."""
        answer = await self.call(method, path, **options)
        return answer.status_code, answer.json()["error"]["code"]


@dataclass
class Cloud:
    """The emulator and its two people, Dana (with an alias) and Bob."""

    graph: GraphEmulator
    clock: Clock
    directory: Directory
    http: httpx.AsyncClient
    dana: Caller
    bob: Caller

    def caller(self, person: Person, scopes: frozenset[str] = ALL_SCOPES) -> Caller:
        """Somebody who calls with these scopes."""
        return Caller(self.http, self.graph.url, self.directory.issue_token(person, scopes, "app").value)

    async def sent(self) -> None:
        """Return once everything submitted is in Sent Items and delivered."""
        self.clock.advance(self.graph.switches.sent_copy_delay_s)
        await self.graph.transport.settled()

    async def lab(self, method: str, path: str, expected: int = 200, **options: Any) -> Any:
        """A control, its answer as JSON."""
        answer = await self.http.request(method, f"{self.graph.url}/_lab{path}", **options)
        assert answer.status_code == expected, answer.text
        return answer.json()

    async def arrives(self, **mail: Any) -> dict[str, Any]:
        """Mail from outside comes to Dana."""
        given = {"to": "dana@crm.example", "from": "ada@world.example", "subject": "Hello", **mail}
        return dict(await self.lab("POST", "/mail", json=given))


def to(address: str) -> dict[str, Any]:
    """A recipient as Graph writes it."""
    return {"emailAddress": {"address": address}}


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    """A running emulator."""
    clock = Clock()
    directory = Directory(clock)
    graph = GraphEmulator(directory, clock)
    await graph.start()
    try:
        async with httpx.AsyncClient() as http:
            dana = directory.add("dana@crm.example", "Dana Doe", ["d.doe@crm.example"])
            bob = directory.add("bob@crm.example", "Bob Roe")
            cloud = Cloud(graph, clock, directory, http, dana=None, bob=None)  # type: ignore[arg-type]
            cloud.dana, cloud.bob = cloud.caller(dana), cloud.caller(bob)
            yield cloud
    finally:
        await graph.stop()
