"""
Dana's mailbox, in memory or at the Graph emulator over HTTP, with one shape for both: the ports under test, and what
happens to a mailbox besides the app.
"""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx
from aiohttp import web

from sync.adapters.graph_client import GraphClient
from sync.adapters.graph_mail import GraphMail
from sync.adapters.graph_subscriptions import GraphSubscriptions
from sync.domain.body import Body
from sync.domain.connection import Connection
from sync.domain.errors import ReconnectNeeded, Unclear
from sync.domain.mail import MailboxMessage
from sync.domain.subscription import MAX_LIFETIME
from sync.flows.ports import Mail, Subscriptions
from tests.cloud.clock import Clock
from tests.cloud.directory import Directory
from tests.cloud.graph import GraphEmulator
from tests.cloud.server import Server
from tests.contracts.values import connection
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Faults
from tests.fakes.graph_access import GraphAccess
from tests.fakes.mail import FakeMail, HeldFile
from tests.fakes.people import People
from tests.fakes.subscriptions import FakeSubscriptions
from tests.fakes.tokens import FakeTokens

DANA = "dana@crm.example"
ALIAS = "d.doe@crm.example"
#: Switches of the emulator by name, and what the fake calls them.
DOUBTS = {
    "create_reply_marks_read": "answering_marks_read",
    "reply_recipients_are_added": "adds_recipients",
    "reply_carries_inline_files": "carries_inline_files",
    "send_from_alias_enabled": "sends_from_alias",
}


class GraphStage(Protocol):
    """`dana` and `bob`: connections to two mailboxes. `dana_token`: an access token of Dana's."""

    mail: Mail
    subscriptions: Subscriptions
    dana: Connection
    bob: Connection
    dana_token: str

    def now(self) -> datetime:
        """The time at Graph."""

    async def arrives(
        self, sender: str, subject: str, html: str, files: Sequence[HeldFile] = (), reply_to: Sequence[str] = ()
    ) -> str:
        """Mail for Dana from outside; its id."""

    async def reported(self, about: MailboxMessage, address: str, *, foreign: bool = False) -> str:
        """A delivery report for Dana: this email did not reach this address; its id. foreign: of another mail server."""

    async def departed(self) -> None:
        """Everything that was sent has left."""

    async def left(self) -> list[tuple[str, list[str]]]:
        """Subject and names of the files of each email that left, in order."""

    async def deleted(self, graph_id: str) -> None:
        """Dana deletes a message for good."""

    async def filed(self, graph_id: str, folder: str) -> None:
        """Dana moves a message into a folder."""

    async def passes(self, time: timedelta) -> None:
        """So much time goes by."""

    async def next_send_is_unclear(self, *, applied: bool) -> None:
        """The answer to the next send is lost."""

    async def switch(self, name: str, on: bool) -> None:
        """Graph does so, or does not: one of `DOUBTS`."""

    async def open_subscriptions(self) -> list[str]:
        """Ids of what is open at Graph, the oldest first."""

    async def subscribed(self) -> dict[str, tuple[str, frozenset[str]]]:
        """What is open at Graph: clientState and change types, by id."""

    async def drop_subscriptions(self) -> None:
        """Graph forgets them."""


