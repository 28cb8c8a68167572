"""Somebody in front of the lab: what their browser would ask of its backend, over HTTP."""

import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.cloud.lab import Lab
from tests.cloud.local import LocalCloud
from tests.cloud.polling import eventually
from tests.cloud.sign_in import sign_in

type Json = dict[str, Any]

ADA = "ada@customer.example"
DANA, LEE = "dana@northwind.example", "lee@fabrikam.example"


class Visitor:
    """
    One browser; signed in to the CRM as Dana until `works_as` says otherwise.

    http: its base address is the lab's.
    """

    def __init__(self, cloud: LocalCloud, lab: Lab, http: httpx.AsyncClient) -> None:
        self.cloud = cloud
        self.lab = lab
        self.http = http

    async def get(self, path: str, **query: str) -> httpx.Response:
        """A page or a document; redirects are not followed."""
        return await self.http.get(path, params=query or None)

    async def post(self, path: str, body: Json | None = None) -> httpx.Response:
        """Do something, as the page does: JSON."""
        return await self.http.post(path, json=body or {})

    async def now(self, mailbox: str = DANA, thread: str = "") -> Json:
        """What both halves show."""
        answer = await self.get("/now", mailbox=mailbox, thread=thread)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def until(self, look: Callable[[Json], Any], what: str, mailbox: str = DANA, thread: str = "") -> Any:
        """The first true answer of `look` to what both halves show."""

        async def looked() -> Any:
            return look(await self.now(mailbox, thread))

        return await eventually(looked, what)

    async def works_as(self, user_id: str) -> None:
        """Sign in to the CRM as this user."""
        assert (await self.post("/crm/session", {"user_id": user_id})).status_code == 200

    async def comes_back(self, **brought: str) -> str:
        """Where the browser is sent that comes back from Microsoft with this."""
        answer = await self.get("/signed-in", **brought)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    async def goes_to_microsoft(self, sign_in_url: str, email: str) -> dict[str, str]:
        """What the browser brings back from there. A client of its own: that way's cookies are not the lab's."""
        async with httpx.AsyncClient(timeout=60) as http:
            return await sign_in(http, sign_in_url, self.cloud.entra.url, email)

    async def connects(self, email: str) -> None:
        """Press Connect on the embedded settings page, sign in as this person, and come back to the CRM."""
        link = (await self.post("/crm/settings-page")).json()["url"]
        token = urlsplit(link).fragment.removeprefix("token=")
        begun = await self.http.post(
            f"{self.cloud.functions_url}/settings/email/sign-in",
            json={},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert begun.status_code == 201, begun.text
        brought = await self.goes_to_microsoft(begun.json()["sign_in_url"], email)
        assert await self.comes_back(**brought) == "/?signed_in=ok"
        await self.until(
            lambda now: (now["crm"]["connection"] or {}).get("sync_state") == "active",
            f"{email} to be connected",
            email,
        )

    async def sends(self, subject: str, text: str = "Here it is.", **more: Any) -> Json:
        """Write to Ada from the CRM; the thread it begins or goes on, once the email is sent."""
        accepted = await self.post(
            "/crm/emails",
            {"idempotency_key": str(uuid.uuid4()), "to": ADA, "subject": subject, "text": text, **more},
        )
        assert accepted.status_code == 202, accepted.text
        sent = accepted.json()["messages"][0]
        return await self.thread_with(sent["thread_id"], lambda m: m["message_id"] == sent["message_id"] and m["at"])

    async def thread_with(self, thread_id: str, message: Callable[[Json], Any]) -> Json:
        """The thread, once it has such a message."""

        def look(now: Json) -> Json | None:
            thread = now["crm"]["thread"]
            return thread if thread and any(message(m) for m in thread["messages"]) else None

        found: Json = await self.until(look, "the message in the CRM", thread=thread_id)
        return found

    async def in_mailbox(self, message: Callable[[Json], Any], mailbox: str = DANA) -> Json:
        """The first message of the mailbox, as its list shows it, that is so."""
        found: Json = await self.until(
            lambda now: next((m for m in now["mailbox"]["messages"] if message(m)), None), "the mail", mailbox
        )
        return found

    async def ada_writes(self, text: str, *, subject: str = "", answers: str | None = None, **more: Any) -> Json:
        """Mail from Ada in Dana's mailbox; `answers` is the id of the message there that it answers."""
        mail = {"sender_address": ADA, "sender_name": "Ada Quist", "subject": subject, "text": text, "answers": answers}
        arrived = await self.post(f"/mailbox/{DANA}/incoming", mail | more)
        assert arrived.status_code == 201, arrived.text
        return dict(arrived.json())
