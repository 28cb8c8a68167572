"""
Accepting a send: check it, choose the door, and write down what is to be sent before the CRM gets its answer.

The same idempotency key gives the same answer: key and batch are inserted together, so of many equal requests one inserts and
the others read what it has written. An email to everybody gets its message and thread with them; of a bulk send each email gets
them when its turn comes (flows/bulk).
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from sync.domain import answer as answer_rule
from sync.domain import batch as rule
from sync.domain import ids, outgoing
from sync.domain.batch import Batch, Letter
from sync.domain.body import Body
from sync.domain.errors import IdempotencyKeyReused, InvalidRequest, NotFound, ThreadStopped
from sync.domain.mail import base_subject, reply_subject
from sync.domain.message import Attachment, Contact, Message, Status, Thread
from sync.domain.outgoing import AcceptedSend, Outgoing
from sync.domain.retry import LOST_AFTER
from sync.flows.ports import Clock, Content, Journal, Work
from sync.flows.sender import Door, Senders
from sync.jobs import Job, SendBatch, SendMail

#: How long an idempotency key is remembered (the contract promises 24 h).
KEY_LIFETIME = timedelta(days=2)
#: Where bodies and files are kept of what goes through the provider and so belongs to no connection.
PROVIDER_FOLDER = "provider"


@dataclass(frozen=True)
class Accept:
    """The CRM's side of sending."""

    senders: Senders
    journal: Journal
    content: Content
    work: Work
    clock: Clock

    async def accept(self, account_id: str, idempotency_key: str, send: Outgoing, body_hash: str) -> dict[str, object]:
        """Take a send over; the answer is the contract's 202. Nothing is written unless all of it can be."""
        key = ids.key_hash(idempotency_key)
        before = await self.journal.accepted(account_id, key)
        if before is not None:
            return await self._again(account_id, before, body_hash)
        now = self.clock()
        outgoing.check(send, now)
        door = await self.senders.resolve(account_id, send.user_id, send.kind, send.from_address)
        thread, earlier = await self._answered(account_id, send, door)
        if thread is not None:
            send = _addressed(send, door, thread, earlier)
        batch = await self._batch(ids.batch_id(account_id, idempotency_key, body_hash), account_id, send, door)
        if thread is not None:
            batch = _answering(batch, thread, earlier)
        job = _job(batch)
        # Promised before it is written, so that nothing is ever written that nobody looks at.
        await self.work.postpone(job, max(now, batch.due_at) + LOST_AFTER)
        # The emails of a bulk send get their rows when their turn comes.
        message = rule.message_of(batch, batch.letters[0], 0) if batch.letters else None
        begun = rule.thread_of(batch, batch.letters[0], 0, now) if batch.letters else None
        accepted = await self.journal.accept(
            account_id,
            AcceptedSend(key, body_hash, batch.batch_id, send.user_id),
            batch,
            message,
            begun,
            expires_at=now + KEY_LIFETIME,
        )
        return await self._again(account_id, accepted, body_hash)

    async def _again(self, account_id: str, accepted: AcceptedSend, body_hash: str) -> dict[str, object]:
        """The answer that stands under the key, once what it promises is sure to be worked on."""
        if accepted.body_hash != body_hash:
            raise IdempotencyKeyReused
        batch = await self.journal.batch(account_id, accepted.batch_id)
        if batch is None:
            raise NotFound("What was accepted under this Idempotency-Key was removed since.")
        if await self._waits(batch):
            delay = batch.due_at - self.clock()
            await self.work.promise(
                _job(batch), due_at=self.clock() + max(delay, timedelta()) + LOST_AFTER, delay=delay
            )
        shown = rule.answer(batch, await letters_of(self.content, batch))
        return shown | ({"send_at": batch.send_at} if batch.send_at else {})

    async def _waits(self, batch: Batch) -> bool:
        """Whether nobody may have begun with it yet."""
        if isinstance(_job(batch), SendBatch):
            return not batch.finished
        message = await self.journal.message(batch.account_id, ids.message_in_batch(batch.batch_id, 0))
        return message is not None and message.status is Status.QUEUED

    async def _answered(self, account_id: str, send: Outgoing, door: Door) -> tuple[Thread | None, list[Message]]:
        """The thread it answers into, and its messages, the oldest first."""
        if send.thread_id is None:
            return None, []
        thread = await self.journal.thread(account_id, send.thread_id)
        if thread is None:
            raise NotFound(f"There is no thread {send.thread_id} in this account. Nothing was sent.")
        connection = door.connection
        if connection is None or not connection.live or thread.user_id != send.user_id:
            raise ThreadStopped
        if thread.mailbox != connection.mailbox.identity:
            raise ThreadStopped
        # The thread of an ended connection to the same mailbox: this send takes it up again.
        messages = await self.journal.messages_of(account_id, thread.thread_id)
        return thread, [message for message in messages if message.status.in_conversation]

    async def _batch(self, batch_id: str, account_id: str, send: Outgoing, door: Door) -> Batch:
        """The batch with everything large of it stored: what stands under the batch's name serves all its emails."""
        mailbox = door.mailbox
        folder = mailbox.connection_id if mailbox is not None else PROVIDER_FOLDER
        letters = _letters(send)
        first = ids.message_in_batch(batch_id, 0)
        files = []
        for i, file in enumerate(send.files):
            name = ids.attachment_id(first, i)
            blob = await self.content.put_file(account_id, folder, name, file.content)
            size = len(file.content)
            files.append(Attachment(name, file.name, file.content_type, size, file.inline, file.content_id, blob=blob))
        batch = Batch(
            batch_id=batch_id,
            account_id=account_id,
            user_id=send.user_id,
            kind=send.kind,
            sender=door.sender,
            sender_name=_sender_name(door),
            size=len(letters),
            subject=send.subject,
            body_blob=await self.content.put_body(account_id, folder, first, Body(send.html, send.text)),
            accepted_at=self.clock(),
            connection_id=mailbox.connection_id if mailbox is not None else "",
            mailbox=mailbox.mailbox.identity if mailbox is not None else None,
            cc=send.cc,
            bcc=send.bcc,
            files=tuple(files),
            metadata=send.metadata,
            send_at=send.send_at if send.send_at is not None and send.send_at > self.clock() else None,
        )
        if send.kind == "bulk":
            return replace(batch, letters_name=await self.content.put_letters(account_id, folder, batch_id, letters))
        return replace(batch, letters=letters, released=1)


