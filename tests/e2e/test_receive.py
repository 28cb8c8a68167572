"""What comes into a thread from outside of the CRM: whose it is, how it was recognised, and what the CRM is told of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio

from tests.cloud.local import LocalCloud
from tests.e2e.account import Connected, Json
from tests.e2e.conversation import (
    ADA,
    BOB,
    BOB_IN_CC,
    Arrival,
    Played,
    answers,
    arrives,
    at_rest,
    in_mailbox,
    slips_in,
    synced,
    told,
    users,
)

COLLEAGUE = "carol@elsewhere.example"
#: A message between the customer's people, which never came to the mailbox.
UNKNOWN = "<between@customer.example>"

type Way = Callable[[Connected, Json], Awaitable[Arrival | Json]]


@dataclass(frozen=True)
class Expected:
    """What the CRM is told of a message; the contact's own answer, where nothing else is said."""

    matched_by: str = "conversation"
    sender: str = ADA
    direction: str = "inbound"
    origin: str = "contact"
    contacts: tuple[str, ...] = ("contact-1",)
    involves_contact: bool = True
    auto_reply: bool = False
    in_reply_to: str | None = "the offer"


async def contact_replies(to: Connected, offer: Json) -> Arrival:
    return await answers(to, offer)


async def user_replies_in_outlook(to: Connected, offer: Json) -> Json:
    return await to.stage.outlook.reply_all(in_mailbox(to, offer["internet_message_id"]).mutable_id, "One more thing")


async def cc_replies(to: Connected, offer: Json) -> Arrival:
    return await answers(to, offer, sender=BOB)


async def unseen_colleague_replies_to_all(to: Connected, offer: Json) -> Arrival:
    return await answers(to, offer, sender=COLLEAGUE, cc=[ADA, BOB])


async def unseen_colleague_replies_to_user_alone(to: Connected, offer: Json) -> Arrival:
    return await answers(to, offer, sender=COLLEAGUE)


async def subject_edited(to: Connected, offer: Json) -> Arrival:
    return await arrives(to, ADA, "Now something else", in_reply_to=offer["internet_message_id"])


async def new_conversation(to: Connected, offer: Json) -> Arrival:
    return await answers(to, offer, conversation="new")


async def colleague_in_new_conversation(to: Connected, offer: Json) -> Arrival:
    return await answers(to, offer, sender=COLLEAGUE, conversation="new")


async def only_references(to: Connected, offer: Json) -> Arrival:
    ids = ["<before@customer.example>", offer["internet_message_id"], UNKNOWN]
    return await arrives(to, ADA, f"AW: {offer['subject']}", references=ids, in_reply_to=UNKNOWN)


async def only_conversation_index(to: Connected, offer: Json) -> Arrival:
    index_of = in_mailbox(to, offer["internet_message_id"])
    return slips_in(to, ADA, f"RE: {offer['subject']}", visible_to=to.email, index_of=index_of)


async def only_conversation_id(to: Connected, offer: Json) -> Arrival:
    return await arrives(to, ADA, offer["subject"], conversation="same")


async def out_of_office(to: Connected, offer: Json) -> Arrival:
    return await answers(to, offer, headers={"Auto-Submitted": "auto-replied"})


async def user_in_bcc(to: Connected, offer: Json) -> Arrival:
    answered = offer["internet_message_id"]
    return slips_in(to, ADA, f"RE: {offer['subject']}", visible_to="boss@customer.example", in_reply_to=answered)


async def filed_by_a_rule(to: Connected, offer: Json) -> Arrival:
    return await answers(to, offer, folder="archive")


async def taken_for_junk(to: Connected, offer: Json) -> Arrival:
    return await answers(to, offer, folder="junkemail")


async def address_in_other_case(to: Connected, offer: Json) -> Arrival:
    return await answers(to, offer, sender=ADA.upper())


