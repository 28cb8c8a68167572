"""The CRM's webhook, in memory."""

from collections import deque

from sync.domain.event import Answer, Event
from tests.fakes.faults import Faults

ACCEPTED = Answer(204, 0.01)


class FakeCrm:
    """Keeps `flows.ports.Crm`. `heard`: what was accepted, in order; `answers`: how the next pushes are answered."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.heard: list[Event] = []
        self.answers: deque[Answer] = deque()

    async def deliver(self, event: Event) -> Answer:
        """Push an event once; never raises for anything the receiver does."""
        async with self._faults.at("crm.deliver"):
            answer = self.answers.popleft() if self.answers else ACCEPTED
            if answer.accepted:
                self.heard.append(event)
            return answer
