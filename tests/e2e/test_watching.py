"""What an operator sees of the app: one trace from Microsoft's notification to the CRM's webhook, and numbers that are right."""

import secrets
from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from sync.domain.metrics import METRICS
from tests.cloud.collector import Span
from tests.cloud.crm import Event
from tests.cloud.polling import eventually
from tests.cloud.stage import attached
from tests.e2e.account import Json
from tests.e2e.conversation import answers, at_rest, fault, synced
from tests.e2e.test_notifications_edge import NOTIFICATIONS, change, client_state
from tests.e2e.watched import Watched, watched_cloud
from tests.files import png

EXE = attached("setup.exe", "application/octet-stream", b"MZ")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def watched(http: httpx.AsyncClient) -> AsyncIterator[Watched]:
    """One cloud for all tests of this file: the numbers of each are its own by their attributes, or are compared with before."""
    async with watched_cloud(http) as cloud:
        yield cloud


def traceparent_of(watched: Watched, event: Event) -> str:
    """What the push of this event to the CRM carried."""
    [headers] = [d.headers for d in watched.cloud.crm.accepted if d.event["id"] == event["id"]]
    return str(headers["traceparent"])


async def synced_event(watched: Watched, message: Json) -> Event:
    """The event that told of this message."""
    return await watched.cloud.crm.wait_for(
        lambda e: e["type"] == "message.synced" and e["data"]["message"]["message_id"] == message["message_id"], 30
    )


async def crm_answers(watched: Watched, status: int) -> None:
    """The CRM answers the next `message.synced` with this status: another test's email may just be told as sent."""
    script = {"status": status, "account_id": watched.user.account_id, "type": "message.synced"}
    await watched.user.stage.lab("POST", f"{watched.cloud.crm.url}/_lab/answer", script)


async def test_one_trace_from_the_notification_to_the_crm(watched: Watched) -> None:
    """
    Graph's post, the work on the change, each call to Graph, the delivery, and the push: all have the trace that the host began.

    Each part is a child of what asked for it, so that the whole is read as one story.
    """
    offer = await watched.user.sent()
    await at_rest(watched.user)  # so that the post about the answer is about nothing else
    event = await synced_event(watched, await synced(watched.user, await answers(watched.user, offer)))

    trace_id = traceparent_of(watched, event).split("-")[1]
    names = ("process mail-changes", "process crm-deliveries", "POST /{webhook}", "GET /v1.0/me/messages/{id}")
    spans = {span.name: span for span in await watched.spans(trace_id, *names)}
    change, delivery = spans["process mail-changes"], spans["process crm-deliveries"]
    begun = [t for name, t in watched.cloud.functions.traceparents if name == "http_graph_notifications"]
    assert change.parent_id in {t.split("-")[2] for t in begun if t.split("-")[1] == trace_id}
    assert spans["GET /v1.0/me/messages/{id}"].parent_id == change.span_id
    assert delivery.parent_id == change.span_id
    assert spans["POST /{webhook}"].parent_id == delivery.span_id
    assert traceparent_of(watched, event).split("-")[2] == spans["POST /{webhook}"].span_id
    assert (change.kind, spans["POST /{webhook}"].kind) == ("consumer", "client")
    assert delivery.attributes["sync.event_id"] == event["id"]
    # The host's own invocations are other traces, and linked.
    hosts = {tuple(t.split("-")[1:3]) for name, t in watched.cloud.functions.traceparents if name.startswith("queue_")}
    assert set(change.links) <= hosts
    assert len(change.links) == 1


async def test_a_send_is_in_the_trace_of_its_request(watched: Watched) -> None:
    """
    A CRM that sends its own trace finds our work in it, up to Outlook's acceptance.

    That the email has left is told by another trace: that of Microsoft's notification of the copy in Sent Items.
    """
    trace_id = secrets.token_hex(16)
    answer = await watched.user.http.post(
        f"{watched.cloud.functions_url}/v1/accounts/{watched.user.account_id}/messages",
        json=watched.user.mail(),
        headers={
            "x-functions-key": watched.cloud.function_key,
            "Idempotency-Key": f"traced-{trace_id}",
            "traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01",
        },
    )
    assert answer.status_code == 202, answer.text
    spans = await watched.spans(trace_id, "process mail-sends", "POST /v1.0/me/messages/{id}/send")
    [work] = [span for span in spans if span.name == "process mail-sends"]
    assert {span.parent_id for span in spans if span.kind == "client"} == {work.span_id}