WAYS: dict[Way, Expected] = {
    contact_replies: Expected(),
    user_replies_in_outlook: Expected(direction="outbound", origin="outlook", contacts=("contact-1", "contact-2")),
    cc_replies: Expected(sender=BOB, contacts=("contact-2",)),
    unseen_colleague_replies_to_all: Expected(sender=COLLEAGUE, contacts=("contact-1", "contact-2")),
    unseen_colleague_replies_to_user_alone: Expected(sender=COLLEAGUE, contacts=(), involves_contact=False),
    subject_edited: Expected("message_id"),
    new_conversation: Expected("message_id"),
    colleague_in_new_conversation: Expected("message_id", sender=COLLEAGUE, contacts=(), involves_contact=False),
    only_references: Expected("message_id", in_reply_to=UNKNOWN),
    only_conversation_index: Expected("conversation_index", in_reply_to=None),
    only_conversation_id: Expected("conversation", in_reply_to=None),
    out_of_office: Expected(auto_reply=True),
    user_in_bcc: Expected("message_id"),
    filed_by_a_rule: Expected(),
    taken_for_junk: Expected(),
    address_in_other_case: Expected(sender=ADA.upper()),
}


type ByWay = Played[Way, tuple[Connected, Json, Json]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def by_way(cloud: LocalCloud, http: httpx.AsyncClient) -> AsyncIterator[ByWay]:
    """For each way its offer and what was told of the message; all of it in one mailbox, each in a thread of its own."""
    async with users(cloud, http, 1) as (connected,):

        async def play(way: Way) -> tuple[Connected, Json, Json]:
            offer = await connected.sent(cc=BOB_IN_CC, subject=way.__name__)
            return connected, offer, await synced(connected, await way(connected, offer))

        played = await Played.at_once(WAYS, play)
        await at_rest(connected)
        yield played


@pytest.mark.parametrize(("way", "expected"), WAYS.items(), ids=[way.__name__ for way in WAYS])
async def test_what_belongs_to_the_thread_is_told(by_way: ByWay, way: Way, expected: Expected) -> None:
    """Whoever wrote it, wherever it lies and by whichever key it is known: it is told once, as what it is."""
    connected, offer, message = by_way[way]

    sender = connected.email if expected.origin == "outlook" else expected.sender
    in_reply_to = offer["internet_message_id"] if expected.in_reply_to == "the offer" else expected.in_reply_to
    assert message["from"]["address"] == sender
    told_of = {
        name: message[name]
        for name in (
            *("thread_id", "connection_id", "user_id", "contact_ids", "direction", "origin", "matched_by"),
            *("involves_contact", "auto_reply", "in_reply_to", "body_truncated"),
        )
    }
    assert told_of == {
        "thread_id": offer["thread_id"],
        "connection_id": connected.connection_id,
        "user_id": connected.user_id,
        "contact_ids": list(expected.contacts),
        "direction": expected.direction,
        "origin": expected.origin,
        "matched_by": expected.matched_by,
        "involves_contact": expected.involves_contact,
        "auto_reply": expected.auto_reply,
        "in_reply_to": in_reply_to,
        "body_truncated": False,
    }
    assert told(connected, offer["thread_id"]) == [
        ("message.sent", offer["message_id"]),
        ("message.synced", message["message_id"]),
    ]
    shown = (await connected.api.message(message["message_id"])).json()
    assert shown == message | {"status": "synced"}


async def test_the_chain_grows_with_each_generation(connected: Connected) -> None:
    """
    An answer to an answer to an answer belongs, though each mail program starts a conversation of its own.

    Each is known by the one before it alone, of which the CRM sent only the first.
    """
    last = offer = await connected.sent()

    for generation in range(1, 5):
        arrival = await answers(connected, last, text=f"Generation {generation}", conversation="new")
        last = await synced(connected, arrival)
        assert (last["thread_id"], last["matched_by"]) == (offer["thread_id"], "message_id")
        assert last["text"] == f"Generation {generation}"


async def test_an_answer_to_what_the_user_wrote_in_outlook(connected: Connected) -> None:
    """The contact answers a message that the CRM never sent: it was told of it, so it is told of the answer."""
    offer = await connected.sent()
    letter = in_mailbox(connected, offer["internet_message_id"])
    own = await synced(connected, await connected.stage.outlook.reply_all(letter.mutable_id, "One more thing"))

    answer = await synced(connected, await answers(connected, own, conversation="new"))

    assert (answer["thread_id"], answer["matched_by"]) == (offer["thread_id"], "message_id")
    assert answer["in_reply_to"] == own["internet_message_id"]


async def test_two_threads_with_one_subject_are_kept_apart(connected: Connected) -> None:
    """Two offers with one subject to one contact are two threads; each answer goes where it points."""
    first, second = await connected.sent(), await connected.sent()

    to_second = await synced(connected, await answers(connected, second, conversation="new"))
    to_first = await synced(connected, await answers(connected, first, conversation="new"))

    assert first["thread_id"] != second["thread_id"]
    assert (to_first["thread_id"], to_second["thread_id"]) == (first["thread_id"], second["thread_id"])


async def test_times_and_people_are_the_mailboxes(connected: Connected) -> None:
    """Sender, recipients and times are told as the mailbox has them, in UTC."""
    offer = await connected.sent()

    arrival = await answers(
        connected, offer, sender={"address": ADA, "name": "Ada Qüist"}, cc=[{"address": BOB, "name": "Bob"}]
    )

    message = await synced(connected, arrival)
    kept = in_mailbox(connected, arrival.internet_message_id)
    assert message["from"] == {"address": ADA, "name": "Ada Qüist"}
    assert message["to"] == [{"address": connected.email, "name": connected.person.name}]
    assert message["cc"] == [{"address": BOB, "name": "Bob"}]
    assert message["subject"] == "RE: Our offer"
    assert message["received_at"] == f"{kept.received_at:%Y-%m-%dT%H:%M:%S}.000Z"
    assert message["sent_at"] == f"{kept.sent_at:%Y-%m-%dT%H:%M:%S}.000Z"


HOSTILE = (
    '<p onclick="steal()">Words</p><script>steal()</script><a href="javascript:steal()">link</a>'
    '<form action="https://evil.example"><input name="password"></form><iframe src="https://evil.example"></iframe>'
    '<style>p{display:none}</style><img src="cid:logo@1"><img src="data:text/html,x"><object data="x"></object>'
    '<svg onload="steal()"></svg><meta http-equiv="refresh" content="0;url=https://evil.example"><base href="//evil.example">'
)


async def test_nothing_active_is_told(connected: Connected) -> None:
    """Of hostile HTML the CRM gets words and inline images; event and message route agree."""
    offer = await connected.sent()

    message = await synced(connected, await answers(connected, offer, text=None, html=HOSTILE))

    shown = (await connected.api.message(message["message_id"])).json()
    assert message["html"] == shown["html"]
    for dangerous in (
        "script",
        "steal",
        "javascript",
        "form",
        "input",
        "iframe",
        "style",
        "data:",
        "object",
        "onload",
        "evil",
    ):
        assert dangerous not in message["html"].lower()
    assert '<img src="cid:logo@1">' in message["html"]
    assert message["text"].startswith("Words")


async def test_a_long_body_is_cut_in_the_event_and_whole_on_its_route(connected: Connected) -> None:
    """An event holds at most 64 KiB of a body and says so; the message route has every word."""
    offer = await connected.sent()
    html = "".join(f"<p>Paragraph {n} – ünïcode</p>" for n in range(6_000))

    message = await synced(connected, await answers(connected, offer, text=None, html=html))

    shown = (await connected.api.message(message["message_id"])).json()
    assert message["body_truncated"] is True
    assert len((message["html"] + message["text"]).encode()) <= 64 * 1024
    assert shown["body_truncated"] is False
    assert shown["html"].startswith(message["html"][:1_000])
    assert shown["html"].count("<p>") == shown["text"].count("Paragraph") == 6_000


async def test_a_plain_text_mail_is_told_with_its_words(connected: Connected) -> None:
    """What Outlook shows as HTML of a plain mail has the same words and no markup of the sender's."""
    offer = await connected.sent()

    message = await synced(connected, await answers(connected, offer, text="Grüße <b>\nAda & Co"))

    assert message["text"] == "Grüße <b>\nAda & Co"
    assert "<b>" not in message["html"]


async def test_an_empty_mail_is_told_too(connected: Connected) -> None:
    """An answer without a word is still an answer."""
    offer = await connected.sent()

    message = await synced(connected, await answers(connected, offer, text=""))

    assert (message["text"], message["thread_id"]) == ("", offer["thread_id"])
