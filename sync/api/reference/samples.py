"""
The story that the examples tell: Dana of Northwind offers chairs to Ada. Values of the domain, from which the code that answers
makes the examples.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sync.api import answers
from sync.domain import batch as batch_rule
from sync.domain import check, settings_page, sign_in, webhook
from sync.domain import event as event_rule
from sync.domain.batch import Batch, Letter
from sync.domain.body import Body
from sync.domain.connection import Connection, Erased, Mailbox, State, Subscription, disconnected, needs_reconnect
from sync.domain.event import Answer, Attempt, Event, EventType, Json, NewEvent
from sync.domain.explanation import Explanation
from sync.domain.failure import Poisoned
from sync.domain.mail import Address
from sync.domain.message import Attachment, Bounce, Contact, Message, Status, Thread, failed
from sync.domain.message import bounced as bounced_rule
from sync.domain.provider import Provider
from sync.domain.sender_rule import Sender
from sync.domain.thread_rule import Tried
from sync.domain.trouble import TROUBLES

NOW = datetime(2026, 11, 23, 14, 30, 27, 193_000, tzinfo=UTC)
APP = "https://sync.crm.example"

_DANA = Address("dana@northwind.example", "Dana Hill")
_ADA = Address("ada@customer.example", "Ada Quist")
_CONTACT = Contact(_ADA.address, _ADA.name, "c-17")
_BODY = Body("<p>Yes please!</p>", "Yes please!")
_SUBSCRIPTION = Subscription("7f105c7d", NOW + timedelta(days=6), NOW + timedelta(days=3))

CONNECTION = Connection(
    connection_id="con_95goylip1wsqfaxtncvdjuov",
    account_id="acme",
    user_id="dana",
    mailbox=Mailbox("", "", _DANA.address, _DANA.name),
    state=State.CONNECTED,
    connected_at=NOW - timedelta(days=3),
    subscription=_SUBSCRIPTION,
    synced_through=NOW,
    thread_count=12,
)
CONNECTING = replace(CONNECTION, state=State.CONNECTING, subscription=None, synced_through=None, thread_count=0)
_TROUBLE = TROUBLES["sign_in_expired"]
STOPPED = needs_reconnect(CONNECTION, "sign_in_expired", f"{_TROUBLE.cause} {_TROUBLE.what_to_do}")
ENDED = disconnected(replace(CONNECTION, erased=Erased(messages=31, attachments=4, events=33, anchors=120)), NOW)
WAITING = sign_in.SignInEnd(
    "admin_consent_required",
    NOW,
    "https://login.microsoftonline.com/organizations/v2.0/adminconsent?client_id=5f0c4d7e-2a6b-4a7e-9f0d-0a7b6c5d4e3f",
)
PROVIDER = Provider(
    account_id="acme",
    host="smtp.provider.example",
    port=587,
    security="starttls",
    sender=Address("offers@northwind.example", "Northwind"),
    domains=("northwind.example",),
    username="apikey",
    checked_at=NOW,
)

THREAD = Thread(
    thread_id="thr_ttdlgqoimhqfwz5bke6a2222",
    account_id="acme",
    user_id="dana",
    connection_id=CONNECTION.connection_id,
    mailbox=("", ""),
    subject="Our offer",
    contacts=(_CONTACT,),
    participants=frozenset(),
    started_at=NOW - timedelta(minutes=9),
)
SENT = Message(
    message_id="msg_ttdlgqoimhqfwz5bke6a2222",
    account_id="acme",
    thread_id=THREAD.thread_id,
    connection_id=CONNECTION.connection_id,
    user_id="dana",
    status=Status.SENT,
    direction="outbound",
    origin="crm",
    sender=_DANA,
    to=(_ADA,),
    cc=(),
    subject="Our offer",
    accepted_at=NOW - timedelta(minutes=9),
    body_blob="",
    contact_ids=("c-17",),
    sent_at=NOW - timedelta(minutes=8),
    internet_message_id="<CA472D5A0463B9377BE98BCE7E19D324@northwind.example>",
    attachments=(Attachment("att_ttdlgqoimhqfwz5bke6a2222_0", "offer.txt", "text/plain", 10),),
    metadata={"deal": 4711},
)
SENT_BODY = Body("<p>Dear Ada, here is our offer.</p>", None)
UNSENT = replace(SENT, status=Status.QUEUED, sent_at=None, internet_message_id="", send_at=NOW + timedelta(days=1))
FAILED = failed(
    SENT,
    "ErrorQuotaExceeded",
    "The mailbox is full, so that nothing can be sent.",
    "Delete or archive mail, then send again.",
)
BOUNCED = bounced_rule(
    SENT,
    (
        Bounce(
            _ADA.address,
            "5.1.10",
            "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
        ),
    ),
    "The email did not reach ada@customer.example.",
    "Check the address for typing mistakes, or ask the recipient for the right one, and send again.",
)
REPLY = Message(
    message_id="msg_rk6thgpneqawaj7bszgogrbq",
    account_id="acme",
    thread_id=THREAD.thread_id,
    connection_id=CONNECTION.connection_id,
    user_id="dana",
    status=Status.SYNCED,
    direction="inbound",
    origin="contact",
    sender=_ADA,
    to=(_DANA,),
    cc=(),
    subject="Re: Our offer",
    accepted_at=NOW,
    body_blob="",
    contact_ids=("c-17",),
    sent_at=NOW - timedelta(seconds=2),
    received_at=NOW - timedelta(seconds=1),
    internet_message_id="<14D7A8D23EE7565ED44FB55D86805C37@customer.example>",
    in_reply_to=SENT.internet_message_id,
    matched_by="conversation",
    attachments=(
        Attachment(
            "att_rk6thgpneqawaj7bszgogrbq_0",
            "a.exe",
            "application/octet-stream",
            2,
            status="skipped",
            reason="type_not_allowed",
        ),
    ),
)

BATCH = Batch(
    batch_id="bat_aqzopqrofnkwujiyj6uo",
    account_id="acme",
    user_id="dana",
    kind="bulk",
    sender=Sender("outlook", _DANA.address, "bulk_from_outlook"),
    sender_name=_DANA.name,
    size=2,
    subject="New chairs",
    body_blob="",
    accepted_at=NOW,
    connection_id=CONNECTION.connection_id,
    mailbox=("", ""),
)
_LETTERS = (
    Letter((_CONTACT,)),
    Letter((Contact("nobody at all", "", "c-18"),), "This is no email address: An email address must have an @-sign."),
)
_ONE = replace(
    BATCH,
    batch_id="bat_ttdlgqoimhqfwz5bke6a",
    kind="individual",
    sender=Sender("outlook", _DANA.address, "individual_outlook"),
    size=1,
)
_COUNTS = {"queued": 0, "sending": 0, "sent": 1, "failed": 1, "bounced": 0, "cancelled": 0}


def accepted() -> Json:
    """What the send of one email is answered."""
    return batch_rule.answer(_ONE, _LETTERS[:1])


def accepted_bulk() -> Json:
    """What a bulk send is answered."""
    return batch_rule.answer(BATCH, _LETTERS)


def batch() -> Json:
    """How far the bulk send is, with its emails."""
    sent = replace(batch_rule.message_of(BATCH, _LETTERS[0], 0), status=Status.SENT)
    no_address = failed(batch_rule.message_of(BATCH, _LETTERS[1], 1), "invalid_address", _LETTERS[1].problem)
    return answers.batch_json(BATCH, _COUNTS, [sent, no_address])


def cancelled_batch() -> Json:
    """The bulk send, taken back before any of it went."""
    counts = _COUNTS | {"sent": 0, "failed": 1, "cancelled": 1}
    return answers.batch_json(replace(BATCH, send_at=NOW + timedelta(days=1), cancelled_at=NOW), counts)


def explanation() -> Json:
    """Mail of the same conversation from somebody the thread doesn't know."""
    tried = (
        Tried(
            "conversation_index", "6f0d3c1b9a8e4f5d8c7b6a5948372615", False, "the conversation index leads to no thread"
        ),
        Tried("conversation", "AAQkAGI1ZWI3", True, "the conversation id leads to a thread"),
    )
    why = "only the conversation id matches, and nobody on the message is known to the thread"
    return answers.explanation_json(Explanation(why, keys=tried))


