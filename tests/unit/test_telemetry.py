"""Spans and metrics as they leave the app, on OpenTelemetry's own SDK, exported to memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sync import trace
from sync.adapters.tally import FRESH_S, MAX_KEPT, Tally
from sync.adapters.telemetry import Telemetry, views
from sync.adapters.watched_http import CrmTransport, GraphTransport, template
from sync.domain.metrics import (
    DELIVERIES_DELAY,
    GRAPH_REQUESTS,
    METRICS,
    NOTIFICATIONS_ACCEPTED,
    QUEUE_AGE,
    Reading,
)

ORIGIN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HOST = "00-11111111111111111111111111111111-2222222222222222-01"
GRAPH = "https://graph.example/v1.0"


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Seen:
    """The app's telemetry, and what it exported."""

    telemetry: Telemetry
    tally: Tally
    clock: Clock
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        """By their names."""
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def points(self) -> dict[str, dict[tuple[tuple[str, Any], ...], Any]]:
        """What one export tells: the points of each metric by their attributes."""
        data = self.reader.get_metrics_data()
        metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics] if data else []
        return {
            metric.name: {tuple(sorted((point.attributes or {}).items())): point for point in metric.data.data_points}
            for metric in metrics
        }


@pytest.fixture
def seen() -> Iterator[Seen]:
    """Everything in memory."""
    exporter, reader, clock = InMemorySpanExporter(), InMemoryMetricReader(), Clock()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider([reader], views=views(), shutdown_on_exit=False)
    tally = Tally(monotonic_s=clock)
    telemetry = Telemetry(tracers, meters, tally)
    yield Seen(telemetry, tally, clock, exporter, reader)
    telemetry.close()


def hex_of(span: ReadableSpan) -> tuple[str, str]:
    """Trace and span id."""
    assert span.context is not None
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


def test_work_is_a_part_of_what_asked_for_it(seen: Seen) -> None:
    """In its trace, under its span, linked to the host's invocation; and inside, that is where we are."""
    with seen.telemetry.work(
        "mail-changes", part_of=ORIGIN, linked_to=("", HOST, "nonsense"), attributes={"sync.try": 1}
    ):
        here = trace.current()
    span = seen.spans["process mail-changes"]
    assert hex_of(span)[0] == ORIGIN.split("-")[1]
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == ORIGIN.split("-")[2]
    assert [f"{link.context.trace_id:032x}" for link in span.links] == [HOST.split("-")[1]]
    assert (here.traceparent.split("-")[2], here.queue) == (hex_of(span)[1], "mail-changes")
    assert span.attributes is not None
    assert span.attributes["messaging.destination.name"] == "mail-changes"
    assert span.attributes["sync.try"] == 1
    assert trace.current() == trace.Here()


@pytest.mark.parametrize("part_of", ["", "nonsense"])
def test_work_that_nobody_asked_for_is_a_trace_of_its_own(seen: Seen, part_of: str) -> None:
    """Whatever else runs in this task."""
    with (
        seen.telemetry.work("mail-changes", attributes={}),
        seen.telemetry.work("crm-deliveries", part_of=part_of, attributes={}),
    ):
        pass
    assert seen.spans["process crm-deliveries"].parent is None
    assert hex_of(seen.spans["process crm-deliveries"])[0] != hex_of(seen.spans["process mail-changes"])[0]


def test_what_is_not_sampled_is_not_exported(seen: Seen) -> None:
    """The host decides for a whole trace, by the flags of its traceparent."""
    with seen.telemetry.work("mail-changes", part_of=ORIGIN[:-2] + "00", attributes={}):
        assert trace.current().traceparent.endswith("-00")
    assert seen.spans == {}


def test_a_failure_tells_its_kind_and_none_of_its_words(seen: Seen) -> None:
    """An exception's words can hold anything."""
    with pytest.raises(KeyError), seen.telemetry.work("mail-changes", attributes={}):
        raise KeyError("ada@customer.example")
    span = seen.spans["process mail-changes"]
    assert span.attributes is not None
    assert span.attributes["error.type"] == "KeyError"
    assert not span.status.is_ok
    assert span.status.description is None
    assert span.events == ()


