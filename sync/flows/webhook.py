"""The receiver of all events: whether deliveries are on, what switches them off and on, and a test event."""

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sync.domain import webhook as rule
from sync.domain.errors import Conflict
from sync.domain.event import Answer, Event, webhook_test
from sync.domain.retry import LOST_AFTER
from sync.domain.webhook import Webhook
from sync.flows.ports import Clock, Crm, NewSecret, Webhooks, Work
from sync.jobs import BringBack

log = logging.getLogger(__name__)

#: So long what was read of the state counts: a process that pushes does not read it for each event.
READ_EVERY = timedelta(seconds=5)
#: While deliveries are off it is looked this often whether they are on again, since the address may have changed.
LOOK_AGAIN_AFTER = timedelta(minutes=10)
#: How often a change is tried while other workers change the same row.
TRIES = 5


@dataclass
class Endpoint:
    """The one receiver; `url_hash` is of the address that this process pushes to."""

    webhooks: Webhooks
    work: Work
    crm: Crm
    clock: Clock
    new_secret: NewSecret
    url_hash: str
    gone_for: timedelta = rule.GONE_FOR
    _seen: tuple[Webhook, datetime] | None = field(default=None, init=False)

    async def state(self) -> Webhook:
        """How it stands, as it was at most a few seconds ago."""
        if self._seen is not None and self.clock() - self._seen[1] < READ_EVERY:
            return self._seen[0]
        return await self.fresh()

    async def fresh(self) -> Webhook:
        """How it stands now. Where the address is another than the one that was switched off, deliveries go on."""
        while True:
            now = self.clock()
            stored = await self.webhooks.state()
            webhook = rule.of_address(stored, self.url_hash, now)
            if stored is not None and stored.state != webhook.state:
                try:
                    webhook = await self._switch_on(webhook, now)
                except Conflict:
                    continue
            self._seen = (webhook, now)
            return webhook

    async def note(self, answer: Answer, began_at: datetime) -> None:
        """
        What a delivery says of the receiver. Written only where it says something new.

        The last try may lose to other workers: they have noted much the same, and the next delivery says it again.
        """
        # A 410 is rare, and what another process has heard of it counts.
        seen = await (self.fresh() if answer.status == 410 else self.state())
        now = self.clock()
        if not rule.worth_writing(seen, rule.noted(seen, answer, began_at, now, gone_for=self.gone_for), now):
            return
        for _ in range(TRIES):
            before = await self.fresh()
            after = rule.noted(before, answer, began_at, now, gone_for=self.gone_for)
            if not rule.worth_writing(before, after, now):
                return
            if after.state != before.state:
                await self.work.postpone(BringBack(), now + LOOK_AGAIN_AFTER)
            try:
                self._seen = (await self.webhooks.save(after), now)
            except Conflict:
                continue
            if after.state != before.state:
                log.critical(
                    "operator alarm: %s",
                    f"{after.reason} Deliveries to the CRM are switched off; events wait. Mend the receiver, then call"
                    " POST /v1/webhook/enable, or set another CRM_WEBHOOK_URL.",
                )
            return

    async def enable(self) -> Webhook:
        """Deliveries on, and what was left undelivered comes back by the queue; changes nothing where they are on."""
        while True:
            webhook = await self.fresh()
            now = self.clock()
            if webhook.state == "on":
                return webhook
            try:
                webhook = await self._switch_on(rule.switched_on(webhook, now), now)
            except Conflict:
                continue
            self._seen = (webhook, now)
            return webhook

    async def show(self) -> tuple[Webhook, int]:
        """How it stands now, and how many events are listed as undelivered, of all accounts."""
        return await self.fresh(), await self.webhooks.count_undelivered()

    async def test(self) -> tuple[Event, Answer]:
        """Push an event that is in no feed, also while deliveries are off; nothing is noted of it."""
        event = webhook_test(self.new_secret(), self.clock())
        return event, await self.crm.deliver(event)

    async def _switch_on(self, webhook: Webhook, now: datetime) -> Webhook:
        """Save it. The job that looks whether deliveries are on again was promised as they were switched off."""
        saved = await self.webhooks.save(webhook)
        log.warning("deliveries switched on")
        await self.work.promise(BringBack(), due_at=now + LOST_AFTER)
        return saved
