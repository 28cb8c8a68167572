"""
Faults that a test asks for: the next calls of one kind fail, are late, or never answer.

Imitated: the error envelope and the codes Graph gives with each status
(https://learn.microsoft.com/graph/errors, https://learn.microsoft.com/graph/throttling), and the case that matters
most to a sender: a call that took effect although its answer says otherwise, or never came.
Items of a `$batch` are calls of their own here, so a fault can strike one of them.
"""

import asyncio
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from aiohttp import web

from tests.cloud.graph.errors import GraphError
from tests.cloud.graph.lab_json import NUMBER, Accepts, ControlError

#: What Graph says with each status when it gives no better reason.
USUAL_ERRORS = {
    400: ("BadRequest", "The request is malformed or incorrect."),
    401: ("InvalidAuthenticationToken", "Lifetime validation failed, the token is expired."),
    403: ("ErrorAccessDenied", "Access is denied. Check credentials and try again."),
    404: ("ErrorItemNotFound", "The specified object was not found in the store."),
    409: ("Conflict", "The change conflicts with the current state of the item."),
    410: ("syncStateNotFound", "The sync state generation is not found."),
    412: ("ErrorIrresolvableConflict", "The send or update operation could not be performed because of a conflict."),
    413: ("ErrorMessageSizeExceeded", "The message exceeds the maximum supported size."),
    429: ("TooManyRequests", "Too many requests."),
    500: ("ErrorInternalServerError", "An internal server error occurred. The operation failed."),
    502: ("UnknownError", "An unknown error occurred."),
    503: ("serviceNotAvailable", "The service is temporarily unavailable."),
    504: ("GatewayTimeout", "The server did not get a timely answer from another server."),
    507: ("ErrorQuotaExceeded", "The mailbox is full."),
}

FAULT_FIELDS: dict[str, Accepts] = {
    "match": str,
    "status": int,
    "code": str,
    "message": str,
    "retry_after": (int, float, str),
    "delay_s": NUMBER,
    "drop": bool,
    "applied": bool,
    "times": int,
    "mailbox": str,
    "headers": dict,
}


@dataclass
class Fault:
    """
    What happens to the next `times` calls that match.

    `match` is a glob over `METHOD path` (the path without its query, `*` also spans slashes); `mailbox`, where set, is
    the address of whoever calls. `status`, `code`, `message` and `retry_after` (seconds, decimals allowed, or an HTTP
    date) make the answer. `applied` lets the call take effect first. `drop` cuts the connection instead of an answer.
    `delay_s` alone is a late but normal answer: late before anything happened, or with `applied` after it. So is `until`, for
    tests in this process: the answer waits until the event is set.
    """

    match: str
    status: int | None = None
    code: str | None = None
    message: str | None = None
    retry_after: float | str | None = None
    delay_s: float = 0.0
    drop: bool = False
    applied: bool = False
    times: int = 1
    mailbox: str | None = None
    headers: dict[str, str] | None = None
    until: asyncio.Event | None = None

    def __post_init__(self) -> None:
        if self.times < 1 or self.delay_s < 0:
            raise ControlError("'times' starts at 1 and 'delay_s' at 0")
        if self.drop and self.status is not None:
            raise ControlError("a dropped connection has no status: give 'drop' or 'status', not both")
        if not self.drop and self.status is None:
            if self.code or self.message or self.retry_after is not None or self.headers:
                raise ControlError("an error answer needs its 'status'")
            if not self.delay_s and self.until is None:
                raise ControlError("this fault would do nothing: give 'status', 'drop' or 'delay_s'")
        if self.status is not None and not (400 <= self.status <= 599):
            raise ControlError("'status' must be an error, 400 to 599")
        if self.status is not None and self.status not in USUAL_ERRORS and not self.code:
            raise ControlError(f"no usual code is known for {self.status}: give 'code'")
        if any(not isinstance(value, str) for value in (self.headers or {}).values()):
            raise ControlError("'headers' are names with texts")

    def strikes(self, method: str, path: str, mailbox: str | None) -> bool:
        """Whether this call is one of those meant."""
        whose = self.mailbox is None or (mailbox or "").lower() == self.mailbox.lower()
        return self.times > 0 and whose and fnmatchcase(f"{method} {path}", self.match)

    def shown(self) -> dict[str, Any]:
        """The fault as it was asked for, with `times` still to come."""
        given = vars(self) | {"until": None}
        return {name: value for name, value in given.items() if value not in (None, False, 0.0)}

    def error(self) -> GraphError:
        """The error to answer with; only for a fault with a `status`."""
        if self.status is None:
            raise ValueError("this fault has no error of its own")
        code, message = USUAL_ERRORS.get(self.status, ("", "The request failed."))
        headers = dict(self.headers or {})
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return GraphError(self.status, self.code or code, self.message or message, headers)


async def cut_connection(request: web.Request) -> web.Response:
    """Close the caller's connection without a word; the response returned is never seen."""
    if request.transport is not None:
        request.transport.abort()
    await asyncio.sleep(0)
    return web.Response(status=500)
