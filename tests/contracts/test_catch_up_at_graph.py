"""A look through a mailbox with some thousands of messages, over HTTP, at the Graph emulator with its limits on."""

import random
from dataclasses import replace
from datetime import datetime, timedelta

from sync.domain.connection import Connection
from sync.domain.message import Contact
from sync.domain.thread_rule import anchors_of
from sync.flows.catch_up import SETTLING, CatchingUp
from sync.jobs import CatchUp
from tests.cloud.graph import arrival
from tests.cloud.graph.conversation import child_index, new_conversation, new_internet_message_id
from tests.cloud.graph.message import Message
from tests.contracts import values
from tests.contracts.graph_stages import DANA, EmulatedGraphStage, emulated
from tests.contracts.values import ACCOUNT
from tests.unit.flows.world import World

ADA = "ada@world.example"
MESSAGES = 3_000
FOLDERS = ("inbox", "archive", "junkemail", "deleteditems", "sentitems")
BUNCHES = (1, 1, 2, 30, 120)
GAP = timedelta(hours=6)
#: More mail in one second than Graph gives in one page.
LARGEST_BUNCH = 1_200


class Mailbox:
    """Dana's mailbox at the emulator, filled without HTTP."""

    def __init__(self, stage: EmulatedGraphStage) -> None:
        self.held = next(iter(stage.graph.mailboxes._by_oid.values()))

    def add(self, received_at: datetime, folder: str, answers: Message | None = None) -> Message:
        """A message received at this time, in its folder: an answer in the conversation of another, or a stranger's."""
        conversation = new_conversation(received_at, self.held.guid)
        if answers is not None:
            index = child_index(answers.conversation.index, received_at)
            conversation = replace(answers.conversation, index=index)
        sender = ADA if answers is not None else "stranger@elsewhere.example"
        mail = arrival.Mail(
            sender={"emailAddress": {"address": sender}},
            to=[{"emailAddress": {"address": DANA}}],
            subject="Hello",
            body={"contentType": "text", "content": "Hello"},
            internet_message_id=new_internet_message_id("world.example"),
            sent_at=received_at,
            in_reply_to=answers.internet_message_id if answers is not None else None,
        )
        message = arrival.receive(self.held, mail, conversation, folder)
        message.received_at = received_at
        return message

    def delete(self, message: Message) -> None:
        """It goes for good."""
        if message.folder.name != "deleteditems":
            self.held.move(message, self.held.folders["deleteditems"])
        self.held.delete(message)


async def test_thousands_of_messages_over_http() -> None:
    """In any folder, with failing pages, deletions and arrivals meanwhile: each of ours once, of the others only the keys."""
    chance = random.Random(7)
    async with emulated() as stage:
        first_id = await stage.arrives(ADA, "Offer", "<p>Hi</p>")
        mailbox, world = Mailbox(stage), World()
        begin = stage.now().replace(microsecond=0) - GAP
        root = mailbox.held.message(first_id)
        root.received_at = begin - timedelta(days=1)
        connection = await connected(world, stage, first_id, begin)

        ours: set[str] = set()
        others: list[Message] = []
        bunches = [LARGEST_BUNCH]
        while sum(bunches) < MESSAGES:
            bunches.append(chance.choice(BUNCHES))
        chance.shuffle(bunches)
        for number, bunch in enumerate(bunches):
            at = begin + timedelta(seconds=int(number * GAP.total_seconds() * 0.9 / len(bunches)))
            for _ in range(bunch):
                belongs = chance.random() < 0.01
                message = mailbox.add(at, chance.choice(FOLDERS), root if belongs else None)
                if belongs:
                    ours.add(message.internet_message_id)
                else:
                    others.append(message)

        receive = replace(world.receive, mail=stage.mail, clock=stage.now)
        look = CatchingUp(world.connections, world.work, stage.mail, receive, world.catching_up.reconnect, stage.now)
        job, before, jobs, asked_at = CatchUp(connection.connection_id), None, 0, stage.now()
        while True:
            # A page that failed is asked for again, until its Retry-After is over; nothing else happens meanwhile.
            goes_on, before = job != before, job
            jobs += goes_on
            if goes_on and jobs % 9 == 0:
                fault = {"match": "GET */me/messages", "status": chance.choice((429, 503)), "retry_after": 0.01}
                await stage.lab("POST", "/faults", fault | {"times": 1})
            if goes_on and jobs % 4 == 0:
                for message in chance.sample(others, min(5, len(others))):
                    others.remove(message)
                    mailbox.delete(message)
                ours.add(mailbox.add(stage.now().replace(microsecond=0), "inbox", root).internet_message_id)
            asked_at = stage.now()
            await look.look_through(job)
            queued = [message for message in world.work.messages if isinstance(message.job, CatchUp)]
            world.work.messages.clear()
            if not queued:
                break
            (next_one,) = (message.job for message in queued)
            assert isinstance(next_one, CatchUp)
            job = next_one
            current = await world.connections.by_id(connection.connection_id)
            assert current is not None
            assert current.synced_through == begin

        told = [event.data["message"] for event in await world.feed()]
        assert sorted(message["internet_message_id"] for message in told) == sorted(ours)  # type: ignore[index]
        current = await world.connections.by_id(connection.connection_id)
        assert current is not None
        assert current.synced_through is not None
        assert abs(current.synced_through - (asked_at - SETTLING)) < timedelta(seconds=5)
        requests = await stage.lab("GET", "/requests")
        lists = [call for call in requests if call["path"] == "/v1.0/me/messages"]
        others_ids = {message.immutable_id for message in others}
        assert len(lists) < MESSAGES / 50 + 30 + 3 * len(ours)
        assert not [call for call in requests if others_ids & set(call["path"].split("/"))]


async def connected(world: World, stage: EmulatedGraphStage, first_id: str, begin: datetime) -> Connection:
    """Dana's connection, with a thread that began with this message; proven up to `begin`."""
    connection = replace(stage.dana, version=None, connected_at=begin - timedelta(days=2), synced_through=begin)
    await world.connections.introduce(connection)
    await world.connections.save(connection)
    thread = replace(
        values.thread("1"), connection_id=connection.connection_id, contacts=(Contact(ADA, "Ada", "c-ada"),)
    )
    begun = values.message("1", thread.thread_id, ACCOUNT, connection_id=connection.connection_id)
    await world.journal.release(begun, thread)
    await world.anchors.add(
        connection.connection_id, anchors_of(await stage.mail.keys(connection, first_id), thread.thread_id)
    )
    return connection
