"""The ladder from Graph's answers to our errors, and what a request to Graph carries. No sockets: answers are scripted."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from sync.adapters.graph_client import (
    RETRY_AFTER_UNSAID,
    GraphClient,
    claims_challenge,
    retry_after,
)
from sync.adapters.mailbox_room import MAX_REQUESTS_PER_MAILBOX
from sync.domain.connection import Connection, Mailbox
from sync.domain.errors import Declined, Gone, OutsideError, ReconnectNeeded, Throttled, Unclear
from tests.contracts.values import connection

ROOT = "https://graph.example/v1.0"
Handler = Callable[[httpx.Request], httpx.Response]


class TwoTokens:
    """Gives "first", and "second" where that was refused."""

    def __init__(self) -> None:
        self.refused: list[str | None] = []
        self.claims = ""

    async def access_token(self, connection: Connection, *, refused: str | None = None, claims: str = "") -> str:
        self.refused.append(refused)
        self.claims = claims
        return "second" if refused else "first"


def client(handler: Any, tokens: TwoTokens | None = None) -> GraphClient:
    """A client whose requests are answered by `handler`."""
    http = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    return GraphClient(http, ROOT, tokens or TwoTokens())


def says(status: int, code: str | None = "SomeCode", headers: dict[str, str] | None = None) -> Handler:
    """Graph's error envelope; without a code something that is none."""
    body = {"error": {"code": code, "message": "Words."}} if code is not None else ["no envelope"]
    return lambda request: httpx.Response(status, json=body, headers=headers)


LADDER: list[tuple[str, int, str | None, type[OutsideError]]] = [
    ("GET", 429, "TooManyRequests", Throttled),
    ("POST", 429, "TooManyRequests", Throttled),
    ("GET", 503, "serviceNotAvailable", Throttled),
    ("POST", 503, "serviceNotAvailable", Unclear),
    ("PATCH", 503, "serviceNotAvailable", Unclear),
    ("GET", 500, "ErrorInternalServerError", Unclear),
    ("POST", 500, "ErrorInternalServerError", Unclear),
    ("GET", 502, None, Unclear),
    ("POST", 504, "GatewayTimeout", Unclear),
    ("POST", 507, "ErrorQuotaExceeded", Declined),
    ("POST", 507, None, Declined),
    ("POST", 423, "ErrorMailboxLocked", Declined),
    ("POST", 408, "RequestTimeout", Unclear),
    ("GET", 401, "InvalidAuthenticationToken", ReconnectNeeded),
    ("POST", 401, "InvalidAuthenticationToken", ReconnectNeeded),
    ("GET", 404, "ErrorItemNotFound", Gone),
    ("POST", 404, "ErrorItemNotFound", Gone),
    ("GET", 410, "syncStateNotFound", Gone),
    ("GET", 404, None, Gone),
    ("GET", 404, "MailboxNotEnabledForRESTAPI", ReconnectNeeded),
    ("POST", 403, "MailboxNotEnabledForRESTAPI", ReconnectNeeded),
    ("GET", 403, "ErrorAccessDenied", ReconnectNeeded),
    ("POST", 403, "Authorization_RequestDenied", ReconnectNeeded),
    ("POST", 400, "BadRequest", Declined),
    ("POST", 403, "ErrorSendAsDenied", Declined),
    ("POST", 409, "Conflict", Declined),
    ("POST", 413, "ErrorMessageSizeExceeded", Declined),
    ("GET", 302, None, Declined),
    ("POST", 400, None, Declined),
]


@pytest.mark.parametrize(("method", "status", "code", "error"), LADDER)
async def test_each_answer_is_one_error(method: str, status: int, code: str | None, error: type[OutsideError]) -> None:
    """Exactly this one, for what the class says about whether it was done and may be tried again."""
    with pytest.raises(OutsideError) as raised:
        await client(says(status, code)).request(connection(), method, "/me")
    assert type(raised.value) is error
    if isinstance(raised.value, Declined):
        assert (raised.value.status, raised.value.code) == (status, code or "UnknownError")
        assert raised.value.detail == ("Words." if code else f"HTTP {status}")


