"""
`/_lab`: what tests and people do to the mailboxes from outside of Graph. Nothing here imitates Microsoft.

    POST /_lab/mail                       mail from the world arrives -> {internet_message_id, id}
    GET  /_lab/outgoing                   what left for the world, oldest first
    GET  /_lab/transport                  {pending}: messages submitted whose copy is not yet in Sent Items
    GET  /_lab/mailboxes/{email}/messages everything in a mailbox, oldest first
    GET, POST /_lab/switches              the doubtful facts (switches.py)
    POST /_lab/clock {advance_s}          move the clock -> {now}
    POST /_lab/reset                      mailboxes, switches, subscriptions, faults, challenges and log as at the start;
                                          people stay

What is done to people, not to their mail, is in routes_lab_people.py; delivery reports are in routes_lab_reports.py.
"""

import base64
import binascii
import json
from collections.abc import Awaitable, Callable
from typing import Any, Literal, NoReturn

from aiohttp import web
from pydantic import Field

from tests.cloud.controls import Control, read_control
from tests.cloud.directory import Person
from tests.cloud.graph import bodies, conversation
from tests.cloud.graph.arrival import Mail, receive
from tests.cloud.graph.conversation import Conversation
from tests.cloud.graph.drafts import named
from tests.cloud.graph.mailbox import WELL_KNOWN_FOLDERS, Mailbox
from tests.cloud.graph.message import Attachment, AttachmentKind, Message
from tests.cloud.graph.service import MailService
from tests.cloud.graph.shapes import graph_date

MAX_MAIL_BYTES = 160 * 1024 * 1024


class _Address(Control):
    address: str
    name: str | None = None


_Who = str | _Address


class _LabAttachment(Control):
    name: str
    content_type: str = "application/octet-stream"
    content_base64: str = ""
    inline: bool = False
    content_id: str | None = None
    kind: AttachmentKind = "file"


class _LabMail(Control):
    to: _Who | list[_Who]
    sender: _Who = Field(alias="from")
    subject: str
    html: str | None = None
    text: str | None = None
    cc: _Who | list[_Who] = Field(default_factory=list)
    reply_to: _Who | list[_Who] = Field(default_factory=list)
    in_reply_to: str | None = None
    references: str | list[str] = Field(default_factory=list)
    conversation: Literal["same", "new"] | None = None
    attachments: list[_LabAttachment] = Field(default_factory=list)
    headers: dict[str, str] = Field(default_factory=dict)
    folder: str = "inbox"
    message_class: str = "IPM.Note"


class _Advance(Control):
    advance_s: float = Field(ge=0)


