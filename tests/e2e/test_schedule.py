"""Scheduled emails on the real app: they leave at their time, survive the worker, and can be taken back until then."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.account import Connected, Json, unique
from tests.e2e.batches import accepted
from tests.e2e.conversation import at_rest, heard_of, left, told


def seconds_ahead(seconds: float) -> str:
    """A time as the contract takes it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def scheduled(by: Connected, seconds: float, **changes: object) -> Json:
    """What was told of an email that is to leave then."""
    answer = await accepted(by, by.mail(send_at=seconds_ahead(seconds), **changes))
    assert answer["send_at"]
    return dict(answer["messages"][0])


async def test_an_email_leaves_at_its_time_though_the_worker_dies_before(connected: Connected) -> None:
    """Not earlier; until then it is shown with its time."""
    at = datetime.now(UTC) + timedelta(seconds=6)
    message = await scheduled(connected, 6)
    shown = (await connected.api.message(message["message_id"])).json()
    assert shown["status"] == "queued"
    assert abs(datetime.fromisoformat(shown["send_at"]) - at) < timedelta(seconds=2)
    await connected.cloud.functions.kill_worker()
    await heard_of(connected, "message.sent", message["message_id"])
    assert datetime.now(UTC) >= at - timedelta(seconds=1)
    assert len(left(connected)) == 1


async def test_it_can_be_cancelled_until_it_goes(connected: Connected) -> None:
    """By its own id or by its batch's; afterwards there is nothing to cancel."""
    first, second = await scheduled(connected, 3_600), await scheduled(connected, 3_600)
    cancelled = await connected.api.cancel_message(first["message_id"])
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    batch = await connected.api.cancel_batch("bat_" + second["message_id"][4:24])
    assert batch.json()["counts"]["cancelled"] == 1
    assert (await connected.api.cancel_message(second["message_id"])).json()["status"] == "cancelled"
    sent = await connected.sent()
    late = await connected.api.cancel_message(sent["message_id"])
    assert (late.status_code, late.json()["code"]) == (409, "not_cancellable")
    assert (await connected.api.cancel_message("msg_" + "a" * 24)).status_code == 404
    await at_rest(connected)
    assert len(left(connected)) == 1
    assert told(connected) == [("message.sent", sent["message_id"])]


async def test_a_repeated_request_is_the_same_email(connected: Connected) -> None:
    """The answer shows the same time, and one email leaves."""
    body, key = connected.mail(send_at=seconds_ahead(4)), unique("key")
    every = await asyncio.gather(*(accepted(connected, body, key) for _ in range(10)))
    assert all(answer == every[0] for answer in every)
    await heard_of(connected, "message.sent", every[0]["messages"][0]["message_id"])
    assert await accepted(connected, body, key) == every[0]
    await at_rest(connected)
    assert len(left(connected)) == 1


@pytest.mark.parametrize("when", [31 * 86_400, -600], ids=["31 days", "ten minutes ago"])
async def test_a_time_that_can_not_be_kept_is_refused(connected: Connected, when: float) -> None:
    """With the field named; nothing is sent."""
    answer = await connected.api.send(connected.mail(send_at=seconds_ahead(when)), unique("key"))
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["send_at"]
