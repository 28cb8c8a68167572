"""
An OpenTelemetry collector, as far as an app that exports to it can tell: OTLP over HTTP with protobuf bodies.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp (paths, content types, the answer). The bodies are read with the
official messages (PyPI `opentelemetry-proto`). Everything is kept in memory, as it came too (`raw`), so that a test can look
for what must not be in it. Not imitated: gRPC, JSON, partial success, retries asked of the client.
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from tests.cloud.server import Server

Attributes = dict[str, Any]
PROTOBUF = "application/x-protobuf"
MAX_BODY_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Span:
    """A span as it was exported; ids in hex. `links`: (trace id, span id) of each."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: Attributes
    links: list[tuple[str, str]]
    failed: bool


@dataclass(frozen=True)
class Point:
    """One value of a metric: the sum of a counter, how a gauge stands, the sum of a distribution with its `count`."""

    name: str
    unit: str
    kind: str
    attributes: Attributes
    value: float
    count: int = 1
    instance: str = ""
    boundaries: list[float] = field(default_factory=list)


class Collector:
    """Listens on 127.0.0.1; `url` is what `OTEL_EXPORTER_OTLP_ENDPOINT` takes."""

    def __init__(self, port: int = 0) -> None:
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.add_routes(
            [
                web.post("/v1/traces", self._take_traces),
                web.post("/v1/metrics", self._take_metrics),
                web.post("/v1/logs", self._take_logs),
            ]
        )
        self._server = Server(application, port)
        self.url = self._server.url
        self.spans: list[Span] = []
        #: Every export of every metric, oldest first: sums are cumulative from the start of the process that exports them.
        self.points: list[Point] = []
        self.logs: list[str] = []
        self.raw: list[bytes] = []

    async def start(self) -> None:
        """Listen."""
        await self._server.start()

    async def stop(self) -> None:
        """Stop."""
        await self._server.stop()

    def of_trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace."""
        return [span for span in self.spans if span.trace_id == trace_id]

    def latest(self, name: str) -> dict[frozenset[tuple[str, Any]], Point]:
        """The newest value of a metric for each set of attributes."""
        return {frozenset(point.attributes.items()): point for point in self.points if point.name == name}

    def value(self, name: str, **attributes: Any) -> float:
        """The newest value for these attributes (a dot in a name is written as two underscores); 0: there is none."""
        wanted = frozenset((key.replace("__", "."), value) for key, value in attributes.items())
        point = self.latest(name).get(wanted)
        return point.value if point else 0

    async def _take_traces(self, request: web.Request) -> web.Response:
        message = ExportTraceServiceRequest.FromString(await self._body(request))
        for resource in message.resource_spans:
            for scope in resource.scope_spans:
                self.spans += [_span(span) for span in scope.spans]
        return _taken()

    async def _take_metrics(self, request: web.Request) -> web.Response:
        message = ExportMetricsServiceRequest.FromString(await self._body(request))
        for resource in message.resource_metrics:
            instance = str(_attributes(resource.resource.attributes).get("service.instance.id", ""))
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    self.points += _points(metric, instance)
        return _taken()

    async def _take_logs(self, request: web.Request) -> web.Response:
        message = ExportLogsServiceRequest.FromString(await self._body(request))
        for resource in message.resource_logs:
            for scope in resource.scope_logs:
                self.logs += [record.body.string_value for record in scope.log_records]
        return _taken()

    async def _body(self, request: web.Request) -> bytes:
        if request.content_type != PROTOBUF:
            raise web.HTTPUnsupportedMediaType(text=f"only {PROTOBUF} is imitated")
        body = await request.read()
        if body[:2] == b"\x1f\x8b":  # aiohttp has unpacked what said so in its headers
            body = gzip.decompress(body)
        self.raw.append(body)
        return body


def _taken() -> web.Response:
    """An empty Export…ServiceResponse."""
    return web.Response(body=b"", content_type=PROTOBUF)


def _span(span: WireSpan) -> Span:
    return Span(
        name=span.name,
        kind=WireSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_attributes(span.attributes),
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        failed=span.status.code == 2,
    )


def _points(metric: Any, instance: str) -> Iterator[Point]:
    kind = metric.WhichOneof("data")
    for point in getattr(metric, kind).data_points:
        about = _attributes(point.attributes)
        if kind == "histogram":
            bounds = list(point.explicit_bounds)
            yield Point(metric.name, metric.unit, kind, about, point.sum, point.count, instance, bounds)
        else:
            value = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
            yield Point(metric.name, metric.unit, kind, about, value, 1, instance)


def _attributes(pairs: Any) -> Attributes:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
