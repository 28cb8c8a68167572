"""The CRM answers into a thread: whoever wrote last, it is a real reply, to the right people, with the history below it."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from tests.e2e.account import Account, Connected, Json, unique
from tests.e2e.conversation import (
    ADA,
    BOB,
    BOB_IN_CC,
    addresses,
    answers,
    arrives,
    at_rest,
    in_mailbox,
    left,
    mailbox_of,
    newly_connected,
    synced,
    told,
    writes,
)


async def the_contact(by: Connected, offer: Json) -> Json:
    """Ada answers."""
    return await synced(by, await answers(by, offer, text="Ada's last words"))


async def the_user_in_outlook(by: Connected, offer: Json) -> Json:
    """Dana follows up on her own email, in Outlook."""
    letter = in_mailbox(by, offer["internet_message_id"])
    return await synced(by, await by.stage.outlook.reply_all(letter.mutable_id, "Dana's last words"))


async def the_crm(by: Connected, offer: Json) -> Json:
    """The CRM's email is the last of the thread."""
    return offer


async def the_crm_after_the_contact(by: Connected, offer: Json) -> Json:
    """The CRM answered Ada already."""
    await the_contact(by, offer)
    return await by.sent(thread_id=offer["thread_id"], subject="Our offer", html="<p>The CRM's last words</p>")


@pytest_asyncio.fixture(loop_scope="session")
async def another(account: Account) -> AsyncIterator[Connected]:
    """A user of another account, connected."""
    async with account.cloud.api(unique("acme")) as api:
        yield await newly_connected(Account(account.cloud, api, account.http))


type LastWord = Callable[[Connected, Json], Awaitable[Json]]


@pytest.mark.parametrize("last_word", [the_contact, the_user_in_outlook, the_crm, the_crm_after_the_contact])
async def test_an_answer_goes_on_from_the_last_message(connected: Connected, last_word: LastWord) -> None:
    """
    It answers the thread's last message, whoever wrote it: In-Reply-To, References and conversation are those of a reply.

    It goes to whom the CRM says and never to the user, and it quotes what it answers below.
    """
    offer = await connected.sent(html="<p>The offer itself</p>")
    last = await last_word(connected, offer)

    answer = await connected.sent(thread_id=offer["thread_id"], subject="Our offer", html="<p>The new words</p>")

    mail = left(connected)[-1]
    assert (addresses(mail["to"]), mail["cc"], mail["bcc"]) == ([ADA], [], [])
    assert mail["subject"] == answer["subject"] == "RE: Our offer"
    assert mail["headers"]["In-Reply-To"] == answer["in_reply_to"] == last["internet_message_id"]
    assert offer["internet_message_id"] in mail["headers"]["References"].split()
    copies = [in_mailbox(connected, m["internet_message_id"]) for m in (offer, last, answer)]
    assert len({copy.conversation.id for copy in copies}) == 1
    assert (answer["thread_id"], answer["direction"], answer["origin"]) == (offer["thread_id"], "outbound", "crm")
    assert mail["html"].index("The new words") < mail["html"].index(last["text"].splitlines()[0])


async def test_an_answer_takes_two_writes(connected: Connected) -> None:
    """createReply brings recipients, body and stamp in one call."""
    offer = await connected.sent()
    before = len(await writes(connected))

    await connected.sent(thread_id=offer["thread_id"], subject="Our offer")
    await at_rest(connected)

    assert (await writes(connected))[before:] == ["POST me/messages/{id}/createReply", "POST me/messages/{id}/send"]


async def test_an_answer_can_go_to_other_people(connected: Connected) -> None:
    """Recipients are those of the send, not those of the message it answers."""
    offer = await connected.sent(cc=BOB_IN_CC)

    answer = await connected.sent(
        thread_id=offer["thread_id"],
        subject="Only for Bob",
        to=[{"address": BOB}],
        cc=[{"address": "zoe@customer.example"}],
    )

    mail = left(connected)[-1]
    assert (addresses(mail["to"]), addresses(mail["cc"])) == ([BOB], ["zoe@customer.example"])
    assert (mail["subject"], answer["thread_id"]) == ("Only for Bob", offer["thread_id"])
    assert mail["headers"]["In-Reply-To"] == offer["internet_message_id"]


async def test_a_plain_answer_quotes_in_plain_text(connected: Connected) -> None:
    """A text answer stays text, with the history marked as mail programs mark it."""
    offer = await connected.sent(html=None, text="The offer itself")

    answer = await connected.sent(thread_id=offer["thread_id"], subject="Our offer", html=None, text="The new words")

    mail = left(connected)[-1]
    assert mail["html"] is None
    assert mail["text"].startswith("The new words\n")
    assert "> The offer itself" in mail["text"]
    assert answer["text"] == "The new words"


async def test_the_history_is_not_told_as_the_answers_own_words(connected: Connected) -> None:
    """The event of an answer has what the CRM wrote; the quoted history is only in the email."""
    offer = await connected.sent(html="<p>The offer itself</p>")

    answer = await connected.sent(thread_id=offer["thread_id"], subject="Our offer", html="<p>The new words</p>")

    assert (answer["html"], answer["text"]) == ("<p>The new words</p>", "The new words")


