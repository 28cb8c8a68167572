"""
The draft of an accepted email: in the user's mailbox once, with our stamp, its thread keys kept, and all its files on it.

Each step may find that an earlier try did it already, so each looks before it does anything again.
"""

import logging
from dataclasses import dataclass, field, replace

from sync.domain import message as rule
from sync.domain.body import Body, with_history
from sync.domain.connection import Connection
from sync.domain.errors import Conflict, Declined, Gone, Throttled, Unclear
from sync.domain.mail import Address, MailboxMessage, base_subject
from sync.domain.message import Message, Outbox, Thread
from sync.domain.outgoing import Draft, OutgoingFile
from sync.domain.thread_rule import Anchor, anchors_of
from sync.flows.places import Places
from sync.flows.ports import Anchors, Content, Journal, Mail

log = logging.getLogger(__name__)

#: Graph may show a new draft late: one that is not found is looked for so often before a new one is made.
LOOKS_FOR_LOST_DRAFT = 2
#: A mark that can't be set is left so after so many tries: it must not keep the email from going.
TRIES_TO_MARK_UNREAD = 3
#: So many messages of one process get their files at a time. A file of 3 MiB takes about 10 MB in memory on its way, as
#: bytes, base64 and JSON, and the host runs up to 24 sends at once.
MAX_SENDS_WITH_FILES = 4


