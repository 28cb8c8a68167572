"""A cloud whose app exports what it measures to a collector, with one connected user, for the tests that watch the app."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx

from tests.cloud.collector import Collector, Span
from tests.cloud.local import LocalCloud
from tests.cloud.polling import eventually
from tests.cloud.stage import Stage
from tests.e2e.account import Account, Connected, unique
from tests.e2e.conversation import at_rest

#: So often, that a test need not wait: metrics and spans, in milliseconds.
EXPORTS = {"OTEL_METRIC_EXPORT_INTERVAL": "500", "OTEL_BSP_SCHEDULE_DELAY": "300"}


@dataclass(frozen=True)
class Watched:
    """The user, and the collector that the app of their cloud tells."""

    user: Connected
    collector: Collector

    @property
    def cloud(self) -> LocalCloud:
        """The user's cloud."""
        return self.user.cloud

    async def spans(self, trace_id: str, *names: str) -> list[Span]:
        """The spans of a trace, once those with these names are among them."""

        async def look() -> list[Span] | None:
            found = self.collector.of_trace(trace_id)
            return found if {span.name for span in found} >= set(names) else None

        return await eventually(look, f"the spans {names} of {trace_id}")

    async def comes_to(self, value: float, metric: str, **attributes: object) -> None:
        """Return once a metric has this value."""

        async def look() -> bool:
            return self.collector.value(metric, **attributes) == value

        await eventually(look, f"{metric} {attributes} to come to {value}")

    async def exported(self) -> None:
        """Return once everything that was measured up to now has been exported: two rounds of both kinds."""
        before = len(self.collector.points)

        async def look() -> bool:
            # One round has a metric once for each of its attributes, and the first may have been read before.
            came = [(point.name, frozenset(point.attributes.items())) for point in self.collector.points[before:]]
            return any(name == "sync.graph.requests" for name, _ in came) and came.count(came[0]) >= 3

        await eventually(look, "another export")

    async def settled(self) -> None:
        """Return once what other tests began has come to its end and is exported, so that a count from here on is one's own."""
        await at_rest(self.user)
        await self.exported()

    async def run_timer(self, name: str) -> None:
        """Start this timer function, and return once all is at rest."""
        answer = await self.user.http.post(
            f"{self.cloud.functions_url}/admin/functions/{name}",
            json={"input": ""},
            headers={"x-functions-key": self.cloud.functions.master_key},
        )
        assert answer.status_code == 202, answer.text
        await self.cloud.functions.idle()


@contextlib.asynccontextmanager
async def watched_cloud(
    http: httpx.AsyncClient, name: str = "Dana Whitfield", **settings: str
) -> AsyncIterator[Watched]:
    """Such a cloud, started and stopped; nobody else uses it."""
    collector = Collector()
    await collector.start()
    try:
        cloud = LocalCloud({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **EXPORTS, **settings})
        async with cloud, cloud.api(unique("acme")) as api:
            account = Account(cloud, api, http)
            user_id, person = unique("dana"), account.new_person(name)
            connection = await account.connect(user_id, person.email)
            stage = Stage(cloud, http, person.email)
            yield Watched(Connected(cloud, api, http, user_id, person, connection, stage), collector)
    finally:
        await collector.stop()
