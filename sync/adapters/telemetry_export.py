"""
Where telemetry goes: Application Insights, any OTLP collector, or both.

Nothing is written to the disk in between: what can't be exported now is tried again by the exporters for some seconds, and is
lost then. https://learn.microsoft.com/python/api/overview/azure/monitor-opentelemetry-exporter-readme and
https://opentelemetry.io/docs/specs/otel/protocol/exporter/ (the exporter itself reads `OTEL_EXPORTER_OTLP_HEADERS` and its
like; spans go every 5 s or as `OTEL_BSP_SCHEDULE_DELAY` says).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from sync.adapters.tally import Tally
from sync.adapters.telemetry import Telemetry, views

TIMEOUT_S = 10


def start(
    tally: Tally,
    resource: Mapping[str, str],
    *,
    metrics_every: timedelta,
    application_insights: str | None,
    identity_client_id: str | None,
    otlp_endpoint: str | None,
) -> Telemetry:
    """
    Telemetry that is exported from now on, and once more as the process ends by itself.

    application_insights: its connection string. identity_client_id: the managed identity to authenticate with; empty: the
    system's own; None: the connection string is enough. otlp_endpoint: the root of a collector (OTLP over HTTP, protobuf).
    """
    about = Resource.create(dict(resource))
    tracers = TracerProvider(resource=about)
    spans: list[SpanExporter] = []
    metrics: list[MetricExporter] = []
    if application_insights:
        from azure.monitor.opentelemetry.exporter import AzureMonitorMetricExporter, AzureMonitorTraceExporter

        how: dict[str, Any] = {"connection_string": application_insights, "disable_offline_storage": True}
        if identity_client_id is not None:
            from azure.identity import ManagedIdentityCredential

            how["credential"] = ManagedIdentityCredential(client_id=identity_client_id or None)
        # No provider becomes the process's own: Azure's storage libraries would trace each of their calls, with its address.
        spans.append(AzureMonitorTraceExporter(tracer_provider=tracers, **how))
        metrics.append(AzureMonitorMetricExporter(**how))
    if otlp_endpoint:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        spans.append(OTLPSpanExporter(endpoint=f"{otlp_endpoint}/v1/traces", timeout=TIMEOUT_S))
        metrics.append(OTLPMetricExporter(endpoint=f"{otlp_endpoint}/v1/metrics", timeout=TIMEOUT_S))
    for span_exporter in spans:
        tracers.add_span_processor(BatchSpanProcessor(span_exporter))
    readers: list[MetricReader] = [
        PeriodicExportingMetricReader(metric_exporter, export_interval_millis=metrics_every / timedelta(milliseconds=1))
        for metric_exporter in metrics
    ]
    return Telemetry(tracers, MeterProvider(readers, resource=about, views=views()), tally)
