"""How an email of the CRM ended: stored and told in one, once, and its promise forgotten."""

import logging
from dataclasses import dataclass

from sync.domain import message as rule
from sync.domain.errors import NotFound
from sync.domain.event import EventType, message_event
from sync.domain.message import Bounce, Message, Status
from sync.flows.deliver import tell
from sync.flows.ports import Clock, Connections, Content, Journal, Work
from sync.jobs import SendMail

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcomes:
    """The ends of emails. Each can be told again: the CRM hears of it once."""

    connections: Connections
    journal: Journal
    content: Content
    work: Work
    clock: Clock

    async def fail(self, message: Message, code: str, problem: str) -> None:
        """It will not be sent; the CRM is told why."""
        log.warning("email not sent", extra={"message_id": message.message_id, "code": code})
        await self.tell(rule.failed(message, code, problem))

    async def bounce(self, message: Message, bounces: tuple[Bounce, ...], once: str) -> None:
        """It was sent, and these recipients did not get it. `once`: what told us so."""
        body = await self.content.body(message.body_blob)
        bounced = rule.bounced(message, bounces)
        now = self.clock()
        await tell(self.journal, self.work, message_event("message.bounced", bounced, body, now, once), now, bounced)

    async def tell(self, message: Message) -> None:
        """Store how it ended, tell the CRM once, and forget the promise."""
        try:
            body = await self.content.body(message.body_blob)
        except NotFound:
            connection = await self.connections.by_id(message.connection_id)
            if connection is None or connection.erased is None:
                raise
            # Erased while this was under way: what is left of it goes too, and nobody is told of it any more.
            await self.journal.remove_message(message)
            await self.work.done(SendMail(message.account_id, message.message_id))
            return
        now = self.clock()
        if message.status in (Status.SENT, Status.FAILED):
            kind: EventType = "message.sent" if message.status is Status.SENT else "message.failed"
            await tell(self.journal, self.work, message_event(kind, message, body, now), now, message)
        refused = message.outbox.refused if message.outbox else ()
        if message.status is Status.SENT and refused:
            await self.bounce(message, refused, "refused")
        await self.work.done(SendMail(message.account_id, message.message_id))
