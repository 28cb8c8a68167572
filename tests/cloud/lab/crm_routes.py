"""The CRM's half over HTTP: what its pages ask of its backend, and where the browser comes back to from Microsoft."""

from typing import Any

from aiohttp import web
from pydantic import Field

from tests.cloud.controls import Control, read_control
from tests.cloud.lab.contoso import CONTACTS, USERS, Contoso, CrmContact, NewEmail
from tests.cloud.lab.crm_view import reply_subject
from tests.cloud.lab.mail_page import mail_page
from tests.cloud.lab.mailbox import html_of
from tests.cloud.lab.refusal import Refusal
from tests.cloud.lab.samples import GivenFile

type Json = dict[str, Any]

#: Who is signed in to the CRM in this browser. A real CRM's session; here, picked from a list.
SESSION = "contoso_user"
RETURN_PATH = "/signed-in"


class _SignIn(Control):
    user_id: str


class _Email(Control):
    idempotency_key: str
    text: str
    thread_id: str | None = None
    to: str = ""
    subject: str = ""
    files: list[GivenFile] = Field(default_factory=list)


class CrmRoutes:
    """What the CRM's user can do. url: the lab's root, which the browser comes back to."""

    def __init__(self, contoso: Contoso, url: str) -> None:
        self._contoso = contoso
        self._return_url = f"{url}{RETURN_PATH}"

    def register(self, router: web.UrlDispatcher) -> None:
        """Add the routes of this module."""
        router.add_post("/crm/session", self._sign_in)
        router.add_post("/crm/emails", self._send)
        router.add_get("/crm/messages/{message_id}/body", self._body)
        router.add_get("/crm/attachments/{attachment_id}", self._attachment)
        router.add_get("/crm/events/{event_id}", self._event)
        router.add_post("/crm/settings-page", self._settings_page)
        router.add_get(RETURN_PATH, self._came_back)

    async def _sign_in(self, request: web.Request) -> web.Response:
        user_id = (await read_control(request, _SignIn)).user_id
        if user_id not in {user.user_id for user in USERS}:
            raise Refusal(404, f"Nobody here is called {user_id}.")
        response = web.json_response({"signed_in": user_id})
        # Lax: the browser has to bring it along when it comes back from Microsoft.
        response.set_cookie(SESSION, user_id, httponly=True, samesite="Lax")
        return response

    async def _send(self, request: web.Request) -> web.Response:
        given = await read_control(request, _Email)
        if not given.text.strip():
            raise Refusal(400, "Write a few words first.")
        email = await self._email(signed_in(request), given)
        return web.json_response(await self._contoso.send(email, given.idempotency_key), status=202)

    async def _email(self, user_id: str, given: _Email) -> NewEmail:
        files = [file.file() for file in given.files]
        if given.thread_id is None:
            to = [_contact(address) for address in given.to.replace(";", ",").split(",") if address.strip()]
            if not to:
                raise Refusal(400, "Say who it goes to.")
            return NewEmail(user_id, to, given.subject, html_of(given.text), files)
        thread = (await self._contoso.look()).threads.get(given.thread_id)
        if thread is None:
            raise Refusal(404, "This thread is not there any more.")
        to = [
            CrmContact(contact["contact_id"] or "", contact["name"] or "", contact["address"])
            for contact in thread["contacts"]
        ]
        return NewEmail(user_id, to, reply_subject(thread), html_of(given.text), files, given.thread_id)

    async def _body(self, request: web.Request) -> web.Response:
        message = await self._contoso.message(request.match_info["message_id"])
        return mail_page(message["html"], message["text"])

    async def _attachment(self, request: web.Request) -> web.Response:
        content, disposition = await self._contoso.attachment(request.match_info["attachment_id"])
        return web.Response(
            body=content, content_type="application/octet-stream", headers={"Content-Disposition": disposition}
        )

    async def _event(self, request: web.Request) -> web.Response:
        return web.json_response(await self._contoso.event(request.match_info["event_id"]))

    async def _settings_page(self, request: web.Request) -> web.Response:
        page = await self._contoso.settings_page(signed_in(request), self._return_url)
        return web.json_response(page, status=201)

    async def _came_back(self, request: web.Request) -> web.Response:
        """
        Back from Microsoft: confirm the sign-in for whoever is signed in to the CRM, then show its settings again.

        Only the outcome goes into the address: a word of the contract, or the code of the app's refusal.
        """
        outcome = request.query.get("result", "failed")
        if outcome == "ok":
            try:
                await self._contoso.complete(signed_in(request), request.query.get("completion_code", ""))
            except Refusal as refusal:
                outcome = str(refusal.more.get("code") or "failed")
        raise web.HTTPSeeOther(f"/?{_query(outcome)}")


def signed_in(request: web.Request) -> str:
    """The CRM user whose browser this is; Dana where nobody was picked."""
    user_id = request.cookies.get(SESSION, "")
    return user_id if user_id in {user.user_id for user in USERS} else USERS[0].user_id


def _query(outcome: str) -> str:
    word = outcome if outcome.isascii() and outcome.replace("_", "").isalpha() else "failed"
    return f"signed_in={word}"


def _contact(address: str) -> CrmContact:
    """The contact with this address; somebody new where the CRM does not know them."""
    wanted = address.strip()
    known = next((c for c in CONTACTS if c.address.casefold() == wanted.casefold()), None)
    return known or CrmContact("", "", wanted)
