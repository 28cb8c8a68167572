"""Application Insights with local auth off gets spans and metrics, by Microsoft's own exporter, as the alerts ask for them."""

import asyncio
import os
import sys
import textwrap
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.cloud.application_insights import ApplicationInsights
from tests.unit.source import ROOT
from tests.unit.test_settings import GOOD

TRACE = "0af7651916cd43dd8448eb211c80319c"
PROGRAM = f"""
    from sync import settings
    from sync.adapters.telemetry_export import start
    from sync.domain.metrics import DELIVERIES_DELAY, MESSAGES_SYNCED, QUEUE_AGE, Reading
    from sync.adapters.tally import Tally
    told = settings.load().telemetry
    tally = Tally()
    telemetry = start(
        tally, told.resource, metrics_every=told.metrics_every, application_insights=told.application_insights,
        identity_client_id=told.identity_client_id, otlp_endpoint=told.otlp_endpoint,
    )
    with telemetry.work("mail-changes", part_of="00-{TRACE}-b7ad6b7169203331-01", attributes={{"sync.event_id": "evt_1"}}):
        with telemetry.call("GET", "/v1.0/me/messages/{{id}}", "https", "graph.example", None) as answered:
            answered(404)
    tally.note(Reading(MESSAGES_SYNCED, 3, {{"direction": "inbound", "matched_by": "conversation"}}))
    tally.note(Reading(QUEUE_AGE, 12.5, {{"queue": "mail-sends"}}))
    for seconds in (2, 4, 90):
        tally.note(Reading(DELIVERIES_DELAY, seconds, {{}}))
    telemetry.close()
"""


@pytest_asyncio.fixture
async def insights() -> AsyncIterator[ApplicationInsights]:
    """A resource and an identity."""
    resource = ApplicationInsights("4f0c1f7e-0000-4000-8000-000000000009")
    await resource.start()
    yield resource
    await resource.stop()


async def export(settings: dict[str, str]) -> str:
    """Run the program in a process of its own with these app settings; what it said."""
    inherited = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(PROGRAM),
        cwd=ROOT, env=inherited | GOOD | settings,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, said.decode()
    return said.decode()


async def test_the_managed_identity_signs_in_and_all_of_it_arrives(insights: ApplicationInsights) -> None:
    """No key is accepted there; the token is the identity's that APPLICATIONINSIGHTS_AUTHENTICATION_STRING names."""
    await export(insights.app_settings | {"WEBSITE_SITE_NAME": "func-sync"})
    assert insights.refused == 0
    metrics = insights.metrics()

    # A counter's sum is what it went up by, a gauge's extremes are how it stands, a distribution has count and extremes.
    [synced] = metrics["sync.messages.synced"]
    assert (synced["value"], synced["properties"]) == (3, {"direction": "inbound", "matched_by": "conversation"})
    [age] = metrics["sync.queue.age"]
    assert (age["value"], age["properties"]) == (12.5, {"queue": "mail-sends"})
    [delay] = metrics["sync.deliveries.delay"]
    assert (delay["count"], delay["value"], delay["min"], delay["max"]) == (3, 96, 2, 90)

    [work] = insights.of_type("RequestData")
    [call] = insights.of_type("RemoteDependencyData")
    assert work["tags"]["ai.operation.id"] == call["tags"]["ai.operation.id"] == TRACE
    assert work["tags"]["ai.cloud.role"] == "func-sync"
    assert call["tags"]["ai.operation.parentId"] == work["data"]["baseData"]["id"]
    assert work["data"]["baseData"]["name"] == "process mail-changes"
    assert work["data"]["baseData"]["properties"]["sync.event_id"] == "evt_1"
    told = call["data"]["baseData"]
    assert (told["name"], told["target"]) == ("GET /v1.0/me/messages/{id}", "graph.example")
    assert (told["success"], told["resultCode"]) == (False, "404")


async def test_without_the_identity_nothing_is_accepted(insights: ApplicationInsights) -> None:
    """The key of the connection string alone opens nothing there, and the app ends in good order all the same."""
    settings = {k: v for k, v in insights.app_settings.items() if k != "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"}
    await export(settings)
    assert insights.refused > 0
    assert insights.envelopes == []
