"""The CRM's webhook, in memory."""

from collections import deque
from collections.abc import Callable

from sync.domain.event import Answer, Event
from tests.fakes.faults import Faults

ACCEPTED = Answer(204, 0.01)


class FakeCrm:
    """
    Keeps `flows.ports.Crm`.

    heard: what was accepted, in order. answers: how the next pushes are answered. is_down: whether nobody answers now.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.heard: list[Event] = []
        self.answers: deque[Answer] = deque()
        self.is_down: Callable[[], bool] = lambda: False

    async def deliver(self, event: Event) -> Answer:
        """Push an event once; never raises for anything the receiver does."""
        async with self._faults.at("crm.deliver"):
            if self.is_down():
                return Answer(None, 15.0, "no answer within 15 seconds")
            answer = self.answers.popleft() if self.answers else ACCEPTED
            if answer.accepted:
                self.heard.append(event)
            return answer
