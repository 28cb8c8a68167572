"""What every test of a flow begins with."""

import pytest

from sync.domain.connection import Connection
from tests.unit.flows.world import World

pytest.register_assert_rewrite("tests.unit.flows.sent_once", "tests.unit.flows.each_crash")

DANA = "dana@crm.example"


@pytest.fixture
def world() -> World:
    """An app with nothing in it, and two people at Microsoft: Dana, who has an alias, and Bob."""
    return new_world()


@pytest.fixture
async def dana(world: World) -> Connection:
    """Dana's mailbox, connected and watched, of user u1."""
    return await world.connected(DANA)


def new_world() -> World:
    """As the fixture: for tests that need many."""
    world = World()
    world.people.add(DANA, "Dana Doe", ("d.doe@crm.example",))
    world.people.add("bob@crm.example", "Bob Roe")
    return world