def settings_view() -> Json:
    """The page of a user whose mailbox is connected."""
    return answers.settings_json(settings_page.View(CONNECTION, None, NOW))


_EVENTS: dict[EventType, NewEvent] = {
    "connection.connected": event_rule.connection_event("connection.connected", CONNECTION, "", NOW),
    "connection.updated": event_rule.connection_event(
        "connection.updated",
        CONNECTION,
        "",
        NOW,
        previous_connection_id="con_1f0lw3x5sdqbmxn2r8zkqpaa",
        previous_email="dana.hill@northwind.example",
    ),
    "connection.disconnected": event_rule.connection_event("connection.disconnected", ENDED, "", NOW),
    "connection.needs_reconnect": event_rule.connection_event(
        "connection.needs_reconnect",
        STOPPED,
        "",
        NOW,
        reason="sign_in_expired",
        cause=_TROUBLE.cause,
        what_to_do=_TROUBLE.what_to_do,
    ),
    "message.sent": event_rule.message_event("message.sent", SENT, SENT_BODY, NOW),
    "message.failed": event_rule.message_event("message.failed", replace(FAILED, sent_at=None), SENT_BODY, NOW),
    "message.bounced": event_rule.message_event("message.bounced", BOUNCED, SENT_BODY, NOW),
    "message.synced": event_rule.message_event("message.synced", REPLY, _BODY, NOW),
}
_PLACES = {kind: i for i, kind in enumerate(_EVENTS, start=1)}


