"""What the CRM was told, held against the book (product.py): after each step, at rest, and at the end."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from sync.domain.event import Event
from sync.domain.mail import MailboxMessage
from sync.domain.outgoing import Outgoing
from tests.unit.flows.product import Book, Letter, Mail, Talk, Word
from tests.unit.flows.product_world import ProductWorld, words
from tests.unit.flows.world import ACCOUNT


class Told(RuleBasedStateMachine):
    """A world, its book, and what was read in its feed."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.world = ProductWorld()
        self.book = Book()
        self.canaries = words()
        self.numbers = 0
        self.read_up_to = 0
        self.event_ids: list[str] = []
        self.changes: Counter[tuple[str, str]] = Counter()
        #: what can be answered: a message of a mailbox, its talk, and the link that surely knows it
        self.said: list[tuple[MailboxMessage, Talk, Letter | Mail]] = []
        self.in_mailbox: list[tuple[str, Mail]] = []
        self.asked: list[tuple[str, Outgoing, dict[str, object], str]] = []
        self.batches: dict[str, list[str]] = {}
        self.subjects: dict[str, str] = {}

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Let the flows work."""
        return self.runner.run(work)

    def number(self) -> int:
        """A number that was not used before."""
        self.numbers += 1
        return self.numbers

    def teardown(self) -> None:
        """Longer than anything is tried: then everything has an end."""
        try:
            self.world.notices = "once"
            self.settles(timedelta(hours=26))
            self.all_has_an_end()
        finally:
            self.runner.close()

    def settles(self, within: timedelta) -> None:
        """Let time pass, and look whether all was told."""
        ends_at = self.world.clock() + within
        self.run(self.world.settle(within))
        self.world.clock.advance_to(ends_at)
        last = self.look()
        for mail in self.book.mails.values():
            if mail.word is Word.MUST and mail.link is not None and mail.link.live and mail.link.signed_in:
                assert mail.told, f"{mail} was not told"
        for letter in self.book.letters.values():
            if letter.sure and not self._waits(letter):
                assert letter.outcome == "message.sent", f"{letter} was not sent"
            if letter.report is Word.MUST and letter.link is not None and letter.link.live and letter.link.signed_in:
                assert letter.bounces == 1, f"{letter} has bounced"
        self._connections_are_told()
        self._nothing_else_is_stored()
        assert last == len(self.event_ids)

    def _waits(self, letter: Letter) -> bool:
        message = self.run(self.world.journal.message(ACCOUNT, letter.message_id))
        if message is None:
            return True  # of a bulk send that is for later
        return message.send_at is not None and message.send_at > self.world.clock() - timedelta(minutes=40)

    # What was told.

    def look(self) -> int:
        """Read on in the feed: nothing in it may be wrong. Returns the last event's number."""
        for event in self.run(self.world.read_on(self.read_up_to)):
            self.read_up_to += 1
            assert event.sequence == self.read_up_to, "the feed has a hole"
            self.event_ids.append(event.event_id)
            if not event.erased:
                self._heard(event)
        self._every_copy_is_right()
        return self.read_up_to

    def _heard(self, event: Event) -> None:
        data: Any = event.data
        if event.type.startswith("connection."):
            self.changes[event.type, data["connection"]["connection_id"]] += 1
            return
        message = data["message"]
        link = next((one for one in self.book.links if one.connection_id == message["connection_id"]), None)
        if event.type in ("message.sent", "message.failed"):
            letter = self.book.letters[message["message_id"]]
            assert not letter.outcome, f"{letter} has a second outcome: {event.type}"
            assert not letter.cancelled, f"{letter} was taken back"
            assert letter.link is link
            assert message["thread_id"] == (letter.talk.thread_id if letter.talk else None)
            assert (message["direction"], message["origin"]) == ("outbound", "crm")
            letter.outcome = event.type
            letter.unknown = event.type == "message.failed" and data["problem"]["code"] == "outcome_unknown"
            if letter.link is not None and letter.talk is not None and event.type == "message.sent":
                self.said.append((self.world.mail.sent_copy(letter.message_id), letter.talk, letter))
            return
        assert link is not None
        assert link.ended_after is None or event.sequence <= link.ended_after, f"{link} has ended: {event.type}"
        if event.type == "message.bounced":
            letter = self.book.letters[message["message_id"]]
            letter.bounces += 1
            assert letter.report in (Word.MUST, Word.MAY)
            assert letter.bounces == 1
            return
        mail = self.book.mails.get(message["internet_message_id"])
        assert mail is not None, f"an email of the CRM was told as mail: {message}"
        assert mail.word is not Word.NEVER, f"{mail} was told"
        assert not mail.told, f"{mail} was told twice"
        assert mail.talk is not None
        assert message["thread_id"] == mail.talk.thread_id
        assert message["origin"] == mail.origin
        assert message["direction"] == ("outbound" if mail.origin == "outlook" else "inbound")
        assert mail.word is Word.MAY or link is mail.link
        assert mail.canary in str(message["html"])
        mail.told, mail.link = True, link

    def _every_copy_is_right(self) -> None:
        stamped = Counter(item.seen.stamp for item in self.world.mail.outgoing)
        for letter in self.book.letters.values():
            if letter.via == "outlook":
                left = stamped[letter.message_id]
            else:
                subject = self.subjects[letter.message_id]
                left = sum(
                    letter.contact in one.recipients and one.email.subject in (subject, f"RE: {subject}")
                    for one in self.world.smtp.outgoing
                )
            assert left <= 1, f"{letter} was sent {left} times"
            assert not (letter.cancelled and left), f"{letter} was sent though it was taken back"
            if letter.outcome == "message.sent":
                assert left == 1, f"{letter} was told as sent"
            if letter.outcome == "message.failed" and not letter.unknown:
                assert left == 0, f"{letter} was told as not sent, and left"

    def _connections_are_told(self) -> None:
        for link in self.book.links:
            name = link.connection_id
            assert self.changes["connection.disconnected", name] == link.deleted, f"{link}"
            assert self.changes["connection.needs_reconnect", name] <= link.refusals, f"{link}"
            if not link.erased:
                assert self.changes["connection.updated", name] == (link.replaced is not None), f"{link}"
            if link.live and link.signed_in:
                assert self.changes["connection.connected", name] >= 1, f"{link}"

    def _nothing_else_is_stored(self) -> None:
        never = tuple(mail.canary for mail in self.book.mails.values() if mail.word is Word.NEVER)
        assert self.world.traces(never) == []

    def all_has_an_end(self) -> None:
        """After more than a day: each email has its outcome, and each event was heard."""
        for letter in self.book.letters.values():
            held_up = letter.link is not None and letter.link.live and not letter.link.signed_in
            assert not letter.open or held_up, f"{letter} has no outcome"
        feed = self.run(self.world.feed())
        assert [event.event_id for event in feed] == self.event_ids, "the past of the feed has changed"
        heard = {event.event_id for event in self.world.crm.heard}
        for event in feed:
            assert event.delivery in ("delivered", "erased"), f"{event} was not delivered"
            assert (event.event_id in heard) or event.delivery == "erased"
        for batch_id, message_ids in self.batches.items():
            letters = [self.book.letters[message_id] for message_id in message_ids]
            if not any(letter.erased for letter in letters):
                batch, counts = self.run(self.world.batches.batch(ACCOUNT, batch_id))
                assert sum(counts.values()) == batch.size
                assert counts["cancelled"] == sum(letter.cancelled for letter in letters)
                assert counts["failed"] == sum(letter.outcome == "message.failed" for letter in letters)
                assert counts["sent"] + counts["bounced"] == sum(letter.outcome == "message.sent" for letter in letters)
