"""
Sending an accepted email through Outlook: exactly one, whatever becomes of this worker or of Graph's answers.

Each step is written down before it is done, and a step that may have been done is looked for before it is done again:

    claim the message (one worker at a time)
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
from sync.domain import send_refusal
from sync.domain.connection import Connection, State
from sync.domain.errors import (
    Conflict,
    Declined,
    Gone,
    NotFound,
    OperatorAlarm,
    OutsideError,
    ReconnectNeeded,
    Throttled,
    Unclear,
)
from sync.domain.event import EventType, message_event
from sync.domain.mail import MailboxMessage
from sync.domain.message import Message, Outbox, Status
from sync.domain.retry import LOST_AFTER, OPERATOR_NEEDS, GiveUp, after_unfinished_send
from sync.domain.thread_rule import anchors_of
from sync.flows.deliver import tell
from sync.flows.draft import Drafting
from sync.flows.ports import Anchors, Clock, Connections, Content, Journal, Mail, Work
from sync.flows.reconnect import Reconnect
from sync.jobs import SendMail

log = logging.getLogger(__name__)

#: How long Graph's own notification of the Sent copy is waited for before we look ourselves.
CONFIRM_AFTER = timedelta(seconds=20)
#: After a send without an answer the message stays in Drafts for a moment even if it goes; only then is it asked again.
RESEND_AFTER = timedelta(seconds=12)


@dataclass(frozen=True)
class Send:
    """The outgoing side of a thread."""

    connections: Connections
    anchors: Anchors
    journal: Journal
    content: Content
    work: Work
    mail: Mail
    drafting: Drafting
    reconnect: Reconnect
    clock: Clock

    async def deliver(self, job: SendMail) -> None:
        """Bring the message as far as it goes now; promises the next try by itself."""
        message = await self.journal.message(job.account_id, job.message_id)
        if message is None or message.outbox is None:
            await self.work.done(job)
            return
        if message.status.final:
            await self.tell_outcome(message)  # the worker that ended it may have died before it told
            return
        now = self.clock()
        if message.outbox.lease_until is not None and message.outbox.lease_until > now:
            await self.work.queue(job, message.outbox.lease_until - now)
            return
        try:
            message = await self.journal.save_message(rule.leased(message, now + rule.LEASE))
        except Conflict:
            return  # the other worker goes on
        connection = await self.connections.by_id(message.connection_id)
        if connection is None or not connection.live:
            await self.fail(
                message, "connection_disconnected", "The mailbox was disconnected before the email was sent."
            )
        elif connection.state is State.NEEDS_RECONNECT:
            await self._put_off(message, None)
        else:
            await self._try(connection, message)

    async def _try(self, connection: Connection, message: Message) -> None:
        try:
            await self._steps(connection, message)
        except Conflict:
            log.info("another worker took the message over", extra={"message_id": message.message_id})
        except Declined as declined:
            await self._refused(message, declined)
        except ReconnectNeeded as refused:
            await self.reconnect.ask(connection, refused)
            await self._put_off(message, None)
        except OperatorAlarm as alarm:
            log.critical("operator alarm: %s", alarm.detail)
            await self._put_off(message, OPERATOR_NEEDS)
        except OutsideError as failure:
            retry_after = failure.retry_after if isinstance(failure, Throttled) else None
            await self._put_off(message, retry_after, unseen=isinstance(failure, Gone))

    async def _steps(self, connection: Connection, message: Message) -> None:
        message, mail = await self.drafting.made(connection, message)
        if mail is not None and not mail.is_draft:
            await self.confirm(message, mail)
            return
        if self._may_be_on_its_way(message.outbox or Outbox()):
            await self._put_off(message, None)
            return
        message = await self.drafting.with_files(connection, message)
        if not await self._sent(connection, message):
            return
        await self.work.promise(
            SendMail(message.account_id, message.message_id), due_at=self.clock() + LOST_AFTER, delay=CONFIRM_AFTER
        )

    def _may_be_on_its_way(self, outbox: Outbox) -> bool:
        if outbox.send_accepted:
            return True
        return outbox.send_asked_at is not None and self.clock() - outbox.send_asked_at < RESEND_AFTER

    async def _sent(self, connection: Connection, message: Message) -> bool:
        """
        Ask Graph to send; False where the connection ended before.

        Saving first renews the lease, and raises Conflict where another worker has taken over.
        """
        now = self.clock()
        asked_before = message.outbox.send_asked_at if message.outbox else None
        outbox = replace(message.outbox or Outbox(), send_asked_at=now, lease_until=now + rule.LEASE)
        message = await self.journal.save_message(replace(message, outbox=outbox))
        if not await self._still_ours(message):
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

    async def _still_ours(self, message: Message) -> bool:
        """A delete stops everything at once, also what is on its way here."""
        connection = await self.connections.by_id(message.connection_id)
        if connection is not None and connection.live:
            return True
        await self.fail(message, "connection_disconnected", "The mailbox was disconnected before the email was sent.")
        return False

    async def _put_off(self, message: Message, retry_after: timedelta | None, *, unseen: bool = False) -> None:
        """Free the message and promise the next try, or tell that there is none. `unseen`: the mailbox shows no trace of it."""
        current = await self.journal.message(message.account_id, message.message_id)
        if current is None or current.status.final or current.outbox is None:
            return
        tries = current.outbox.tries + 1
        now = self.clock()
        decision = after_unfinished_send(tries, current.accepted_at, now, retry_after=retry_after)
        if isinstance(decision, GiveUp):
            if unseen and current.outbox.send_accepted:
                # Graph said yes and the draft is gone: it went, and somebody deleted its copy before we saw it.
                await self.tell_outcome(replace(current, status=Status.SENT, sent_at=current.outbox.send_asked_at))
                return
            await self.fail(current, "mailbox_unreachable", f"The email could not be sent: {decision.reason}.")
            return
        try:
            await self.journal.save_message(rule.released(current, tries=tries))
        except Conflict:
            return
        await self._promise(current, decision.when, now)

    async def _promise(self, message: Message, when: datetime, now: datetime) -> None:
        job = SendMail(message.account_id, message.message_id)
        await self.work.promise(job, due_at=when + LOST_AFTER, delay=when - now)

    async def _refused(self, message: Message, declined: Declined) -> None:
        refused = send_refusal.explained(declined.code, declined.status, declined.detail)
        await self.fail(message, declined.code, refused.detail, refused.what_to_do)

    async def confirm(self, message: Message, mail: MailboxMessage) -> None:
        """The copy in Sent Items was seen: the message is sent. Safe to call more than once."""
        if message.status.final:
            await self.tell_outcome(message)
            return
        await self.anchors.add(message.connection_id, anchors_of(mail, message.thread_id))
        await self.drafting.remember(message, mail)
        await self.tell_outcome(rule.confirmed(message, mail))

    async def fail(self, message: Message, code: str, problem: str, what_to_do: str = "") -> None:
        """It will not be sent; the CRM is told why, and what to do."""
        log.warning("email not sent", extra={"message_id": message.message_id, "code": code})
        await self.tell_outcome(rule.failed(message, code, problem, what_to_do))

    async def tell_outcome(self, message: Message) -> None:
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
        await self.work.done(SendMail(message.account_id, message.message_id))
