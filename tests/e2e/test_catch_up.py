"""
What Graph never told of is found all the same: each message of a thread once, and of all other mail only its keys.

A gap is made by dropping every notification of Graph; it ends with what Graph says, or a new sign-in, and not with time.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio
from azure.data.tables.aio import TableServiceClient

from sync.adapters.connections import ConnectionsTable
from sync.adapters.tables import Tables
from tests.cloud.local import LocalCloud
from tests.cloud.request_log import asks_for_content
from tests.e2e import test_not_synced, test_receive
from tests.e2e.account import Connected, Json, unique
from tests.e2e.conversation import (
    ADA,
    BOB,
    BOB_IN_CC,
    STRANGER,
    Arrival,
    Played,
    answers,
    arrives,
    at_rest,
    calls,
    calls_about,
    fault,
    in_mailbox,
    notifications,
    synced,
    told,
    users,
)

#: How far back the last look lies in tests that need room for times of receipt; anything longer than the gap.
BEHIND = timedelta(hours=1)


@contextlib.asynccontextmanager
async def gap(of: Connected) -> AsyncIterator[None]:
    """Nothing of what happens here is told to the app."""
    await at_rest(of)
    async with notifications(of, drop_rate=1):
        yield
        await at_rest(of)


async def subscription(of: Connected) -> Json:
    """The one subscription to the mailbox."""
    [own] = await of.subscriptions(of.email)
    return own


async def graph_says(of: Connected, event: str) -> None:
    """Graph sends this lifecycle notification."""
    said = {"subscription_id": (await subscription(of))["id"], "event": event}
    await of.stage.lab("POST", f"{of.cloud.graph.url}/_lab/lifecycle", said)


async def catches_up(of: Connected) -> None:
    """Graph says that it lost notifications, and the app does what it does then."""
    await graph_says(of, "missed")
    await at_rest(of)


async def looks(by: Connected) -> list[Json]:
    """The app's looks through the mailbox: its lists of messages, but for the search of an email by its stamp."""
    lists = [call for call in await calls(by) if (call["method"], call["path"]) == ("GET", "/v1.0/me/messages")]
    return [call for call in lists if "receivedDateTime" in str(call["query"])]


async def synced_through(of: Connected) -> datetime:
    """Up to when nothing is missing, as the CRM reads it."""
    return datetime.fromisoformat((await of.api.connection(of.user_id)).json()["synced_through"])


def told_of(by: Connected) -> list[str]:
    """The Message-IDs of what the CRM was told was synced, in the feed's order, each time it was told."""
    events = sorted(by.events(), key=lambda event: event["sequence"])
    return [e["data"]["message"]["internet_message_id"] for e in events if e["type"] == "message.synced"]


def received(by: Connected, arrivals: list[Arrival], *, apart: timedelta, first: timedelta = BEHIND / 2) -> None:
    """Let these messages have come in this order, so far apart, the first so long ago."""
    begin = datetime.now(UTC).replace(microsecond=0) - first
    for n, arrival in enumerate(arrivals):
        in_mailbox(by, arrival.internet_message_id).received_at = begin + n * apart


@pytest_asyncio.fixture(loop_scope="session")
async def behind(connected: Connected) -> Connected:
    """The connected user, whose mailbox was last looked through `BEHIND` ago."""
    await at_rest(connected)
    async with TableServiceClient.from_connection_string(connected.cloud.azurite.connection_string) as service:
        connections = ConnectionsTable(Tables(service))
        stored = await connections.by_id(connected.connection_id)
        assert stored is not None
        await connections.save(replace(stored, synced_through=datetime.now(UTC) - BEHIND))
    return connected


# What belongs to a thread, and what does not.

type Way = Callable[[Connected, Json], Awaitable[Arrival | Json]]
type ByWay = Played[Way, tuple[Connected, Json, Arrival | Json]]

