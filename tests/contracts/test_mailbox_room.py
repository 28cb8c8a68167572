"""Room at Graph: nothing is asked inside a Retry-After, nobody waits without end, and idle mailboxes are forgotten."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from sync.adapters.graph_client import RETRY_AFTER_UNSAID, GraphClient
from sync.adapters.mailbox_room import MAX_REQUESTS_PER_MAILBOX, MailboxRooms
from sync.domain.connection import Connection, Mailbox
from sync.domain.errors import OutsideError, Throttled
from tests.contracts.values import connection

ME = connection().mailbox.identity
OTHER = connection("con_2", mailbox=Mailbox("t2", "o2", "bob@crm.example", "Bob"))
SAME_MAILBOX = connection("con_3")
UPLOAD = "https://upload.example/1"


class OneToken:
    """Always the same."""

    async def access_token(self, connection: Connection, *, refused: str | None = None, claims: str = "") -> str:
        return "token"


class Graph:
    """Answers as scripted, then with 200; `seen` is what was asked. `now`: the monotonic clock of the client's rooms."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.answers = list(answers)
        self.seen: list[str] = []
        self.now = 1_000.0
        self.rooms = MailboxRooms(monotonic=lambda: self.now)
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self.client = GraphClient(http, "https://graph.example/v1.0", OneToken(), self.rooms)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(f"{request.method} {request.url.path}")
        return self.answers.pop(0) if self.answers else httpx.Response(200, json={})


def throttled(status: int = 429, retry_after: str | None = "30") -> httpx.Response:
    """Graph asks to come back later."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return httpx.Response(
        status, headers=headers, json={"error": {"code": "ApplicationThrottled", "message": "Later."}}
    )


WAYS: dict[str, Callable[[GraphClient], object]] = {
    "read": lambda client: client.request(connection(), "GET", "/me/messages"),
    "write": lambda client: client.request(connection(), "POST", "/me/messages", json={}),
    "upload": lambda client: client.upload(connection(), UPLOAD, b"x", 0, 1),
    "another user of the mailbox": lambda client: client.request(SAME_MAILBOX, "GET", "/me/messages"),
}


@pytest.mark.parametrize("first", WAYS)
@pytest.mark.parametrize("status", [429, 503])
async def test_nothing_is_asked_inside_a_retry_after(first: str, status: int) -> None:
    """Whatever was throttled, nothing more goes to that mailbox until the time is over; all are told what is left of it."""
    graph = Graph(throttled(status))
    with pytest.raises(OutsideError):
        await WAYS[first](graph.client)  # type: ignore[misc]
    asked = list(graph.seen)
    graph.now += 10
    for way in WAYS.values():
        with pytest.raises(Throttled) as refused:
            await way(graph.client)  # type: ignore[misc]
        assert refused.value.retry_after == timedelta(seconds=20)
    await graph.client.cancel_upload(connection(), UPLOAD)
    assert graph.seen == asked

    await graph.client.request(OTHER, "GET", "/me")
    graph.now += 20
    for way in WAYS.values():
        await way(graph.client)  # type: ignore[misc]
    assert len(graph.seen) == len(asked) + 1 + len(WAYS)


@pytest.mark.parametrize(("status", "closed"), [(429, True), (503, False), (500, False)])
async def test_without_a_retry_after_only_429_closes_the_mailbox(status: int, closed: bool) -> None:
    """For as long as we wait where Graph gives no time."""
    graph = Graph(throttled(status, None))
    with pytest.raises(OutsideError):
        await graph.client.request(connection(), "GET", "/me")
    assert graph.rooms.closed(ME) is closed
    graph.now += RETRY_AFTER_UNSAID.total_seconds()
    assert not graph.rooms.closed(ME)


async def test_those_who_wait_for_a_place_heed_it_too() -> None:
    """They were let in before the 429 came, and must not ask after it."""
    graph = Graph()
    everybody, full, answered = 20, asyncio.Event(), asyncio.Event()
    tried = 0

    async def answer_all_at_once(request: httpx.Request) -> httpx.Response:
        nonlocal tried
        tried += 1
        if tried == MAX_REQUESTS_PER_MAILBOX:
            full.set()
        await answered.wait()
        return throttled()

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer_all_at_once))
    client = GraphClient(http, "https://graph.example/v1.0", OneToken(), graph.rooms)
    every = [asyncio.create_task(client.request(connection(), "GET", f"/{i}")) for i in range(everybody)]
    await full.wait()
    answered.set()
    outcomes = await asyncio.gather(*every, return_exceptions=True)
    assert all(isinstance(outcome, Throttled) for outcome in outcomes)
    assert tried == MAX_REQUESTS_PER_MAILBOX


async def test_a_shorter_wait_does_not_end_a_longer_one() -> None:
    """Answers overtake each other."""
    graph = Graph()
    graph.rooms.close(ME, timedelta(seconds=30))
    graph.rooms.close(ME, timedelta(seconds=1))
    graph.now += 29
    assert graph.rooms.closed(ME)


async def test_nobody_waits_for_a_place_without_end() -> None:
    """Whoever finds no place in time is put off, and those who had one go on."""
    rooms = MailboxRooms(patience_s=0.01)
    holding, let_go = asyncio.Semaphore(0), asyncio.Event()

    async def hold() -> None:
        async with rooms.place(ME):
            holding.release()
            await let_go.wait()

    async with asyncio.TaskGroup() as together:
        for _ in range(MAX_REQUESTS_PER_MAILBOX):
            together.create_task(hold())
            await holding.acquire()
        with pytest.raises(Throttled) as put_off:
            async with rooms.place(ME):
                pytest.fail("there is no place")
        assert put_off.value.retry_after > timedelta()
        let_go.set()
    async with rooms.place(ME):
        pass


async def test_idle_mailboxes_are_forgotten() -> None:
    """At once where nothing is to be remembered of them, else when their wait is over and another mailbox comes."""
    graph = Graph()
    for number in range(50):
        mailbox = ("t", str(number))
        async with graph.rooms.place(mailbox):
            assert graph.rooms.remembered == 1
        assert graph.rooms.remembered == 0
    for number in range(50):
        graph.rooms.close(("t", str(number)), timedelta(seconds=30))
    assert graph.rooms.remembered == 50
    graph.now += 30
    async with graph.rooms.place(ME):
        assert graph.rooms.remembered == 1
