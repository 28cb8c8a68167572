"""
What goes wrong, and when. Every awaited call of every fake passes through one `Faults`:

    faults.fail("mail.send", Unclear(), applied=True)       the next send takes effect, and its answer is lost
    faults.crash_at(7, applied=False)                       the process dies as it makes its seventh call
    faults.meanwhile("mail.content", disconnect)            somebody else does something while the call is under way
    faults.outage("journal.*", Down(), lambda: clock() < t)  every call fails without effect for as long as that is so
    faults.jostle(7)                                        calls made at once overtake one another, as the seed decides

Names of calls are `<port>.<method>`; `fail` and `meanwhile` take a glob.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase


class Crash(BaseException):
    """The process died here. No Exception, so that nothing in the app reacts to it, as nothing reacts to a power cut."""


@dataclass
class _Plan:
    """What happens to `times` calls that fit `pattern`, after `skip` others that fit; `applied`: after their effect."""

    pattern: str
    happens: Callable[[], Awaitable[None]]
    applied: bool
    skip: int
    times: int


class Faults:
    """The plans of one test, and the names of all calls so far, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._plans: list[_Plan] = []
        self._outages: list[tuple[str, BaseException, Callable[[], bool]]] = []
        self._chance: random.Random | None = None

    def jostle(self, seed: int) -> None:
        """Let each call take a while that chance decides, so that work done at once overtakes other work anywhere."""
        self._chance = random.Random(seed)

    def fail(self, pattern: str, error: BaseException, *, applied: bool = False, skip: int = 0, times: int = 1) -> None:
        """Let calls that fit the glob end with this error; with `applied`, after they took effect."""

        async def raised() -> None:
            raise error

        self._plans.append(_Plan(pattern, raised, applied, skip, times))

    def outage(self, pattern: str, error: BaseException, lasts: Callable[[], bool]) -> None:
        """Let every call that fits the glob fail without effect for as long as `lasts` says so."""
        self._outages.append((pattern, error, lasts))

    def crash_at(self, number: int, *, applied: bool) -> None:
        """Let the process die at the `number`th call from now on (1 is the next), before or after its effect."""
        self.fail("*", Crash(f"call {number}"), applied=applied, skip=number - 1)
        self._plans.insert(0, self._plans.pop())  # a power cut waits for no other trouble

    def meanwhile(
        self, pattern: str, action: Callable[[], Awaitable[object]], *, applied: bool = False, skip: int = 0
    ) -> None:
        """Do something else just before the next call that fits takes effect (with `applied`, just after)."""

        async def done() -> None:
            await action()

        self._plans.append(_Plan(pattern, done, applied, skip, 1))

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._plans.clear()

    def count(self, pattern: str) -> int:
        """How many calls so far fit the glob."""
        return sum(fnmatchcase(call, pattern) for call in self.calls)

    @asynccontextmanager
    async def at(self, call: str) -> AsyncIterator[None]:
        """Around the effect of one call."""
        self.calls.append(call)
        plan = self._next_plan(call)
        await self._while()
        for pattern, error, lasts in self._outages:
            if fnmatchcase(call, pattern) and lasts():
                raise error
        if plan is not None and not plan.applied:
            await plan.happens()
        yield
        await self._while()
        if plan is not None and plan.applied:
            await plan.happens()

    async def _while(self) -> None:
        for _ in range(1 + (self._chance.randrange(4) if self._chance else 0)):
            await asyncio.sleep(0)

    def _next_plan(self, call: str) -> _Plan | None:
        due = None
        for plan in self._plans:
            if not plan.times or not fnmatchcase(call, plan.pattern):
                continue
            if plan.skip:
                plan.skip -= 1
            elif due is None:
                plan.times -= 1
                due = plan
        return due