class FakeGraphStage:
    """The fakes."""

    def __init__(self) -> None:
        self._clock = FakeClock(datetime.now(UTC).replace(microsecond=0))
        self._faults = Faults()
        people = People()
        tokens = FakeTokens(people, self._faults)
        graph = GraphAccess(people, tokens)
        self._fake = FakeMail(people, graph, self._clock, self._faults)
        self.mail: Mail = self._fake
        self._fake_subscriptions = FakeSubscriptions(graph, self._faults)
        self.subscriptions: Subscriptions = self._fake_subscriptions
        people.add(DANA, "Dana Doe", (ALIAS,))
        people.add("bob@crm.example", "Bob Roe")
        caches = {email: people.signed_in(people[email]) for email in (DANA, "bob@crm.example")}
        self.dana = connection("con_dana", mailbox=people[DANA].mailbox)
        self.bob = connection("con_bob", mailbox=people["bob@crm.example"].mailbox)
        tokens.stored = {"con_dana": caches[DANA], "con_bob": caches["bob@crm.example"]}
        self.dana_token = people.issue_token(caches[DANA]) or ""

    def now(self) -> datetime:
        return self._clock()

    async def arrives(
        self, sender: str, subject: str, html: str, files: Sequence[HeldFile] = (), reply_to: Sequence[str] = ()
    ) -> str:
        body = Body(html, None)
        arrived = self._fake.arrives(self.dana.mailbox, sender, subject, body=body, files=files, reply_to=reply_to)
        return arrived.graph_id

    async def reported(self, about: MailboxMessage, address: str, *, foreign: bool = False) -> str:
        return self._fake.reported(self.dana.mailbox, about, [address]).graph_id

    async def departed(self) -> None:
        self._clock.advance(self._fake.sent_copy_delay)
        self._fake.depart()

    async def left(self) -> list[tuple[str, list[str]]]:
        return [(item.seen.subject, [file.name for file in item.files]) for item in self._fake.outgoing]

    async def deleted(self, graph_id: str) -> None:
        self._fake.delete(graph_id)

    async def filed(self, graph_id: str, folder: str) -> None:
        """The fake has no folders: what is in any of them is simply in the mailbox."""

    async def passes(self, time: timedelta) -> None:
        self._clock.advance(time)

    async def next_send_is_unclear(self, *, applied: bool) -> None:
        self._faults.fail("mail.send", Unclear(), applied=applied)

    async def switch(self, name: str, on: bool) -> None:
        setattr(self._fake, DOUBTS[name], on)

    async def open_subscriptions(self) -> list[str]:
        return list(self._fake_subscriptions.open_ones)

    async def subscribed(self) -> dict[str, tuple[str, frozenset[str]]]:
        held = self._fake_subscriptions.open_ones.items()
        return {name: (one.client_state, frozenset(one.change_types.split(","))) for name, one in held}

    async def drop_subscriptions(self) -> None:
        self._fake_subscriptions.open_ones.clear()


class DirectoryTokens:
    """Access tokens straight from the emulator's directory, in the place of Entra ID."""

    def __init__(self, by_connection: dict[str, str]) -> None:
        self._by_connection = by_connection

    async def access_token(self, connection: Connection, *, refused: str | None = None, claims: str = "") -> str:
        if refused is not None:
            raise ReconnectNeeded(cause="invalid_grant")
        return self._by_connection[connection.connection_id]