RETRY_AFTER: list[tuple[str | None, timedelta | None]] = [
    ("10", timedelta(seconds=10)),
    ("0", timedelta()),
    ("1.5", timedelta(seconds=1.5)),
    ("-5", timedelta()),
    ("999999999", timedelta(days=1)),
    ("inf", timedelta(days=1)),
    ("soon", None),
    ("", None),
    (None, None),
    ("Wed, 21 Oct 2015 07:28:00 GMT", timedelta()),
]


@pytest.mark.parametrize(("header", "expected"), RETRY_AFTER)
def test_retry_after_is_read_in_every_form(header: str | None, expected: timedelta | None) -> None:
    """Seconds, decimals, a date; never negative, never without end; None where it says nothing."""
    assert retry_after(header) == expected


@pytest.mark.parametrize("form", ["IMF-fixdate", "asctime"])
def test_retry_after_as_a_date_is_what_is_left_until_then(form: str) -> None:
    """Also in the old form without a zone, which is in GMT (RFC 9110 5.6.7)."""
    when = datetime.now(UTC) + timedelta(minutes=5)
    text = format_datetime(when, usegmt=True) if form == "IMF-fixdate" else when.strftime("%a %b %d %H:%M:%S %Y")
    left = retry_after(text)
    assert left is not None
    assert timedelta(minutes=4, seconds=50) < left <= timedelta(minutes=5)


