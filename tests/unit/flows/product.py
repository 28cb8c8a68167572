"""
The rules of the product once more, as a plain book that knows nothing of `sync`: what belongs to what is written down by whoever
makes it happen, so that no key of a thread is needed to say what the CRM has to be told.

    Link      a user's connection to a mailbox, from the sign-in to its end
    Talk      a conversation that the CRM began, and the link that holds it now
    Letter    an email that the CRM asked to send
    Mail      any other message of a mailbox, and whether the CRM must, may or must never hear of it

`may` is for what was under way when something ended: told once and right, or not at all.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Word(StrEnum):
    """Whether the CRM hears of something."""

    MUST = "must"
    MAY = "may"
    NEVER = "never"


@dataclass(eq=False)
class Link:
    """A connection. ended_after: the last event that was in the feed when it ended; None: it is live."""

    connection_id: str
    user: str
    email: str
    signed_in: bool = True
    refusals: int = 0
    ended_after: int | None = None
    deleted: bool = False
    erased: bool = False
    default_sender: str = "outlook"
    replaced: "Link | None" = None

    @property
    def live(self) -> bool:
        """Whether its talks go on."""
        return self.ended_after is None


@dataclass(eq=False)
class Talk:
    """A conversation that began in the CRM."""

    thread_id: str
    user: str
    email: str
    subject: str
    contact: str
    holder: Link


@dataclass(eq=False)
class Letter:
    """
    An email from the CRM. sure: nothing has happened that may keep it from being sent. outcome: what was told of it.
    unknown: it was told that nobody knows whether it left.
    """

    message_id: str
    contact: str
    link: Link | None
    talk: Talk | None
    sure: bool = True
    cancelled: bool = False
    erased: bool = False
    outcome: str = ""
    unknown: bool = False
    report: Word | None = None
    bounces: int = 0

    @property
    def via(self) -> str:
        """The door."""
        return "provider" if self.link is None else "outlook"

    @property
    def open(self) -> bool:
        """Whether the CRM is still to hear how it ended."""
        return not (self.outcome or self.cancelled or self.erased)


@dataclass(eq=False)
class Mail:
    """A message of a mailbox that the CRM did not send. canary: a word that only it says."""

    internet_message_id: str
    canary: str
    talk: Talk | None = None
    link: Link | None = None
    origin: str = ""
    word: Word = Word.NEVER
    told: bool = False


@dataclass
class Book:
    """Everything that has happened, and what follows from it."""

    links: list[Link] = field(default_factory=list)
    talks: dict[str, Talk] = field(default_factory=dict)
    letters: dict[str, Letter] = field(default_factory=dict)
    mails: dict[str, Mail] = field(default_factory=dict)

    def current(self, user: str) -> Link | None:
        """The user's live link."""
        return next((link for link in self.links if link.user == user and link.live), None)

    def signed_in(self, user: str, email: str, connection_id: str, last_event: int) -> None:
        """The same mailbox renews the link; another one takes its place; without one it is a new link."""
        before = self.current(user)
        if before is not None and before.email == email:
            assert before.connection_id == connection_id, "the same mailbox again is the same connection"
            before.signed_in = True
            return
        assert connection_id not in {link.connection_id for link in self.links}, "another mailbox is another connection"
        if before is not None:
            self.ended(before, last_event)
        sender = before.default_sender if before is not None else "outlook"
        self.links.append(Link(connection_id, user, email, default_sender=sender, replaced=before))

    def ended(self, link: Link, last_event: int) -> None:
        """Its talks stop. What was under way may have been too late."""
        link.ended_after = last_event
        for letter in self.letters.values():
            letter.sure = letter.sure and letter.link is not link
            if letter.link is link and letter.report is Word.MUST:
                letter.report = Word.MAY
        self._unsure(mail for mail in self.mails.values() if mail.link is link)

    def refused(self, email: str) -> None:
        """Microsoft takes no sign-in of this person's any more: what is to be sent waits, and may wait too long."""
        for link in self.links:
            if link.live and link.email == email and link.signed_in:
                link.signed_in = False
                link.refusals += 1
        for letter in self.letters.values():
            letter.sure = letter.sure and (letter.link is None or letter.link.signed_in)

    def erased(self, user: str) -> None:
        """Nothing of the user's links so far is told any more."""
        for link in self.links:
            link.erased = link.erased or link.user == user
        for letter in self.letters.values():
            letter.erased = letter.erased or (letter.link is not None and letter.link.user == user)
        for thread_id in [name for name, talk in self.talks.items() if talk.user == user]:
            del self.talks[thread_id]

    def door(self, kind: str, user: str, own_address: bool) -> str:
        """Through which door an email goes, or that it is refused."""
        link = self.current(user)
        if kind == "individual" and link is not None and link.default_sender == "outlook":
            return "outlook" if link.signed_in else "refused"
        if kind == "bulk" and own_address and link is not None:
            return "outlook" if link.signed_in else "refused"
        return "provider"

    def can_answer(self, talk: Talk) -> bool:
        """Whether the user is connected to the mailbox in which the talk is."""
        link = self.current(talk.user)
        return link is not None and link.email == talk.email

    def answered(self, talk: Talk, link: Link) -> None:
        """The CRM writes into a talk: if another link held it, this one does from now on, and what was silent may be heard."""
        if talk.holder is link:
            return
        talk.holder = link
        for mail in self.mails.values():
            if mail.talk is talk and not mail.told:
                mail.word, mail.link = Word.MAY, link

    def added(self, talk: Talk, internet_message_id: str, origin: str, canary: str, parent: Link | None) -> Mail:
        """Mail in a talk. parent: the link that surely knows what it answers; None: perhaps none does."""
        word = Word.NEVER if not talk.holder.live else Word.MUST if parent is talk.holder else Word.MAY
        mail = Mail(internet_message_id, canary, talk, talk.holder, origin, word)
        self.mails[internet_message_id] = mail
        return mail

    def removed(self, mail: Mail) -> None:
        """The user deletes it: if it was not told yet, it may never be, nor what only it leads to."""
        if mail.talk is not None and not mail.told:
            self._unsure(other for other in self.mails.values() if other.talk is mail.talk)

    @staticmethod
    def _unsure(mails: Iterable[Mail]) -> None:
        for mail in mails:
            if mail.word is Word.MUST and not mail.told:
                mail.word = Word.MAY
