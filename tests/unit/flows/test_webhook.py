"""A receiver that is gone, or takes nothing for days: deliveries are switched off, and on again, and no event is forgotten."""

import logging
from datetime import timedelta

import pytest

from sync.domain.errors import Conflict
from sync.domain.event import Answer, Event, NewEvent
from sync.domain.webhook import FAILING, GONE, SWITCHED_OFF
from sync.flows.deliver import tell
from sync.flows.webhook import LOOK_AGAIN_AFTER
from sync.jobs import BringBack, DeliverEvent
from tests.unit.flows.conftest import DANA, new_world
from tests.unit.flows.each_crash import with_each_crash
from tests.unit.flows.world import ACCOUNT, World

OTHER = "other"
GONE_AWAY, NOT_NOW = Answer(410, 0.1, text="moved out"), Answer(503, 0.1)
DAY = timedelta(days=1)


async def told(world: World, name: str, account_id: str = ACCOUNT) -> Event:
    """An event that is about to be delivered."""
    new = NewEvent(account_id, "connection.connected", name, world.clock(), {"connection": {}})
    return await tell(world.journal, world.work, new, world.clock())


async def deliveries(world: World, account_id: str = ACCOUNT) -> list[str]:
    """How the delivery of each event stands, in order."""
    return [event.delivery for event in await world.journal.events(account_id, 0, 10_000)]


async def switched_off(world: World) -> None:
    """Deliveries off, one event undelivered for it, and nothing happening any more."""
    world.crm.answers.append(GONE_AWAY)
    await told(world, "first")
    await world.settle(timedelta(minutes=1))
    assert (await world.endpoint.state()).state == "off"


