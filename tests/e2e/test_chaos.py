"""
Chaos: calls to storage, Graph and the CRM fail, notifications are lost, doubled and shuffled, the worker is killed again and
again. In the end nothing is lost, nothing is told twice, the feed has no hole, and every event was delivered or says why not.

`make test` plays a short form; `CHAOS=full` (make soak) the full one, with three seeds, and leaves a report in build/soak.
`CHAOS_SEEDS=4,5` plays these seeds instead: the decisions are the seed's, so that a run is replayed as far as calls come in the
same order. The short form is played with basic and with rich notifications, the full one with basic ones; `CHAOS_MODE=rich` says
otherwise.
"""

import asyncio
import os
import random
import time
from collections import Counter
from contextlib import AsyncExitStack

import httpx
import pytest

from tests.cloud.certificates import notification_certificate
from tests.cloud.fault_plan import FaultPlan, FaultRule
from tests.cloud.local import LocalCloud
from tests.cloud.soak_report import Run, write_report
from tests.e2e.account import Account
from tests.e2e.chaos import Findings, Person, Scale, everybody_acts, look
from tests.e2e.conversation import newly_connected
from tests.e2e.settling import Settling

FULL = os.environ.get("CHAOS") == "full"
SCALE = Scale(50, 95, 20, 10_000) if FULL else Scale(6, 24, 3, 300)
# The third meets faults of every neighbour early on.
SEEDS = [int(seed) for seed in os.environ.get("CHAOS_SEEDS", "1,2,3" if FULL else "3").split(",")]
MODES = os.environ.get("CHAOS_MODE", "basic" if FULL else "basic,rich").split(",")
RATE = 0.05
NEIGHBOURS = ("blob", "queue", "table", "graph", "crm")
#: Of what Graph tells, a tenth is lost, and the rest comes twice.
TROUBLED_NOTIFICATIONS = {"drop_rate": 0.1, "duplicate_rate": 1, "shuffle": True, "first_retry_s": 0.5}
GOOD_NOTIFICATIONS = {"drop_rate": 0, "duplicate_rate": 0, "shuffle": False}
#: How many times five minutes may pass until everything has ended.
STEPS = 40


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    """What the seeds played so far came to."""
    return []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_is_lost_and_nothing_told_twice(
    seed: int, mode: str, runs: list[Run], http: httpx.AsyncClient
) -> None:
    """Every message of a thread reaches the CRM once, every send leaves one email and has ended, whatever failed."""
    tell(f"chaos with seed {seed}, {mode} notifications: CHAOS_SEEDS={seed} CHAOS_MODE={mode} replays it")
    plan = FaultPlan(seed, tuple(FaultRule(RATE, neighbour) for neighbour in NEIGHBOURS), hang_s=1.0, slow_s=0.5)
    settings = {
        "NOTIFICATION_MODE": mode,
        **({"NOTIFICATION_CERTIFICATES": notification_certificate()} if mode == "rich" else {}),
        # After a failure the host shows a message again after 30 s; the run does not wait that long.
        "AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:02",
        # Polls pass the proxies too: fewer of them leave the machine to what matters.
        "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.500",
        # Work waits for faults more than it computes; in Azure more instances would take it up, here there is one.
        "AzureFunctionsJobHost__extensions__queues__batchSize": "32",
        "AzureFunctionsJobHost__extensions__queues__newBatchThreshold": "32",
    }
    async with LocalCloud(settings, lease_seconds=15, faults=plan) as cloud, AsyncExitStack() as clients:
        run = Run(seed, SCALE.mailboxes, mode)
        people = await _connected(cloud, http, clients, seed)
        found = await _played(cloud, http, people, seed, run)
    _tell(people, run)
    runs.append(run)
    if FULL:
        write_report(runs)
    assert (found.missing, found.wrong) == ([], [])
    assert run.notifications >= SCALE.notifications
    assert run.kills == SCALE.kills
    assert set(NEIGHBOURS) <= {name for name, kinds in run.faults.items() if kinds}