@pytest.mark.parametrize("status", [200, 304, 429, 503])
def test_a_call_tells_how_it_ended(seen: Seen, status: int) -> None:
    """An error of the neighbour marks it as failed, by its number."""
    with seen.telemetry.call("GET", "/me/messages/{id}", "https", "graph.example", None) as answered:
        answered(status)
    about = seen.spans["GET /me/messages/{id}"].attributes
    assert about is not None
    assert about["http.response.status_code"] == status
    assert about.get("error.type") == (str(status) if status >= 400 else None)
    assert about["url.full"] == "https://graph.example/me/messages/{id}"
    assert about["server.port"] == 443


def test_a_call_of_an_http_function_is_a_part_of_its_invocation(seen: Seen) -> None:
    """There no work of ours has begun a span; inside of work, that is what the call belongs to."""
    with trace.inside(HOST):
        with seen.telemetry.call("GET", "/me", "https", "graph.example", None) as answered:
            answered(200)
        with (
            seen.telemetry.work("mail-sends", part_of=ORIGIN, attributes={}),
            seen.telemetry.call("POST", "/me/messages", "https", "graph.example", None) as answered,
        ):
            answered(201)
    parent = seen.spans["GET /me"].parent
    assert parent is not None
    assert f"{parent.span_id:016x}" == HOST.split("-")[2]
    assert hex_of(seen.spans["POST /me/messages"])[0] == ORIGIN.split("-")[1]


def test_every_metric_is_an_instrument_of_its_kind(seen: Seen) -> None:
    """With its unit and its description; what has no value yet is not told."""
    for metric in METRICS:
        seen.tally.note(Reading(metric, 2, dict.fromkeys(metric.attributes, "x")))
    data = seen.reader.get_metrics_data()
    assert data is not None
    told = {m.name: m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}
    assert told.keys() == {metric.name for metric in METRICS}
    shapes = {"counter": "Sum", "gauge": "Gauge", "histogram": "Histogram"}
    for metric in METRICS:
        exported = told[metric.name]
        assert (exported.unit, exported.description) == (metric.unit, metric.description)
        assert type(exported.data).__name__ == shapes[metric.kind]


def test_counts_of_before_are_exported_once_somebody_listens() -> None:
    """The first notifications of a process are counted before OpenTelemetry is there."""
    asked: list[int] = []
    tally = Tally(lambda: asked.append(1))
    tally.note(Reading(NOTIFICATIONS_ACCEPTED, 2, {"kind": "change"}))
    tally.note(Reading(DELIVERIES_DELAY, 7.0, {}))
    assert len(asked) == 2, "that something is to be told starts telemetry"
    reader = InMemoryMetricReader()
    telemetry = Telemetry(
        TracerProvider(shutdown_on_exit=False), MeterProvider([reader], views=views(), shutdown_on_exit=False), tally
    )
    tally.note(Reading(NOTIFICATIONS_ACCEPTED, 3, {"kind": "change"}))
    points = Seen(telemetry, tally, Clock(), InMemorySpanExporter(), reader).points()
    assert points["sync.notifications.accepted"][(("kind", "change"),)].value == 5
    [delay] = points["sync.deliveries.delay"].values()
    assert (delay.count, delay.sum, tuple(delay.explicit_bounds)) == (1, 7.0, DELIVERIES_DELAY.boundaries)
    assert len(asked) == 2
    telemetry.close()


def test_what_is_kept_is_bounded() -> None:
    """Where telemetry goes nowhere, measuring costs a few numbers."""
    tally = Tally()
    for n in range(MAX_KEPT + 5):
        tally.note(Reading(DELIVERIES_DELAY, n, {}))
    heard: list[Reading] = []
    tally.listen(heard.append)
    assert [reading.value for reading in heard] == list(range(5, MAX_KEPT + 5))


