"""When telemetry starts: where it goes somewhere, after the first thing worth telling, and never on the way to an answer."""

import asyncio
import logging
import sys
from types import SimpleNamespace
from typing import Any

import azure.functions as func
import pytest

from sync import trace
from sync.domain.metrics import NOTIFICATIONS_ACCEPTED, Reading
from sync.jobs import MAIL_CHANGES, MailChange
from sync.settings import TelemetrySettings, read
from sync.wiring import watching
from sync.wiring.watching import Watching
from tests.unit.test_acknowledge_path import imported_after
from tests.unit.test_settings import GOOD, problems

ORIGIN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HOST = "00-11111111111111111111111111111111-2222222222222222-01"
SOMEWHERE = TelemetrySettings(otlp_endpoint="http://127.0.0.1:4318")
INSIGHTS = "InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint=https://x.example/"


class Telemetry:
    """In the place of the real one: what work it was told of."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    def work(self, queue: str, **about: Any) -> Any:
        """A span."""
        self.told.append((queue, about))
        return trace.inside(about["part_of"], queue)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Telemetry]:
    """What was started, in the place of exporters."""
    made: list[Telemetry] = []

    def start(*_: Any, **__: Any) -> Telemetry:
        made.append(Telemetry())
        return made[-1]

    monkeypatch.setitem(sys.modules, "sync.adapters.telemetry_export", SimpleNamespace(start=start))
    return made


def message(text: str) -> func.QueueMessage:
    """A queue message as a function gets it."""
    return func.QueueMessage(body=text.encode())


CONTEXT: Any = SimpleNamespace(invocation_id="inv-1", trace_context=SimpleNamespace(trace_parent=HOST))
JOB = MailChange("con_1", "AAk1", trace=ORIGIN)


async def seen(by: Watching, text: str) -> trace.Here:
    """Where the work on this message runs."""
    places: list[trace.Here] = []

    @by.watched(MAIL_CHANGES)
    async def work(msg: func.QueueMessage, context: func.Context) -> None:
        places.append(trace.current())

    await work(message(text), CONTEXT)
    return places[0]


async def test_without_a_place_to_go_nothing_is_started(started: list[Telemetry]) -> None:
    """The trace of a message goes on all the same: another process may be told where to send it."""
    by = Watching(TelemetrySettings())
    by.tally.note(Reading(NOTIFICATIONS_ACCEPTED, 1, {"kind": "change"}))
    assert await by.ready() is None
    assert await seen(by, JOB.to_json()) == trace.Here(ORIGIN, MAIL_CHANGES)
    assert not by.wanted
    assert started == []


async def test_the_work_on_a_message_starts_it_once(started: list[Telemetry]) -> None:
    """Several at the same time wait for the one start."""
    by = Watching(SOMEWHERE)
    await asyncio.gather(*(seen(by, JOB.to_json()) for _ in range(5)))
    [telemetry] = started
    assert by.spans() is telemetry  # type: ignore[comparison-overlap]
    assert len(telemetry.told) == 5


@pytest.mark.parametrize(
    ("text", "part_of", "linked_to"),
    [
        (JOB.to_json(), ORIGIN, ("", HOST)),
        (MailChange("con_1", "AAk1", linked_to=ORIGIN).to_json(), HOST, (ORIGIN, "")),
        # Of a version that knew no traces, or not ours at all: the host's own trace.
        (MailChange("con_1", "AAk1").to_json(), HOST, ("", "")),
        ("no job", HOST, ("", "")),
        ('{"connection_id":"con_1","graph_id":"AAk1","trace":7}', HOST, ("", "")),
    ],
)
async def test_work_goes_on_in_the_trace_of_its_message(
    started: list[Telemetry], text: str, part_of: str, linked_to: tuple[str, str]
) -> None:
    """Linked to the host's invocation; where the message names no trace, a part of that."""
    await seen(Watching(SOMEWHERE), text)
    [(queue, about)] = started[0].told
    assert (queue, about["part_of"], about["linked_to"]) == (MAIL_CHANGES, part_of, linked_to)
    assert about["attributes"]["faas.invocation_id"] == "inv-1"
    assert about["attributes"].get("sync.connection_id", "con_1") == "con_1"
    assert "AAk1" not in str(about["attributes"])


async def test_an_answer_to_graph_starts_it_later(started: list[Telemetry], monkeypatch: pytest.MonkeyPatch) -> None:
    """A count asks for it once, and is not kept waiting."""
    monkeypatch.setattr(watching, "START_AFTER_S", 0.01)
    by = Watching(SOMEWHERE)
    for _ in range(3):
        by.tally.note(Reading(NOTIFICATIONS_ACCEPTED, 1, {"kind": "change"}))
    assert started == []

    async def there() -> None:
        while by.spans() is None:  # noqa: ASYNC110 - a thread of its own starts it
            await asyncio.sleep(0.005)

    await asyncio.wait_for(there(), 10)
    assert len(started) == 1


