"""
Update: another mailbox in the place of the one that is connected. The old one works until the new one is complete, and ends then.

That one mailbox takes the other's place at all is in test_connect_again.py.
"""

import asyncio

import httpx

from sync.jobs import WatchMailbox
from tests.e2e.account import Connected, unique
from tests.e2e.conversation import ADA, answers, arrives, at_rest, calls, fault, heard_of, left, synced, told
from tests.e2e.life import (
    in_flight,
    last_told,
    run_now,
    sends_and_receives,
    shown,
    standing,
    told_types,
    trouble,
)
from tests.e2e.storage import Storage
from tests.e2e.way import Way

DRAFT, READ = "POST */me/messages", "GET */me/messages/*"
#: So long a step is held up that an Update is to overtake: longer than it takes on a machine that is busy with other tests.
OVERTAKEN_S = 5


async def accepted(by: Connected) -> str:
    """The id of a new email that the app has taken over."""
    answer = await by.api.send(by.mail(), unique("key"))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["messages"][0]["message_id"])


async def late_post(of: Connected, path: str, **item: object) -> httpx.Response:
    """What Microsoft Graph posts for the subscription of this connection, though it has ended by then."""
    return await of.http.post(of.cloud.functions_url + path, json={"value": [item]})


async def test_the_old_mailbox_works_both_ways_until_the_new_one_is_complete(
    connected: Connected, storage: Storage
) -> None:
    """Signing in changes nothing; with the answer to the completion everything has changed, and nobody had to wait for it."""
    offer = await connected.sent()
    way = await Way.begin(connected, user_id=connected.user_id)
    code = await way.to_completion_code()
    await sends_and_receives(connected)

    completed = (await way.complete(code)).json()

    assert completed["email"] == (await shown(connected))["email"] == way.person.email
    assert await storage.tokens_of(connected.connection_id) is None
    assert await connected.subscriptions(connected.email) == []
    thread = (await connected.api.thread(offer["thread_id"])).json()
    assert (thread["state"], thread["connection_id"]) == ("stopped", connected.connection_id)
    into_the_old = await connected.api.send(connected.mail(thread_id=offer["thread_id"]), unique("key"))
    assert (into_the_old.status_code, into_the_old.json()["code"]) == (409, "thread_stopped")
    new = await connected.api.send(connected.mail(), unique("key"))
    assert new.json()["sender"] == {"via": "outlook", "address": way.person.email, "rule": "individual_outlook"}


async def test_after_an_update_the_new_mailbox_syncs_and_the_old_one_is_left_alone(connected: Connected) -> None:
    """Mail of the old threads is not even looked at; the CRM is told of both mailboxes once, in this order."""
    offer = await connected.sent()
    before = last_told(connected)

    updated = await connected.updates_to(connected.new_person())

    assert told_types(updated, before) == ["connection.updated", "connection.connected"]
    looked_at = len(await calls(connected))
    await connected.is_answered(offer)
    assert len(await calls(connected)) == looked_at
    await sends_and_receives(updated)
    assert len(left(connected)) == 1
    assert told_types(updated, before)[2:] == ["message.sent", "message.synced"]


async def test_what_graph_still_says_of_the_old_mailbox_is_dropped(connected: Connected) -> None:
    """Notifications on their way when the mailbox was left: acknowledged, and nothing is read or opened for them."""
    offer = await connected.sent()
    [subscription] = await connected.subscriptions(connected.email)
    genuine = {"clientState": subscription["clientState"], "subscriptionId": subscription["id"]}
    updated = await connected.updates_to(connected.new_person())
    before, looked_at = last_told(connected), len(await calls(connected))
    arrival = await answers(connected, offer)

    posts = [
        await late_post(
            connected, "/graph/notifications", changeType="created", resourceData={"id": arrival.graph_id}, **genuine
        ),
        *[
            await late_post(connected, "/graph/lifecycle", lifecycleEvent=event, **genuine)
            for event in ("missed", "reauthorizationRequired", "subscriptionRemoved")
        ],
    ]
    await at_rest(connected)

    assert [post.status_code for post in posts] == [202] * 4
    assert len(await calls(connected)) == looked_at
    assert await connected.subscriptions(connected.email) == []
    assert len(await connected.subscriptions(updated.email)) == 1
    assert told_types(connected, before) == []


async def test_mail_that_is_being_read_when_its_mailbox_is_left_is_not_told(connected: Connected) -> None:
    """The work began before the Update and ends after it: what it has read is dropped."""
    offer = await connected.sent()
    way = await Way.begin(connected, user_id=connected.user_id)
    code = await way.to_completion_code()
    await at_rest(connected)
    await fault(connected, READ, delay_s=OVERTAKEN_S)
    await answers(connected, offer)
    await in_flight(connected, READ)

    assert (await way.complete(code)).status_code == 200
    await at_rest(connected)

    assert told(connected) == [("message.sent", offer["message_id"])]
    thread = (await connected.api.thread(offer["thread_id"])).json()
    assert [message["message_id"] for message in thread["messages"]] == [offer["message_id"]]


