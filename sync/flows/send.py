"""
Sending an accepted email: exactly one, whatever becomes of this worker or of anybody's answers.

Here is what both doors have in common: one worker at a time, a step nearer with each wake-up, and how each kind of trouble is
met. The steps themselves are in flows/through_outlook and flows/through_provider; how it ended is told by flows/outcome.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync.domain import message as rule
from sync.domain import send_refusal
from sync.domain.errors import Conflict, Declined, OperatorAlarm, OutsideError, ReconnectNeeded, Throttled
from sync.domain.failure import told_of
from sync.domain.ids import place_in_batch
from sync.domain.message import Message
from sync.domain.retry import LOST_AFTER, OPERATOR_NEEDS, GiveUp, after_unfinished_send
from sync.flows.outcome import Outcomes
from sync.flows.ports import Clock, Journal, Work
from sync.flows.through_outlook import ThroughOutlook
from sync.flows.through_provider import ThroughProvider
from sync.jobs import SendMail

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Send:
    """The outgoing side."""

    journal: Journal
    work: Work
    outlook: ThroughOutlook
    provider: ThroughProvider
    outcomes: Outcomes
    clock: Clock

    async def deliver(self, job: SendMail) -> None:
        """Bring the message as far as it goes now; promises the next try by itself."""
        message = await self.journal.message(job.account_id, job.message_id)
        if message is None or message.outbox is None:
            await self.work.done(job)
            return
        now = self.clock()
        if message.status.final:
            await self._ended(job, message)
            return
        wait = message.send_at - now if message.send_at is not None else timedelta()
        if wait > timedelta(seconds=1):
            await self.work.promise(job, due_at=now + wait + LOST_AFTER, delay=wait)
            return
        if message.outbox.lease_until is not None and message.outbox.lease_until > now:
            await self.work.queue(job, message.outbox.lease_until - now)
            return
        try:
            message = await self.journal.save_message(rule.leased(message, now + rule.LEASE))
            if await self._taken_back(message):
                message = await self.journal.save_message(rule.cancelled(rule.released(message, tries=0)))
                await self._ended(job, message)
                return
        except Conflict:
            return  # the other worker goes on
        await self._try(job, message)

    async def _ended(self, job: SendMail, message: Message) -> None:
        """The worker that ended it may have died before it told; of a cancelled one, the draft may be left."""
        if message.status is rule.Status.CANCELLED and message.via == "outlook":
            try:
                await self.outlook.discard(message)
            except (OutsideError, OperatorAlarm) as failure:
                log.info("draft not discarded", extra={"message_id": message.message_id, **told_of(failure)})
                await self._discard_later(job, message)
                return
        await self.outcomes.tell(message)

    async def _discard_later(self, job: SendMail, message: Message) -> None:
        """A draft that can't be discarded for a day is left to the user."""
        now = self.clock()
        tries = (message.outbox.tries if message.outbox else 0) + 1
        decision = after_unfinished_send(tries, message.due_at, now)
        if isinstance(decision, GiveUp):
            await self.work.done(job)
            return
        await self.journal.save_message(rule.released(message, tries=tries))
        await self.work.promise(job, due_at=decision.when + LOST_AFTER, delay=decision.when - now)

    async def _taken_back(self, message: Message) -> bool:
        """Whether the batch it is of was cancelled after its turn came. Asked once it is ours: from then on it is on its way."""
        outbox = message.outbox
        place = place_in_batch(message.message_id)
        if outbox is None or outbox.released_at is None or outbox.send_asked_at is not None or place is None:
            return False
        batch = await self.journal.batch(message.account_id, place[0])
        return batch is not None and batch.cancelled_at is not None

    async def _try(self, job: SendMail, message: Message) -> None:
        door = self.outlook if message.via == "outlook" else self.provider
        try:
            look_again_after = await door.bring_on(message)
        except Conflict:
            log.info("another worker took the message over", extra={"message_id": message.message_id})
        except Declined as declined:
            await self._refused(message, declined)
        except ReconnectNeeded:
            await self._put_off(message, None)
        except OperatorAlarm as alarm:
            log.critical("operator alarm: %s", alarm.detail)
            await self._put_off(message, OPERATOR_NEEDS)
        except OutsideError as failure:
            retry_after = failure.retry_after if isinstance(failure, Throttled) else None
            await self._put_off(message, retry_after, failure)
        else:
            if look_again_after is not None:
                await self.work.promise(job, due_at=self.clock() + LOST_AFTER, delay=look_again_after)

    async def _put_off(
        self, message: Message, retry_after: timedelta | None, failure: OutsideError | None = None
    ) -> None:
        """Free the message and promise the next try, or tell that there is none."""
        current = await self.journal.message(message.account_id, message.message_id)
        if current is None or current.status.final or current.outbox is None:
            return
        tries = current.outbox.tries + 1
        now = self.clock()
        decision = after_unfinished_send(tries, current.due_at, now, retry_after=retry_after)
        if isinstance(decision, GiveUp):
            await self._given_up(current, decision, failure)
            return
        try:
            await self.journal.save_message(rule.released(current, tries=tries))
        except Conflict:
            return
        await self._promise(current, decision.when, now)

    async def _given_up(self, message: Message, decision: GiveUp, failure: OutsideError | None) -> None:
        if message.via == "provider":
            await self.provider.give_up(message, failure)
        else:
            await self.outlook.give_up(message, decision.reason)

    async def _promise(self, message: Message, when: datetime, now: datetime) -> None:
        job = SendMail(message.account_id, message.message_id)
        await self.work.promise(job, due_at=when + LOST_AFTER, delay=when - now)

    async def _refused(self, message: Message, declined: Declined) -> None:
        if message.via == "provider":
            problem = f"The provider's server refused the email: {declined.detail}"
            await self.outcomes.fail(message, declined.code, problem)
            return
        refused = send_refusal.explained(declined.code, declined.status, declined.detail)
        await self.outcomes.fail(message, declined.code, refused.detail, refused.what_to_do)
