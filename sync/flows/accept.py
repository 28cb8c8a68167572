"""
Accepting a send: check it, choose the door, and write down what is to be sent before the CRM gets its answer.

The same idempotency key gives the same answer: key, message and thread are inserted together, so of many equal requests one
inserts and the others read what it answered.
"""

from dataclasses import dataclass
from datetime import timedelta

from sync.domain import ids, outgoing, sender_rule
from sync.domain.body import Body
from sync.domain.connection import Connection
from sync.domain.errors import (
    IdempotencyKeyReused,
    NotFound,
    NotOfferedYet,
    ThreadStopped,
)
from sync.domain.mail import Address
from sync.domain.message import Attachment, Message, Outbox, Status, Thread
from sync.domain.outgoing import AcceptedSend, Outgoing
from sync.domain.retry import LOST_AFTER
from sync.domain.sender_rule import Sender
from sync.flows.ports import Clock, Connections, Content, Journal, Work
from sync.jobs import SendMail

#: How long an idempotency key is remembered (the contract promises 24 h).
KEY_LIFETIME = timedelta(days=2)


@dataclass(frozen=True)
class Accept:
    """The CRM's side of sending."""

    connections: Connections
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
        outgoing.check(send)
        if send.kind != "individual":
            raise NotOfferedYet(f'Sending kind "{send.kind}" does not exist yet; "individual" does. Nothing was sent.')
        connection = await self.connections.of_user(account_id, send.user_id)
        sender = sender_rule.decide(send.kind, send.from_address, connection, provider=None)
        if connection is None or sender.via != "outlook":
            raise NotOfferedYet("Sending through the account's own provider does not exist yet. Nothing was sent.")
        message_id = ids.sent_message_id(account_id, f"{idempotency_key}\x1f{body_hash}", 0)
        thread, new = await self._thread(account_id, connection, send, message_id)
        message = await self._message(message_id, thread, connection, send, answers=not new)
        answer = _answer(message, send, sender)
        # Promised before it is written, so that nothing is ever written that nobody looks at.
        await self.work.postpone(SendMail(account_id, message_id), self.clock() + LOST_AFTER)
        accepted = await self.journal.accept(
            account_id,
            AcceptedSend(key, body_hash, answer, send.user_id),
            message,
            thread if new else None,
            expires_at=self.clock() + KEY_LIFETIME,
        )
        return await self._again(account_id, accepted, body_hash)

    async def _again(self, account_id: str, accepted: AcceptedSend, body_hash: str) -> dict[str, object]:
        """The answer that stands under the key, once its messages are sure to be worked on."""
        if accepted.body_hash != body_hash:
            raise IdempotencyKeyReused
        for sent in accepted.answer["messages"]:  # type: ignore[attr-defined]  # our own answer, as stored
            message = await self.journal.message(account_id, sent["message_id"])
            if message is not None and message.status is Status.QUEUED:
                await self.work.promise(SendMail(account_id, message.message_id), due_at=self.clock() + LOST_AFTER)
        return accepted.answer

    async def _thread(
        self, account_id: str, connection: Connection, send: Outgoing, message_id: str
    ) -> tuple[Thread, bool]:
        """The thread it goes into, and whether it begins it."""
        seen = frozenset(p.key for p in send.recipients)
        if send.thread_id is None:
            return (
                Thread(
                    thread_id=ids.thread_id_of(message_id),
                    account_id=account_id,
                    user_id=send.user_id,
                    connection_id=connection.connection_id,
                    mailbox=connection.mailbox.identity,
                    subject=send.subject,
                    contacts=tuple(send.to),
                    participants=seen,
                    started_at=self.clock(),
                ),
                True,
            )
        thread = await self.journal.thread(account_id, send.thread_id)
        if thread is None:
            raise NotFound(f"There is no thread {send.thread_id} in this account. Nothing was sent.")
        if thread.mailbox != connection.mailbox.identity or thread.user_id != send.user_id:
            raise ThreadStopped
        return thread, False  # of an ended connection to the same mailbox: this send takes the thread up again

    async def _message(
        self, message_id: str, thread: Thread, connection: Connection, send: Outgoing, *, answers: bool
    ) -> Message:
        account_id = thread.account_id
        attachments = []
        for i, file in enumerate(send.files):
            attachment_id = ids.attachment_id(message_id, i)
            blob = await self.content.put_file(account_id, connection.connection_id, attachment_id, file.content)
            attachments.append(
                Attachment(
                    attachment_id,
                    file.name,
                    file.content_type,
                    len(file.content),
                    file.inline,
                    file.content_id,
                    blob=blob,
                )
            )
        return Message(
            message_id=message_id,
            account_id=account_id,
            thread_id=thread.thread_id,
            connection_id=connection.connection_id,
            user_id=send.user_id,
            status=Status.QUEUED,
            direction="outbound",
            origin="crm",
            sender=Address(connection.mailbox.email, connection.mailbox.display_name),
            to=outgoing.addresses(send.to),
            cc=outgoing.addresses(send.cc),
            subject=send.subject,
            accepted_at=self.clock(),
            body_blob=await self.content.put_body(
                account_id, connection.connection_id, message_id, Body(send.html, send.text)
            ),
            contact_ids=tuple(dict.fromkeys(p.contact_id for p in send.recipients if p.contact_id)),
            involves_contact=True,
            attachments=tuple(attachments),
            answers=answers,
            metadata=send.metadata,
            outbox=Outbox(contacts=send.recipients, bcc=outgoing.addresses(send.bcc)),
        )


def _answer(message: Message, send: Outgoing, sender: Sender) -> dict[str, object]:
    return {
        "messages": [
            {
                "message_id": message.message_id,
                "thread_id": message.thread_id,
                "status": message.status.value,
                "to": [
                    {"address": p.address, "name": p.name or None, "contact_id": p.contact_id or None} for p in send.to
                ],
            }
        ],
        "sender": {"via": sender.via, "address": sender.address, "rule": sender.rule},
    }
