"""
An email through the user's mailbox, a step nearer with each call. Each step is written down before it is done, and a step that
may have been done is looked for before it is done again:

    draft with our stamp        asked before? look the stamp up first
    its keys become anchors     so that no answer can come before we know the thread
    files, one by one           asked before? look whether the draft has it
    send                        asked before? look where the stamp is by now: a sent copy is the proof that it went
    confirm                     the copy in Sent Items, seen by `receive` when Graph tells of it, or by us when it does not

A `/send` is only ever repeated where Graph said "throttled", or where its answer was lost and the message is still seen as a
draft when a copy on its way would long have left Drafts. A `/send` that was answered is never repeated.
"""

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sync.domain import message as rule
from sync.domain.connection import Connection, State
from sync.domain.errors import Conflict, Declined, Gone, ReconnectNeeded, Throttled, Unclear
from sync.domain.mail import MailboxMessage
from sync.domain.message import Message, Outbox, Status
from sync.domain.thread_rule import anchors_of
from sync.flows.draft import Drafting
from sync.flows.outcome import Outcomes
from sync.flows.pacing import Pacing
from sync.flows.ports import Anchors, Clock, Connections, Journal, Mail
from sync.flows.reconnect import Reconnect

log = logging.getLogger(__name__)

#: How long Graph's own notification of the Sent copy is waited for before we look ourselves.
CONFIRM_AFTER = timedelta(seconds=20)
#: After a send without an answer the message stays in Drafts for a moment even if it goes; only then is it asked again.
RESEND_AFTER = timedelta(seconds=12)

_LOST = (
    "Outlook was asked to send the email and its answer was lost, then {then}. It may have been sent or"
    " not; it was not sent again, so that nobody gets it twice. Look into Sent Items of the mailbox."
)


