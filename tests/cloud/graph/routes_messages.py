"""
`me/messages` and `me/mailFolders/{folder}/messages`: list, read, create a draft, change, move, delete.

Imitated: https://learn.microsoft.com/graph/api/user-list-messages, …/message-get, …/user-post-messages,
…/message-update, …/message-move, …/message-delete, and `/$value` (…/outlook-get-mime-message). Newest first unless
sorted. With Mail.ReadBasic alone, asking for a body or an extended property is a 403 (?): the documentation only says
that the scope gives none. Not imitated: `$search`, copy, `permanentDelete`, Mail-Advanced.ReadWrite.
"""

from aiohttp import web

from tests.cloud.graph import mime, odata
from tests.cloud.graph.compose import composed, composed_mime, new_draft, write_content
from tests.cloud.graph.drafts import MessageJson, read
from tests.cloud.graph.errors import GraphError, bad_request
from tests.cloud.graph.message import Folder, Message
from tests.cloud.graph.paging import page_response
from tests.cloud.graph.paths import route
from tests.cloud.graph.service import (
    READ,
    READ_BASIC,
    WRITE,
    Caller,
    MailService,
    entity_response,
    read_json,
    without_case,
)
from tests.cloud.graph.shapes import BEYOND_READ_BASIC, MESSAGE_DEFAULT, BodyType, LazyEntity, message_entity


class MessageRoutes:
    """The messages of a mailbox, all together or by folder."""

    def __init__(self, service: MailService) -> None:
        self._service = service

    def register(self, router: web.UrlDispatcher) -> None:
        """Add the routes of this module."""
        for parent in ("/me", "/me/mailFolders/{folder_id}"):
            route(router, "GET", f"{parent}/messages", self._list)
            route(router, "POST", f"{parent}/messages", self._create)
            route(router, "GET", f"{parent}/messages/{{message_id}}", self._get)
            route(router, "PATCH", f"{parent}/messages/{{message_id}}", self._change)
            route(router, "DELETE", f"{parent}/messages/{{message_id}}", self._delete)
            route(router, "GET", f"{parent}/messages/{{message_id}}/$value", self._mime)
            route(router, "POST", f"{parent}/messages/{{message_id}}/move", self._move)

    async def _list(self, request: web.Request) -> web.Response:
        caller = self._service.caller(request, *READ_BASIC)
        options = odata.parse(request.query, odata.MESSAGE, collection=True)
        folder = _folder(request, caller)
        hidden = self._service.switches.sent_copy_404_window
        entities = [
            message_view(self._service, caller, message)
            for message in caller.mailbox.messages(folder)
            if not (hidden and message.submitted)
        ]
        context = _context(caller, request)
        return page_response(self._service.url, request, entities, options, shown_by_default(caller, options), context)

    async def _get(self, request: web.Request) -> web.Response:
        caller = self._service.caller(request, *READ_BASIC)
        options = odata.parse(request.query, odata.MESSAGE, collection=False)
        default = shown_by_default(caller, options)
        entity = message_view(self._service, caller, self._service.message(request, caller))
        return entity_response(odata.project(entity, options, default), f"{_context(caller, request)}/$entity")

    async def _create(self, request: web.Request) -> web.Response:
        caller = self._service.caller(request, *WRITE)
        odata.parse(request.query, odata.MESSAGE, collection=False)
        as_mime = request.content_type == "text/plain"
        wanted = await composed_mime(request) if as_mime else composed(await read_json(request))
        folder = _folder(request, caller) or caller.mailbox.folders["drafts"]
        draft = caller.mailbox.add(new_draft(self._service, caller, folder, wanted))
        return message_response(self._service, caller, draft, 201)

    async def _change(self, request: web.Request) -> web.Response:
        caller = self._service.caller(request, *WRITE)
        content = read(MessageJson, await read_json(request))
        message = self._service.editable(request, caller)
        if content.internetMessageHeaders is not None or content.attachments is not None:
            raise bad_request("Internet headers and attachments cannot be changed this way.", "ErrorInvalidPropertySet")
        write_content(self._service, caller, message, content)
        caller.mailbox.changed(message)
        return message_response(self._service, caller, message, 200)

    async def _delete(self, request: web.Request) -> web.Response:
        caller = self._service.caller(request, *WRITE)
        caller.mailbox.delete(self._service.editable(request, caller))
        return web.Response(status=204)

    async def _move(self, request: web.Request) -> web.Response:
        caller = self._service.caller(request, *WRITE)
        given = without_case(await read_json(request), "destinationId")
        if not isinstance(given.get("destinationId"), str):
            raise bad_request("The parameter 'destinationId' is required.", "ErrorInvalidParameter")
        message = self._service.editable(request, caller)
        caller.mailbox.move(message, caller.mailbox.folder(given["destinationId"]))
        return message_response(self._service, caller, message, 201)

    async def _mime(self, request: web.Request) -> web.Response:
        caller = self._service.caller(request, *READ)
        entity = message_view(self._service, caller, message := self._service.message(request, caller))
        content = message.mime or mime.to_mime(entity, entity["attachments"])
        return web.Response(body=content, content_type="text/plain")


def message_view(service: MailService, caller: Caller, message: Message) -> LazyEntity:
    """The message as this caller prefers to see it."""
    unasked: BodyType | None = "html" if service.switches.text_bodies_as_html else None
    return message_entity(
        message, immutable_ids=caller.immutable_ids, body_type=caller.preferences.body_type or unasked
    )


def message_response(service: MailService, caller: Caller, message: Message, status: int) -> web.Response:
    """The message that was made or changed, as the answer to the call that did it."""
    shown = odata.project(message_view(service, caller, message), odata.QueryOptions(), MESSAGE_DEFAULT)
    return entity_response(shown, f"users('{caller.person.oid}')/messages/$entity", status)


def shown_by_default(caller: Caller, options: odata.QueryOptions) -> list[str]:
    """The properties that nobody has to select; raises 403 where the query asks for more than Mail.ReadBasic gives."""
    if not caller.read_basic_only:
        return MESSAGE_DEFAULT
    filtered = set(options.filter.paths) if options.filter else set()
    beyond = BEYOND_READ_BASIC | {"singleValueExtendedProperties"}
    if options.expand or beyond & {*(options.select or ()), *filtered}:
        raise GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
    return [name for name in MESSAGE_DEFAULT if name not in BEYOND_READ_BASIC]


def _folder(request: web.Request, caller: Caller) -> Folder | None:
    name = request.match_info.get("folder_id")
    return caller.mailbox.folder(name) if name is not None else None


def _context(caller: Caller, request: web.Request) -> str:
    folder = request.match_info.get("folder_id")
    within = f"/mailFolders('{folder}')" if folder else ""
    return f"users('{caller.person.oid}'){within}/messages"
