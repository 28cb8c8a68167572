"""Email that does not arrive: reports in the mailbox become `message.bounced`; of reports about other mail nothing is read."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.cloud.local import LocalCloud
from tests.cloud.polling import eventually
from tests.e2e.account import Connected, Json, unique
from tests.e2e.conversation import (
    ADA,
    Arrival,
    answers,
    arrives,
    at_rest,
    calls_about,
    heard_of,
    in_mailbox,
    left,
    mailbox_of,
    notifications,
    only_looked_at,
    switched,
    synced,
    told,
    users,
)

DAEMON = "mailer-daemon@mx.customer.example"


async def bounce(of: Connected, internet_message_id: str, address: str = ADA, **more: Any) -> Arrival:
    """A delivery report arrives. more: further fields of Graph's `POST /_lab/bounce`."""
    given = {"mailbox": of.email, "internet_message_id": internet_message_id, "address": address} | more
    arrived = await of.stage.lab("POST", f"{of.cloud.graph.url}/_lab/bounce", given)
    return Arrival(arrived["internet_message_id"], arrived["id"])


async def status(of: Connected, message_id: str) -> Json:
    """The message as its own route shows it."""
    return dict((await of.api.message(message_id)).json())


async def was_read(by: Connected, report: Arrival) -> bool:
    """Whether the app asked for what the report says."""
    return any(call["path"].endswith("/$value") for call in await calls_about(by, report))


async def in_thread(of: Connected, thread_id: str) -> list[str]:
    """The ids of the messages of a thread."""
    return [m["message_id"] for m in (await of.api.thread(thread_id)).json()["messages"]]


async def test_one_of_two_recipients_is_not_reached(connected: Connected) -> None:
    """Exchange's own report: who, why and what to do, on the message and in the event; the report is no message."""
    lost = f"{unique('nobody')}@customer.example"
    async with switched(connected, undeliverable=[lost]):
        offer = await connected.sent(to=[{"address": ADA}, {"address": lost}])
        event = await heard_of(connected, "message.bounced", offer["message_id"])
    await at_rest(connected)

    [failed] = event["data"]["bounces"]
    assert (failed["address"], failed["status_code"]) == (lost, "5.1.10")
    assert "RecipientNotFound" in failed["detail"]
    problem = event["data"]["problem"]
    assert problem["code"] == "bounced"
    assert lost in problem["detail"]
    assert "Check the address" in problem["what_to_do"]
    shown = await status(connected, offer["message_id"])
    assert (shown["status"], shown["bounces"], shown["problem"]) == ("bounced", [failed], problem)
    assert told(connected) == [("message.sent", offer["message_id"]), ("message.bounced", offer["message_id"])]
    assert await in_thread(connected, offer["thread_id"]) == [offer["message_id"]]


async def test_two_reports_and_a_late_one(connected: Connected) -> None:
    """Each failure is told; that an email is late is not, and all of it adds up on the message."""
    offer = await connected.sent(to=[{"address": ADA}, {"address": "bob@customer.example"}])
    about = offer["internet_message_id"]
    await bounce(connected, about, action="delayed", status_code="4.4.7")
    await at_rest(connected)
    assert told(connected) == [("message.sent", offer["message_id"])]

    await bounce(connected, about, status_code="5.2.2", diagnostic="smtp; 552 5.2.2 Mailbox full")
    await bounce(connected, about, "bob@customer.example", **{"from": DAEMON})
    await at_rest(connected)

    assert [kind for kind, _ in told(connected)] == ["message.sent", "message.bounced", "message.bounced"]
    shown = await status(connected, offer["message_id"])
    assert {(b["address"], b["status_code"]) for b in shown["bounces"]} == {
        (ADA, "5.2.2"),
        ("bob@customer.example", "5.1.1"),
    }
    assert await in_thread(connected, offer["thread_id"]) == [offer["message_id"]]


@pytest.mark.parametrize("joins", [True, False], ids=["in the conversation", "elsewhere"])
@pytest.mark.parametrize("names", [True, False], ids=["In-Reply-To", "no In-Reply-To"])
async def test_whichever_way_a_report_points_at_its_email(
    cloud: LocalCloud, http: httpx.AsyncClient, joins: bool, names: bool
) -> None:
    """
    Exchange's and a foreign one: one key that leads to our thread is enough to read it.

    Without any it is not read: it could be about the user's own mail, which is none of our business. The email stays sent.
    """
    async with users(cloud, http, 2) as both:
        offers = await asyncio.gather(*(user.sent() for user in both))
        async with switched(both[0], report_joins_conversation=joins, report_has_in_reply_to=names):
            ids = [offer["internet_message_id"] for offer in offers]
            reports = [await bounce(both[0], ids[0]), await bounce(both[1], ids[1], **{"from": DAEMON})]
        for user, offer, report in zip(both, offers, reports, strict=True):
            await at_rest(user)
            kinds = [kind for kind, _ in told(user)]
            if joins or names:
                assert kinds == ["message.sent", "message.bounced"]
                assert await was_read(user, report)
            else:
                assert kinds == ["message.sent"]
                assert await only_looked_at(user, report)
                assert (await status(user, offer["message_id"]))["status"] == "sent"


