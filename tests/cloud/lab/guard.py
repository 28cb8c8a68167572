"""
Who may call the lab, and what browsers may do with its pages.

It listens on loopback only, yet any web page that is open in the same browser can reach loopback. So a request has to
name the lab's own host (against DNS rebinding: the developers' page shows keys), and what changes something has to be
JSON, which another site's page cannot send without being asked first (https://fetch.spec.whatwg.org/#http-cors-protocol),
and nobody here says yes.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
from aiohttp import web

from tests.cloud.lab.refusal import Refusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: The content security policy of an answer that brings its own: a mail's body, in its frame.
OWN_POLICY = "Content-Security-Policy"
_READS = frozenset({"GET", "HEAD"})


def guard(url: str, frames: str) -> Any:
    """
    The middleware. url: the lab's root. frames: the one other origin whose pages may be shown in frames, the app's.

    421 for another host (a page under `localhost` is sent on), 415 for a change that is not JSON, 503 where the app or an
    emulator does not answer.
    """
    host = urlsplit(url).netloc
    policy = (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        f"frame-src 'self' {frames}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await _checked(request, handler)
        except web.HTTPException as refusal:
            response = refusal
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.setdefault(OWN_POLICY, policy)
        if isinstance(response, web.HTTPException):
            raise response
        return response

    async def _checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.host != host:
            if request.method in _READS and request.host.partition(":")[0] == "localhost":
                raise web.HTTPTemporaryRedirect(f"{url}{request.path_qs}")
            return _refused(Refusal(421, f"This is {host}, not {request.host}."))
        if request.method not in _READS and request.content_type != "application/json":
            return _refused(Refusal(415, "A change is sent as application/json."))
        try:
            return await handler(request)
        except Refusal as refusal:
            return _refused(refusal)
        except (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError) as problem:
            return _refused(Refusal(503, f"{problem.request.url.netloc.decode()} does not answer."))

    return guarded


def _refused(refusal: Refusal) -> web.Response:
    return web.json_response({"error": refusal.words, **refusal.more}, status=refusal.status)
