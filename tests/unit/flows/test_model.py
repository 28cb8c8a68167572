"""
Hypothesis drives the product, and a book (product.py) that was written independently of `sync` says what the CRM must have heard.

After each step nothing wrong was told. Once everything has come to rest, all that had to be told was told: each message of a
talk once, with the right thread, direction and origin; every email left once at most and has one outcome; the feed has no hole;
and of mail outside every talk nothing is stored.
"""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sync.domain.connection import DefaultSender
from sync.domain.errors import (
    ConnectionNeedsReconnect,
    Declined,
    IdempotencyKeyReused,
    NotCancellable,
    NotFound,
    ThreadStopped,
    Throttled,
    Unclear,
)
from sync.domain.event import Answer
from sync.domain.mail import ThreadKeys
from sync.domain.message import Contact
from sync.domain.outgoing import Outgoing
from sync.flows import default_sender
from tests.unit.flows.conftest import DANA
from tests.unit.flows.erasing import BOB
from tests.unit.flows.product import Letter, Link, Mail, Talk, Word
from tests.unit.flows.product_told import Told
from tests.unit.flows.product_world import Answering, Notices, body_with
from tests.unit.flows.provider_world import PROVIDER
from tests.unit.flows.world import ACCOUNT

pytestmark = pytest.mark.long

USERS = st.sampled_from(["u1", "u2"])
MAILBOXES = st.sampled_from([DANA, BOB])
PICK = st.integers(0, 50)
LATER = st.sampled_from([None, None, timedelta(minutes=30), timedelta(hours=3)])
CALLS = st.sampled_from(
    ["mail.*", "mail.send", "mail.create_*", "mail.keys", "mail.content", "tokens.*", "subscriptions.*"]
)
REFUSABLE = st.sampled_from(["mail.create_*", "mail.find_stamped", "mail.send"])
COLLEAGUE = "carl@crm.example"

MIN_STEPS = 2_000


