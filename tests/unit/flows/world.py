"""
The flows on the fakes, and what drives them: queues that deliver again what was not worked off, time that jumps to
whatever happens next, Graph that tells of changes, and the sweep.

    world = World()
    dana = await world.connected("dana@crm.example")
    answer = await world.accepted(dana, to="ada@world.example")
    await world.settle()
"""

import json
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from urllib.parse import parse_qs, urlsplit

from sync.domain.connection import Connection
from sync.domain.event import Event
from sync.domain.message import Contact, Message
from sync.domain.outgoing import Outgoing, OutgoingFile
from sync.domain.retention import Retention
from sync.flows import receive
from sync.flows.accept import Accept
from sync.flows.batches import Batches
from sync.flows.bounce import Bounces
from sync.flows.bulk import Bulk
from sync.flows.cancel import Cancel
from sync.flows.catch_up import CatchingUp
from sync.flows.connect import Connect
from sync.flows.deliver import Deliver
from sync.flows.disconnect import Disconnect
from sync.flows.draft import Drafting
from sync.flows.erase import Erase
from sync.flows.explain import Explain
from sync.flows.outcome import Outcomes
from sync.flows.pacing import Pacing
from sync.flows.poison import Poisons
from sync.flows.receive import Receive
from sync.flows.reconnect import Reconnect
from sync.flows.redeliver import Redelivery
from sync.flows.retention import RemovingOld
from sync.flows.send import Send
from sync.flows.sender import Senders
from sync.flows.settings_page import SettingsPage
from sync.flows.show import Show
from sync.flows.sign_in_end import SignInEnds
from sync.flows.sweep import Sweep
from sync.flows.through_outlook import ThroughOutlook
from sync.flows.through_provider import ThroughProvider
from sync.flows.watch import Watch
from sync.flows.webhook import Endpoint
from sync.jobs import (
    BringBack,
    CatchUp,
    DeliverEvent,
    EraseUser,
    Job,
    MailChange,
    RedeliverEvents,
    RemoveOld,
    SendBatch,
    SendMail,
    WatchMailbox,
)
from tests.fakes.anchors import FakeAnchors
from tests.fakes.clock import FakeClock
from tests.fakes.connections import FakeConnections
from tests.fakes.content import FakeContent
from tests.fakes.crm import FakeCrm
from tests.fakes.entra import FakeEntra
from tests.fakes.faults import Crash, Faults
from tests.fakes.graph_access import GraphAccess
from tests.fakes.journal import FakeJournal
from tests.fakes.mail import Change, FakeMail, Identity
from tests.fakes.metrics import FakeMetrics
from tests.fakes.paces import FakePaces
from tests.fakes.people import People
from tests.fakes.poison import FakePoison
from tests.fakes.providers import FakeProviders
from tests.fakes.resource_data import FakeResourceData
from tests.fakes.sealing import FakeSealing
from tests.fakes.sign_ins import FakeSignIns
from tests.fakes.smtp import FakeSmtp
from tests.fakes.subscriptions import FakeSubscriptions
from tests.fakes.tokens import FakeTokens
from tests.fakes.webhooks import FakeWebhooks
from tests.fakes.work import FakeWork, QueueMessage

ACCOUNT = "acme"
RETURN_URL = "https://crm.example/settings"
SIGNING_KEY = b"k" * 32
ADA = Contact("ada@world.example", "Ada", "c-ada")
#: A queue message that was not worked off is seen again after this.
VISIBILITY_TIMEOUT = timedelta(minutes=1)


