"""
Outages, with the moved clock: Graph tells of nothing for 6 hours, the storage account answers nothing for 10 minutes, the CRM is
down for 3 days, and all of them at once, while mail comes and goes.

The end is always the same: each message of the thread told once, the feed without a hole, each event heard, and nothing told
of other mail. The CRM's 3 days are within its schedule (DESIGN.md, section 4: the tries go on for 75 hours).
"""

import json
from collections import Counter
from collections.abc import Awaitable
from datetime import datetime, timedelta

import pytest

from sync.domain.connection import Connection
from sync.domain.event import Event
from sync.domain.mail import MailboxMessage
from sync.domain.message import Message
from sync.flows import receive
from sync.flows.catch_up import EVERY, SETTLING
from sync.jobs import MailChange
from tests.fakes.faults import Crash
from tests.fakes.mail import Change, Identity
from tests.unit.flows.conftest import DANA
from tests.unit.flows.each_crash import everything_was_heard
from tests.unit.flows.world import ADA, SIGNING_KEY, World

STORES = ("sign_ins", "connections", "anchors", "journal", "content", "work", "tokens", "paces", "providers")
SILENCE = timedelta(hours=6)
STORAGE_OUTAGE = timedelta(minutes=10)
CRM_OUTAGE = timedelta(days=3)
#: Graph tries a notification that was answered 5xx again, for up to 4 hours
#: (https://learn.microsoft.com/graph/change-notifications-delivery-webhooks).
GRAPH_TRIES_AGAIN = timedelta(minutes=5)
#: The longest wait between two tries to reach the CRM, and a sweep.
UNTIL_NEXT_TRY = timedelta(hours=25)


class StorageDown(Exception):
    """The storage account gives no answer."""


class OutageWorld(World):
    """A world in which the neighbours can be away until some time."""

    def __init__(self) -> None:
        super().__init__()
        self.people.add(DANA, "Dana Doe")
        self.graph_tells_from = self.storage_back_at = self.crm_back_at = self.clock()
        self.refused_notifications = 0
        self.crm.is_down = lambda: self.clock() < self.crm_back_at
        for store in STORES:
            self.faults.outage(f"{store}.*", StorageDown(), lambda: self.storage_is_down)
        self.expected: Counter[str] = Counter()

    @property
    def storage_is_down(self) -> bool:
        """Whether no call to the storage account is answered."""
        return self.clock() < self.storage_back_at

    @staticmethod
    async def survive(work: Awaitable[object]) -> bool:
        """A job that met the outage is seen again."""
        try:
            await work
        except (Crash, StorageDown):
            return False
        return True

    async def pass_until(self, when: datetime) -> None:
        """Let everything happen that is due until then."""
        await self.settle(when - self.clock())
        self.clock.advance_to(when)

    def _next_step(self) -> datetime | None:
        """While storage is away, jobs fail and are seen again; the sweep comes once it is back."""
        if not self.storage_is_down:
            return super()._next_step()
        times = [self.storage_back_at, *(message.visible_at for message in self.work.messages)]
        return min([*times, *filter(None, [self.mail.next_departure])])

    async def storage_goes_away(self) -> None:
        """From now on."""
        self.storage_back_at = self.clock() + STORAGE_OUTAGE

    def replies(self, dana: Connection, to: MailboxMessage) -> None:
        """Ada answers, and somebody else writes."""
        seen = self.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=to)
        self.mail.arrives(dana.mailbox, "carl@world.example", "Lunch")
        self.expected[seen.keys.internet_message_id] += 1

    def _tell_of_change(self, mailbox: Identity, graph_id: str, change: Change) -> None:
        """The route puts notifications into a queue; where that fails it answers 5xx, and Graph comes again."""
        if self.clock() < self.graph_tells_from:
            return
        delay = timedelta()
        if self.storage_is_down:
            self.refused_notifications += 1
            delay = self.storage_back_at - self.clock() + GRAPH_TRIES_AGAIN
        items = [
            {"clientState": held.client_state, "changeType": change, "resourceData": {"id": graph_id}}
            for held in self.subscriptions.open_ones.values()
            if held.mailbox == mailbox and held.expires_at > self.clock()
        ]
        for text in receive.acknowledge(json.dumps({"value": items}).encode(), [SIGNING_KEY]):
            self.work.put(MailChange.queue, text, delay)


async def begun() -> tuple[OutageWorld, Connection, MailboxMessage]:
    world = OutageWorld()
    dana = await world.connected(DANA)
    sent: Message = await world.sent(dana)
    return world, dana, world.mail.sent_copy(sent.message_id)