@dataclass(frozen=True)
class ThroughOutlook:
    """The steps, and what the copy in Sent Items proves."""

    connections: Connections
    anchors: Anchors
    journal: Journal
    mail: Mail
    drafting: Drafting
    pacing: Pacing
    outcomes: Outcomes
    reconnect: Reconnect
    clock: Clock

    async def bring_on(self, message: Message) -> timedelta | None:
        """
        Bring a claimed message as far as it goes now; returns when to look again, where nothing else promises that.

        Raises the OutsideError family, OperatorAlarm, and Conflict where another worker has taken over.
        """
        connection = await self.connections.by_id(message.connection_id)
        if connection is None or not connection.live:
            await self._disconnected(message)
            return None
        if connection.state is State.NEEDS_RECONNECT:
            raise ReconnectNeeded(cause="needs_reconnect")
        try:
            return await self._steps(connection, message)
        except ReconnectNeeded as refused:
            await self.reconnect.ask(connection, refused)
            raise

    async def _steps(self, connection: Connection, message: Message) -> timedelta | None:
        try:
            message, mail = await self.drafting.made(connection, message)
        except Declined as declined:
            if (message.outbox or Outbox()).send_asked_at is None:
                raise
            # What was asked for before is no less sent because we may not look any more.
            raise Unclear("it may have been sent, and can't be looked for") from declined
        if mail is not None and not mail.is_draft:
            await self.confirm(message, mail)
            return None
        if self._may_be_on_its_way(message.outbox or Outbox()):
            raise Unclear("it may be on its way")
        message = await self.drafting.with_files(connection, message)
        return CONFIRM_AFTER if await self._sent(connection, message) else None

    def _may_be_on_its_way(self, outbox: Outbox) -> bool:
        if outbox.send_accepted:
            return True
        return outbox.send_asked_at is not None and self.clock() - outbox.send_asked_at < RESEND_AFTER

    async def _sent(self, connection: Connection, message: Message) -> bool:
        """
        Ask Graph to send; False where the connection ended before.

        Saving first renews the lease, and raises Conflict where another worker has taken over.
        """
        await self.pacing.use(connection.mailbox.identity, message.account_id, message.message_id)
        now = self.clock()
        asked_before = message.outbox.send_asked_at if message.outbox else None
        outbox = replace(message.outbox or Outbox(), send_asked_at=now, lease_until=now + rule.LEASE)
        message = await self.journal.save_message(replace(message, outbox=outbox))
        if not await self._still_ours(message, asked_before):
            return False
        try:
            await self.mail.send(connection, outbox.draft_id)
        except Throttled:
            # Certainly not sent this time: what the next try has to look for is an earlier one, if there was any.
            await self.journal.save_message(replace(message, outbox=replace(outbox, send_asked_at=asked_before)))
            raise
        except Declined as declined:
            if asked_before is not None and await self._went_before(connection, message, declined):
                raise Unclear("the first try to send did arrive") from declined
            raise
        try:
            accepted = replace(message, outbox=replace(outbox, send_accepted=True))
            await self.journal.save_message(rule.released(accepted, tries=outbox.tries))
        except Conflict:
            log.info("confirmed before we could note it", extra={"message_id": message.message_id})
        return True

    async def _went_before(self, connection: Connection, message: Message, declined: Declined) -> bool:
        """Whether a repeated send was refused because an earlier one arrived: it is on its way (409), or has left by now."""
        if declined.status == 409:
            return True
        found = await self.drafting.look_up(connection, message)
        return found is None or not found.is_draft

    async def _still_ours(self, message: Message, asked_before: datetime | None) -> bool:
        """A delete stops everything at once, also what is on its way here: this try was not made yet."""
        connection = await self.connections.by_id(message.connection_id)
        if connection is not None and connection.live:
            return True
        await self._disconnected(
            replace(message, outbox=replace(message.outbox or Outbox(), send_asked_at=asked_before))
        )
        return False

    async def _disconnected(self, message: Message) -> None:
        """Nobody can look any more."""
        problem = "The mailbox was disconnected before the email was sent."
        await self._fail_unless_sent(message, "connection_disconnected", problem, then="the mailbox was disconnected")

    async def give_up(self, message: Message, reason: str) -> None:
        """The mailbox could not be reached, or its user did not sign in again, for too long."""
        await self._fail_unless_sent(
            message, "mailbox_unreachable", f"The email could not be sent: {reason}.", then=reason
        )

    async def _fail_unless_sent(self, message: Message, code: str, problem: str, *, then: str) -> None:
        """
        It ends without its copy having been seen: what Graph said yes to was sent, though somebody may have deleted the copy;
        what it gave no answer to may have been; and what it was never asked to send was not, for this reason.
        """
        outbox = message.outbox or Outbox()
        if outbox.send_accepted:
            await self.outcomes.tell(replace(message, status=Status.SENT, sent_at=outbox.send_asked_at))
        elif outbox.send_asked_at is not None:
            await self.outcomes.fail(message, "outcome_unknown", _LOST.format(then=then))
        else:
            await self.outcomes.fail(message, code, problem)

    async def confirm(self, message: Message, mail: MailboxMessage) -> None:
        """The copy in Sent Items was seen: the message is sent. Safe to call more than once."""
        if message.status.final:
            await self.outcomes.tell(message)
            return
        await self.anchors.add(message.connection_id, anchors_of(mail, message.thread_id))
        await self.drafting.remember(message, mail)
        await self.outcomes.tell(rule.confirmed(message, mail))

    async def discard(self, message: Message) -> None:
        """Delete the draft of a cancelled message, if one was made."""
        if message.outbox is None or not message.outbox.draft_asked:
            return
        connection = await self.connections.by_id(message.connection_id)
        if connection is None or not connection.live:
            return
        found = await self.drafting.look_up(connection, message)
        if found is None or not found.is_draft:
            return
        try:
            await self.mail.discard(connection, found.graph_id)
        except Gone:
            return
