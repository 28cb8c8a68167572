"""
`GET me`, `GET me/mailFolders`, `GET me/mailFolders/{id or well-known name}`.

Imitated: https://learn.microsoft.com/graph/api/user-get, …/user-list-mailfolders, …/mailfolder-get. Not imitated: child
folders, creating and renaming folders, `includeHiddenFolders`.
"""

from typing import Any

from aiohttp import web

from tests.cloud.graph import odata
from tests.cloud.graph.paging import page_response
from tests.cloud.graph.paths import route
from tests.cloud.graph.service import READ_BASIC, MailService, entity_response
from tests.cloud.graph.shapes import FOLDER_DEFAULT, USER_DEFAULT, folder_entity, user_entity


class FolderRoutes:
    """Who one is, and the folders of one's mailbox."""

    def __init__(self, service: MailService) -> None:
        self._service = service

    def register(self, router: web.UrlDispatcher) -> None:
        """Add the routes of this module."""
        route(router, "GET", "/me", self._me)
        route(router, "GET", "/me/mailFolders", self._list)
        route(router, "GET", "/me/mailFolders/{folder_id}", self._get)

    async def _me(self, request: web.Request) -> web.Response:
        person, _ = self._service.signed_in(request, "User.Read")
        options = odata.parse(request.query, odata.USER, collection=False)
        return entity_response(odata.project(user_entity(person), options, USER_DEFAULT), "users/$entity")

    async def _list(self, request: web.Request) -> web.Response:
        caller = self._service.caller(request, *READ_BASIC)
        options = odata.parse(request.query, odata.MAIL_FOLDER, collection=True)
        folders: list[dict[str, Any]] = [folder_entity(f, caller.mailbox) for f in caller.mailbox.folders.values()]
        context = f"users('{caller.person.oid}')/mailFolders"
        return page_response(self._service.url, request, folders, options, FOLDER_DEFAULT, context)

    async def _get(self, request: web.Request) -> web.Response:
        caller = self._service.caller(request, *READ_BASIC)
        options = odata.parse(request.query, odata.MAIL_FOLDER, collection=False)
        folder = folder_entity(caller.mailbox.folder(request.match_info["folder_id"]), caller.mailbox)
        context = f"users('{caller.person.oid}')/mailFolders/$entity"
        return entity_response(odata.project(folder, options, FOLDER_DEFAULT), context)