@dataclass(frozen=True)
class Drafting:
    """Makes drafts, and finds them again."""

    anchors: Anchors
    journal: Journal
    content: Content
    mail: Mail
    places: Places = field(default_factory=lambda: Places(MAX_SENDS_WITH_FILES))

    async def made(self, connection: Connection, message: Message) -> tuple[Message, MailboxMessage | None]:
        """The message with its draft in the mailbox and its anchors kept; and what the mailbox has, where it was looked up."""
        outbox = message.outbox or Outbox()
        found: MailboxMessage | None = None
        if outbox.draft_asked:
            found = await self.look_up(connection, message)
            if found is None and (outbox.send_asked_at is not None or outbox.tries < LOOKS_FOR_LOST_DRAFT):
                raise Gone("the draft is not to be seen now")
            if found is not None and outbox.draft_id == found.graph_id:
                return await self._as_wanted(connection, message, found), found
        if found is not None:
            mail = found
        else:
            message, mail = await self._new_draft(connection, message)
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
                outbox=_with_draft(message.outbox or Outbox(), mail, new=found is None),
            )
        )
        return await self._as_wanted(connection, message, mail), found

    async def look_up(self, connection: Connection, message: Message) -> MailboxMessage | None:
        """Our message in the mailbox: by its id, which normally survives sending, else by its stamp, which always does."""
        draft_id = message.outbox.draft_id if message.outbox else ""
        if draft_id:
            try:
                return await self.mail.keys(connection, draft_id)
            except Gone:
                pass
        return await self.mail.find_stamped(connection, message.message_id)

    async def _new_draft(self, connection: Connection, message: Message) -> tuple[Message, MailboxMessage]:
        """A draft that answers the thread's last message that is still in the mailbox, or one of its own."""
        before = message.outbox or Outbox()
        draft = _draft(connection, message, await self.content.body(message.body_blob))
        earlier = await self.journal.messages_of(message.account_id, message.thread_id) if message.answers else []
        try:
            for original in reversed(earlier):
                if not original.graph_id or not original.status.in_conversation:
                    continue
                try:
                    unread = original.graph_id if await self._is_unread(connection, original, before) else ""
                    carried = any(file.inline for file in original.attachments)
                    message = await self._asked(message, unread_original=unread, carried_files=carried)
                    answer = await self._answer(draft, message, original)
                    return message, await self.mail.create_answer(connection, original.graph_id, answer)
                except Gone:
                    continue  # deleted by the user: answer the one before it
            message = await self._asked(message)
            return message, await self.mail.create_draft(connection, draft)
        except Throttled:
            if message.outbox is not None and message.outbox.draft_asked and not before.draft_asked:
                # Certainly not made: the next try need not look first.
                await self.journal.save_message(replace(message, outbox=before))
            raise

    async def _is_unread(self, connection: Connection, original: Message, outbox: Outbox) -> bool:
        """Whether what is answered is unread, or was when an earlier try asked. What the user wrote is always read."""
        if original.direction == "outbound":
            return False
        if outbox.unread_original == original.graph_id:
            return True
        try:
            return await self.mail.is_unread(connection, original.graph_id)
        except Declined:
            return False  # nothing to restore then; it never keeps the email from going

    async def _asked(self, message: Message, *, unread_original: str = "", carried_files: bool = False) -> Message:
        """Written down before a draft is asked for: that it is, and what of the answered message has to be as it was."""
        before = message.outbox or Outbox()
        outbox = replace(before, draft_asked=True, unread_original=unread_original, carried_files=carried_files)
        return message if outbox == before else await self.journal.save_message(replace(message, outbox=outbox))

    async def _answer(self, draft: Draft, message: Message, original: Message) -> Draft:
        """The draft as an answer to this message, which is quoted below."""
        carried = frozenset(file.content_id for file in message.attachments if file.inline and file.content_id)
        history = await self.content.body(original.body_blob)
        return replace(
            draft,
            # An equal subject is left to Outlook, which writes its own reply mark.
            subject="" if base_subject(original.subject) == base_subject(message.subject) else message.subject,
            body=with_history(draft.body, history, rule.heading(original), carried),
        )

    async def _as_wanted(self, connection: Connection, message: Message, mail: MailboxMessage) -> Message:
        """
        The message, once its draft is what was asked for, and what it answers is as unread as it was.

        Whether Graph marks the original as read, adds recipients of its own choice to those given, and takes over inline files,
        is not documented (https://learn.microsoft.com/graph/api/message-createreply). Never while the draft may be on its way.
        """
        outbox = message.outbox or Outbox()
        if not mail.is_draft or outbox.send_asked_at is not None:
            return message
        if outbox.unread_original:
            await self._unread_again(connection, outbox)
        if outbox.carried_files:  # none of ours is there yet: it is noted with the first one that these are off
            await self.mail.remove_files(connection, mail.graph_id)
        wanted = _draft(connection, message, Body(None, None))
        if message.answers and _people(mail) != _people(wanted):
            await self.mail.set_recipients(connection, mail.graph_id, wanted)
        done = replace(outbox, unread_original="", carried_files=False)
        return replace(message, outbox=done)  # saved with the next step

    async def _unread_again(self, connection: Connection, outbox: Outbox) -> None:
        try:
            if not await self.mail.is_unread(connection, outbox.unread_original):
                await self.mail.mark_unread(connection, outbox.unread_original)
        except (Gone, Declined):
            log.info("what was answered is gone, so it can't be marked as unread")
        except (Throttled, Unclear):
            if outbox.tries < TRIES_TO_MARK_UNREAD:
                raise
            log.warning("what was answered could not be marked as unread")

    async def _thread(self, connection: Connection, message: Message, mail: MailboxMessage) -> Thread:
        """The thread with this message's people; taken up again where its connection had ended."""
        while True:
            thread = await self.journal.thread(message.account_id, message.thread_id)
            if thread is None:
                raise Gone("the thread was erased")
            changed = thread.with_people(message.outbox.contacts if message.outbox else (), mail.participants)
            if thread.connection_id != connection.connection_id:
                changed = replace(changed, connection_id=connection.connection_id)
                await self._know_earlier_messages(connection, thread)
            if changed == thread:
                return thread
            try:
                return await self.journal.save_thread(changed)
            except Conflict:
                continue

    async def _know_earlier_messages(self, connection: Connection, thread: Thread) -> None:
        """Answers to what was said before belong to the thread; what was said itself is not told a second time."""
        earlier = await self.journal.messages_of(thread.account_id, thread.thread_id)
        for message in earlier:
            if message.status.in_conversation:
                for name in filter(None, (message.graph_id, message.internet_message_id)):
                    await self.anchors.remember(connection.connection_id, name, message.message_id)
        await self.anchors.add(
            connection.connection_id,
            [
                Anchor("message_id", m.internet_message_id, thread.thread_id, base_subject(m.subject))
                for m in earlier
                if m.internet_message_id
            ],
        )

    async def with_files(self, connection: Connection, message: Message) -> Message:
        """The message with all its files on its draft; only so many messages at a time."""
        if len(message.attachments) == (message.outbox or Outbox()).files_done:
            return message
        async with self.places.one():
            return await self._with_files(connection, message)

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

    async def remember(self, message: Message, mail: MailboxMessage) -> None:
        """Know the copy again when it changes: by the mailbox's id of it, and by its message id."""
        for name in filter(None, (mail.graph_id, mail.keys.internet_message_id)):
            await self.anchors.remember(message.connection_id, name, message.message_id)


def _draft(connection: Connection, message: Message, body: Body) -> Draft:
    """The message as a draft. A From is only written for an alias: Graph writes the mailbox's own address by itself."""
    mailbox, sender = connection.mailbox, message.sender
    is_alias = sender is not None and sender.key in mailbox.own_addresses and sender.key != Address(mailbox.email).key
    bcc = message.outbox.bcc if message.outbox else ()
    return Draft(
        message.message_id, message.to, message.cc, bcc, message.subject, body, sender=sender if is_alias else None
    )


def _people(of: MailboxMessage | Draft) -> tuple[frozenset[str], ...]:
    """Whom it goes to, group by group."""
    return tuple(frozenset(person.key for person in group) for group in (of.to, of.cc, of.bcc))


def _with_draft(outbox: Outbox, mail: MailboxMessage, *, new: bool) -> Outbox:
    """The outbox with this draft; a new one has no files yet, whatever was on one that is gone."""
    return replace(outbox if not new else replace(outbox, files_done=0, file_asked=False), draft_id=mail.graph_id)