def event(kind: EventType) -> Event:
    """An event of this type."""
    if kind == "webhook.test":
        return event_rule.webhook_test("Rr2y0mFqT1d8m4o7cXvZkQ9a", NOW)
    place, told = _PLACES[kind], _EVENTS[kind]
    return Event(f"evt_000000000{place}p7wql3oovbfi", kind, "acme", place, NOW, told.data)


def events() -> Json:
    """The end of a feed, with an event whose content was erased."""
    gone = event_rule.erased(event("message.sent"))
    return answers.events_json([gone, event("message.synced")], 4, has_more=False)


def delivered() -> Json:
    """An event that waits for its next try."""
    tried = Attempt(NOW, 0.213, 503, answer="Service Unavailable")
    waits = event_rule.attempted(event("connection.connected"), tried, "pending", NOW + timedelta(seconds=5))
    return answers.event_json(waits)


def webhook_off() -> Json:
    """Deliveries that the CRM's 410 switched off."""
    off = webhook.Webhook(
        "",
        state="off",
        reason=webhook.GONE,
        since=NOW,
        last_accepted_at=NOW - timedelta(hours=2),
        last_failure=webhook.Failure(NOW, 410),
    )
    return answers.webhook_json(off, 12)


def webhook_on() -> Json:
    """Deliveries that go well."""
    return answers.webhook_json(webhook.Webhook("", since=NOW, last_accepted_at=NOW), 0)


def webhook_tested() -> Json:
    """A test that the CRM took."""
    return answers.webhook_test_json(event("webhook.test"), Answer(204, 0.04))


def status() -> Json:
    """An app whose CRM was down for a moment, with one piece of work that was given up."""
    checks = [
        check.storage({"tables": None, "queues": None, "blobs": None}),
        check.key_vault(()),
        check.entra_credential(None, asked=True),
        check.graph(401),
        check.notification_address(200, echoed=True),
        check.notification_certificate(None, NOW),
        check.crm_webhook("on", "", Answer(503, 0.04)),
    ]
    given_up = Poisoned(
        "mail-changes",
        {"connection_id": CONNECTION.connection_id, "graph_id": "AAkALgAAAAAAHYQDEapm", "tries": 0, "passed_on": False},
        NOW,
        "JSONDecodeError at decoder.py:363 < rows.py:43 < connections.py:33",
        5,
    )
    waiting = {"mail-changes": 0, "mail-changes-poison": 1, "crm-deliveries": 3}
    connections = {state.value: 0 for state in State} | {"connected": 12}
    return answers.status_json(waiting, connections, [given_up], checks)
