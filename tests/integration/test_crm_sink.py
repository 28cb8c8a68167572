"""The CRM of the local cloud: what it believes, what it keeps, and how it fails on demand."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from tests.cloud.crm import CrmSink
from tests.cloud.polling import eventually


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


NEWEST, OLDER, STRANGE = new_secret(), new_secret(), new_secret()


@pytest.fixture
async def crm() -> AsyncIterator[CrmSink]:
    sink = CrmSink([NEWEST, OLDER])
    await sink.start()
    yield sink
    await sink.stop()


@pytest.fixture
async def http(crm: CrmSink) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=crm.url) as client:
        yield client


def delivery(
    event_id: str = "evt_1", *, secret: str = NEWEST, shift_s: float = 0, body: bytes | None = None, **headers: str
) -> dict[str, Any]:
    """
    A signed delivery as httpx takes it.

    shift_s: seconds between now and its timestamp. headers: what to write instead, with `_` for `-`.
    """
    at = datetime.now(UTC) + timedelta(seconds=shift_s)
    body = body if body is not None else json.dumps({"id": event_id, "type": "message.synced"}).encode()
    signed = {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(event_id, at, body.decode()) if body.isascii() else "v1,AAAA",
        "content-type": "application/json",
    }
    return {"content": body, "headers": signed | {name.replace("_", "-"): value for name, value in headers.items()}}


@pytest.mark.parametrize("secret", [NEWEST, OLDER], ids=["newest", "older"])
async def test_a_delivery_signed_with_any_of_the_secrets_is_kept(
    crm: CrmSink, http: httpx.AsyncClient, secret: str
) -> None:
    """While secrets rotate, a signature by the old or the new one is good, and the event is kept with its headers."""
    answer = await http.post("/webhooks", **delivery("evt_7", secret=secret))

    assert answer.status_code == 204
    [kept] = (await http.get("/_lab/events")).json()
    assert kept["event"] == {"id": "evt_7", "type": "message.synced"}
    assert kept["headers"]["webhook-id"] == "evt_7"
    assert kept["answered"] == 204


async def test_several_signatures_in_one_header_are_enough_when_one_is_good(
    crm: CrmSink, http: httpx.AsyncClient
) -> None:
    """The signature header is a list, as a rotating sender writes it."""
    good = delivery()
    good["headers"]["webhook-signature"] = "v1,AAAA " + good["headers"]["webhook-signature"]

    assert (await http.post("/webhooks", **good)).status_code == 204


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        pytest.param({"secret": STRANGE}, 401, "No matching signature", id="signed by a stranger"),
        pytest.param({"webhook_signature": "v1a,AAAA"}, 401, "No matching signature", id="another version"),
        pytest.param({"webhook_signature": "nonsense"}, 401, "malformed", id="no comma"),
        pytest.param({"webhook_signature": "v1,A"}, 401, "malformed", id="bad base64"),
        pytest.param({"webhook_signature": ""}, 401, "Missing required headers", id="no signature"),
        pytest.param({"webhook_id": "evt_2"}, 401, "No matching signature", id="signed for another id"),
        pytest.param({"webhook_timestamp": "soon"}, 401, "whole number", id="timestamp in words"),
        pytest.param({"webhook_timestamp": "1700000000.5"}, 401, "whole number", id="fraction of a second"),
        pytest.param({"shift_s": -360}, 401, "too old", id="too old"),
        pytest.param({"shift_s": 360}, 401, "too new", id="too new"),
        pytest.param({"body": b"\xff\xfe"}, 401, "malformed", id="not UTF-8"),
        pytest.param({"body": b"not json"}, 400, "not JSON", id="not JSON"),
        pytest.param({"body": b'{"id":"evt_other"}'}, 400, "not the webhook-id", id="another event id"),
        pytest.param({"body": b"[]"}, 400, "not the webhook-id", id="not an object"),
        pytest.param({"content_type": "text/plain"}, 400, "application/json", id="not sent as JSON"),
    ],
)
async def test_what_a_careful_crm_would_not_believe_is_refused_and_remembered_apart(
    crm: CrmSink, http: httpx.AsyncClient, sent: dict[str, Any], status: int, reason: str
) -> None:
    """A bad delivery is answered 4xx with its reason, listed under refused, and never among the events or attempts."""
    answer = await http.post("/webhooks", **delivery(**sent))

    assert answer.status_code == status
    assert reason in answer.json()["error"]
    [refused] = (await http.get("/_lab/refused")).json()
    assert reason in refused["reason"]
    assert (await http.get("/_lab/events")).json() == []
    assert (await http.get("/_lab/attempts")).json() == []


async def test_scripted_answers_are_given_in_order_and_then_it_is_well_again(
    crm: CrmSink, http: httpx.AsyncClient
) -> None:
    """Only what was answered 2xx counts as received; every try is listed with the answer it got."""
    await http.post("/_lab/answer", json={"status": 503, "retry_after": 7, "times": 2})
    await http.post("/_lab/answer", json={"status": 200})
    answers = [await http.post("/webhooks", **delivery(f"evt_{n}")) for n in range(4)]

    assert [a.status_code for a in answers] == [503, 503, 200, 204]
    assert answers[0].headers["retry-after"] == "7"
    assert [a["answered"] for a in (await http.get("/_lab/attempts")).json()] == [503, 503, 200, 204]
    assert [e["event"]["id"] for e in (await http.get("/_lab/events")).json()] == ["evt_2", "evt_3"]


@pytest.mark.parametrize("meant", [{"account_id": "another"}, {"type": "another.type"}])
async def test_an_answer_for_some_events_leaves_the_others_alone(
    crm: CrmSink, http: httpx.AsyncClient, meant: dict[str, str]
) -> None:
    """It waits for a delivery of that account or type, and does not stand in the way of the scripts behind it."""
    await http.post("/_lab/answer", json={"status": 500, **meant})
    await http.post("/_lab/answer", json={"status": 503})
    assert [(await http.post("/webhooks", **delivery())).status_code for _ in range(2)] == [503, 204]


async def test_a_slow_answer_is_waited_for_but_the_attempt_is_seen_at_once(
    crm: CrmSink, http: httpx.AsyncClient
) -> None:
    """A sender that gives up early still shows as an attempt, and not as an accepted event."""
    await http.post("/_lab/answer", json={"status": 204, "delay_s": 60})
    sending = asyncio.create_task(http.post("/webhooks", **delivery(), timeout=60))

    async def seen() -> bool:
        return bool(crm.attempts)

    await eventually(seen, "the attempt to be seen")
    assert not sending.done()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending

    assert len(crm.attempts) == 1
    assert crm.events == []


async def test_a_followed_redirect_is_noticed(crm: CrmSink, http: httpx.AsyncClient) -> None:
    """Redirects of a webhook are failures: a sender that follows one is told on."""
    await http.post("/_lab/answer", json={"status": 307})

    answer = await http.post("/webhooks", **delivery(), follow_redirects=True)

    assert answer.status_code == 400
    assert [refusal.reason for refusal in crm.refused] == ["a webhook redirect was followed"]


@pytest.mark.parametrize(
    "control",
    [{"status": 200, "time": 2}, {"times": 2}, {"status": 42}, {"status": 200, "times": 0}, {"status": "200"}],
)
async def test_a_control_that_is_misspelt_is_refused(
    crm: CrmSink, http: httpx.AsyncClient, control: dict[str, Any]
) -> None:
    """A typo in a test's control fails that test instead of doing nothing."""
    answer = await http.post("/_lab/answer", json=control)

    assert answer.status_code == 400
    assert answer.json()["wrong"]


