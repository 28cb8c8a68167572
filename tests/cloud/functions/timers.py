"""
Timer triggers.

Source: https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer. The next occurrence is looked for once the
function has ended, so that a run never overlaps itself. The status of a schedule is kept in memory, where Azure keeps it in a
blob: `past_due` is true when an occurrence was missed while this host was stopped. Times are real UTC, not those of the
movable clock of the local cloud: to run a timer at will, `POST /admin/functions/{name}`.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from tests.cloud.functions import wire
from tests.cloud.functions.bindings import TimerTrigger

Run = Callable[[wire.Value], Awaitable[None]]


class Timer:
    """One timer trigger; lives as long as the host object, so that it knows what it missed."""

    def __init__(self, trigger: TimerTrigger) -> None:
        self._trigger = trigger
        self._last: datetime | None = None
        self._next: datetime | None = None

    async def tick(self, run: Run) -> None:
        """Run at each occurrence, until cancelled."""
        missed = self._next is not None and self._next < datetime.now(UTC)
        if missed or self._trigger.run_on_startup:
            await self._fire(run, past_due=missed)
        while True:
            self._next = self._trigger.schedule.next_after(datetime.now(UTC))
            await _until(self._next)
            await self._fire(run, past_due=False)

    def input(self, *, past_due: bool = False) -> wire.Value:
        """What the function is given: TimerInfo as JSON."""
        now = datetime.now(UTC)
        status = None
        if self._trigger.use_monitor:
            status = {
                "Last": (self._last or datetime.min.replace(tzinfo=UTC)).isoformat(),
                "Next": self._trigger.schedule.next_after(now).isoformat(),
                "LastUpdated": (self._last or now).isoformat(),
            }
        info = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}
        return "json", json.dumps(info)

    async def _fire(self, run: Run, *, past_due: bool) -> None:
        given = self.input(past_due=past_due)
        self._last = datetime.now(UTC)
        await run(given)


async def _until(when: datetime) -> None:
    """Sleep till `when`; a sleep may end a little early."""
    while (left := (when - datetime.now(UTC)).total_seconds()) > 0:  # noqa: ASYNC110 - nothing sets an event at a time
        await asyncio.sleep(left)
