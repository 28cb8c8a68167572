"""
Microsoft Graph's mail for the local cloud: an HTTP server whose API is under `{url}/v1.0` and whose controls are under
`{url}/_lab`.

Imitated: the headers of every answer and the error envelope (https://learn.microsoft.com/graph/errors, GRAPH.md 6); what
each route imitates is said in its own module. What is unknown is refused: another path is a 400, another method a 405,
another query option a 400. Not imitated: beta, other resources than mail and subscriptions, XML, compression.

    app.py            this: puts everything together
    service.py        what routes share: caller, scopes, bodies of requests (paths.py, paging.py, preferences.py beside it)
    routes_*.py       one family of routes each; upload_sessions.py likewise
    subscriptions/    subscriptions and notifications; traffic/ the log, faults and limits
    message.py        what is kept; mailbox.py where; shapes.py how it looks as JSON
    drafts.py         what clients may write; compose.py new messages; replies.py answers and forwards
    transport.py      what happens after /send; arrival.py what comes in; non_delivery.py what comes back
    conversation.py   ids and threading; odata*.py query options; mime.py RFC 5322; bodies.py HTML and text
    switches.py       the doubtful facts
"""

import logging
import uuid
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.cloud.clock import Clock
from tests.cloud.directory import Directory
from tests.cloud.graph import odata
from tests.cloud.graph.errors import GraphError, bad_request, error_response
from tests.cloud.graph.mailbox import Mailboxes
from tests.cloud.graph.paths import Handler
from tests.cloud.graph.preferences import PREFERENCES, Preferences
from tests.cloud.graph.routes_attachments import AttachmentRoutes
from tests.cloud.graph.routes_batch import BatchRoutes
from tests.cloud.graph.routes_delta import DeltaRoutes
from tests.cloud.graph.routes_folders import FolderRoutes
from tests.cloud.graph.routes_lab import MAX_MAIL_BYTES, LabRoutes
from tests.cloud.graph.routes_lab_people import LabPeopleRoutes
from tests.cloud.graph.routes_lab_reports import LabReportRoutes
from tests.cloud.graph.routes_messages import MessageRoutes
from tests.cloud.graph.routes_sending import SendingRoutes
from tests.cloud.graph.service import MailService
from tests.cloud.graph.shapes import message_entity
from tests.cloud.graph.subscriptions import Subscriptions
from tests.cloud.graph.subscriptions.rich import SignToken
from tests.cloud.graph.switches import Switches
from tests.cloud.graph.traffic import JSON_CONTENT_TYPE, Traffic
from tests.cloud.graph.transport import Transport
from tests.cloud.graph.upload_sessions import UploadSessions
from tests.cloud.server import Server

_log = logging.getLogger(__name__)


class GraphEmulator:
    """
    Graph on a port of its own.

    `directory` and `clock` are those of the local cloud; `port` 0 takes a free one. `sign_token` is Entra ID's signature
    for rich notifications; without it, subscriptions with resource data are refused.
    """

    def __init__(
        self, directory: Directory, clock: Clock, port: int = 0, *, sign_token: SignToken | None = None
    ) -> None:
        self._clock = clock
        self._directory = directory
        self.traffic = Traffic(clock, directory)
        self.subscriptions = Subscriptions(
            directory, clock, read_message=self._read_for_notification, sign_token=sign_token
        )
        self.switches = Switches()
        self.mailboxes = Mailboxes(clock, self.subscriptions.publish)
        self.transport = Transport(directory, clock, self.mailboxes, self.switches)
        application = web.Application(
            middlewares=[self.traffic.middleware, self._answer], client_max_size=MAX_MAIL_BYTES
        )
        self._server = Server(application, port)
        self.url = self._server.url
        service = MailService(self.url, directory, clock, self.switches, self.mailboxes, self.transport)
        self._uploads = UploadSessions(service)
        self._delta = DeltaRoutes(service)
        # The order matters where a path fits two: `messages/delta` before `messages/{message_id}`.
        for routes in (
            self._delta,
            self._uploads,
            FolderRoutes(service),
            MessageRoutes(service),
            SendingRoutes(service),
            AttachmentRoutes(service),
            BatchRoutes(service),
            self.subscriptions,
            self.traffic,
            LabRoutes(service, self.reset),
            LabPeopleRoutes(directory),
            LabReportRoutes(service),
        ):
            routes.register(application.router)

    async def start(self) -> None:
        """Listen; returns once the port accepts connections."""
        await self._server.start()
        await self.subscriptions.start()

    async def stop(self) -> None:
        """Stop listening, and drop what is under way."""
        await self.transport.stop()
        await self.subscriptions.stop()
        await self._server.stop()

    async def reset(self) -> None:
        """Everything as at the start, but for the people of the directory, their mailbox's state, and the clock."""
        await self.transport.reset()
        self.mailboxes.reset()
        self.switches.reset()
        self._uploads.reset()
        self._delta.reset()
        self.traffic.reset()
        self.subscriptions.reset()
        self._directory.end_challenges()

    def _read_for_notification(self, oid: str, message_id: str, query: Mapping[str, str]) -> Mapping[str, Any] | None:
        """The selected properties of a message for a rich notification; None where it is gone."""
        person = self._directory.by_oid(oid)
        try:
            message = self.mailboxes.of(person).message(message_id) if person else None
        except GraphError:
            return None
        if message is None:
            return None
        entity = message_entity(message, immutable_ids=message_id == message.immutable_id)
        shown = odata.project(entity, odata.parse(query, odata.MESSAGE, collection=False), [])
        if not self.switches.rich_headers:
            shown.pop("internetMessageHeaders", None)
        return shown

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Errors in Graph's envelope, and the headers every answer carries."""
        if request.path.startswith("/_lab"):
            return await handler(request)
        request_id = str(uuid.uuid4())
        preferences = Preferences()
        try:
            preferences = request[PREFERENCES] = Preferences.parse(request.headers.getall("Prefer", []))
            response = await handler(request)
        except GraphError as error:
            response = error_response(error, self._clock, request_id)
        except web.HTTPException as problem:
            response = error_response(_unrouted(request, problem), self._clock, request_id)
        except Exception:  # noqa: BLE001 - whatever it is, the caller gets an answer, as from Graph
            _log.exception("%s %s", request.method, request.path)
            unexpected = GraphError(500, "ErrorInternalServerError", "An internal server error occurred.")
            response = error_response(unexpected, self._clock, request_id)
        response.headers["request-id"] = request_id
        response.headers["client-request-id"] = request.headers.get("client-request-id", request_id)
        response.headers["Cache-Control"] = "private"
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
        response.headers["x-ms-ags-diagnostic"] = '{"ServerInfo":{"DataCenter":"Local","Slice":"E","Ring":"0"}}'
        if response.content_type == "application/json":
            response.headers["Content-Type"] = JSON_CONTENT_TYPE
            response.headers["OData-Version"] = "4.0"
        if preferences.applied and response.status < 400:
            response.headers["Preference-Applied"] = preferences.applied
        return response


def _unrouted(request: web.Request, problem: web.HTTPException) -> GraphError:
    """aiohttp's own refusals in Graph's words."""
    if problem.status == 404:
        return bad_request(f"Resource not found for the segment '{request.path.rpartition('/')[2]}'.")
    if problem.status == 413:
        return GraphError(413, "RequestEntityTooLarge", "The request is too large.")
    return GraphError(problem.status, "BadRequest", f"{request.method} is not allowed on this resource.")
