"""Looking at what one call asked to have sent, also at what has not had its turn and so has no row of its own."""

from dataclasses import dataclass
from typing import NamedTuple

from sync.domain import batch as rule
from sync.domain import ids
from sync.domain.batch import Batch
from sync.domain.errors import NotFound
from sync.domain.message import Message, Thread
from sync.flows.accept import letters_of
from sync.flows.ports import Clock, Content, Journal


class Waiting(NamedTuple):
    """An email that waits for its turn, or was cancelled before it came, and the thread that it will begin."""

    message: Message
    thread: Thread | None


@dataclass(frozen=True)
class Batches:
    """Batches and their emails, within one account."""

    journal: Journal
    content: Content
    clock: Clock

    async def batch(self, account_id: str, batch_id: str) -> tuple[Batch, dict[str, int]]:
        """A batch, and how many of its emails are in each status; raises NotFound."""
        batch = await self.journal.batch(account_id, batch_id)
        if batch is None:
            raise NotFound
        return batch, rule.counts(batch, await self.journal.count_in_batch(account_id, batch_id))

    async def messages(self, batch: Batch) -> list[Message]:
        """Every email of a batch, in its order."""
        released = await self.journal.in_batch(batch.account_id, batch.batch_id)
        known = {message.message_id: message for message in released}
        letters = await letters_of(self.content, batch)
        waiting = (rule.message_of(batch, letter, i) for i, letter in enumerate(letters))
        return [known.get(message.message_id, message) for message in waiting]

    async def waiting(self, account_id: str, message_id: str) -> Waiting | None:
        """The email with this id, where it has not had its turn."""
        place = ids.place_in_batch(message_id)
        batch = await self.journal.batch(account_id, place[0]) if place else None
        if place is None or batch is None or batch.erased or not batch.letters_name or place[1] >= batch.size:
            return None
        letters = await letters_of(self.content, batch)
        letter = letters[place[1]]
        thread = rule.thread_of(batch, letter, place[1], self.clock())
        return Waiting(rule.message_of(batch, letter, place[1]), thread)
