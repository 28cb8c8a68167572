"""
A batch: what one call asked to have sent. One email to everybody, or in bulk one email for each of its recipients.

Kept is the batch, not a row for each of a thousand emails: an email of it gets its rows when its turn comes (it is `released`).
Until then it is `message_of` its batch, which says the same of it whoever asks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from sync.domain import ids
from sync.domain.mail import Address
from sync.domain.message import Attachment, Contact, Message, Outbox, Status, Thread
from sync.domain.outgoing import Kind, addresses
from sync.domain.sender_rule import Sender


@dataclass(frozen=True)
class Letter:
    """One email of a batch: whom it goes to; and why it can't, where that is known from the start."""

    to: tuple[Contact, ...]
    problem: str = ""


@dataclass(frozen=True)
class Batch:
    """
    Everything that was accepted with one call. `version` is the stored row's etag.

    connection_id, mailbox: of the mailbox it goes through; empty and None for the provider. thread_id: the one it answers into.
    letters: one for an email to everybody; those of a bulk send are too many for a row, and are stored under `letters_name`.
    released: so many emails, from the first on, have had their turn.
    """

    batch_id: str
    account_id: str
    user_id: str
    kind: Kind
    sender: Sender
    sender_name: str
    size: int
    subject: str
    body_blob: str
    accepted_at: datetime
    connection_id: str = ""
    mailbox: tuple[str, str] | None = None
    thread_id: str = ""
    letters: tuple[Letter, ...] = ()
    letters_name: str = ""
    cc: tuple[Contact, ...] = ()
    bcc: tuple[Contact, ...] = ()
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    quotes: str = ""
    files: tuple[Attachment, ...] = ()
    metadata: dict[str, object] = field(default_factory=dict)
    send_at: datetime | None = None
    released: int = 0
    cancelled_at: datetime | None = None
    erased: bool = False
    version: str | None = field(default=None, compare=False)

    @property
    def via(self) -> Literal["outlook", "provider"]:
        """The door."""
        return self.sender.via

    @property
    def due_at(self) -> datetime:
        """When it begins."""
        return self.send_at or self.accepted_at

    @property
    def finished(self) -> bool:
        """Whether no email of it waits for its turn any more."""
        return self.released >= self.size or self.cancelled_at is not None or self.erased

    def blank(self) -> "Batch":
        """Without anybody's name and address, and nothing of it is sent any more. The same request still gets its answer."""
        return replace(
            self,
            sender=replace(self.sender, address=""),
            sender_name="",
            mailbox=None,
            subject="",
            letters=(),
            letters_name="",
            cc=(),
            bcc=(),
            in_reply_to="",
            references=(),
            files=(),
            metadata={},
            erased=True,
        )


def message_of(batch: Batch, letter: Letter, index: int) -> Message:
    """The `index`th email of a batch, as long as it waits for its turn, or was cancelled before."""
    message_id = ids.message_in_batch(batch.batch_id, index)
    return Message(
        message_id=message_id,
        account_id=batch.account_id,
        thread_id=thread_id_of(batch, letter, index),
        connection_id=batch.connection_id,
        user_id=batch.user_id,
        status=Status.CANCELLED if batch.cancelled_at else Status.QUEUED,
        direction="outbound",
        origin="crm",
        sender=Address(batch.sender.address, batch.sender_name),
        to=addresses(letter.to),
        cc=addresses(batch.cc),
        subject=batch.subject,
        accepted_at=batch.accepted_at,
        body_blob=batch.body_blob,
        contact_ids=tuple(dict.fromkeys(p.contact_id for p in _recipients(batch, letter) if p.contact_id)),
        involves_contact=True,
        attachments=tuple(
            replace(file, attachment_id=ids.attachment_id(message_id, i)) for i, file in enumerate(batch.files)
        ),
        in_reply_to=batch.in_reply_to,
        answers=bool(batch.thread_id),
        via=batch.via,
        send_at=batch.send_at,
        references=batch.references,
        quotes=batch.quotes,
        metadata=batch.metadata,
        outbox=Outbox(contacts=_recipients(batch, letter), bcc=addresses(batch.bcc)),
    )


def thread_of(batch: Batch, letter: Letter, index: int, now: datetime) -> Thread | None:
    """The thread that an email of a batch begins; None where it begins none."""
    if batch.mailbox is None or batch.thread_id or letter.problem:
        return None
    return Thread(
        thread_id=thread_id_of(batch, letter, index),
        account_id=batch.account_id,
        user_id=batch.user_id,
        connection_id=batch.connection_id,
        mailbox=batch.mailbox,
        subject=batch.subject,
        contacts=letter.to,
        participants=frozenset(p.key for p in _recipients(batch, letter)),
        started_at=now,
    )


def thread_id_of(batch: Batch, letter: Letter, index: int) -> str:
    """The thread of an email of a batch; empty for what goes through the provider, or can't go at all."""
    if batch.via == "provider" or letter.problem:
        return ""
    return batch.thread_id or ids.thread_id_of(ids.message_in_batch(batch.batch_id, index))


def answer(batch: Batch, letters: Sequence[Letter]) -> dict[str, object]:
    """What the call that asked for a batch is answered, each time alike. Of an erased one nobody's name is known any more."""
    shown: dict[str, object] = {
        "batch_id": batch.batch_id,
        "messages": [_accepted_json(batch, letter, i) for i, letter in enumerate(letters)],
        "sender": {"via": batch.sender.via, "address": batch.sender.address or None, "rule": batch.sender.rule},
    }
    return shown


def blank_letters(batch: Batch) -> tuple[Letter, ...]:
    """The letters of an erased batch."""
    return (Letter(()),) * batch.size


def counts(batch: Batch, released: Mapping[str, int]) -> dict[str, int]:
    """How many emails of a batch are in each status. `released`: of those that have had their turn."""
    shown = {status.value: 0 for status in Status if status is not Status.SYNCED}
    waiting = "cancelled" if batch.cancelled_at or batch.erased else "queued"
    return shown | dict(released) | {waiting: released.get(waiting, 0) + batch.size - sum(released.values())}


def _accepted_json(batch: Batch, letter: Letter, index: int) -> dict[str, object]:
    shown: dict[str, object] = {
        "message_id": ids.message_in_batch(batch.batch_id, index),
        "thread_id": thread_id_of(batch, letter, index) or None,
        "status": "failed" if letter.problem else "queued",
        "to": [{"address": p.address, "name": p.name or None, "contact_id": p.contact_id or None} for p in letter.to],
    }
    if letter.problem:
        shown["problem"] = {"code": "invalid_address", "detail": letter.problem}
    return shown


def _recipients(batch: Batch, letter: Letter) -> tuple[Contact, ...]:
    return (*letter.to, *batch.cc, *batch.bcc)