async def test_a_delivery_that_is_tried_again_stays_in_its_trace(watched: Watched) -> None:
    """Also when the promise in the table, not the first message of the queue, brings it back."""
    offer = await watched.user.sent()
    await crm_answers(watched, 503)
    event = await synced_event(watched, await synced(watched.user, await answers(watched.user, offer)))
    trace_id = traceparent_of(watched, event).split("-")[1]

    async def both() -> bool:
        pushes = [span for span in watched.collector.of_trace(trace_id) if span.name == "POST /{webhook}"]
        return [span.attributes["http.response.status_code"] for span in pushes] == [503, 204]

    await eventually(both, "both tries in one trace")
    assert [span.failed for span in watched.collector.of_trace(trace_id) if span.name == "POST /{webhook}"] == [
        True,
        False,
    ]


async def test_each_email_of_a_bulk_send_is_a_trace_of_its_own(watched: Watched) -> None:
    """Linked to the work that gave it its turn: a thousand emails in one trace could not be read."""
    people = [{"address": f"p{n}@customer.example"} for n in range(3)]
    body = watched.user.mail(kind="bulk", to=people, **{"from": watched.user.email})
    accepted = await watched.user.api.send(body, f"bulk-{secrets.token_hex(4)}")
    assert accepted.status_code == 202, accepted.text
    ids = {message["message_id"] for message in accepted.json()["messages"]}

    def sends() -> list[Span]:
        return [span for span in watched.collector.spans if span.attributes.get("sync.message_id") in ids]

    async def linked() -> bool:
        # The work that gave the turns may end, and be told, after the emails.
        turns = {span.span_id for span in watched.collector.spans if span.name == "process mail-batches"}
        told = {span.attributes["sync.message_id"] for span in sends() if span.name == "process mail-sends"}
        return ids <= told and all(turns & {span_id for _, span_id in span.links} for span in sends())

    await eventually(linked, "the spans of the emails, each linked to its turn")
    assert len({span.trace_id for span in sends()}) == 3


async def test_counts_are_right(watched: Watched) -> None:
    """What came, what was dropped and why, what was synced and skipped, what Graph and the CRM answered."""
    user, value = watched.user, watched.collector.value
    offer = await user.sent()
    await watched.settled()
    word = await client_state(user)
    before = {
        "accepted": value("sync.notifications.accepted", kind="change"),
        "forged": value("sync.notifications.dropped", kind="change", reason="forged"),
        "ignored": value("sync.notifications.dropped", kind="change", reason="ignored"),
        "malformed": value("sync.notifications.dropped", kind="change", reason="malformed"),
        "synced": value("sync.messages.synced", direction="inbound", matched_by="conversation"),
        "skipped": value("sync.files.skipped", reason="type_not_allowed"),
        "malformed id": value("sync.graph.requests", http__request__method="GET", http__response__status_code=400),
        "refused": value("sync.deliveries.attempts", outcome="refused", http__response__status_code=500),
        "taken": value("sync.deliveries.attempts", outcome="accepted", http__response__status_code=204),
    }
    events = len(watched.cloud.crm.accepted)

    items = [change("con_x.forged"), change(None), change(word, "AAkGone"), change(word, "AAkOther", "deleted")]
    for content in ({"value": items}, {"value": "nothing"}):
        await user.http.post(f"{watched.cloud.functions_url}{NOTIFICATIONS}", json=content)
    await crm_answers(watched, 500)
    await synced(user, await answers(user, offer, attachments=[EXE, attached("chair.png", "image/png", png())]))
    await user.stage.quiet()

    await watched.comes_to(before["forged"] + 2, "sync.notifications.dropped", kind="change", reason="forged")
    await watched.comes_to(before["ignored"] + 1, "sync.notifications.dropped", kind="change", reason="ignored")
    await watched.comes_to(before["malformed"] + 1, "sync.notifications.dropped", kind="change", reason="malformed")
    assert value("sync.notifications.accepted", kind="change") >= before["accepted"] + 2
    await watched.comes_to(before["synced"] + 1, "sync.messages.synced", direction="inbound", matched_by="conversation")
    await watched.comes_to(before["skipped"] + 1, "sync.files.skipped", reason="type_not_allowed")
    answered = {"outcome": "refused", "http__response__status_code": 500}
    await watched.comes_to(before["refused"] + 1, "sync.deliveries.attempts", **answered)
    taken = len(watched.cloud.crm.accepted) - events
    answered = {"outcome": "accepted", "http__response__status_code": 204}
    await watched.comes_to(before["taken"] + taken, "sync.deliveries.attempts", **answered)
    gone = {"http__request__method": "GET", "http__response__status_code": 400}
    await watched.comes_to(before["malformed id"] + 1, "sync.graph.requests", **gone)