async def test_what_the_user_wrote_in_outlook_bounces_too(connected: Connected) -> None:
    """An email of the thread, whoever's hands wrote it."""
    offer = await connected.sent()
    mine = in_mailbox(connected, offer["internet_message_id"])
    own = await synced(connected, await connected.stage.outlook.reply_all(mine.mutable_id, "One more thing"))

    await bounce(connected, own["internet_message_id"])

    event = await heard_of(connected, "message.bounced", own["message_id"])
    assert event["data"]["message"]["origin"] == "outlook"
    await at_rest(connected)
    assert (await status(connected, own["message_id"]))["status"] == "bounced"
    assert (await status(connected, offer["message_id"]))["status"] == "sent"


@pytest.mark.parametrize("sender", [None, DAEMON], ids=["Exchange's own", "a foreign server's"])
async def test_a_report_of_private_mail_is_not_read(connected: Connected, sender: str | None) -> None:
    """What the user sends on their own is nobody's business, and neither is its fate: only the report's keys are looked at."""
    offer = await connected.sent()
    private = await connected.stage.outlook.write("lawyer@else.example", "Our offer", "Strictly private")
    await at_rest(connected)
    before = (await status(connected, offer["message_id"]), await connected.feed())

    report = await bounce(
        connected, private["internetMessageId"], "lawyer@else.example", **({"from": sender} if sender else {})
    )
    await at_rest(connected)

    assert await only_looked_at(connected, report)
    assert (await status(connected, offer["message_id"]), await connected.feed()) == before


@pytest.mark.parametrize("header", [True, False], ids=["by its header", "by its class"])
async def test_an_out_of_office_note_is_a_reply(connected: Connected, header: bool) -> None:
    """It syncs, marked as automatic, and nothing bounces."""
    offer = await connected.sent()
    how: Json = {"headers": {"Auto-Submitted": "auto-replied"}} if header else {}
    how |= {"message_class": "IPM.Note.Rules.OofTemplate.Microsoft"}
    note = await synced(connected, await answers(connected, offer, text="I am away.", **how))

    assert note["auto_reply"] is True
    assert note["thread_id"] == offer["thread_id"]
    assert [kind for kind, _ in told(connected)] == ["message.sent", "message.synced"]


async def test_a_bounce_that_overtakes_the_copy_in_sent_items(connected: Connected) -> None:
    """Sent is told first, however late the copy is."""
    async with switched(connected, sent_copy_delay_s=4.0):
        answer = await connected.api.send(connected.mail(), unique("key"))
        message_id = answer.json()["messages"][0]["message_id"]
        draft = await submitted(connected, message_id)
        await bounce(connected, draft)
        await heard_of(connected, "message.bounced", message_id)
    await at_rest(connected)

    assert told(connected) == [("message.sent", message_id), ("message.bounced", message_id)]
    assert len(left(connected)) == 1


async def submitted(by: Connected, message_id: str) -> str:
    """The Message-ID of an email that was handed to Graph and has not left yet."""

    async def look() -> str | None:
        return next((m.internet_message_id for m in mailbox_of(by).messages() if m.submitted), None)

    return await eventually(look, f"{message_id} to be handed to Graph")


async def test_notifications_doubled_and_shuffled(connected: Connected) -> None:
    """Each report is told once, the email is told as sent once, and nothing un-bounces it."""
    async with notifications(connected, duplicate_rate=1.0, shuffle=True, delay_s=0.2):
        offer = await connected.sent()
        reports = [await bounce(connected, offer["internet_message_id"], f"{name}@customer.example") for name in "abc"]
        await at_rest(connected)

    assert [kind for kind, _ in told(connected)] == ["message.sent", *["message.bounced"] * len(reports)]
    shown = await status(connected, offer["message_id"])
    assert shown["status"] == "bounced"
    assert len(shown["bounces"]) == len(reports)


async def test_mail_that_only_looks_like_a_report_is_no_reply_and_no_bounce(connected: Connected) -> None:
    """Anybody can write such a Content-Type into a thread: it is read as a report, says nothing, and nothing is told."""
    offer = await connected.sent()
    forged = {"Content-Type": "multipart/report; report-type=delivery-status"}
    await arrives(
        connected, ADA, "RE: Our offer", headers=forged, in_reply_to=offer["internet_message_id"], conversation="same"
    )
    await at_rest(connected)

    assert told(connected) == [("message.sent", offer["message_id"])]
