"""The comparison that the end-to-end tests rely on sees what departs from the document."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from sync.api.answers import SAFE_HEADERS
from sync.api.reference import samples
from sync.api.reference.refusals import refusals
from sync.domain.event import EventType
from tests.conformance import Conformance

Json = dict[str, Any]
STATUS = ("GET", "/v1/status")
JSON, PROBLEM = "application/json; charset=utf-8", "application/problem+json"
HEADERS = {
    "webhook-id": "evt_1",
    "webhook-timestamp": "1795444227",
    "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
}


@pytest.fixture(scope="module")
def seen() -> Conformance:
    """The document as the end-to-end tests hold answers against it."""
    return Conformance()


def encoded(value: object) -> bytes:
    """JSON as it comes over the wire."""
    return json.dumps(value).encode()


def test_what_is_as_described_passes(seen: Conformance) -> None:
    """An answer, a problem, an answer without a body, a file, and an event."""
    assert seen.answer(*STATUS, 200, JSON, encoded(samples.status())) == []
    missing = encoded(refusals()["not_found"].example)
    assert seen.answer("GET", "/v1/accounts/acme/messages/msg_1", 404, PROBLEM, missing) == []
    assert seen.answer("DELETE", "/v1/accounts/acme/provider", 204, "", b"") == []
    assert seen.answer("GET", "/v1/accounts/acme/attachments/att_1", 200, "application/octet-stream", b"\x00") == []
    assert seen.delivery(HEADERS, samples.event("message.synced").payload()) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda value: value.update(more=1), "more"),
        (lambda value: value["poison"][0].update(more=1), "more"),
        (lambda value: value.pop("poison"), "poison"),
        (lambda value: value.update(poison=None), "null"),
        (lambda value: value["poison"][0].update(since="yesterday"), "date-time"),
    ],
    ids=["a new member", "a new member inside", "a missing one", "null", "no time"],
)
def test_a_body_that_departs_is_seen(seen: Conformance, change: Callable[[Json], object], told: str) -> None:
    """In each way that a body can."""
    value = json.loads(encoded(samples.status()))
    change(value)
    (line, *_) = seen.answer(*STATUS, 200, JSON, encoded(value))
    assert line.startswith("status 200")
    assert told in line


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((*STATUS, 418, JSON, b"{}"), "no such status"),
        ((*STATUS, 200, "text/html", b"<p>"), "text/html instead of application/json"),
        ((*STATUS, 500, PROBLEM, encoded(refusals()["not_found"].example)), "not_found"),
        (("GET", "/v1/secrets", 200, JSON, b"{}"), "not in the document"),
        (("POST", "/v1/status", 200, JSON, b"{}"), "not in the document"),
        (("DELETE", "/v1/accounts/acme/provider", 204, "", b"!"), "no body is described"),
    ],
    ids=["status", "type", "a code of another status", "route", "method", "a body where none is"],
)
def test_an_answer_that_departs_is_seen(seen: Conformance, answer: tuple[str, str, int, str, bytes], told: str) -> None:
    """Status, content type, code, route and method."""
    (line, *_) = seen.answer(*answer)
    assert told in line


@pytest.mark.parametrize(
    ("kind", "headers", "change", "told"),
    [
        ("message.synced", HEADERS, {"more": 1}, "more"),
        ("message.synced", HEADERS, {"type": "message.lost"}, "message.lost"),
        ("message.synced", HEADERS, {"sequence": 0}, "minimum"),
        ("webhook.test", HEADERS, {"sequence": 4}, "null"),
        ("message.synced", HEADERS | {"webhook-timestamp": "today"}, {}, "webhook-timestamp"),
        ("message.synced", {"webhook-id": "evt_1"}, {}, "webhook-timestamp"),
    ],
)
def test_an_event_that_departs_is_seen(
    seen: Conformance, kind: EventType, headers: dict[str, str], change: Json, told: str
) -> None:
    """Its members, its type, and the headers of its delivery."""
    (line, *_) = seen.delivery(headers, samples.event(kind).payload() | change)
    assert told in line


async def test_a_hook_sees_the_answers_of_the_app_alone() -> None:
    """By the headers that all of them have; what an emulator or the platform answers is not the document's."""
    seen = Conformance()
    ours = {**SAFE_HEADERS, "Content-Type": JSON}
    request = httpx.Request("GET", "https://sync.example/health?a=b")
    await seen.answered(httpx.Response(200, headers={"Content-Type": JSON}, content=b"{}", request=request))
    await seen.answered(httpx.Response(401, request=request))
    assert seen.departures == []
    await seen.answered(httpx.Response(200, headers=ours, content=b"{}", request=request))
    assert len(seen.departures) == 1
    assert seen.met == {("health", 200)}
