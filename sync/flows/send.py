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
from sync.domain.body import with_history
from sync.domain.connection import Connection, State
from sync.domain.errors import Conflict, Declined, Gone, OutsideError, ReconnectNeeded, Throttled, Unclear
from sync.domain.event import EventType, message_event
from sync.domain.mail import MailboxMessage, base_subject
from sync.domain.message import Message, Outbox, Status, Thread
from sync.domain.outgoing import Draft, OutgoingFile
from sync.domain.retry import GiveUp, after_unfinished_send
from sync.domain.thread_rule import Anchor, anchors_of
from sync.flows.deliver import tell
from sync.flows.ports import Anchors, Clock, Connections, Content, Journal, Mail, Work
from sync.flows.reconnect import Reconnect
from sync.jobs import SendMail

log = logging.getLogger(__name__)

#: How long Graph's own notification of the Sent copy is waited for before we look ourselves.
CONFIRM_AFTER = timedelta(seconds=20)
LOST_AFTER = timedelta(minutes=2)
#: Graph may show a new draft late: one that is not found is looked for so often before a new one is made.
LOOKS_FOR_LOST_DRAFT = 2
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
        except OutsideError as failure:
            retry_after = failure.retry_after if isinstance(failure, Throttled) else None
            await self._put_off(message, retry_after, unseen=isinstance(failure, Gone))

    async def _steps(self, connection: Connection, message: Message) -> None:
        message, mail = await self._drafted(connection, message)
        if mail is not None and not mail.is_draft:
            await self.confirm(message, mail)
            return
        if self._may_be_on_its_way(message.outbox or Outbox()):
            await self._put_off(message, None)
            return
        message = await self._with_files(connection, message)
        if not await self._sent(connection, message):
            return
        await self.work.promise(
            SendMail(message.account_id, message.message_id), due_at=self.clock() + LOST_AFTER, delay=CONFIRM_AFTER
        )

    async def _drafted(self, connection: Connection, message: Message) -> tuple[Message, MailboxMessage | None]:
        """The message with its draft in the mailbox and its anchors kept; and what the mailbox has, where it was looked up."""
        outbox = message.outbox or Outbox()
        found: MailboxMessage | None = None
        if outbox.draft_asked:
            found = await self._look_up(connection, message)
            if found is None and (outbox.send_asked_at is not None or outbox.tries < LOOKS_FOR_LOST_DRAFT):
                raise Gone("the draft is not to be seen now")
            if found is not None and outbox.draft_id == found.graph_id:
                return message, found
        else:
            message = await self.journal.save_message(replace(message, outbox=replace(outbox, draft_asked=True)))
        try:
            mail = found or await self._new_draft(connection, message)
        except Throttled:
            if not outbox.draft_asked:
                # Certainly not made: the next try need not look first.
                await self.journal.save_message(replace(message, outbox=outbox))
            raise
        thread = await self._thread(connection, message, mail)
        await self.anchors.add(connection.connection_id, anchors_of(mail, thread.thread_id))
        await self._remember(message, mail)
        message = await self.journal.save_message(
            replace(
                message,
                internet_message_id=mail.keys.internet_message_id,
                in_reply_to=mail.keys.in_reply_to,
                subject=mail.subject or message.subject,
                graph_id=mail.graph_id,
                outbox=replace(message.outbox or Outbox(), draft_id=mail.graph_id),
            )
        )
        return message, found

    async def _look_up(self, connection: Connection, message: Message) -> MailboxMessage | None:
        """Our message in the mailbox: by its id, which normally survives sending, else by its stamp, which always does."""
        draft_id = message.outbox.draft_id if message.outbox else ""
        if draft_id:
            try:
                return await self.mail.keys(connection, draft_id)
            except Gone:
                pass
        return await self.mail.find_stamped(connection, message.message_id)

    async def _new_draft(self, connection: Connection, message: Message) -> MailboxMessage:
        body = await self.content.body(message.body_blob)
        outbox = message.outbox or Outbox()
        draft = Draft(message.message_id, message.to, message.cc, outbox.bcc, message.subject, body)
        if not message.answers:
            return await self.mail.create_draft(connection, draft)
        for earlier in reversed(await self.journal.messages_of(message.account_id, message.thread_id)):
            if not earlier.graph_id or earlier.message_id == message.message_id or not earlier.status.final:
                continue
            answer = replace(
                draft,
                # An equal subject is left to Outlook, which writes its own reply mark.
                subject="" if base_subject(earlier.subject) == base_subject(message.subject) else message.subject,
                body=with_history(body, await self.content.body(earlier.body_blob), rule.heading(earlier)),
            )
            try:
                return await self.mail.create_answer(connection, earlier.graph_id, answer)
            except Gone:
                continue  # deleted by the user: answer the one before it
        return await self.mail.create_draft(connection, draft)

    async def _thread(self, connection: Connection, message: Message, mail: MailboxMessage) -> Thread:
        """The thread with this message's people; taken up again where its connection had ended."""
        while True:
            thread = await self.journal.thread(message.account_id, message.thread_id)
            if thread is None:
                raise Gone("the thread was erased")
            changed = thread.with_people(message.outbox.contacts if message.outbox else (), mail.participants)
            if thread.connection_id != connection.connection_id:
                changed = replace(changed, connection_id=connection.connection_id)
                await self._anchor_earlier_messages(connection, thread)
            if changed == thread:
                return thread
            try:
                return await self.journal.save_thread(changed)
            except Conflict:
                continue

    async def _anchor_earlier_messages(self, connection: Connection, thread: Thread) -> None:
        earlier = await self.journal.messages_of(thread.account_id, thread.thread_id)
        await self.anchors.add(
            connection.connection_id,
            [
                Anchor("message_id", m.internet_message_id, thread.thread_id, base_subject(m.subject))
                for m in earlier
                if m.internet_message_id
            ],
        )

    def _may_be_on_its_way(self, outbox: Outbox) -> bool:
        if outbox.send_accepted:
            return True
        return outbox.send_asked_at is not None and self.clock() - outbox.send_asked_at < RESEND_AFTER

    async def _with_files(self, connection: Connection, message: Message) -> Message:
        outbox = message.outbox or Outbox()
        for i, file in enumerate(message.attachments[outbox.files_done :], start=outbox.files_done):
            there = outbox.file_asked and await self._has_file(connection, message, i)
            if not there:
                outbox = replace(outbox, files_done=i, file_asked=True)
                message = await self.journal.save_message(replace(message, outbox=outbox))
                content = await self.content.file(file.blob)
                outgoing = OutgoingFile(file.name, file.content_type, content, file.inline, file.content_id)
                await self.mail.add_file(connection, outbox.draft_id, outgoing)
            outbox = replace(outbox, files_done=i + 1, file_asked=False)
        return replace(message, outbox=outbox)  # saved with the next step

    async def _has_file(self, connection: Connection, message: Message, index: int) -> bool:
        """Whether the draft has this file: as many of its name as there are up to it, since two files can have one name."""
        name = message.attachments[index].name
        up_to_it = [file.name for file in message.attachments[: index + 1]]
        draft_id = message.outbox.draft_id if message.outbox else ""
        return (await self.mail.file_names(connection, draft_id)).count(name) >= up_to_it.count(name)

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
        found = await self._look_up(connection, message)
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
        await self.fail(message, declined.code, f"Outlook refused the email: {declined.detail}")

    async def confirm(self, message: Message, mail: MailboxMessage) -> None:
        """The copy in Sent Items was seen: the message is sent. Safe to call more than once."""
        if message.status.final:
            await self.tell_outcome(message)
            return
        await self.anchors.add(message.connection_id, anchors_of(mail, message.thread_id))
        await self._remember(message, mail)
        await self.tell_outcome(rule.confirmed(message, mail))

    async def _remember(self, message: Message, mail: MailboxMessage) -> None:
        """Know the copy again when it changes: by the mailbox's id of it, and by its message id."""
        for name in filter(None, (mail.graph_id, mail.keys.internet_message_id)):
            await self.anchors.remember(message.connection_id, name, message.message_id)

    async def fail(self, message: Message, code: str, problem: str) -> None:
        """It will not be sent; the CRM is told why."""
        log.warning("email not sent", extra={"message_id": message.message_id, "code": code})
        await self.tell_outcome(rule.failed(message, code, problem))

    async def tell_outcome(self, message: Message) -> None:
        """Store how it ended, tell the CRM once, and forget the promise."""
        body = await self.content.body(message.body_blob)
        now = self.clock()
        if message.status in (Status.SENT, Status.FAILED):
            kind: EventType = "message.sent" if message.status is Status.SENT else "message.failed"
            await tell(self.journal, self.work, message_event(kind, message, body, now), now, message)
        await self.work.done(SendMail(message.account_id, message.message_id))
