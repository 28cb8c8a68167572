"""
The CRM's webhook as a whole: switched off and on, everything since a sequence again, a test event, and one account that hangs.

These tests have a cloud of their own: there is one webhook for the whole app, and switching it off stops every account.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest
import pytest_asyncio
from azure.data.tables.aio import TableServiceClient

from sync.adapters.journal import JournalTable
from sync.adapters.tables import Tables
from sync.adapters.webhooks import WebhooksTable
from sync.domain.event import NewEvent
from sync.domain.webhook import GONE_FOR
from sync.flows.turns import AT_ONCE
from tests.cloud.local import LocalCloud
from tests.cloud.polling import eventually
from tests.e2e.account import Account, Connected, Json, unique
from tests.e2e.conversation import at_rest, heard_of, newly_connected
from tests.e2e.test_feed import crm_answers, ended, pushes, told_as_sent


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cloud() -> AsyncIterator[LocalCloud]:
    """The cloud of this file."""
    async with LocalCloud() as own:
        yield own


async def webhook_is(of: Account, state: str) -> Json:
    """The webhook, once it stands so."""

    async def look() -> Json | None:
        shown: Json = (await of.api.webhook()).json()
        return shown if shown["state"] == state else None

    return await eventually(look, f"the webhook to be {state}")


async def a_minute_passes(of: Connected) -> None:
    """Since the receiver's first 410: the app's clock can't be moved, so it is moved back in its row."""
    async with TableServiceClient.from_connection_string(of.cloud.azurite.connection_string) as client:
        webhooks = WebhooksTable(Tables(client))
        stored = await webhooks.state()
        assert stored is not None
        assert stored.gone_since is not None
        await webhooks.save(replace(stored, gone_since=stored.gone_since - GONE_FOR))


@pytest_asyncio.fixture(loop_scope="session")
async def alone(http: httpx.AsyncClient) -> AsyncIterator[Connected]:
    """A connected user on a cloud where nobody else is told anything meanwhile."""
    async with LocalCloud() as own, own.api(unique("acme")) as api:
        yield await newly_connected(Account(own, api, http))


async def test_410_switches_deliveries_off_and_the_operator_switches_them_on(alone: Connected) -> None:
    """Off, nothing is pushed and every event waits visibly in the feed; on, each of them comes, and nothing is left."""
    await at_rest(alone)
    await crm_answers(alone, 410)
    once = await told_as_sent(alone)
    await ended(alone, once["id"], "undelivered", 1)
    assert (await alone.api.webhook()).json()["state"] == "on", "one 410 may be a mistake"
    await a_minute_passes(alone)
    await crm_answers(alone, 410)
    first = await told_as_sent(alone)
    gone = await ended(alone, first["id"], "undelivered", 1)
    off = await webhook_is(alone, "off")
    answer = await alone.api.send(alone.mail(), unique("key"))
    second_message = answer.json()["messages"][0]["message_id"]

    async def second_told() -> Json | None:
        return next((e for e in await alone.feed() if second_message in str(e["data"])), None)

    second = await eventually(second_told, "the second email to be told")
    waiting = await ended(alone, second["id"], "undelivered", 0)
    await at_rest(alone)  # an event is listed after it is undelivered

    assert gone["reason"] == "the receiver answered 410 Gone"
    assert waiting["reason"] == "Deliveries were switched off."
    assert off["reason"] == "The receiver answered 410 Gone."
    assert off["last_failure"] == {"at": off["last_failure"]["at"], "status": 410, "error": None}
    assert off["last_failure"]["at"] <= off["since"]
    assert (await alone.api.webhook()).json()["undelivered"] == 3
    assert pushes(alone, second["id"]) == []

    on = await alone.api.enable_webhook()

    await ended(alone, first["id"], "delivered", 2)
    delivered = await ended(alone, second["id"], "delivered", 1)
    assert (on.status_code, on.json()["state"], on.json()["reason"]) == (200, "on", None)
    assert "reason" not in delivered
    assert [push.answered for push in pushes(alone, first["id"])] == [410, 204]

    async def nothing_left() -> bool:
        return (await alone.api.webhook()).json()["undelivered"] == 0  # type: ignore[no-any-return]

    await eventually(nothing_left, "nothing to be undelivered")


