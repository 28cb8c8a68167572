"""
Upload sessions: attachments from 3 MB to 150 MB, in pieces, to an address that needs no token.

Imitated: https://learn.microsoft.com/graph/api/attachment-createuploadsession and …/outlook-large-attachments: 201 with an
`uploadUrl` on another path, `PUT` of consecutive ranges of less than 4 MB, 200 with what is expected next, 201 with
`Location` and no body at the end, `GET` for the state, `DELETE` to cancel. Not documented and so ours: a session lives an
hour, a range out of order is a 416. Not imitated: upload to events, the 403 for shared mailboxes.
"""

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict

from tests.cloud.directory import Person
from tests.cloud.graph import odata
from tests.cloud.graph.auth import require_mailbox
from tests.cloud.graph.drafts import read
from tests.cloud.graph.errors import GraphError, bad_request, item_not_found
from tests.cloud.graph.mailbox import Mailbox
from tests.cloud.graph.message import Attachment, Message
from tests.cloud.graph.paths import route
from tests.cloud.graph.service import METADATA_URL, WRITE, MailService, read_json, without_case
from tests.cloud.graph.traffic import MAILBOX

MAX_UPLOAD_BYTES = 150 * 1024 * 1024
MAX_RANGE_BYTES = 4 * 1024 * 1024
SESSION_LIFETIME = timedelta(hours=1)
UPLOAD_PATH = "/api/v2.0/Users('{oid}')/Messages('{message_id}')/AttachmentSessions('{session_id}')"

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class _AttachmentItem(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    odata_type: Literal["#microsoft.graph.attachmentItem", "microsoft.graph.attachmentItem"] | None = None
    attachmentType: Annotated[Literal["file"], BeforeValidator(lambda v: v.lower() if isinstance(v, str) else v)]
    name: str
    size: int
    contentType: str | None = None
    isInline: bool = False
    contentId: str | None = None


@dataclass
class _Session:
    owner: Person
    mailbox: Mailbox
    message: Message
    item: _AttachmentItem
    token: str
    expires_at: datetime
    immutable_ids: bool
    received: bytearray = field(default_factory=bytearray)


class UploadSessions:
    """The sessions that are open, and their routes."""

    def __init__(self, service: MailService) -> None:
        self._service = service
        self._open: dict[str, _Session] = {}

    def register(self, router: web.UrlDispatcher) -> None:
        """Add the routes of this module."""
        for parent in ("/me/messages/{message_id}", "/me/mailFolders/{folder_id}/messages/{message_id}"):
            route(router, "POST", f"{parent}/attachments/createUploadSession", self._create)
        for method, handler in (("PUT", self._put), ("GET", self._state), ("DELETE", self._cancel)):
            router.add_route(method, UPLOAD_PATH, handler)

    def reset(self) -> None:
        """Forget every session."""
        self._open.clear()

    async def _create(self, request: web.Request) -> web.Response:
        caller = self._service.caller(request, *WRITE)
        odata.parse(request.query, odata.ATTACHMENT, collection=False)
        given = without_case(await read_json(request), "AttachmentItem").get("AttachmentItem")
        if isinstance(given, dict) and "@odata.type" in given:
            given = {**{k: v for k, v in given.items() if k != "@odata.type"}, "odata_type": given["@odata.type"]}
        item = read(_AttachmentItem, given)
        if not self._service.switches.upload_session_minimum_bytes <= item.size <= MAX_UPLOAD_BYTES or item.size < 1:
            raise bad_request(
                "The size of the attachment is outside what an upload session takes.", "ErrorInvalidParameter"
            )
        message = self._service.editable(request, caller)
        if not message.is_draft:
            raise bad_request("Attachments can only be changed on a draft.", "ErrorInvalidRequest")
        session_id = secrets.token_urlsafe(24)
        session = _Session(
            caller.person,
            caller.mailbox,
            message,
            item,
            token=secrets.token_urlsafe(48),
            expires_at=caller.mailbox.now() + SESSION_LIFETIME,
            immutable_ids=caller.immutable_ids,
        )
        self._open[session_id] = session
        place = UPLOAD_PATH.format(oid=caller.person.oid, message_id=message.mutable_id, session_id=session_id)
        answer = {
            "@odata.context": f"{METADATA_URL}#microsoft.graph.uploadSession",
            "uploadUrl": f"{self._service.url}{place}?authtoken={session.token}",
            **_progress(session),
        }
        return web.json_response(answer, status=201)

    async def _put(self, request: web.Request) -> web.Response:
        session = self._session(request)
        given = _RANGE.fullmatch(request.headers.get("Content-Range", ""))
        if given is None:
            raise bad_request("The Content-Range header is missing or malformed.", "ErrorInvalidParameter")
        first, last, total = (int(number) for number in given.groups())
        if total != session.item.size or last >= total or last - first + 1 >= MAX_RANGE_BYTES:
            raise bad_request("The Content-Range does not fit the session.", "ErrorInvalidParameter")
        if first != len(session.received):
            raise GraphError(416, "InvalidRange", f"The next expected range is {len(session.received)}-.")
        content = await request.read()
        if len(content) != last - first + 1:
            raise bad_request("The body is not as long as the Content-Range says.", "ErrorInvalidParameter")
        session.received += content
        if len(session.received) < total:
            return web.json_response(_progress(session))
        return self._complete(request, session)

    async def _state(self, request: web.Request) -> web.Response:
        return web.json_response(_progress(self._session(request)))

    async def _cancel(self, request: web.Request) -> web.Response:
        self._session(request)
        del self._open[request.match_info["session_id"]]
        return web.Response(status=204)

    def _complete(self, request: web.Request, session: _Session) -> web.Response:
        del self._open[request.match_info["session_id"]]
        attachment = Attachment(
            kind="file",
            name=session.item.name,
            content_type=session.item.contentType or "application/octet-stream",
            content=bytes(session.received),
            is_inline=session.item.isInline,
            content_id=session.item.contentId,
            modified_at=session.mailbox.now(),
            overhead_bytes=self._service.switches.attachment_overhead_bytes,
        )
        session.mailbox.attach(session.message, attachment)
        attachment_id = attachment.id_as(immutable=session.immutable_ids)
        parent = request.path.partition("/AttachmentSessions(")[0]
        location = f"{self._service.url}{parent}/Attachments('{attachment_id}')"
        return web.Response(status=201, headers={"Location": location})

    def _session(self, request: web.Request) -> _Session:
        if self._service.switches.upload_refuses_authorization and "Authorization" in request.headers:
            raise GraphError(401, "InvalidAuthenticationToken", "The upload URL takes no Authorization header.")
        session = self._open.get(request.match_info["session_id"])
        if session is None or session.expires_at <= self._service.clock.now():
            raise item_not_found()
        if not secrets.compare_digest(request.query.get("authtoken", "").encode(), session.token.encode()):
            raise GraphError(401, "InvalidAuthenticationToken", "The token of the upload URL is not valid.")
        request[MAILBOX] = session.owner.email
        require_mailbox(session.owner)
        if session.message.submitted or not session.message.is_draft:
            raise GraphError(409, "ErrorIrresolvableConflict", "The message was sent before its upload was complete.")
        return session


def _progress(session: _Session) -> dict[str, Any]:
    return {
        "expirationDateTime": session.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "nextExpectedRanges": [f"{len(session.received)}-"],
    }
