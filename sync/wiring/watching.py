"""
Telemetry of this process: started once, when there is something to tell, in a thread, and never before Microsoft Graph has
its answer.

Importing OpenTelemetry and its exporters takes some 0.2 s. A process that has just started to answer Graph must not pay that,
so what it counts is kept as plain numbers, and the rest is imported a little later. Work on queue messages waits for it, so
that its spans are told. Where telemetry goes nowhere, nothing is imported.

The Functions host exports its own requests, and the log, by itself (host.json, `telemetryMode`). The switches of the worker
library (`PYTHON_ENABLE_OPENTELEMETRY`, `PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY`) stay off: they import OpenTelemetry
before the first answer, and with them the host no longer exports the log (its capability `WorkerOpenTelemetryEnabled`).
"""

import asyncio
import contextlib
import functools
import logging
import threading
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import azure.functions as func

from sync import trace
from sync.adapters.tally import Tally
from sync.domain.failure import reason_of
from sync.jobs import JOB_OF_QUEUE, Job
from sync.settings import TelemetrySettings
from sync.wiring.noting import QueueFunction, text_of

if TYPE_CHECKING:
    from sync.adapters.telemetry import Telemetry

log = logging.getLogger(__name__)

#: So long after the first thing worth telling: those that come with a cold start have their answers by then.
START_AFTER_S = 2.0
#: Ids of ours that a span tells; ids that the CRM or Microsoft gave to people and mail are not among them.
TOLD_IDS = ("account_id", "connection_id", "message_id", "event_id", "batch_id")


class Watching:
    """`tally` takes what is measured, from the start on."""

    def __init__(self, settings: TelemetrySettings) -> None:
        self.tally = Tally(self._soon)
        self._settings = settings
        self._telemetry: Telemetry | None = None
        self._starting = threading.Lock()
        self._asked = False
        self._given_up = not settings.wanted

    @property
    def wanted(self) -> bool:
        """Whether telemetry goes anywhere."""
        return self._settings.wanted

    def spans(self) -> "Telemetry | None":
        """What makes spans, once it is there."""
        return self._telemetry

    async def ready(self) -> "Telemetry | None":
        """Telemetry, started where it was not yet; None where it goes nowhere, or can't be started."""
        if self._telemetry is None and not self._given_up:
            await asyncio.to_thread(self._start)
        return self._telemetry

    def watched(self, queue: str) -> Callable[[QueueFunction], QueueFunction]:
        """A decorator of the function that works on this queue."""

        def decorated(function: QueueFunction) -> QueueFunction:
            @functools.wraps(function)
            async def seen(msg: func.QueueMessage, context: func.Context) -> None:
                async with self._work(queue, msg, context):
                    await function(msg, context)

            return seen

        return decorated

    @contextlib.asynccontextmanager
    async def _work(self, queue: str, msg: func.QueueMessage, context: func.Context) -> AsyncIterator[None]:
        """A span for the work on one message, in the trace of what asked for it, linked to the host's."""
        telemetry = await self.ready()
        job, host = _job(queue, text_of(msg)), trace.of_context(context)
        if telemetry is None:
            with trace.inside(job.trace if job else "", queue):
                yield
            return
        part_of = job.trace if job else ""
        ids = {f"sync.{name}": str(value) for name, value in (job.work if job else {}).items() if name in TOLD_IDS}
        with telemetry.work(
            queue,
            part_of=part_of or host,
            linked_to=(job.linked_to if job else "", host if part_of else ""),
            attributes={"faas.invocation_id": context.invocation_id, "sync.try": msg.dequeue_count or 1, **ids},
        ):
            yield

    def _soon(self) -> None:
        """Start a little later."""
        if self._asked or self._given_up:
            return
        with contextlib.suppress(RuntimeError):  # not in an event loop
            asyncio.get_running_loop().call_later(START_AFTER_S, self._start_in_thread)
            self._asked = True

    def _start_in_thread(self) -> None:
        threading.Thread(target=self._start, name="telemetry", daemon=True).start()

    def _start(self) -> None:
        """Import and begin; an app that can't be watched works on."""
        with self._starting:
            if self._telemetry is not None or self._given_up:
                return
            try:
                from sync.adapters.telemetry_export import start

                settings = self._settings
                self._telemetry = start(
                    self.tally,
                    settings.resource,
                    metrics_every=settings.metrics_every,
                    application_insights=settings.application_insights,
                    identity_client_id=settings.identity_client_id,
                    otlp_endpoint=settings.otlp_endpoint,
                )
            except Exception as error:  # noqa: BLE001 - whatever it is, mail goes on
                self._given_up = True
                log.error("telemetry could not be started: %s", reason_of(error))


def _job(queue: str, text: str) -> Job | None:
    try:
        job = JOB_OF_QUEUE[queue].from_json(text)
    except (ValueError, TypeError, AttributeError):
        return None
    return job if isinstance(job.trace, str) and isinstance(job.linked_to, str) else None
