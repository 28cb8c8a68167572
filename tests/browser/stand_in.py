"""
The settings page as the app serves it, with an API behind it that says whatever a test wants.

Imitated: the paths, the Content-Security-Policy, the bearer token, problem documents. Not imitated: everything that the answers
are made from; the page alone is under test.
"""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.browser.views import connected, view
from tests.cloud.server import Server

type Json = dict[str, Any]

PAGES = Path(__file__).parents[2] / "sync" / "pages"
MEDIA_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
TOKEN = "eyJhIjoiYWNtZSJ9.c2lnbmF0dXJl"
REQUEST_ID = "6f1c9a52"


@dataclass(frozen=True)
class Call:
    """One call of the page. `name`: method and path behind `/settings/email/`. `body`: the JSON; None where there is none."""

    name: str
    body: Json | None


class StandIn:
    """
    Serves the page at `link`. `ancestors`: which origins may embed it.

    `view` is what the API says now. `calls` is what the page asked of it, oldest first. While `open` is not set, every
    answer is held back.
    """

    def __init__(self, ancestors: str) -> None:
        self.view = view()
        self.calls: list[Call] = []
        self.open = asyncio.Event()
        self.open.set()
        self._refusals: dict[str, tuple[int, str]] = {}
        self._policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
            f"base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
        )
        application = web.Application()
        application.add_routes(
            [
                web.get("/settings/email", self._page),
                web.get("/settings/assets/{name}", self._asset),
                web.get("/settings/email/connection", self._read),
                web.post("/settings/email/sign-in", self._sign_in),
                web.put("/settings/email/default-sender", self._default_sender),
                web.delete("/settings/email/connection", self._delete),
                web.get("/cookie", self._cookie),
                web.get("/microsoft", self._microsoft),
            ]
        )
        self._server = Server(application)
        self.url = self._server.url
        self.sign_in_url = f"{self.url}/microsoft"

    @property
    def link(self) -> str:
        """What the CRM opens."""
        return self.link_with(TOKEN)

    def link_with(self, token: str) -> str:
        """The same with another token."""
        return f"{self.url}/settings/email#token={token}"

    def refuse(self, name: str, status: int, code: str = "unavailable") -> None:
        """Answer this call with a problem, until `allow`."""
        self._refusals[name] = (status, code)

    def allow(self) -> None:
        """Answer every call again."""
        self._refusals.clear()

    def count(self, name: str) -> int:
        """How often this was called."""
        return sum(call.name == name for call in self.calls)

    async def start(self) -> None:
        """Listen."""
        await self._server.start()

    async def stop(self) -> None:
        """Stop listening."""
        self.open.set()
        await self._server.stop()

    async def _page(self, _request: web.Request) -> web.Response:
        headers = {
            "Content-Security-Policy": self._policy,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
        }
        return web.Response(text=(PAGES / "email.html").read_text(), content_type="text/html", headers=headers)

    async def _asset(self, request: web.Request) -> web.Response:
        path = PAGES / request.match_info["name"]
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
        return web.Response(body=path.read_bytes(), headers=headers | {"Content-Type": MEDIA_TYPES[path.suffix]})

    async def _read(self, request: web.Request) -> web.Response:
        return await self._called(request) or web.json_response(self.view)

    async def _sign_in(self, request: web.Request) -> web.Response:
        answer = {"sign_in_url": self.sign_in_url, "expires_at": "2026-11-23T14:16:00.000Z"}
        return await self._called(request) or web.json_response(answer, status=201)

    async def _default_sender(self, request: web.Request) -> web.Response:
        if problem := await self._called(request):
            return problem
        sent = self.calls[-1].body or {}
        self.view = view(connected(default_sender=sent["default_sender"]))
        return web.json_response(self.view)

    async def _delete(self, request: web.Request) -> web.Response:
        if problem := await self._called(request):
            return problem
        self.view = view(connected(state="disconnected", sync_state="stopped"))
        return web.json_response(self.view)

    async def _called(self, request: web.Request) -> web.Response | None:
        """Note the call; a problem where it is refused."""
        name = f"{request.method} {request.path.removeprefix('/settings/email/')}"
        self.calls.append(Call(name, await request.json() if request.can_read_body else None))
        refusal = self._refusals.get(name)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            refusal = (HTTPStatus.UNAUTHORIZED, "settings_page_expired")
        await self.open.wait()
        if refusal is None:
            return None
        status, code = refusal
        body = {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": "For developers only.",
            "code": code,
            "retryable": status >= 500,
            "request_id": REQUEST_ID,
        }
        return web.json_response(body, status=status, content_type="application/problem+json")

    async def _cookie(self, request: web.Request) -> web.Response:
        """Says which cookies came, and sets one that only a browser with third-party cookies would send from a frame."""
        came = request.headers.get("Cookie", "no cookie")
        answer = web.Response(text=f'<!doctype html><link rel="icon" href="data:,">{came}', content_type="text/html")
        answer.headers["Set-Cookie"] = "visited=yes; SameSite=None; Secure; Path=/"
        return answer

    async def _microsoft(self, request: web.Request) -> web.Response:
        """Where a sign-in leads."""
        return web.Response(
            text='<!doctype html><link rel="icon" href="data:,"><title>Sign-in</title><h1>Sign in at Microsoft</h1>',
            content_type="text/html",
            headers={"X-Frame-Options": "DENY"},
        )
