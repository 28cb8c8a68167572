"""
`/_lab/bounce`: a delivery report arrives that no transport here made. Nothing here imitates Microsoft.

    POST /_lab/bounce {mailbox, internet_message_id, address, status_code?, action?, diagnostic?, from?}
        a report about that message of the mailbox, of this recipient -> {id, internet_message_id}; `from`: of a foreign
        server, as ordinary email with the report's Content-Type; else Exchange's own. The switches of reports apply.
"""

import json
from typing import Literal, NoReturn

from aiohttp import web
from pydantic import Field

from tests.cloud.controls import Control, read_control
from tests.cloud.graph import non_delivery
from tests.cloud.graph.arrival import receive
from tests.cloud.graph.conversation import new_conversation
from tests.cloud.graph.service import MailService


class _Bounce(Control):
    mailbox: str
    internet_message_id: str
    address: str
    status_code: str = "5.1.1"
    action: Literal["failed", "delayed", "delivered", "relayed", "expanded"] = "failed"
    diagnostic: str = "smtp; 550 5.1.1 No such user here"
    reporter: str | None = Field(default=None, alias="from")


class LabReportRoutes:
    """The control of delivery reports."""

    def __init__(self, service: MailService) -> None:
        self._service = service

    def register(self, router: web.UrlDispatcher) -> None:
        """Add the routes of this module."""
        router.add_post("/_lab/bounce", self._bounce)

    async def _bounce(self, request: web.Request) -> web.Response:
        given = await read_control(request, _Bounce)
        person = self._service.directory.by_email(given.mailbox)
        if person is None:
            _not_found(f"nobody in the directory has the address {given.mailbox}")
        mailbox = self._service.mailboxes.of(person)
        about = mailbox.by_internet_id([given.internet_message_id])
        if about is None:
            _not_found(f"no message of {given.mailbox} has the id {given.internet_message_id}")
        sender = about.fields["from"] or {"emailAddress": {"name": person.name, "address": person.email}}
        original = non_delivery.Original(sender, about.fields["subject"], about.internet_message_id)
        fate = non_delivery.Fate(given.address, given.action, given.status_code, given.diagnostic)
        switches, now = self._service.switches, mailbox.now()
        report = non_delivery.report(
            original, [fate], now, in_reply_to=switches.report_has_in_reply_to, reporter=given.reporter
        )
        joins = switches.report_joins_conversation
        arrived = receive(mailbox, report, about.conversation if joins else new_conversation(now, mailbox.guid))
        return web.json_response({"id": arrived.immutable_id, "internet_message_id": arrived.internet_message_id})


def _not_found(message: str) -> NoReturn:
    raise web.HTTPNotFound(text=json.dumps({"error": message}), content_type="application/json")