async def test_everything_since_a_sequence_comes_again(connected: Connected) -> None:
    """Each event above it once more, in order; nothing below it, and nothing of another account."""
    for _ in range(3):
        await heard_of(connected, "message.sent", (await connected.sent())["message_id"])
    # That an event was taken is written down after it was; asked for again before, it would have been tried once.
    await at_rest(connected)
    feed = await connected.feed()
    async with connected.cloud.api(unique("other")) as other:
        nothing = await other.redeliver_after(0)

    answer = await connected.api.redeliver_after(2)

    assert (answer.status_code, answer.json()) == (202, {"redelivering_after": 2, "through": 4})
    assert (nothing.status_code, nothing.json()) == (202, {"redelivering_after": 0, "through": 0})
    for event in feed:
        await ended(connected, event["id"], "delivered", 2 if event["sequence"] > 2 else 1)
    assert Counter(event["sequence"] for event in connected.events()) == {1: 1, 2: 1, 3: 2, 4: 2}
    assert await connected.feed() == feed


@pytest.mark.parametrize("after", [-1, "2", 1.5, None, 10_000_000_000])
async def test_a_sequence_that_makes_no_sense_is_refused(account: Account, after: object) -> None:
    """422 that names the field."""
    answer = await account.api.redeliver_after(after)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert [error["field"] for error in answer.json()["errors"]] == ["after"]


async def test_a_test_event_shows_how_the_receiver_answers(account: Account) -> None:
    """Signed as every event, in no feed, and told as it went: taken, or not."""
    taken = (await account.api.test_webhook()).json()
    await account.http.post(f"{account.cloud.crm.url}/_lab/answer", json={"status": 503, "type": "webhook.test"})
    refused = (await account.api.test_webhook()).json()

    assert taken == {
        "event_id": taken["event_id"],
        "accepted": True,
        "status": 204,
        "duration_s": taken["duration_s"],
        "error": None,
        "answer": "",
    }
    assert (refused["accepted"], refused["status"]) == (False, 503)
    pushed = [push.event for push in account.cloud.crm.attempts if push.event["type"] == "webhook.test"]
    assert [event["id"] for event in pushed[-2:]] == [taken["event_id"], refused["event_id"]]
    assert (pushed[-1]["account_id"], pushed[-1]["sequence"]) == (None, None)
    assert await account.feed() == []


async def test_the_webhooks_routes_need_the_key(account: Account) -> None:
    """Nobody else can switch deliveries on, look, or push."""
    for method, path in (("GET", ""), ("POST", "/enable"), ("POST", "/test")):
        answer = await account.http.request(method, f"{account.cloud.functions_url}/v1/webhook{path}")
        assert answer.status_code == 401


async def test_an_account_whose_receiver_hangs_does_not_hold_up_another(connected: Connected) -> None:
    """A hundred events hang for 15 s each: four at a time, while another account's email is told within moments."""
    slow, told = unique("slow"), await connected.sent()
    async with TableServiceClient.from_connection_string(connected.cloud.azurite.connection_string) as tables:
        journal = JournalTable(Tables(tables))
        for number in range(100):
            await journal.append(
                NewEvent(slow, "message.sent", f"event {number}", datetime.now(UTC), {"message": told})
            )
    await crm_answers(connected, 204, delay_s=20, times=1000, account_id=slow)

    def hanging() -> int:
        return sum(push.event["account_id"] == slow for push in connected.cloud.crm.attempts)

    async def hangs() -> bool:
        return hanging() == AT_ONCE

    try:
        async with connected.cloud.api(slow) as api:
            assert (await api.redeliver_after(0)).json()["through"] == 100
        await eventually(hangs, "the slow account to hang")
        began = time.monotonic()
        await connected.sent()
        took_s = time.monotonic() - began
        assert hanging() == AT_ONCE, "more of the slow account came through meanwhile"
        assert took_s < 10, "sending an email and telling of it took too long"
    finally:
        connected.cloud.crm.reset()

    async def more_come() -> bool:
        return len({e["sequence"] for e in connected.cloud.crm.events if e["account_id"] == slow}) >= 20

    await eventually(more_come, "the slow account's events, once it answers again", timeout=60)
