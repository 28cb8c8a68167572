"""
A day in the life of many mailboxes while everything around the app fails: what people do, and what has to have come of it.

Everybody acts by dice of their own, thrown from the seed and their number, so that a seed replays what they do as far as the same
emails have left by then. The CRM repeats a call that was not answered well, with the same key, as its contract says; people use
Outlook, which does not pass the proxies.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx

from tests.cloud.polling import eventually
from tests.e2e.account import Connected, Json
from tests.e2e.conversation import ADA, STRANGER, answers, arrives, in_mailbox, left

#: What people do, and how often. A thread is begun first of all.
DEEDS = {"begins": 3, "contact answers": 5, "user answers": 2, "unrelated": 4}
#: Graph takes at most so many emails of a mailbox in a minute, so that more threads would only wait.
MAX_THREADS = 12


@dataclass(frozen=True)
class Scale:
    """How much happens: mailboxes, deeds of each, how often the worker is killed, and at least so many notifications in all."""

    mailboxes: int
    deeds: int
    kills: int
    notifications: int


@dataclass
class Person:
    """One user: what the CRM sent for them, by subject, and the mail of their threads, by Message-ID."""

    number: int
    user: Connected
    dice: random.Random
    sends: dict[str, Json] = field(default_factory=dict)
    #: Message-ID of each answer, and the subject of its thread.
    replies: dict[str, str] = field(default_factory=dict)
    unrelated: set[str] = field(default_factory=set)
    #: When a send was accepted or mail came to be in the mailbox, by our id or by Message-ID.
    began_at: dict[str, float] = field(default_factory=dict)

    async def act(self) -> None:
        """The next deed."""
        deed = self.dice.choices(list(DEEDS), list(DEEDS.values()))[0]
        letters = [mail for mail in left(self.user) if mail["subject"] in self.sends]
        if not self.sends or (deed == "begins" and len(self.sends) < MAX_THREADS):
            await self._begins()
        elif deed == "unrelated" or not letters:
            await self._unrelated()
        elif deed == "user answers":
            await self._user_answers(self.dice.choice(letters))
        else:
            await self._contact_answers(self.dice.choice(letters))

    async def _begins(self) -> None:
        """The CRM sends an email, and asks again until it was taken."""
        subject = f"Offer {self.number}-{len(self.sends)}"
        body, key = self.user.mail(subject=subject), f"key-{self.number}-{len(self.sends)}"

        async def taken() -> Json | None:
            try:
                answer = await self.user.api.send(body, key)
            except httpx.TransportError:
                return None
            assert answer.status_code == 202 or answer.status_code >= 500, answer.text
            return dict(answer.json()["messages"][0]) if answer.status_code == 202 else None

        self.sends[subject] = await eventually(taken, "the app to take an email", timeout=120, pause=0.5)
        self.began_at[self.sends[subject]["message_id"]] = time.time()

    async def _contact_answers(self, letter: Json) -> None:
        same = self.dice.choice(["same", "new"])
        arrival = await answers(self.user, letter, ADA, conversation=same)
        self._noted(arrival.internet_message_id, letter["subject"])

    async def _user_answers(self, letter: Json) -> None:
        """The user answers their own email in Outlook once more."""
        await self.user.stage.outlook.find(letter["internet_message_id"], "sentitems")
        copy = in_mailbox(self.user, letter["internet_message_id"])
        sent = await self.user.stage.outlook.reply_all(copy.mutable_id, "One thing more.")
        self._noted(sent["internetMessageId"], letter["subject"])

    async def _unrelated(self) -> None:
        """Mail that has nothing to do with any thread, though its subject can be that of one."""
        subject = self.dice.choice([*self.sends, "Lunch", "Invoice"])
        arrival = await arrives(self.user, STRANGER, subject)
        self.unrelated.add(arrival.internet_message_id)

    def _noted(self, internet_message_id: str, subject: str) -> None:
        self.replies[internet_message_id] = subject
        self.began_at[internet_message_id] = time.time()


async def everybody_acts(
    people: list[Person], scale: Scale, kill: Callable[[], Awaitable[None]], tell: Callable[[str], None]
) -> None:
    """All deeds of all people, side by side; the worker is killed in even distances between them. `tell` hears of each tenth."""
    deeds = scale.mailboxes * scale.deeds
    kill_at = {deeds * (n + 1) // (scale.kills + 1) for n in range(scale.kills)}
    done = 0

    async def life(person: Person) -> None:
        nonlocal done
        for _ in range(scale.deeds):
            await person.act()
            done += 1
            if done * 10 % deeds < 10:
                tell(f"{done} of {deeds} deeds")
            if done in kill_at:
                await kill()

    async with asyncio.TaskGroup() as together:
        for person in people:
            together.create_task(life(person))


@dataclass
class Findings:
    """What is wrong with the outcome so far: what is missing may still come, what is wrong stays."""

    missing: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    undelivered: list[str] = field(default_factory=list)


async def whole_feed(user: Connected) -> list[Json]:
    """Every event of the account, page by page."""
    events: list[Json] = []
    while True:
        page = (await user.api.events(after=len(events), limit=1000)).json()
        events += page["events"]
        if not page["has_more"]:
            return events


async def look(person: Person) -> Findings:
    """Hold the feed, the CRM's events, the mailbox and the sends of one person against what they did."""
    found, user = Findings(), person.user
    who = f"mailbox {person.number}"
    # What the CRM has by now is in the feed that is read after it; the other way round, an event can be pushed in between.
    pushed = user.events()
    feed = await whole_feed(user)
    if [event["sequence"] for event in feed] != list(range(1, len(feed) + 1)):
        found.wrong.append(f"{who}: the feed has a hole: {[event['sequence'] for event in feed]}")
    told = defaultdict(list)
    for event in feed:
        if "message" in event["data"]:
            message = event["data"]["message"]
            name = "message_id" if message["origin"] == "crm" else "internet_message_id"
            told[message[name]].append((event["type"], message["thread_id"]))
    _sends(person, told, found)
    for name, subject in person.replies.items():
        match told.pop(name, []):
            case []:
                found.missing.append(f"{who}: {name} in {subject!r} was not told")
            case [("message.synced", thread_id)] if thread_id == person.sends[subject]["thread_id"]:
                pass
            case otherwise:
                found.wrong.append(f"{who}: {name} in {subject!r} was told as {otherwise}")
    found.wrong += [f"{who}: {name} was told and is none of ours: {what}" for name, what in told.items()]
    for send in person.sends.values():
        status = (await user.api.message(send["message_id"])).json()["status"]
        if status not in ("sent", "failed", "bounced"):
            found.missing.append(f"{who}: {send['message_id']} is still {status}")
    drafts = [m.fields["subject"] for m in user.cloud.graph.mailboxes.of(user.person).messages() if m.is_draft]
    if drafts:
        found.missing.append(f"{who}: drafts were left: {drafts}")
    await _pushed(person, pushed, feed, found)
    return found


