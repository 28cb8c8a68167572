"""
Many events again: all of an account since a sequence, and what was left undelivered while deliveries were off.

Both go on in pages, by the queue, in the order of the feed. A page that is cut short is done again from its beginning: events
that were taken meanwhile are passed over, the others are pushed once more under the same `webhook-id` at worst.
"""

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sync.domain.errors import Conflict
from sync.domain.event import Event, attempted_anew
from sync.domain.retry import LOST_AFTER
from sync.flows.ports import Clock, Journal, Webhooks, Work
from sync.flows.webhook import LOOK_AGAIN_AFTER, Endpoint
from sync.jobs import BringBack, DeliverEvent, RedeliverEvents

log = logging.getLogger(__name__)

#: Events of a page.
PAGE = 100
#: Between two pages, so that a receiver that has just come back is not met by everything at once.
PAUSE = timedelta(seconds=5)
#: Longer than a worker goes on that saw deliveries off: what it left undelivered meanwhile is found by another look.
OVER_AFTER = timedelta(minutes=1)


@dataclass(frozen=True)
class Redelivery:
    """Pushing again what was pushed, or not, before."""

    journal: Journal
    webhooks: Webhooks
    work: Work
    endpoint: Endpoint
    clock: Clock

    async def since(self, account_id: str, after: int) -> int:
        """Redeliver every event above `after` that there is now; returns the last of them, or what there is below."""
        through = await self.journal.last_sequence(account_id)
        if through > after:
            await self.endpoint.enable()  # who asks for events is there to take them
            now = self.clock()
            job = RedeliverEvents(account_id, since=after, through=through, asked_at=now.isoformat(), after=after)
            await self.work.promise(job, due_at=now + LOST_AFTER)
        return through

    async def go_on(self, job: RedeliverEvents) -> None:
        """The next page of such a redelivery."""
        asked_at = datetime.fromisoformat(job.asked_at)
        events = await self.journal.events(job.account_id, job.after, PAGE)
        for event in events:
            if event.sequence > job.through:
                break
            if event.delivery == "undelivered":
                await self.webhooks.forget_undelivered(event.account_id, event.sequence)
            await self._again(event, asked_at)
        if events and events[-1].sequence < job.through:
            await self._go_on_after(replace(job, after=events[-1].sequence), PAUSE)
        else:
            await self.work.done(job)

    async def bring_back(self, job: BringBack) -> None:
        """The next page of what is listed since the trouble began; while deliveries are off, another look later."""
        webhook = await self.endpoint.fresh()
        now = self.clock()
        if webhook.state == "off":
            await self.work.postpone(replace(job, again=False), now + LOOK_AGAIN_AFTER)
            return
        page = await self.webhooks.undelivered(webhook.troubled_since or now, PAGE)
        for listed in page:
            event = await self.journal.event(listed.account_id, listed.event_id)
            if event is not None:
                # Also one that is pending: whoever is just giving it up meets another version then, and leaves it.
                await self._again(event)
            await self.webhooks.forget_undelivered(listed.account_id, listed.sequence)
        if page:
            await self._go_on_after(replace(job, again=False), PAUSE)
        elif not job.again:
            await self._go_on_after(replace(job, again=True), OVER_AFTER)
        else:
            await self.work.done(job)

    async def _again(self, event: Event, asked_at: datetime | None = None) -> None:
        """Let it be pushed anew, unless it was erased, or taken since that was asked for (or at all, where no time is given)."""
        current: Event | None = event
        while current is not None and not current.erased and not _taken(current, asked_at):
            try:
                await self.journal.save_event(attempted_anew(current))
            except Conflict:  # it is being delivered
                current = await self.journal.event(event.account_id, event.event_id)
                continue
            job = DeliverEvent(event.account_id, event.event_id)
            await self.work.promise(job, due_at=self.clock() + LOST_AFTER)
            return

    async def _go_on_after(self, job: RedeliverEvents | BringBack, delay: timedelta) -> None:
        await self.work.promise(job, due_at=self.clock() + delay + LOST_AFTER, delay=delay)


def _taken(event: Event, asked_at: datetime | None) -> bool:
    """Whether the receiver took it in a try that began since then."""
    if event.delivery != "delivered":
        return False
    return asked_at is None or (bool(event.attempts) and event.attempts[-1].at > asked_at)
