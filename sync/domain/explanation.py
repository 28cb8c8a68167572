"""
Why a message of the mailbox syncs or does not: the thread rule's verdict on it, in the words in which people are told.

Everything here is a function of its arguments.
"""

from dataclasses import dataclass
from typing import Literal

from sync.domain.mail import MailboxMessage
from sync.domain.message import Message, Thread
from sync.domain.thread_rule import Belongs, KeyKind, Tried, Verdict


@dataclass(frozen=True)
class Explanation:
    """
    What the rules say of one message.

    `belongs`: it is part of a thread, by the key `matched_by`; of a delivery report: it may be about one. `syncs`: it is
    told to the CRM as a message. `message_id`: what it is in the CRM, where it was told already; of a delivery report: the
    email that it was told on.
    """

    why: str
    found: bool = True
    belongs: bool = False
    syncs: bool = False
    thread_id: str = ""
    matched_by: KeyKind | None = None
    message_id: str = ""
    keys: tuple[Tried, ...] = ()

    @property
    def rank(self) -> tuple[bool, bool, bool]:
        """Of several copies of one message, the one of the highest rank is what happens to it."""
        return self.syncs, self.belongs, bool(self.message_id)


NOT_FOUND = Explanation("no message of the mailbox has this internet_message_id", found=False)


def withheld(mail: MailboxMessage, thread: Thread, forwarded_messages: Literal["sync", "withhold"]) -> bool:
    """Whether a message of the thread stays unsynced since no contact wrote or got it (setting FORWARDED_MESSAGES)."""
    return forwarded_messages == "withhold" and not thread.involves_contact(mail.participants)


def of_mail(verdict: Verdict, *, is_withheld: bool, message_id: str) -> Explanation:
    """Of mail from others, and of what the user wrote in Outlook."""
    if not isinstance(verdict, Belongs):
        return Explanation(verdict.why, message_id=message_id, keys=verdict.tried)
    why = next(t.why for t in verdict.tried if t.matched and t.kind == verdict.matched_by)
    if is_withheld:
        why = "no contact of the thread wrote or got it, and FORWARDED_MESSAGES is withhold"
    return Explanation(
        why,
        belongs=True,
        syncs=not is_withheld,
        thread_id=verdict.thread_id,
        matched_by=verdict.matched_by,
        message_id=message_id,
        keys=verdict.tried,
    )


def of_report(verdict: Verdict, *, message_id: str) -> Explanation:
    """Of a delivery report, which is never a message of its own."""
    if not isinstance(verdict, Belongs):
        return Explanation(f"it is a delivery report, and {verdict.why}", keys=verdict.tried)
    return Explanation(
        "it is a delivery report: where it is about an email of the thread, that is told as message.bounced",
        belongs=True,
        thread_id=verdict.thread_id,
        matched_by=verdict.matched_by,
        message_id=message_id,
        keys=verdict.tried,
    )


def of_sent_copy(message: Message, verdict: Verdict) -> Explanation:
    """Of the copy in the mailbox of an email that the CRM sent: what it is needs no key."""
    return Explanation(
        "it is the copy of an email sent from the CRM, which is told as message.sent",
        belongs=True,
        syncs=True,
        thread_id=message.thread_id,
        matched_by=verdict.matched_by if isinstance(verdict, Belongs) else None,
        message_id=message.message_id,
        keys=verdict.tried,
    )
