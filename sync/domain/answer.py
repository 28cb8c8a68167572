"""
An answer into a thread: to whom it goes where its sender named nobody, and what it refers to.

It answers the thread's last message, as a person would who presses Reply (RFC 5322 3.6.2 and 3.6.3): a message of the contact
goes back to where the contact wants answers, one of the user's own goes to its recipients again, and nobody writes to themselves.
"""

from collections.abc import Iterable

from sync.domain.mail import Address
from sync.domain.message import Contact, Message

#: Message-IDs in a References header: the first, which names the thread, and the newest. RFC 5322 3.6.4 allows any number,
#: but the header grows with each answer, and some servers refuse or cut one that is too long.
MAX_REFERENCES = 12


def recipients(
    last: Message, *, own_addresses: frozenset[str], contacts: tuple[Contact, ...]
) -> tuple[tuple[Contact, ...], tuple[Contact, ...]]:
    """
    To and Cc of an answer to this message, each address once; both empty where there is nobody but the user.

    `own_addresses`: the address keys of the user's mailbox. `contacts`: the thread's, who are known by name and id.
    """
    known = {contact.key: contact for contact in contacts}
    seen = set(own_addresses)

    def others(people: Iterable[Address]) -> tuple[Contact, ...]:
        found = []
        for person in people:
            if person.key and person.key not in seen:
                seen.add(person.key)
                contact = known.get(person.key)
                name = person.name or (contact.name if contact else "")
                found.append(Contact(person.address, name, contact.contact_id if contact else ""))
        return tuple(found)

    cc: tuple[Contact, ...] = ()
    if last.direction == "inbound":
        to = others(last.reply_to) or others([last.sender] if last.sender else [])
    else:
        to, cc = others(last.to), others(last.cc)
    if not to:
        to, cc = cc, ()  # somebody is addressed, not only copied
    return to or others(Address(contact.address, contact.name) for contact in contacts), cc


def references(messages: Iterable[Message]) -> tuple[str, ...]:
    """The Message-IDs of a thread's messages, given oldest first, for the References header of an answer (RFC 5322 3.6.4)."""
    found = tuple(dict.fromkeys(m.internet_message_id for m in messages if m.internet_message_id))
    return found if len(found) <= MAX_REFERENCES else (found[0], *found[1 - MAX_REFERENCES :])
