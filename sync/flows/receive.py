"""
Receiving: Graph says that a message of a mailbox changed; what belongs to a thread of ours reaches the CRM, once.

`acknowledge` answers Graph within milliseconds: it proves the notification and hands it to a queue, and touches neither a table
nor Graph. `Receive.fetch` does the work: keys first, and only of a message that belongs to a thread anything more.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from sync.domain import attachment_rule, ids, thread_rule
from sync.domain.attachment_rule import SkipReason
from sync.domain.body import Body
from sync.domain.connection import Connection, State
from sync.domain.errors import (
    Conflict,
    Declined,
    Gone,
    OperatorAlarm,
    OutsideError,
    ReconnectNeeded,
    Throttled,
    Unclear,
)
from sync.domain.event import message_event
from sync.domain.mail import MailboxMessage, MailFile
from sync.domain.message import Attachment, Message, Status, Thread, found_in_mailbox
from sync.domain.notification import read_changes
from sync.domain.retry import OPERATOR_NEEDS
from sync.domain.thread_rule import Belongs, anchors_of
from sync.flows.bounce import Bounces, TooEarly
from sync.flows.deliver import tell
from sync.flows.outcome import Outcomes
from sync.flows.ports import Anchors, Clock, Connections, Content, Journal, Mail, Work
from sync.flows.reconnect import Reconnect
from sync.flows.through_outlook import ThroughOutlook
from sync.jobs import MailChange

log = logging.getLogger(__name__)

#: Waits while the mailbox does not answer; the last one repeats. After `MAX_TRIES` the change is left to the poison queue.
RETRY_DELAYS = tuple(timedelta(seconds=s) for s in (5, 15, 60, 300, 900))
MAX_TRIES = 200


def acknowledge(body: bytes, signing_keys: Sequence[bytes]) -> list[str]:
    """The queue messages for a change notification collection. Forged items are counted in the log and dropped."""
    changes = read_changes(body, signing_keys)
    if changes.forged:
        log.warning("forged notifications dropped", extra={"count": changes.forged})
    return [MailChange(connection_id, graph_id).to_json() for connection_id, graph_id in changes.changed]


@dataclass(frozen=True)
class Receive:
    """The incoming side of a thread."""

    connections: Connections
    anchors: Anchors
    journal: Journal
    content: Content
    work: Work
    mail: Mail
    reconnect: Reconnect
    outlook: ThroughOutlook
    outcomes: Outcomes
    bounces: Bounces
    clock: Clock
    forwarded_messages: Literal["sync", "withhold"]

    async def fetch(self, job: MailChange) -> None:
        """Look at one message of a mailbox. Doing it again changes nothing."""
        connection = await self.connections.by_id(job.connection_id)
        if connection is None:
            return
        if not job.passed_on and job.tries == 0:
            await self._pass_on(connection, job.graph_id)
        if not connection.live or connection.state is State.NEEDS_RECONNECT:
            return
        try:
            await self._look(connection, job.graph_id)
        except Gone:
            log.info("message is gone", extra={"connection_id": job.connection_id})
        except ReconnectNeeded as refused:
            await self.reconnect.ask(connection, refused)
        except Throttled as throttled:
            await self._again(job, throttled.retry_after)
        except (Unclear, TooEarly):
            await self._again(job, timedelta())
        except OperatorAlarm as alarm:
            log.critical("operator alarm: %s", alarm.detail)
            await self._again(job, OPERATOR_NEEDS)

    async def _pass_on(self, connection: Connection, graph_id: str) -> None:
        """Several users can connect one mailbox, and Graph tells of it once, even after the one it names has ended."""
        for other in await self.connections.sharing(connection):
            await self.work.queue(MailChange(other.connection_id, graph_id, passed_on=True))

    async def _again(self, job: MailChange, at_least: timedelta) -> None:
        if job.tries >= MAX_TRIES:
            raise OutsideError("The mailbox did not answer for two days.")
        delay = max(RETRY_DELAYS[min(job.tries, len(RETRY_DELAYS) - 1)], at_least)
        await self.work.queue(replace(job, tries=job.tries + 1), delay)

    async def _look(self, connection: Connection, graph_id: str) -> None:
        known_as = await self.anchors.message_of(connection.connection_id, graph_id)
        if known_as is not None and await self._told_before(connection, known_as):
            return
        await self._sort(connection, await self.mail.keys(connection, graph_id))

    async def take(self, connection: Connection, mail: MailboxMessage) -> bool:
        """As `fetch`, for a message whose keys were read already; whether it is news. Raises the OutsideError family."""
        known_as = await self.anchors.message_of(connection.connection_id, mail.graph_id)
        if known_as is not None:
            message = await self.journal.message(connection.account_id, known_as)
            if message is not None and message.status.final:
                return False
        try:
            return await self._sort(connection, mail)
        except TooEarly:
            # One email that is on its way does not keep back the others.
            again = MailChange(connection.connection_id, mail.graph_id, passed_on=True)
            await self.work.queue(again, RETRY_DELAYS[0])
            return True

    async def _sort(self, connection: Connection, mail: MailboxMessage) -> bool:
        """A draft, a report, the copy of an email from the CRM, mail of a thread, or none of ours; whether it is news."""
        if mail.is_draft:
            return False
        if mail.report:
            return await self.bounces.take(connection, mail)
        sent = await self._sent_from_crm(connection, mail)
        if sent is not None:
            await self.outlook.confirm(sent, mail)
            return False
        return await self._sync_if_ours(connection, mail)

    async def _told_before(self, connection: Connection, message_id: str) -> bool:
        """Whether this message needs nothing more. Its delivery is promised again, in case the first time died before that."""
        message = await self.journal.message(connection.account_id, message_id)
        if message is None or not message.status.final:
            return False
        if message.origin != "crm":
            await self._tell(message, await self.content.body(message.body_blob))
        else:
            await self.outcomes.tell(message)
        return True

    async def _sent_from_crm(self, connection: Connection, mail: MailboxMessage) -> Message | None:
        """The CRM's message of which this is the copy in Sent Items: by our stamp, or by the message id of its draft."""
        by_its_id = await self.anchors.message_of(connection.connection_id, mail.keys.internet_message_id)
        for message_id in filter(None, (mail.stamp, by_its_id)):
            message = await self.journal.message(connection.account_id, message_id)
            if message is None or message.connection_id != connection.connection_id or message.origin != "crm":
                continue
            # A user can send a copy of our email again from Outlook: the stamp goes along, but it is another email.
            left = message.status in (Status.SENT, Status.BOUNCED)
            if not left or message.internet_message_id == mail.keys.internet_message_id:
                return message
        return None

    async def _sync_if_ours(self, connection: Connection, mail: MailboxMessage) -> bool:
        anchors = await self.anchors.find(connection.connection_id, thread_rule.keys_to_look_up(mail.keys))
        found = [await self._thread(connection, thread_id) for thread_id in {a.thread_id for a in anchors}]
        threads = {thread.thread_id: thread for thread in found if thread is not None}
        verdict = thread_rule.decide(
            mail,
            [a for a in anchors if a.thread_id in threads],
            own_addresses=connection.mailbox.own_addresses,
            known_to_thread={t.thread_id: t.participants for t in threads.values()},
        )
        if not isinstance(verdict, Belongs):
            return False
        if await self._told_of_an_earlier_connection(connection, mail):
            return False
        thread = threads[verdict.thread_id]
        if self.forwarded_messages == "withhold" and not thread.involves_contact(mail.participants):
            return False
        message_id = ids.mailbox_message_id(connection.connection_id, mail.keys.internet_message_id, mail.graph_id)
        if await self._told_before(connection, message_id):
            return False  # another copy of the message, as in Sent Items and in the Inbox
        content = await self.mail.content(connection, mail.graph_id)
        attachments = [
            await self._attachment(connection, mail, file, ids.attachment_id(message_id, i))
            for i, file in enumerate(content.files)
        ]
        body = Body(content.html, content.text)
        body_blob = await self.content.put_body(connection.account_id, connection.connection_id, message_id, body)
        thread = await self._add_people(thread, mail)
        message = found_in_mailbox(
            mail,
            thread,
            verdict.matched_by,
            message_id=message_id,
            own_addresses=connection.mailbox.own_addresses,
            body_blob=body_blob,
            attachments=tuple(attachments),
            now=self.clock(),
        )
        current = await self.connections.by_id(connection.connection_id)
        if current is None or not current.live:
            return False  # the user disconnected while we read
        await self.anchors.add(connection.connection_id, anchors_of(mail, thread.thread_id))
        await self._tell(message, body)
        await self.anchors.remember(connection.connection_id, mail.graph_id, message_id)
        return True

    async def _told_of_an_earlier_connection(self, connection: Connection, mail: MailboxMessage) -> bool:
        """Whether it was told while another connection held the thread, which this one has taken up since."""
        known_as = await self.anchors.message_of(connection.connection_id, mail.keys.internet_message_id)
        message = await self.journal.message(connection.account_id, known_as) if known_as is not None else None
        return message is not None and message.connection_id != connection.connection_id

    async def _thread(self, connection: Connection, thread_id: str) -> Thread | None:
        """The thread, as long as this connection holds it."""
        thread = await self.journal.thread(connection.account_id, thread_id)
        return thread if thread is not None and thread.connection_id == connection.connection_id else None

    async def _attachment(
        self, connection: Connection, mail: MailboxMessage, file: MailFile, attachment_id: str
    ) -> Attachment:
        """Apply the attachment rule to one file, reading it only where name, kind and size allow."""
        name = attachment_rule.clean_name(file.name)
        shown = Attachment(attachment_id, name, file.content_type, file.size_hint, file.inline)
        reason = attachment_rule.before_download(file.kind, file.name, file.size_hint)
        if reason is not None:
            return _skipped(shown, reason)
        try:
            found = await self.mail.file(connection, mail.graph_id, file.graph_id, attachment_rule.MAX_ATTACHMENT_BYTES)
        except (Gone, Declined):
            return _skipped(shown, SkipReason.FETCH_FAILED)
        if found is None:
            return _skipped(shown, SkipReason.TOO_LARGE)
        content, content_id = found
        shown = replace(shown, size_bytes=len(content), content_id=content_id)
        reason = attachment_rule.after_download(file.name, content)
        if reason is not None:
            return _skipped(shown, reason)
        blob = await self.content.put_file(connection.account_id, connection.connection_id, attachment_id, content)
        return replace(shown, blob=blob)

    async def _add_people(self, thread: Thread, mail: MailboxMessage) -> Thread:
        while True:
            wider = thread.with_people((), mail.participants)
            if wider == thread:
                return thread
            try:
                return await self.journal.save_thread(wider)
            except Conflict:
                thread = await self.journal.thread(thread.account_id, thread.thread_id) or wider

    async def _tell(self, message: Message, body: Body) -> None:
        now = self.clock()
        await tell(self.journal, self.work, message_event("message.synced", message, body, now), now, message)


def _skipped(attachment: Attachment, reason: SkipReason) -> Attachment:
    return replace(attachment, status="skipped", reason=reason.value)
