"""The Idempotency-Key of a send: required, of visible ASCII, and bound to one body."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.e2e.account import Connected, unique
from tests.e2e.witness import Witness, problem_of


async def send(user: Connected, content: bytes, headers: dict[str, Any] | None = None) -> httpx.Response:
    """A send with this very body and these headers."""
    return await user.http.post(
        f"{user.cloud.functions_url}/v1/accounts/{user.account_id}/messages",
        content=content,
        headers={"x-functions-key": user.cloud.function_key} | (headers or {}),
    )


async def sent_once(user: Connected) -> None:
    """See that one email was sent and told, whatever was asked."""
    await user.heard("message.sent")
    await user.stage.quiet()
    assert [event["type"] for event in await user.feed()] == ["connection.connected", "message.sent"]
    assert len((await user.api.threads()).json()["threads"]) == 1


@pytest.mark.parametrize(
    "key", [None, "", "a b", "x" * 256, "ü".encode(), "ключ".encode(), b"\xff", "a\tb", "🙂".encode()]
)
async def test_a_send_without_a_usable_key_is_refused(witness: Witness, key: str | bytes | None) -> None:
    """400 that says what a key looks like."""
    headers = {} if key is None else {"Idempotency-Key": key}
    body = json.dumps(witness.user.mail()).encode()

    problem = await witness.refused(lambda: send(witness.user, body, headers), 400, "idempotency_key_missing")

    assert "Idempotency-Key" in problem["detail"]


@pytest.mark.parametrize("key", ["1", "x" * 255, "!#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "../../x?y=z#'"])
async def test_any_visible_ascii_is_a_key(connected: Connected, key: str) -> None:
    """Up to 255 characters, also those that no table key and no path may hold."""
    answer = await connected.api.send(connected.mail(), key)

    assert answer.status_code == 202


async def test_the_same_json_written_otherwise_is_the_same_send(connected: Connected) -> None:
    """Spacing, order of members and escapes do not make another body: the same answer, one email."""
    key, mail = unique("key"), connected.mail(subject="Grüße", metadata={"a": 1, "b": 2})
    turned = dict(reversed(mail.items())) | {"metadata": {"b": 2, "a": 1}}
    written = [
        json.dumps(mail, separators=(",", ":"), ensure_ascii=False),
        json.dumps(mail, indent=4),
        json.dumps(turned),
    ]

    answers = [await send(connected, text.encode(), {"Idempotency-Key": key}) for text in written]

    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert len({answer.text for answer in answers}) == 1
    await sent_once(connected)


async def test_a_key_stands_for_one_body(connected: Connected) -> None:
    """The same key with another body is a 422; the first send and its answer stay as they were, and nothing else goes out."""
    key = unique("key")
    first = await connected.api.send(connected.mail(), key)

    others: list[dict[str, Any]] = [{"subject": "Another offer"}, {"html": None, "text": "Dear Ada"}, {"cc": []}]
    for changes in others:
        refused = await connected.api.send(connected.mail(**changes), key)
        assert refused.status_code == 422
        assert problem_of(refused)["code"] == "idempotency_key_reused"

    again = await connected.api.send(connected.mail(), key)
    assert (again.status_code, again.text) == (202, first.text)
    await sent_once(connected)


async def test_a_key_belongs_to_its_account(connected: Connected) -> None:
    """Two accounts that number their sends alike do not meet."""
    key = unique("key")
    accepted = await connected.api.send(connected.mail(), key)

    async with connected.cloud.api(unique("other")) as elsewhere:
        answer = await elsewhere.send(connected.mail(subject="Another"), key)

    assert accepted.status_code == 202
    assert problem_of(answer)["code"] == "provider_not_configured"


async def test_a_refused_send_does_not_use_its_key_up(connected: Connected) -> None:
    """Once the CRM has mended the body, the same key sends it."""
    key = unique("key")
    assert (await connected.api.send(connected.mail(subject="a\nb"), key)).status_code == 422

    assert (await connected.api.send(connected.mail(), key)).status_code == 202


async def test_of_different_bodies_at_once_one_wins(connected: Connected) -> None:
    """Eight bodies under one key at the same moment: one is sent, the others are told that the key is used."""
    key = unique("key")

    answers = await asyncio.gather(*(connected.api.send(connected.mail(subject=f"Offer {n}"), key) for n in range(8)))

    assert sorted(answer.status_code for answer in answers) == [202] + [422] * 7
    await sent_once(connected)