async def synced(world: World) -> Counter[str]:
    """How often each message of the mailbox was told."""
    told = [event for event in await world.feed() if event.type == "message.synced"]
    return Counter(event.data["message"]["internet_message_id"] for event in told)  # type: ignore[index]


async def nothing_was_lost_nothing_came_twice(world: OutageWorld, sends: int) -> list[Event]:
    """The promise; returns the feed."""
    assert await synced(world) == world.expected
    feed = await world.feed()
    assert [event.sequence for event in feed] == list(range(1, len(feed) + 1))
    assert sum(event.type == "message.sent" for event in feed) == sends == len(world.mail.outgoing)
    assert [event.delivery for event in feed] == ["delivered"] * len(feed)
    assert Counter(event.event_id for event in world.crm.heard) == {event.event_id: 1 for event in feed}
    await everything_was_heard(world)
    return feed


async def test_six_hours_without_a_notification() -> None:
    """Looks find everything, each within 15 minutes, and what Graph tells of late is no news."""
    world, dana, copy = await begun()
    world.graph_tells_from = world.clock() + SILENCE
    while world.clock() < world.graph_tells_from:
        world.replies(dana, copy)
        came_at = world.clock()
        await world.pass_until(came_at + EVERY + SETTLING)
        assert await synced(world) == world.expected, f"what came at {came_at} is not told yet"
    for text in [m.text for m in world.work.messages if m.queue == MailChange.queue]:
        world.work.put(MailChange.queue, text)
    world.replies(dana, copy)
    await world.settle()

    await nothing_was_lost_nothing_came_twice(world, sends=1)


@pytest.mark.parametrize("calls", [0, 3, 9, 17, 24, 33, 45])
async def test_ten_minutes_without_storage(calls: int) -> None:
    """An email under way, one that the CRM could not hand over, and replies: wherever it begins, all goes on afterwards."""
    world, dana, copy = await begun()
    await world.accepted(dana, key="under way")
    world.replies(dana, copy)
    world.faults.meanwhile("*", world.storage_goes_away, skip=calls)
    await world.pass_until(world.clock() + timedelta(seconds=30))
    assert world.storage_is_down
    with pytest.raises(StorageDown):
        await world.accepted(dana, key="during")
    for _ in range(5):
        world.replies(dana, copy)
        await world.pass_until(world.clock() + timedelta(minutes=1))
    assert world.refused_notifications >= 10
    await world.pass_until(world.storage_back_at)
    await world.accepted(dana, key="during")
    await world.settle()

    await nothing_was_lost_nothing_came_twice(world, sends=3)


async def days_without_crm(world: OutageWorld, dana: Connection, copy: MailboxMessage) -> None:
    world.crm_back_at = world.clock() + CRM_OUTAGE
    number = 0
    while world.clock() < world.crm_back_at:
        world.replies(dana, copy)
        number += 1
        if number % 4 == 1:
            await world.accepted(dana, key=f"day {number}")
        await world.pass_until(world.clock() + timedelta(hours=6))


async def test_three_days_without_the_crm() -> None:
    """Mail is synced all the while; each event is tried by the schedule, and heard once within a day of the CRM's return."""
    world, dana, copy = await begun()
    await days_without_crm(world, dana, copy)
    assert {event.type for event in world.crm.heard} == {"connection.connected", "message.sent"}
    assert await synced(world) == world.expected
    await world.settle(UNTIL_NEXT_TRY)

    feed = await nothing_was_lost_nothing_came_twice(world, sends=4)
    tried = [event for event in feed if len(event.attempts) > 1]
    assert len(tried) == 15, "12 replies and 3 emails"
    assert max(len(event.attempts) for event in feed) <= 10
    for event in tried:
        assert {attempt.error for attempt in event.attempts[:-1]} == {"no answer within 15 seconds"}


async def test_everything_at_once() -> None:
    """The CRM is down for days, Graph silent for hours in between, and storage away for minutes in between these."""
    world, dana, copy = await begun()
    world.crm_back_at = world.clock() + CRM_OUTAGE
    world.graph_tells_from = world.clock() + SILENCE
    await world.accepted(dana, key="first")
    world.replies(dana, copy)
    await world.pass_until(world.clock() + timedelta(hours=2))
    world.storage_back_at = world.clock() + STORAGE_OUTAGE
    world.replies(dana, copy)
    await world.pass_until(world.storage_back_at)
    await days_without_crm(world, dana, copy)
    await world.settle(UNTIL_NEXT_TRY)

    await nothing_was_lost_nothing_came_twice(world, sends=5)
