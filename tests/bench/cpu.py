"""
How much CPU the worker needs for each piece of work of tests/bench/growth.py:

    python -m tests.bench.cpu     starts a local cloud, does each piece many times, prints milliseconds of one core for each

What comes by notification is measured once with basic ones, and once with rich ones beside it.

Counted is the worker process alone (proc(5); of the sweep, this process), as Linux charges it: other load on the machine makes
it slower, and little dearer. In Azure the host takes its share of the same core, which is not counted here.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueServiceClient

from sync.adapters.queues import QueuedWork, partition_of
from sync.adapters.tables import Tables
from sync.flows.sweep import Sweep
from sync.jobs import CatchUp, DeliverEvent
from tests.bench.growth import table
from tests.cloud.certificates import notification_certificate
from tests.cloud.local import LocalCloud
from tests.cloud.polling import eventually
from tests.e2e.account import Account, Connected
from tests.e2e.conversation import ADA, answers, arrives, at_rest, newly_connected

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
#: Pieces of work at a time: one mailbox takes four calls at once, so that more would measure waiting.
AT_ONCE = 4


def worker_seconds() -> float:
    """CPU that the workers below this process have used, in seconds."""
    ticks = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            after_name = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"tests.cloud.functions.worker" in command and int(after_name[1]) == os.getpid():
            ticks += int(after_name[11]) + int(after_name[12])
    return ticks / TICKS_A_SECOND


async def milliseconds(user: Connected, times: int, act: Callable[[], Awaitable[object]]) -> float:
    """For each of so many times, until everything has come to rest."""
    await at_rest(user)
    before = worker_seconds()
    for begun in range(0, times, AT_ONCE):
        await asyncio.gather(*(act() for _ in range(min(AT_ONCE, times - begun))))
    await at_rest(user)
    return (worker_seconds() - before) / times * 1000


async def looks(user: Connected, count: int) -> None:
    """So many looks are due at once: of this mailbox, under names of their own."""
    async with TableServiceClient.from_connection_string(user.cloud.azurite.connection_string) as client:
        owed = Tables(client).table("owed")
        due_at = datetime.now(UTC) - timedelta(minutes=1)
        for number in range(count):
            job = CatchUp(user.connection_id)
            key = f"{job.key}|{number}"
            row = {"PartitionKey": partition_of(key), "RowKey": key, "queue": job.queue, "job": job.to_json()}
            await owed.upsert(row | {"due_at": due_at})
    before = user.cloud.functions.invocations["queue_mailbox_catch_up"]
    url = f"{user.cloud.functions_url}/admin/functions/timer_sweep"
    await user.http.post(url, headers={"x-functions-key": user.cloud.functions.master_key}, json={})

    async def done() -> bool:
        return user.cloud.functions.invocations["queue_mailbox_catch_up"] >= before + count

    await eventually(done, "the looks to be done", timeout=120)


async def sweep_milliseconds(of: LocalCloud, count: int) -> float:
    """CPU of this process for each of so many promises that are due, as the sweep queues them; the storage is the cloud's."""
    connection_string = of.azurite.connection_string
    async with TableServiceClient.from_connection_string(connection_string) as client:
        work = QueuedWork(QueueServiceClient.from_connection_string(connection_string), Tables(client))
        for number in range(count):
            await work.postpone(DeliverEvent("acme", f"evt_{number}"), datetime.now(UTC))
        before = time.process_time()
        queued = await Sweep(work, lambda: datetime.now(UTC)).sweep()
        spent = time.process_time() - before
        await work.close()
    assert queued >= count
    return spent / queued * 1000


#: Pieces of work that a notification begins.
UNRELATED, OF_A_THREAD = "a change that has nothing to do with a thread", "a message of a thread, up to its delivery"
RICH = {"NOTIFICATION_MODE": "rich", "NOTIFICATION_CERTIFICATES": notification_certificate()}


async def measure() -> str:
    """The table."""
    basic, rich = await measured({}), await measured(RICH)
    return table(
        ["", "CPU, ms", "with rich notifications", "ratio"],
        [
            [
                name,
                f"{ms:.1f}",
                f"{rich[name]:.1f}" if name in rich else "",
                f"{rich[name] / ms:.2f}" if name in rich else "",
            ]
            for name, ms in basic.items()
        ],
    )


async def measured(settings: dict[str, str]) -> dict[str, float]:
    """Milliseconds of each piece, of an app with these settings; with rich notifications only what they begin."""
    async with LocalCloud(settings) as cloud, cloud.api() as api, httpx.AsyncClient(timeout=60) as http:
        user = await newly_connected(Account(cloud, api, http))
        offer = await user.sent()
        await milliseconds(user, 20, lambda: arrives(user, ADA, "Warm"))
        found = {
            UNRELATED: await milliseconds(user, 200, lambda: arrives(user, ADA, "Unrelated")),
            OF_A_THREAD: await milliseconds(user, 40, lambda: answers(user, offer)),
        }
        if not settings:
            quiet = await newly_connected(Account(cloud, api, http))
            found["a look through the mailbox"] = await milliseconds(quiet, 1, lambda: looks(quiet, 100)) / 100
            found["a send, its copy and its delivery"] = await milliseconds(user, 40, user.sent)
            found["a promise that the sweep queues"] = await sweep_milliseconds(cloud, 1_000)
        return found


if __name__ == "__main__":
    print(asyncio.run(measure()))  # noqa: T201 - that is what it is for
