"""Exactly one email, whatever becomes of Graph's answers, of the copy in Sent Items, or of the worker in the middle of it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
import pytest_asyncio
from azure.data.tables.aio import TableServiceClient

from sync.adapters.journal import JournalTable
from sync.adapters.tables import Tables
from sync.jobs import SendMail
from tests.cloud.local import LocalCloud
from tests.cloud.polling import eventually
from tests.cloud.request_log import kind_of_call
from tests.e2e.account import Connected, Json, unique
from tests.e2e.conversation import (
    answers,
    at_rest,
    calls,
    fault,
    heard_of,
    left,
    switched,
    synced,
    told,
    users,
    writes,
)

DRAFT, ANSWER, FILES, SEND = "POST */me/messages", "POST */createReply", "POST */attachments", "POST */send"
TIMEOUT = {"status": 504}
BUSY = {"status": 429, "retry_after": 1}
LOST = {"drop": True}
APPLIED = {"applied": True}

#: By name: which call, what happens to it, and how many writes the app makes in all to have one email sent.
FAULTS: dict[str, tuple[str, Json, int]] = {
    "draft: throttled": (DRAFT, BUSY, 3),
    "draft: throttled three times": (DRAFT, BUSY | {"times": 3, "retry_after": 0.2}, 5),
    "draft: time-out, not made": (DRAFT, TIMEOUT, 3),
    "draft: time-out, made": (DRAFT, TIMEOUT | APPLIED, 2),
    "draft: connection lost, not made": (DRAFT, LOST, 3),
    "draft: connection lost, made": (DRAFT, LOST | APPLIED, 2),
    "draft: server error, made": (DRAFT, {"status": 503} | APPLIED, 2),
    "send: throttled": (SEND, BUSY, 3),
    "send: time-out, not sent": (SEND, TIMEOUT, 3),
    "send: time-out, sent": (SEND, TIMEOUT | APPLIED, 2),
    "send: connection lost, not sent": (SEND, LOST, 3),
    "send: connection lost, sent": (SEND, LOST | APPLIED, 2),
    "send: server error, sent": (SEND, {"status": 500} | APPLIED, 2),
}


@pytest_asyncio.fixture(loop_scope="session")
async def by_fault(cloud: LocalCloud, http: httpx.AsyncClient) -> AsyncIterator[dict[str, Connected]]:
    """For each fault an account of its own, so that all of them can happen at once: the app waits up to 15 s in between."""
    async with users(cloud, http, len(FAULTS)) as connected:
        yield dict(zip(FAULTS, connected, strict=True))


async def test_one_email_whatever_graph_answers(by_fault: dict[str, Connected]) -> None:
    """Throttled, too late, failed or never answered, applied or not: one email, told once, no write wasted."""
    for name, (match, what, _) in FAULTS.items():
        await fault(by_fault[name], match, **what)

    await asyncio.gather(*(by_fault[name].sent() for name in FAULTS))
    await asyncio.gather(*(at_rest(by_fault[name]) for name in FAULTS))

    outcome = {
        name: (len(left(each)), [kind for kind, _ in told(each)], len(await writes(each)))
        for name, each in by_fault.items()
    }
    assert outcome == {name: (1, ["message.sent"], count) for name, (_, _, count) in FAULTS.items()}
    # "Throttled" says that nothing was done: there is nothing to look for.
    looks = Counter(kind_of_call(call) for call in await calls(by_fault["draft: throttled three times"]))
    assert looks["GET me/messages"] == 0


async def test_an_answer_whose_draft_was_lost_is_not_drafted_twice(connected: Connected) -> None:
    """createReply that took effect without an answer is found by our stamp and sent."""
    offer = await connected.sent()
    await fault(connected, ANSWER, **LOST, **APPLIED)

    await connected.sent(thread_id=offer["thread_id"], subject="RE: Our offer")

    assert (await writes(connected))[2:] == ["POST me/messages/{id}/createReply", "POST me/messages/{id}/send"]
    assert len(left(connected)) == 2


@pytest.mark.parametrize("applied", [True, False])
async def test_a_file_is_not_added_twice(connected: Connected, applied: bool) -> None:
    """After a lost answer the app looks what is on the draft before it adds the file again."""
    await fault(connected, FILES, **LOST, applied=applied)
    notes = [{"name": f"{n}.txt", "content_type": "text/plain", "content_base64": "bm90ZXM="} for n in (1, 2)]

    await connected.sent(attachments=notes)

    [mail] = left(connected)
    assert [file["name"] for file in mail["attachments"]] == ["1.txt", "2.txt"]


@pytest.mark.parametrize(
    "doubt",
    [
        {"sent_copy_delay_s": 1.5},
        {"sent_copy_delay_s": 1.5, "sent_copy_404_window": True},
        {"id_changes_on_send": True},
        {"internet_message_id_changes_on_send": True},
        {"id_changes_on_send": True, "internet_message_id_changes_on_send": True},
    ],
    ids=["copy late", "copy late and hidden", "id changes", "Message-ID changes", "both change"],
)
async def test_the_copy_in_sent_items_is_known_again(cloud: LocalCloud, http: httpx.AsyncClient, doubt: Json) -> None:
    """
    However Exchange treats the copy, one email leaves, the CRM hears of it once, and the contact's answer comes in.

    So too where Graph's answer to the send was lost.
    """
    async with users(cloud, http, 2) as (answered, unanswered):
        await fault(unanswered, SEND, **TIMEOUT, **APPLIED)
        async with switched(answered, **doubt):
            offers = await asyncio.gather(answered.sent(), unanswered.sent())
            await at_rest(answered)

        for connected, sent in zip((answered, unanswered), offers, strict=True):
            [mail] = left(connected)
            assert mail["internet_message_id"] == sent["internet_message_id"]
            answer = await synced(connected, await answers(connected, sent, conversation="new"))
            assert answer["thread_id"] == sent["thread_id"]
            assert told(connected) == [("message.sent", sent["message_id"]), ("message.synced", answer["message_id"])]


async def in_flight(by: Connected, ending: str) -> None:
    """Return once Graph is busy with a call whose path ends so."""

    async def look() -> bool:
        return any(
            call["path"].endswith(ending) and call["status"] is None and call["mailbox"] == by.email
            for call in by.cloud.graph.traffic.requests
        )

    await eventually(look, f"a call to {ending}")


async def accepted(by: Connected) -> str:
    """The id of a message that is on its way."""
    answer = await by.api.send(by.mail(), unique("key"))
    return str(answer.json()["messages"][0]["message_id"])


async def test_the_worker_dies_while_graph_sends(connected: Connected) -> None:
    """The email is gone, but nobody heard Graph say so: the copy in Sent Items tells the next worker."""
    await fault(connected, SEND, delay_s=1.5, **APPLIED)
    message_id = await accepted(connected)
    await in_flight(connected, "/send")

    await connected.cloud.functions.kill_worker()

    await heard_of(connected, "message.sent", message_id)
    await at_rest(connected)
    await two_minutes_pass(connected.cloud, connected.account_id, message_id)
    await at_rest(connected)
    assert len(left(connected)) == 1
    assert told(connected) == [("message.sent", message_id)]


@pytest.mark.parametrize("applied", [True, False])
async def test_the_worker_dies_while_graph_makes_the_draft(connected: Connected, applied: bool) -> None:
    """Once its lease is over, the next worker looks for the draft, and sends that one if it is there."""
    await fault(connected, DRAFT, delay_s=1.0, applied=applied, **({} if applied else {"status": 503}))
    message_id = await accepted(connected)
    await in_flight(connected, "/me/messages")

    await connected.cloud.functions.kill_worker()
    await two_minutes_pass(connected.cloud, connected.account_id, message_id)

    await heard_of(connected, "message.sent", message_id)
    await at_rest(connected)
    assert len(left(connected)) == 1
    assert (await writes(connected)).count("POST me/messages") == (1 if applied else 2)
    assert told(connected) == [("message.sent", message_id)]


async def two_minutes_pass(cloud: LocalCloud, account_id: str, message_id: str) -> None:
    """
    What two minutes do to a message whose worker died: its lease is over, and its wake-up is seen again.

    The app's clock can't be moved, so the lease is moved back in its row, and the host is told to run the function.
    """
    async with TableServiceClient.from_connection_string(cloud.azurite.connection_string) as client:
        journal = JournalTable(Tables(client))
        message = await journal.message(account_id, message_id)
        assert message is not None
        assert message.outbox is not None
        if message.outbox.lease_until is not None:
            earlier = message.outbox.lease_until - timedelta(minutes=2)
            await journal.save_message(replace(message, outbox=replace(message.outbox, lease_until=earlier)))
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            f"{cloud.functions_url}/admin/functions/queue_mail_send",
            json={"input": SendMail(account_id, message_id).to_json()},
            headers={"x-functions-key": cloud.functions.master_key},
        )
    assert answer.status_code == 202
