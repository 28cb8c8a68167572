"""
`/_lab`: what is done to people from outside of Graph. Nothing here imitates Microsoft.

    POST /_lab/mailbox {email, state}                 `active`, or no mailbox any longer: `inactive`, `none` (the licence is
                                                      taken away, or was never there); what is in it comes back with `active`
    POST /_lab/cae-challenge {email, interactive?}    that person's CAE tokens are challenged, those of before and those asked
                                                      for without the claims of the challenge -> {claims}, the parameter that
                                                      answers it; interactive: only in an authorize request
"""

import json

from aiohttp import web

from tests.cloud.claims import as_parameter
from tests.cloud.controls import Control, read_control
from tests.cloud.directory import Directory, MailboxState, Person


class _Licence(Control):
    email: str
    state: MailboxState


class _Challenged(Control):
    email: str
    interactive: bool = False


class LabPeopleRoutes:
    """The controls of people."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def register(self, router: web.UrlDispatcher) -> None:
        """Add the routes of this module."""
        router.add_post("/_lab/mailbox", self._mailbox)
        router.add_post("/_lab/cae-challenge", self._challenge)

    async def _mailbox(self, request: web.Request) -> web.Response:
        given = await read_control(request, _Licence)
        self._person(given.email).mailbox = given.state
        return web.json_response({"state": given.state})

    async def _challenge(self, request: web.Request) -> web.Response:
        given = await read_control(request, _Challenged)
        challenge = self._directory.challenge(self._person(given.email), interactive=given.interactive)
        return web.json_response({"claims": as_parameter(challenge.claims)})

    def _person(self, address: str) -> Person:
        person = self._directory.by_email(address)
        if person is None:
            error = {"error": f"nobody in the directory has the address {address}"}
            raise web.HTTPNotFound(text=json.dumps(error), content_type="application/json")
        return person
