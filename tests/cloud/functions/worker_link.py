"""The worker process as the host sees it: start it, invoke in it, learn that it died."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

from tests.cloud.functions import wire

CHECKOUT = Path(__file__).resolve().parents[3]
#: As the real host's `workerInitTimeout` default, roughly: an app that takes longer to import is broken.
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 2
#: What an app may see of the machine's own environment.
INHERITED = ("PATH", "HOME", "LANG")


class AppLoadError(Exception):
    """The app could not be loaded; the message is the worker's own text."""


class WorkerGoneError(Exception):
    """The worker process ended while it ran this invocation."""


class Worker:
    """
    One worker process, from its start to its death.

    `log` is an open file descriptor that takes its standard output and error. `gone` is set once it is dead.
    """

    def __init__(self, app_folder: Path, settings: dict[str, str], log: int) -> None:
        self._app_folder = app_folder
        self._settings = settings
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[str, asyncio.Future[wire.Outcome]] = {}
        self.gone = asyncio.Event()

    async def start(self) -> list[wire.Function]:
        """Run the process and index the app; raises AppLoadError."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-u", "-P", "-m", "tests.cloud.functions.worker", str(theirs.fileno()), str(self._app_folder),
                    cwd=self._app_folder,
                    env=self._environment(),
                    pass_fds=[theirs.fileno()],
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=self._log,
                    stderr=self._log,
                    start_new_session=True,
                )  # fmt: skip
            reader, self._writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            # Broken off, as when the host stops while a worker that died is being replaced: nobody else knows this socket.
            ours.close()
            raise
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                indexed: wire.Indexed = await wire.receive(reader)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            await self.stop()
            raise AppLoadError("the worker process ended while it loaded the app") from None
        except TimeoutError:
            await self.stop()
            raise AppLoadError(f"the app was not loaded within {START_TIMEOUT_SECONDS} s") from None
        except BaseException:
            await self.stop()
            raise
        if indexed.error is not None:
            await self.stop()
            raise AppLoadError(indexed.error)
        self._reading = asyncio.create_task(self._read(reader))
        return indexed.functions

    async def invoke(self, invocation: wire.Invocation) -> wire.Outcome:
        """Run one function to its end; raises WorkerGoneError."""
        if self.gone.is_set() or self._writer is None:
            raise WorkerGoneError
        answer: asyncio.Future[wire.Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[invocation.invocation_id] = answer
        try:
            await wire.send(self._writer, invocation)
            return await answer
        except ConnectionError:
            raise WorkerGoneError from None
        finally:
            self._waiting.pop(invocation.invocation_id, None)

    def peak_bytes(self) -> int:
        """The most memory the process has had at a time (proc_pid_status(5), VmHWM)."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        peak_kb = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(peak_kb) * 1024

    def kill(self) -> None:
        """SIGKILL the process and all it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def stop(self) -> None:
        """Let the process end, and see to it that it does."""
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
                    await self._process.wait()
            self.kill()
            await self._process.wait()
        if self._reading is not None:
            await self._reading
        self.gone.set()
        if self._writer is not None:
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                outcome: wire.Outcome = await wire.receive(reader)
                answer = self._waiting.get(outcome.invocation_id)
                if answer is not None and not answer.done():
                    answer.set_result(outcome)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.gone.set()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(WorkerGoneError())

    def _environment(self) -> dict[str, str]:
        """The app settings, and the little that the platform adds."""
        return {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "PYTHONPATH": str(CHECKOUT),
            "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "AzureWebJobsScriptRoot": str(self._app_folder),
            **self._settings,
        }
