"""
Equal requests at once: two hundred races of fifty, each call of each request in an order of chance, and one email each time.

The seed is in the test's name and `RACE_SEED` plays another. Over HTTP, on the real app and storage: tests/e2e/test_races.py.
"""

import asyncio
import os

import pytest

from sync.domain.outgoing import Outgoing
from sync.jobs import SendMail
from tests.unit.flows.conftest import DANA, new_world
from tests.unit.flows.provider_world import PROVIDER
from tests.unit.flows.world import ACCOUNT, ADA, World

pytestmark = pytest.mark.long

RACES, REQUESTS = 200, 50
SEED = int(os.environ.get("RACE_SEED", "4"))


async def race(world: World, body: Outgoing) -> list[object]:
    """Fifty equal requests, and workers that begin before the last is answered."""
    requests = [world.accept.accept(ACCOUNT, "key", body, "hash") for _ in range(REQUESTS)]
    answers: list[object] = list(await asyncio.gather(*requests))
    jobs = world.work.visible(SendMail.queue)
    await asyncio.gather(*(world.work_off(job) for job in jobs[:20]))
    await world.settle()
    return answers


@pytest.mark.parametrize("seed", [SEED])
async def test_two_hundred_races_through_outlook(seed: int) -> None:
    """One answer, one email, one `message.sent`, each time."""
    for number in range(RACES):
        world = new_world()
        await world.connected(DANA)
        world.faults.jostle(seed * RACES + number)
        answers = await race(world, Outgoing("individual", "u1", (ADA,), "Offer", "<p>Hi</p>"))
        assert all(answer == answers[0] for answer in answers), f"race {number}"
        assert len(world.mail.outgoing) == 1, f"race {number}"
        assert world.mail.drafts() == [], f"race {number}"
        assert (await world.told()).count("message.sent") == 1, f"race {number}"


@pytest.mark.parametrize("seed", [SEED])
async def test_races_through_the_provider(seed: int) -> None:
    """As through Outlook; SMTP has nothing to look up, so that it hangs on the row alone."""
    for number in range(RACES // 4):
        world = new_world()
        await world.providers.save(PROVIDER)
        world.faults.jostle(seed * RACES + number)
        answers = await race(world, Outgoing("individual", "u1", (ADA,), "Offer", "<p>Hi</p>"))
        assert all(answer == answers[0] for answer in answers), f"race {number}"
        assert len(world.smtp.outgoing) == 1, f"race {number}"
        assert await world.told() == ["message.sent"], f"race {number}"


@pytest.mark.parametrize("seed", [SEED])
async def test_races_of_a_bulk_send(seed: int) -> None:
    """Each recipient one email, whoever gives the turns."""
    for number in range(RACES // 20):
        world = new_world()
        await world.connected(DANA)
        world.faults.jostle(seed * RACES + number)
        body = Outgoing("bulk", "u1", (ADA, *(ADA for _ in range(4))), "Offer", "<p>Hi</p>", from_address=DANA)
        answers = await race(world, body)
        assert all(answer == answers[0] for answer in answers), f"race {number}"
        assert len(world.mail.outgoing) == 5, f"race {number}"
        assert (await world.told()).count("message.sent") == 5, f"race {number}"
