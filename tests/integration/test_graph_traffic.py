"""The Graph emulator's traffic: the log of calls, the faults a test asks for, and the documented limits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.cloud.clock import Clock
from tests.cloud.directory import Directory, Person
from tests.cloud.graph.auth import authenticate
from tests.cloud.graph.traffic import MAILBOX, Traffic
from tests.cloud.server import Server

APP = "11111111-1111-1111-1111-111111111111"
PATIENCE_SECONDS = 10.0
SEND = "/v1.0/me/messages/AAMk1/send"


async def eventually(condition: Callable[[], bool], *, nudge: Callable[[], None] = lambda: None) -> None:
    """Return once `condition` holds; `nudge` is called between the looks."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            nudge()
            await asyncio.sleep(0.005)


class Graph:
    """Any path of `/v1.0` answers 202 with a short text, and counts as an effect; `gate` can hold the answers back."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.directory = Directory(self.clock)
        self.anna = self.directory.add("anna@fabrikam.example", "Anna")
        self.ben = self.directory.add("ben@fabrikam.example", "Ben")
        self.effects: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.traffic = Traffic(self.clock, self.directory)
        application = web.Application(middlewares=[self.traffic.middleware])
        self.traffic.register(application.router)
        application.router.add_route("*", "/v1.0/{tail:.*}", self._answer)
        self.server = Server(application)
        self.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0))
        self._tokens: dict[str, str] = {}

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        person, _ = authenticate(request, self.directory, self.clock)
        request[MAILBOX] = person.email
        self.effects.append(f"{request.method} {request.path}")
        await self.gate.wait()
        return web.Response(status=202, text="accepted")

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        self.gate.set()
        await self.http.close()
        await self.server.stop()

    def token(self, person: Person, client_id: str = APP) -> str:
        """A bearer token of this person for this app."""
        return self.directory.issue_token(person, frozenset({"Mail.ReadWrite"}), client_id).value

    async def call(
        self, method: str = "POST", path: str = SEND, *, person: Person | None = None, client_id: str = APP, **more: Any
    ) -> tuple[int, dict[str, str], Any]:
        """One call: status, headers, and the JSON body or the text."""
        headers = {"Authorization": f"Bearer {self.token(person or self.anna, client_id)}", **more.pop("headers", {})}
        async with self.http.request(method, self.server.url + path, headers=headers, **more) as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, dict(answer.headers), await (answer.json() if is_json else answer.text())

    async def control(self, name: str, body: Any = None, *, expect: int | None = None) -> Any:
        """A `/_lab` control: POST with a body, GET without."""
        method = "GET" if body is None else "POST"
        async with self.http.request(method, f"{self.server.url}/_lab/{name}", json=body) as answer:
            assert answer.status == (expect or (201 if body is not None and name == "faults" else 200))
            return await answer.json()


@pytest.fixture
async def graph() -> AsyncIterator[Graph]:
    """A running Graph with nothing in it."""
    running = Graph()
    await running.start()
    yield running
    await running.stop()


# The log


async def test_the_log_tells_each_call(graph: Graph) -> None:
    """Method, path, decoded query, status, bytes, whose mailbox, and the caller's own request id; controls are not in it."""
    headers = {"client-request-id": "req-1", "Prefer": 'IdType="ImmutableId"'}
    await graph.call("GET", "/v1.0/me/messages?$filter=subject%20eq%20'a%26b'&$top=1", headers=headers)
    await graph.call(person=graph.ben)
    first, second = await graph.control("requests")
    assert datetime.fromisoformat(first.pop("at")).tzinfo is not None
    assert first.pop("duration_s") >= 0
    assert first == {
        "method": "GET",
        "path": "/v1.0/me/messages",
        "query": "$filter=subject eq 'a&b'&$top=1",
        "prefer": 'IdType="ImmutableId"',
        "client_request_id": "req-1",
        "mailbox": "anna@fabrikam.example",
        "status": 202,
        "bytes": len("accepted"),
    }
    assert (second["method"], second["path"], second["query"]) == ("POST", SEND, "")
    assert [entry["path"] for entry in await graph.control("requests?mailbox=BEN@fabrikam.example")] == [SEND]


