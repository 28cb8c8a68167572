"""
How much CPU the worker needs for each piece of work of tests/bench/growth.py:

    python -m tests.bench.cpu     starts a local cloud, does each piece many times, prints milliseconds of one core for each

What comes by notification is measured once with basic ones, and once with rich ones beside it.

Counted is the worker process alone (proc(5)), as Linux charges it: other load on the machine makes it slower, and little dearer.
In Azure the host takes its share of the same core, which is not counted here.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from azure.data.tables.aio import TableServiceClient

from sync.adapters.tables import Tables
from sync.jobs import CatchUp
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
            row = {"PartitionKey": "owed", "RowKey": f"{job.key}|{number}", "queue": job.queue, "job": job.to_json()}
            await owed.upsert(row | {"due_at": due_at})
    before = user.cloud.functions.invocations["queue_mailbox_catch_up"]
    url = f"{user.cloud.functions_url}/admin/functions/timer_sweep"
    await user.http.post(url, headers={"x-functions-key": user.cloud.functions.master_key}, json={})

    async def done() -> bool:
        return user.cloud.functions.invocations["queue_mailbox_catch_up"] >= before + count

    await eventually(done, "the looks to be done", timeout=120)


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
        return found


if __name__ == "__main__":
    print(asyncio.run(measure()))  # noqa: T201 - that is what it is for
