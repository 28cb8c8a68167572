"""
A bulk send: each of its emails gets its turn, at the pace that its door allows, and then goes the way of any other email.

The batch's row says how far it has come. An email whose turn comes gets its rows, then its wake-up; only then the batch moves on:
a process that dies in between gives the same emails their turn again, which changes nothing.

    through Outlook     as many as the mailbox's pace has tickets for (domain/pace), all workers together
    through a provider  a few at a time, so that other emails are not kept waiting behind a thousand
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sync.domain import batch as rule
from sync.domain import ids
from sync.domain.batch import Batch, Letter
from sync.domain.connection import Connection, State
from sync.domain.errors import Conflict
from sync.domain.message import Message, Outbox
from sync.domain.retry import GIVE_UP_SENDING_AFTER, LOST_AFTER
from sync.flows.accept import letters_of
from sync.flows.outcome import Outcomes
from sync.flows.pacing import Pacing
from sync.flows.ports import Clock, Connections, Content, Journal, Work
from sync.jobs import SendBatch, SendMail

log = logging.getLogger(__name__)

#: Emails through a provider that are under way at a time, and how long until the next may get their turn.
PROVIDER_AT_ONCE = 40
PROVIDER_WAIT = timedelta(seconds=1)
#: Seconds over which the wake-ups of a minute's worth of a mailbox's emails are spread, to leave room for other work.
OUTLOOK_SPREAD_S = 8
#: How long a batch waits for a user who has to sign in again before it looks once more.
RECONNECT_WAIT = timedelta(minutes=5)
#: Emails that are told as failed in one run.
FAILURES_AT_ONCE = 100
#: Rows that are written at the same time.
AT_ONCE = 8


@dataclass(frozen=True)
class Turn:
    """What is next: these emails (by index), and when to come back for the others. `failure`: they end with it, (code, words)."""

    emails: Sequence[int]
    come_back: datetime
    failure: tuple[str, str] | None = None


@dataclass(frozen=True)
class Bulk:
    """The turns of the emails of bulk sends."""

    connections: Connections
    journal: Journal
    content: Content
    work: Work
    pacing: Pacing
    outcomes: Outcomes
    clock: Clock

    async def go_on(self, job: SendBatch) -> None:
        """Give the next emails their turn; promises the ones behind them by itself."""
        batch = await self.journal.batch(job.account_id, job.batch_id)
        if batch is None or batch.finished:
            await self.work.done(job)
            return
        now = self.clock()
        if batch.due_at - now > timedelta(seconds=1):
            await self.work.promise(job, due_at=batch.due_at + LOST_AFTER, delay=batch.due_at - now)
            return
        letters = await letters_of(self.content, batch)
        turn = await self._turn(batch, now)
        for some in _pieces(turn.emails):
            await asyncio.gather(*(self._release(batch, letters[i], i, turn, now) for i in some))
        try:
            batch = await self.journal.save_batch(replace(batch, released=batch.released + len(turn.emails)))
        except Conflict:
            # Cancelled, or another worker had the same wake-up. Whatever it is, the next look sees it.
            log.info("batch changed meanwhile", extra={"batch_id": batch.batch_id})
        if batch.finished:
            await self.work.done(job)
            return
        await self.work.promise(job, due_at=turn.come_back + LOST_AFTER, delay=turn.come_back - self.clock())

    async def _turn(self, batch: Batch, now: datetime) -> Turn:
        waiting = range(batch.released, batch.size)
        if batch.via == "provider":
            counts = await self.journal.count_in_batch(batch.account_id, batch.batch_id)
            under_way = counts.get("queued", 0) + counts.get("sending", 0)
            return Turn(waiting[: max(0, PROVIDER_AT_ONCE - under_way)], now + PROVIDER_WAIT)
        connection = await self.connections.by_id(batch.connection_id)
        if connection is None or not connection.live:
            gone = ("connection_disconnected", "The mailbox was disconnected before the email was sent.")
            return Turn(waiting[:FAILURES_AT_ONCE], now, gone)
        if connection.state is State.NEEDS_RECONNECT:
            if now - batch.due_at <= GIVE_UP_SENDING_AFTER:
                return Turn((), now + RECONNECT_WAIT)
            late = ("connection_needs_reconnect", "The user did not sign in to Outlook again within 24 hours.")
            return Turn(waiting[:FAILURES_AT_ONCE], now, late)
        return await self._paced(batch, connection, waiting)

    async def _paced(self, batch: Batch, connection: Connection, waiting: range) -> Turn:
        names = [ids.message_in_batch(batch.batch_id, i) for i in waiting[: self.pacing.per_minute * 2]]
        first, come_back = await self.pacing.give(connection.mailbox.identity, batch.account_id, names)
        return Turn(waiting[: len(first)], come_back)

    async def _release(self, batch: Batch, letter: Letter, index: int, turn: Turn, now: datetime) -> None:
        message = rule.message_of(batch, letter, index)
        message = replace(message, outbox=replace(message.outbox or Outbox(), released_at=now))
        message = await self.journal.release(message, rule.thread_of(batch, letter, index, now))
        if message.status.final:
            await self.outcomes.tell(message)
        elif letter.problem:
            await self.outcomes.fail(message, "invalid_address", letter.problem)
        elif turn.failure is not None:
            await self.outcomes.fail(message, *turn.failure)
        else:
            place = (index - batch.released) / self.pacing.per_minute
            await self._wake(message, timedelta(seconds=int(place * OUTLOOK_SPREAD_S)))

    async def _wake(self, message: Message, delay: timedelta) -> None:
        job = SendMail(message.account_id, message.message_id)
        delay = timedelta() if message.via == "provider" else delay
        await self.work.promise(job, due_at=self.clock() + delay + LOST_AFTER, delay=delay)


def _pieces(emails: Sequence[int]) -> list[Sequence[int]]:
    return [emails[at : at + AT_ONCE] for at in range(0, len(emails), AT_ONCE)]
