"""A mailbox with 50,000 messages is swept in pages: nothing that belongs is missed, nothing else is read, few calls are made."""

import bisect
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from sync.domain.connection import Connection
from sync.domain.errors import SyncError, Throttled, Unclear
from sync.domain.mail import MailboxMessage
from sync.flows.catch_up import MAX_PAGE_SIZE, SETTLING
from sync.jobs import CatchUp
from tests.unit.flows.test_catch_up import be_deaf
from tests.unit.flows.world import ADA, World

pytestmark = pytest.mark.long

MESSAGES = 50_000
#: The whole gap, and how many messages have one time of receipt: a move of mail into the mailbox brings many at once.
GAP = timedelta(days=10)
BUNCHES = (1, 1, 1, 2, 7, 60, 300)
LARGEST_BUNCH = 2_600
#: What the mailbox's limit allows in 10 minutes (https://learn.microsoft.com/graph/throttling-limits, Outlook service limits).
LIMIT = 10_000
TROUBLE: tuple[SyncError, ...] = (Unclear(), Throttled(retry_after=timedelta(seconds=90)))


class Ordered:
    """The mailbox's list by time of receipt, kept in order, since sorting 50,000 messages for each page takes too long here."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._places: list[tuple[float, int, MailboxMessage]] = []
        self.deleted: set[str] = set()
        #: done before each page
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    def add(self, seen: MailboxMessage) -> None:
        """A message that is in the mailbox now."""
        assert seen.received_at is not None
        bisect.insort(
            self._places, (seen.received_at.timestamp(), len(self._places), seen), key=lambda place: place[:2]
        )

    def delete(self, seen: MailboxMessage) -> None:
        """Its owner deletes it for good."""
        self._world.mail.delete(seen.graph_id)
        self._places = [place for place in self._places if place[2] is not seen]

    async def received_since(
        self, connection: Connection, since: object, limit: int, skip: int = 0
    ) -> list[MailboxMessage]:
        """As the fake's own."""
        if self.meanwhile is not None:
            await self.meanwhile()
        async with self._world.faults.at("mail.received_since"):
            whole_second = since.replace(microsecond=0).timestamp()  # type: ignore[attr-defined]
            first = bisect.bisect_left(self._places, (whole_second, -1), key=lambda place: place[:2]) + skip
            return [seen for _, _, seen in self._places[first : first + limit]]


@pytest.mark.parametrize("seed", [1])
async def test_a_large_mailbox(world: World, dana: Connection, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """
    Whatever its times, with pages that fail and mail that comes and goes meanwhile.

    The mark stays until the end was seen, and then says no more than that.
    """
    chance = random.Random(seed)
    copies = []
    for number in range(3):
        sent = await world.sent(dana, key=f"key-{number}")
        copies.append(world.mail.sent_copy(sent.message_id))
    be_deaf(world)
    mailbox, ours, others = Ordered(world), set[str](), list[MailboxMessage]()
    time = world.clock().replace(microsecond=0)
    left, bunches = MESSAGES, [LARGEST_BUNCH]
    while left > LARGEST_BUNCH:
        bunches.append(min(chance.choice(BUNCHES), left - LARGEST_BUNCH))
        left -= bunches[-1]
    chance.shuffle(bunches)
    for bunch in bunches:
        time += GAP / len(bunches)
        for place in range(bunch):
            belongs = chance.random() < 0.002 or (bunch == LARGEST_BUNCH and place in (0, 1_000, 2_500, 2_599))
            add(world, mailbox, dana, chance.choice(copies) if belongs else None, ours, others, time)
    world.clock.advance_to(time + timedelta(hours=1))
    before = (await world.connection()).synced_through
    monkeypatch.setattr(world.mail, "received_since", mailbox.received_since)

    async def mail_comes_and_goes() -> None:
        if chance.random() < 0.1:
            for seen in chance.sample(others, 20):
                others.remove(seen)
                mailbox.delete(seen)
        if chance.random() < 0.05:
            add(world, mailbox, dana, chance.choice(copies), ours, others, world.clock())

    mailbox.meanwhile = mail_comes_and_goes
    world.work.messages.clear()
    calls = len(world.faults.calls)
    await world.work.promise(CatchUp(dana.connection_id), due_at=world.clock())
    marks, asked_at, trouble = set(), world.clock(), 0
    while world.work.messages:
        marks.add((await world.connection()).synced_through)
        (message,) = world.work.messages
        world.work.messages.clear()
        world.clock.advance_to(max(message.visible_at, world.clock() + timedelta(milliseconds=200)))
        if chance.random() < 0.05:
            world.faults.fail("mail.received_since", chance.choice(TROUBLE), applied=chance.random() < 0.5)
            trouble += 1
        asked_at = world.clock()
        await world.work_off(message.job)
        world.work.messages = [m for m in world.work.messages if isinstance(m.job, CatchUp)]

    told = [e.data["message"]["internet_message_id"] for e in await world.feed() if e.type == "message.synced"]  # type: ignore[index]
    assert sorted(told) == sorted(ours)
    assert marks == {before}
    assert (await world.connection()).synced_through == asked_at - SETTLING
    read = [call for call in world.faults.calls[calls:] if call.startswith("mail.")]
    assert set(read) == {"mail.received_since", "mail.content"}
    assert read.count("mail.content") == len(ours)
    assert trouble > 0
    pages = read.count("mail.received_since") - trouble
    # Each page once, a crowded second twice, and around what was found once more.
    assert pages <= MESSAGES // 50 + LARGEST_BUNCH * 2 // MAX_PAGE_SIZE + 3 * len(ours)
    assert len(read) < LIMIT


def add(
    world: World,
    mailbox: Ordered,
    dana: Connection,
    answers: MailboxMessage | None,
    ours: set[str],
    others: list[MailboxMessage],
    time: object,
) -> None:
    """A message received at this time: of a thread, or of nobody's concern."""
    sender = ADA.address if answers is not None else "stranger@elsewhere.example"
    seen = world.mail.arrives(dana.mailbox, sender, "Hello", answers=answers, received_at=time)  # type: ignore[arg-type]
    mailbox.add(seen)
    if answers is not None:
        ours.add(seen.keys.internet_message_id)
    else:
        others.append(seen)
