"""
What is none of the CRM's business: never told, never read.

Of each such message the app may ask Graph one thing, its keys and addresses, each time Graph tells of a change of it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
import pytest_asyncio

from tests.cloud.local import LocalCloud
from tests.cloud.request_log import asks_for_content
from tests.e2e.account import Account, Connected, Json
from tests.e2e.conversation import (
    ADA,
    BOB_IN_CC,
    STRANGER,
    Arrival,
    Played,
    answers,
    arrives,
    at_rest,
    calls,
    calls_about,
    in_mailbox,
    mailbox_of,
    newly_connected,
    notifications,
    only_looked_at,
    slips_in,
    synced,
    told,
    users,
)

SUBJECT = "Our offer"
COLLEAGUE = "carol@elsewhere.example"
ELSEWHERE = "<another@elsewhere.example>"

type Way = Callable[[Connected, Json], Awaitable[Arrival]]


async def contact_begins_with_the_same_subject(to: Connected, offer: Json) -> Arrival:
    return await arrives(to, ADA, offer["subject"])


async def contact_begins_as_if_answering(to: Connected, offer: Json) -> Arrival:
    return await arrives(to, ADA, f"RE: {offer['subject']}")


async def contact_answers_what_was_never_sent(to: Connected, offer: Json) -> Arrival:
    return await arrives(to, ADA, f"RE: {offer['subject']}", in_reply_to=ELSEWHERE, references=[ELSEWHERE])


async def contact_begins_something_new_from_an_old_mail(to: Connected, offer: Json) -> Arrival:
    """References are copied along by some programs; another subject says that it is something new."""
    return await arrives(to, ADA, "The garden party", references=[offer["internet_message_id"], ELSEWHERE])


async def stranger_with_the_same_subject(to: Connected, offer: Json) -> Arrival:
    return await arrives(to, STRANGER, offer["subject"])


async def stranger_in_the_same_conversation(to: Connected, offer: Json) -> Arrival:
    return await arrives(to, STRANGER, offer["subject"], conversation="same")


async def stranger_in_the_same_conversation_answering_elsewhere(to: Connected, offer: Json) -> Arrival:
    elsewhere = {"In-Reply-To": ELSEWHERE, "References": ELSEWHERE}
    return await arrives(to, STRANGER, f"RE: {offer['subject']}", conversation="same", headers=elsewhere)


async def newsletter_in_bcc(to: Connected, offer: Json) -> Arrival:
    return slips_in(to, STRANGER, "News of the week", visible_to="everybody@elsewhere.example")


async def filed_as_junk(to: Connected, offer: Json) -> Arrival:
    return await arrives(to, STRANGER, "You have won", folder="junkemail")


async def with_files(to: Connected, offer: Json) -> Arrival:
    file = {"name": "private.txt", "content_type": "text/plain", "content_base64": "cHJpdmF0ZQ=="}
    return await arrives(to, ADA, "Private", attachments=[file])


WAYS: list[Way] = [
    contact_begins_with_the_same_subject,
    contact_begins_as_if_answering,
    contact_answers_what_was_never_sent,
    contact_begins_something_new_from_an_old_mail,
    stranger_with_the_same_subject,
    stranger_in_the_same_conversation,
    stranger_in_the_same_conversation_answering_elsewhere,
    newsletter_in_bcc,
    filed_as_junk,
    with_files,
]


type ByWay = Played[Way, tuple[Connected, Json, Arrival]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def by_way(cloud: LocalCloud, http: httpx.AsyncClient) -> AsyncIterator[ByWay]:
    """For each way its offer and the message; all of it in one mailbox, each beside a thread of its own."""
    async with users(cloud, http, 1) as (connected,):

        async def play(way: Way) -> tuple[Connected, Json, Arrival]:
            offer = await connected.sent(subject=way.__name__)
            return connected, offer, await way(connected, offer)

        played = await Played.at_once(WAYS, play)
        await at_rest(connected)
        yield played


@pytest.mark.parametrize("way", WAYS, ids=[way.__name__ for way in WAYS])
async def test_unrelated_mail_is_looked_at_once_and_left_alone(by_way: ByWay, way: Way) -> None:
    """One GET for its keys and addresses, which names no body, preview or file; nothing is told, nothing is in a thread."""
    connected, offer, arrival = by_way[way]

    assert await only_looked_at(connected, arrival)
    assert {kind for kind, _ in told(connected)} == {"message.sent"}
    assert len((await connected.api.thread(offer["thread_id"])).json()["messages"]) == 1


async def looks_at(by: Connected, graph_id: str) -> int:
    """How often the app asked for this message; fails where it asked for what it says."""
    about = await calls_about(by, Arrival("", graph_id))
    assert [call for call in about if call["method"] != "GET" or asks_for_content(call)] == []
    return len(about)


@pytest.mark.parametrize("to", [ADA, STRANGER], ids=["the contact", "a stranger"])
async def test_what_the_user_begins_in_outlook_stays_there(connected: Connected, to: str) -> None:
    """Neither a new email of the user's own with the thread's subject nor the answer to it syncs."""
    offer = await connected.sent()

    letter = await connected.stage.outlook.write(to, SUBJECT, "Something private")
    answer = await arrives(
        connected, to, f"RE: {SUBJECT}", in_reply_to=letter["internetMessageId"], conversation="same"
    )
    await at_rest(connected)

    # Graph tells of the letter twice: as a draft, and as sent.
    assert await looks_at(connected, in_mailbox(connected, letter["internetMessageId"]).immutable_id) == 2
    assert await only_looked_at(connected, answer)
    assert told(connected) == [("message.sent", offer["message_id"])]


async def test_drafts_stay_drafts(connected: Connected) -> None:
    """An answer that the user begins in Outlook, changes ten times and throws away is never told and never read."""
    offer = await connected.sent()
    # Graph tells of the offer twice, and its second look may come after the CRM was told.
    await at_rest(connected)
    before = len(await calls(connected))
    outlook = connected.stage.outlook
    letter = in_mailbox(connected, offer["internet_message_id"])

    draft = await outlook._call("POST", f"/messages/{letter.mutable_id}/createReplyAll", json={"comment": "Dear Ada"})
    draft_id = in_mailbox(connected, draft["internetMessageId"]).immutable_id
    for n in range(10):
        await outlook._call("PATCH", f"/messages/{draft['id']}", json={"subject": f"RE: {SUBJECT} {n}"})
    await outlook._call("DELETE", f"/messages/{draft['id']}")
    await at_rest(connected)

    # Graph told of twelve changes, several in one post.
    assert 1 <= await looks_at(connected, draft_id) == len(await calls(connected)) - before <= 12
    assert told(connected) == [("message.sent", offer["message_id"])]


async def test_a_message_that_is_gone_before_it_is_looked_at(connected: Connected) -> None:
    """A 404 is the end of it: no second look, nothing told."""
    async with notifications(connected, paused=True):
        arrival = await arrives(connected, ADA, "Recalled")
        mailbox_of(connected).remove(in_mailbox(connected, arrival.internet_message_id), publish=False)
    await at_rest(connected)

    assert [call["status"] for call in await calls_about(connected, arrival)] == [404]
    assert told(connected) == []


@pytest.mark.parametrize("how", ["delete", "update"])
async def test_after_the_end_nothing_is_asked_at_all(connected: Connected, how: str) -> None:
    """After a delete, and in the old mailbox after an update, even answers to the CRM's own threads cost no call to Graph."""
    offer = await connected.sent()
    await at_rest(connected)
    if how == "delete":
        await connected.api.delete_connection(connected.user_id)
    else:
        await connected.connect(connected.user_id, connected.new_person("Dana Second").email)
    await at_rest(connected)
    before, heard = len(await calls(connected)), len(connected.events())

    await answers(connected, offer)
    await connected.stage.outlook.reply_all(in_mailbox(connected, offer["internet_message_id"]).mutable_id, "Late")
    await at_rest(connected)

    assert len(await calls(connected)) == before
    assert len(connected.events()) == heard
    assert len((await connected.api.thread(offer["thread_id"])).json()["messages"]) == 1


