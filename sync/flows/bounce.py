"""
Bounces: a delivery report in the mailbox becomes `message.bounced` on the email it is about, and is no message of its own.

    its keys lead to a thread of this connection     else nothing of it is read, as of all other mail
    read it                                          which email, which recipients
    the email is one of ours, and final              not yet final: later, since `message.sent` is told first
    save the email as bounced, then tell             in this order, so that reports side by side lose nothing of each other
    remember the report                              so that it is read once

Each step can be done again, so a crash is followed by the same steps.
"""

from dataclasses import dataclass, replace

from sync.domain import bounce_words, delivery_report, ids
from sync.domain.connection import Connection
from sync.domain.delivery_report import MAX_REPORT_BYTES, DeliveryReport
from sync.domain.errors import Conflict
from sync.domain.event import message_event
from sync.domain.mail import MailboxMessage
from sync.domain.message import Bounce, Message, Status, bounced
from sync.flows.belonging import judge_report
from sync.flows.deliver import tell
from sync.flows.ports import Anchors, Clock, Connections, Content, Journal, Mail, Work


class TooEarly(Exception):
    """The email that a report is about is still being sent here: look at the report again later."""


@dataclass(frozen=True)
class Bounces:
    """What becomes of delivery reports."""

    connections: Connections
    anchors: Anchors
    journal: Journal
    content: Content
    work: Work
    mail: Mail
    clock: Clock

    async def take(self, connection: Connection, mail: MailboxMessage) -> bool:
        """Take one report; whether it is about an email of ours. Raises TooEarly and the OutsideError family."""
        if (await judge_report(self.anchors, self.journal, connection, mail)).thread is None:
            return False
        mime = await self.mail.mime(connection, mail.graph_id, MAX_REPORT_BYTES)
        report = delivery_report.parse(mime) if mime is not None else None
        message = await self._about(connection, report) if report is not None else None
        if report is None or message is None:
            return False
        if not message.status.final:
            raise TooEarly
        if not await self._bounced(connection, message, report, mail):
            return False
        await self.anchors.remember(connection.connection_id, mail.graph_id, message.message_id)
        return True

    async def _about(self, connection: Connection, report: DeliveryReport) -> Message | None:
        """Our email that it is about: sent from the CRM, or written in Outlook within a thread."""
        original = report.original_message_id
        sent = await self.anchors.message_of(connection.connection_id, original)
        found = ids.mailbox_message_id(connection.connection_id, original, "")
        for message_id in filter(None, (sent, found)):
            message = await self.journal.message(connection.account_id, message_id)
            # What others wrote did not leave from here, whatever a report says.
            if message is not None and message.direction == "outbound":
                return message if message.connection_id == connection.connection_id else None
        return None

    async def _bounced(
        self, connection: Connection, message: Message, report: DeliveryReport, mail: MailboxMessage
    ) -> bool:
        """Save and tell; False where the connection ended, or the email was erased, meanwhile."""
        new = _bounces(message, report)
        if not new or message.status in (Status.FAILED, Status.CANCELLED):
            return True  # late or delivered, or told as not sent: nothing to tell
        current = await self.connections.by_id(connection.connection_id)
        if current is None or not current.live:
            return False
        saved = await self._saved(message, new)
        if saved is None:
            return False
        problem, what_to_do = bounce_words.explained(new)
        told = replace(saved, bounces=new, problem=problem, what_to_do=what_to_do)
        body = await self.content.body(saved.body_blob)
        now = self.clock()
        identity = mail.keys.internet_message_id or mail.graph_id
        # The email was saved above: what is told of it here is about this one report alone.
        await tell(self.journal, self.work, message_event("message.bounced", told, body, now, report=identity), now)
        return True

    async def _saved(self, message: Message, new: tuple[Bounce, ...]) -> Message | None:
        current: Message | None = message
        while current is not None:
            every = delivery_report.merged(current.bounces, new)
            changed = bounced(current, every, *bounce_words.explained(every))
            if changed == current:
                return current
            try:
                return await self.journal.save_message(changed)
            except Conflict:
                current = await self.journal.message(message.account_id, message.message_id)
        return None


def _bounces(message: Message, report: DeliveryReport) -> tuple[Bounce, ...]:
    blind = message.outbox.bcc if message.outbox else ()
    recipients = {address.key for address in (*message.to, *message.cc, *blind)}
    return delivery_report.merged((), (failed.bounce(recipients) for failed in report.failed))
