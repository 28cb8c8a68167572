"""A clock that stands still until a test moves it."""

from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class FakeClock:
    """Keeps `flows.ports.Clock`. It only moves forward."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def __call__(self) -> datetime:
        """The time now, aware, in UTC."""
        return self._now

    def advance(self, by: timedelta) -> None:
        """Let this much time pass."""
        self.advance_to(self._now + by)

    def advance_to(self, when: datetime) -> None:
        """Let time pass until then; a time in the past changes nothing."""
        self._now = max(self._now, when)
