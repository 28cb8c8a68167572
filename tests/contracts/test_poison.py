"""The promises of poison queues, on the fakes and on Azure Queues and Tables."""

from collections import Counter
from dataclasses import replace

import pytest

from sync.domain.failure import Failure
from sync.jobs import DeliverEvent, MailChange, SendMail
from tests.contracts.stores import AzureStores, Stores
from tests.contracts.values import ACCOUNT, NOW

QUEUE = "mail-sends"
JOBS = [SendMail(ACCOUNT, f"msg_{i}") for i in range(40)]
FAILURE = Failure(QUEUE, JOBS[0].key, "KeyError at a.py:12 < b.py:3", NOW, 3)


@pytest.fixture(autouse=True)
async def empty_queues(stores: Stores) -> None:
    if isinstance(stores, AzureStores):
        await stores.emptied_queues()


async def test_why_work_failed_is_kept_until_it_is_forgotten(stores: Stores) -> None:
    """The last reason counts; each piece of work has its own, whatever its key is made of; to forget twice is no error."""
    poison = stores.poison()
    assert await poison.failure(QUEUE, FAILURE.key) is None
    await poison.forget(QUEUE, FAILURE.key)
    other = replace(FAILURE, queue=MailChange.queue, key=MailChange("con_1", "AAMk/+=?#" + "x" * 900).key)
    for failure in (FAILURE, replace(FAILURE, reason="ValueError at c.py:1", tries=4), other):
        await poison.note(failure)
    assert await stores.poison().failure(QUEUE, FAILURE.key) == replace(FAILURE, reason="ValueError at c.py:1", tries=4)
    assert await stores.poison().failure(other.queue, other.key) == other
    assert await poison.failure(QUEUE, other.key) is None
    await poison.forget(QUEUE, FAILURE.key)
    assert await poison.failure(QUEUE, FAILURE.key) is None
    assert await poison.failure(other.queue, other.key) == other


async def test_poison_is_shown_and_stays(stores: Stores) -> None:
    """As its text, at most 32 of each queue; to look takes nothing. A queue that was never poisoned has none."""
    poison = stores.poison()
    assert await poison.peek(QUEUE, 32) == []
    for job in JOBS:
        await stores.given_up(QUEUE, job.to_json())
    await stores.given_up(DeliverEvent.queue, "not a job")
    for _ in range(2):
        assert [m.text for m in await poison.peek(QUEUE, 32)] == [job.to_json() for job in JOBS[:32]]
    [unreadable] = await poison.peek(DeliverEvent.queue, 32)
    assert (unreadable.queue, unreadable.text) == (DeliverEvent.queue, "not a job")
    assert len(await poison.peek(QUEUE, 3)) == 3


async def test_poison_is_put_back_to_its_queue(stores: Stores) -> None:
    """All of it, once, for workers to read as ever; not more than was asked for, and no other queue's."""
    poison = stores.poison()
    assert [text async for text in poison.put_back(QUEUE, 10)] == []
    for job in JOBS:
        await stores.given_up(QUEUE, job.to_json())
    await stores.given_up(DeliverEvent.queue, DeliverEvent(ACCOUNT, "evt_1").to_json())
    first = [text async for text in poison.put_back(QUEUE, 35)]
    rest = [text async for text in stores.poison().put_back(QUEUE, 1_000)]
    assert (len(first), Counter(first + rest)) == (35, Counter(job.to_json() for job in JOBS))
    taken = [await stores.taken(QUEUE) for _ in JOBS]
    assert {job.key for job in taken if job is not None} == {job.key for job in JOBS}
    assert await stores.taken(QUEUE) is None
    assert await stores.taken(DeliverEvent.queue) is None
    counts = await stores.work().waiting()
    assert (counts[f"{QUEUE}-poison"], counts[f"{DeliverEvent.queue}-poison"]) == (0, 1)


async def test_poison_that_is_kept_never_expires(stores: Stores) -> None:
    """The host's copies have 7 days; after a look at them they stay, each once, and another look has nothing to do."""
    poison = stores.poison()
    assert await poison.keep(QUEUE) == 0
    for job in JOBS[:3]:
        await stores.given_up(QUEUE, job.to_json())
    assert await stores.expiring(QUEUE) == 3
    assert await poison.keep(QUEUE) == 3
    assert await stores.expiring(QUEUE) == 0
    assert (await stores.work().waiting())[f"{QUEUE}-poison"] == 3
    assert sorted(m.text for m in await poison.peek(QUEUE, 32)) == sorted(job.to_json() for job in JOBS[:3])
    assert await poison.keep(QUEUE) == 0