class Product(Told):
    """Everything that people, the CRM, Microsoft and the weather can do, in any order."""

    @invariant()
    def counts(self) -> None:
        """How many steps there were."""
        Product.steps += 1

    # Connections.

    @initialize(rest=st.booleans())
    def a_talk_has_begun(self, rest: bool) -> None:
        """Most stories begin with a connection and an email. The account has a provider."""
        self.run(self.world.providers.save(PROVIDER))
        self.signs_in("u1", DANA)
        self.sends("u1", "individual", None)
        if rest:
            self.a_little_time_passes(1)

    @rule(user=USERS, email=MAILBOXES)
    def signs_in(self, user: str, email: str) -> None:
        """A user signs in: to connect, to update to another mailbox, or again to the same."""
        code = self.run(self.world.completion_code(email, user))
        connection = self.run(self.world.connect.complete(ACCOUNT, user, code))
        self.book.signed_in(user, email, connection.connection_id, self.look())

    @rule(email=MAILBOXES)
    def is_refused(self, email: str) -> None:
        """A change of password."""
        self.world.people.revoke(email)
        self.book.refused(email)

    @precondition(lambda self: any(link.live for link in self.book.links))
    @rule(pick=PICK, erase=st.booleans())
    def is_deleted(self, pick: int, erase: bool) -> None:
        """The user's connection ends, and what was synced is erased or not."""
        link = _one([link for link in self.book.links if link.live], pick)
        self.look()
        if erase:
            self.run(self.world.erase.erase(ACCOUNT, link.user))
            self.book.erased(link.user)
        else:
            self.run(self.world.disconnect.delete(ACCOUNT, link.user))
        link.deleted = True
        self.book.ended(link, self.look())
        if erase:
            self.said = [place for place in self.said if place[1].user != link.user]

    @precondition(lambda self: any(link.live for link in self.book.links))
    @rule(pick=PICK, door=st.sampled_from(["outlook", "provider"]))
    def chooses_default_sender(self, pick: int, door: str) -> None:
        """The settings page."""
        link = _one([link for link in self.book.links if link.live], pick)
        self.run(default_sender.choose(self.world.connections, ACCOUNT, link.user, DefaultSender(door)))
        link.default_sender = door

    # What the CRM sends.

    @rule(user=USERS, kind=st.sampled_from(["individual", "individual", "workflow"]), later=LATER)
    def sends(self, user: str, kind: Any, later: timedelta | None) -> None:
        """One email, at once or later."""
        number = self.number()
        to = (Contact(f"c{number}@world.example", "", f"c-{number}"),)
        self._send(user, self.book.door(kind, user, own_address=False), kind, to, f"Offer {number}", later)

    @rule(user=USERS, own=st.booleans(), size=st.integers(1, 4), later=LATER)
    def sends_in_bulk(self, user: str, own: bool, size: int, later: timedelta | None) -> None:
        """One email to each, from the mailbox's own address or a blank one."""
        number = self.number()
        to = tuple(Contact(f"c{number}-{i}@world.example", "", f"c-{number}-{i}") for i in range(size))
        link = self.book.current(user)
        own_address = link.email if own and link is not None else ""
        door = self.book.door("bulk", user, own_address=bool(own_address))
        self._send(user, door, "bulk", to, f"News {number}", later, from_address=own_address)

    @precondition(lambda self: bool(self.book.talks))
    @rule(pick=PICK, later=LATER)
    def answers(self, pick: int, later: timedelta | None) -> None:
        """The CRM writes into a talk, perhaps one that has stopped."""
        talk = _one(list(self.book.talks.values()), pick)
        to = (Contact(talk.contact, "", "c"),)
        door = self.book.door("individual", talk.user, own_address=False)
        if not self.book.can_answer(talk):
            door = "stopped"
        subject = talk.subject if door == "outlook" else f"Offer {self.number()}"
        self._send(talk.user, door, "individual", to, subject, later, talk=talk)

    def _send(
        self,
        user: str,
        door: str,
        kind: Any,
        to: tuple[Contact, ...],
        subject: str,
        later: timedelta | None,
        *,
        talk: Talk | None = None,
        from_address: str | None = None,
    ) -> None:
        send_at = self.world.clock() + later if later else None
        asked = Outgoing(
            kind,
            user,
            to,
            subject,
            "<p>Hi</p>",
            from_address=from_address,
            thread_id=talk.thread_id if talk else None,
            send_at=send_at,
        )
        key = f"key-{self.number()}"
        try:
            answer = self.run(self.world.accept.accept(ACCOUNT, key, asked, f"hash of {key}"))
        except ConnectionNeedsReconnect:
            link = self.book.current(user)
            assert link is not None
            assert not link.signed_in
            return
        except ThreadStopped:
            assert door == "stopped"
            return
        except NotFound:
            # An email of a bulk send begins its thread when its turn comes.
            assert talk is not None
            assert not any(
                letter.outcome == "message.sent" for letter in self.book.letters.values() if letter.talk is talk
            )
            return
        assert door != "stopped"
        self.asked.append((key, asked, answer, user))
        link = self.book.current(user)
        via: Any = answer["sender"]
        # Until the app finds out that a sign-in is refused, it takes emails that wait for the next one.
        assert via["via"] == ("provider" if door == "provider" else "outlook")
        sure = door != "refused"
        told: Any = answer["messages"]
        self.batches[str(answer["batch_id"])] = [one["message_id"] for one in told]
        for one, contact in zip(told, to, strict=True):
            self._accepted(one, contact, user, subject, link if via["via"] == "outlook" else None, talk, sure)

    def _accepted(
        self,
        one: dict[str, Any],
        contact: Contact,
        user: str,
        subject: str,
        link: Link | None,
        talk: Talk | None,
        sure: bool,
    ) -> None:
        letter_talk: Talk | None = None
        if link is None:
            assert one["thread_id"] is None
        elif talk is not None:
            assert one["thread_id"] == talk.thread_id
            self.book.answered(talk, link)
            letter_talk = talk
        else:
            letter_talk = Talk(one["thread_id"], user, link.email, subject, contact.address, link)
            assert one["thread_id"] not in self.book.talks
            self.book.talks[letter_talk.thread_id] = letter_talk
        message_id = one["message_id"]
        assert message_id not in self.book.letters
        self.book.letters[message_id] = Letter(message_id, contact.address, link, letter_talk, sure)
        self.subjects[message_id] = subject

    @precondition(lambda self: bool(self.asked))
    @rule(pick=PICK, other=st.booleans())
    def asks_again(self, pick: int, other: bool) -> None:
        """The same idempotency key: the same answer, and nothing is sent again; another body is refused."""
        key, asked, answer, user = _one(self.asked, pick)
        if any(link.user == user and link.erased for link in self.book.links):
            return  # nobody's name is known any more
        if other:
            try:
                self.run(self.world.accept.accept(ACCOUNT, key, asked, "another hash"))
            except IdempotencyKeyReused:
                return
            raise AssertionError("another body under the same key was taken")
        assert self.run(self.world.accept.accept(ACCOUNT, key, asked, f"hash of {key}")) == answer

    @precondition(lambda self: any(letter.open for letter in self.book.letters.values()))
    @rule(pick=PICK)
    def is_taken_back(self, pick: int) -> None:
        """One email is cancelled, or it is too late."""
        letter = _one([letter for letter in self.book.letters.values() if letter.open], pick)
        try:
            self.run(self.world.cancel.message(ACCOUNT, letter.message_id))
        except NotCancellable:
            return
        letter.cancelled, letter.sure = True, False

    @precondition(lambda self: bool(self.batches))
    @rule(pick=PICK)
    def are_taken_back(self, pick: int) -> None:
        """What is not yet on its way of one request is cancelled; the counts say how much that was."""
        batch_id = _one(list(self.batches), pick)
        letters = [self.book.letters[message_id] for message_id in self.batches[batch_id]]
        if any(letter.erased for letter in letters):
            return
        batch, counts = self.run(self.world.cancel.batch(ACCOUNT, batch_id))
        assert sum(counts.values()) == len(letters) == batch.size
        statuses = {m.message_id: m.status.value for m in self.run(self.world.batches.messages(batch))}
        assert {status: count for status, count in counts.items() if count} == Counter(statuses.values())
        for letter in letters:
            if statuses[letter.message_id] == "cancelled":
                assert not letter.outcome
                letter.cancelled, letter.sure = True, False
            elif not letter.outcome:
                letter.sure = False  # it may be asked whether it was taken back before it leaves

    # What happens in the mailbox.

    @precondition(lambda self: bool(self.said))
    @rule(
        pick=PICK,
        how=st.sampled_from(
            ["reply", "reply", "new conversation", "new subject", "references", "conversation", "index"]
        ),
        who=st.sampled_from(["contact", "contact", "owner", "colleague"]),
    )
    def somebody_answers(self, pick: int, how: Answering, who: str) -> None:
        """The contact, the user in Outlook, or a colleague: it belongs to the talk by whatever it refers to it."""
        parent, talk, place = _one(self.said, pick)
        mailbox = self.world.people[talk.email].mailbox
        sender, to = {
            "contact": (talk.contact, talk.email),
            "owner": (talk.email, talk.contact),
            "colleague": (COLLEAGUE, talk.email),
        }[who]
        if how == "conversation" and who == "colleague":
            to = talk.contact  # by the conversation alone only somebody who is known is recognised
        keys, subject = self.world.answer(mailbox.identity, parent, how)
        canary = next(self.canaries)
        mail = self.book.added(
            talk, keys.internet_message_id, "outlook" if who == "owner" else "contact", canary, _surely_knows(place)
        )
        seen = self.world.mail.arrives(mailbox, sender, subject, keys=keys, body=body_with(canary), to=[to])
        self.in_mailbox.append((seen.graph_id, mail))
        if mail.word is not Word.NEVER:
            self.said.append((seen, talk, mail))

    @precondition(lambda self: bool(self.said))
    @rule(pick=PICK)
    def somebody_begins_a_draft(self, pick: int) -> None:
        """The user begins an answer in Outlook, and leaves it: a draft is no message."""
        parent, talk, _ = _one(self.said, pick)
        canary = next(self.canaries)
        mailbox = self.world.people[talk.email].mailbox
        keys, subject = self.world.answer(mailbox.identity, parent, "reply")
        self.world.mail.drafted(mailbox, talk.contact, subject, keys=keys, body=body_with(canary))
        self.book.mails[keys.internet_message_id] = Mail(keys.internet_message_id, canary)

    @precondition(lambda self: bool(self.said))
    @rule(pick=PICK, borrowed=st.booleans())
    def a_stranger_writes(self, pick: int, borrowed: bool) -> None:
        """Mail that shares the subject's conversation id, or borrows the references for something else, is none of ours."""
        parent, talk, _ = _one(self.said, pick)
        canary, number = next(self.canaries), self.number()
        name = f"<s{number}@elsewhere.example>"
        if borrowed:
            references = (*parent.keys.references, parent.keys.internet_message_id)
            keys, subject = ThreadKeys(name, "", references, f"conv-s{number}", f"guid-s{number}"), f"Plan {canary}"
        else:
            subject = parent.subject
            keys = ThreadKeys(
                name, f"<x{number}@elsewhere.example>", (), parent.keys.conversation_id, f"guid-s{number}"
            )
        mailbox = self.world.people[talk.email].mailbox
        self.world.mail.arrives(mailbox, f"{canary}@elsewhere.example", subject, keys=keys, body=body_with(canary))
        self.book.mails[name] = Mail(name, canary)

    @rule(email=MAILBOXES, own=st.booleans(), pick=PICK)
    def other_mail_comes_and_goes(self, email: str, own: bool, pick: int) -> None:
        """A conversation that began in the mailbox never syncs, though the CRM may know the address; nor do answers to it."""
        mailbox = self.world.people[email].mailbox
        contact = _one([letter.contact for letter in self.book.letters.values()] or ["ada@world.example"], pick)
        canary = next(self.canaries)
        body = body_with(canary)
        if own:
            first = self.world.mail.arrives(mailbox, email, f"Lunch {canary}", to=[contact], body=body)
        else:
            first = self.world.mail.arrives(mailbox, contact, f"Lunch {canary}", body=body)
        second = self.world.mail.arrives(mailbox, contact, f"RE: Lunch {canary}", answers=first, body=body)
        for seen in (first, second):
            name = seen.keys.internet_message_id
            self.book.mails[name] = Mail(name, canary)

    @precondition(lambda self: bool(self.in_mailbox))
    @rule(pick=PICK)
    def is_removed(self, pick: int) -> None:
        """The user deletes a message for good."""
        graph_id, mail = self.in_mailbox.pop(pick % len(self.in_mailbox))
        self.look()
        self.world.mail.delete(graph_id)
        self.book.removed(mail)
        self.said = [place for place in self.said if place[0].graph_id != graph_id]

    @precondition(lambda self: bool(self.said))
    @rule(pick=PICK)
    def is_read(self, pick: int) -> None:
        """The user opens a message, old or new: Graph tells of a change that is none."""
        seen, _, _ = _one(self.said, pick)
        self.world.mail.read(seen.graph_id)

    @precondition(lambda self: bool(self._left()))
    @rule(pick=PICK)
    def bounces(self, pick: int) -> None:
        """A delivery report about an email of the CRM comes into the mailbox."""
        letter = _one(self._left(), pick)
        assert letter.link is not None
        if letter.report is not None or letter.erased:
            return
        mailbox = self.world.people[letter.link.email].mailbox
        copy = self.world.mail.sent_copy(letter.message_id)
        self.world.mail.reported(mailbox, copy, [letter.contact])
        held = letter.talk is not None and letter.talk.holder is letter.link
        letter.report = Word.NEVER if not letter.link.live else Word.MUST if held else Word.MAY

    def _left(self) -> list[Letter]:
        """The emails in talks that were told as sent."""
        return [one for one in self.book.letters.values() if one.talk and one.link and one.outcome == "message.sent"]

    # The weather.

    @rule(notices=st.sampled_from(["once", "lost", "twice", "late"]))
    def graph_tells(self, notices: Notices) -> None:
        """From now on."""
        self.world.notices = notices

    @precondition(lambda self: not self.world.crm.answers)
    @rule(times=st.integers(1, 3))
    def the_crm_refuses(self, times: int) -> None:
        """Its webhook is down for a few tries."""
        self.world.crm.answers.extend([Answer(500, 0.1)] * times)

    @rule(pattern=CALLS, applied=st.booleans(), times=st.integers(1, 2), throttled=st.booleans())
    def trouble_with_microsoft(self, pattern: str, applied: bool, times: int, throttled: bool) -> None:
        """Some calls fail, before or after their effect, while work goes on."""
        error = Throttled(retry_after=timedelta(seconds=9)) if throttled else Unclear()
        self.world.faults.fail(pattern, error, applied=applied and not throttled, times=times)
        self._after_trouble()

    @rule(pattern=REFUSABLE, times=st.integers(1, 3))
    def microsoft_says_no(self, pattern: str, times: int) -> None:
        """To some calls about emails that are on their way: these may end as not sent, and then have not left."""
        self.world.faults.fail(pattern, Declined("No.", code="ErrorAccessDenied", status=403), times=times)
        for letter in self.book.letters.values():
            letter.sure = letter.sure and not letter.open
        self._after_trouble()

    @rule(number=st.integers(1, 120), applied=st.booleans())
    def the_worker_dies(self, number: int, applied: bool) -> None:
        """At one of its calls; then it is started anew."""
        self.world.faults.crash_at(number, applied=applied)
        for letter in self.book.letters.values():
            # Of an email that a server had when the worker died, nobody but the server knows.
            letter.sure = letter.sure and (letter.via == "outlook" or not letter.open)
        self._after_trouble()

    def _after_trouble(self) -> None:
        self.run(self.world.settle(timedelta(minutes=5)))
        self.world.faults.clear()
        self.look()

    @rule(minutes=st.sampled_from([0, 1, 10]))
    def a_little_time_passes(self, minutes: int) -> None:
        """Not enough for everything to come to rest."""
        self.run(self.world.settle(timedelta(minutes=minutes)))
        self.look()

    @rule(hours=st.sampled_from([1, 2, 5]))
    def everything_comes_to_rest(self, hours: int) -> None:
        """Nothing has happened for longer than lost notifications stay unnoticed: all is told that has to be."""
        self.settles(timedelta(hours=hours))


def _one[T](of: list[T], pick: int) -> T:
    return of[pick % len(of)]


def _surely_knows(place: Letter | Mail) -> Link | None:
    """The link that has the keys of this message, or will have them whatever happens."""
    if isinstance(place, Letter):
        return place.link
    return place.link if place.told or place.word is Word.MUST else None


def test_the_product_does_what_its_rules_say() -> None:
    """At least 2,000 steps, whatever their order."""
    Product.steps = 0
    run_state_machine_as_test(
        Product,
        settings=settings(
            max_examples=90,
            stateful_step_count=45,
            deadline=None,
            derandomize=False,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert Product.steps >= MIN_STEPS
