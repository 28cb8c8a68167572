"""
What goes wrong in a simulated month: Graph's outages, and workers that die.

`Weather` stands where `Faults` stands, with two differences: trouble is a matter of time and mailbox, not of the next call, and
no call gives way to another one, since a month of one process has no use for that and 200 connections have no time for it.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from types import TracebackType
from typing import Literal

from sync.domain.connection import Connection
from sync.domain.errors import Throttled, Unclear
from sync.flows.ports import Tokens
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Crash, Faults
from tests.fakes.graph_access import GraphAccess
from tests.fakes.mail import Identity
from tests.fakes.people import People

#: `unclear`: no answer, nothing done. `throttled`: 429 with a Retry-After. `cut`: the call takes effect, and its answer is lost.
type Kind = Literal["unclear", "throttled", "cut", "any"]

LONGEST_OUTAGE = timedelta(hours=20)
LONGEST_RETRY_AFTER = timedelta(minutes=30)
#: A worker dies at one call of so many.
CALLS_PER_CRASH = 2_000


@dataclass(frozen=True)
class Outage:
    """From when to when every call to Graph's subscriptions fails: for one mailbox, or (None) for all."""

    begins: datetime
    ends: datetime
    mailbox: Identity | None
    kind: Kind

    def strikes(self, mailbox: Identity) -> bool:
        """Whether it is meant for this mailbox."""
        return self.mailbox in (None, mailbox)


class _Call(AbstractAsyncContextManager[None]):
    """Around the effect of one call; the error comes before it, or after it took effect."""

    __slots__ = ("_after", "_before")

    def __init__(self, before: BaseException | None = None, after: BaseException | None = None) -> None:
        self._before = before
        self._after = after

    async def __aenter__(self) -> None:
        if self._before is not None:
            raise self._before

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._after is not None and error is None:
            raise self._after


_NOTHING = _Call()


class Weather(Faults):
    """
    Every call passes through here. `working`: whether a worker runs, which may die. `caller`: whose Graph call it is.

    tried: the tries at Graph's subscriptions, by connection and hour; calls at one moment are one try. looked: the pages of
    mailboxes that were listed, by connection. crashes: how many workers died.
    """

    def __init__(self, clock: FakeClock, dice: Random) -> None:
        super().__init__()
        self._clock = clock
        self._dice = dice
        self._calls_to_crash = self._next_crash()
        self._calm = False
        self.outages: list[Outage] = []
        self.working = False
        self.caller: Connection | None = None
        self.tried: Counter[tuple[str, datetime]] = Counter()
        self._tried_at: dict[str, datetime] = {}
        self.looked: Counter[str] = Counter()
        self.crashes = 0

    @contextmanager
    def calm(self) -> Iterator[None]:
        """For the test's own questions: nothing fails and nothing is counted."""
        before, self._calm = self._calm, True
        yield
        self._calm = before

    def at(self, call: str) -> AbstractAsyncContextManager[None]:  # type: ignore[override]
        """Around the effect of one call."""
        if self._calm:
            return _NOTHING
        if self.working:
            self._calls_to_crash -= 1
            if self._calls_to_crash <= 0:
                self._calls_to_crash = self._next_crash()
                self.crashes += 1
                crash = Crash(call)
                return _Call(crash) if self._dice.random() < 0.5 else _Call(None, crash)
        if not call.startswith(("subscriptions.", "mail.received_since")):
            return _NOTHING
        assert self.caller is not None
        if call == "mail.received_since":
            self.looked[self.caller.connection_id] += 1
            return _NOTHING
        name, now = self.caller.connection_id, self._clock()
        if self._tried_at.get(name) != now:
            self._tried_at[name] = now
            self.tried[name, now.replace(minute=0, second=0, microsecond=0)] += 1
        outage = self.outage_of(self.caller.mailbox.identity)
        return self._failed(outage.kind) if outage is not None else _NOTHING

    def outage_of(self, mailbox: Identity) -> Outage | None:
        """The one that strikes this mailbox now."""
        now = self._clock()
        return next((o for o in self.outages if o.begins <= now < o.ends and o.strikes(mailbox)), None)

    def out_for(self, mailbox: Identity) -> timedelta:
        """How long this mailbox is struck in all; where outages overlap, each counts."""
        return sum((o.ends - o.begins for o in self.outages if o.strikes(mailbox)), timedelta())

    def last_outage(self, mailbox: Identity) -> datetime | None:
        """When this mailbox was last struck; the end of an outage that goes on lies ahead."""
        now = self._clock()
        return max((o.ends for o in self.outages if o.begins <= now and o.strikes(mailbox)), default=None)

    def _failed(self, kind: Kind) -> _Call:
        if kind == "any":
            kind = self._dice.choice(("unclear", "throttled", "cut"))
        match kind:
            case "throttled":
                return _Call(Throttled(retry_after=LONGEST_RETRY_AFTER * self._dice.random()))
            case "cut":
                return _Call(None, Unclear("the connection was cut"))
            case _:
                return _Call(Unclear("no answer"))

    def _next_crash(self) -> int:
        return self._dice.randrange(1, 2 * CALLS_PER_CRASH)


class KnownAccess(GraphAccess):
    """Graph's door, which tells the weather who comes in."""

    def __init__(self, weather: Weather, people: People, tokens: Tokens) -> None:
        super().__init__(people, tokens)
        self._weather = weather

    async def let_in(self, connection: Connection) -> None:
        """As every call to Graph begins."""
        self._weather.caller = connection
        await super().let_in(connection)
