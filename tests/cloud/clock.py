"""The clock of the local cloud: real time plus what a test has added to it."""

import asyncio
from datetime import UTC, datetime, timedelta


class Clock:
    """
    A clock that runs with real time and can be moved forward.

    All durations are in seconds. `sleep` follows the clock: moving it forward wakes whoever waited for that time.
    """

    def __init__(self) -> None:
        self._offset = timedelta()
        self._moved = asyncio.Event()

    def now(self) -> datetime:
        """The time now, aware, in UTC."""
        return datetime.now(UTC) + self._offset

    def advance(self, seconds: float) -> None:
        """Move the clock forward by `seconds` (not backward)."""
        if seconds < 0:
            raise ValueError("this clock only moves forward")
        self._offset += timedelta(seconds=seconds)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def sleep(self, seconds: float) -> None:
        """Return once the clock shows `seconds` more than now."""
        await self.sleep_until(self.now() + timedelta(seconds=seconds))

    async def sleep_until(self, when: datetime) -> None:
        """Return once the clock shows `when`."""
        while (left := (when - self.now()).total_seconds()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._moved.wait()
            except TimeoutError:
                pass
