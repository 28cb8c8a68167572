"""
The Functions host: starts the app's worker, feeds it from HTTP, queues and timers, and carries its outputs on.

Imitated from the real host (github.com/Azure/azure-functions-host) and its documentation: outputs are written once the
function has succeeded, and where that fails the invocation has failed. What is not imitated is in `__init__.py`.
"""

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import tempfile
import time
import uuid
import weakref
from collections import Counter, deque
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.cloud.functions import bindings, front, host_json, queues, wire
from tests.cloud.functions.bindings import AppFunction, HttpTrigger, Queue, QueueTrigger, TimerTrigger
from tests.cloud.functions.supervisor import NoWorker, Supervisor
from tests.cloud.functions.timers import Timer
from tests.cloud.functions.worker_link import AppLoadError
from tests.cloud.server import Port, Server

#: https://www.w3.org/TR/trace-context/#traceparent-header: the trace, and its flags.
TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})")
#: How long stop() waits for what is running.
DRAIN_SECONDS = 5.0


class FunctionsHost:
    """
    Runs the Functions app of `app_folder` (function_app.py and host.json) with `settings` as its app settings.

    The app sees these settings and nothing of this process's environment but PATH, HOME and LANG. `port=0` takes a
    free port; `url` is known from construction on. `function_key=None` makes one up. `lease_seconds` is how long a
    queue message stays hidden after the whole host died (`kill`). `response_limit_seconds` is how long an HTTP caller waits.
    """

    def __init__(
        self,
        app_folder: Path,
        settings: dict[str, str],
        port: int | Port = 0,
        function_key: str | None = None,
        *,
        lease_seconds: float = 600.0,
        response_limit_seconds: float = front.RESPONSE_LIMIT_SECONDS,
    ) -> None:
        self.app_folder = app_folder.resolve()
        self.settings = settings
        self.function_key = function_key or secrets.token_urlsafe(40)
        self.master_key = secrets.token_urlsafe(40)
        #: Invocations begun, and failed, by the name of the function.
        self.invocations: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        #: The trace of each of the last invocations, by the name of its function, as `traceparent`.
        self.traceparents: deque[tuple[str, str]] = deque(maxlen=10_000)
        self._lease_seconds = lease_seconds
        self._response_limit_seconds = response_limit_seconds
        self._front = front.Front(self.function_key, self.master_key, self._call_http, self._run_now, self._status)
        self._server = Server(self._front.application, port)
        self.url = self._server.url
        self._folder = tempfile.mkdtemp(prefix="functions-host-")
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        #: What worker and host said; exists from start() until this object is gone.
        self.log_path = Path(self._folder) / "host.log"
        self._log = -1
        self._state = "Stopped"
        self._started_at = 0.0
        self._options = host_json.HostOptions()
        self._supervisor: Supervisor | None = None
        self._timers: dict[str, Timer] = {}
        self._storage = queues.Storage(self._options.queues)
        self._listeners: list[queues.QueueListener] = []
        self._listening: list[asyncio.Task[None]] = []
        self._ticking: list[asyncio.Task[None]] = []
        self._in_flight: set[str] = set()
        self._calls: set[asyncio.Task[Any]] = set()
        self._changes = 0

    async def start(self) -> None:
        """Load the app and serve it; raises AppLoadError with the worker's (or host.json's, or a binding's) own text."""
        self._log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._started_at = time.monotonic()
        try:
            self._options = host_json.read(self.app_folder, self.settings)
            self._supervisor = Supervisor(
                self.app_folder, self.settings, self._log, self._options.function_timeout, self._say
            )
            functions = self._understand(await self._supervisor.start())
            self._storage = queues.Storage(self._options.queues)
            self._front.serve(functions)
            await self._server.start()
        except (host_json.HostJsonError, bindings.BindingError) as error:
            await self.stop()
            raise AppLoadError(str(error)) from None
        except BaseException:
            await self.stop()
            raise
        self._state = "Running"
        for function in functions:
            self._attach(function)

    async def stop(self) -> None:
        """Take no more work, give what runs a few seconds, and end the worker. A stopped host can be started again."""
        for listener in self._listeners:
            listener.stop()
        await asyncio.gather(*self._listening)
        await self._stop_loops()
        for listener in self._listeners:
            await listener.finish(DRAIN_SECONDS)
        if self._calls:
            await asyncio.wait(self._calls, timeout=DRAIN_SECONDS)
        await self._shut_down()

    async def kill(self) -> None:
        """
        End at once, as when the machine is lost: nothing is finished and no message given back.

        Messages that ran become visible when their lease ends (`lease_seconds`).
        """
        await self._stop_loops()
        for listener in self._listeners:
            await listener.abandon()
        if self._supervisor is not None:
            self._supervisor.kill()
        await self._shut_down()

    async def kill_worker(self) -> None:
        """
        SIGKILL the worker process; the host starts another by itself.

        HTTP calls that ran in it get 502; queue messages are seen again after `visibilityTimeout`, one dequeue older. Calls that
        come meanwhile wait for the new worker.
        """
        if self._supervisor is not None:
            await self._supervisor.kill_worker()

    def worker_peak_bytes(self) -> int:
        """The most memory that the worker process has had at a time; on Linux."""
        assert self._supervisor is not None, "the host has no worker: start it first"
        return self._supervisor.peak_bytes()

    async def idle(self, timeout_seconds: float = 60.0) -> None:
        """
        Return once nothing runs and no queue that triggers a function has a visible message.

        Messages that wait for their visibility time, and timers to come, do not count. Raises TimeoutError.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    before = self._changes
                    if not self._in_flight and await self._queues_are_quiet() and before == self._changes:
                        return
                    await asyncio.sleep(0.02)
        except TimeoutError:
            busy = [listener.queue.name for listener in self._listeners if listener.running]
            raise TimeoutError(
                f"still busy after {timeout_seconds} s: {len(self._in_flight)} invocations, queues {busy}"
            ) from None

    def _understand(self, found: list[wire.Function]) -> list[AppFunction]:
        prefix = self._options.route_prefix
        functions = [bindings.read(function, self.settings, prefix) for function in found]
        taken: dict[tuple[str, str], str] = {}
        for function in functions:
            if isinstance(function.trigger, HttpTrigger):
                for method in function.trigger.methods or {"any method"}:
                    route = (method, function.trigger.route.template.lower())
                    if other := taken.get(route):
                        raise bindings.BindingError(f"functions {other} and {function.name} have the same route")
                    taken[route] = function.name
        return functions

    # -- triggers

    def _attach(self, function: AppFunction) -> None:
        """Begin to feed a function from its queue or timer."""
        trigger = function.trigger
        if isinstance(trigger, QueueTrigger):

            async def run_message(text: str, metadata: dict[str, wire.Value]) -> bool:
                outcome = await self._invoke(function, {trigger.parameter: ("string", text)}, metadata)
                return outcome.error is None

            listener = queues.QueueListener(
                trigger.queue, self._options.queues, self._storage, self._lease_seconds, run_message
            )
            self._listeners.append(listener)
            self._listening.append(asyncio.create_task(listener.listen()))
        elif isinstance(trigger, TimerTrigger):

            async def run_timer(given: wire.Value) -> None:
                await asyncio.shield(self._call(function, {trigger.parameter: given}))

            timer = self._timers.setdefault(function.name, Timer(trigger))
            self._ticking.append(asyncio.create_task(timer.tick(run_timer)))

    async def _call_http(self, function: AppFunction, request: wire.HttpRequest) -> wire.Value | int:
        """The function's response, or the status that the platform answers instead."""
        assert isinstance(function.trigger, HttpTrigger)
        call = self._call(function, {function.trigger.parameter: ("http", request)})
        # The function goes on when its caller is no longer waiting.
        done, _ = await asyncio.wait({call}, timeout=self._response_limit_seconds)
        if not done:
            return 504
        outcome = call.result()
        if isinstance(outcome, NoWorker):
            return outcome.status
        if outcome.error is not None or outcome.return_value is None:
            return 500
        return outcome.return_value

    def _run_now(self, function: AppFunction, given: str) -> None:
        """Start a function by hand, with `given` as its message; nobody waits for the end."""
        trigger = function.trigger
        if isinstance(trigger, QueueTrigger):
            now = datetime.now(UTC)
            metadata = queues.metadata(
                given,
                message_id=str(uuid.uuid4()),
                dequeue_count=1,
                pop_receipt="",
                inserted_on=now,
                expires_on=now + timedelta(days=7),
                next_visible_on=now,
            )
            self._call(function, {trigger.parameter: ("string", given)}, metadata)
        elif isinstance(trigger, TimerTrigger):
            self._call(function, {trigger.parameter: self._timers[function.name].input()})

    def _call(
        self, function: AppFunction, inputs: dict[str, wire.Value], metadata: dict[str, wire.Value] | None = None
    ) -> "asyncio.Task[wire.Outcome]":
        task = asyncio.create_task(self._invoke(function, inputs, metadata))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        return task

    # -- invocations

    async def _invoke(
        self, function: AppFunction, inputs: dict[str, wire.Value], metadata: dict[str, wire.Value] | None = None
    ) -> wire.Outcome:
        """Run a function and write its outputs; never raises, an `error` in the outcome says what went wrong."""
        traceparent = _traceparent(inputs)
        invocation = wire.Invocation(str(uuid.uuid4()), function.function_id, inputs, metadata or {}, traceparent)
        self.traceparents.append((function.name, traceparent))
        self.invocations[function.name] += 1
        self._in_flight.add(invocation.invocation_id)
        self._changes += 1
        try:
            assert self._supervisor is not None
            outcome = await self._supervisor.run(invocation)
            if outcome.error is None and (error := await self._write_outputs(function, outcome)):
                outcome = wire.Outcome(invocation.invocation_id, error=error)
        finally:
            self._in_flight.discard(invocation.invocation_id)
            self._changes += 1
        if outcome.error is not None:
            self.failures[function.name] += 1
            self._say(f"function {function.name} failed: {outcome.error}")
        return outcome

    async def _write_outputs(self, function: AppFunction, outcome: wire.Outcome) -> str | None:
        """Write what the function set; the text of the error where that failed."""
        values = dict(outcome.outputs)
        if outcome.return_value is not None:
            values[bindings.RETURN] = outcome.return_value
        try:
            for name, queue in function.queue_outputs.items():
                for message in bindings.output_messages(values[name]) if name in values else ():
                    await self._storage.write(queue, message)
                    self._wake(queue)
        except Exception as error:  # noqa: BLE001 - any reason at all fails the invocation
            return f"its output could not be written: {error}"
        return None

    def _wake(self, queue: Queue) -> None:
        for listener in self._listeners:
            if listener.queue == queue:
                listener.wake()

    # -- ending

    async def _queues_are_quiet(self) -> bool:
        for listener in self._listeners:
            if not await listener.quiet():
                return False
        return True

    async def _stop_loops(self) -> None:
        """No new messages and no timers."""
        self._state = "Stopped"
        loops = self._listening + self._ticking
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        self._listening.clear()
        self._ticking.clear()

    async def _shut_down(self) -> None:
        await self._server.stop()
        if self._supervisor is not None:
            await self._supervisor.stop()
            self._supervisor = None
        self._listeners.clear()
        await self._storage.close()
        if self._log >= 0:
            os.close(self._log)
            self._log = -1

    def _status(self) -> dict[str, Any]:
        """The body of /admin/host/status, in the names of the real one."""
        return {
            "id": self.app_folder.name,
            "state": "Error" if self._supervisor is not None and self._supervisor.broken else self._state,
            "version": "4.0.0-local",
            "processUptime": int((time.monotonic() - self._started_at) * 1000),
        }

    def _say(self, text: str) -> None:
        with contextlib.suppress(OSError):
            os.write(self._log, f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} HOST {text}\n".encode())


def _traceparent(inputs: dict[str, wire.Value]) -> str:
    """
    The trace of a new invocation: that of the HTTP caller, who may send one, or a new one. The real host exports a span of its
    own under this id; that is not imitated.
    """
    for kind, value in inputs.values():
        if kind == "http" and (found := TRACEPARENT.fullmatch(value.headers.get("traceparent", ""))):
            return f"00-{found[1]}-{secrets.token_hex(8)}-{found[2]}"
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
