"""The mailbox's half over HTTP: a person at work in Outlook, and the world that writes to them."""

from typing import Any, Literal
from urllib.parse import quote

import httpx
from aiohttp import web
from pydantic import Field

from tests.cloud.controls import Control, read_control
from tests.cloud.directory import Directory, Person
from tests.cloud.graph.conversation import base_subject
from tests.cloud.lab.mail_page import mail_page
from tests.cloud.lab.mailbox import PersonalMailbox
from tests.cloud.lab.mailbox_view import opened
from tests.cloud.lab.refusal import Refusal
from tests.cloud.lab.samples import File, GivenFile

_MESSAGE = "/mailbox/{email}/messages/{message_id}"


class _NewMail(Control):
    to: str
    subject: str
    text: str
    files: list[GivenFile] = Field(default_factory=list)


class _Answer(Control):
    kind: Literal["reply", "replyAll", "forward"]
    text: str
    to: str = ""
    files: list[GivenFile] = Field(default_factory=list)


class _Mark(Control):
    read: bool


class _Move(Control):
    folder: str


class _FromOutside(Control):
    sender_address: str
    sender_name: str
    subject: str
    text: str
    answers: str | None = None
    files: list[GivenFile] = Field(default_factory=list)


class MailboxRoutes:
    """What a person can do in Outlook, for everybody in the directory. graph_url, entra_url: roots of the emulators."""

    def __init__(self, directory: Directory, http: httpx.AsyncClient, graph_url: str, entra_url: str) -> None:
        self._directory = directory
        self._http = http
        self._graph_url = graph_url
        self._entra_url = entra_url
        self._mailboxes: dict[str, PersonalMailbox] = {}

    def register(self, router: web.UrlDispatcher) -> None:
        """Add the routes of this module."""
        router.add_post("/mailbox/{email}/messages", self._write)
        router.add_post("/mailbox/{email}/incoming", self._receive)
        router.add_get(_MESSAGE, self._open)
        router.add_get(f"{_MESSAGE}/body", self._body)
        router.add_get(f"{_MESSAGE}/attachments/{{attachment_id}}", self._attachment)
        router.add_post(f"{_MESSAGE}/answer", self._answer)
        router.add_post(f"{_MESSAGE}/mark", self._mark)
        router.add_post(f"{_MESSAGE}/move", self._move)
        router.add_post(f"{_MESSAGE}/delete", self._delete)

    def person(self, email: str) -> Person:
        """The person with this address; raises Refusal."""
        person = self._directory.by_email(email)
        if person is None:
            raise Refusal(404, f"Nobody here has the address {email}.")
        return person

    def of(self, person: Person) -> PersonalMailbox:
        """The mailbox of this person."""
        return self._mailboxes.setdefault(
            person.oid, PersonalMailbox(self._http, self._graph_url, self._entra_url, person.email)
        )

    async def _write(self, request: web.Request) -> web.Response:
        given = await read_control(request, _NewMail)
        mailbox = self._named(request)
        message_id = await mailbox.write(_addresses(given.to), given.subject, given.text, _files(given.files))
        return web.json_response({"id": message_id}, status=202)

    async def _receive(self, request: web.Request) -> web.Response:
        given = await read_control(request, _FromOutside)
        mailbox = self._named(request)
        mail: dict[str, Any] = {
            "from": {"address": given.sender_address, "name": given.sender_name},
            "subject": given.subject,
            "text": given.text,
            "conversation": "new",
            "attachments": [
                {"name": f.name, "content_type": f.content_type, "content_base64": f.base64}
                for f in _files(given.files)
            ],
        }
        if given.answers is not None:
            answered = await mailbox.message(given.answers)
            mail |= {
                "subject": f"Re: {base_subject(answered['subject'])}",
                "in_reply_to": answered["internetMessageId"],
                "conversation": "same",
            }
        return web.json_response(await mailbox.receive(mail), status=201)

    async def _open(self, request: web.Request) -> web.Response:
        mailbox = self._named(request)
        return web.json_response(opened(mailbox.email, await mailbox.message(request.match_info["message_id"])))

    async def _body(self, request: web.Request) -> web.Response:
        message = await self._named(request).message(request.match_info["message_id"])
        body, is_html = message["body"]["content"], message["body"]["contentType"] == "html"
        return mail_page(body if is_html else None, None if is_html else body)

    async def _attachment(self, request: web.Request) -> web.Response:
        place = request.match_info
        name, content = await self._named(request).attachment(place["message_id"], place["attachment_id"])
        disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
        return web.Response(
            body=content, content_type="application/octet-stream", headers={"Content-Disposition": disposition}
        )

    async def _answer(self, request: web.Request) -> web.Response:
        given = await read_control(request, _Answer)
        await self._named(request).answer(
            request.match_info["message_id"], given.kind, given.text, _files(given.files), _addresses(given.to)
        )
        return web.json_response({}, status=202)

    async def _mark(self, request: web.Request) -> web.Response:
        read = (await read_control(request, _Mark)).read
        await self._named(request).mark(request.match_info["message_id"], read=read)
        return web.json_response({})

    async def _move(self, request: web.Request) -> web.Response:
        folder = (await read_control(request, _Move)).folder
        await self._named(request).move(request.match_info["message_id"], folder)
        return web.json_response({})

    async def _delete(self, request: web.Request) -> web.Response:
        await read_control(request, Control)
        await self._named(request).delete(request.match_info["message_id"])
        return web.json_response({})

    def _named(self, request: web.Request) -> PersonalMailbox:
        return self.of(self.person(request.match_info["email"]))


def _addresses(given: str) -> list[str]:
    return [address.strip() for address in given.replace(";", ",").split(",") if address.strip()]


def _files(given: list[GivenFile]) -> list[File]:
    return [file.file() for file in given]