async def test_an_email_that_waits_is_not_sent_once_its_mailbox_was_left(connected: Connected) -> None:
    """Neither through the old mailbox nor through the new one: it is told as failed, with the reason."""
    way = await Way.begin(connected, user_id=connected.user_id)
    code = await way.to_completion_code()
    await fault(connected, DRAFT, status=429, retry_after=OVERTAKEN_S)
    message_id = await accepted(connected)
    await connected.cloud.functions.idle()

    assert (await way.complete(code)).status_code == 200

    failed = (await heard_of(connected, "message.failed", message_id))["data"]
    assert failed["problem"]["code"] == "connection_disconnected"
    await at_rest(connected)
    sent_by = [mail["from"]["address"] for mail in connected.cloud.graph.transport.outgoing]
    assert not {connected.email, way.person.email} & set(sent_by)
    assert (await connected.api.message(message_id)).json()["status"] == "failed"


async def test_an_email_on_its_way_is_stopped_before_it_leaves_the_old_mailbox(connected: Connected) -> None:
    """While Graph makes the draft the mailbox is left: the draft is never sent."""
    way = await Way.begin(connected, user_id=connected.user_id)
    code = await way.to_completion_code()
    await fault(connected, DRAFT, delay_s=OVERTAKEN_S)
    message_id = await accepted(connected)
    await in_flight(connected, DRAFT)

    assert (await way.complete(code)).status_code == 200

    await heard_of(connected, "message.failed", message_id)
    await at_rest(connected)
    assert left(connected) == []
    assert told(connected) == [("message.failed", message_id)]


async def test_a_mailbox_that_refuses_us_can_be_left_for_another(connected: Connected, storage: Storage) -> None:
    """From `needs_reconnect`, with tokens that close nothing at Graph any more: they are destroyed all the same."""
    await trouble(connected, "revoked")
    await arrives(connected, ADA, "Hello")
    await at_rest(connected)
    assert (await shown(connected))["state"] == "needs_reconnect"

    updated = await connected.updates_to(connected.new_person())
    await run_now(connected, WatchMailbox(connected.connection_id))

    assert await storage.tokens_of(connected.connection_id) is None
    assert "problem" not in await shown(updated)
    await sends_and_receives(updated)
    assert told_types(updated).count("connection.updated") == 1


async def test_going_back_to_the_first_mailbox_brings_no_thread_back(connected: Connected) -> None:
    """It is a third connection; a thread of the first goes on only once the CRM itself sends into it again."""
    offer = await connected.sent()
    elsewhere = await connected.updates_to(connected.new_person())
    back = await elsewhere.updates_to(connected.person)

    assert len({connected.connection_id, elsewhere.connection_id, back.connection_id}) == 3
    assert back.connection["thread_count"] == 0
    assert await connected.subscriptions(elsewhere.email) == []
    before = last_told(back)
    await back.is_answered(offer)
    assert told_types(back, before) == []

    again = await back.sent(thread_id=offer["thread_id"], subject="RE: Our offer")
    answer = await synced(back, await answers(back, again))
    assert (answer["thread_id"], answer["connection_id"]) == (offer["thread_id"], back.connection_id)


async def test_a_completion_that_microsoft_left_unanswered_is_completed_by_the_same_code(
    connected: Connected, storage: Storage
) -> None:
    """503, retryable: the old mailbox goes on meanwhile, and the user does not have to sign in again."""
    way = await Way.begin(connected, user_id=connected.user_id)
    code = await way.to_completion_code()
    before = await standing(connected, storage)
    down = {"error": "server_error", "error_codes": [90033], "status": 503, "times": 1, "retry_after": 1}
    down["grant_type"] = "authorization_code"  # another user of the cloud may need a token
    await connected.stage.lab("POST", f"{connected.cloud.entra.url}/_lab/token-error", down)

    unanswered = await way.complete(code)

    assert (unanswered.status_code, unanswered.json()["retryable"]) == (503, True)
    assert await standing(connected, storage) == before
    await sends_and_receives(connected)
    completed = await way.complete(code)
    assert (completed.status_code, completed.json()["email"]) == (200, way.person.email)


async def test_of_two_updates_at_once_one_mailbox_is_left_connected(connected: Connected, storage: Storage) -> None:
    """Whichever comes last: the other one's subscription and tokens are gone, and so are those of the first mailbox."""
    ways = [await Way.begin(connected, user_id=connected.user_id) for _ in range(2)]
    codes = [await way.to_completion_code() for way in ways]

    answered = await asyncio.gather(*(way.complete(code) for way, code in zip(ways, codes, strict=True)))
    await at_rest(connected)

    assert {answer.status_code for answer in answered} == {200}
    current = await shown(connected)
    assert (current["state"], current["sync_state"]) == ("connected", "active")
    ended = {answer.json()["connection_id"] for answer in answered} - {current["connection_id"]}
    assert len(ended) == 1
    for connection_id in {connected.connection_id, *ended}:
        await run_now(connected, WatchMailbox(connection_id))
        assert await storage.tokens_of(connection_id) is None
    open_for = {email: len(await connected.subscriptions(email)) for email in (w.person.email for w in ways)}
    assert open_for == {email: int(email == current["email"]) for email in open_for}
    assert await connected.subscriptions(connected.email) == []
