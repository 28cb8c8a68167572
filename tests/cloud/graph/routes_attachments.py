"""
Attachments of a message: list, read, raw bytes, add, remove.

Imitated: https://learn.microsoft.com/graph/api/message-list-attachments, …/attachment-get, …/message-post-attachments,
…/attachment-delete: files bring `contentBytes` unless `$select` says otherwise, links have no `$value` (405). Not
imitated: `$expand=microsoft.graph.itemattachment/item` (400), and vCards or iCalendar for attached contacts and events.
"""

from typing import Any

from aiohttp import web

from tests.cloud.graph import odata
from tests.cloud.graph.drafts import AttachmentJson, new_attachment, read
from tests.cloud.graph.errors import GraphError, bad_request
from tests.cloud.graph.message import Attachment, Message
from tests.cloud.graph.paging import page_response
from tests.cloud.graph.paths import route
from tests.cloud.graph.service import READ, WRITE, Caller, MailService, entity_response, read_json
from tests.cloud.graph.shapes import ATTACHMENT_DEFAULT, attachment_entity


class AttachmentRoutes:
    """The attachments of one message."""

    def __init__(self, service: MailService) -> None:
        self._service = service

    def register(self, router: web.UrlDispatcher) -> None:
        """Add the routes of this module."""
        for parent in ("/me/messages/{message_id}", "/me/mailFolders/{folder_id}/messages/{message_id}"):
            route(router, "GET", f"{parent}/attachments", self._list)
            route(router, "POST", f"{parent}/attachments", self._add)
            route(router, "GET", f"{parent}/attachments/{{attachment_id}}", self._get)
            route(router, "DELETE", f"{parent}/attachments/{{attachment_id}}", self._remove)
            route(router, "GET", f"{parent}/attachments/{{attachment_id}}/$value", self._bytes)

    async def _list(self, request: web.Request) -> web.Response:
        caller = self._service.caller(request, *READ)
        options = odata.parse(request.query, odata.ATTACHMENT, collection=True)
        message = self._service.message(request, caller)
        entities = [attachment_entity(a, immutable_ids=caller.immutable_ids) for a in message.attachments]
        context = attachments_context(caller, message)
        return page_response(self._service.url, request, entities, options, ATTACHMENT_DEFAULT, context)

    async def _get(self, request: web.Request) -> web.Response:
        caller = self._service.caller(request, *READ)
        options = odata.parse(request.query, odata.ATTACHMENT, collection=False)
        message, attachment = self._named(request, caller)
        entity = attachment_entity(attachment, immutable_ids=caller.immutable_ids)
        shown = odata.project(entity, options, ATTACHMENT_DEFAULT)
        return entity_response(shown, f"{attachments_context(caller, message)}/$entity")

    async def _bytes(self, request: web.Request) -> web.Response:
        caller = self._service.caller(request, *READ)
        _, attachment = self._named(request, caller)
        if attachment.kind == "reference":
            raise GraphError(405, "ErrorInvalidRequest", "A reference attachment has no content of its own.")
        content_type = "text/plain" if attachment.kind == "item" else attachment.content_type
        # Whatever type the sender wrote, well-formed or not, comes back.
        return web.Response(body=attachment.content, headers={"Content-Type": _one_line(content_type)})

    async def _add(self, request: web.Request) -> web.Response:
        caller = self._service.caller(request, *WRITE)
        given = await read_json(request)
        attachment = new_attachment(read(AttachmentJson, given), caller.mailbox.now(), self._service.switches)
        message = self._draft(request, caller)
        caller.mailbox.attach(message, attachment)
        shown: dict[str, Any] = dict(attachment_entity(attachment, immutable_ids=caller.immutable_ids))
        return entity_response(shown, f"{attachments_context(caller, message)}/$entity", 201)

    async def _remove(self, request: web.Request) -> web.Response:
        caller = self._service.caller(request, *WRITE)
        message = self._draft(request, caller)
        message.attachments.remove(caller.mailbox.attachment(message, request.match_info["attachment_id"]))
        caller.mailbox.changed(message)
        return web.Response(status=204)

    def _draft(self, request: web.Request, caller: Caller) -> Message:
        message = self._service.editable(request, caller)
        if not message.is_draft:
            raise bad_request("Attachments can only be changed on a draft.", "ErrorInvalidRequest")
        return message

    def _named(self, request: web.Request, caller: Caller) -> tuple[Message, Attachment]:
        message = self._service.message(request, caller)
        return message, caller.mailbox.attachment(message, request.match_info["attachment_id"])


def attachments_context(caller: Caller, message: Message) -> str:
    """The metadata context of a message's attachments."""
    return f"users('{caller.person.oid}')/messages('{message.id_as(immutable=caller.immutable_ids)}')/attachments"


def _one_line(content_type: str | None) -> str:
    return "".join(c for c in content_type or "" if c.isprintable()) or "application/octet-stream"