async def test_the_delay_of_a_delivery_is_from_the_mailbox_to_the_crm(watched: Watched) -> None:
    """Once for each message, however often it is told: an event that is asked for again was not late."""
    offer = await watched.user.sent()
    await watched.settled()

    def count() -> int:
        points = watched.collector.latest("sync.deliveries.delay").values()
        return sum(point.count for point in points)

    before = count()
    event = await synced_event(watched, await synced(watched.user, await answers(watched.user, offer)))
    await watched.user.stage.quiet()
    assert (await watched.user.api.redeliver(event["id"])).status_code == 202
    await watched.user.stage.quiet()
    await watched.exported()
    assert count() == before + 1
    [point] = watched.collector.latest("sync.deliveries.delay").values()
    assert 0 <= point.value / point.count < 30
    assert 60.0 in point.boundaries


async def test_an_email_is_counted_by_its_way_and_its_end(watched: Watched) -> None:
    """One that Outlook sends, and one that Graph refuses."""
    value = watched.collector.value
    await watched.settled()
    sent = value("sync.messages.sent", via="outlook", outcome="sent")
    failed = value("sync.messages.sent", via="outlook", outcome="failed")
    await watched.user.sent()
    await fault(watched.user, "POST */send", status=403, code="ErrorSendAsDenied")
    accepted = await watched.user.api.send(watched.user.mail(), f"denied-{secrets.token_hex(4)}")
    assert accepted.status_code == 202
    await watched.comes_to(sent + 1, "sync.messages.sent", via="outlook", outcome="sent")
    await watched.comes_to(failed + 1, "sync.messages.sent", via="outlook", outcome="failed")


async def test_gauges_tell_how_it_stands(watched: Watched) -> None:
    """Queues, poison and deliveries each minute, connections each quarter of an hour: here the timers are run at once."""
    await watched.user.stage.quiet()
    await watched.run_timer("timer_queue_gauges")
    await watched.run_timer("timer_mailbox_gauges")
    await watched.exported()
    await watched.comes_to(1, "sync.connections", state="connected")
    for metric, about in (
        ("sync.connections", {"state": "needs_reconnect"}),
        ("sync.subscriptions.near_expiry", {}),
        ("sync.webhook.off", {}),
        ("sync.poison", {"queue": "mail-changes"}),
        ("sync.queue.age", {"queue": "mail-changes"}),
    ):
        assert watched.collector.latest(metric).get(frozenset(about.items())), metric
        assert watched.collector.value(metric, **about) == 0


async def test_every_metric_is_as_it_is_described(watched: Watched) -> None:
    """Each that was exported is one of the table, with its unit and no other attribute than those it names."""
    known = {metric.name: metric for metric in METRICS}
    await watched.exported()
    for point in watched.collector.points:
        metric = known[point.name]
        assert point.unit == metric.unit
        assert point.attributes.keys() <= set(metric.attributes), point
