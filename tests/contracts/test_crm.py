"""The promises of the CRM's webhook, on the fake and on the adapter at a CRM that verifies as Standard Webhooks asks."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from sync.adapters import crm
from sync.adapters.crm import CrmWebhook
from sync.domain.event import MAX_ANSWER_BYTES, Answer, Event, webhook_test
from sync.domain.ids import event_id
from tests.cloud.crm import CrmSink
from tests.cloud.server import Port, Server
from tests.contracts.values import ACCOUNT, NOW
from tests.fakes.crm import FakeCrm
from tests.fakes.faults import Faults


def secret(letter: str) -> str:
    return "whsec_" + base64.b64encode(letter.encode() * 32).decode()


NEW, OLD, FOREIGN = secret("n"), secret("o"), secret("f")
EVENT = Event(
    event_id=event_id(ACCOUNT, 1, "once"),
    type="message.synced",
    account_id=ACCOUNT,
    sequence=1,
    occurred_at=NOW,
    data={"message": {"text": "Grüße 🎈 </script>"}},
)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def sink() -> AsyncIterator[CrmSink]:
    """A CRM that knows the new secret only."""
    sink = CrmSink([NEW])
    await sink.start()
    yield sink
    await sink.stop()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


async def script(http: httpx.AsyncClient, sink: CrmSink, **answer: object) -> None:
    (await http.post(f"{sink.url}/_lab/answer", json={"times": 1, **answer})).raise_for_status()


@pytest.mark.parametrize("kind", ["fake", "webhook"])
async def test_what_the_crm_takes_is_accepted_and_heard(kind: str, http: httpx.AsyncClient, sink: CrmSink) -> None:
    """Once for each delivery, with the event as it stands in the feed."""
    if kind == "fake":
        fake = FakeCrm(Faults())
        assert (await fake.deliver(EVENT)).accepted
        assert fake.heard == [EVENT]
        return
    assert (await CrmWebhook(http, sink.webhook_url, [NEW], now).deliver(EVENT)).accepted
    assert sink.events == [EVENT.payload()]
    assert sink.refused == []


@pytest.mark.parametrize("kind", ["fake", "webhook"])
@pytest.mark.parametrize("status", [301, 307, 400, 404, 410, 429, 500, 503])
async def test_what_the_crm_refuses_is_an_answer_not_an_error(
    kind: str, status: int, http: httpx.AsyncClient, sink: CrmSink
) -> None:
    """With its status and its Retry-After; a redirect is not followed."""
    if kind == "fake":
        fake = FakeCrm(Faults())
        fake.answers.append(Answer(status, 0.1, retry_after=timedelta(seconds=30)))
        answer, heard = await fake.deliver(EVENT), len(fake.heard)
    else:
        await script(http, sink, status=status, retry_after=30)
        answer = await CrmWebhook(http, sink.webhook_url, [NEW], now).deliver(EVENT)
        heard = len(sink.events)
        assert sink.refused == []
    assert (answer.status, answer.accepted, answer.retry_after) == (status, False, timedelta(seconds=30))
    assert heard == 0


@pytest.mark.parametrize(
    ("secrets", "believed"), [([NEW], True), ([NEW, OLD], True), ([OLD, NEW], True), ([OLD], False), ([FOREIGN], False)]
)
async def test_while_secrets_rotate_each_receiver_believes_its_own(
    http: httpx.AsyncClient, sink: CrmSink, secrets: list[str], believed: bool
) -> None:
    """One signature for each secret; who knows none of them does not believe it."""
    assert (await CrmWebhook(http, sink.webhook_url, secrets, now).deliver(EVENT)).accepted is believed


async def test_the_official_package_verifies_what_we_send_and_nothing_changed() -> None:
    """Every secret's signature over id, time and body as they are on the wire."""
    sent: list[httpx.Request] = []

    def keep(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(204)

    async with httpx.AsyncClient(transport=httpx.MockTransport(keep)) as http:
        await CrmWebhook(http, "https://crm.example/hook", [NEW, OLD], now).deliver(EVENT)
    (request,) = sent
    headers, body = dict(request.headers), request.content.decode()
    for known in (NEW, OLD):
        assert Webhook(known).verify(body, headers) == EVENT.payload()
    assert headers["webhook-id"] == EVENT.event_id
    for changed in (body.replace("acme", "evil"), body + " "):
        with pytest.raises(WebhookVerificationError):
            Webhook(NEW).verify(changed, headers)
    for name in ("webhook-id", "webhook-timestamp"):
        with pytest.raises(WebhookVerificationError):
            Webhook(NEW).verify(body, {**headers, name: headers[name] + "1"})
    with pytest.raises(WebhookVerificationError):
        Webhook(FOREIGN).verify(body, headers)


async def test_each_try_has_the_same_id_and_its_own_time(http: httpx.AsyncClient, sink: CrmSink) -> None:
    """So that the receiver knows repeats, and a replayed one is too old."""
    times = [now() - timedelta(seconds=20), now()]
    for at in times:
        await CrmWebhook(http, sink.webhook_url, [NEW], lambda at=at: at).deliver(EVENT)  # type: ignore[misc]
    told = [attempt.headers for attempt in sink.attempts]
    assert [headers["webhook-id"] for headers in told] == [EVENT.event_id] * 2
    assert [headers["webhook-timestamp"] for headers in told] == [str(int(at.timestamp())) for at in times]


async def test_nobody_there_is_an_answer_without_a_status(http: httpx.AsyncClient) -> None:
    """The error is named for whoever reads the attempts."""
    nobody = Port()
    answer = await CrmWebhook(http, f"http://127.0.0.1:{nobody.number}/", [NEW], now).deliver(EVENT)
    assert (answer.status, answer.accepted, answer.error) == (None, False, "ConnectError")


async def test_a_crm_that_does_not_answer_in_time_is_a_failure(
    http: httpx.AsyncClient, sink: CrmSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole delivery has its time, whatever the CRM does with it."""
    monkeypatch.setattr(crm, "TIMEOUT_S", 0.2)
    await script(http, sink, status=200, delay_s=1)
    answer = await CrmWebhook(http, sink.webhook_url, [NEW], now).deliver(EVENT)
    assert (answer.status, answer.accepted) == (None, False)
    assert answer.error


async def test_the_first_kilobyte_of_an_answer_is_kept(http: httpx.AsyncClient) -> None:
    """What the receiver says of a failure, as text; how long it took, and no more of it than that."""

    async def answering(request: web.Request) -> web.Response:
        return web.Response(status=422, text="no such account: " + "ü" * 2_000)

    application = web.Application()
    application.router.add_post("/", answering)
    server = Server(application)
    await server.start()
    try:
        answer = await CrmWebhook(http, server.url + "/", [NEW], now).deliver(EVENT)
    finally:
        await server.stop()
    assert (answer.status, answer.accepted, answer.error) == (422, False, "")
    assert answer.text.startswith("no such account: ü")
    assert len(answer.text.rstrip("\ufffd").encode()) in range(MAX_ANSWER_BYTES - 1, MAX_ANSWER_BYTES + 1)
    assert 0 < answer.duration_s < 15


async def test_a_test_event_is_signed_as_every_event(http: httpx.AsyncClient, sink: CrmSink) -> None:
    """The receiver believes it; it is of no account and has no place in a feed."""
    event = webhook_test("a-_" * 20, NOW)
    assert (await CrmWebhook(http, sink.webhook_url, [NEW], now).deliver(event)).accepted
    (heard,) = sink.events
    assert (heard["id"], heard["type"]) == (event.event_id, "webhook.test")
    assert (heard["account_id"], heard["sequence"]) == (None, None)


@pytest.mark.parametrize("how", ["endless", "drip", "garbage", "cut"])
async def test_a_strange_answer_is_read_only_so_far_and_never_an_error(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Endless, a byte at a time, no text at all, or broken off: we neither wait for ever nor fail."""
    monkeypatch.setattr(crm, "TIMEOUT_S", 0.5)

    async def answering(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=500)
        await response.prepare(request)
        if how == "garbage":
            await response.write(b"\xff\xfe\x00\r\n")
        elif how == "cut":
            await response.write(b"half")
            assert request.transport is not None
            request.transport.abort()
        else:
            for _ in range(1000):
                await response.write(b"x" * 10_000 if how == "endless" else b"x")
                await asyncio.sleep(0.05)
        return response

    application = web.Application()
    application.router.add_post("/", answering)
    server = Server(application)
    await server.start()
    try:
        async with asyncio.timeout(5):
            answer = await CrmWebhook(http, server.url + "/", [NEW], now).deliver(EVENT)
    finally:
        await server.stop()
    assert not answer.accepted
    assert len(answer.text) <= MAX_ANSWER_BYTES
    assert answer.duration_s < 4


def test_the_payload_is_the_contracts() -> None:
    """Names and forms as the CRM reads them."""
    payload = json.loads(json.dumps(EVENT.payload()))
    assert set(payload) == {"id", "type", "account_id", "sequence", "occurred_at", "data"}
    assert payload["occurred_at"] == "2026-03-02T09:00:00.123Z"
