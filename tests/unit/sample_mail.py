"""Values of the domain as the unit tests need them: a mailbox, a thread in it, an email. Every field can be changed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sync.domain.connection import Connection, Mailbox, State, Subscription
from sync.domain.event import Event
from sync.domain.mail import Address
from sync.domain.message import Attachment, Contact, Message, Status, Thread

NOW = datetime(2026, 11, 23, 9, 30, 15, 250_000, tzinfo=UTC)

ANNA = Address("anna@contoso.example", "Anna Berger")
KIM = Address("kim@customer.example", "Kim Lee")

MAILBOX = Mailbox(
    tenant_id="tenant-1",
    object_id="object-1",
    email="anna@contoso.example",
    display_name="Anna Berger",
    aliases=("a.berger@contoso.example",),
    home_account_id="object-1.tenant-1",
)


def connection(**changes: Any) -> Connection:
    """Anna's connected mailbox."""
    made = Connection(
        connection_id="con_1",
        account_id="acme",
        user_id="anna",
        mailbox=MAILBOX,
        state=State.CONNECTED,
        connected_at=NOW,
        subscription=Subscription("sub-1", NOW + timedelta(days=6), NOW + timedelta(days=3)),
        synced_through=NOW,
    )
    return replace(made, **changes)


def attachment(**changes: Any) -> Attachment:
    """A PDF that synced."""
    made = Attachment(
        attachment_id="att_aaaaaaaaaaaaaaaaaaaaaaaa_0",
        name="Offer.pdf",
        content_type="application/pdf",
        size_bytes=1_234,
        blob="acme/files/att_aaaaaaaaaaaaaaaaaaaaaaaa_0-0123",
    )
    return replace(made, **changes)


def message(**changes: Any) -> Message:
    """Kim's answer to an email that Anna sent from the CRM."""
    made = Message(
        message_id="msg_aaaaaaaaaaaaaaaaaaaaaaaa",
        account_id="acme",
        thread_id="thr_bbbbbbbbbbbbbbbbbbbbbbbb",
        connection_id="con_1",
        user_id="anna",
        status=Status.SYNCED,
        direction="inbound",
        origin="contact",
        sender=KIM,
        to=(ANNA,),
        cc=(),
        subject="RE: Offer",
        accepted_at=NOW,
        body_blob="acme/bodies/msg_aaaaaaaaaaaaaaaaaaaaaaaa-0123",
        contact_ids=("c-7",),
        sent_at=NOW - timedelta(seconds=5),
        received_at=NOW - timedelta(seconds=3),
        internet_message_id="<k1@customer.example>",
        in_reply_to="<a1@contoso.example>",
        matched_by="conversation",
        attachments=(attachment(),),
        graph_id="AAkALgA-1",
    )
    return replace(made, **changes)


def thread(**changes: Any) -> Thread:
    """The thread that Anna's email to Kim began."""
    made = Thread(
        thread_id="thr_bbbbbbbbbbbbbbbbbbbbbbbb",
        account_id="acme",
        user_id="anna",
        connection_id="con_1",
        mailbox=MAILBOX.identity,
        subject="Offer",
        contacts=(Contact(KIM.address, KIM.name, "c-7"),),
        participants=frozenset({KIM.key}),
        started_at=NOW,
    )
    return replace(made, **changes)


def event(**changes: Any) -> Event:
    """An event that waits for its first delivery."""
    made = Event(
        event_id="evt_0000000042abcdefghijkl",
        type="message.synced",
        account_id="acme",
        sequence=42,
        occurred_at=NOW,
        data={"message": {"message_id": "msg_aaaaaaaaaaaaaaaaaaaaaaaa"}},
    )
    return replace(made, **changes)