def test_a_count_outside_of_a_loop_is_kept(started: list[Telemetry]) -> None:
    """There is nothing to start from; the next count in a loop does."""
    by = Watching(SOMEWHERE)
    by.tally.note(Reading(NOTIFICATIONS_ACCEPTED, 1, {"kind": "change"}))
    assert started == []
    assert by.tally.sums(NOTIFICATIONS_ACCEPTED) == {(("kind", "change"),): 1}


async def test_an_app_that_can_not_be_watched_works(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong connection string costs telemetry, never mail; the log says so once, without the words."""

    def start(*_: Any, **__: Any) -> Telemetry:
        raise ValueError("InstrumentationKey=secret")

    monkeypatch.setitem(sys.modules, "sync.adapters.telemetry_export", SimpleNamespace(start=start))
    by = Watching(SOMEWHERE)
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            assert await seen(by, JOB.to_json()) == trace.Here(ORIGIN, MAIL_CHANGES)
    [record] = caplog.records
    assert record.getMessage().startswith("telemetry could not be started: ValueError at ")
    assert "secret" not in caplog.text


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "module"),
    [
        ({"application_insights": INSIGHTS, "otlp_endpoint": None}, "azure.monitor.opentelemetry.exporter"),
        (
            {"application_insights": None, "otlp_endpoint": "http://127.0.0.1:9"},
            "opentelemetry.exporter.otlp.proto.http",
        ),
    ],
)
def test_only_the_exporter_that_is_used_is_imported(settings: dict[str, str | None], module: str) -> None:
    """In a process of its own: each costs some 0.1 s and some megabytes."""
    imported = imported_after(f"""
        from datetime import timedelta
        from sync.adapters.tally import Tally
        from sync.adapters.telemetry_export import start
        start(Tally(), {{}}, metrics_every=timedelta(hours=1), identity_client_id=None, **{settings!r})
    """)
    assert module in imported
    others = {"azure.monitor.opentelemetry.exporter", "opentelemetry.exporter.otlp.proto.http"} - {module}
    assert not others & imported


@pytest.mark.long
def test_an_identity_is_given_to_application_insights() -> None:
    """Local auth can be off there: the managed identity that the setting names signs in."""
    imported_after(f"""
        from datetime import timedelta
        from unittest.mock import patch
        from sync.adapters.tally import Tally
        from sync.adapters import telemetry_export
        with patch("azure.identity.ManagedIdentityCredential") as credential:
            telemetry_export.start(
                Tally(), {{}}, metrics_every=timedelta(hours=1), identity_client_id="4f0c",
                application_insights={INSIGHTS!r}, otlp_endpoint=None,
            )
        credential.assert_called_once_with(client_id="4f0c")
    """)


# The settings.


@pytest.mark.parametrize(
    ("given", "wanted", "identity"),
    [
        ({}, False, None),
        ({"APPLICATIONINSIGHTS_CONNECTION_STRING": INSIGHTS}, True, None),
        (
            {
                "APPLICATIONINSIGHTS_CONNECTION_STRING": INSIGHTS,
                "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "Authorization=AAD;ClientId=4f0c",
            },
            True,
            "4f0c",
        ),
        (
            {
                "APPLICATIONINSIGHTS_CONNECTION_STRING": INSIGHTS,
                "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "Authorization=AAD",
            },
            True,
            "",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://otlp.example/"}, True, None),
    ],
)
def test_where_telemetry_goes(given: dict[str, str], wanted: bool, identity: str | None) -> None:
    """By the names that Azure Functions and OpenTelemetry give these settings."""
    told = read(GOOD | given).telemetry
    assert (told.wanted, told.identity_client_id) == (wanted, identity)
    assert told.otlp_endpoint in (None, "https://otlp.example")
    assert told.metrics_every.total_seconds() == 30
    assert "Key" not in repr(told)


def test_a_process_is_told_by_its_app_and_instance() -> None:
    """As the host tells itself, so that both stand together."""
    azure = {"WEBSITE_SITE_NAME": "func-sync", "WEBSITE_INSTANCE_ID": "i-1", "OTEL_METRIC_EXPORT_INTERVAL": "5000"}
    told = read(GOOD | azure).telemetry
    assert told.resource["service.name"] == "func-sync"
    assert told.resource["service.instance.id"] == "i-1"
    assert told.metrics_every.total_seconds() == 5
    assert "service.instance.id" not in read(GOOD).telemetry.resource


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APPLICATIONINSIGHTS_CONNECTION_STRING", "https://x.example"),
        ("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "AAD"),
        ("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "Authorization=Key"),
        ("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "Authorization=AAD;Secret=x"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otlp.example"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "soon"),
    ],
)
def test_what_is_wrong_with_it_is_told(name: str, value: str) -> None:
    """With everything else that is wrong, before anything runs."""
    [problem] = problems(GOOD | {name: value})
    assert name in problem
