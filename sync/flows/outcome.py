"""How an email of the CRM ended: stored and told in one, once, and its promise forgotten."""

import logging
from dataclasses import dataclass

from sync.domain import bounce_words
from sync.domain import message as rule
from sync.domain.errors import NotFound
from sync.domain.event import EventType, message_event
from sync.domain.message import Message, Status
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

    async def fail(self, message: Message, code: str, problem: str, what_to_do: str = "") -> None:
        """It will not be sent; the CRM is told why, and what to do."""
        log.warning("email not sent", extra={"message_id": message.message_id, "code": code})
        await self.tell(rule.failed(message, code, problem, what_to_do))

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
        if message.status in (Status.SENT, Status.BOUNCED, Status.FAILED):
            # One that bounced since was told as sent before: then this only sees to it that the CRM gets to hear that.
            kind: EventType = "message.failed" if message.status is Status.FAILED else "message.sent"
            await tell(self.journal, self.work, message_event(kind, message, body, now), now, message)
        refused = message.outbox.refused if message.outbox else ()
        if refused and message.status in (Status.SENT, Status.BOUNCED):
            # The provider's server took the email for some of its recipients and said no to these.
            bounced = rule.bounced(message, refused, *bounce_words.explained(refused))
            event = message_event("message.bounced", bounced, body, now, report="refused")
            await tell(self.journal, self.work, event, now, bounced)
        await self.work.done(SendMail(message.account_id, message.message_id))
