"""A message and its thread: what is taken over from the mailbox, and whom a thread knows."""

from dataclasses import replace
from datetime import timedelta

import pytest

from sync.domain.mail import Address, MailboxMessage, ThreadKeys
from sync.domain.message import (
    Contact,
    Message,
    Outbox,
    Status,
    confirmed,
    failed,
    found_in_mailbox,
    heading,
    leased,
    released,
)
from tests.unit.sample_mail import ANNA, KIM, MAILBOX, NOW, message, thread

MAIL = MailboxMessage(
    "AAkALgA-1",
    ThreadKeys("<k1@customer.example>", "<a1@contoso.example>"),
    "RE: Offer",
    KIM,
    to=(ANNA,),
    sent_at=NOW - timedelta(seconds=5),
    received_at=NOW - timedelta(seconds=3),
)


def found(mail: MailboxMessage) -> Message:
    """The message that is stored for mail of Anna's mailbox."""
    return found_in_mailbox(
        mail,
        thread(),
        "conversation",
        message_id="msg_aaaaaaaaaaaaaaaaaaaaaaaa",
        own_addresses=MAILBOX.own_addresses,
        body_blob=message().body_blob,
        attachments=message().attachments,
        now=NOW,
    )


def test_mail_of_a_thread_is_taken_over_whole() -> None:
    """Every field of the mail that the contract tells is kept."""
    assert found(MAIL) == message()


def test_where_the_sender_wants_answers_is_kept_and_is_nobody_of_the_thread() -> None:
    """A Reply-To says where answers go; who is named only there neither wrote the mail nor got it."""
    desk = Address("desk@customer.example", "Desk")
    mail = replace(MAIL, reply_to=(desk,))
    assert found(mail) == message(reply_to=(desk,))
    assert desk.key not in mail.participants


@pytest.mark.parametrize(
    ("sender", "direction", "origin"),
    [
        (KIM, "inbound", "contact"),
        (ANNA, "outbound", "outlook"),
        (Address("A.BERGER@contoso.example"), "outbound", "outlook"),
        (Address("ben@contoso.example"), "inbound", "contact"),
        (None, "inbound", "contact"),
    ],
)
def test_direction_is_the_owners(sender: Address | None, direction: str, origin: str) -> None:
    """What any of the mailbox's own addresses wrote is outbound; everything else, a colleague's too, comes in."""
    kept = found(replace(MAIL, sender=sender))
    assert (kept.direction, kept.origin) == (direction, origin)


def test_an_internal_forward_involves_no_contact() -> None:
    """Nobody of the thread's contacts wrote or got it, so it is nobody's in the CRM."""
    kept = found(replace(MAIL, sender=ANNA, to=(Address("ben@contoso.example"),)))
    assert (kept.involves_contact, kept.contact_ids) == (False, ())


def test_contacts_of_a_message() -> None:
    """Each contact on it once, in the thread's order; one without an id of the CRM involves a contact without naming one."""
    among = thread(
        contacts=(
            Contact("lee@client.example", "Lee", "c-9"),
            Contact("KIM@customer.example", "Kim", "c-7"),
            Contact("kim.2@customer.example", "Kim", "c-7"),
            Contact("max@client.example"),
        )
    )
    everybody = frozenset({"kim@customer.example", "kim.2@customer.example", "lee@client.example"})
    assert among.contact_ids_among(everybody) == ("c-9", "c-7")
    only_max = frozenset({"max@client.example"})
    assert among.contact_ids_among(only_max) == ()
    assert among.involves_contact(only_max)
    assert not among.involves_contact(frozenset({"anna@contoso.example"}))


def test_a_thread_learns_who_is_on_it() -> None:
    """New people are added once; where nobody is new it is the same thread, and no row is written."""
    before = thread()
    lee = Contact("lee@client.example", "Lee", "c-9")
    after = before.with_people([lee, Contact("KIM@customer.example", "Kimberly")], frozenset({"lee@client.example"}))
    assert after.contacts == (*before.contacts, lee)
    assert after.participants == {"kim@customer.example", "lee@client.example"}
    assert after.with_people([lee], frozenset({"lee@client.example"})) is after


@pytest.mark.parametrize("status", Status)
def test_which_statuses_are_final(status: Status) -> None:
    """Only what is queued or on its way is worked on."""
    assert status.final is (status not in (Status.QUEUED, Status.SENDING))


QUEUED = message(
    status=Status.QUEUED,
    origin="crm",
    direction="outbound",
    sender=ANNA,
    sent_at=None,
    received_at=None,
    matched_by=None,
)


def test_a_sent_email_takes_what_the_mailbox_knows() -> None:
    """Ids and times of the copy in Sent Items count; what it lacks stays, and an old problem goes."""
    trouble = replace(QUEUED, problem_code="x", problem="y", status=Status.SENDING)
    sent = confirmed(trouble, replace(MAIL, sender=Address("a.berger@contoso.example"), graph_id="AAk9"))
    assert (sent.status, sent.graph_id, sent.sent_at) == (Status.SENT, "AAk9", MAIL.sent_at)
    assert sent.sender == Address("a.berger@contoso.example")
    assert (sent.problem_code, sent.problem) == ("", "")
    bare = confirmed(QUEUED, MailboxMessage("AAk9", ThreadKeys(), "", None, received_at=NOW))
    assert (bare.sender, bare.sent_at, bare.internet_message_id) == (ANNA, NOW, QUEUED.internet_message_id)


def test_failing_and_leasing_keep_everything_else() -> None:
    """Each step writes only what it is about."""
    assert failed(QUEUED, "code", "words") == replace(
        QUEUED, status=Status.FAILED, problem_code="code", problem="words"
    )
    with_draft = replace(QUEUED, outbox=Outbox(draft_id="AAk2", tries=1))
    under_way = leased(with_draft, NOW)
    assert under_way == replace(QUEUED, status=Status.SENDING, outbox=Outbox(draft_id="AAk2", tries=1, lease_until=NOW))
    assert released(under_way, tries=2).outbox == Outbox(draft_id="AAk2", tries=2)
    assert leased(QUEUED, NOW).outbox == Outbox(lease_until=NOW)


def test_when_a_message_happened() -> None:
    """The time it was sent, else received, else accepted."""
    assert message().at == message().sent_at
    assert message(sent_at=None).at == message().received_at
    assert QUEUED.at == QUEUED.accepted_at


def test_what_stands_over_a_quote() -> None:
    """As Outlook writes it; lines with nothing to say are left out, and no address stands there twice."""
    assert heading(message(to=(ANNA, Address("ben@contoso.example", "Ben@contoso.example")))) == {
        "From": "Kim Lee <kim@customer.example>",
        "Sent": "2026-11-23 09:30 UTC",
        "To": "Anna Berger <anna@contoso.example>; ben@contoso.example",
        "Subject": "RE: Offer",
    }
    assert list(heading(message(sender=None, to=(), cc=(KIM,), subject=""))) == ["Sent", "Cc"]
