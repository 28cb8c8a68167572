"""The fault proxies: what each kind of fault does to a call, seen by a client over real sockets."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from aiohttp import web

from tests.cloud.fault_plan import FaultPlan, FaultRule, Kind
from tests.cloud.fault_proxy import FaultProxy
from tests.cloud.server import Server

WORDS = "the whole answer, word for word"


class Neighbour:
    """Answers every call, and counts those that had their effect."""

    def __init__(self) -> None:
        self.effects: list[tuple[str, bytes]] = []
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self.server = Server(application)

    async def _answer(self, request: web.Request) -> web.Response:
        self.effects.append((request.raw_path, await request.read()))
        return web.Response(text=WORDS, status=201, headers={"ETag": '"1"'})


@pytest.fixture
async def neighbour() -> AsyncIterator[Neighbour]:
    answering = Neighbour()
    await answering.server.start()
    yield answering
    await answering.server.stop()


async def proxied(neighbour: Neighbour, kind: Kind, rate: float = 1) -> FaultProxy:
    plan = FaultPlan(7, (FaultRule(rate, kinds=(kind,)),), hang_s=0.3, slow_s=0.3)
    proxy = FaultProxy("graph", plan, lambda: neighbour.server.url)
    await proxy.start()
    return proxy


async def outcome(proxy: FaultProxy) -> tuple[int, str] | str:
    """Status and text of the answer, or the name of what broke."""
    async with httpx.AsyncClient() as http:
        try:
            answer = await http.post(f"{proxy.url}/a%20b?$filter=x%20eq%201", content=b"words")
        except httpx.TransportError as error:
            return type(error).__name__
        finally:
            await proxy.stop()
        return answer.status_code, WORDS if answer.text == WORDS else ""


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the proxy meant to keep its callers waiting, in seconds."""
    meant: list[float] = []
    wait = FaultProxy._wait

    async def noted(request: web.Request, seconds: float) -> None:
        begun = asyncio.get_running_loop().time()
        await wait(request, seconds)
        assert asyncio.get_running_loop().time() - begun >= seconds
        meant.append(seconds)

    monkeypatch.setattr(FaultProxy, "_wait", staticmethod(noted))
    return meant


@pytest.mark.parametrize(
    ("kind", "seen", "effects"),
    [
        (Kind.RESET, "ReadError", 0),
        (Kind.LOST, "ReadError", 1),
        (Kind.TIMEOUT, "ReadError", 0),
        (Kind.BUSY, (429, ""), 0),
        (Kind.FAILED, (500, ""), 0),
        (Kind.FAILED_LATE, (500, ""), 1),
        (Kind.TRUNCATED, "RemoteProtocolError", 1),
        (Kind.SLOW, (201, WORDS), 1),
    ],
)
async def test_each_kind_of_fault(
    neighbour: Neighbour, waits: list[float], kind: Kind, seen: tuple[int, str] | str, effects: int
) -> None:
    """The caller sees the trouble, and the neighbour had its call or not, as the kind says; the fault is on record."""
    proxy = await proxied(neighbour, kind)
    proxy.on = True

    found = await outcome(proxy)

    if kind in (Kind.FAILED, Kind.FAILED_LATE):
        assert isinstance(found, tuple)
        assert found[0] in (500, 502, 503, 504)
    else:
        assert found == seen
    assert len(neighbour.effects) == effects
    assert [(fault.kind, fault.number, fault.path) for fault in proxy.injected] == [(kind, 1, "/a b")]
    assert waits == ([0.3] if kind in (Kind.TIMEOUT, Kind.SLOW) else [])


async def test_what_does_not_fail_passes_as_it_came(neighbour: Neighbour) -> None:
    """Path, query and body reach the neighbour unchanged, and its answer the caller; before `on`, nothing fails."""
    for proxy in (await proxied(neighbour, Kind.RESET), await proxied(neighbour, Kind.RESET, rate=0)):
        proxy.on = proxy.plan.rules[0].rate == 0
        assert await outcome(proxy) == (201, WORDS)
        assert proxy.injected == []
    assert neighbour.effects == [("/a%20b?$filter=x%20eq%201", b"words")] * 2


async def test_a_neighbour_that_is_down_takes_no_call(neighbour: Neighbour) -> None:
    """Each connection is reset, whatever the plan says."""
    proxy = await proxied(neighbour, Kind.SLOW, rate=0)
    proxy.down = True

    assert await outcome(proxy) == "ReadError"
    assert neighbour.effects == []
