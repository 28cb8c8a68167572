"""
How the `/_lab` controls read their JSON: strictly, with an error that says what was expected.

Nothing here imitates Microsoft Graph; these routes are the local cloud's own.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
#: A field's accepted Python types, as `isinstance` takes them.
Accepts = type | tuple[type, ...]

NUMBER = (int, float)


class ControlError(Exception):
    """A control was asked for something it does not do."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def control(handler: Handler) -> Handler:
    """Answer a `ControlError` raised by the handler as `{"error": …}`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ControlError as error:
            return web.json_response({"error": str(error)}, status=error.status)

    return answer


async def read_fields(request: web.Request, accepts: Mapping[str, Accepts]) -> dict[str, Any]:
    """The JSON object of the body, every field known and of its type; a bool is not taken for a number."""
    try:
        fields = json.loads(await request.text() or "{}")
    except json.JSONDecodeError as error:
        raise ControlError(f"the body is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ControlError("the body must be a JSON object")
    for name, value in fields.items():
        if name not in accepts:
            raise ControlError(f"unknown field {name!r}; known are {', '.join(sorted(accepts))}")
        wanted = accepts[name]
        accepted = wanted if isinstance(wanted, tuple) else (wanted,)
        if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in accepted):
            raise ControlError(f"{name!r} must be {' or '.join(kind.__name__ for kind in accepted)}")
    return fields
