"""
Work that was given up: after 5 tries the Functions host moves a message to a poison queue. Here that is noted, shown, put back.

Each try that fails notes its reason; that is forgotten once the work is done, or put back. The host's copy in a poison queue
would expire after 7 days, so `keep` replaces it by one that never does.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from sync.domain.errors import InvalidRequest
from sync.domain.failure import UNKNOWN, Failure, Poisoned, PoisonMessage, reason_of
from sync.flows.ports import Clock, Poison
from sync.jobs import QUEUES, ids_of, key_of

log = logging.getLogger(__name__)

#: Of each queue so many are shown; the counts in the status are of all.
MAX_SHOWN = 32
#: Of each queue so many are put back with one call, which has to end before its caller gives up.
MAX_PUT_BACK = 1_000
#: A storage that is down must not hold up the failure itself.
NOTE_WITHIN_S = 10.0


@dataclass(frozen=True)
class Poisons:
    """What became of failed work."""

    poison: Poison
    clock: Clock

    async def failed(self, queue: str, text: str, error: Exception, tries: int) -> None:
        """Note why; where that can't be noted either, the log has it."""
        reason, key = reason_of(error), key_of(queue, text)
        log.error("work failed: %s", reason, extra={"queue": queue, "key": key, "tries": tries})
        try:
            async with asyncio.timeout(NOTE_WITHIN_S):
                earlier = await self.poison.failure(queue, key)
                since = earlier.since if earlier is not None else self.clock()
                await self.poison.note(Failure(queue, key, reason, since, tries))
        except Exception as unnoted:  # noqa: BLE001 - what matters is the failure that is to be noted
            log.warning("reason not noted: %s", reason_of(unnoted), extra={"queue": queue, "key": key})

    async def succeeded(self, queue: str, text: str) -> None:
        """Done in the end: there is nothing to tell any more. It is no failure where that can't be noted."""
        try:
            await self.poison.forget(queue, key_of(queue, text))
        except Exception as unnoted:  # noqa: BLE001 - the work is done
            log.warning("reason not forgotten: %s", reason_of(unnoted), extra={"queue": queue})

    async def show(self) -> list[Poisoned]:
        """What is in the poison queues, at most `MAX_SHOWN` of each."""
        return [await self._shown(message) for queue in QUEUES for message in await self.poison.peek(queue, MAX_SHOWN)]

    async def put_back(self, queue: str | None = None) -> Mapping[str, int]:
        """Put what is in the poison queues (of this queue alone) back to its queue, to be tried anew; how much, by queue."""
        if queue is not None and queue not in QUEUES:
            wrong = {"field": "queue", "message": f"One of {', '.join(QUEUES)}."}
            raise InvalidRequest("There is no such queue. Nothing was put back.", errors=[wrong])
        counts = {}
        for name in QUEUES if queue is None else (queue,):
            counts[name] = 0
            async for text in self.poison.put_back(name, MAX_PUT_BACK):
                counts[name] += 1
                await self.succeeded(name, text)
        log.info("poison put back", extra={"count": sum(counts.values())})
        return counts

    async def keep(self) -> int:
        """See that nothing in a poison queue expires; how much would have."""
        return sum([await self.poison.keep(queue) for queue in QUEUES])

    async def _shown(self, message: PoisonMessage) -> Poisoned:
        failure = await self.poison.failure(message.queue, key_of(message.queue, message.text))
        ids = ids_of(message.queue, message.text)
        if failure is None:
            return Poisoned(message.queue, ids, message.inserted_at, UNKNOWN, None)
        return Poisoned(message.queue, ids, failure.since, failure.reason, failure.tries)