async def test_a_call_in_flight_is_in_the_log(graph: Graph) -> None:
    """It is there from its arrival, without a status until it is answered."""
    graph.gate.clear()
    call = asyncio.create_task(graph.call())
    await eventually(lambda: bool(graph.effects))
    assert graph.traffic.requests[0]["status"] is None
    graph.gate.set()
    await call
    assert graph.traffic.requests[0]["status"] == 202


# Faults


@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        ({"status": 401}, "InvalidAuthenticationToken", "expired"),
        ({"status": 403}, "ErrorAccessDenied", "denied"),
        ({"status": 404}, "ErrorItemNotFound", "not found"),
        ({"status": 410}, "syncStateNotFound", "sync state"),
        ({"status": 429}, "TooManyRequests", "requests"),
        (
            {"status": 429, "code": "ApplicationThrottled", "message": "Slow down."},
            "ApplicationThrottled",
            "Slow down.",
        ),
        ({"status": 500}, "ErrorInternalServerError", "error"),
        ({"status": 503}, "serviceNotAvailable", "unavailable"),
        ({"status": 504}, "GatewayTimeout", "timely"),
        ({"status": 418, "code": "Teapot"}, "Teapot", "failed"),
    ],
)
async def test_a_fault_answers_in_graphs_envelope(graph: Graph, fault: dict[str, Any], code: str, message: str) -> None:
    """Each status has the code Graph gives with it unless a test wants another, and nothing took effect."""
    await graph.control("faults", {"match": "POST */send", "times": 1, **fault})
    status, headers, body = await graph.call(headers={"client-request-id": "req-1"})
    assert (status, body["error"]["code"]) == (fault["status"], code)
    assert message in body["error"]["message"]
    assert headers["request-id"] == body["error"]["innerError"]["request-id"]
    assert headers["client-request-id"] == "req-1"
    assert graph.effects == []
    (entry,) = await graph.control("requests")
    assert (entry["status"], entry["fault"]["status"]) == (fault["status"], fault["status"])
    assert entry["bytes"] > 0


@pytest.mark.parametrize(
    ("retry_after", "header"), [(2.128, "2.128"), (3, "3"), ("Wed, 21 Oct 2026 07:28:00 GMT",) * 2]
)
async def test_retry_after_as_asked(graph: Graph, retry_after: float | str, header: str) -> None:
    """Seconds, decimals and dates all occur in the wild."""
    await graph.control("faults", {"match": "*", "status": 429, "retry_after": retry_after, "times": 1})
    assert (await graph.call())[1]["Retry-After"] == header


async def test_a_fault_strikes_as_often_as_asked_and_only_what_matches(graph: Graph) -> None:
    """The first registered strikes first, other calls pass, and the list shows what is left."""
    await graph.control("faults", {"match": "POST */send", "status": 503, "times": 2})
    await graph.control("faults", {"match": "POST */send", "status": 500, "times": 1})
    assert (await graph.call("GET", "/v1.0/me/messages/AAMk1"))[0] == 202
    assert (await graph.call())[0] == 503
    assert [(left["status"], left["times"]) for left in await graph.control("faults")] == [(503, 1), (500, 1)]
    assert [(await graph.call())[0] for _ in range(3)] == [503, 500, 202]
    assert await graph.control("faults") == []


async def test_a_fault_for_one_mailbox(graph: Graph) -> None:
    """Others are spared, and do not use it up."""
    await graph.control("faults", {"match": "*", "status": 503, "mailbox": "Ben@Fabrikam.example", "times": 1})
    assert (await graph.call())[0] == 202
    assert (await graph.call(person=graph.ben))[0] == 503


