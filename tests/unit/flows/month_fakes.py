"""
Fakes that can stand a month of hundreds of mailboxes: each keeps the same promises as the one it grew from, and finds what it is
asked for without looking through everything.
"""

import heapq
from collections import defaultdict
from datetime import datetime, timedelta
from itertools import count

from sync.domain import connection as rule
from sync.domain.connection import Connection
from sync.domain.mail import MailboxMessage
from sync.jobs import Job
from tests.fakes.clock import FakeClock
from tests.fakes.connections import FakeConnections
from tests.fakes.faults import Faults
from tests.fakes.mail import FakeMail, Identity, Item
from tests.fakes.work import FakeWork, QueueMessage


class Agenda(FakeWork):
    """Queues and promises that know what comes next."""

    def __init__(self, clock: FakeClock, faults: Faults) -> None:
        super().__init__(clock, faults)
        self._numbers = count()
        self._visible: list[tuple[datetime, int, QueueMessage]] = []
        self._due: list[tuple[datetime, int, str]] = []

    def put(self, queue: str, text: str, delay: timedelta = timedelta()) -> None:
        """A message in a queue, as an output binding writes it."""
        super().put(queue, text, delay)
        self.show_again(self.messages[-1])

    def show_again(self, message: QueueMessage) -> None:
        """Its time has changed."""
        heapq.heappush(self._visible, (message.visible_at, next(self._numbers), message))

    async def postpone(self, job: Job, due_at: datetime) -> None:
        """Move the promise's time without queueing."""
        try:
            await super().postpone(job, due_at)
        finally:  # the caller may die although it took effect
            heapq.heappush(self._due, (due_at, next(self._numbers), job.key))

    @property
    def next_visible(self) -> datetime | None:
        """When the next message can be seen."""
        return self._visible[0][0] if self._visible else None

    def take(self) -> QueueMessage:
        """The message that can be seen first."""
        return heapq.heappop(self._visible)[2]

    @property
    def next_due(self) -> datetime | None:
        """When the next promise comes due."""
        while self._due:
            due_at, _, key = self._due[0]
            promised = self.promises.get(key)
            if promised is not None and promised[1] == due_at:
                return due_at
            heapq.heappop(self._due)
        return None


class IndexedConnections(FakeConnections):
    """Connections that are found by their mailbox."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(faults)
        self._users_of: defaultdict[Identity, set[tuple[str, str]]] = defaultdict(set)

    async def introduce(self, connection: Connection) -> None:
        """Keep who owns this new connection."""
        self._users_of[connection.mailbox.identity].add((connection.account_id, connection.user_id))
        await super().introduce(connection)

    def _others(self, connection: Connection) -> list[Connection]:
        found = [self._current.get(user) for user in sorted(self._users_of[connection.mailbox.identity])]
        others = [c for c in found if c is not None and c.connection_id not in (connection.connection_id, *self._left)]
        return [other for other in others if rule.same_mailbox(connection, other)]


class IndexedMail(FakeMail):
    """Many mailboxes, each of which knows its own messages; and what leaves next."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._of: dict[Identity, dict[str, Item]] = {}
        self._stamped: dict[str, Item] = {}
        self._leaving: list[tuple[datetime, str]] = []

    async def received_since(
        self, connection: Connection, since: datetime, limit: int, skip: int = 0
    ) -> list[MailboxMessage]:
        """As in a world with this mailbox alone."""
        everything = self._items
        self._items = self._of.get(connection.mailbox.identity, {})
        try:
            return await super().received_since(connection, since, limit, skip)
        finally:
            self._items = everything

    async def send(self, connection: Connection, draft_id: str) -> None:
        """Send a draft."""
        try:
            await super().send(connection, draft_id)
        finally:
            leaves_at = self._items[draft_id].leaves_at
            if leaves_at is not None:
                heapq.heappush(self._leaving, (leaves_at, draft_id))

    def copy_of(self, stamp: str) -> MailboxMessage | None:
        """The copy in Sent Items of what the app sent with this stamp, if it is there."""
        item = self._stamped.get(stamp)
        return item.seen if item is not None and not item.seen.is_draft else None

    @property
    def next_departure(self) -> datetime | None:
        """When the next sent message leaves."""
        return self._leaving[0][0] if self._leaving else None

    def depart(self) -> None:
        """Let leave what was sent and is due."""
        while self._leaving and self._leaving[0][0] <= self._clock():
            everything, draft_id = self._items, heapq.heappop(self._leaving)[1]
            self._items = {draft_id: everything[draft_id]}
            try:
                super().depart()
            finally:
                self._items = everything

    def _add(self, item: Item) -> None:
        self._of.setdefault(item.owner, {})[item.seen.graph_id] = item
        if item.seen.stamp:
            self._stamped[item.seen.stamp] = item
        super()._add(item)