def _sends(person: Person, told: dict[str, list[tuple[str, str]]], found: Findings) -> None:
    """Each send ended once, and one email left for one that was sent, none for one that failed."""
    who = f"mailbox {person.number}"
    for subject, send in person.sends.items():
        emails = sum(mail["subject"] == subject for mail in left(person.user))
        match told.pop(send["message_id"], []):
            case []:
                found.missing.append(f"{who}: the send of {subject!r} has not ended; {emails} emails left")
            case [("message.sent", _)] if emails == 1:
                pass
            case [("message.failed", _)] if emails == 0:
                pass
            case otherwise:
                found.wrong.append(f"{who}: {subject!r} was told as {otherwise}; {emails} emails left")


async def _pushed(person: Person, pushed: list[Json], feed: list[Json], found: Findings) -> None:
    """The CRM has each event of the feed as it is there, or the event says that and why it could not be delivered."""
    who = f"mailbox {person.number}"
    received = defaultdict(list)
    for event in pushed:
        received[event["id"]].append(event)
    for event in feed:
        copies = received.pop(event["id"], [])
        if any(copy != event for copy in copies):
            found.wrong.append(f"{who}: {event['id']} was delivered with other words than the feed has")
        if copies:
            continue
        shown = (await person.user.api.event(event["id"])).json()
        if shown["delivery"] == "undelivered":
            found.undelivered.append(f"{event['id']}: {shown['attempts'][-1:]}")
        else:
            found.missing.append(f"{who}: {event['type']} {event['id']} was not delivered")
    found.wrong += [f"{who}: the CRM got {event_id}, which is not in the feed" for event_id in received]