class World:
    """One app with everything around it, in memory."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.faults = Faults()
        self.people = People()
        self.sign_ins = FakeSignIns(self.faults)
        self.connections = FakeConnections(self.faults)
        self.anchors = FakeAnchors(self.faults)
        self.journal = FakeJournal(self.faults)
        self.content = FakeContent(self.faults)
        self.work = FakeWork(self.clock, self.faults)
        self.entra = FakeEntra(self.people, self.faults)
        self.tokens = FakeTokens(self.people, self.faults)
        graph = GraphAccess(self.people, self.tokens)
        self.mail = FakeMail(self.people, graph, self.clock, self.faults)
        self.subscriptions = FakeSubscriptions(graph, self.faults)
        self.resource_data = FakeResourceData(self.faults)
        self.metrics = FakeMetrics()
        self.crm = FakeCrm(self.faults)
        self.webhooks = FakeWebhooks(self.faults)
        self.paces = FakePaces(self.faults)
        self.providers = FakeProviders(self.faults)
        self.smtp = FakeSmtp(self.faults)
        self.mail.on_change = self._tell_of_change
        self._secrets = count(1)

        self.sign_in_ends = SignInEnds(self.sign_ins, self.entra, self.clock)
        reconnect = Reconnect(self.connections, self.journal, self.work, self.clock)
        self.disconnect = Disconnect(
            self.connections, self.journal, self.work, self.tokens, self.subscriptions, self.clock
        )
        self.connect = Connect(
            sign_ins=self.sign_ins,
            ends=self.sign_in_ends,
            connections=self.connections,
            journal=self.journal,
            work=self.work,
            entra=self.entra,
            tokens=self.tokens,
            mail=self.mail,
            disconnect=self.disconnect,
            sealing=FakeSealing(),
            clock=self.clock,
            new_secret=lambda: f"secret{next(self._secrets)}",
            public_base_url="https://app.example",
            allowed_return_origins=("https://crm.example",),
        )
        self.watch = Watch(
            connections=self.connections,
            journal=self.journal,
            work=self.work,
            subscriptions=self.subscriptions,
            tokens=self.tokens,
            disconnect=self.disconnect,
            reconnect=reconnect,
            clock=self.clock,
            signing_key=SIGNING_KEY,
        )
        self.erase = Erase(
            connections=self.connections,
            sign_ins=self.sign_ins,
            anchors=self.anchors,
            journal=self.journal,
            content=self.content,
            work=self.work,
            disconnect=self.disconnect,
            clock=self.clock,
        )
        self.senders = Senders(self.connections, self.providers)
        self.accept = Accept(self.senders, self.journal, self.content, self.work, self.clock)
        self.batches = Batches(self.journal, self.content, self.clock)
        self.cancel = Cancel(self.batches, self.journal, self.work, self.clock)
        self.outcomes = Outcomes(self.connections, self.journal, self.content, self.work, self.clock)
        self.pacing = Pacing(self.paces, self.journal, self.clock)
        self.bulk = Bulk(
            connections=self.connections,
            journal=self.journal,
            content=self.content,
            work=self.work,
            pacing=self.pacing,
            outcomes=self.outcomes,
            clock=self.clock,
        )
        outlook = ThroughOutlook(
            connections=self.connections,
            anchors=self.anchors,
            journal=self.journal,
            mail=self.mail,
            drafting=Drafting(self.anchors, self.journal, self.content, self.mail),
            pacing=self.pacing,
            outcomes=self.outcomes,
            reconnect=reconnect,
            clock=self.clock,
        )
        provider = ThroughProvider(self.providers, self.journal, self.content, self.smtp, self.outcomes, self.clock)
        self.send = Send(self.journal, self.work, outlook, provider, self.outcomes, self.clock)
        self.receive = Receive(
            connections=self.connections,
            anchors=self.anchors,
            journal=self.journal,
            content=self.content,
            work=self.work,
            mail=self.mail,
            reconnect=reconnect,
            outlook=outlook,
            outcomes=self.outcomes,
            bounces=Bounces(
                connections=self.connections,
                anchors=self.anchors,
                journal=self.journal,
                content=self.content,
                work=self.work,
                mail=self.mail,
                clock=self.clock,
            ),
            clock=self.clock,
            metrics=self.metrics,
            forwarded_messages="sync",
            resource_data=self.resource_data,
        )
        self.catching_up = CatchingUp(self.connections, self.work, self.mail, self.receive, reconnect, self.clock)
        self.endpoint = Endpoint(
            webhooks=self.webhooks,
            work=self.work,
            crm=self.crm,
            clock=self.clock,
            new_secret=lambda: f"secret{next(self._secrets)}",
            url_hash="crm.example",
            gone_for=timedelta(),  # a 410 is meant for good at once
        )
        self.deliver = Deliver(self.journal, self.webhooks, self.work, self.crm, self.endpoint, self.clock, lambda: 0.0)
        self.redelivery = Redelivery(self.journal, self.webhooks, self.work, self.endpoint, self.clock)
        self.retention = RemovingOld(
            rule=Retention(None),
            connections=self.connections,
            sign_ins=self.sign_ins,
            anchors=self.anchors,
            journal=self.journal,
            content=self.content,
            paces=self.paces,
            work=self.work,
            clock=self.clock,
        )
        self.explain = Explain(
            connections=self.connections,
            anchors=self.anchors,
            journal=self.journal,
            mail=self.mail,
            reconnect=reconnect,
            forwarded_messages="sync",
        )
        self.sweep = Sweep(self.work, self.clock)
        self.poison = FakePoison(self.work, self.faults)
        self.poisons = Poisons(self.poison, self.clock)
        self.show = Show(
            connections=self.connections,
            ends=self.sign_in_ends,
            journal=self.journal,
            content=self.content,
            work=self.work,
            batches=self.batches,
            poisons=self.poisons,
            clock=self.clock,
        )
        self.settings_page = SettingsPage(
            connections=self.connections,
            connect=self.connect,
            ends=self.sign_in_ends,
            disconnect=self.disconnect,
            clock=self.clock,
            signing_keys=(SIGNING_KEY,),
            public_base_url="https://app.example",
            allowed_return_origins=("https://crm.example",),
        )

    # What people and the CRM do.

    async def completion_code(self, email: str, user_id: str = "u1", expected_email: str = "") -> str:
        """A sign-in as far as the CRM's page, where the browser brings this code."""
        url, _ = await self.connect.begin(ACCOUNT, user_id, RETURN_URL, expected_email=expected_email)
        opened = await self.connect.open_link(url.rpartition("/")[2])
        back = await self.connect.park(self.entra.sign_in(opened.location, email), opened.binding)
        return parse_qs(urlsplit(back.location).query)["completion_code"][0]

    async def connected(self, email: str, user_id: str = "u1") -> Connection:
        """A user whose mailbox is connected and watched, and the CRM knows it."""
        await self.connect.complete(ACCOUNT, user_id, await self.completion_code(email, user_id))
        await self.settle()
        return await self.connection(user_id)

    async def accepted(
        self,
        connection: Connection,
        *,
        key: str = "key-1",
        to: Sequence[Contact] = (ADA,),
        subject: str = "Offer",
        thread_id: str | None = None,
        files: Sequence[OutgoingFile] = (),
        send_at: datetime | None = None,
    ) -> Message:
        """An email that the CRM has asked to send, as it was accepted."""
        asked = Outgoing(
            "individual",
            connection.user_id,
            tuple(to),
            subject,
            "<p>Hi</p>",
            files=tuple(files),
            thread_id=thread_id,
            send_at=send_at,
        )
        answer = await self.accept.accept(ACCOUNT, key, asked, f"hash of {key}")
        told = answer["messages"][0]  # type: ignore[index]
        return await self.message(told["message_id"])

    async def sent(self, connection: Connection, *, key: str = "key-1", thread_id: str | None = None) -> Message:
        """An email that the CRM sent, once it is in Sent Items and all is told."""
        message = await self.accepted(connection, key=key, thread_id=thread_id)
        await self.settle()
        return await self.message(message.message_id)

    # What is there to see.

    async def connection(self, user_id: str = "u1") -> Connection:
        """The user's current connection."""
        found = await self.connections.of_user(ACCOUNT, user_id)
        assert found is not None
        return found

    async def message(self, message_id: str) -> Message:
        """A message of the journal."""
        found = await self.journal.message(ACCOUNT, message_id)
        assert found is not None
        return found

    async def feed(self) -> list[Event]:
        """Every event so far."""
        return await self.journal.events(ACCOUNT, 0, 10_000)

    async def told(self) -> list[str]:
        """The types of all events so far."""
        return [event.type for event in await self.feed()]

    def withholding_forwards(self) -> None:
        """As with FORWARDED_MESSAGES=withhold."""
        self.receive = replace(self.receive, forwarded_messages="withhold")
        self.catching_up = replace(self.catching_up, receive=self.receive)

    def pacing_of(self, per_minute: int) -> None:
        """As with OUTLOOK_MESSAGES_PER_MINUTE."""
        self.pacing = replace(self.pacing, per_minute=per_minute)
        self.bulk = replace(self.bulk, pacing=self.pacing)

    def keeping_mail_for(self, mail: timedelta | None) -> None:
        """As with RETENTION_DAYS."""
        self.retention = replace(self.retention, rule=Retention(mail))

    # What makes it go.

    async def settle(self, within: timedelta = timedelta(hours=1)) -> None:
        """Let everything happen that is due within this time: the clock moves only as far as it has to."""
        end = self.clock() + within
        while (step := self._next_step()) is not None and step <= end:
            self.clock.advance_to(step)
            self.mail.depart()
            message = min(self.work.messages, key=lambda m: m.visible_at, default=None)
            if message is not None and message.visible_at <= self.clock():
                await self._work_off(message)
            elif any(due_at <= self.clock() for _, due_at in self.work.promises.values()):
                await self.survive(self.sweep.sweep())

    async def work_off(self, job: Job) -> None:
        """Call the flow that a queue message of this job wakes up."""
        match job:
            case WatchMailbox():
                await self.watch.keep(job)
            case CatchUp():
                await self.catching_up.look_through(job)
            case SendBatch():
                await self.bulk.go_on(job)
            case SendMail():
                await self.send.deliver(job)
            case MailChange():
                await self.receive.fetch(job)
            case DeliverEvent():
                await self.deliver.deliver(job)
            case RedeliverEvents():
                await self.redelivery.go_on(job)
            case BringBack():
                await self.redelivery.bring_back(job)
            case EraseUser():
                await self.erase.go_on(job)
            case RemoveOld():
                await self.retention.go_on(job)

    async def _work_off(self, message: QueueMessage) -> None:
        message.visible_at = self.clock() + VISIBILITY_TIMEOUT
        if await self.survive(self.work_off(message.job)):
            self.work.messages.remove(message)

    @staticmethod
    async def survive(work: Awaitable[object]) -> bool:
        """Whether it came to its end; a process that died is started anew."""
        try:
            await work
        except Crash:
            return False
        return True

    def _next_step(self) -> datetime | None:
        """When the next thing happens by itself."""
        times = [message.visible_at for message in self.work.messages]
        times += [due_at for _, due_at in self.work.promises.values()]
        if self.mail.next_departure is not None:
            times.append(self.mail.next_departure)
        return min(times, default=None)

    def _tell_of_change(self, mailbox: Identity, graph_id: str, change: Change) -> None:
        """Graph's notification, as it comes over HTTP."""
        items = [
            {"clientState": held.client_state, "changeType": change, "resourceData": {"id": graph_id}}
            for held in self.subscriptions.open_ones.values()
            if held.mailbox == mailbox and held.expires_at > self.clock()
        ]
        body = json.dumps({"value": items}).encode()
        for text in receive.acknowledge(body, [SIGNING_KEY]):
            self.work.put(MailChange.queue, text)