async def letters_of(content: Content, batch: Batch) -> tuple[Letter, ...]:
    """The letters of a batch, wherever they are kept; those of an erased one without anybody's name."""
    if batch.erased:
        return rule.blank_letters(batch)
    if not batch.letters_name:
        return batch.letters
    try:
        return await content.letters(batch.letters_name)
    except NotFound:  # it is being erased at this moment
        return rule.blank_letters(batch)


def _job(batch: Batch) -> Job:
    """What brings a batch on: for a bulk send, whoever gives each email its turn."""
    if batch.kind == "bulk":
        return SendBatch(batch.account_id, batch.batch_id)
    return SendMail(batch.account_id, ids.message_in_batch(batch.batch_id, 0))


def _addressed(send: Outgoing, door: Door, thread: Thread, earlier: list[Message]) -> Outgoing:
    """An answer that names nobody goes to those whom the last message of the thread would be answered to."""
    if send.to:
        return send
    own = door.connection.mailbox.own_addresses if door.connection is not None else frozenset[str]()
    to: tuple[Contact, ...] = ()
    cc: tuple[Contact, ...] = ()
    if earlier:
        to, cc = answer_rule.recipients(earlier[-1], own_addresses=own, contacts=thread.contacts)
    if not to:
        nobody = {"field": "to", "message": "Nobody of this thread can be answered. Name at least one recipient."}
        raise InvalidRequest("Some fields can't be used; `errors` names each. Nothing was sent.", errors=[nobody])
    return replace(send, to=to, cc=send.cc or cc)


def _letters(send: Outgoing) -> tuple[Letter, ...]:
    if send.kind == "bulk":
        return tuple(Letter((person,), send.unusable.get(i, "")) for i, person in enumerate(send.to))
    return (Letter(send.to),)


def _answering(batch: Batch, thread: Thread, earlier: list[Message]) -> Batch:
    """
    The batch as an answer into a thread.

    Through Outlook the draft is made as an answer in the mailbox. What goes through the provider does not sync, but the contact's
    mail program shows it below what it answers, by the thread's message ids.
    """
    if batch.via == "outlook":
        return replace(batch, thread_id=thread.thread_id)
    known = [message for message in earlier if message.internet_message_id]
    if not known:
        return batch
    same = base_subject(batch.subject) == base_subject(known[-1].subject)
    return replace(
        batch,
        subject=reply_subject(batch.subject) if same else batch.subject,
        in_reply_to=known[-1].internet_message_id,
        references=answer_rule.references(known),
        quotes=known[-1].message_id,
    )


def _sender_name(door: Door) -> str:
    mailbox, provider = door.mailbox, door.provider
    if mailbox is not None:
        return mailbox.mailbox.display_name
    if provider is not None and provider.sender.key == door.sender.address.casefold():
        return provider.sender.name
    return ""