async def test_a_call_that_fails_after_it_took_effect(graph: Graph) -> None:
    """`applied`: the answer is an error and yet the thing is done."""
    await graph.control("faults", {"match": "POST */send", "status": 504, "applied": True, "times": 1})
    assert (await graph.call())[0] == 504
    assert graph.effects == [f"POST {SEND}"]


@pytest.mark.parametrize("applied", [False, True])
async def test_a_cut_connection(graph: Graph, applied: bool) -> None:
    """`drop`: the caller gets no answer, and cannot know whether the call took effect."""
    await graph.control("faults", {"match": "POST */send", "drop": True, "applied": applied, "times": 1})
    with pytest.raises(aiohttp.ClientConnectionError):
        await graph.call()
    assert bool(graph.effects) is applied
    (entry,) = await graph.control("requests")
    assert (entry["status"], entry["bytes"], entry["fault"]["drop"]) == (None, 0, True)
    assert (await graph.call())[0] == 202


@pytest.mark.parametrize("applied", [False, True])
async def test_a_late_answer(graph: Graph, applied: bool) -> None:
    """`delay_s` alone is a normal answer, late by the clock; with `applied` the effect is there at once."""
    await graph.control("faults", {"match": "POST */send", "delay_s": 60, "applied": applied, "times": 1})
    call = asyncio.create_task(graph.call())
    await eventually(lambda: bool(graph.effects) if applied else bool(graph.traffic.requests))
    assert bool(graph.effects) is applied
    assert not call.done()
    await eventually(call.done, nudge=lambda: graph.clock.advance(10))
    assert (await call)[0] == 202
    assert len(graph.effects) == 1


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"status": 503}, id="no match"),
        pytest.param({"match": "*"}, id="does nothing"),
        pytest.param({"match": "*", "status": 200}, id="not an error"),
        pytest.param({"match": "*", "status": 418}, id="no known code"),
        pytest.param({"match": "*", "status": 503, "drop": True}, id="drop and status"),
        pytest.param({"match": "*", "delay_s": 1, "retry_after": 2}, id="retry-after without status"),
        pytest.param({"match": "*", "status": 503, "times": 0}, id="never"),
        pytest.param({"match": "*", "status": "503"}, id="text for a number"),
        pytest.param({"match": "*", "stauts": 503}, id="typo"),
        pytest.param({"match": "*", "status": 503, "headers": {"X": 1}}, id="header that is no text"),
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused(graph: Graph, fault: dict[str, Any]) -> None:
    """A mistake in a test is told at once, and no call suffers from it."""
    assert (await graph.control("faults", fault, expect=400))["error"]
    assert (await graph.call())[0] == 202


# Limits


async def test_four_at_a_time_for_one_app_and_mailbox(graph: Graph) -> None:
    """The fifth is throttled with Retry-After, another mailbox and another app are not, and a place freed is free."""
    graph.gate.clear()
    calls = [asyncio.create_task(graph.call()) for _ in range(4)]
    await eventually(lambda: len(graph.effects) == 4)
    status, headers, body = await graph.call()
    assert (status, headers["Retry-After"]) == (429, "1")
    assert body["error"]["code"] == "ApplicationThrottled"
    assert body["error"]["message"] == "Application is over its MailboxConcurrency limit."
    calls.append(asyncio.create_task(graph.call(person=graph.ben)))
    calls.append(asyncio.create_task(graph.call(client_id="another app")))
    await eventually(lambda: len(graph.effects) == 6)
    graph.gate.set()
    assert {status for status, _, _ in await asyncio.gather(*calls)} == {202}
    assert (await graph.call())[0] == 202


