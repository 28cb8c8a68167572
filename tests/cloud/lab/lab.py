"""The lab's HTTP server: both halves, the one document the page looks at again and again, and the files of the page."""

from pathlib import Path
from typing import Self

import httpx
from aiohttp import web

from tests.cloud.lab import crm_view, mailbox_view
from tests.cloud.lab.contoso import Contoso
from tests.cloud.lab.crm_routes import CrmRoutes, signed_in
from tests.cloud.lab.developers import developers_page
from tests.cloud.lab.guard import guard
from tests.cloud.lab.mailbox_routes import MailboxRoutes
from tests.cloud.lab.refusal import Refusal
from tests.cloud.lab.samples import SAMPLES
from tests.cloud.lab.tour import Tour, done
from tests.cloud.lab.verdict import ties_of, verdicts
from tests.cloud.local import LocalCloud
from tests.cloud.server import Server

_STATIC = Path(__file__).parent / "static"
#: What a person may send in one go: files as base64.
_MAX_REQUEST_BYTES = 64 * 1024 * 1024


class Lab:
    """
    The lab of one cloud, at `url`.

        GET /                                     the page; /developers the addresses, keys and commands
        GET /now?mailbox={email}&thread={id}      everything that both halves show; of the first person where it names none
        /crm/…, /mailbox/…                        crm_routes.py, mailbox_routes.py

    port: 0 takes a free one.
    """

    def __init__(self, cloud: LocalCloud, port: int = 0) -> None:
        self._cloud = cloud
        self._api = cloud.api()
        self._contoso = Contoso(self._api)
        self._http = httpx.AsyncClient(timeout=30)
        self._tour = Tour()
        self._mailboxes = MailboxRoutes(cloud.directory, self._http, cloud.graph.url, cloud.entra.url)
        application = web.Application(client_max_size=_MAX_REQUEST_BYTES)
        self._server = Server(application, port)
        self.url = self._server.url
        application.middlewares.append(guard(self.url, cloud.functions_url))
        application.add_routes(
            [
                web.get("/", _front_page),
                web.get("/developers", self._developers),
                web.get("/samples", _samples),
                web.get("/now", self._now),
                web.static("/static", _STATIC),
            ]
        )
        CrmRoutes(self._contoso, self.url).register(application.router)
        self._mailboxes.register(application.router)

    @classmethod
    def beside(cls, cloud: LocalCloud, port: int = 0) -> Self:
        """The lab of a cloud that has not started yet: the app will let browsers return to it, and frame its page there."""
        lab = cls(cloud, port)
        cloud.app_settings["ALLOWED_RETURN_ORIGINS"] += f",{lab.url}"
        return lab

    async def start(self) -> None:
        """Listen."""
        await self._server.start()

    async def stop(self) -> None:
        """Stop listening, and close the connections to the app and the emulators."""
        await self._server.stop()
        await self._contoso.close()
        await self._http.aclose()

    async def _now(self, request: web.Request) -> web.Response:
        people = self._cloud.directory.everyone()
        if not people:
            raise Refusal(404, "Nobody has a mailbox here.")
        asked = request.query.get("mailbox", "")
        person = self._cloud.directory.by_email(asked) or people[0]
        known = await self._contoso.look()
        messages = await self._mailboxes.of(person).messages()
        found = verdicts(messages, ties_of(person.email, known), person.addresses, self._cloud.clock.now())
        return web.json_response(
            {
                "crm": crm_view.crm(known, signed_in(request), request.query.get("thread")),
                "mailbox": {"asked": asked, **mailbox_view.mailbox(person, people, messages, found)},
                "tour": self._tour.follow(done(known, found.values())),
            }
        )

    async def _developers(self, _request: web.Request) -> web.Response:
        addresses = {**self._cloud.addresses, "lab": self.url}
        return web.Response(text=developers_page(addresses, self._cloud.directory.everyone()), content_type="text/html")


async def _front_page(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(_STATIC / "lab.html")


async def _samples(_request: web.Request) -> web.Response:
    return web.json_response([{"sample": s.sample_id, "name": s.name, "says": s.says, "fate": s.fate} for s in SAMPLES])
