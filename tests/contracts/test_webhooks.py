"""The state of the CRM's webhook, and the list of undelivered events: the promises of storage, on the fakes and on Azurite."""

import asyncio
import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from sync.domain.errors import Conflict
from sync.domain.webhook import Failure, Undelivered, Webhook
from sync.flows.ports import Webhooks
from tests.contracts.stores import Stores
from tests.contracts.values import NOW

MINUTE = timedelta(minutes=1)
WEBHOOK = Webhook(
    "address",
    "off",
    "The receiver answered 410 Gone.",
    NOW,
    NOW - MINUTE,
    Failure(NOW, None, "ReadTimeout"),
    NOW - MINUTE,
    NOW - 2 * MINUTE,
    NOW,
)


@pytest.fixture
def webhooks(stores: Stores) -> Webhooks:
    return stores.webhooks()


def listed(sequence: int, account_id: str = "acme", minutes: int = 0) -> Undelivered:
    """An event of the list."""
    return Undelivered(account_id, sequence, f"evt_{account_id}_{sequence}", NOW + minutes * MINUTE)


async def test_the_state_comes_back_whole(stores: Stores, webhooks: Webhooks) -> None:
    """In another process, too; where nothing was stored there is none."""
    assert await webhooks.state() is None
    saved = await webhooks.save(WEBHOOK)
    assert saved == WEBHOOK
    found = await stores.webhooks().state()
    assert found == WEBHOOK
    assert found is not None
    assert found.version == saved.version


async def test_the_state_moves_on_from_the_version_read(stores: Stores, webhooks: Webhooks) -> None:
    """Of many workers that note at once one is first, also of those that insert; the others read again."""
    ports = [stores.webhooks() for _ in range(4)]
    first = await asyncio.gather(
        *(p.save(replace(WEBHOOK, reason=f"{i}")) for i, p in enumerate(ports)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Conflict) for outcome in first) == 3
    read = await webhooks.state()
    assert read is not None
    second = await webhooks.save(replace(read, state="on"))
    with pytest.raises(Conflict):
        await webhooks.save(replace(read, reason="late"))
    await webhooks.save(replace(second, reason="in time"))


async def test_the_list_is_in_the_order_of_each_feed(webhooks: Webhooks) -> None:
    """Accounts together, whatever their ids begin with; in pages; from a time on."""
    for event in (
        listed(10),
        listed(9),
        listed(1_000_000_000),
        listed(2, "acme-2"),
        listed(1, "zoo"),
        listed(3, minutes=-5),
    ):
        await webhooks.list_undelivered(event)
    every = await webhooks.undelivered(NOW - timedelta(days=1), 100)
    assert [e.sequence for e in every if e.account_id == "acme"] == [3, 9, 10, 1_000_000_000]
    accounts = [e.account_id for e in every]
    assert sorted(accounts) == sorted(["acme"] * 4 + ["acme-2", "zoo"])
    assert sum(one != other for one, other in itertools.pairwise(accounts)) == 2
    assert await webhooks.undelivered(NOW - timedelta(days=1), 2) == every[:2]
    assert listed(3, minutes=-5) not in await webhooks.undelivered(NOW, 100)
    assert len(await webhooks.undelivered(NOW, 100)) == 5
    assert await webhooks.count_undelivered() == 6


async def test_an_event_is_listed_once_and_taken_off(webhooks: Webhooks) -> None:
    """Listed again, the later time counts; taking off what is not there is no error."""
    assert await webhooks.count_undelivered() == 0
    await webhooks.forget_undelivered("acme", 1)
    for minutes in (0, 5):
        await webhooks.list_undelivered(listed(1, minutes=minutes))
    assert await webhooks.undelivered(NOW, 10) == [listed(1, minutes=5)]
    await webhooks.list_undelivered(listed(1, "other"))
    await webhooks.forget_undelivered("acme", 1)
    assert await webhooks.undelivered(NOW, 10) == [listed(1, "other")]
    assert await webhooks.count_undelivered() == 1
