"""
One customer of the CRM on a cloud shared by many tests: everything here is this account's alone.

Ids and mail addresses are made up anew each time, so that tests neither meet nor need an order.
"""

import secrets
from dataclasses import dataclass, replace
from typing import Any, Self

import httpx

from tests.cloud.crm import Event
from tests.cloud.crm_api import CrmApi
from tests.cloud.directory import MailboxState, Person
from tests.cloud.local import LocalCloud
from tests.cloud.polling import eventually
from tests.cloud.sign_in import sign_in
from tests.cloud.stage import Stage

type Json = dict[str, Any]

#: So long an event is waited for. Half a minute passes before work is done again whose worker died (host.json), and a quarter of
#: one until the app sends again what Graph did not answer; after a minute the sweep would do what a promise stands behind.
HEARD_WITHIN_S = 45


def unique(word: str) -> str:
    """An id of an account or a user that nobody else has."""
    return f"{word}-{secrets.token_hex(6)}"


@dataclass(frozen=True)
class Account:
    """An account as its CRM sees it: `api` calls the app, the events are those the CRM received of this account."""

    cloud: LocalCloud
    api: CrmApi
    http: httpx.AsyncClient

    @property
    def account_id(self) -> str:
        """The account's id."""
        return self.api.account_id

    def new_person(
        self, name: str = "Dana Whitfield", *, admin_consent_required: bool = False, mailbox: MailboxState = "active"
    ) -> Person:
        """Somebody with a mailbox, in a company of their own."""
        address = f"{name.partition(' ')[0].lower()}@{unique('company')}.example"
        return self.cloud.directory.add(address, name, admin_consent_required=admin_consent_required, mailbox=mailbox)

    async def sign_in_link(self, user_id: str, expected_email: str | None = None) -> str:
        """A fresh link for this user."""
        answer = await self.api.start_sign_in(user_id, self.cloud.crm.return_url, expected_email)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["sign_in_url"])

    async def completion_code(self, user_id: str, email: str) -> str:
        """What the user's browser brings back to the CRM once they signed in to this mailbox."""
        brought_back = await sign_in(self.http, await self.sign_in_link(user_id), self.cloud.entra.url, email)
        assert brought_back["result"] == "ok", brought_back
        return brought_back["completion_code"]

    async def connect(self, user_id: str, email: str) -> Json:
        """The connection JSON, once this mailbox is connected and watched, and the CRM has been told."""
        completed = await self.api.complete(user_id, await self.completion_code(user_id, email))
        assert completed.status_code == 200, completed.text
        connection = await self.active(user_id, completed.json()["connection_id"])
        await self.cloud.functions.idle()
        return connection

    async def active(self, user_id: str, connection_id: str) -> Json:
        """The connection JSON, once it is connected and active."""

        async def look() -> Json | None:
            shown = (await self.api.connection(user_id)).json()
            wanted = (connection_id, "connected", "active")
            return shown if (shown["connection_id"], shown["state"], shown["sync_state"]) == wanted else None

        return await eventually(look, f"{connection_id} to be active")

    def events(self, after: int = 0) -> list[Event]:
        """What the CRM received of this account behind this sequence."""
        return [e for e in self.cloud.crm.events if e["account_id"] == self.account_id and e["sequence"] > after]

    async def heard(self, kind: str, after: int = 0) -> Event:
        """The first event of this type behind this sequence, waited for."""
        return await self.cloud.crm.wait_for(
            lambda e: e["account_id"] == self.account_id and e["type"] == kind and e["sequence"] > after,
            timeout=HEARD_WITHIN_S,
        )

    async def subscriptions(self, email: str) -> list[Json]:
        """What tells us of this mailbox at Microsoft Graph."""
        every = (await self.http.get(f"{self.cloud.graph.url}/_lab/subscriptions")).json()
        return [subscription for subscription in every if subscription["email"] == email]

    async def feed(self) -> list[Event]:
        """Every event of the account, from the feed."""
        return list((await self.api.events(limit=1000)).json()["events"])


@dataclass(frozen=True)
class Connected(Account):
    """An account with one user whose fresh mailbox is connected and watched. `stage` makes mail arrive in it."""

    user_id: str
    person: Person
    connection: Json
    stage: Stage

    @property
    def email(self) -> str:
        """The mailbox's address."""
        return self.person.email

    @property
    def connection_id(self) -> str:
        """The connection's id."""
        return str(self.connection["connection_id"])

    async def signs_in_again(self) -> Self:
        """The same user and mailbox, after another sign-in, once everything has come to rest."""
        return await self.updates_to(self.person)

    async def updates_to(self, person: Person) -> Self:
        """The same user, once this person's mailbox has taken the place of theirs, and everything has come to rest."""
        connection = await self.connect(self.user_id, person.email)
        return replace(self, person=person, connection=connection, stage=Stage(self.cloud, self.http, person.email))

    def mail(self, **changes: Any) -> Json:
        """A send body that is in order, with these fields changed; None leaves a field out."""
        body: Json = {
            "kind": "individual",
            "user_id": self.user_id,
            "to": [{"address": "ada@customer.example", "name": "Ada Quist", "contact_id": "contact-1"}],
            "subject": "Our offer",
            "html": "<p>Dear Ada, here is our offer.</p>",
        }
        return {name: value for name, value in (body | changes).items() if value is not None}

    async def sent(self, **changes: Any) -> Json:
        """`data.message` of a new email, once it has left."""
        before = max((e["sequence"] for e in self.events()), default=0)
        accepted = await self.api.send(self.mail(**changes), unique("key"))
        assert accepted.status_code == 202, accepted.text
        message_id = accepted.json()["messages"][0]["message_id"]
        event = await self.cloud.crm.wait_for(
            lambda e: (
                e["type"] == "message.sent"
                and e["sequence"] > before
                and e["data"]["message"]["message_id"] == message_id
            ),
            timeout=HEARD_WITHIN_S,
        )
        return dict(event["data"]["message"])

    async def is_answered(self, message: Json) -> None:
        """The contact answers this message, and everything comes to rest."""
        sender, subject = message["to"][0]["address"], f"RE: {message['subject']}"
        await self.stage.mail_arrives(sender, subject, "Thank you", in_reply_to=message["internet_message_id"])
        await self.stage.quiet()