async def test_what_the_user_removed_for_good_is_not_needed(connected: Connected) -> None:
    """Where the last message is gone from the mailbox, the one before it is answered; where all are, a new email goes out."""
    offer = await connected.sent()
    reply = await synced(connected, await answers(connected, offer))

    mailbox_of(connected).remove(in_mailbox(connected, reply["internet_message_id"]))
    second = await connected.sent(thread_id=offer["thread_id"], subject="Our offer")
    for message in (offer, second):
        mailbox_of(connected).remove(in_mailbox(connected, message["internet_message_id"]))
    third = await connected.sent(thread_id=offer["thread_id"], subject="Our offer")

    assert left(connected)[1]["headers"]["In-Reply-To"] == offer["internet_message_id"]
    assert third["thread_id"] == offer["thread_id"]
    later = await synced(connected, await answers(connected, third))
    assert later["thread_id"] == offer["thread_id"]


async def test_the_thread_shows_both_sides_in_order(connected: Connected) -> None:
    """The thread route lists offer, reply and answer, oldest first, with the people the CRM named."""
    offer = await connected.sent()
    reply = await synced(connected, await answers(connected, offer))
    answer = await connected.sent(thread_id=offer["thread_id"], subject="Our offer")

    thread = (await connected.api.thread(offer["thread_id"])).json()

    messages = [offer, reply, answer]
    assert [m["message_id"] for m in thread["messages"]] == [m["message_id"] for m in messages]
    assert [m["status"] for m in thread["messages"]] == ["sent", "synced", "sent"]
    assert thread["contacts"] == [{"address": ADA, "name": "Ada Quist", "contact_id": "contact-1"}]
    assert thread["state"] == "active"


async def refused(by: Connected, **changes: object) -> tuple[int, str]:
    """Status and code of a send that is refused."""
    answer = await by.api.send(by.mail(**changes), unique("key"))
    return answer.status_code, answer.json()["code"]


async def test_a_thread_nobody_knows_is_not_found(connected: Connected, another: Connected) -> None:
    """An id that never was and one of another account are the same 404, and nothing is sent."""
    of_another = await another.sent()

    assert await refused(connected, thread_id="thr_aaaaaaaaaaaaaaaaaaaaaaaa") == (404, "not_found")
    assert await refused(connected, thread_id=of_another["thread_id"]) == (404, "not_found")
    await at_rest(connected)
    assert left(connected) == []


async def test_a_thread_is_taken_up_again_after_a_delete(connected: Connected) -> None:
    """
    Connecting the same mailbox after a delete leaves the thread stopped, until the CRM sends into it; then it syncs again.

    What came in between stays untold.
    """
    offer = await connected.sent()
    await connected.api.delete_connection(connected.user_id)
    await connected.connect(connected.user_id, connected.email)
    meanwhile = await answers(connected, offer, text="Into the gap")
    await at_rest(connected)
    assert told(connected) == [("message.sent", offer["message_id"])]

    answer = await connected.sent(thread_id=offer["thread_id"], subject="Our offer")
    later = await synced(connected, await answers(connected, answer))
    to_the_first = await synced(connected, await answers(connected, offer, conversation="new"))

    assert [m["thread_id"] for m in (answer, later, to_the_first)] == [offer["thread_id"]] * 3
    assert [kind for kind, _ in told(connected)] == ["message.sent", "message.sent", "message.synced", "message.synced"]
    assert meanwhile.internet_message_id not in {later["internet_message_id"], to_the_first["internet_message_id"]}
    assert (await connected.api.thread(offer["thread_id"])).json()["state"] == "active"


@pytest.mark.parametrize("deleted_first", [True, False], ids=["delete and connect", "update"])
async def test_a_thread_of_another_mailbox_is_stopped(connected: Connected, deleted_first: bool) -> None:
    """Whoever signs in with another mailbox can't go on in the old one's threads: 409, and nothing is sent."""
    offer = await connected.sent()
    if deleted_first:
        await connected.api.delete_connection(connected.user_id)
    await connected.connect(connected.user_id, connected.new_person("Dana Second").email)

    assert await refused(connected, thread_id=offer["thread_id"]) == (409, "thread_stopped")
    await at_rest(connected)
    assert len(left(connected)) == 1
    assert (await connected.api.thread(offer["thread_id"])).json()["state"] == "stopped"


async def test_a_thread_of_another_user_is_stopped_for_this_one(connected: Connected) -> None:
    """A colleague of the same account has a mailbox of their own and can't answer in Dana's."""
    offer = await connected.sent()
    colleague = connected.new_person("Carol Colleague")
    await connected.connect("carol", colleague.email)

    assert await refused(connected, thread_id=offer["thread_id"], user_id="carol") == (409, "thread_stopped")


async def test_a_file_goes_out_with_an_answer(connected: Connected) -> None:
    """The contact's own files are not sent back, the answer's are sent."""
    offer = await connected.sent()
    picture = {"name": "plan.txt", "content_type": "text/plain", "content_base64": "cGxhbg=="}
    await synced(connected, await answers(connected, offer, attachments=[picture]))

    await connected.sent(thread_id=offer["thread_id"], subject="Our offer", attachments=[picture | {"name": "new.txt"}])

    assert [file["name"] for file in left(connected)[-1]["attachments"]] == ["new.txt"]


async def test_unrelated_mail_of_the_contact_is_not_what_is_answered(connected: Connected) -> None:
    """What Ada began herself is newer than the thread's last message, and none of it."""
    offer = await connected.sent()
    await arrives(connected, ADA, "Something else")
    await at_rest(connected)

    await connected.sent(thread_id=offer["thread_id"], subject="Our offer")

    assert left(connected)[-1]["headers"]["In-Reply-To"] == offer["internet_message_id"]
