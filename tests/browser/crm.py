"""
A small CRM, on another site than the app: Settings, My Profile, and there "Email (2-way sync)" in a frame.

For a browser `localhost` and `127.0.0.1` are different sites, so what is set in the frame is a third party's. As a real one
would, the CRM asks for the page anew for each visit and completes a sign-in when the browser comes back.
"""

from collections.abc import Awaitable, Callable
from html import escape

from aiohttp import web

from tests.cloud.server import Port, Server

type OpenSettings = Callable[[str], Awaitable[str]]
type Complete = Callable[[str], Awaitable[object]]

_STYLE = """
:root { color-scheme: light dark }
body { margin: 0; font: 1rem/1.5 Arial, sans-serif }
nav { display: flex; flex-wrap: wrap; gap: 1.5rem; padding: .75rem 1.5rem; border-bottom: 1px solid #8888 }
main { padding: .5rem 1.5rem } h1 { font-size: 1.4rem }
iframe { display: block; width: 100%; height: 70rem; border: 0 }
"""


class SmallCrm:
    """
    Serves `home`; a person clicks their way from there.

    open_settings: given where the browser is to come back to, the link of the settings page for the user who is signed in.
    complete: given a completion code, completes the sign-in for that user. port: 0 takes a free one.
    """

    def __init__(self, open_settings: OpenSettings, complete: Complete, port: int | Port = 0) -> None:
        self._open_settings = open_settings
        self._complete = complete
        application = web.Application()
        application.add_routes(
            [
                web.get("/", self._home),
                web.get("/settings", self._settings),
                web.get("/settings/profile", self._profile),
                web.get("/settings/email-signed-in", self._signed_in),
            ]
        )
        self._server = Server(application, port)
        origin = origin_at(self._server.port)
        self.home = f"{origin}/"
        self.profile = f"{origin}/settings/profile"
        self.return_url = f"{origin}/settings/email-signed-in"

    async def start(self) -> None:
        """Listen."""
        await self._server.start()

    async def stop(self) -> None:
        """Stop listening."""
        await self._server.stop()

    async def _home(self, _request: web.Request) -> web.Response:
        return _page("Contacts", "<p>Ada Quist, Ben Rossi</p>")

    async def _settings(self, _request: web.Request) -> web.Response:
        return _page("Settings", '<p><a href="/settings/profile">My Profile</a></p>')

    async def _profile(self, _request: web.Request) -> web.Response:
        link = await self._open_settings(self.return_url)
        frame = f'<iframe title="Email (2-way sync)" src="{escape(link)}"></iframe>'
        return _page("My Profile", f"<p>Dana Whitfield</p>{frame}")

    async def _signed_in(self, request: web.Request) -> web.Response:
        """The browser comes back: complete what was accepted, then show the settings anew, which say how it ended."""
        if request.query.get("result") == "ok":
            await self._complete(request.query["completion_code"])
        raise web.HTTPSeeOther("/settings/profile")


def origin_at(port: int) -> str:
    """The origin of a CRM that listens on this port."""
    return f"http://localhost:{port}"


def _page(title: str, body: str) -> web.Response:
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>"
        '<nav aria-label="CRM"><a href="/">Contacts</a><a href="/settings">Settings</a></nav>'
        f"<main><h1>{title}</h1>{body}</main></body></html>"
    )
    return web.Response(text=text, content_type="text/html", headers={"Referrer-Policy": "no-referrer"})
