"""
How long things are kept. Mail goes when the operator says so (`RETENTION_DAYS`); what the app needs for a while only, always.

    message    older than the retention, and final; an email of a batch together with all others of it, which share body and files
    thread     once its messages are gone and its connection has ended: as long as that lives, a late answer needs it
    event      what it told goes with the mail, its place in the feed stays; what the CRM never got is kept for 30 days at least
    attempt    of a delivery, after 30 days
    batch      once finished and older than the retention, or than 30 days without one
    sign-in    a day after its time is over, unless its user still waits for an administrator
    pace       once none of its tickets counts any more

Anchors live as long as their connection, and then as its threads: a late answer finds its thread by them, and what was removed
is not taken for new.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from sync.domain.batch import Batch
from sync.domain.event import ATTEMPT_LIFE, Event
from sync.domain.message import Message, Thread
from sync.domain.pace import Pace
from sync.domain.sign_in import LastSignIn, SignIn

#: A batch without a retention: longer than anybody asks how a send went.
BATCH_LIFE = timedelta(days=30)
#: What the CRM did not take, however short the retention is: time to mend a receiver and ask for it again.
UNDELIVERED_LIFE = timedelta(days=30)
SIGN_IN_LIFE = timedelta(days=1)


MarkKind = Literal["emptied", "attempts"]


@dataclass(frozen=True)
class Mark:
    """
    Up to which number of its feed an account is done with: so far all events were emptied, or have no attempts any more.

    `version` is the stored row's etag.
    """

    account_id: str
    kind: MarkKind
    sequence: int = 0
    version: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Retention:
    """`mail`: how long mail is kept; None: for ever."""

    mail: timedelta | None

    def mail_before(self, now: datetime) -> datetime | None:
        """Mail from before this time goes; None: none does."""
        return now - self.mail if self.mail is not None else None

    def message_goes(self, message: Message, now: datetime) -> bool:
        """By when it happened. One that is still to be sent stays."""
        return self._old(message.at, now) and message.status.final

    def event_goes(self, event: Event, now: datetime) -> bool:
        """Whether what it told goes."""
        if not self._old(event.occurred_at, now):
            return False
        return event.delivery in ("delivered", "erased") or now - event.occurred_at > UNDELIVERED_LIFE

    def batch_goes(self, batch: Batch, messages: Iterable[Message], now: datetime) -> bool:
        """`messages`: those of its emails that are still kept. With a retention they go first; without one they stay."""
        if not batch.finished or now - batch.due_at <= (self.mail or BATCH_LIFE):
            return False
        return all(self.mail is None and message.status.final for message in messages)

    def thread_goes(self, thread: Thread, messages: Iterable[Message], now: datetime, *, live: bool) -> bool:
        """`live`: whether its connection is."""
        return self._old(thread.started_at, now) and not live and not any(True for _ in messages)

    def _old(self, at: datetime, now: datetime) -> bool:
        before = self.mail_before(now)
        return before is not None and at < before


def attempts_may_be_old(event: Event, now: datetime) -> bool:
    """Whether it is old enough to have attempts that are not kept any longer."""
    return now - event.occurred_at >= ATTEMPT_LIFE


def attempts_are_over(event: Event, now: datetime) -> bool:
    """Whether no attempt is left that is kept, and none will come by itself."""
    return event.delivery != "pending" and all(now - attempt.at >= ATTEMPT_LIFE for attempt in event.attempts)


def sign_in_goes(sign_in: SignIn, last: LastSignIn | None, now: datetime) -> bool:
    """`last`: how the user's last one ended. An administrator's approval comes back with the id of any of them."""
    waits = last is not None and last.outcome == "admin_consent_required" and last.to_be_shown(now)
    return now - sign_in.expires_at > SIGN_IN_LIFE and not waits


def pace_goes(pace: Pace, now: datetime) -> bool:
    """Whether it says no more than a new one would."""
    return not pace.counting(now)
