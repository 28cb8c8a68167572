"""Graph's error envelope (https://learn.microsoft.com/graph/errors): raised anywhere, written in one place."""

import uuid

from aiohttp import web

from tests.cloud.clock import Clock


class GraphError(Exception):
    """An answer that is not a success: HTTP status, Graph's `code`, its `message`, and headers such as Retry-After."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


def item_not_found() -> GraphError:
    """No such message, folder or attachment in this mailbox."""
    return GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def bad_request(message: str, code: str = "BadRequest") -> GraphError:
    """The request itself is wrong; sending it again is of no use."""
    return GraphError(400, code, message)


def error_response(error: GraphError, clock: Clock, request_id: str | None = None) -> web.Response:
    """The error as Graph writes it: `innerError` with a date without zone and the request ids."""
    request_id = request_id or str(uuid.uuid4())
    body = {
        "error": {
            "code": error.code,
            "message": error.message,
            "innerError": {
                "date": clock.now().strftime("%Y-%m-%dT%H:%M:%S"),
                "request-id": request_id,
                "client-request-id": request_id,
            },
        }
    }
    return web.json_response(body, status=error.status, headers=error.headers)
