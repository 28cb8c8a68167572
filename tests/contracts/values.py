"""Values to store, each with what a test varies."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sync.domain import ids
from sync.domain.batch import Batch, Letter
from sync.domain.connection import Connection, Mailbox, State, Subscription
from sync.domain.event import NewEvent
from sync.domain.mail import Address
from sync.domain.message import Attachment, Contact, Message, Outbox, Status, Thread
from sync.domain.outgoing import AcceptedSend
from sync.domain.sender_rule import Sender
from sync.domain.sign_in import SignIn, Step

NOW = datetime(2026, 3, 2, 9, 0, 0, 123456, tzinfo=UTC)
ACCOUNT = "acme"


def message(
    name: str, thread_id: str = "thr_1", account_id: str = ACCOUNT, minutes: int = 0, **changes: Any
) -> Message:
    """A message with every kind of field filled, `minutes` after the first."""
    at = NOW + timedelta(minutes=minutes)
    made = Message(
        message_id=f"msg_{name}",
        account_id=account_id,
        thread_id=thread_id,
        connection_id="con_1",
        user_id="u1",
        status=Status.QUEUED,
        direction="outbound",
        origin="crm",
        sender=Address("dana@crm.example", "Dana"),
        to=(Address("ada@world.example", "Ada Ünï 🎈"),),
        cc=(),
        subject="Offer",
        accepted_at=at,
        sent_at=at,
        body_blob="blob",
        contact_ids=("c-1",),
        attachments=(Attachment("att_1", "a.pdf", "application/pdf", 7, blob="b"),),
        metadata={"campaign": 7, "nested": {"list": [1, "two", None]}},
        outbox=Outbox(contacts=(Contact("ada@world.example", "Ada", "c-1"),), send_asked_at=at),
    )
    return replace(made, **changes)


def thread(name: str, account_id: str = ACCOUNT, user_id: str = "u1", contacts: tuple[str, ...] = ("c-1",)) -> Thread:
    """A thread with these contacts, by their ids."""
    return Thread(
        thread_id=f"thr_{name}",
        account_id=account_id,
        user_id=user_id,
        connection_id="con_1",
        mailbox=("tenant", "object"),
        subject="Offer",
        contacts=tuple(Contact(f"{i}@world.example", f"N {i}", contact_id) for i, contact_id in enumerate(contacts)),
        participants=frozenset({"ada@world.example", "dana@crm.example"}),
        started_at=NOW,
    )


def accepted(key: str, name: str = "first") -> AcceptedSend:
    """What is kept under an idempotency key."""
    return AcceptedSend(key, f"hash of {name}", batch_id(name), "u1")


def batch_id(name: str) -> str:
    """The id of a batch with this name, of its form."""
    return f"bat_{name.translate(str.maketrans('01', 'op')):a<20}"


def batch(name: str, account_id: str = ACCOUNT, user_id: str = "u1", **changes: Any) -> Batch:
    """A batch with every kind of field filled."""
    made = Batch(
        batch_id=batch_id(name),
        account_id=account_id,
        user_id=user_id,
        kind="bulk",
        sender=Sender("outlook", "dana@crm.example", "bulk_from_outlook"),
        sender_name="Dana Ünï",
        size=3,
        subject="News 🎈",
        body_blob="blob",
        accepted_at=NOW,
        connection_id="con_1",
        mailbox=("tenant", "object"),
        letters=(Letter((Contact("ada@world.example", "Ada", "c-1"),)), Letter((Contact("?", "", ""),), "no address")),
        letters_name="letters",
        references=("<1@x>", "<2@x>"),
        files=(Attachment("att_1", "a.pdf", "application/pdf", 7, blob="b"),),
        metadata={"campaign": 7, "nested": {"list": [1, "two", None]}},
        send_at=NOW + timedelta(days=3),
    )
    return replace(made, **changes)


def of_batch(of: Batch, index: int, **changes: Any) -> Message:
    """A message of a batch."""
    message_id = ids.message_in_batch(of.batch_id, index)
    made = message(f"{index}", ids.thread_id_of(message_id), of.account_id)
    return replace(made, message_id=message_id, **changes)


def new_event(once: str, account_id: str = ACCOUNT) -> NewEvent:
    """Something to tell."""
    return NewEvent(account_id, "message.synced", once, NOW, {"message": {"about": once, "text": "Grüße 🎈"}})


def connection(connection_id: str = "con_1", user_id: str = "u1", **changes: Any) -> Connection:
    """A connection with every field filled."""
    made = Connection(
        connection_id=connection_id,
        account_id=ACCOUNT,
        user_id=user_id,
        mailbox=Mailbox("tenant", "object", "dana@crm.example", "Dana", ("d@crm.example",), "object.tenant"),
        state=State.CONNECTED,
        connected_at=NOW,
        subscription=Subscription("sub", NOW + timedelta(days=7), NOW + timedelta(days=3)),
        synced_through=NOW,
    )
    return replace(made, **changes)


def sign_in(sign_in_id: str = "abc", **changes: Any) -> SignIn:
    """A sign-in that was just begun."""
    made = SignIn(sign_in_id, ACCOUNT, "u1", "https://crm.example/", "", Step.NEW, NOW, "hash")
    return replace(made, **changes)
