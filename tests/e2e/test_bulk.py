"""Bulk sends on the real app: one email each, at the mailbox's pace, with their progress, and cancelled."""

import asyncio
from datetime import UTC, datetime, timedelta

from tests.cloud.polling import eventually
from tests.e2e.account import Connected, Json, unique
from tests.e2e.batches import accepted, bulk, calls_refused, counts, crowd, finished
from tests.e2e.conversation import addresses, answers, at_rest, calls, fault, heard_of, left, synced, told


async def sending_times(of: Connected) -> list[datetime]:
    """When the app asked Graph to send."""
    sends = [call for call in await calls(of) if call["path"].endswith("/send")]
    return [datetime.fromisoformat(call["at"]) for call in sends]


async def test_a_bulk_send_from_the_users_address(connected: Connected) -> None:
    """
    Each recipient gets an email of their own that begins a thread of its own, and each is told.

    A contact's answer comes into that contact's thread, and nobody sees who else got it.
    """
    to = crowd(8)
    answer = await accepted(connected, bulk(connected.user_id, to, **{"from": connected.email.upper()}))
    assert answer["sender"] == {
        "via": "outlook",
        "address": connected.email.upper().partition("@")[0] + "@" + connected.email.partition("@")[2],
        "rule": "bulk_from_outlook",
    }
    assert [m["to"] for m in answer["messages"]] == [[person] for person in to]
    assert len({m["thread_id"] for m in answer["messages"]}) == 8
    batch = await finished(connected, answer["batch_id"])
    for message in answer["messages"]:  # a delivery that waits for its account's turn is hidden, as if all were at rest
        await heard_of(connected, "message.sent", message["message_id"])
    await at_rest(connected)

    assert sorted(addresses(mail["to"]) + addresses(mail["cc"]) for mail in left(connected)) == sorted(
        [person["address"]] for person in to
    )
    assert (batch["total"], batch["counts"]["sent"], batch["kind"]) == (8, 8, "bulk")
    assert sorted(kind for kind, _ in told(connected)) == ["message.sent"] * 8
    third = answer["messages"][3]
    sent = (await heard_of(connected, "message.sent", third["message_id"]))["data"]["message"]
    reply = await synced(connected, await answers(connected, sent, sender=to[3]["address"]))
    assert (reply["thread_id"], reply["contact_ids"]) == (third["thread_id"], ["contact-3"])
    threads = (await connected.api.threads(contact_id="contact-3")).json()["threads"]
    assert third["thread_id"] in [thread["thread_id"] for thread in threads]


async def test_thirty_a_minute_and_no_call_refused(connected: Connected) -> None:
    """The first thirty leave at once, the others when the minute is over; Graph's limits refuse nothing."""
    answer = await accepted(connected, bulk(connected.user_id, crowd(36), **{"from": connected.email}))
    await finished(connected, answer["batch_id"], seconds=120)

    times = sorted(await sending_times(connected))
    assert len(times) == len(left(connected)) == 36
    assert max(sum(at <= other < at + timedelta(minutes=1) for other in times) for at in times) <= 30
    assert times[29] - times[0] < timedelta(minutes=1) <= times[30] - times[0]
    assert calls_refused(connected) == []


async def test_what_waits_is_there_to_be_looked_up(connected: Connected) -> None:
    """Every message, its thread and its file, from the moment the send was accepted; another account finds none of it."""
    notes = {"name": "a.txt", "content_type": "text/plain", "content_base64": "bm90ZXM="}
    body = bulk(connected.user_id, crowd(40), attachments=[notes], **{"from": connected.email})
    later = datetime.now(UTC) + timedelta(days=3)
    answer = await accepted(connected, body | {"send_at": later.isoformat()})
    last = answer["messages"][39]
    shown = (await connected.api.message(last["message_id"])).json()
    assert (shown["status"], shown["to"][0]["address"]) == ("queued", "c39@customer.example")
    assert (shown["html"], shown["thread_id"]) == ("<p>Dear all</p>", last["thread_id"])
    thread = (await connected.api.thread(last["thread_id"])).json()
    assert [m["message_id"] for m in thread["messages"]] == [last["message_id"]]
    file = await connected.api.attachment(shown["attachments"][0]["attachment_id"])
    assert file.content == b"notes"
    async with connected.cloud.api(unique("other")) as other:
        for asked in (
            other.message(last["message_id"]),
            other.thread(last["thread_id"]),
            other.batch(answer["batch_id"]),
            other.cancel_batch(answer["batch_id"]),
            other.cancel_message(last["message_id"]),
        ):
            assert (await asked).status_code == 404
    assert (await connected.api.cancel_batch(answer["batch_id"])).json()["counts"]["cancelled"] == 40


