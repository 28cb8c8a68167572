"""
OpenTelemetry: spans of the work on queue messages and of the calls it makes, and the metrics of `sync.domain.metrics`.

Names follow the semantic conventions for messaging (https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/)
and HTTP clients (https://opentelemetry.io/docs/specs/semconv/http/http-spans/). `url.full` is told with its path as
`url.template` has it and without its query, since a path to Graph holds ids, and a query holds addresses and message ids of
mail; Azure Monitor takes the names and targets of calls from it. For the same reason no span records an exception's words,
only its kind.

Everything is imported here at once, so this module is imported only where telemetry goes somewhere (`sync.wiring.watching`).
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping

from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sync import trace
from sync.adapters.tally import Attributes, Tally
from sync.domain.metrics import METRICS, Metric, Reading

SCOPE = "outlook-two-way-sync"
#: OpenTelemetry has no name for Azure Queue Storage; a custom one is allowed.
MESSAGING_SYSTEM = "azure_storage_queue"
DEFAULT_PORTS = {"https": 443, "http": 80}

_propagator = TraceContextTextMapPropagator()


class Telemetry:
    """Spans and metrics, through these providers."""

    def __init__(self, tracers: TracerProvider, meters: MeterProvider, tally: Tally) -> None:
        self._tracers = tracers
        self._meters = meters
        self._tracer = tracers.get_tracer(SCOPE)
        _make_instruments(meters, tally)

    @contextlib.contextmanager
    def work(
        self, queue: str, *, part_of: str = "", linked_to: Iterable[str] = (), attributes: Mapping[str, str | int]
    ) -> Iterator[None]:
        """
        The work on one message of a queue, and `sync.trace.current` inside it.

        part_of: the traceparent of what queued it; empty: a trace of its own.

        linked_to: traceparents of what has to do with it; what can't be read is passed over.
        """
        links = [api.Link(other) for text in linked_to if (other := _span_context(text)).is_valid]
        about: dict[str, str | int] = {
            "messaging.system": MESSAGING_SYSTEM,
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": queue,
            **attributes,
        }
        with (
            self._tracer.start_as_current_span(
                f"process {queue}",
                context=_context(part_of),
                kind=api.SpanKind.CONSUMER,
                attributes=about,
                links=links,
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
            _failing(span),
            trace.inside(_traceparent(), queue),
        ):
            yield

    @contextlib.contextmanager
    def call(
        self, method: str, template: str, scheme: str, server: str, port: int | None
    ) -> Iterator[Callable[[int], None]]:
        """
        One HTTP request: gives a function that takes the answer's status. `template`: its path without what is one item's.

        It is a part of the work that runs, or else, as in an HTTP function, of the invocation that the host began.
        """
        begun = api.get_current_span().get_span_context().is_valid
        about: dict[str, str | int] = {
            "http.request.method": method,
            "url.template": template,
            "url.scheme": scheme,
            "url.full": f"{scheme}://{server}{f':{port}' if port else ''}{template}",
            "server.address": server,
            "server.port": port or DEFAULT_PORTS.get(scheme, 0),
        }
        with (
            self._tracer.start_as_current_span(
                f"{method} {template}",
                context=None if begun else _context(trace.current().traceparent),
                kind=api.SpanKind.CLIENT,
                attributes=about,
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
            _failing(span),
        ):

            def answered(status: int) -> None:
                span.set_attribute("http.response.status_code", status)
                if status >= 400:
                    span.set_attribute("error.type", str(status))
                    span.set_status(api.StatusCode.ERROR)

            yield answered

    @staticmethod
    def traceparent() -> str:
        """The span that runs now, for what is called."""
        return _traceparent()

    def close(self) -> None:
        """Export what there is, and end; OpenTelemetry does the same when the process ends by itself."""
        self._tracers.shutdown()
        self._meters.shutdown()


def views() -> list[View]:
    """How distributions are kept: with the boundaries of their metrics."""
    return [
        View(instrument_name=metric.name, aggregation=ExplicitBucketHistogramAggregation(metric.boundaries))
        for metric in METRICS
        if metric.boundaries
    ]


def _make_instruments(meters: MeterProvider, tally: Tally) -> None:
    meter = meters.get_meter(SCOPE)
    histograms = {}
    for metric in METRICS:
        if metric.kind == "counter":
            read = _observing(tally.sums, metric)
            meter.create_observable_counter(metric.name, [read], metric.unit, metric.description)
        elif metric.kind == "gauge":
            read = _observing(tally.standings, metric)
            meter.create_observable_gauge(metric.name, [read], metric.unit, metric.description)
        else:
            histograms[metric] = meter.create_histogram(metric.name, metric.unit, metric.description)

    def record(reading: Reading) -> None:
        histograms[reading.metric].record(reading.value, dict(reading.attributes))

    tally.listen(record)


def _observing(
    read: Callable[[Metric], Mapping[Attributes, float]], metric: Metric
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(value, dict(attributes)) for attributes, value in read(metric).items()]

    return observe


@contextlib.contextmanager
def _failing(span: api.Span) -> Iterator[None]:
    """What goes wrong marks the span by its kind; a cancelled call, as by a timeout, too."""
    try:
        yield
    except BaseException as error:
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(api.StatusCode.ERROR)
        raise


def _context(traceparent: str) -> Context:
    """Only what the text says: whatever runs in this task already has nothing to do with the work."""
    return _propagator.extract({"traceparent": traceparent}, context=Context())


def _span_context(traceparent: str) -> api.SpanContext:
    return api.get_current_span(_context(traceparent)).get_span_context()


def _traceparent() -> str:
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent", "")
