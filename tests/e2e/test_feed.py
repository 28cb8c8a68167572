"""What the CRM is told: pushed with a good signature until it is taken, and kept in a feed that says the same."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from tests.cloud.crm import Delivery
from tests.cloud.polling import eventually
from tests.e2e.account import Connected, Json, unique
from tests.e2e.conversation import answers, at_rest, heard_of, synced


async def crm_answers(of: Connected, status: int, **more: object) -> None:
    """How the CRM answers the account's next delivery."""
    meant = {"status": status, "account_id": of.account_id}
    await of.stage.lab("POST", f"{of.cloud.crm.url}/_lab/answer", meant | more)


async def accepted(by: Connected) -> str:
    """The id of a new email that is on its way."""
    answer = await by.api.send(by.mail(), unique("key"))
    return str(answer.json()["messages"][0]["message_id"])


def pushes(of: Connected, event_id: str) -> list[Delivery]:
    """Every delivery of this event with a good signature, whatever the CRM answered."""
    return [delivery for delivery in of.cloud.crm.attempts if delivery.event["id"] == event_id]


async def ended(of: Connected, event_id: str, delivery: str, attempts: int) -> Json:
    """The event as its route shows it, once its delivery stands so after so many attempts."""

    async def look() -> Json | None:
        event: Json = (await of.api.event(event_id)).json()
        return event if (event["delivery"], len(event["attempts"])) == (delivery, attempts) else None

    return await eventually(look, f"{event_id} to be {delivery} after {attempts} attempts")


async def told_as_sent(of: Connected) -> Json:
    """The `message.sent` in the feed of a new email, however its delivery goes."""
    message_id = await accepted(of)

    async def look() -> Json | None:
        return next((e for e in await of.feed() if e["data"].get("message", {}).get("message_id") == message_id), None)

    return await eventually(look, "the email to be told")


@pytest_asyncio.fixture(loop_scope="session")
async def with_history(connected: Connected) -> AsyncIterator[Connected]:
    """A user with seven events: connected, three emails, three answers."""

    async def offer_and_answer(subject: str) -> None:
        await synced(connected, await answers(connected, await connected.sent(subject=subject)))

    await asyncio.gather(*(offer_and_answer(f"Offer {n}") for n in range(3)))
    await at_rest(connected)
    yield connected