async def test_a_bad_recipient_fails_alone(connected: Connected) -> None:
    """What is no address says so in the answer, what Graph refuses when it does; the others are sent."""
    await fault(connected, "POST */send", status=400, code="ErrorInvalidRecipients")
    to = [*crowd(3), {"address": "not an address", "contact_id": "contact-x"}]
    answer = await accepted(connected, bulk(connected.user_id, to, **{"from": connected.email}))
    assert [m["status"] for m in answer["messages"]] == ["queued"] * 3 + ["failed"]
    assert answer["messages"][3]["problem"]["code"] == "invalid_address"
    await finished(connected, answer["batch_id"])
    await at_rest(connected)

    shown = (await connected.api.batch(answer["batch_id"], messages="true")).json()
    assert shown["counts"] == {"queued": 0, "sending": 0, "sent": 2, "failed": 2, "bounced": 0, "cancelled": 0}
    ends = {m["to"][0]["address"]: (m["status"], m.get("problem", {}).get("code")) for m in shown["messages"]}
    assert ends["not an address"] == ("failed", "invalid_address")
    assert sorted(ends.values(), key=str).count(("failed", "ErrorInvalidRecipients")) == 1
    assert sorted(kind for kind, _ in told(connected)) == ["message.failed"] * 2 + ["message.sent"] * 2


async def test_fifty_equal_requests_at_once_are_one_bulk_send(connected: Connected) -> None:
    """All get the same answer, and each recipient one email."""
    body, key = bulk(connected.user_id, crowd(5), **{"from": connected.email}), unique("key")
    every = await asyncio.gather(*(accepted(connected, body, key) for _ in range(50)))
    assert all(answer == every[0] for answer in every)
    await finished(connected, every[0]["batch_id"])
    await at_rest(connected)
    assert len(left(connected)) == 5


async def test_a_bulk_send_is_cancelled_on_its_way(connected: Connected) -> None:
    """What has left is sent, the rest is cancelled for good, and both add up."""
    answer = await accepted(connected, bulk(connected.user_id, crowd(60), **{"from": connected.email}))

    async def some_left() -> bool:
        return len(left(connected)) >= 5

    await eventually(some_left, "five emails to leave")
    cancelled = await connected.api.cancel_batch(answer["batch_id"])
    assert cancelled.status_code == 200, cancelled.text
    assert cancelled.json()["cancelled_at"]
    batch = await finished(connected, answer["batch_id"])
    await at_rest(connected)

    assert batch["counts"]["sent"] + batch["counts"]["cancelled"] == 60
    assert batch["counts"]["cancelled"] >= 30
    assert len(left(connected)) == batch["counts"]["sent"]
    again = (await connected.api.cancel_batch(answer["batch_id"])).json()
    assert again["counts"] == batch["counts"]
    drafts = [m for m in connected.cloud.graph.mailboxes.of(connected.person).messages() if m.is_draft]
    assert drafts == []


async def test_the_worker_dies_in_the_middle_of_a_bulk_send(connected: Connected) -> None:
    """The next one goes on where it stopped: one email each."""
    answer = await accepted(connected, bulk(connected.user_id, crowd(12), **{"from": connected.email}))

    async def some_left() -> bool:
        return len(left(connected)) >= 3

    await eventually(some_left, "three emails to leave")
    await connected.cloud.functions.kill_worker()
    await finished(connected, answer["batch_id"], seconds=200)
    await at_rest(connected)

    assert sorted(addresses(mail["to"])[0] for mail in left(connected)) == sorted(p["address"] for p in crowd(12))
    assert await counts(connected, answer["batch_id"]) == {"sent": 12}


async def test_what_makes_no_sense_in_bulk_is_refused(connected: Connected) -> None:
    """With the fields named; a batch that there is not is not found; a query that is none is refused."""
    bad: list[tuple[Json, str]] = [
        ({"cc": crowd(1)}, "cc"),
        ({"bcc": crowd(1)}, "bcc"),
        ({"thread_id": "thr_1"}, "thread_id"),
        ({"to": []}, "to"),
        ({"to": crowd(1_001)}, "to"),
        ({"send_at": "tomorrow"}, "send_at"),
    ]
    for changes, field in bad:
        answer = await connected.api.send(bulk(connected.user_id, crowd(2)) | changes, unique("key"))
        assert answer.status_code == 422, answer.text
        assert [error["field"] for error in answer.json()["errors"]] == [field]
    for batch_id in ("bat_" + "a" * 20, "nothing", "..", "bat_%2F"):
        assert (await connected.api.batch(batch_id)).status_code in (404, 400)
    assert (await connected.api.batch("bat_" + "a" * 20, messages="perhaps")).status_code in (404, 422)
