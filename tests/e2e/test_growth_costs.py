"""What docs/growing.md counts on is what the app really asks of the storage and of Graph, for each piece of work."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest
from azure.data.tables.aio import TableServiceClient

from sync.adapters.queues import partition_of
from sync.adapters.tables import Tables
from sync.jobs import CatchUp
from tests.bench import growth
from tests.bench.growth import Cost
from tests.e2e.account import Connected
from tests.e2e.conversation import ADA, answers, arrives, at_rest, calls, newly_connected, synced
from tests.e2e.gateway import Behind, comes_by_itself
from tests.e2e.test_poison import runs


async def measured(behind: Behind, user: Connected, act: Callable[[], Awaitable[object]]) -> Cost:
    """What the app asks for while this is done and until everything has come to rest."""
    gateway = behind.gateway
    await at_rest(user)
    before = len(gateway.table.requests), len(gateway.queue.requests), len(gateway.blob.requests)
    calls_before, executions_before = len(await calls(user)), sum(user.cloud.functions.invocations.values())
    await act()
    await at_rest(user)
    tables, queues, blobs = (
        service.requests[seen:]
        for service, seen in zip((gateway.table, gateway.queue, gateway.blob), before, strict=True)
    )
    # Looking whether there is something to do is the host's way; each message is taken once.
    of_work = [(method, path) for method, path in queues if not (method == "GET" and path.endswith("/messages"))]
    return Cost(
        graph=len(await calls(user)) - calls_before,
        # A table or a queue is made once, and not again.
        tables=len([path for _, path in tables if path != "/Tables"]),
        queues=len(of_work) + len([method for method, _ in of_work if method == "DELETE"]),
        blobs=len(blobs),
        executions=sum(user.cloud.functions.invocations.values()) - executions_before,
    )


def is_about(budget: Cost, real: Cost) -> dict[str, tuple[int, int]]:
    """Where what is counted on is less than what was needed, or more than a third above it: by name, both."""
    pairs = {name: (counted, asdict(real)[name]) for name, counted in asdict(budget).items()}
    return {name: pair for name, pair in pairs.items() if not pair[1] <= pair[0] <= pair[1] * 4 / 3 + 2}


async def holds(budget: Cost, measure: Callable[[], Awaitable[Cost]]) -> None:
    """The budget fits; looked at again where a notification more or less came, since Graph tells of drafts when it likes."""
    seen = []
    for _ in range(4):
        if not (wrong := is_about(budget, await measure())):
            return
        seen.append(wrong)
    pytest.fail(f"counted on and needed: {seen}; put it right in tests/bench/growth.py, then docs/growing.md")


async def costs(behind: Behind, act: Callable[[], Awaitable[object]], **begins: int) -> Cost:
    """What this takes. Of what the app does by itself, only what it `begins` is in what is counted: so often, by function."""
    return await behind.undisturbed(lambda: measured(behind, behind.user, act), begins, comes_by_itself)


async def test_a_change_that_has_nothing_to_do_with_a_thread(behind: Behind) -> None:
    """Acknowledged, looked at, left alone: most of what Graph tells of."""
    await holds(growth.NOTIFICATION, lambda: costs(behind, lambda: arrives(behind.user, ADA, "Unrelated")))


async def test_a_send(behind: Behind) -> None:
    """From the CRM's call to the event that it left, with what Graph tells of the draft and of the copy."""
    await holds(growth.SEND, lambda: costs(behind, behind.user.sent, queue_mail_send=1))


async def test_a_message_of_a_thread(behind: Behind) -> None:
    """From the notification to the event at the CRM."""
    user = behind.user
    offer = await user.sent()

    async def is_answered() -> None:
        await synced(user, await answers(user, offer))

    await holds(growth.ANSWER, lambda: costs(behind, is_answered))


async def test_a_look_through_the_mailbox(behind: Behind) -> None:
    """
    What happens for each mailbox every 15 minutes, above what the sweep costs where nothing is due; and what each message adds
    that is listed although it has nothing to do with a thread.
    """
    user = await newly_connected(behind.user)
    job = CatchUp(user.connection_id)

    async def sweep() -> None:
        await runs(user.http, user.cloud, "timer_sweep")

    async def look() -> None:
        due_at = datetime.now(UTC) - timedelta(minutes=1)
        async with TableServiceClient.from_connection_string(user.cloud.azurite.connection_string) as client:
            owed, names = Tables(client).table("owed"), {"PartitionKey": partition_of(job.key), "RowKey": job.key}
            await owed.upsert(names | {"queue": job.queue, "job": job.to_json(), "due_at": due_at})
        await sweep()

    async def above_the_sweep() -> Cost:
        """What the look takes, with the sweep that was started here and no other."""

        async def of(act: Callable[[], Awaitable[object]], **begins: int) -> dict[str, int]:
            begun = {"timer_sweep": 1} | begins
            return asdict(await behind.undisturbed(lambda: measured(behind, user, act), begun, comes_by_itself))

        idle, real = await of(sweep), await of(look, queue_mailbox_catch_up=1)
        return Cost(**{name: real[name] - idle[name] for name in real})

    # The first one ever makes the queue.
    await look()
    for messages in (0, 3):
        for _ in range(messages):
            await arrives(user, ADA, "Unrelated")
        listed = asdict(growth.LISTED)
        budget = {name: each + messages * listed[name] for name, each in asdict(growth.LOOK).items()}
        await holds(Cost(**budget), above_the_sweep)
