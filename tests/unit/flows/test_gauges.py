"""How it stands, read off the queues and the connections."""

from dataclasses import replace
from datetime import timedelta

import pytest

from sync.domain.connection import Connection, State
from sync.domain.metrics import METRICS, Reading
from sync.flows.gauges import NEAR, Gauges
from sync.jobs import QUEUES, SendMail
from tests.unit.flows.world import World

LIFETIME = timedelta(days=6)


class Board:
    """Keeps `flows.ports.Metrics`: how each gauge stands."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], float] = {}

    def note(self, reading: Reading) -> None:
        """Take a value."""
        assert reading.metric in METRICS
        assert reading.metric.kind == "gauge"
        self.values[reading.metric.name, "".join(str(v) for v in reading.attributes.values())] = reading.value


@pytest.fixture
def board() -> Board:
    """Where values are kept."""
    return Board()


@pytest.fixture
def gauges(world: World, board: Board) -> Gauges:
    """The looks at this world."""
    return Gauges(world.work, world.connections, world.endpoint, board, world.clock, LIFETIME)


async def test_queues_tell_age_length_and_poison(world: World, board: Board, gauges: Gauges) -> None:
    """The age of what can be seen; the length of all; every queue is told, also where it is empty."""
    await world.work.queue(SendMail("acme", "msg_1"))
    await world.work.queue(SendMail("acme", "msg_2"), timedelta(hours=1))
    world.work.put("crm-deliveries-poison", "{}")
    world.clock.advance(timedelta(seconds=90))
    await gauges.queues()
    assert board.values["sync.queue.age", "mail-sends"] == 90
    assert board.values["sync.queue.length", "mail-sends"] == 2
    assert board.values["sync.poison", "crm-deliveries"] == 1
    for queue in set(QUEUES) - {"mail-sends"}:
        assert board.values["sync.queue.age", queue] == board.values["sync.queue.length", queue] == 0
    assert board.values["sync.webhook.off", ""] == 0


async def test_deliveries_that_are_off_are_told(world: World, board: Board, gauges: Gauges) -> None:
    """Until they are on again."""
    webhook = await world.endpoint.fresh()
    await world.webhooks.save(replace(webhook, state="off"))
    await gauges.queues()
    assert board.values["sync.webhook.off", ""] == 1
    await world.endpoint.enable()
    await gauges.queues()
    assert board.values["sync.webhook.off", ""] == 0


async def test_connections_tell_their_states_and_what_ends_soon(
    world: World, dana: Connection, board: Board, gauges: Gauges
) -> None:
    """Every state, also those that nobody is in; a subscription counts once a quarter of its lifetime is left."""
    await gauges.mailboxes()
    assert board.values["sync.connections", "connected"] == 1
    assert {state for name, state in board.values if name == "sync.connections"} == {state.value for state in State}
    assert board.values["sync.subscriptions.near_expiry", ""] == 0
    current = await world.connections.by_id(dana.connection_id)
    assert current is not None
    assert current.subscription is not None
    world.clock.advance(current.subscription.expires_at - world.clock() - LIFETIME * NEAR + timedelta(seconds=1))
    await gauges.mailboxes()
    assert board.values["sync.subscriptions.near_expiry", ""] == 1