async def test_a_batch_takes_no_place_of_its_items(graph: Graph) -> None:
    """The items of a `$batch` are counted one by one; were the batch counted too, it would throttle itself."""
    await graph.control("limits", {"concurrency": 1})
    graph.gate.clear()
    batch = asyncio.create_task(graph.call(path="/v1.0/$batch"))
    await eventually(lambda: len(graph.effects) == 1)
    item = asyncio.create_task(graph.call())
    await eventually(lambda: len(graph.effects) == 2)
    graph.gate.set()
    assert [(await call)[0] for call in (batch, item)] == [202, 202]


async def test_concurrency_can_be_left_unlimited(graph: Graph) -> None:
    """None switches a limit off; the others stay."""
    limits = await graph.control("limits", {"concurrency": None})
    assert limits == {
        "concurrency": None,
        "requests_per_10_min": 10_000,
        "upload_bytes_per_5_min": 150 * 1024 * 1024,
    }
    graph.gate.clear()
    calls = [asyncio.create_task(graph.call()) for _ in range(8)]
    await eventually(lambda: len(graph.effects) == 8)
    graph.gate.set()
    assert {status for status, _, _ in await asyncio.gather(*calls)} == {202}


async def test_requests_in_ten_minutes(graph: Graph) -> None:
    """Beyond the limit 429 until the oldest request is ten minutes old by the clock."""
    await graph.control("limits", {"requests_per_10_min": 2})
    assert [(await graph.call())[0] for _ in range(2)] == [202, 202]
    status, headers, body = await graph.call()
    assert (status, body["error"]["message"]) == (429, "Application is over its RequestRate limit.")
    assert 590 <= int(headers["Retry-After"]) <= 600
    assert (await graph.call(person=graph.ben))[0] == 202
    graph.clock.advance(600)
    assert (await graph.call())[0] == 202


async def test_bytes_uploaded_in_five_minutes(graph: Graph) -> None:
    """What is written counts, what is read does not."""
    await graph.control("limits", {"upload_bytes_per_5_min": 1_000})
    assert (await graph.call(data=b"x" * 900))[0] == 202
    status, _, body = await graph.call(data=b"x" * 200)
    assert (status, body["error"]["message"]) == (429, "Application is over its IncomingBytes limit.")
    assert (await graph.call("GET", "/v1.0/me/messages"))[0] == 202
    graph.clock.advance(300)
    assert (await graph.call(data=b"x" * 200))[0] == 202


async def test_reset_forgets_log_faults_and_limits(graph: Graph) -> None:
    """After a reset the emulator is as it began."""
    await graph.control("faults", {"match": "*", "status": 503, "times": 5})
    await graph.control("limits", {"concurrency": 1})
    await graph.call()
    graph.traffic.reset()
    assert await graph.control("requests") == []
    assert await graph.control("faults") == []
    assert (await graph.control("limits"))["concurrency"] == 4


async def test_without_a_directory_callers_are_told_apart_by_their_tokens() -> None:
    """The mailbox is known once the handler says so; a fault for one mailbox is refused, for it could not be kept."""
    traffic = Traffic(Clock())

    async def answer(request: web.Request) -> web.StreamResponse:
        request[MAILBOX] = "anna@fabrikam.example"
        return web.Response(status=204)

    application = web.Application(middlewares=[traffic.middleware])
    traffic.register(application.router)
    application.router.add_get("/v1.0/me", answer)
    server = Server(application)
    await server.start()
    async with aiohttp.ClientSession(server.url) as http:
        async with http.get("/v1.0/me", headers={"Authorization": "Bearer one"}) as response:
            assert response.status == 204
        async with http.get("/v1.0/nothing") as response:
            assert response.status == 404
        fault = {"match": "*", "status": 503, "mailbox": "anna@fabrikam.example"}
        async with http.post("/_lab/faults", json=fault) as response:
            assert response.status == 400
    await server.stop()
    assert [(entry["mailbox"], entry["status"]) for entry in traffic.requests] == [
        ("anna@fabrikam.example", 204),
        (None, 404),
    ]