def tell(news: str) -> None:
    """How far it is: shown by make soak, and where the test fails."""
    print(f"{time.strftime('%H:%M:%S')}  {news}", flush=True)  # noqa: T201


async def _connected(cloud: LocalCloud, http: httpx.AsyncClient, clients: AsyncExitStack, seed: int) -> list[Person]:
    """Everybody, each in an account of their own, a few at a time."""
    places = asyncio.Semaphore(6)

    async def connect(number: int) -> Person:
        async with places:
            api = await clients.enter_async_context(cloud.api(f"acme-{number}"))
            user = await newly_connected(Account(cloud, api, http))
            return Person(number, user, random.Random(f"{seed}|person {number}"))

    return list(await asyncio.gather(*(connect(number) for number in range(SCALE.mailboxes))))


async def _played(cloud: LocalCloud, http: httpx.AsyncClient, people: list[Person], seed: int, run: Run) -> Findings:
    """Play it all, let it settle, and say what is wrong."""
    notifications = f"{cloud.graph.url}/_lab/notifications"

    async def kill() -> None:
        run.killed_at.append(time.time())
        await cloud.functions.kill_worker()

    (await http.post(notifications, json=TROUBLED_NOTIFICATIONS | {"seed": seed})).raise_for_status()
    run.began_at = time.time()
    cloud.faults.on()
    await everybody_acts(people, SCALE, kill, tell)

    async def everything() -> Findings:
        seen = await asyncio.gather(*map(look, people))
        return Findings(
            [missing for one in seen for missing in one.missing],
            [wrong for one in seen for wrong in one.wrong],
            [undelivered for one in seen for undelivered in one.undelivered],
        )

    async def ended() -> bool:
        now = await everything()
        tell(f"{len(now.missing)} still to come, {len(now.wrong)} wrong {now.wrong[:3] or ''}")
        return bool(now.wrong or not now.missing)

    accounts = [person.user.account_id for person in people]
    async with Settling(cloud, http) as settling:
        tell("nobody does anything more; what is left is worked off, among faults")
        await settling.rest()
        run.calm_at = time.time()
        cloud.faults.off()
        (await http.post(notifications, json=GOOD_NOTIFICATIONS)).raise_for_status()
        # Mail that nobody told of is found by the next looks through the mailboxes, and once more finds nothing new.
        await settling.until(accounts, ended, STEPS)
        await settling.time_passes(accounts)
        await settling.rest()
        run.poison = await settling.poison()
    found = await everything()
    run.ended_at = time.time()
    counts = (await http.get(notifications)).json()
    run.notifications = sum(counts[name] for name in ("delivered", "failed", "dropped"))
    run.dropped = counts["dropped"]
    run.faults = {name: dict(kinds) for name, kinds in cloud.faults.counts().items()}
    run.calls = {proxy.neighbour: proxy.calls.total() for proxy in cloud.faults.proxies}
    run.undelivered = found.undelivered
    run.problems = found.missing + found.wrong
    return found


def _tell(people: list[Person], run: Run) -> None:
    """How long each message took from its beginning to the CRM's first receipt of it."""
    events: Counter[str] = Counter()
    for person in people:
        first: dict[str, float] = {}
        for delivery in person.user.cloud.crm.accepted:
            if delivery.event["account_id"] != person.user.account_id:
                continue
            events[delivery.event["type"]] += 1
            message = delivery.event["data"].get("message", {})
            for name in (message.get("message_id"), message.get("internet_message_id")):
                first.setdefault(name, delivery.came_at)
        run.delays += [(began, first[name] - began) for name, began in person.began_at.items() if name in first]
        run.sends += len(person.sends)
        run.answers += len(person.replies)
        run.unrelated += len(person.unrelated)
    run.events = dict(events)
