"""
Both ends of a conversation of the connected user: what the contact sends, what left for them, and what the app did for it.

Everything here looks at one mailbox alone, so that nothing of another test is seen. Graph's own state is read where the wire
does not show it (blind copies, the bytes of a file that was sent).
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

import httpx

from tests.cloud.crm import Event
from tests.cloud.graph.arrival import Mail, receive
from tests.cloud.graph.conversation import Conversation, child_index, new_conversation, new_internet_message_id
from tests.cloud.graph.mailbox import Mailbox
from tests.cloud.graph.message import Message
from tests.cloud.local import LocalCloud
from tests.cloud.outlook import REQUEST_ID_PREFIX
from tests.cloud.polling import eventually
from tests.cloud.request_log import asks_for_content, kind_of_call
from tests.cloud.stage import Stage
from tests.e2e.account import HEARD_WITHIN_S, Account, Connected, Json, unique

ADA = "ada@customer.example"
BOB = "bob@customer.example"
STRANGER = "sam@elsewhere.example"
#: Bob, for the `cc` of a send.
BOB_IN_CC = [{"address": BOB, "name": "Bob Ort", "contact_id": "contact-2"}]
#: The calls to Graph that change something of a mailbox's mail.
WRITES = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Arrival:
    """A message in the connected mailbox: its Message-ID, and Graph's immutable id."""

    internet_message_id: str
    graph_id: str


async def newly_connected(account: Account) -> Connected:
    """A new user of this account, whose new mailbox is connected and watched."""
    user_id, person = unique("dana"), account.new_person()
    connection = await account.connect(user_id, person.email)
    stage = Stage(account.cloud, account.http, person.email)
    return Connected(account.cloud, account.api, account.http, user_id, person, connection, stage)


@contextlib.asynccontextmanager
async def users(cloud: LocalCloud, http: httpx.AsyncClient, count: int) -> AsyncIterator[list[Connected]]:
    """So many connected users, each of an account of their own."""
    async with contextlib.AsyncExitStack() as apis:
        accounts = [
            Account(cloud, await apis.enter_async_context(cloud.api(unique("acme"))), http) for _ in range(count)
        ]
        yield await asyncio.gather(*map(newly_connected, accounts))


class Played[Case, Outcome]:
    """What became of each case of a table, played all at once: most of a case is waiting."""

    def __init__(self, outcomes: dict[Case, Outcome | BaseException]) -> None:
        self._outcomes = outcomes

    @classmethod
    async def at_once(cls, cases: Iterable[Case], play: Callable[[Case], Awaitable[Outcome]]) -> Self:
        """Play them; one that fails fails its own test alone."""
        listed = list(cases)
        return cls(dict(zip(listed, await asyncio.gather(*map(play, listed), return_exceptions=True), strict=True)))

    def __getitem__(self, case: Case) -> Outcome:
        outcome = self._outcomes[case]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


async def arrives(
    to: Connected, sender: str | Json, subject: str, text: str | None = "As discussed.", **more: Any
) -> Arrival:
    """Mail from outside. more: further fields of Graph's `POST /_lab/mail`, as `in_reply_to` or `folder`."""
    mail = {"to": to.email, "from": sender, "subject": subject, "text": text, "conversation": "new"} | more
    given = {name: value for name, value in mail.items() if value is not None}
    arrived = await to.stage.lab("POST", f"{to.cloud.graph.url}/_lab/mail", given)
    return Arrival(arrived["internet_message_id"], arrived["id"])


async def answers(
    to: Connected, message: Json, sender: str | Json = ADA, text: str | None = "Gladly.", **more: Any
) -> Arrival:
    """An answer to this message of a thread, as mail programs write it, in the same conversation."""
    subject = message["subject"] if message["subject"].startswith("RE: ") else f"RE: {message['subject']}"
    answered = {"in_reply_to": message["internet_message_id"], "conversation": "same"}
    return await arrives(to, sender, subject, text, **answered | more)


def slips_in(
    to: Connected,
    sender: str,
    subject: str,
    *,
    visible_to: str,
    in_reply_to: str | None = None,
    index_of: Message | None = None,
) -> Arrival:
    """
    Mail as `POST /_lab/mail` can't make it: to somebody else by its headers, or with a foreign conversation index.

    index_of: it is a child of that message by its conversation index, and by nothing else.
    """
    mailbox = mailbox_of(to)
    now = mailbox.now()
    place = new_conversation(now, mailbox.guid)
    if index_of is not None:
        place = Conversation(place.id, child_index(index_of.conversation.index, now))
    mail = Mail(
        sender={"emailAddress": {"address": sender, "name": sender}},
        to=[{"emailAddress": {"address": visible_to, "name": visible_to}}],
        subject=subject,
        body={"contentType": "text", "content": "As discussed."},
        internet_message_id=new_internet_message_id("customer.example"),
        sent_at=now,
        in_reply_to=in_reply_to,
    )
    arrived = receive(mailbox, mail, place)
    return Arrival(arrived.internet_message_id, arrived.immutable_id)


