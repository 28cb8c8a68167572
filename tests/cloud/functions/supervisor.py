"""
Keeps one worker process alive, as the real host does: one that dies is replaced, and what it ran has failed.

    starting -> running -> (died) -> starting -> running
                             |
                             +-> broken, when the app cannot be loaded any more: nothing runs until the host is started anew
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.cloud.functions import wire
from tests.cloud.functions.worker_link import AppLoadError, Worker, WorkerGoneError

#: How long an invocation waits for a new worker after the old one died.
WORKER_WAIT_SECONDS = 60.0
#: Attempts to replace a dead worker before giving up; the pauses after them are 1, 2 and 3 s.
ATTEMPTS = 3


@dataclass(frozen=True)
class NoWorker(wire.Outcome):
    """A failure that is not the function's: the worker died (502), or there is none (503)."""

    status: int = 503


class Supervisor:
    """
    One worker at a time. `say` takes a line for the log.

    `function_timeout` is in seconds, None without limit: a function that runs longer costs the worker its life.
    """

    def __init__(
        self,
        app_folder: Path,
        settings: dict[str, str],
        log: int,
        function_timeout: float | None,
        say: Callable[[str], None],
    ) -> None:
        self._app_folder = app_folder
        self._settings = settings
        self._log = log
        self._function_timeout = function_timeout
        self._say = say
        self._worker: Worker | None = None
        self._settled = asyncio.Event()
        self._replacing: asyncio.Task[None] | None = None
        self.broken = False

    async def start(self) -> list[wire.Function]:
        """Run a worker and keep one running; gives the app's functions, or raises AppLoadError."""
        functions = await self._start_worker()
        self._replacing = asyncio.create_task(self._replace_the_dead())
        return functions

    async def run(self, invocation: wire.Invocation) -> wire.Outcome:
        """Run a function, in the next worker if there is none now; never raises."""
        try:
            async with asyncio.timeout(WORKER_WAIT_SECONDS):
                await self._settled.wait()
        except TimeoutError:
            return NoWorker(invocation.invocation_id, error="no worker process came up")
        worker = self._worker
        if worker is None or worker.gone.is_set():
            return NoWorker(invocation.invocation_id, error="no worker process runs")
        try:
            async with asyncio.timeout(self._function_timeout):
                return await worker.invoke(invocation)
        except WorkerGoneError:
            return NoWorker(invocation.invocation_id, error="the worker process ended", status=502)
        except TimeoutError:
            self._settled.clear()
            worker.kill()
            return wire.Outcome(invocation.invocation_id, error="the function ran longer than functionTimeout")

    async def kill_worker(self) -> None:
        """SIGKILL the worker; returns once it is dead, while another is being started."""
        worker = self._worker
        if worker is not None and not worker.gone.is_set():
            self._settled.clear()
            worker.kill()
            await worker.gone.wait()

    def peak_bytes(self) -> int:
        """The most memory that the worker has had at a time."""
        assert self._worker is not None
        return self._worker.peak_bytes()

    def kill(self) -> None:
        """SIGKILL the worker and start no other."""
        if self._replacing is not None:
            self._replacing.cancel()
        if self._worker is not None:
            self._worker.kill()

    async def stop(self) -> None:
        """End the worker and start no other."""
        if self._replacing is not None:
            self._replacing.cancel()
            await asyncio.gather(self._replacing, return_exceptions=True)
        if self._worker is not None:
            await self._worker.stop()

    async def _start_worker(self) -> list[wire.Function]:
        self._worker = Worker(self._app_folder, self._settings, self._log)
        functions = await self._worker.start()
        self._settled.set()
        return functions

    async def _replace_the_dead(self) -> None:
        while not self.broken:
            assert self._worker is not None
            await self._worker.gone.wait()
            self._settled.clear()
            await self._worker.stop()
            self._say("the worker process ended; starting another")
            self.broken = not await self._start_another()
        self._settled.set()  # whoever waits shall be told

    async def _start_another(self) -> bool:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._start_worker()
            except AppLoadError as error:
                self._say(f"the app could not be loaded again: {error}")
                await asyncio.sleep(attempt)
            else:
                return True
        return False
