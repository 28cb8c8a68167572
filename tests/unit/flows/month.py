"""
A month in seconds: the flows on the fakes, with time that jumps to whatever happens next.

As `World.settle`, for hundreds of connections and weeks: what is to happen, what is queued, what is promised and what is leaving
each know what comes next, so that a step costs what happens in it, not what could. The sweep runs at full minutes, as its timer
does. Work takes no time; nothing else is shortened.
"""

import heapq
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from random import Random
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

from sync.domain.connection import Connection
from sync.flows import receive, watch
from sync.jobs import MailChange, WatchMailbox
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Crash
from tests.fakes.mail import Change, Identity
from tests.fakes.work import QueueMessage
from tests.unit.flows import world as world_module
from tests.unit.flows.month_fakes import Agenda, IndexedConnections, IndexedMail
from tests.unit.flows.month_ledger import Ledger
from tests.unit.flows.month_weather import KnownAccess, Weather
from tests.unit.flows.world import RETURN_URL, SIGNING_KEY, VISIBILITY_TIMEOUT, World

MINUTE = timedelta(minutes=1)
#: Of Graph's notifications, so many never come, come twice, and come up to `LATEST_NOTICE` late.
DROPPED, DOUBLED, LATE = 0.03, 0.03, 0.1
LATEST_NOTICE = timedelta(minutes=20)

type Happening = Callable[[], Awaitable[object]]


def notice(world: World, mailbox: Identity, graph_id: str, change: Change) -> bytes:
    """What Graph posts to tell of a change: an item for each open subscription."""
    items = [
        {"clientState": held.client_state, "changeType": change, "resourceData": {"id": graph_id}}
        for held in world.subscriptions.open_ones.values()
        if held.mailbox == mailbox and held.expires_at > world.clock()
    ]
    return json.dumps({"value": items}).encode()


def arrives(world: World, body: bytes, signing_keys: Sequence[bytes]) -> None:
    """Graph's post comes in over HTTP."""
    for text in receive.acknowledge(body, signing_keys):
        world.work.put(MailChange.queue, text)


class Month:
    """
    The app, everything around it, and what is still to happen.

    keys: SIGNING_KEYS, the newest first. deaf: mailboxes of whose changes Graph tells nothing for a while.
    """

    def __init__(self, seed: int) -> None:
        self.dice = Random(f"{seed} story")
        self.clock = FakeClock()
        self.weather = Weather(self.clock, Random(f"{seed} weather"))
        others: dict[str, Any] = {
            "FakeClock": lambda: self.clock,
            "Faults": lambda: self.weather,
            "GraphAccess": partial(KnownAccess, self.weather),
            "FakeConnections": IndexedConnections,
            "FakeMail": IndexedMail,
            "FakeWork": Agenda,
        }
        with mock.patch.multiple(world_module, **others):
            self.world = World()
        self.work: Agenda = self.world.work  # type: ignore[assignment]
        self.mail: IndexedMail = self.world.mail  # type: ignore[assignment]
        self.mail.on_change = self._tell
        self.ledger = Ledger(self.world, self.weather)
        self.keys: tuple[bytes, ...] = (SIGNING_KEY,)
        self.deaf: set[Identity] = set()
        self._numbers = count()
        self._to_come: list[tuple[datetime, int, Happening]] = []
        self._swept_at = self.clock()
        self._watched: set[Identity] = set()

    def at(self, when: datetime, happening: Happening) -> None:
        """This is going to happen then."""
        heapq.heappush(self._to_come, (when, next(self._numbers), happening))

    async def run(self, until: datetime) -> None:
        """Let everything happen up to then."""
        while (step := self._next_step()) is not None and step <= until:
            self.clock.advance_to(step)
            self.mail.depart()
            if self._to_come and self._to_come[0][0] <= self.clock():
                await heapq.heappop(self._to_come)[2]()
            elif (visible := self.work.next_visible) is not None and visible <= self.clock():
                await self._work_off(self.work.take())
            elif (sweep := self._next_sweep()) is not None and sweep <= self.clock():
                self._swept_at = self.clock()
                await self._survives(self.world.sweep.sweep())
        self.clock.advance_to(until)

    async def sign_in(self, account_id: str, user_id: str, email: str) -> Connection:
        """A user signs in to this mailbox, and the CRM completes it."""
        connect = self.world.connect
        url, _ = await connect.begin(account_id, user_id, RETURN_URL)
        opened = await connect.open_link(url.rpartition("/")[2])
        back = await connect.park(self.world.entra.sign_in(opened.location, email), opened.binding)
        code = parse_qs(urlsplit(back.location).query)["completion_code"][0]
        connection = await connect.complete(account_id, user_id, code)
        self.ledger.follow(connection)
        await self.look(connection.mailbox.identity)
        return connection

    def tell_lifecycle(self, mailbox: Identity, event: str, late: timedelta = timedelta()) -> None:
        """Graph's lifecycle notification to whatever is open for this mailbox now, so much later."""
        items = [
            {"clientState": held.client_state, "lifecycleEvent": event}
            for held in self.world.subscriptions.open_ones.values()
            if held.mailbox == mailbox and held.expires_at > self.clock()
        ]
        body = json.dumps({"value": items}).encode()

        async def comes() -> None:
            for text in watch.acknowledge(body, self.keys):
                self.work.put(WatchMailbox.queue, text)

        self.at(self.clock() + late, comes)

    async def look(self, mailbox: Identity) -> None:
        """Write down who of a mailbox is told now, and again when one of its subscriptions ends by itself."""
        ends_at = await self.ledger.look(mailbox, self.keys)
        if ends_at is None or mailbox in self._watched:
            return
        self._watched.add(mailbox)

        async def ends() -> None:
            self._watched.discard(mailbox)
            await self.look(mailbox)

        self.at(ends_at, ends)

    def _tell(self, mailbox: Identity, graph_id: str, change: Change) -> None:
        """Graph's notification of a change: usually at once and once."""
        if mailbox in self.deaf or self.dice.random() < DROPPED:
            return
        body = notice(self.world, mailbox, graph_id, change)

        async def comes() -> None:
            arrives(self.world, body, self.keys)

        for _ in range(2 if self.dice.random() < DOUBLED else 1):
            late = LATEST_NOTICE * self.dice.random() if self.dice.random() < LATE else timedelta(seconds=1)
            self.at(self.clock() + late, comes)

    def _next_step(self) -> datetime | None:
        told = self._to_come[0][0] if self._to_come else None
        times = (told, self.work.next_visible, self._next_sweep(), self.mail.next_departure)
        return min((when for when in times if when is not None), default=None)

    def _next_sweep(self) -> datetime | None:
        """The first full minute at which something is due, and not the one at which the sweep ran last."""
        due = self.work.next_due
        if due is None:
            return None
        after = max(due, self._swept_at + timedelta(microseconds=1))
        full = after.replace(second=0, microsecond=0)
        return full if full == after else full + MINUTE

    async def _work_off(self, message: QueueMessage) -> None:
        job = message.job
        if await self._survives(self.world.work_off(job)):
            self.work.messages.remove(message)
        else:
            message.visible_at = self.clock() + VISIBILITY_TIMEOUT
            self.work.show_again(message)
        if isinstance(job, WatchMailbox):
            await self.look(self.ledger.mailbox_of(job.connection_id))

    async def _survives(self, work: Awaitable[object]) -> bool:
        self.weather.working = True
        try:
            await work
        except Crash:
            return False
        finally:
            self.weather.working = False
        return True