class LabRoutes:
    """The controls of the mailboxes; `reset_all` puts the whole emulator back to its start."""

    def __init__(self, service: MailService, reset_all: Callable[[], Awaitable[None]]) -> None:
        self._service = service
        self._reset_all = reset_all

    def register(self, router: web.UrlDispatcher) -> None:
        """Add the routes of this module."""
        router.add_post("/_lab/mail", self._mail)
        router.add_get("/_lab/outgoing", self._outgoing)
        router.add_get("/_lab/transport", self._transport)
        router.add_get("/_lab/mailboxes/{email}/messages", self._messages)
        router.add_get("/_lab/switches", self._switches)
        router.add_post("/_lab/switches", self._switch)
        router.add_post("/_lab/clock", self._clock)
        router.add_post("/_lab/reset", self._reset)

    async def _mail(self, request: web.Request) -> web.Response:
        given = await read_control(request, _LabMail)
        if given.folder not in WELL_KNOWN_FOLDERS:
            _refuse(400, f"no folder is named {given.folder!r}; there are: {', '.join(WELL_KNOWN_FOLDERS)}")
        names = self._service.names()
        to = [_recipient(who, names) for who in _listed(given.to)]
        people = [self._person(recipient["emailAddress"]["address"]) for recipient in to]
        if not people:
            _refuse(400, "'to' must name at least one mailbox")
        if without := [person.email for person in people if person.mailbox != "active"]:
            _refuse(409, f"{', '.join(without)} cannot get mail: the mailbox is not active")
        sender = _recipient(given.sender, names)
        now = self._service.clock.now().replace(microsecond=0)
        references = given.references.split() if isinstance(given.references, str) else list(given.references)
        mail = Mail(
            sender=sender,
            to=to,
            cc=[_recipient(who, names) for who in _listed(given.cc)],
            reply_to=[_recipient(who, names) for who in _listed(given.reply_to)],
            subject=given.subject,
            body={"contentType": "html", "content": given.html}
            if given.html is not None
            else {"contentType": "text", "content": given.text or ""},
            internet_message_id=conversation.new_internet_message_id(
                sender["emailAddress"]["address"].rpartition("@")[2]
            ),
            sent_at=now,
            in_reply_to=given.in_reply_to,
            references=references or ([given.in_reply_to] if given.in_reply_to else []),
            headers=[{"name": name, "value": value} for name, value in given.headers.items()],
            attachments=[self._attachment(attachment) for attachment in given.attachments],
            message_class=given.message_class,
        )
        mailboxes = [self._service.mailboxes.of(person) for person in {p.oid: p for p in people}.values()]
        places = [(mailbox, self._conversation(mailbox, mail, given.conversation)) for mailbox in mailboxes]
        arrived = [receive(mailbox, mail, found, given.folder) for mailbox, found in places]
        return web.json_response({"internet_message_id": mail.internet_message_id, "id": arrived[0].immutable_id})

    def _conversation(self, mailbox: Mailbox, mail: Mail, wanted: Literal["same", "new"] | None) -> Conversation:
        """
        The conversation the mail lands in.

        `same`: that of the message it answers, as a child of it; where it answers none that is here, that of the newest
        message with the same base subject, with an index of its own (what happens to unrelated mail). None: `same` where
        it answers a message that is here.
        """
        now = self._service.clock.now()
        pointed_at = [i for i in (mail.in_reply_to, *reversed(mail.references)) if i]
        answered = mailbox.by_internet_id(pointed_at)
        if wanted == "new" or (wanted is None and answered is None):
            return conversation.new_conversation(now, mailbox.guid)
        if answered is not None:
            index = conversation.child_index(answered.conversation.index, now)
            return Conversation(answered.conversation.id, index)
        subject = conversation.base_subject(mail.subject)
        alike = [m for m in mailbox.messages() if conversation.base_subject(m.fields["subject"]) == subject]
        if not alike:
            _refuse(
                409, f"no message in the mailbox has the base subject {subject!r}: no conversation to be the same as"
            )
        return conversation.collision(alike[0].conversation.id, now)

    def _attachment(self, given: _LabAttachment) -> Attachment:
        try:
            content = base64.b64decode(given.content_base64, validate=True)
        except binascii.Error:
            _refuse(400, f"content_base64 of {given.name!r} is not base64")
        return Attachment(
            kind=given.kind,
            name=given.name,
            content_type=None if given.kind == "reference" else given.content_type,
            content=b"" if given.kind == "reference" else content,
            is_inline=given.inline,
            content_id=given.content_id,
            modified_at=self._service.clock.now().replace(microsecond=0),
            overhead_bytes=self._service.switches.attachment_overhead_bytes,
        )

    def _person(self, address: str) -> Person:
        person = self._service.directory.by_email(address)
        if person is None:
            _refuse(404, f"nobody in the directory has the address {address}")
        return person

    async def _outgoing(self, request: web.Request) -> web.Response:
        return web.json_response(self._service.transport.outgoing)

    async def _transport(self, request: web.Request) -> web.Response:
        return web.json_response({"pending": self._service.transport.pending})

    async def _messages(self, request: web.Request) -> web.Response:
        mailbox = self._service.mailboxes.of(self._person(request.match_info["email"]))
        oldest_first = sorted(mailbox.messages(), key=lambda m: m.created_sequence)
        return web.json_response([_shown(message) for message in oldest_first])

    async def _switches(self, request: web.Request) -> web.Response:
        return web.json_response(self._service.switches.as_json())

    async def _switch(self, request: web.Request) -> web.Response:
        try:
            changes = json.loads(await request.read())
            self._service.switches.update(dict(changes))
        except (ValueError, TypeError) as problem:
            _refuse(400, str(problem))
        return web.json_response(self._service.switches.as_json())

    async def _clock(self, request: web.Request) -> web.Response:
        self._service.clock.advance((await read_control(request, _Advance)).advance_s)
        return web.json_response({"now": self._service.clock.now().isoformat()})

    async def _reset(self, request: web.Request) -> web.Response:
        await self._reset_all()
        return web.json_response({})


def _refuse(status: int, message: str) -> NoReturn:
    error = web.HTTPBadRequest if status == 400 else web.HTTPNotFound if status == 404 else web.HTTPConflict
    raise error(text=json.dumps({"error": message}), content_type="application/json")


def _listed(who: _Who | list[_Who]) -> list[_Who]:
    return who if isinstance(who, list) else [who]


def _recipient(who: _Who, names: dict[str, str]) -> dict[str, Any]:
    given = {"address": who} if isinstance(who, str) else {"address": who.address, "name": who.name}
    return named({"emailAddress": given}, names)


def _shown(message: Message) -> dict[str, Any]:
    fields = message.fields
    body = fields["body"]
    text = bodies.text_of_html(body["content"]) if body["contentType"] == "html" else body["content"]
    return {
        "folder": message.folder.name,
        "id": message.mutable_id,
        "immutable_id": message.immutable_id,
        "conversation_id": message.conversation.id,
        "internet_message_id": message.internet_message_id,
        "subject": fields["subject"],
        "from": fields["from"]["emailAddress"] if fields["from"] else None,
        "to": [r["emailAddress"] for r in fields["toRecipients"]],
        "cc": [r["emailAddress"] for r in fields["ccRecipients"]],
        "is_draft": message.is_draft,
        "is_report": message.message_class.startswith("REPORT.")
        or any(h["name"] == "Content-Type" and "delivery-status" in h["value"] for h in message.headers),
        "is_read": fields["isRead"],
        "received_at": graph_date(message.received_at),
        "preview": bodies.preview(text),
        "attachments": [a.name for a in message.attachments],
    }