@pytest.mark.parametrize(
    ("headers", "expected"), [({"Retry-After": "17"}, timedelta(seconds=17)), ({}, RETRY_AFTER_UNSAID)]
)
async def test_a_throttled_answer_says_how_long_to_wait(headers: dict[str, str], expected: timedelta) -> None:
    """Graph's number, or ours where Graph gives none."""
    with pytest.raises(Throttled) as raised:
        await client(says(429, headers=headers)).request(connection(), "GET", "/me")
    assert raised.value.retry_after == expected


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x"), httpx.WriteError("x")]
)
async def test_no_answer_is_unclear(error: httpx.HTTPError) -> None:
    """Whether it was done nobody knows."""

    def raising(request: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(Unclear):
        await client(raising).request(connection(), "POST", "/me/messages/1/send")
    with pytest.raises(Unclear):
        await client(raising).upload(connection(), "https://upload.example/1", b"x", 0, 1)


async def test_an_answer_that_breaks_off_is_unclear() -> None:
    """Half a success is none."""

    class Breaking(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b'{"id":'
            raise httpx.ReadError("cut")

    with pytest.raises(Unclear):
        await client(lambda request: httpx.Response(200, stream=Breaking())).request(connection(), "GET", "/me")
    graph = client(lambda request: httpx.Response(200, stream=Breaking()))
    with pytest.raises(Unclear):
        async with graph.stream(connection(), "GET", "/me/messages/1/$value") as response:
            [piece async for piece in response.aiter_bytes()]


async def test_a_refused_token_is_replaced_once() -> None:
    """A 401 gets another token, as long as there is another one, twice at most: the first may be one of another worker's."""
    asked: list[str] = []

    def only_second(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["Authorization"])
        return httpx.Response(200, json={}) if asked[-1] == "Bearer second" else says(401)(request)

    tokens = TwoTokens()
    assert (await client(only_second, tokens).request(connection(), "POST", "/x", json={})).status_code == 200
    assert asked == ["Bearer first", "Bearer second"]
    assert tokens.refused == [None, "first"]

    refused = TwoTokens()
    with pytest.raises(ReconnectNeeded):
        await client(says(401), refused).request(connection(), "GET", "/x")
    assert refused.refused == [None, "first", "second"]


async def test_a_refusal_of_one_item_is_not_taken_for_one_of_the_mailbox() -> None:
    """The inbox tells: where that may be read, the permission was not withdrawn."""
    asked: list[str] = []

    def refuse_one(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        answer = httpx.Response(200, json={})
        return answer if request.url.path.endswith("/inbox") else says(403, "ErrorAccessDenied")(request)

    with pytest.raises(Declined):
        await client(refuse_one).request(connection(), "GET", "/me/messages/1")
    assert [path.rpartition("/")[2] for path in asked] == ["1", "inbox"]

    with pytest.raises(ReconnectNeeded) as shut_out:
        await client(says(403, "ErrorAccessDenied")).request(connection(), "GET", "/me/messages/1")
    assert shut_out.value.reason == "consent_withdrawn"


CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}'
CHALLENGE = (
    'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
    f'error="insufficient_claims", claims="{base64.b64encode(CLAIMS.encode()).decode()}"'
)


@pytest.mark.parametrize(
    ("challenges", "claims"),
    [
        ([CHALLENGE], CLAIMS),
        (['Bearer realm=""', CHALLENGE], CLAIMS),
        ([CHALLENGE.rstrip('="') + '"'], CLAIMS),
        ([CHALLENGE.replace("insufficient_claims", "invalid_token")], ""),
        (['Bearer error="insufficient_claims"'], ""),
        (['Bearer error="insufficient_claims", claims="bm90IEpTT04="'], ""),
        (['Bearer error="insufficient_claims", claims="/w=="'], ""),
        (['Bearer error="insufficient_claims", claims="W10="'], ""),
        ([""], ""),
        ([], ""),
    ],
)
def test_a_claims_challenge_is_read(challenges: list[str], claims: str) -> None:
    """Base64 of JSON, padded or not; what is none of both asks for nothing."""
    assert claims_challenge(challenges) == claims


async def test_a_challenge_is_met_with_a_token_of_those_claims() -> None:
    """Continuous access evaluation: the token that Graph no longer takes is got anew with what it asked for."""
    challenged = says(401, "InvalidAuthenticationToken", {"WWW-Authenticate": CHALLENGE})

    def only_second(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200) if request.headers["Authorization"] == "Bearer second" else challenged(request)

    tokens = TwoTokens()
    assert (await client(only_second, tokens).request(connection(), "GET", "/x")).status_code == 200
    assert (tokens.refused, tokens.claims) == ([None, "first"], CLAIMS)

    with pytest.raises(ReconnectNeeded) as refused:
        await client(challenged).request(connection(), "GET", "/x")
    assert refused.value.claims == CLAIMS


async def test_every_request_asks_for_immutable_ids_and_a_post_says_its_length() -> None:
    """Ids must survive a move; /send without a body wants Content-Length."""
    seen: list[httpx.Request] = []

    def keep(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(202)

    graph = client(keep)
    await graph.request(connection(), "POST", "/me/messages/1/send")
    await graph.request(connection(), "GET", "/me/messages", params={"$select": "id"})
    assert [r.headers["Prefer"] for r in seen] == ['IdType="ImmutableId"'] * 2
    assert seen[0].headers["Content-Length"] == "0"
    assert str(seen[1].url) == f"{ROOT}/me/messages?%24select=id"


async def test_an_upload_carries_no_token() -> None:
    """Its address is its authority; a token would go to another host."""
    seen: list[httpx.Request] = []

    def keep(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(202)

    await client(keep).upload(connection(), "https://upload.example/1?token=x", b"abc", 3, 10)
    assert "Authorization" not in seen[0].headers
    assert seen[0].headers["Content-Range"] == "bytes 3-5/10"


async def test_one_mailbox_is_asked_so_many_things_at_once_and_no_more() -> None:
    """Graph's own limit; another mailbox has its own."""
    running = most = 0
    full, let_go = asyncio.Event(), asyncio.Event()

    async def slow(request: httpx.Request) -> httpx.Response:
        nonlocal running, most
        if request.url.path.endswith("/other"):
            return httpx.Response(200, json={})
        running += 1
        most = max(most, running)
        if running == MAX_REQUESTS_PER_MAILBOX:
            full.set()
        await let_go.wait()
        running -= 1
        return httpx.Response(200, json={})

    graph = client(slow)
    other = connection("con_2", mailbox=Mailbox("t2", "o2", "bob@crm.example", "Bob"))
    asked = [asyncio.ensure_future(graph.request(connection(), "GET", f"/{i}")) for i in range(10)]
    await full.wait()
    assert (await graph.request(other, "GET", "/other")).status_code == 200
    let_go.set()
    await asyncio.gather(*asked)
    assert most == MAX_REQUESTS_PER_MAILBOX
