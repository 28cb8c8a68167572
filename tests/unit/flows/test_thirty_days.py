"""
Thirty days of 200 connections, on a clock that jumps from event to event.

Graph's subscription calls fail for up to 20 hours at a time, for single mailboxes and for all; subscriptions are removed with and
without a word; Graph keeps silent, is late, asks for authorization and is not always heard; workers die; people change their
passwords and come back a day later, or leave; signing keys are rotated; and mail comes all month.

Everything is time-accurate but one thing: the app looks through each mailbox every 15 minutes, and here it does so every
`LOOKS_EVERY`. That makes the month faster to play and the test stricter: what nobody told of is found by looks alone, and a gap
lies open longer.

The dice are seeded, so that a failure can be played again: `MONTH_SEED=7 pytest tests/unit/flows/test_thirty_days.py`.
"""

import logging
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from sync.domain.connection import State, SyncState
from sync.domain.event import Event
from sync.domain.subscription import MAX_LIFETIME
from sync.flows import catch_up, watch
from tests.unit.flows.month import MINUTE, Month
from tests.unit.flows.month_ledger import length
from tests.unit.flows.month_story import CONNECTIONS, DAY, HOUR, Story
from tests.unit.flows.month_weather import LONGEST_RETRY_AFTER, Outage
from tests.unit.flows.world import VISIBILITY_TIMEOUT

pytestmark = pytest.mark.long