def mailbox_of(who: Connected) -> Mailbox:
    """The mailbox in Graph."""
    return who.cloud.graph.mailboxes.of(who.person)


def in_mailbox(who: Connected, internet_message_id: str) -> Message:
    """The message with this Message-ID, as Graph keeps it."""
    found = mailbox_of(who).by_internet_id([internet_message_id])
    assert found is not None, f"{internet_message_id} is not in the mailbox"
    return found


def left(who: Connected) -> list[Json]:
    """The emails that left this mailbox for the world, oldest first."""
    return [mail for mail in who.cloud.graph.transport.outgoing if mail["from"]["address"] == who.email]


def addresses(recipients: list[Json]) -> list[str]:
    """The addresses of recipients."""
    return [recipient["address"] for recipient in recipients]


async def synced(by: Connected, arrival: Arrival | Json) -> Json:
    """`data.message` of what the CRM was told of a message found in the mailbox."""
    wanted = arrival.internet_message_id if isinstance(arrival, Arrival) else arrival["internetMessageId"]
    return dict((await heard_of(by, "message.synced", wanted))["data"]["message"])


async def heard_of(by: Connected, kind: str, name: str) -> Event:
    """The event of this type about the message with this id, ours or its Message-ID."""

    def is_it(event: Event) -> bool:
        message = event["data"].get("message", {})
        ours = event["account_id"] == by.account_id and event["type"] == kind
        return ours and name in (message.get("message_id"), message.get("internet_message_id"))

    return await by.cloud.crm.wait_for(is_it, timeout=HEARD_WITHIN_S)


def told(by: Connected, thread_id: str | None = None) -> list[tuple[str, str]]:
    """What the CRM was told of messages (of this thread): type and our id, in the feed's order, each time it was told."""
    events = sorted((e for e in by.events() if "message" in e["data"]), key=lambda event: event["sequence"])
    messages = [(event["type"], event["data"]["message"]) for event in events]
    return [(kind, m["message_id"]) for kind, m in messages if thread_id in (None, m["thread_id"])]


async def at_rest(who: Connected) -> None:
    """Return once mail has left, Graph has told all, and the app has done what can be done now."""

    async def has_left() -> bool:
        return who.cloud.graph.transport.pending == 0

    while True:
        await eventually(has_left, "mail to leave")
        await who.stage.quiet()
        if await has_left():  # what the app sent meanwhile may be on its way
            return


async def calls(by: Connected) -> list[Json]:
    """The app's calls to Graph for this mailbox, but for subscriptions and the user's name."""
    url = f"{by.cloud.graph.url}/_lab/requests?mailbox={by.email}"
    logged = await by.stage.lab("GET", url)
    return [
        call
        for call in logged
        if not str(call["client_request_id"]).startswith(REQUEST_ID_PREFIX)
        and "/subscriptions" not in call["path"]
        and call["path"] != "/v1.0/me"
    ]


async def calls_about(by: Connected, arrival: Arrival) -> list[Json]:
    """Those of them that name this message."""
    return [call for call in await calls(by) if arrival.graph_id in call["path"]]


async def kinds_of_calls(by: Connected, arrival: Arrival) -> Counter[str]:
    """How often each kind of call was made about this message."""
    return Counter(kind_of_call(call) for call in await calls_about(by, arrival))


async def writes(by: Connected) -> list[str]:
    """The kinds of the app's writing calls, in order; a piece of a file goes to an address of its own."""
    made = [call for call in await calls(by) if call["method"] in WRITES]
    return ["PUT upload" if call["method"] == "PUT" else kind_of_call(call) for call in made]


async def only_looked_at(by: Connected, arrival: Arrival) -> bool:
    """Whether the app asked exactly once for this message, and for nothing that it says."""
    about = await calls_about(by, arrival)
    return [call["method"] for call in about] == ["GET"] and not asks_for_content(about[0])


async def fault(of: Connected, match: str, **what: Any) -> None:
    """The next call to Graph for this mailbox that matches fails as `POST /_lab/faults` says."""
    await of.stage.lab("POST", f"{of.cloud.graph.url}/_lab/faults", {"match": match, "mailbox": of.email} | what)


@contextlib.asynccontextmanager
async def switched(of: Connected, **switches: Any) -> AsyncIterator[None]:
    """These of Graph's doubtful facts are so, for a while; the whole cloud has them."""
    url = f"{of.cloud.graph.url}/_lab/switches"
    before = await of.stage.lab("GET", url)
    await of.stage.lab("POST", url, switches)
    try:
        yield
    finally:
        await of.stage.lab("POST", url, {name: before[name] for name in switches})


@contextlib.asynccontextmanager
async def notifications(of: Connected, **settings: Any) -> AsyncIterator[None]:
    """Graph delivers its notifications so, for a while; in the whole cloud."""
    url = f"{of.cloud.graph.url}/_lab/notifications"
    before = (await of.stage.lab("GET", url))["settings"]
    await of.stage.lab("POST", url, settings)
    try:
        yield
    finally:
        await of.stage.lab("POST", url, {name: before[name] for name in settings})