#: Each key and each place once; who wrote it is not asked before a message is found.
INTO_THE_THREAD: list[Way] = [
    test_receive.contact_replies,
    test_receive.user_replies_in_outlook,
    test_receive.new_conversation,
    test_receive.only_references,
    test_receive.only_conversation_index,
    test_receive.only_conversation_id,
    test_receive.user_in_bcc,
    test_receive.filed_by_a_rule,
    test_receive.taken_for_junk,
]
PAST_THE_THREAD: list[Way] = [
    test_not_synced.contact_begins_with_the_same_subject,
    test_not_synced.stranger_in_the_same_conversation_answering_elsewhere,
    test_not_synced.newsletter_in_bcc,
    test_not_synced.filed_as_junk,
    test_not_synced.with_files,
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def by_way(cloud: LocalCloud, http: httpx.AsyncClient) -> AsyncIterator[ByWay]:
    """Every way into and past a thread, each with a thread of its own, all in one gap, which was caught up with twice."""
    async with users(cloud, http, 1) as (connected,):

        async def begin(way: Way) -> Json:
            return await connected.sent(cc=BOB_IN_CC, subject=way.__name__)

        async def play(way: Way) -> tuple[Connected, Json, Arrival | Json]:
            return connected, offers[way], await way(connected, offers[way])

        ways = [*INTO_THE_THREAD, *PAST_THE_THREAD]
        offers = await Played.at_once(ways, begin)
        async with gap(connected):
            played = await Played.at_once(ways, play)
        assert told_of(connected) == []
        await catches_up(connected)
        await catches_up(connected)
        yield played


@pytest.mark.parametrize("way", INTO_THE_THREAD, ids=lambda way: way.__name__)
async def test_after_lost_notifications_what_belongs_to_the_thread_is_told_once(by_way: ByWay, way: Way) -> None:
    """Whoever wrote it, in whatever folder, by whichever key: as if Graph had told of it, however often one looks."""
    connected, offer, arrival = by_way[way]

    message = await synced(connected, arrival)

    assert (message["thread_id"], message["matched_by"]) == (offer["thread_id"], test_receive.WAYS[way].matched_by)
    assert told(connected, offer["thread_id"]) == [
        ("message.sent", offer["message_id"]),
        ("message.synced", message["message_id"]),
    ]


@pytest.mark.parametrize("way", PAST_THE_THREAD, ids=lambda way: way.__name__)
async def test_after_lost_notifications_unrelated_mail_is_listed_and_left_alone(by_way: ByWay, way: Way) -> None:
    """Its keys came with a list; not one call was made for it, and nothing is told."""
    connected, offer, arrival = by_way[way]
    assert isinstance(arrival, Arrival)

    assert await calls_about(connected, arrival) == []
    assert told(connected, offer["thread_id"]) == [("message.sent", offer["message_id"])]


async def test_the_list_asks_for_keys_alone(by_way: ByWay) -> None:
    """No body, no preview and no file of any message comes with the looks through a mailbox."""
    connected, _, _ = by_way[PAST_THE_THREAD[0]]

    asked = await looks(connected)

    assert len(asked) >= 2
    assert [call for call in asked if asks_for_content(call) or "preview" in str(call["query"]).lower()] == []


# Order, and how much there is.


@pytest.mark.parametrize("apart", [timedelta(minutes=1), timedelta()], ids=["minutes apart", "in the same second"])
async def test_a_chain_is_told_oldest_first(behind: Connected, apart: timedelta) -> None:
    """An answer that is known only by another message of the gap is found through it, and told after it."""
    offer = await behind.sent()
    async with gap(behind):
        first = await answers(behind, offer, conversation="new")
        chain, last = [first], in_mailbox(behind, first.internet_message_id)
        for sender in (BOB, STRANGER, ADA):
            known_by = {"in_reply_to": last.internet_message_id, "conversation": "new"}
            chain.append(await arrives(behind, sender, f"RE: {offer['subject']}", **known_by))
            last = in_mailbox(behind, chain[-1].internet_message_id)
        received(behind, chain, apart=apart)
    assert told_of(behind) == []

    await catches_up(behind)

    assert told_of(behind) == [message.internet_message_id for message in chain]


@pytest.mark.parametrize(
    ("apart", "pages"),
    [(timedelta(seconds=1), 5), (timedelta(), 5)],
    ids=["one a second", "all in the same second"],
)
async def test_a_gap_of_several_pages(behind: Connected, apart: timedelta, pages: int) -> None:
    """
    Pages end between messages of one second, too: nothing between them is lost, and nothing told twice.

    The pages count what is looked at again, since something was found behind the first page.
    """
    offer = await behind.sent()
    async with gap(behind):
        everything, ours = [], []
        for n in range(70):
            if n in (0, 48, 49, 50, 69):
                ours.append(await answers(behind, offer, text=f"Answer {n}"))
                everything.append(ours[-1])
            else:
                everything.append(await arrives(behind, STRANGER, f"Something else {n}"))
        received(behind, everything, apart=apart)
    before = len(await looks(behind))

    await catches_up(behind)
    for message in ours:  # a delivery that waits for its account's turn is hidden, as if all were at rest
        await synced(behind, message)
    await at_rest(behind)

    expected = [message.internet_message_id for message in ours]
    assert sorted(told_of(behind)) == sorted(expected)
    if apart:
        assert told_of(behind) == expected
    assert len(await looks(behind)) - before == pages


# What ends a gap.


async def test_a_subscription_that_was_removed(connected: Connected) -> None:
    """Another subscription is opened, and what came while there was none is told, once."""
    offer = await connected.sent()
    await at_rest(connected)
    removed = await subscription(connected)
    async with notifications(connected, paused=True):
        await graph_says(connected, "subscriptionRemoved")
        missed = await answers(connected, offer)
        unrelated = await arrives(connected, STRANGER, "Something else")
        assert await connected.subscriptions(connected.email) == []
    await at_rest(connected)

    assert (await subscription(connected))["id"] != removed["id"]
    assert told_of(connected) == [missed.internet_message_id]
    assert await calls_about(connected, unrelated) == []
    next_one = await answers(connected, offer)
    await at_rest(connected)
    assert told_of(connected) == [missed.internet_message_id, next_one.internet_message_id]


async def test_signing_in_again(connected: Connected) -> None:
    """What came while Microsoft did not accept the sign-in is told, once and in order, and the connection is the same."""
    offer = await connected.sent()
    await at_rest(connected)
    await connected.stage.lab(
        "POST", f"{connected.cloud.entra.url}/_lab/revoke", {"email": connected.email, "access_tokens": True}
    )
    missed = [await answers(connected, offer)]
    await connected.heard("connection.needs_reconnect")
    missed.append(await answers(connected, offer))
    own = await connected.stage.outlook.reply_all(
        in_mailbox(connected, offer["internet_message_id"]).mutable_id, "One more thing"
    )
    received(connected, missed, apart=timedelta(seconds=1), first=timedelta(minutes=1))
    await at_rest(connected)
    assert told_of(connected) == []
    assert (await connected.api.connection(connected.user_id)).json()["state"] == "needs_reconnect"

    connection = await connected.connect(connected.user_id, connected.email)
    await at_rest(connected)

    assert connection["connection_id"] == connected.connection_id
    assert told_of(connected) == [*(message.internet_message_id for message in missed), own["internetMessageId"]]


async def test_each_of_two_users_of_one_mailbox(connected: Connected) -> None:
    """Graph says to one of them that it lost notifications; both catch up, each with their own threads."""
    colleague = unique("carol")
    second = replace(connected, user_id=colleague, connection=await connected.connect(colleague, connected.email))
    offers = [await connected.sent(), await second.sent()]
    async with gap(connected):
        missed = [await answers(connected, offer) for offer in offers]

    await catches_up(connected)

    found = [await synced(connected, message) for message in missed]
    assert [message["user_id"] for message in found] == [connected.user_id, second.user_id]
    assert sorted(told_of(connected)) == sorted(message.internet_message_id for message in missed)


# When looking fails, and how far it has come.


@pytest.mark.parametrize(
    ("match", "status"),
    [("GET */me/messages", 503), ("GET */me/messages/*", 429)],
    ids=["with the list", "with a message"],
)
async def test_a_mailbox_that_asks_for_patience(behind: Connected, match: str, status: int) -> None:
    """Looking goes on when Graph allows it: nothing is lost, and nothing told twice."""
    offer = await behind.sent()
    async with gap(behind):
        missed = [await answers(behind, offer) for _ in range(3)]
        received(behind, missed, apart=timedelta(seconds=1))
    before = await synced_through(behind)

    await fault(behind, match, status=status, retry_after=1)
    await catches_up(behind)
    await synced(behind, missed[-1])
    await at_rest(behind)

    assert status in {call["status"] for call in await calls(behind)}
    assert told_of(behind) == [message.internet_message_id for message in missed]
    assert await synced_through(behind) > before


async def test_a_look_that_broke_off_is_not_taken_for_one(behind: Connected) -> None:
    """`synced_through` stays where it was, so that the next look begins there again and finds all."""
    offer = await behind.sent()
    async with gap(behind):
        missed = [await answers(behind, offer) for _ in range(3)]
        received(behind, missed, apart=timedelta(seconds=1))
    before = await synced_through(behind)

    await fault(behind, f"GET */me/messages/{missed[1].graph_id}", status=500)
    await catches_up(behind)
    assert told_of(behind) == [missed[0].internet_message_id]
    assert await synced_through(behind) == before
    await catches_up(behind)

    assert told_of(behind) == [message.internet_message_id for message in missed]
    assert await synced_through(behind) > before


@pytest.mark.parametrize(("status", "found"), [(403, {0, 1, 2}), (404, {0, 2})], ids=["refused for now", "gone"])
async def test_one_message_does_not_hold_up_the_others(behind: Connected, status: int, found: set[int]) -> None:
    """What Graph will not show is looked at by itself, as if Graph had told of it; the look goes on behind it."""
    offer = await behind.sent()
    async with gap(behind):
        missed = [await answers(behind, offer) for _ in range(3)]
        received(behind, missed, apart=timedelta(seconds=1))
    before = await synced_through(behind)

    await fault(behind, f"GET */me/messages/{missed[1].graph_id}", status=status)
    await catches_up(behind)

    assert sorted(told_of(behind)) == sorted(missed[n].internet_message_id for n in found)
    assert await synced_through(behind) > before


async def test_synced_through_is_never_ahead_of_what_was_looked_at(behind: Connected) -> None:
    """It moves forward to shortly before the look, not to it: mail shows a little after its time of receipt."""
    before = await synced_through(behind)

    await catches_up(behind)

    after = await synced_through(behind)
    assert before < after < datetime.now(UTC)
    assert datetime.now(UTC) - after > timedelta(seconds=30)
    await catches_up(behind)
    assert await synced_through(behind) >= after


async def test_after_a_delete_nothing_is_looked_through(connected: Connected) -> None:
    """A lifecycle notification that was under way at a delete costs no look through the mailbox."""
    offer = await connected.sent()
    async with gap(connected):
        await answers(connected, offer)
    before = len(await looks(connected))
    ended = await subscription(connected)
    await connected.api.delete_connection(connected.user_id)

    late = {"subscriptionId": ended["id"], "clientState": ended["clientState"], "lifecycleEvent": "missed"}
    posted = await connected.http.post(f"{connected.cloud.functions_url}/graph/lifecycle", json={"value": [late]})
    await at_rest(connected)

    assert posted.status_code == 202
    assert len(await looks(connected)) == before
    assert told_of(connected) == []
