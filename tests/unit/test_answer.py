"""Whom an answer goes to where nobody was named, and what its References header names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.answer import MAX_REFERENCES, recipients, references
from sync.domain.mail import Address
from sync.domain.message import Contact, Message
from tests.unit.sample_mail import ANNA, KIM, MAILBOX, message

BEN, DESK = Address("ben@contoso.example", "Ben"), Address("desk@customer.example", "Desk")
ALIAS = Address("A.Berger@contoso.example")
CONTACTS = (Contact(KIM.address, KIM.name, "c-7"), Contact("lou@customer.example", "Lou", "c-8"))
KIM_TOO, LOU = CONTACTS
OWN = MAILBOX.own_addresses


def people(*addresses: Address) -> tuple[Contact, ...]:
    """Somebody whom the CRM does not know."""
    return tuple(Contact(a.address, a.name) for a in addresses)


def by_contact(**changes: object) -> Message:
    """A message of the contact."""
    return message(**changes)


def by_user(**changes: object) -> Message:
    """A message that the user wrote in Outlook."""
    return message(direction="outbound", origin="outlook", sender=ANNA, **changes)


def by_crm(**changes: object) -> Message:
    """A message that was sent from the CRM, from an alias."""
    return message(direction="outbound", origin="crm", sender=ALIAS, **changes)


CASES: list[tuple[str, Message, tuple[Contact, ...], tuple[Contact, ...]]] = [
    ("the contact wrote", by_contact(), (KIM_TOO,), ()),
    ("to several: a reply is not a reply to all", by_contact(to=(ANNA, BEN), cc=(DESK,)), (KIM_TOO,), ()),
    ("wants answers elsewhere", by_contact(reply_to=(DESK,)), people(DESK), ()),
    ("wants answers in two places", by_contact(reply_to=(DESK, KIM, DESK)), (*people(DESK), KIM_TOO), ()),
    ("wants answers from the user: an empty promise", by_contact(reply_to=(ANNA, ALIAS)), (KIM_TOO,), ()),
    ("wants answers from the user and a desk", by_contact(reply_to=(ANNA, DESK)), people(DESK), ()),
    ("a colleague wrote", by_contact(sender=BEN), people(BEN), ()),
    ("nobody is named as sender", by_contact(sender=None), CONTACTS, ()),
    ("the user is named as sender", by_contact(sender=ALIAS), CONTACTS, ()),
    (
        "without a name",
        by_contact(sender=Address("KIM@customer.example")),
        (Contact("KIM@customer.example", "Kim Lee", "c-7"),),
        (),
    ),
    ("the user wrote", by_user(to=(KIM,)), (KIM_TOO,), ()),
    ("the user wrote to all", by_user(to=(KIM, ANNA), cc=(BEN, ALIAS, DESK)), (KIM_TOO,), people(BEN, DESK)),
    ("somebody is in both", by_user(to=(KIM, KIM), cc=(KIM, BEN, BEN)), (KIM_TOO,), people(BEN)),
    ("the user's Reply-To is not for the user", by_user(to=(KIM,), reply_to=(DESK,)), (KIM_TOO,), ()),
    ("to oneself", by_user(to=(ANNA,)), CONTACTS, ()),
    ("to an alias of oneself", by_user(to=(ALIAS,)), CONTACTS, ()),
    ("to oneself, others in copy", by_user(to=(ANNA,), cc=(BEN,)), people(BEN), ()),
    ("only blind copies", by_user(to=(), cc=()), CONTACTS, ()),
    ("the CRM wrote", by_crm(to=(KIM,), cc=(BEN,)), (KIM_TOO,), people(BEN)),
    (
        "the CRM wrote to another contact",
        by_crm(to=(Address("LOU@customer.example"),)),
        (Contact("LOU@customer.example", "Lou", "c-8"),),
        (),
    ),
]


@pytest.mark.parametrize(("last", "to", "cc"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_whom_an_answer_goes_to(last: Message, to: tuple[Contact, ...], cc: tuple[Contact, ...]) -> None:
    """Back to the contact, or to the same people again; known contacts keep name and id."""
    assert recipients(last, own_addresses=OWN, contacts=CONTACTS) == (to, cc)


def test_nobody_is_left() -> None:
    """A thread whose only person is the user has nobody to answer to."""
    own = (Contact(ANNA.address, ANNA.name, "c-1"),)
    assert recipients(by_user(to=(ANNA,)), own_addresses=OWN, contacts=own) == ((), ())


somebody = st.sampled_from(
    [ANNA, ALIAS, KIM, BEN, DESK, Address("ANNA@contoso.example"), Address("lou@customer.example")]
)
several = st.lists(somebody, max_size=4).map(tuple)


@given(several, several, several, st.none() | somebody, st.sampled_from(["inbound", "outbound"]))
def test_an_answer_never_goes_to_oneself_nor_twice_to_anybody(
    to: tuple[Address, ...], cc: tuple[Address, ...], reply_to: tuple[Address, ...], sender: Address | None, way: str
) -> None:
    """Whatever the last message says; and where there is a contact, somebody gets it."""
    last = message(to=to, cc=cc, reply_to=reply_to, sender=sender, direction=way)
    found, copies = recipients(last, own_addresses=OWN, contacts=CONTACTS)
    keys = [person.key for person in (*found, *copies)]
    assert len(keys) == len(set(keys))
    assert not OWN & set(keys)
    assert found


def with_id(number: int) -> Message:
    """A message of the thread with its Message-ID."""
    return message(internet_message_id=f"<{number}@x.example>")


@pytest.mark.parametrize(
    ("messages", "named"),
    [
        ([], ()),
        ([message(internet_message_id="")], ()),
        ([with_id(1), with_id(2)], ("<1@x.example>", "<2@x.example>")),
        ([with_id(1), message(internet_message_id=""), with_id(1), with_id(2)], ("<1@x.example>", "<2@x.example>")),
        ([with_id(n) for n in range(12)], tuple(f"<{n}@x.example>" for n in range(12))),
        ([with_id(n) for n in range(40)], ("<0@x.example>", *(f"<{n}@x.example>" for n in range(29, 40)))),
    ],
)
def test_what_an_answer_refers_to(messages: list[Message], named: tuple[str, ...]) -> None:
    """Oldest first, each once; of a long thread its first message and the newest."""
    assert references(messages) == named
    assert len(named) <= MAX_REFERENCES
