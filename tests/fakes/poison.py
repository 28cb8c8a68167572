"""Poison queues and noted failures, in memory; the messages are among those of `FakeWork`."""

from collections.abc import AsyncIterator
from datetime import datetime

from sync.domain.failure import Failure, PoisonMessage
from sync.jobs import POISON_SUFFIX
from tests.fakes.faults import Faults
from tests.fakes.work import FakeWork, QueueMessage


class FakePoison:
    """Keeps `flows.ports.Poison`. `failures`: what is noted; `kept`: the messages that never expire."""

    def __init__(self, work: FakeWork, faults: Faults) -> None:
        self._work = work
        self._faults = faults
        self.failures: dict[tuple[str, str], Failure] = {}
        self.kept: list[QueueMessage] = []

    async def note(self, failure: Failure) -> None:
        """Keep why it failed, in the place of what was kept of an earlier try."""
        async with self._faults.at("poison.note"):
            self.failures[failure.queue, failure.key] = failure

    async def failure(self, queue: str, key: str) -> Failure | None:
        """Why this work failed the last time."""
        async with self._faults.at("poison.failure"):
            return self.failures.get((queue, key))

    async def forget(self, queue: str, key: str) -> None:
        """It was done, or is to be tried anew; no error where nothing was kept."""
        async with self._faults.at("poison.forget"):
            self.failures.pop((queue, key), None)

    async def peek(self, queue: str, limit: int) -> list[PoisonMessage]:
        """The messages in the poison queue of this queue, at most `limit` (and at most 32)."""
        async with self._faults.at("poison.peek"):
            return [PoisonMessage(queue, m.text, m.visible_at) for m in self._in(queue)[: min(limit, 32)]]

    async def put_back(self, queue: str, limit: int) -> AsyncIterator[str]:
        """Put what is in the poison queue back to its queue; the text of each that was."""
        for message in self._in(queue)[:limit]:
            async with self._faults.at("poison.put_back"):
                self._work.put(queue, message.text)
            async with self._faults.at("poison.delete"):
                self._work.messages.remove(message)
            yield message.text

    async def keep(self, queue: str) -> int:
        """Put those of the poison queue that would expire anew, so that they never do; how many that were."""
        async with self._faults.at("poison.keep"):
            expiring = [message for message in self._in(queue) if message not in self.kept]
            self.kept += expiring
            return len(expiring)

    def given_up(self, queue: str, text: str, at: datetime) -> None:
        """The host moves a message here."""
        self._work.messages.append(QueueMessage(queue + POISON_SUFFIX, text, at))

    def _in(self, queue: str) -> list[QueueMessage]:
        return [message for message in self._work.messages if message.queue == queue + POISON_SUFFIX]
