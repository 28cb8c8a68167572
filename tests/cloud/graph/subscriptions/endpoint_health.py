"""
How Graph treats an endpoint that answers slowly: first it delays notifications, then it drops them.

Imitated, from https://learn.microsoft.com/graph/change-notifications-delivery-webhooks (2026-04-22): over the last 10
minutes, more than 10 % of answers slower than 3 s delay new notifications by 10 minutes; more than 15 % slower than 10 s
drop them for 10 minutes. Judged per host, whoever owns the subscriptions. The page names no smallest number of answers;
here one is enough, which is why this is a switch and off unless asked for.
"""

from collections import defaultdict, deque
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit

from tests.cloud.clock import Clock

WINDOW = timedelta(minutes=10)
SLOW_SECONDS = 3.0
SLOW_SHARE = 0.10
VERY_SLOW_SECONDS = 10.0
VERY_SLOW_SHARE = 0.15

Treatment = Literal["normal", "delay", "drop"]


class EndpointHealth:
    """Remembers how long each host took to answer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._answers: defaultdict[str, deque[tuple[datetime, float]]] = defaultdict(deque)
        self._dropped_until: dict[str, datetime] = {}

    def record(self, url: str, seconds: float) -> None:
        """Note one answer (or one time-out) of the host of `url`."""
        self._answers[urlsplit(url).netloc].append((self._clock.now(), seconds))

    def treatment(self, url: str) -> Treatment:
        """What happens to a notification for this address now."""
        host, now = urlsplit(url).netloc, self._clock.now()
        answers = self._answers[host]
        while answers and answers[0][0] <= now - WINDOW:
            answers.popleft()
        if now < self._dropped_until.get(host, now):
            return "drop"
        if self._share(answers, VERY_SLOW_SECONDS) > VERY_SLOW_SHARE:
            self._dropped_until[host] = now + WINDOW
            return "drop"
        return "delay" if self._share(answers, SLOW_SECONDS) > SLOW_SHARE else "normal"

    @staticmethod
    def _share(answers: deque[tuple[datetime, float]], over_seconds: float) -> float:
        return sum(seconds >= over_seconds for _, seconds in answers) / len(answers) if answers else 0.0