async def test_410_switches_deliveries_off_with_an_alarm(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """At once, for every account; the alarm says once what to do, and no mail is in it."""
    await switched_off(world)
    for number in range(3):
        await told(world, f"later {number}", OTHER)
    await world.settle(DAY)

    webhook, undelivered = await world.endpoint.show()
    assert (webhook.state, webhook.reason, undelivered) == ("off", GONE, 4)
    assert webhook.last_failure is not None
    assert webhook.last_failure.status == 410
    assert world.faults.count("crm.deliver") == 1, "nothing is pushed any more"
    assert await deliveries(world, OTHER) == ["undelivered"] * 3
    assert {event.reason for event in await world.journal.events(OTHER, 0, 9)} == {SWITCHED_OFF}
    (alarm,) = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert "operator alarm" in alarm.message
    assert "/v1/webhook/enable" in alarm.message


async def test_five_days_without_a_delivery_switch_deliveries_off(world: World) -> None:
    """Whatever failed in that time comes back, also what was given up before the switch."""
    world.crm.answers.extend([NOT_NOW] * 1000)
    await told(world, "first")
    await world.settle(4 * DAY)
    assert await deliveries(world) == ["undelivered"]
    assert (await world.endpoint.state()).state == "on"
    await told(world, "second")
    await world.settle(3 * DAY)
    assert (await world.endpoint.state()).reason == FAILING

    world.crm.answers.clear()
    await world.endpoint.enable()
    await world.settle(DAY)  # the second one keeps its schedule
    assert await deliveries(world) == ["delivered"] * 2
    assert not world.work.promises


async def test_one_that_takes_something_now_and_then_stays_on(world: World) -> None:
    """Trouble ends with the first event that is taken."""
    for number in range(12):
        world.crm.answers.append(NOT_NOW)
        await told(world, f"day {number}")
        await world.settle(DAY)
    assert (await world.endpoint.state()).state == "on"
    assert await deliveries(world) == ["delivered"] * 12


async def test_what_was_undelivered_comes_back_in_order(world: World) -> None:
    """All accounts, each in the order of its feed, page after page; what failed long before stays where it was."""
    world.crm.answers.extend([NOT_NOW] * 10)
    old = await told(world, "of an earlier trouble")
    await world.settle(4 * DAY)
    world.clock.advance(DAY)
    await told(world, "taken")
    await world.settle()
    world.crm.heard.clear()
    world.crm.answers.append(GONE_AWAY)
    for number in range(150):
        await told(world, f"event {number}")
        await told(world, f"event {number}", OTHER)
    await world.settle()
    assert (await world.endpoint.show())[1] == 301

    await world.endpoint.enable()
    await world.settle()

    for account_id, expected in ((ACCOUNT, list(range(3, 153))), (OTHER, list(range(1, 151)))):
        assert [e.sequence for e in world.crm.heard if e.account_id == account_id] == expected
    left = await world.journal.event(ACCOUNT, old.event_id)
    assert left is not None
    assert (left.delivery, (await world.endpoint.show())[1]) == ("undelivered", 1)
    assert not world.work.promises


async def test_another_address_switches_on_too(world: World) -> None:
    """The app finds out by itself, without an event to deliver."""
    await switched_off(world)
    world.endpoint.url_hash = "elsewhere.example"
    await world.settle(2 * LOOK_AGAIN_AFTER + timedelta(minutes=5))
    assert (await world.endpoint.state()).state == "on"
    assert await deliveries(world) == ["delivered"]
    await world.settle(DAY)
    assert not world.work.promises


async def test_a_receiver_that_is_still_gone_switches_off_again(world: World) -> None:
    """And everything is listed again, for the next time."""
    await switched_off(world)
    world.crm.answers.append(GONE_AWAY)
    await world.endpoint.enable()
    await world.settle()
    webhook, undelivered = await world.endpoint.show()
    assert (webhook.state, undelivered, await deliveries(world)) == ("off", 1, ["undelivered"])
    await world.endpoint.enable()
    await world.settle()
    assert await deliveries(world) == ["delivered"]


async def test_switching_on_what_is_on_changes_nothing(world: World) -> None:
    """No write, no job."""
    before = (await world.endpoint.enable(), world.faults.count("webhooks.save"))
    assert (await world.endpoint.enable(), world.faults.count("webhooks.save")) == before
    assert not world.work.promises


async def test_a_worker_that_saw_deliveries_off_too_late_forgets_nothing(world: World) -> None:
    """It gives an event up just after all was brought back: the second look finds it."""
    await switched_off(world)
    late = await told(world, "late")
    world.work.messages.clear()

    async def all_brought_back() -> None:
        await world.endpoint.enable()
        await world.work_off(BringBack())
        world.work.messages.clear()
        await world.work_off(BringBack())

    world.faults.meanwhile("webhooks.list_undelivered", all_brought_back)
    await world.work_off(DeliverEvent(ACCOUNT, late.event_id))
    await world.settle()
    assert await deliveries(world) == ["delivered"] * 2
    assert world.webhooks.listed == {}


async def test_an_event_brought_back_while_it_is_given_up_is_not_forgotten(world: World) -> None:
    """Between the list and the event itself: whoever comes second meets another version, and leaves the event to the first."""
    await switched_off(world)
    late = await told(world, "late")
    world.work.messages.clear()

    async def brought_back() -> None:
        await world.endpoint.enable()
        await world.work_off(BringBack())

    world.faults.meanwhile("webhooks.list_undelivered", brought_back, applied=True)
    await world.work_off(DeliverEvent(ACCOUNT, late.event_id))
    world.work.messages.clear()  # its promise is left, and is enough
    await world.settle()
    assert await deliveries(world) == ["delivered"] * 2


async def test_the_state_costs_next_to_nothing(world: World) -> None:
    """A write a minute at most, and one read for some seconds of deliveries."""
    for number in range(300):
        await told(world, f"event {number}")
    await world.settle()
    assert await deliveries(world) == ["delivered"] * 300
    assert world.faults.count("webhooks.save") == 1
    assert world.faults.count("webhooks.state") <= 3


async def test_two_workers_note_at_once(world: World) -> None:
    """The one that lost reads again; 410 is noted all the same."""
    world.faults.fail("webhooks.save", Conflict(), times=3)
    await switched_off(world)


async def test_a_test_event_tells_how_the_receiver_answers(world: World) -> None:
    """Also while deliveries are off; it is in no feed and changes nothing."""
    await switched_off(world)
    world.crm.answers.append(NOT_NOW)
    refused, answer = await world.endpoint.test()
    taken, accepted = await world.endpoint.test()
    assert (answer.status, accepted.accepted) == (503, True)
    assert refused.event_id != taken.event_id
    assert taken.event_id.startswith("evt_test_")
    assert (taken.type, taken.payload()["account_id"], taken.payload()["sequence"]) == ("webhook.test", None, None)
    assert (await world.endpoint.show())[0].state == "off"
    assert await world.journal.events("", 0, 9) == []


@pytest.mark.long
async def test_a_crash_while_deliveries_are_switched_off_loses_nothing() -> None:
    """
    The process dies anywhere between the 410 and the last event that came back.

    Each event is heard in the end, once unless its push was under way, and nothing is listed or promised any more.
    """

    async def story() -> World:
        world = new_world()
        for number in range(3):
            await told(world, f"event {number}")
        world.crm.answers.append(GONE_AWAY)

        async def enabled() -> None:
            world.endpoint.url_hash = "elsewhere.example"

        # The address is mended once the second event was given up.
        world.faults.meanwhile("webhooks.list_undelivered", enabled, applied=True, skip=1)
        return world

    async def check(world: World) -> None:
        await world.settle(timedelta(hours=2))
        assert [event.sequence for event in await world.feed()] == [1, 2, 3]
        if (await world.endpoint.fresh()).state == "off":  # nobody was there when the address was to be mended
            await world.endpoint.enable()
            await world.settle()
        assert await deliveries(world) == ["delivered"] * 3
        assert {event.sequence for event in world.crm.heard} == {1, 2, 3}
        assert world.webhooks.listed == {}
        assert not world.work.promises

    await with_each_crash(story, check)


async def test_an_operator_who_dies_while_switching_on_has_switched_on_or_not(world: World) -> None:
    """Whatever the moment: asking again is enough, and if deliveries are on already, everything comes back by itself."""
    for number in range(1, 5):
        for applied in (False, True):
            world = new_world()
            await switched_off(world)
            world.faults.crash_at(number, applied=applied)
            await world.survive(world.endpoint.enable())
            world.faults.clear()
            if (await world.endpoint.fresh()).state == "off":
                await world.endpoint.enable()
            await world.settle()
            assert await deliveries(world) == ["delivered"], f"call {number}"
            assert not world.work.promises


async def test_what_was_erased_while_deliveries_were_off_does_not_wait(world: World) -> None:
    """Of all that told of a user only the end of the connection is still to be delivered, without names."""
    await world.sent(await world.connected(DANA))
    world.crm.heard.clear()
    world.crm.answers.append(GONE_AWAY)
    await world.sent(await world.connection(), key="key-2")
    await world.sent(await world.connection(), key="key-3")
    assert [event.sequence for event in world.webhooks.listed.values()] == [3, 4]

    await world.erase.erase(ACCOUNT, "u1")
    await world.settle()
    feed = await world.feed()
    assert [event.type for event in feed if event.delivery == "undelivered"] == ["connection.disconnected"]
    assert [event.event_id for event in world.webhooks.listed.values()] == [feed[-1].event_id]

    await world.endpoint.enable()
    await world.settle()
    assert [event.type for event in world.crm.heard] == ["connection.disconnected"]
    assert world.webhooks.listed == {}


async def test_one_410_stops_its_event_alone(world: World) -> None:
    """It may be a mistake of a moment, and would stop every account: only if it goes on, deliveries are switched off."""
    world.endpoint.gone_for = timedelta(minutes=1)
    world.crm.answers.append(GONE_AWAY)
    await told(world, "first")
    await told(world, "second")
    await world.settle()
    assert sorted(await deliveries(world)) == ["delivered", "undelivered"]
    assert (await world.endpoint.show())[0].state == "on"

    world.crm.answers.extend([GONE_AWAY] * 2)
    await told(world, "third")
    await world.settle()
    world.clock.advance(timedelta(minutes=2))
    await told(world, "fourth")
    await world.settle()
    assert (await world.endpoint.show())[0].state == "off"


async def test_asking_for_an_event_again_switches_deliveries_on(world: World) -> None:
    """Who asks is there to take it, and what else was left comes with it."""
    await switched_off(world)
    await told(world, "later")
    await world.settle(timedelta(minutes=5))
    assert await deliveries(world) == ["undelivered"] * 2

    (first, _) = await world.feed()
    await world.deliver.redeliver(first.account_id, first.event_id)
    await world.settle(timedelta(hours=1))
    assert (await world.endpoint.show())[0].state == "on"
    assert await deliveries(world) == ["delivered"] * 2
