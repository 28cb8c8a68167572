"""
How fast bulk emails may leave through one mailbox.

Exchange Online lets a mailbox send 30 messages a minute and carries over what is more, which then stands in the way of what a
person sends (https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits,
"Message rate limit"). So an email of a bulk send needs a ticket, and there are never more tickets out than the limit: one counts
from the moment it is given until a minute after its email was sent. An individual email takes its ticket as it leaves: it is
never held back, and what is sent in bulk makes room for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

PER_MINUTE = 30
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Ticket:
    """One email: when its turn came, and when it was sent; None: not yet."""

    account_id: str
    message_id: str
    given_at: datetime
    used_at: datetime | None = None


@dataclass(frozen=True)
class Pace:
    """
    The tickets of one mailbox that count. `version` is the stored row's etag; None: not stored yet.

    mailbox: a name from which nobody can read whose it is (`ids.mailbox_key`), so that an erased user leaves nothing here.
    """

    mailbox: str
    tickets: tuple[Ticket, ...] = ()
    version: str | None = field(default=None, compare=False)

    def counting(self, now: datetime) -> tuple[Ticket, ...]:
        """The tickets that count now."""
        return tuple(t for t in self.tickets if t.used_at is None or t.used_at + MINUTE > now)

    def room(self, now: datetime, per_minute: int = PER_MINUTE) -> int:
        """For how many emails there are tickets now."""
        return max(0, per_minute - len(self.counting(now)))

    def room_for(self, count: int, now: datetime, per_minute: int = PER_MINUTE) -> datetime | None:
        """When there will be this many tickets, as far as that is known; None: it depends on emails that are not sent yet."""
        missing = min(count, per_minute) - self.room(now, per_minute)
        if missing <= 0:
            return now
        ends = sorted(t.used_at + MINUTE for t in self.counting(now) if t.used_at is not None)
        return ends[missing - 1] if missing <= len(ends) else None


def given(pace: Pace, account_id: str, message_ids: Sequence[str], now: datetime) -> Pace:
    """The pace after these emails got their tickets; one that has one keeps it."""
    tickets = pace.counting(now)
    known = {ticket.message_id for ticket in tickets}
    new = tuple(Ticket(account_id, message_id, now) for message_id in message_ids if message_id not in known)
    return replace(pace, tickets=tickets + new)


def used(pace: Pace, account_id: str, message_id: str, now: datetime) -> Pace:
    """The pace after this email was sent, or at least asked to be."""
    others = tuple(t for t in pace.counting(now) if t.message_id != message_id)
    earlier = next((t for t in pace.tickets if t.message_id == message_id), None)
    given_at = earlier.given_at if earlier is not None else now
    return replace(pace, tickets=(*others, Ticket(account_id, message_id, given_at, now)))


def returned(pace: Pace, message_ids: Sequence[str]) -> Pace:
    """The pace without the tickets of emails that will not be sent."""
    return replace(
        pace, tickets=tuple(t for t in pace.tickets if t.used_at is not None or t.message_id not in message_ids)
    )
