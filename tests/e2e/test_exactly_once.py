"""Nothing is told twice and nothing is lost, however Graph tells of it and whoever works on it."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.cloud.functions import FunctionsHost
from tests.cloud.local import CHECKOUT, LocalCloud
from tests.e2e.account import Connected, Json
from tests.e2e.conversation import ADA, answers, arrives, at_rest, in_mailbox, left, notifications, synced, told

THREADS = 10
REPLIES = 3


async def threads_with_replies(of: Connected) -> tuple[list[Json], dict[str, str]]:
    """Ten threads with three replies each, mixed; the offers, and which thread each reply belongs to, by its Message-ID."""
    offers = await asyncio.gather(*(of.sent(subject=f"Offer {n}") for n in range(THREADS)))
    order = [offer for offer in offers for _ in range(REPLIES)]
    random.shuffle(order)
    arrivals = await asyncio.gather(*(answers(of, offer, conversation=None) for offer in order))
    await asyncio.gather(*(arrives(of, ADA, f"Offer {n}") for n in range(THREADS)))
    return list(offers), {
        arrival.internet_message_id: offer["thread_id"] for arrival, offer in zip(arrivals, order, strict=True)
    }


async def everything_is_told_once(of: Connected, offers: list[Json], replies: dict[str, str]) -> None:
    """The feed has each offer and each reply once, in its thread, without a hole; what was pushed is the same."""
    for message_id in replies:
        await synced(of, {"internetMessageId": message_id})
    await at_rest(of)
    feed = await of.feed()
    assert [event["sequence"] for event in feed] == list(range(1, len(feed) + 1))
    assert Counter(event["type"] for event in feed) == {
        "connection.connected": 1,
        "message.sent": THREADS,
        "message.synced": THREADS * REPLIES,
    }
    told_of = [event["data"]["message"] for event in feed if event["type"] == "message.synced"]
    assert {message["internet_message_id"]: message["thread_id"] for message in told_of} == replies
    assert len(left(of)) == THREADS
    pushed = Counter(event["id"] for event in of.events())
    assert pushed == {event["id"]: 1 for event in feed}
    for offer in offers:
        shown = (await of.api.thread(offer["thread_id"])).json()["messages"]
        assert len(shown) == 1 + REPLIES


async def test_every_notification_three_times_and_in_any_order(connected: Connected) -> None:
    """Graph tells everything three times, shuffled: the CRM hears of each message once."""
    async with notifications(connected, duplicate_rate=2, shuffle=True):
        await everything_is_told_once(connected, *await threads_with_replies(connected))


@pytest_asyncio.fixture(loop_scope="session")
async def second_worker(cloud: LocalCloud) -> AsyncIterator[FunctionsHost]:
    """One more instance of the app on the same storage, as when the platform scales out."""
    host = FunctionsHost(CHECKOUT, cloud.app_settings, function_key=cloud.function_key)
    await host.start()
    yield host
    await host.stop()


async def test_two_instances_share_the_work(connected: Connected, second_worker: FunctionsHost) -> None:
    """Two workers on the same queues and tables, and every notification twice: still once each, and no hole in the feed."""
    async with notifications(connected, duplicate_rate=1, shuffle=True):
        await everything_is_told_once(connected, *await threads_with_replies(connected))
    await second_worker.idle()

    assert second_worker.invocations["queue_mail_change"] > 0


async def test_one_message_in_two_places_is_told_once(connected: Connected) -> None:
    """What the user writes in Outlook with themselves in copy lies in Sent Items and in the Inbox: one message."""
    offer = await connected.sent(cc=[{"address": connected.email}])
    await at_rest(connected)
    assert told(connected) == [("message.sent", offer["message_id"])]

    letter = in_mailbox(connected, offer["internet_message_id"])
    outlook = connected.stage.outlook
    draft = await outlook._call("POST", f"/messages/{letter.mutable_id}/createReplyAll", json={"comment": "And this"})
    to_self = {"ccRecipients": [{"emailAddress": {"address": connected.email}}]}
    await outlook._call("PATCH", f"/messages/{draft['id']}", json=to_self)
    own = await synced(connected, await outlook._send(draft))
    await at_rest(connected)

    copies = [m for m in connected.cloud.graph.mailboxes.of(connected.person).messages() if not m.is_draft]
    assert Counter(m.internet_message_id for m in copies) == {
        offer["internet_message_id"]: 2,
        own["internet_message_id"]: 2,
    }
    assert (own["direction"], own["origin"]) == ("outbound", "outlook")
    assert told(connected) == [("message.sent", offer["message_id"]), ("message.synced", own["message_id"])]


async def test_many_threads_begun_at_once(connected: Connected) -> None:
    """Fifteen sends at once get as many places in the feed, one behind the other, and as many emails leave."""
    sent = await asyncio.gather(*(connected.sent(subject=f"Offer {n}") for n in range(15)))
    await at_rest(connected)

    feed = await connected.feed()
    assert [event["sequence"] for event in feed] == list(range(1, 17))
    assert (
        {m["subject"] for m in sent}
        == {mail["subject"] for mail in left(connected)}
        == {f"Offer {n}" for n in range(15)}
    )
    assert len(left(connected)) == 15
