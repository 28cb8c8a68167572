"""Telling the CRM: an event gets its place in the feed, then is pushed until the CRM has taken it or the schedule ends."""

import contextlib
import logging
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sync.domain.errors import Conflict, NotFound
from sync.domain.event import Answer, Attempt, Event, NewEvent, attempted, attempted_anew, given_up
from sync.domain.ids import sequence_of
from sync.domain.message import Message
from sync.domain.retention import attempts_may_be_old
from sync.domain.retry import LOST_AFTER, GiveUp, after_failed_delivery
from sync.domain.webhook import SWITCHED_OFF, Undelivered
from sync.flows.ports import Clock, Crm, Dice, Journal, Webhooks, Work
from sync.flows.turns import Turns
from sync.flows.webhook import Endpoint
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
    webhooks: Webhooks
    work: Work
    crm: Crm
    endpoint: Endpoint
    clock: Clock
    dice: Dice
    turns: Turns = field(default_factory=Turns)

    async def deliver(self, job: DeliverEvent) -> None:
        """
        Push the event unless that is done already; on failure put off the next try by the schedule.

        While too many of the account are under way, it comes back a little later, so that other accounts have their turn.
        """
        wait = self.turns.take(job.account_id)
        if wait:
            # The promise moves along: the sweep does not queue what only waits for its turn.
            await self.work.promise(job, due_at=self.clock() + wait + LOST_AFTER, delay=wait)
            return
        try:
            await self._deliver(job)
        finally:
            self.turns.give_back(job.account_id)

    async def _deliver(self, job: DeliverEvent) -> None:
        event = await self.journal.event(job.account_id, job.event_id)
        if event is None or event.delivery != "pending":
            await self._over(job, event)
            return
        now = self.clock()
        if event.due_at is not None and event.due_at - now > timedelta(seconds=1):
            await self.work.queue(job, event.due_at - now)  # an early wake-up: the schedule counts
            return
        if (await self.endpoint.state()).state == "off":
            # Not kept waiting: each event that waits would wake up for nothing, again and again.
            await self._give_up(job, given_up(event, SWITCHED_OFF))
            return
        answer = await self.crm.deliver(event)
        attempt = Attempt(now, answer.duration_s, answer.status, answer.error, answer.text)
        if answer.accepted:
            await self._record(job, event, attempt, answer)
            await self.endpoint.note(answer, now)
        else:
            # Noted first: the event that a 410 ends is never undelivered while deliveries are still on, and so comes back.
            await self.endpoint.note(answer, now)
            await self._record(job, event, attempt, answer)

    async def _record(self, job: DeliverEvent, event: Event, attempt: Attempt, answer: Answer) -> None:
        """Keep how the try went, and see to the next."""
        if answer.accepted:
            delivered = attempted(event, attempt, "delivered", None)
            if await self._save(job, delivered):
                await self._over(job, delivered)
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
        if isinstance(next_step, GiveUp):
            await self._give_up(job, attempted(event, attempt, "undelivered", None, next_step.reason))
        elif await self._save(job, attempted(event, attempt, "pending", next_step.when)):
            await self.work.promise(job, due_at=next_step.when + LOST_AFTER, delay=next_step.when - now)

    async def _give_up(self, job: DeliverEvent, event: Event) -> None:
        if await self._save(job, event):
            await self._over(job, event)

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
        await self.endpoint.enable()  # who asks for an event is there to take it
        job, lost_at = DeliverEvent(account_id, event_id), self.clock() + LOST_AFTER
        # Should this process die, or another one be first: the wake-up delivers the event, or lists it again.
        await self.work.postpone(job, lost_at)
        await self.webhooks.forget_undelivered(account_id, event.sequence)
        again = await self.journal.save_event(attempted_anew(event))
        await self.work.promise(job, due_at=lost_at)
        return again

    async def _save(self, job: DeliverEvent, event: Event) -> bool:
        """Whether it was this one that changed the event."""
        try:
            await self.journal.save_event(event)
        except Conflict:
            # Another worker had the same wake-up and was first, or the event is to be told again or was erased meanwhile.
            # The receiver knows repeats by their webhook-id.
            log.info("delivery recorded by another worker", extra={"event_id": event.event_id})
            current = await self.journal.event(event.account_id, event.event_id)
            if current is None or current.delivery != "pending":
                await self._over(job, current)
            return False
        return True

    async def _look_again(self, event: Event) -> None:
        """
        An event this old may have been passed by the look for attempts that are too old: it comes back to this one.

        The mark is saved also where it need not move: a look that is just passing the event meets another version then.
        """
        while attempts_may_be_old(event, self.clock()):
            mark = await self.journal.mark(event.account_id, "attempts")
            with contextlib.suppress(Conflict):
                await self.journal.save_mark(replace(mark, sequence=min(mark.sequence, event.sequence - 1)))
                return

    async def _over(self, job: DeliverEvent, event: Event | None) -> None:
        """
        There is nothing to deliver, or not any more by itself: then it is listed, so that it can come back.

        The promise goes last: until then a wake-up comes here again.
        """
        sequence = sequence_of(job.event_id)
        if event is not None and event.attempts:
            await self._look_again(event)
        if event is not None and event.delivery == "undelivered":
            listed = Undelivered(event.account_id, event.sequence, event.event_id, self.clock())
            await self.webhooks.list_undelivered(listed)
            event = await self.journal.event(job.account_id, job.event_id)
        if sequence is not None and (event is None or event.delivery in ("pending", "erased")):
            await self.webhooks.forget_undelivered(job.account_id, sequence)
        if event is None or event.delivery != "pending":  # else it is to be told again, and the promise is for that
            await self.work.done(job)
