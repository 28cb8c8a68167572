"""
Taking back what is not yet sent.

A batch is cancelled in its row: none of its emails gets a turn any more, and one that had its turn asks the row before it is
sent. An email that may be on its way can't be taken back.
"""

import asyncio
from dataclasses import dataclass, replace

from sync.domain import message as message_rule
from sync.domain.batch import Batch
from sync.domain.errors import Conflict, NotCancellable, NotFound
from sync.domain.message import Message, Status
from sync.domain.retry import LOST_AFTER
from sync.flows.batches import Batches
from sync.flows.ports import Clock, Journal, Work
from sync.jobs import SendMail

#: Rows that are read and written at the same time.
AT_ONCE = 8


@dataclass(frozen=True)
class Cancel:
    """The CRM's second thoughts. Doing it again changes nothing."""

    batches: Batches
    journal: Journal
    work: Work
    clock: Clock

    async def batch(self, account_id: str, batch_id: str) -> tuple[Batch, dict[str, int]]:
        """Cancel what is not yet sent of a batch; returns it, and how many of its emails are in each status then."""
        while True:
            batch = await self.journal.batch(account_id, batch_id)
            if batch is None:
                raise NotFound
            if batch.cancelled_at is not None or (batch.kind == "bulk" and batch.finished):
                break
            try:
                await self.journal.save_batch(replace(batch, cancelled_at=self.clock()))
            except Conflict:
                continue
            break
        waiting = await self.journal.in_batch(account_id, batch_id, unfinished=True)
        for at in range(0, len(waiting), AT_ONCE):
            await asyncio.gather(*(self._cancelled(message) for message in waiting[at : at + AT_ONCE]))
        return await self.batches.batch(account_id, batch_id)

    async def message(self, account_id: str, message_id: str) -> Message:
        """Cancel one email; raises NotCancellable where it may be on its way, or has ended otherwise."""
        message = await self.journal.message(account_id, message_id)
        if message is None:
            waiting = await self.batches.waiting(account_id, message_id)
            if waiting is None:
                raise NotFound
            if waiting.message.status is Status.CANCELLED:
                return waiting.message
            # Its rows are written now, so that they stand when its turn comes.
            message = await self.journal.release(waiting.message, waiting.thread)
        ended = await self._cancelled(message)
        if ended.status is not Status.CANCELLED:
            raise NotCancellable
        return ended

    async def _cancelled(self, message: Message) -> Message:
        """The message as cancelled; as it is, where it is too late."""
        while message.origin == "crm" and not message.status.final and not message.on_its_way(self.clock()):
            try:
                ended = await self.journal.save_message(message_rule.cancelled(message))
            except Conflict:
                current = await self.journal.message(message.account_id, message.message_id)
                if current is None:
                    return message  # erased meanwhile
                message = current
                continue
            # What was made of it so far, a draft perhaps, goes with the next wake-up.
            job = SendMail(message.account_id, message.message_id)
            await self.work.promise(job, due_at=self.clock() + LOST_AFTER)
            return ended
        return message