def test_a_gauge_is_told_while_it_is_fresh(seen: Seen) -> None:
    """Another process looks the next time: what this one saw must not stand beside that for ever."""
    seen.tally.note(Reading(QUEUE_AGE, 12.5, {"queue": "mail-sends"}))
    key = (("queue", "mail-sends"),)
    assert seen.points()["sync.queue.age"][key].value == 12.5
    seen.clock.now_s += FRESH_S
    assert seen.points()["sync.queue.age"][key].value == 12.5
    seen.clock.now_s += 1
    assert "sync.queue.age" not in seen.points()


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/me", "/me"),
        ("/me/messages", "/me/messages"),
        ("/me/messages/AAMkAGI2/attachments/AAMk%2F=/$value", "/me/messages/{id}/attachments/{id}/$value"),
        ("/me/messages/send", "/me/messages/send"),
        ("/me/mailFolders/inbox", "/me/mailFolders/inbox"),
        ("/subscriptions/7f105c7d", "/subscriptions/{id}"),
        ("/users/ada@customer.example/messages", "/users/{id}/messages"),
        ("", "/"),
    ],
)
def test_a_path_is_told_without_what_is_one_items(path: str, shape: str) -> None:
    """What is not on the list of words becomes {id}, so that nothing unknown is told."""
    assert template(path) == shape


async def sent(transport: httpx.AsyncBaseTransport, url: str, method: str = "GET") -> httpx.Response:
    """One request through this transport."""
    async with httpx.AsyncClient(transport=transport) as client:
        return await client.request(method, url)


def answers(status: int, heard: list[httpx.Request]) -> httpx.MockTransport:
    """A neighbour that answers with this status."""

    def answer(request: httpx.Request) -> httpx.Response:
        heard.append(request)
        return httpx.Response(status)

    return httpx.MockTransport(answer)


@pytest.mark.parametrize("watched", [True, False])
@pytest.mark.parametrize(
    ("url", "name"),
    [
        (f"{GRAPH}/me/messages/AAk%2F1?$filter=internetMessageId eq '<a@b>'", "GET /v1.0/me/messages/{id}"),
        ("https://outlook.example/upload/secret?authtoken=eyJ", "GET /{upload session}"),
        ("https://graph.example/v2/me", "GET /{upload session}"),
    ],
)
async def test_calls_to_graph_are_counted_and_told_by_their_shape(
    seen: Seen, watched: bool, url: str, name: str
) -> None:
    """Counted always, told where somebody listens; Microsoft is not given our trace."""
    heard: list[httpx.Request] = []
    transport = GraphTransport(answers(429, heard), GRAPH, lambda: seen.telemetry if watched else None, seen.tally.note)
    assert (await sent(transport, url)).status_code == 429
    assert list(seen.spans) == ([name] if watched else [])
    assert "traceparent" not in heard[0].headers
    key = (("http.request.method", "GET"), ("http.response.status_code", 429))
    assert seen.tally.sums(GRAPH_REQUESTS) == {key: 1}


async def test_a_call_without_an_answer_counts_by_the_kind_of_error(seen: Seen) -> None:
    """And the error goes on as it is."""

    def break_off(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to ada@customer.example")

    transport = GraphTransport(httpx.MockTransport(break_off), GRAPH, lambda: seen.telemetry, seen.tally.note)
    with pytest.raises(httpx.ConnectError):
        await sent(transport, f"{GRAPH}/me", "POST")
    assert seen.tally.sums(GRAPH_REQUESTS) == {(("error.type", "ConnectError"), ("http.request.method", "POST")): 1}
    about = seen.spans["POST /v1.0/me"].attributes
    assert about is not None
    assert about["error.type"] == "ConnectError"


async def test_the_crm_is_given_the_trace(seen: Seen) -> None:
    """Its own telemetry can go on from ours: the header names the span of the push."""
    heard: list[httpx.Request] = []
    transport = CrmTransport(answers(204, heard), lambda: seen.telemetry)
    with seen.telemetry.work("crm-deliveries", part_of=ORIGIN, attributes={}):
        await sent(transport, "https://crm.example/hooks?tenant=secret", "POST")
    span = seen.spans["POST /{webhook}"]
    assert tuple(heard[0].headers["traceparent"].split("-")[1:3]) == hex_of(span)
    assert hex_of(span)[0] == ORIGIN.split("-")[1]
    assert "secret" not in str(span.attributes)


async def test_without_telemetry_the_crm_gets_no_trace() -> None:
    """A header that leads nowhere helps nobody."""
    heard: list[httpx.Request] = []
    await sent(CrmTransport(answers(204, heard), lambda: None), "https://crm.example/hooks", "POST")
    assert "traceparent" not in heard[0].headers