@dataclass
class EmulatedGraphStage:
    """The real adapters at the Graph emulator, over HTTP. `elsewhere`: as `subscriptions`, of an app at another address."""

    graph: GraphEmulator
    clock: Clock
    http: httpx.AsyncClient
    mail: Mail
    subscriptions: Subscriptions
    elsewhere: Subscriptions
    dana: Connection
    bob: Connection
    dana_token: str

    def now(self) -> datetime:
        return self.clock.now()

    async def arrives(
        self, sender: str, subject: str, html: str, files: Sequence[HeldFile] = (), reply_to: Sequence[str] = ()
    ) -> str:
        attachments = [
            {
                "name": file.name,
                "content_type": file.content_type,
                "content_base64": base64.b64encode(file.content).decode(),
                "inline": file.inline,
                **({"content_id": file.content_id} if file.content_id else {}),
                "kind": file.kind,
            }
            for file in files
        ]
        mail = {"to": DANA, "from": sender, "subject": subject, "html": html, "attachments": attachments}
        return str((await self.lab("POST", "/mail", mail | {"reply_to": list(reply_to)}))["id"])

    async def reported(self, about: MailboxMessage, address: str, *, foreign: bool = False) -> str:
        given = {"mailbox": DANA, "internet_message_id": about.keys.internet_message_id, "address": address}
        given |= {"from": "mailer-daemon@world.example"} if foreign else {}
        return str((await self.lab("POST", "/bounce", given))["id"])

    async def departed(self) -> None:
        self.clock.advance(self.graph.switches.sent_copy_delay_s)
        await self.graph.transport.settled()

    async def left(self) -> list[tuple[str, list[str]]]:
        outgoing = await self.lab("GET", "/outgoing")
        return [(mail["subject"], [file["name"] for file in mail["attachments"]]) for mail in outgoing]

    async def deleted(self, graph_id: str) -> None:
        for _ in range(2):  # into Deleted Items, and out of them
            await self._as_dana("DELETE", f"/me/messages/{graph_id}")

    async def filed(self, graph_id: str, folder: str) -> None:
        await self._as_dana("POST", f"/me/messages/{graph_id}/move", {"destinationId": folder})

    async def passes(self, time: timedelta) -> None:
        self.clock.advance(time.total_seconds())

    async def next_send_is_unclear(self, *, applied: bool) -> None:
        await self.lab("POST", "/faults", {"match": "POST */send", "status": 504, "applied": applied})

    async def switch(self, name: str, on: bool) -> None:
        await self.lab("POST", "/switches", {name: on})

    async def open_subscriptions(self) -> list[str]:
        return [held["id"] for held in await self.lab("GET", "/subscriptions")]

    async def subscribed(self) -> dict[str, tuple[str, frozenset[str]]]:
        held = await self.lab("GET", "/subscriptions")
        return {one["id"]: (one["clientState"], frozenset(one["changeType"].split(","))) for one in held}

    async def drop_subscriptions(self) -> None:
        for subscription_id in await self.open_subscriptions():
            await self._as_dana("DELETE", f"/subscriptions/{subscription_id}")

    async def lab(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """A control of the emulator."""
        answer = await self.http.request(method, f"{self.graph.url}/_lab{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def _as_dana(self, method: str, path: str, body: dict[str, str] | None = None) -> None:
        headers = {"Authorization": f"Bearer {self.dana_token}", "Prefer": 'IdType="ImmutableId"'}
        answer = await self.http.request(method, f"{self.graph.url}/v1.0{path}", headers=headers, json=body)
        assert answer.is_success, answer.text


@asynccontextmanager
async def emulated() -> AsyncIterator[EmulatedGraphStage]:
    """A running emulator, and an app that answers its validation."""
    clock = Clock()
    directory = Directory(clock)
    graph = GraphEmulator(directory, clock)
    # Mail leaves when a test says so (`departed`), not while it still looks at what has not left.
    graph.switches.sent_copy_delay_s = 60.0
    app = web.Application()
    for path in ("/graph/notifications", "/graph/lifecycle"):
        app.router.add_post(path, _validated)
        app.router.add_post(f"/elsewhere{path}", _validated)
    server = Server(app)
    people = {"con_dana": directory.add(DANA, "Dana Doe", [ALIAS]), "con_bob": directory.add("bob@crm.example", "Bob")}
    scopes = frozenset({"User.Read", "Mail.ReadWrite", "Mail.Send"})
    issued = {name: directory.issue_token(person, scopes, "our app").value for name, person in people.items()}
    connections = {
        name: connection(name, mailbox=replace(connection().mailbox, object_id=person.oid, email=person.email))
        for name, person in people.items()
    }
    await server.start()
    await graph.start()
    try:
        async with httpx.AsyncClient() as http:
            client = GraphClient(http, f"{graph.url}/v1.0", DirectoryTokens(issued))
            lifetime = MAX_LIFETIME - timedelta(minutes=1)
            yield EmulatedGraphStage(
                graph,
                clock,
                http,
                GraphMail(client),
                GraphSubscriptions(client, server.url, lifetime),
                GraphSubscriptions(client, f"{server.url}/elsewhere", lifetime),
                connections["con_dana"],
                connections["con_bob"],
                issued["con_dana"],
            )
    finally:
        await graph.stop()
        await server.stop()


async def _validated(request: web.Request) -> web.Response:
    return web.Response(text=request.query.get("validationToken", ""))