async def test_pages_make_up_the_feed(with_history: Connected) -> None:
    """Whatever the page size, following next_after while has_more reads every event once, in order, and not a page more."""
    for limit in (1, 2, 3, 6, 7, 8, 1000):
        read: list[Json] = []
        after, has_more, pages = 0, True, 0
        while has_more:
            page = (await with_history.api.events(after, limit)).json()
            assert page.keys() == {"events", "next_after", "has_more"}
            assert 1 <= len(page["events"]) <= limit
            assert page["next_after"] == page["events"][-1]["sequence"]
            read += page["events"]
            after, has_more, pages = page["next_after"], page["has_more"], pages + 1
        assert [event["sequence"] for event in read] == list(range(1, 8))
        assert pages == -(-7 // limit)

    past_the_end = (await with_history.api.events(7)).json()
    assert past_the_end == {"events": [], "next_after": 7, "has_more": False}


@pytest.mark.parametrize(
    "query", [{"after": "-1"}, {"after": "x"}, {"limit": "1001"}, {"limit": "1e3"}, {"after": "9" * 11}]
)
async def test_a_page_that_makes_no_sense_is_refused(connected: Connected, query: dict[str, str]) -> None:
    """422 that names the field, instead of a page of something else."""
    answer = await connected.http.get(
        f"{connected.cloud.functions_url}/v1/accounts/{connected.account_id}/events",
        params=query,
        headers={"x-functions-key": connected.cloud.function_key},
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["errors"][0]["field"] in query


async def test_what_is_pushed_is_what_the_feed_says(with_history: Connected) -> None:
    """Field by field; each signature was believed, and the headers are those of Standard Webhooks."""
    feed = await with_history.feed()

    assert {event["sequence"]: event for event in with_history.events()} == {event["sequence"]: event for event in feed}
    assert not [r for r in with_history.cloud.crm.refused if with_history.account_id in r.body]
    for event in feed:
        assert event.keys() == {"id", "type", "account_id", "sequence", "occurred_at", "data"}
        assert event["account_id"] == with_history.account_id
        assert datetime.fromisoformat(event["occurred_at"]).utcoffset() is not None
        [push] = pushes(with_history, event["id"])
        assert push.headers["webhook-id"] == event["id"]
        assert push.headers["webhook-signature"].startswith("v1,")


async def test_accounts_have_feeds_of_their_own(with_history: Connected) -> None:
    """Another account sees nothing of it, neither in its feed nor by an event's id."""
    known = (await with_history.feed())[0]["id"]

    async with with_history.cloud.api(f"other-{with_history.account_id}") as other:
        assert (await other.events()).json() == {"events": [], "next_after": 0, "has_more": False}
        assert (await other.event(known)).status_code == 404
        assert (await other.redeliver(known)).status_code == 404
    assert (await with_history.api.event("evt_0000000001aaaaaaaaaaaa")).status_code == 404


async def test_the_event_route_shows_the_delivery(connected: Connected) -> None:
    """The event as it was pushed, with when it was tried, how long that took and what the CRM said."""
    event = await heard_of(connected, "message.sent", (await connected.sent())["message_id"])

    shown = await ended(connected, event["id"], "delivered", 1)

    [attempt] = shown["attempts"]
    assert shown == event | {"delivery": "delivered", "due_at": None, "attempts": [attempt]}
    assert attempt == {
        "at": attempt["at"],
        "duration_s": attempt["duration_s"],
        "status": 204,
        "error": None,
        "answer": "",
    }
    assert 0 <= attempt["duration_s"] < 15


async def test_a_delivery_that_failed_is_tried_again_after_five_seconds(connected: Connected) -> None:
    """500, then taken: the same webhook-id and body with a newer timestamp, and both tries on record."""
    await at_rest(connected)
    await crm_answers(connected, 500)
    event = await told_as_sent(connected)
    waiting = await ended(connected, event["id"], "pending", 1)
    seen_at = datetime.now(UTC)

    shown = await ended(connected, event["id"], "delivered", 2)

    first, second = pushes(connected, event["id"])
    assert (first.answered, second.answered) == (500, 204)
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == event["id"]
    assert first.event == second.event == event
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) >= 4
    assert [attempt["status"] for attempt in shown["attempts"]] == [500, 204]
    began, again = (datetime.fromisoformat(attempt["at"]) for attempt in shown["attempts"])
    due_at = datetime.fromisoformat(waiting["due_at"])
    # Counted from when the answer was noted, which is after the try began and before it could be seen; spread by a tenth.
    assert (due_at - began).total_seconds() >= 5
    assert (due_at - seen_at).total_seconds() <= 5.5
    assert (again - due_at).total_seconds() >= -1


async def test_the_crm_can_ask_for_what_it_took(connected: Connected) -> None:
    """It is pushed once more under the same id; the feed is as it was, and the attempts are kept."""
    event = await heard_of(connected, "message.sent", (await connected.sent())["message_id"])
    await ended(connected, event["id"], "delivered", 1)

    again = await connected.api.redeliver(event["id"])

    await ended(connected, event["id"], "delivered", 2)
    assert (again.status_code, again.json()["delivery"]) == (202, "pending")
    assert [push.answered for push in pushes(connected, event["id"])] == [204, 204]
    assert [e["sequence"] for e in await connected.feed()] == [1, 2]


@pytest.mark.parametrize("status", [301, 404, 503])
async def test_whatever_is_not_2xx_is_a_failure(connected: Connected, status: int) -> None:
    """A redirect is not followed; the event waits for its next try, which a redelivery brings forward."""
    await at_rest(connected)
    await crm_answers(connected, status)
    event = await told_as_sent(connected)
    await ended(connected, event["id"], "pending", 1)

    await connected.api.redeliver(event["id"])

    shown = await ended(connected, event["id"], "delivered", 2)
    assert [attempt["status"] for attempt in shown["attempts"]] == [status, 204]
    assert not [refusal for refusal in connected.cloud.crm.refused if event["id"] in refusal.body]


async def test_retry_after_is_obeyed(connected: Connected) -> None:
    """A CRM that asks for time gets it."""
    await at_rest(connected)
    await crm_answers(connected, 503, retry_after=600)
    event = await told_as_sent(connected)

    shown = await ended(connected, event["id"], "pending", 1)

    tried = datetime.fromisoformat(shown["attempts"][0]["at"])
    assert (datetime.fromisoformat(shown["due_at"]) - tried).total_seconds() >= 600
    await connected.api.redeliver(event["id"])
    await ended(connected, event["id"], "delivered", 2)


async def test_a_later_event_does_not_wait_for_an_earlier_one(connected: Connected) -> None:
    """While one event waits for its next try, the next ones are delivered; the sequence tells their order."""
    await at_rest(connected)
    await crm_answers(connected, 503, retry_after=600)
    first = await told_as_sent(connected)
    await ended(connected, first["id"], "pending", 1)

    second = await connected.sent()

    assert (await heard_of(connected, "message.sent", second["message_id"]))["sequence"] == first["sequence"] + 1
    await connected.api.redeliver(first["id"])
    await ended(connected, first["id"], "delivered", 2)