async def test_waiting_ends_with_the_event_or_with_what_came_instead(crm: CrmSink, http: httpx.AsyncClient) -> None:
    """`wait_for` returns the first event that fits, may skip those already seen, and else tells what did come."""
    await http.post("/webhooks", **delivery("evt_1"))
    await http.post("/webhooks", **delivery("evt_2"))

    assert (await crm.wait_for(lambda event: event["type"] == "message.synced"))["id"] == "evt_1"
    assert (await crm.wait_for(lambda _event: True, after=1))["id"] == "evt_2"
    with pytest.raises(TimeoutError, match=r"accepted: message\.synced, message\.synced"):
        await crm.wait_for(lambda event: event["type"] == "message.failed", timeout=0.05)


async def test_a_reset_forgets_everything(crm: CrmSink, http: httpx.AsyncClient) -> None:
    """After a reset nothing is kept and no scripted failure is left over for the next test."""
    await http.post("/webhooks", **delivery())
    await http.post("/webhooks", **delivery(secret=STRANGE))
    await http.post("/_lab/answer", json={"status": 500, "times": 9})

    assert (await http.post("/_lab/reset")).status_code == 204

    lists = [(await http.get(f"/_lab/{name}")).json() for name in ("events", "attempts", "refused")]
    assert lists == [[], [], []]
    assert (await http.post("/webhooks", **delivery())).status_code == 204


async def test_the_return_page_shows_the_result_and_escapes_what_it_was_given(
    crm: CrmSink, http: httpx.AsyncClient
) -> None:
    """The page a person comes back to names the result; its parameters cannot put markup into it."""
    page = await http.get(crm.return_url, params={"result": "ok", "completion_code": "<script>alert(1)</script>"})

    assert "Signed in" in page.text
    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text
