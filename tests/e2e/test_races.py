"""
Fifty equal requests at once, on the real app and storage, again and again: one email each time.

`RACES=200` plays as many as the unit tests do (tests/unit/flows/test_races.py, where chance orders every call).
"""

import asyncio
import os

from tests.e2e.account import Connected, unique
from tests.e2e.batches import received, with_provider
from tests.e2e.conversation import at_rest, heard_of, left, told

RACES = int(os.environ.get("RACES", "10"))
REQUESTS = 50


async def test_one_email_of_fifty_equal_requests(connected: Connected) -> None:
    """All are answered alike, one email leaves, one outcome is told; a request with the same key and another body is refused."""
    for number in range(RACES):
        key, body = unique("key"), connected.mail(subject=f"Offer {number}")
        answers = await asyncio.gather(*(connected.api.send(body, key) for _ in range(REQUESTS)))
        assert {(answer.status_code, answer.text) for answer in answers} == {(202, answers[0].text)}
        other = await connected.api.send(body | {"subject": "Another"}, key)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        await heard_of(connected, "message.sent", answers[0].json()["messages"][0]["message_id"])
    await at_rest(connected)
    assert sorted(mail["subject"] for mail in left(connected)) == sorted(f"Offer {n}" for n in range(RACES))
    assert [kind for kind, _ in told(connected)] == ["message.sent"] * RACES


async def test_one_email_through_the_provider_of_fifty_equal_requests(connected: Connected) -> None:
    """The server gets it once."""
    await with_provider(connected)
    for number in range(RACES // 2):
        key, body = unique("key"), connected.mail(kind="workflow", subject=f"Offer {number}")
        answers = await asyncio.gather(*(connected.api.send(body, key) for _ in range(REQUESTS)))
        assert {(answer.status_code, answer.text) for answer in answers} == {(202, answers[0].text)}
        await heard_of(connected, "message.sent", answers[0].json()["messages"][0]["message_id"])
    await at_rest(connected)
    assert sorted(mail.subject for mail in received(connected)) == sorted(f"Offer {n}" for n in range(RACES // 2))
