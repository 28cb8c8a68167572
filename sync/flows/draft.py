"""
The draft of an accepted email: in the user's mailbox once, with our stamp, its thread keys kept, and all its files on it.

Each step may find that an earlier try did it already, so each looks before it does anything again.
"""

from dataclasses import dataclass, replace

from sync.domain import message as rule
from sync.domain.body import with_history
from sync.domain.connection import Connection
from sync.domain.errors import Conflict, Gone, Throttled
from sync.domain.mail import MailboxMessage, base_subject
from sync.domain.message import Message, Outbox, Thread
from sync.domain.outgoing import Draft, OutgoingFile
from sync.domain.thread_rule import Anchor, anchors_of
from sync.flows.ports import Anchors, Content, Journal, Mail

#: Graph may show a new draft late: one that is not found is looked for so often before a new one is made.
LOOKS_FOR_LOST_DRAFT = 2


@dataclass(frozen=True)
class Drafting:
    """Makes drafts, and finds them again."""

    anchors: Anchors
    journal: Journal
    content: Content
    mail: Mail

    async def made(self, connection: Connection, message: Message) -> tuple[Message, MailboxMessage | None]:
        """The message with its draft in the mailbox and its anchors kept; and what the mailbox has, where it was looked up."""
        outbox = message.outbox or Outbox()
        found: MailboxMessage | None = None
        if outbox.draft_asked:
            found = await self.look_up(connection, message)
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
        await self.remember(message, mail)
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

    async def look_up(self, connection: Connection, message: Message) -> MailboxMessage | None:
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

    async def with_files(self, connection: Connection, message: Message) -> Message:
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

    async def remember(self, message: Message, mail: MailboxMessage) -> None:
        """Know the copy again when it changes: by the mailbox's id of it, and by its message id."""
        for name in filter(None, (mail.graph_id, mail.keys.internet_message_id)):
            await self.anchors.remember(message.connection_id, name, message.message_id)