SEED = int(os.environ.get("MONTH_SEED", "1"))
LOOKS_EVERY = timedelta(hours=1)
#: From the end of an outage, or from a word of Graph's, until every try that waits for it was made: the longest wait and a sweep.
RECOVERY = LONGEST_RETRY_AFTER + 5 * MINUTE
#: What a look may come late by: its sweep, a worker that died with it, and the last minute, which it does not claim.
LATE = 15 * MINUTE
NONE = timedelta()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time between regular looks, in both flows that promise them."""
    for flow in (catch_up, watch):
        monkeypatch.setattr(flow, "EVERY", LOOKS_EVERY)


@asynccontextmanager
async def played(seed: int) -> AsyncIterator[Story]:
    """A month to be played; what fails says with which dice."""
    story = Story(Month(seed))
    try:
        yield story
    except BaseException as failure:
        passed = story.month.clock() - story.begins
        failure.add_note(f"MONTH_SEED={seed}, after {passed}: {dict(story.happened)}")
        raise


async def test_thirty_days_of_two_hundred_connections(looks: None, caplog: pytest.LogCaptureFixture) -> None:
    """0 uncovered minutes after recovery, every mail of every thread told once, nothing else, and no storm of calls."""
    caplog.set_level(logging.CRITICAL, logger="sync")
    async with played(SEED) as story:
        while story.month.clock() < story.ends:
            await story.month.run(story.month.clock() + HOUR)
            await after_each_hour(story)
        await story.month.run(story.ends + LOOKS_EVERY + LATE)
        await no_minute_is_uncovered(story)
        await every_mail_was_told_once_and_nothing_else(story)
        await the_crm_knows_of_each_change(story)
        nothing_is_overdue(story)
        await no_subscription_lapsed_by_an_outage(story)
        there_was_no_storm(story)
        # The next renewals find out whatever is still to be found out, and close what died workers left behind.
        story.month.weather.outages.clear()
        await story.month.run(story.month.clock() + MAX_LIFETIME / 2 + HOUR)
        await everybody_is_told_and_nothing_else_is_open(story)


async def test_the_book_sees_a_mailbox_that_nobody_tells_of(looks: None) -> None:
    """The measure itself: with an outage longer than a life there is a hole from the one's end to the other's, to the minute."""
    month = Month(SEED)
    begins = month.clock()
    month.world.people.add("p0@crm.example")
    name = (await month.sign_in("account0", "u0", "p0@crm.example")).connection_id
    await month.run(begins + DAY)
    assert month.ledger.untold(name, begins, month.clock()) == []
    (held,) = month.world.subscriptions.open_ones.values()
    outage_ends = begins + 9 * DAY
    month.weather.outages = [Outage(month.clock(), outage_ends, None, "unclear")]
    await month.run(begins + 10 * DAY)
    ((since, until),) = month.ledger.untold(name, begins, month.clock())
    assert since == held.expires_at
    assert outage_ends <= until <= outage_ends + 2 * MINUTE
    assert month.ledger.is_told(name)


async def after_each_hour(story: Story) -> None:
    """Every minute but the last is covered, also in the middle of an outage; and once that is over, Graph tells again."""
    month = story.month
    now = month.clock()
    assert len(month.work.messages) <= CONNECTIONS, "work is queued faster than it is done"
    for mailbox in sorted(story.silent):
        if all(month.ledger.is_told(m.connection_id) for m in story.of_mailbox(mailbox) if m.takes_part):
            story.silent.discard(mailbox)
    for member in filter(lambda m: m.takes_part, story.members):
        connection, mailbox = await story.connection(member), story.mailbox(member)
        is_connected = connection.state is State.CONNECTED
        member.connected_since = (member.connected_since or now) if is_connected else None
        if not is_connected:
            member.apart |= {now - HOUR, now}
        until = now - LOOKS_EVERY - LATE
        if (
            member.connected_since is not None and member.connected_since <= until
        ):  # a new mailbox waits for its first look
            assert connection.synced_through is not None
            uncovered = month.ledger.untold(member.connection_id, connection.synced_through, until)
            assert length(uncovered) == NONE, f"{member}: {uncovered}"
        disturbed = max(month.weather.last_outage(mailbox) or story.begins, story.disturbed[mailbox])
        if mailbox not in story.silent and disturbed + RECOVERY <= now:
            assert month.ledger.is_told(member.connection_id), f"{member}: not told at {now}"
            assert is_connected, f"{member}: {connection.state}"


async def no_minute_is_uncovered(story: Story) -> None:
    """From connecting to the end of the month: Graph told, or a look has passed over it."""
    for member in filter(lambda m: m.takes_part, story.members):
        connection = await story.connection(member)
        assert connection.state is State.CONNECTED
        assert connection.sync_state is SyncState.ACTIVE
        assert connection.synced_through is not None
        uncovered = story.month.ledger.untold(member.connection_id, connection.synced_through, story.ends)
        assert length(uncovered) == NONE, f"{member}: {uncovered}"


async def every_mail_was_told_once_and_nothing_else(story: Story) -> None:
    """To the account and for the connection whose thread it belongs to; what the CRM sent is told as sent, once."""
    feed = await _feed(story)
    told: Counter[tuple[str, str, str]] = Counter()
    for event in feed:
        if event.type.startswith("message."):
            message = event.data["message"]
            told[event.type, message["connection_id"], message["subject"]] += 1  # type: ignore[index]
    wanted: set[tuple[str, str, str]] = set()
    allowed: set[tuple[str, str, str]] = set()
    for member in story.members:
        wanted |= {("message.sent", member.connection_id, thread.subject) for thread in member.threads}
        for subject, came_at in member.mail.items():
            undecided = member.undecided_after is not None and came_at > member.undecided_after - LATE
            (allowed if undecided else wanted).add(("message.synced", member.connection_id, subject))
    assert {key: times for key, times in told.items() if times > 1} == {}
    assert wanted - told.keys() == set()
    assert told.keys() - wanted - allowed == set()
    assert len(wanted) > 1_500


async def the_crm_knows_of_each_change(story: Story) -> None:
    """Each sign-in, each refused one, and each end: once; and the CRM has heard every event."""
    feed = await _feed(story)
    changes = Counter(
        (event.type, event.data["connection"]["connection_id"])  # type: ignore[index]
        for event in feed
        if event.type.startswith("connection.")
    )
    for member in story.members:
        name = member.connection_id
        # Who left may have done so before the mailbox could be watched again.
        connected = {member.sign_ins} if member.takes_part else {member.sign_ins, member.sign_ins - 1}
        assert changes["connection.connected", name] in connected, member
        assert changes["connection.needs_reconnect", name] == member.password_changes, member
        assert changes["connection.disconnected", name] == (member.left_at is not None), member
    assert {event.event_id for event in story.world.crm.heard} == {event.event_id for event in feed}


def nothing_is_overdue(story: Story) -> None:
    """
    Two promises for each connection that goes on, both for later; nothing waits in a queue but what a worker has just died
    with; nobody else's tokens are left.
    """
    live = {member.connection_id for member in story.members if member.takes_part}
    now = story.month.clock()
    assert [m for m in story.month.work.messages if m.visible_at > now + VISIBILITY_TIMEOUT] == []
    assert sorted(story.month.work.promises) == sorted(
        f"mailbox-{what}|{name}" for name in live for what in ("catch-up", "watch")
    )
    assert [job for job, due_at in story.month.work.promises.values() if due_at < now - 2 * MINUTE] == []
    assert story.world.tokens.stored.keys() == live


async def no_subscription_lapsed_by_an_outage(story: Story) -> None:
    """Half a life is longer than 20 hours: where Graph removed nothing and nobody signed out, it told without a break."""
    undisturbed = 0
    for member in filter(lambda m: m.takes_part, story.members):
        alone = len(story.of_mailbox(story.mailbox(member))) == 1
        if alone and member.sign_ins == 1 and story.mailbox(member) not in story.forgotten:
            undisturbed += 1
            since = (await story.connection(member)).connected_at
            breaks = [s for s in story.month.ledger.untold(member.connection_id, since, story.ends) if s[0] > since]
            assert not breaks, f"{member}: {breaks}"
    assert undisturbed > 20


def there_was_no_storm(story: Story) -> None:
    """A mailbox that nobody tells of is tried every minute, any other a few times an hour, and looks come when they should."""
    month = story.month
    for member in story.members:
        name = member.connection_id
        tried = {hour: times for (who, hour), times in month.weather.tried.items() if who == name}
        for hour, times in tried.items():
            blind = hour in member.apart or month.ledger.untold(name, hour, hour + HOUR)
            assert times <= (66 if blind else 36), f"{member}: {times} tries from {hour} on"
        out_h = month.weather.out_for(story.mailbox(member)) / HOUR
        blind_h = len(member.apart) + length(month.ledger.untold(name, story.begins, story.ends)) / HOUR
        assert sum(tried.values()) <= 150 + 10 * out_h + 60 * blind_h, f"{member}: {sum(tried.values())} tries"
        regular = (month.clock() - story.begins) / LOOKS_EVERY
        assert month.weather.looked[name] <= regular + 100, f"{member}: {month.weather.looked[name]} looks"


async def everybody_is_told_and_nothing_else_is_open(story: Story) -> None:
    """Each live connection by a subscription that it knows; what is open at Graph is in use."""
    in_use = set()
    for member in filter(lambda m: m.takes_part, story.members):
        subscription = (await story.connection(member)).subscription
        assert subscription is not None
        in_use.add(subscription.subscription_id)
        assert story.month.ledger.is_told(member.connection_id), member
    now = story.month.clock()
    assert {name for name, held in story.world.subscriptions.open_ones.items() if held.expires_at > now} == in_use


async def _feed(story: Story) -> list[Event]:
    """Every event of every account."""
    accounts = sorted({member.account_id for member in story.members})
    with story.month.weather.calm():
        feeds = [await story.world.journal.events(account_id, 0, 100_000) for account_id in accounts]
    return [event for feed in feeds for event in feed]
