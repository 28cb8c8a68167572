"""
What every route of the mail emulator needs: the mailboxes, who calls, what they may, and how answers look.

Imitated: scopes per endpoint (https://learn.microsoft.com/graph/permissions-reference), `users/{id or address}` as another
name of `me`, the size limit on JSON bodies, OData annotations. Not imitated: access to shared mailboxes (403).
"""

import json
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.cloud.clock import Clock
from tests.cloud.directory import AccessToken, Directory, Person
from tests.cloud.graph.auth import authenticate, require_mailbox, require_scope
from tests.cloud.graph.errors import GraphError, bad_request, item_not_found
from tests.cloud.graph.mailbox import Mailbox, Mailboxes
from tests.cloud.graph.message import Message
from tests.cloud.graph.preferences import PREFERENCES, Preferences
from tests.cloud.graph.switches import Switches
from tests.cloud.graph.traffic import MAILBOX
from tests.cloud.graph.transport import Transport

#: "About 4 MB" for a whole request.
MAX_JSON_BYTES = 4 * 1024 * 1024
METADATA_URL = "https://graph.microsoft.com/v1.0/$metadata"

READ_BASIC = ("Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite")
READ = ("Mail.Read", "Mail.ReadWrite")
WRITE = ("Mail.ReadWrite",)
SEND = ("Mail.Send",)


@dataclass(frozen=True)
class Caller:
    """Who calls, from which mailbox, and with which preferences."""

    person: Person
    token: AccessToken
    mailbox: Mailbox
    preferences: Preferences

    @property
    def immutable_ids(self) -> bool:
        """Whether answers carry immutable ids."""
        return self.preferences.immutable_ids

    @property
    def read_basic_only(self) -> bool:
        """Whether the token gives no more of a message than Mail.ReadBasic does."""
        return not self.token.scopes & {scope.lower() for scope in READ}


@dataclass(frozen=True)
class MailService:
    """The parts the routes share. `url` is the emulator's root."""

    url: str
    directory: Directory
    clock: Clock
    switches: Switches
    mailboxes: Mailboxes
    transport: Transport

    def signed_in(self, request: web.Request, *any_of: str) -> tuple[Person, AccessToken]:
        """Who calls, with one of the scopes and of oneself, with a mailbox or without: raises 400, 401 or 403."""
        person, token = authenticate(request, self.directory, self.clock)
        request[MAILBOX] = person.email
        require_scope(token, *any_of)
        asked = request.match_info.get("user")
        if asked is not None and asked.lower() not in {person.oid, person.email.lower()}:
            raise GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        return person, token

    def caller(self, request: web.Request, *any_of: str) -> Caller:
        """Who calls, with one of the scopes and for one's own mailbox: raises 400, 401, 403, or 404 where there is none."""
        person, token = self.signed_in(request, *any_of)
        require_mailbox(person)
        return Caller(person, token, self.mailboxes.of(person), request[PREFERENCES])

    def message(self, request: web.Request, caller: Caller) -> Message:
        """The message the path names, in the folder the path names if it names one; raises 400 or 404."""
        message = caller.mailbox.message(request.match_info["message_id"])
        if (folder := request.match_info.get("folder_id")) and message.folder != caller.mailbox.folder(folder):
            raise item_not_found()
        if message.submitted and self.switches.sent_copy_404_window:
            raise item_not_found()
        return message

    def editable(self, request: web.Request, caller: Caller) -> Message:
        """The message the path names, unless the transport has it or If-Match does not: raises 400, 404, 409 or 412."""
        message = self.message(request, caller)
        if message.submitted:
            raise GraphError(409, "ErrorIrresolvableConflict", "The message has been submitted for sending.")
        if_match = request.headers.get("If-Match")
        if if_match not in (None, "*", message.etag):
            raise GraphError(
                412,
                "ErrorIrresolvableConflict",
                "The send or update operation could not be performed because the change key passed in the request does"
                " not match the current change key for the item.",
            )
        return message

    def names(self) -> dict[str, str]:
        """The directory's display names by lower-case address."""
        return {address.lower(): p.name for p in self.directory.everyone() for address in p.addresses}


async def read_body(request: web.Request) -> bytes:
    """The request's body; raises 413 above the limit on requests."""
    too_large = GraphError(413, "RequestEntityTooLarge", "The request is larger than about 4 MB.")
    if (request.content_length or 0) > MAX_JSON_BYTES:
        raise too_large
    body = await request.read()
    if len(body) > MAX_JSON_BYTES:
        raise too_large
    return body


async def read_json(request: web.Request, *, optional: bool = False) -> dict[str, Any]:
    """The JSON object in the body, `{}` for none where it is optional; raises 400, 413 or 415."""
    body = await read_body(request)
    if not body and optional:
        return {}
    if request.content_type != "application/json":
        raise GraphError(415, "UnsupportedMediaType", "Write requests (excluding DELETE) must contain JSON.")
    try:
        given = json.loads(body)
    except ValueError:
        raise bad_request("Unable to read JSON request payload.") from None
    if not isinstance(given, dict):
        raise bad_request("Unable to read JSON request payload: an object was expected.")
    return given


def without_case(given: dict[str, Any], *names: str) -> dict[str, Any]:
    """
    The parameters of an action by the names given here; raises 400 for any other.

    The metadata spells them in Pascal case, the documentation in camel case, and both are in use.
    """
    known = {name.lower(): name for name in names}
    for name in given:
        if name.lower() not in known:
            raise bad_request(f"The parameter '{name}' is not a parameter of the operation.", "RequestBodyRead")
    return {known[name.lower()]: value for name, value in given.items()}


def entity_response(entity: dict[str, Any], context: str, status: int = 200) -> web.Response:
    """One entity with its `@odata.context`."""
    etag = entity.get("@odata.etag")
    return web.json_response(
        {"@odata.context": f"{METADATA_URL}#{context}", **entity},
        status=status,
        headers={"ETag": etag} if etag else None,
    )