async def test_notifications_under_way_at_a_delete_are_dropped(connected: Connected) -> None:
    """What Graph had noticed before the delete and tells after it is not looked at any more."""
    offer = await connected.sent()
    await at_rest(connected)
    before = len(await calls(connected))
    async with notifications(connected, paused=True):
        await asyncio.gather(*(answers(connected, offer) for _ in range(5)))
        await connected.api.delete_connection(connected.user_id)
    await at_rest(connected)

    assert len(await calls(connected)) == before
    assert told(connected) == [("message.sent", offer["message_id"])]


async def test_forwarded_copies_can_be_withheld(http: httpx.AsyncClient) -> None:
    """
    With FORWARDED_MESSAGES=withhold, a message of the thread that no contact wrote or got stays in the mailbox, unread.

    What involves a contact syncs as ever, also from the same colleague.
    """
    async with LocalCloud({"FORWARDED_MESSAGES": "withhold"}) as cloud, cloud.api() as api:
        connected = await newly_connected(Account(cloud, api, http))
        offer = await connected.sent(cc=BOB_IN_CC)

        internal = await answers(connected, offer, sender=COLLEAGUE)
        to_all = await synced(connected, await answers(connected, offer, sender=COLLEAGUE, cc=[ADA]))
        await at_rest(connected)

        assert await only_looked_at(connected, internal)
        assert told(connected) == [("message.sent", offer["message_id"]), ("message.synced", to_all["message_id"])]
