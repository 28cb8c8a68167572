"""Telling the CRM: an event gets its place in the feed, then is pushed until the CRM has taken it or the schedule ends."""

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sync.domain.errors import Conflict, NotFound
from sync.domain.event import Attempt, Event, NewEvent, attempted
from sync.domain.message import Message
from sync.domain.retry import LOST_AFTER, RetryAt, after_failed_delivery
from sync.flows.ports import Clock, Crm, Dice, Journal, Work
from sync.jobs import DeliverEvent

log = logging.getLogger(__name__)


async def tell(journal: Journal, work: Work, event: NewEvent, now: datetime, message: Message | None = None) -> Event:
    """
    Put the event into the feed, with its message, and queue its delivery.

    Safe to repeat: an event told before is not told again. Its delivery may be under way, so it is not queued a second time;
    but it is promised again unless it has ended, since the first try may have died between the two.
    """
    told = await journal.append(event, message)
    if told.delivery == "pending":
        job = DeliverEvent(told.account_id, told.event_id)
        if told.occurred_at == event.occurred_at:  # it is this one, not an earlier one
            await work.promise(job, due_at=now + LOST_AFTER)
        else:
            await work.postpone(job, now + LOST_AFTER)
    return told


@dataclass(frozen=True)
class Deliver:
    """One delivery of one event."""

    journal: Journal
    work: Work
    crm: Crm
    clock: Clock
    dice: Dice

    async def deliver(self, job: DeliverEvent) -> None:
        """Push the event unless that is done already; on failure put off the next try by the schedule."""
        event = await self.journal.event(job.account_id, job.event_id)
        if event is None or event.delivery != "pending":
            await self.work.done(job)
            return
        now = self.clock()
        if event.due_at is not None and event.due_at - now > timedelta(seconds=1):
            await self.work.queue(job, event.due_at - now)  # an early wake-up: the schedule counts
            return
        answer = await self.crm.deliver(event)
        attempt = Attempt(now, answer.duration_s, answer.status, answer.error, answer.text)
        if answer.accepted:
            await self._save(attempted(event, attempt, "delivered", None))
            await self.work.done(job)
            return
        now = self.clock()
        next_step = after_failed_delivery(
            event.attempt_count + 1,
            now,
            dice=self.dice(),
            retry_after=answer.retry_after,
            gone=answer.status == 410,
        )
        log.warning("delivery failed", extra={"event_id": event.event_id, "status": answer.status})
        if isinstance(next_step, RetryAt):
            await self._save(attempted(event, attempt, "pending", next_step.when))
            await self.work.promise(job, due_at=next_step.when + LOST_AFTER, delay=next_step.when - now)
        else:
            await self._save(attempted(event, attempt, "undelivered", None))
            await self.work.done(job)

    async def redeliver(self, account_id: str, event_id: str) -> Event:
        """
        Push an event again, whatever became of it before.

        One that was erased is not pushed: it comes back as it is, with `erased` in its data, since a receiver that waits for a
        message could make nothing of it.
        """
        event = await self.journal.event(account_id, event_id)
        if event is None:
            raise NotFound
        if event.erased:
            return event
        again = await self.journal.save_event(attempted_anew(event))
        await self.work.promise(DeliverEvent(account_id, event_id), due_at=self.clock() + LOST_AFTER)
        return again

    async def _save(self, event: Event) -> None:
        try:
            await self.journal.save_event(event)
        except Conflict:
            # Another worker had the same wake-up and was first. The receiver knows repeats by their webhook-id.
            log.info("delivery recorded by another worker", extra={"event_id": event.event_id})


def attempted_anew(event: Event) -> Event:
    """The event as if it had not been tried yet; the attempts stay on record."""
    return replace(event, delivery="pending", due_at=None, attempt_count=0)
