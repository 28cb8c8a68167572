"""
Receiving: Graph says that a message of a mailbox changed; what belongs to a thread of ours reaches the CRM, once.

`acknowledge` answers Graph within milliseconds: it proves the notification and hands it to a queue, and touches neither a table
nor Graph. `Receive.fetch` does the work: keys first, and only of a message that belongs to a thread anything more. With rich
notifications the keys came along, so that of a message of no thread Graph is asked nothing.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from sync.domain import attachment_rule, ids
from sync.domain.attachment_rule import SkipReason
from sync.domain.body import Body
from sync.domain.connection import Connection, State
from sync.domain.encrypted_content import Unusable
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
from sync.domain.event import Event, message_event
from sync.domain.explanation import withheld
from sync.domain.mail import MailboxMessage, MailFile
from sync.domain.message import Attachment, Message, Thread, found_in_mailbox
from sync.domain.notification import read_changes
from sync.domain.readings import of_resource_data
from sync.domain.retry import OPERATOR_NEEDS
from sync.domain.thread_rule import Belongs, anchors_of
from sync.flows.belonging import judge, sent_from_crm
from sync.flows.bounce import Bounces, TooEarly
from sync.flows.counted import counted
from sync.flows.deliver import tell
from sync.flows.outcome import Outcomes
from sync.flows.ports import Anchors, Clock, Connections, Content, Journal, Mail, Metrics, ResourceData, Work
from sync.flows.reconnect import Reconnect
from sync.flows.through_outlook import ThroughOutlook
from sync.jobs import MailChange

log = logging.getLogger(__name__)

#: Waits while the mailbox does not answer; the last one repeats. After `MAX_TRIES` the change is left to the poison queue.
RETRY_DELAYS = tuple(timedelta(seconds=s) for s in (5, 15, 60, 300, 900))
MAX_TRIES = 200


def acknowledge(
    body: bytes, signing_keys: Sequence[bytes], *, trace: str = "", metrics: Metrics | None = None
) -> list[str]:
    """
    The queue messages for a change notification collection. Forged items are counted and dropped.

    trace: the traceparent of the post, which goes on with each message.
    """
    changes = counted("change", metrics, lambda: read_changes(body, signing_keys))
    if changes.forged:
        log.warning("forged notifications dropped", extra={"count": changes.forged})
    return [
        MailChange(
            *pair, trace=trace, carried=content.to_text() if (content := changes.carried.get(pair)) else ""
        ).to_json()
        for pair in changes.changed
    ]


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
    metrics: Metrics
    forwarded_messages: Literal["sync", "withhold"]
    #: opens what comes along with rich notifications; None: there is no certificate
    resource_data: ResourceData | None = None

    async def fetch(self, job: MailChange) -> None:
        """Look at one message of a mailbox. Doing it again changes nothing."""
        connection = await self.connections.by_id(job.connection_id)
        if connection is None:
            return
        if not job.passed_on and job.tries == 0:
            await self._pass_on(connection, job)
        if not connection.live or connection.state is State.NEEDS_RECONNECT:
            return
        try:
            await self._look(connection, job)
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

    async def _pass_on(self, connection: Connection, job: MailChange) -> None:
        """Several users can connect one mailbox, and Graph tells of it once, even after the one it names has ended."""
        for other in await self.connections.sharing(connection):
            told = MailChange(other.connection_id, job.graph_id, passed_on=True, carried=job.carried)
            await self.work.queue(told)

    async def _again(self, job: MailChange, at_least: timedelta) -> None:
        if job.tries >= MAX_TRIES:
            raise OutsideError("The mailbox did not answer for two days.")
        delay = max(RETRY_DELAYS[min(job.tries, len(RETRY_DELAYS) - 1)], at_least)
        await self.work.queue(replace(job, tries=job.tries + 1, carried=""), delay)

    async def _look(self, connection: Connection, job: MailChange) -> None:
        known_as = await self.anchors.message_of(connection.connection_id, job.graph_id)
        if known_as is not None and await self._needs_nothing(connection, known_as):
            return
        mail = await self._carried(connection, job) or await self.mail.keys(connection, job.graph_id)
        await self._sort(connection, mail)

    async def _carried(self, connection: Connection, job: MailChange) -> MailboxMessage | None:
        """The message's keys, where they came along and can be used."""
        if not job.carried or self.resource_data is None:
            return None
        try:
            mail = await self.resource_data.message(connection, job.graph_id, job.carried)
        except Unusable as unusable:
            log.warning(
                "what came along with a notification was not used",
                extra={"connection_id": connection.connection_id, "reason": unusable.reason},
            )
            self.metrics.note(of_resource_data(unusable.reason))
            return None
        self.metrics.note(of_resource_data("used"))
        return mail

    async def take(self, connection: Connection, mail: MailboxMessage) -> bool:
        """As `fetch`, for a message whose keys were read already; whether it is news. Raises the OutsideError family."""
        known_as = await self.anchors.message_of(connection.connection_id, mail.graph_id)
        if known_as is not None:
            message = await self.journal.message(connection.account_id, known_as)
            if message is None or message.status.final:
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
        sent = await sent_from_crm(self.anchors, self.journal, connection, mail)
        if sent is not None:
            await self.outlook.confirm(sent, mail)
            return False
        if await self._told_otherwise(connection, mail):
            return False
        return await self._sync_if_ours(connection, mail)

    async def _needs_nothing(self, connection: Connection, known_as: str) -> bool:
        """Whether a message that was remembered is told, or was: one that is not there any more was removed by retention."""
        if await self.journal.message(connection.account_id, known_as) is None:
            return True
        return await self._told_before(connection, known_as)

    async def _told_before(self, connection: Connection, message_id: str) -> bool:
        """Whether this message needs nothing more. Its delivery is promised again, in case the first time died before that."""
        message = await self.journal.message(connection.account_id, message_id)
        if message is None or not message.status.final:
            return False
        try:
            if message.origin != "crm":
                await self._tell(message, await self.content.body(message.body_blob))
            else:
                await self.outcomes.tell(message)
        except NotFound:
            log.info("its body is gone: it is being removed", extra={"message_id": message_id})
        return True

    async def _sync_if_ours(self, connection: Connection, mail: MailboxMessage) -> bool:
        judged = await judge(self.anchors, self.journal, connection, mail)
        verdict, thread = judged.verdict, judged.thread
        if not isinstance(verdict, Belongs) or thread is None:
            return False
        if withheld(mail, thread, self.forwarded_messages):
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
        told = await self._tell(message, body)
        await self.anchors.remember(connection.connection_id, mail.graph_id, message_id)
        if told.erased:
            # Another copy of a message that was told and removed: what was just stored of it goes, too.
            for name in (body_blob, *(file.blob for file in attachments)):
                await self.content.remove(name)
            return False
        return True

    async def _told_otherwise(self, connection: Connection, mail: MailboxMessage) -> bool:
        """Whether it was told and removed by retention since, or was told while an earlier connection held the thread."""
        known_as = await self.anchors.message_of(connection.connection_id, mail.keys.internet_message_id)
        if known_as is None:
            return False
        message = await self.journal.message(connection.account_id, known_as)
        return message is None or message.connection_id != connection.connection_id

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

    async def _tell(self, message: Message, body: Body) -> Event:
        now = self.clock()
        return await tell(self.journal, self.work, message_event("message.synced", message, body, now), now, message)


def _skipped(attachment: Attachment, reason: SkipReason) -> Attachment:
    return replace(attachment, status="skipped", reason=reason.value)
