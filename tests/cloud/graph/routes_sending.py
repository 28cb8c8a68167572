"""
Sending: `/send`, `sendMail`, and the answers `createReply`, `createReplyAll`, `createForward`, `reply`, `replyAll`, `forward`.

Imitated: https://learn.microsoft.com/graph/api/message-send, …/user-sendmail, …/message-createreply and its kin. Success of
what sends is 202 and nothing moved yet. `comment` and a `body` of the message together are a 400. A draft given to the
transport stays readable as the draft it was until its copy is in Sent Items, or answers 404 in that window (a switch);
sending it a second time is a 409 (?), one that was sent before a 400 (?): nothing is sent twice. Not imitated: answers
in MIME.
"""

from typing import Any

from aiohttp import web

from tests.cloud.graph import odata, replies
from tests.cloud.graph.compose import check_sendable, composed, composed_mime, new_draft, write_content
from tests.cloud.graph.drafts import MessageJson, custom_headers, read
from tests.cloud.graph.errors import bad_request
from tests.cloud.graph.message import Message
from tests.cloud.graph.paths import Handler, route
from tests.cloud.graph.replies import AnswerKind
from tests.cloud.graph.routes_messages import message_response
from tests.cloud.graph.service import SEND, WRITE, Caller, MailService, read_body, read_json, without_case

_MESSAGE = "/me/messages/{message_id}"


class SendingRoutes:
    """Everything that sends, and everything that prepares an answer."""

    def __init__(self, service: MailService) -> None:
        self._service = service

    def register(self, router: web.UrlDispatcher) -> None:
        """Add the routes of this module."""
        route(router, "POST", "/me/sendMail", self._send_mail)
        for parent in (_MESSAGE, "/me/mailFolders/{folder_id}/messages/{message_id}"):
            route(router, "POST", f"{parent}/send", self._send)
            kinds: tuple[tuple[AnswerKind, str], ...] = (
                ("reply", "createReply"),
                ("replyAll", "createReplyAll"),
                ("forward", "createForward"),
            )
            for kind, create in kinds:
                route(router, "POST", f"{parent}/{create}", self._creating(kind))
                route(router, "POST", f"{parent}/{kind}", self._answering(kind))

    async def _send(self, request: web.Request) -> web.Response:
        caller = self._service.caller(request, *SEND)
        odata.parse(request.query, odata.MESSAGE, collection=False)
        if await read_body(request):
            raise bad_request("The operation 'send' takes no body.")
        message = self._service.editable(request, caller)
        if not message.is_draft:
            raise bad_request("The message is not a draft: it cannot be sent.", "ErrorInvalidRequest")
        check_sendable(self._service, caller, message)
        self._service.transport.submit(caller.person, message)
        return web.Response(status=202)

    async def _send_mail(self, request: web.Request) -> web.Response:
        caller = self._service.caller(request, *SEND)
        odata.parse(request.query, odata.MESSAGE, collection=False)
        save_copy: Any = True
        if request.content_type == "text/plain":
            wanted = await composed_mime(request)
        else:
            given = without_case(await read_json(request), "message", "saveToSentItems")
            save_copy = given.get("saveToSentItems", True)
            if not isinstance(save_copy, bool):
                raise bad_request("'saveToSentItems' must be true or false.", "RequestBodyRead")
            wanted = composed(given.get("message"))
        message = new_draft(self._service, caller, caller.mailbox.folders["outbox"], wanted)
        self._submit_new(caller, message, save_copy=save_copy)
        return web.Response(status=202)

    def _creating(self, kind: AnswerKind) -> Handler:
        async def create(request: web.Request) -> web.Response:
            caller = self._service.caller(request, *WRITE)
            draft = caller.mailbox.add(await self._answer(request, caller, kind))
            return message_response(self._service, caller, draft, 201)

        return create

    def _answering(self, kind: AnswerKind) -> Handler:
        async def send_answer(request: web.Request) -> web.Response:
            caller = self._service.caller(request, *SEND)
            self._submit_new(caller, await self._answer(request, caller, kind))
            return web.Response(status=202)

        return send_answer

    async def _answer(self, request: web.Request, caller: Caller, kind: AnswerKind) -> Message:
        """The answer the body describes, not yet stored."""
        odata.parse(request.query, odata.MESSAGE, collection=False)
        names = ("comment", "message", *(("toRecipients",) if kind == "forward" else ()))
        given = {
            k: v for k, v in without_case(await read_json(request, optional=True), *names).items() if v is not None
        }
        switches = self._service.switches
        original = self._service.editable(request, caller)
        answer = replies.answer(
            caller.mailbox,
            caller.person,
            original,
            kind,
            own_mail_addresses_self=switches.reply_to_own_mail_addresses_self,
            carries_inline_files=switches.reply_carries_inline_files,
        )
        content = read(MessageJson, given.get("message", {}))
        if "comment" in given and (content.body is not None or not isinstance(given["comment"], str)):
            raise bad_request("A comment and a message body cannot be given together.", "ErrorInvalidRequest")
        if "toRecipients" in given:
            content = read(MessageJson, {"toRecipients": given["toRecipients"], **given.get("message", {})})
        if given.get("comment") and switches.comment_in_draft_body:
            answer.fields["body"] = replies.with_comment(original, given["comment"])
        answer.headers = custom_headers(content)
        groups = ("toRecipients", "ccRecipients", "bccRecipients")
        chosen = {group: answer.fields[group] for group in groups}
        write_content(self._service, caller, answer, content)
        if switches.reply_recipients_are_added:
            answer.fields |= {group: replies.with_added(chosen[group], answer.fields[group]) for group in groups}
        if switches.create_reply_marks_read and not original.fields["isRead"]:
            original.fields["isRead"] = True
            caller.mailbox.changed(original)
        return answer

    def _submit_new(self, caller: Caller, message: Message, *, save_copy: bool = True) -> None:
        """Send what never was a draft anyone could see."""
        check_sendable(self._service, caller, message)
        message.folder = caller.mailbox.folders["outbox"]
        caller.mailbox.add(message, publish=False)
        self._service.transport.submit(caller.person, message, save_copy=save_copy)
