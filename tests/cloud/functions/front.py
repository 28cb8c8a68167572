"""
The HTTP side of the host: routes, keys, /admin, and requests and responses as the worker sees them.

Source: https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger, .../function-keys-how-to,
and the host itself (github.com/Azure/azure-functions-host: GrpcMessageConversionExtensions and its Utilities).
As there: header names reach the app in lower case and repeated headers joined by commas; a repeated query parameter is
joined by commas and an empty one is left out; cookies that the app sets are written anew, with their values
percent-encoded (so that `a=b` arrives as `a%3Db`); a method that a route does not have is 404; a missing or wrong key is
401 without a body; a function that fails is 500 without a body.
Doubtful (?): what the platform answers when the worker dies (here 502), while none runs (503), and after 230 s (504). A
body without Content-Length is passed on here, where at least some versions of the real host drop it.
Not imitated: CORS, claims, keys per function, the rest of /admin (404).
"""

import hmac
import json
from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

from aiohttp import web

from tests.cloud.functions import wire
from tests.cloud.functions.bindings import AppFunction, HttpTrigger

#: The platform's limit for a request (documentation: 210 MB) and for the answer to one.
MAX_BODY_BYTES = 210 * 1024 * 1024
RESPONSE_LIMIT_SECONDS = 230.0
#: Set by the server for the body it really sends.
FRAMING_HEADERS = frozenset(("content-length", "transfer-encoding", "connection", "keep-alive"))

HOME_PAGE = "<!doctype html><title>Functions</title><p>Your functions app is up and running.</p>"

CallHttp = Callable[[AppFunction, wire.HttpRequest], Awaitable["wire.Value | int"]]


class Front:
    """
    Answers every request to the host.

    `call(function, request)` gives the function's result, or a status where there is none. `run_now(function, input)`
    starts a function and does not wait, for /admin. `state()` is the body of /admin/host/status.
    """

    def __init__(
        self,
        function_key: str,
        master_key: str,
        call: CallHttp,
        run_now: Callable[[AppFunction, str], None],
        state: Callable[[], dict[str, Any]],
    ) -> None:
        self._function_key = function_key
        self._master_key = master_key
        self._call = call
        self._run_now = run_now
        self._state = state
        self._functions: dict[str, AppFunction] = {}
        self._routes: list[tuple[HttpTrigger, AppFunction]] = []
        self.application = web.Application(client_max_size=MAX_BODY_BYTES)
        self.application.router.add_route("*", "/{path:.*}", self._answer)

    def serve(self, functions: Sequence[AppFunction]) -> None:
        """Answer for these functions from now on."""
        self._functions = {function.name.lower(): function for function in functions}
        routed = [(f.trigger, f) for f in functions if isinstance(f.trigger, HttpTrigger)]
        self._routes = sorted(routed, key=lambda pair: pair[0].route.precedence)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path
        if path.lower().startswith("/admin/"):
            return await self._admin(request, path)
        for trigger, function in self._routes:
            params = trigger.route.match(path)
            if params is None or (trigger.methods is not None and request.method not in trigger.methods):
                continue
            if not self._allowed(request, trigger.auth_level):
                return web.Response(status=401)
            result = await self._call(function, await _http_request(request, params))
            return web.Response(status=result) if isinstance(result, int) else _http_response(result)
        if path == "/" and request.method == "GET":
            return web.Response(text=HOME_PAGE, content_type="text/html")
        return web.Response(status=404)

    async def _admin(self, request: web.Request, path: str) -> web.Response:
        """
        `POST /admin/functions/{name}` and `GET /admin/host/status`, with the master key.

        Source: https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http
        """
        if not self._allowed(request, "admin"):
            return web.Response(status=401)
        parts = path.lower().strip("/").split("/")
        if parts == ["admin", "host", "status"] and request.method == "GET":
            return web.json_response(self._state())
        if len(parts) != 3 or parts[1] != "functions" or request.method != "POST":
            return web.Response(status=404)
        function = self._functions.get(parts[2])
        if function is None:
            return web.Response(status=404)
        try:
            given = json.loads(await request.text())
        except ValueError:
            return web.Response(status=400, text='The body must be JSON: {"input": "..."}')
        if not isinstance(given, dict) or isinstance(function.trigger, HttpTrigger):
            return web.Response(status=400, text="Send an object, and HTTP functions to their own route.")
        self._run_now(function, str(given.get("input") or ""))
        return web.Response(status=202)

    def _allowed(self, request: web.Request, auth_level: str) -> bool:
        if auth_level == "anonymous":
            return True
        given = (request.headers.get("x-functions-key") or request.query.get("code") or "").encode()
        accepted = [self._master_key] if auth_level == "admin" else [self._master_key, self._function_key]
        return any(hmac.compare_digest(given, key.encode()) for key in accepted)


async def _http_request(request: web.Request, params: dict[str, str]) -> wire.HttpRequest:
    query = {name: ",".join(request.query.getall(name)) for name in request.query}
    return wire.HttpRequest(
        method=request.method,
        url=f"{request.scheme}://{request.host}{request.rel_url.raw_path_qs}",
        headers={name.lower(): ",".join(request.headers.getall(name)) for name in request.headers},
        query={name: value for name, value in query.items() if value},
        params=params,
        body=await request.read(),
    )


def _http_response(value: wire.Value) -> web.Response:
    kind, content = value
    if kind != "http":  # a plain string is a response too
        return web.Response(text=str(content))
    response = web.Response(status=content.status, body=content.body)
    for name, header in content.headers.items():
        if name.lower() not in FRAMING_HEADERS:
            response.headers[name] = header
    for cookie in content.cookies:
        response.headers.add("Set-Cookie", _set_cookie(cookie))
    return response


def _set_cookie(cookie: wire.Cookie) -> str:
    """The header as ASP.NET Core writes it (Microsoft.Net.Http.Headers.SetCookieHeaderValue)."""
    parts = [f"{cookie.name}={quote(cookie.value, safe='')}"]
    if cookie.expires is not None:
        parts.append(f"expires={formatdate(cookie.expires, usegmt=True)}")
    if cookie.max_age is not None:
        parts.append(f"max-age={int(cookie.max_age)}")
    if cookie.domain:
        parts.append(f"domain={cookie.domain}")
    if cookie.path:
        parts.append(f"path={cookie.path}")
    if cookie.secure:
        parts.append("secure")
    if cookie.same_site:
        parts.append(f"samesite={cookie.same_site}")
    if cookie.http_only:
        parts.append("httponly")
    return "; ".join(parts)
