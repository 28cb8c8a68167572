"""
Erasing what was synced for a user: mail, files, keys and events go, in tables and blobs; that it was erased stays, and how much.

    end       the connection, as every delete does
    count     what there is of it, and of the user's earlier connections
    mark      it as erased, with the counts: from here on it is decided, whatever becomes of this process
    remove    what belongs to erased connections, and to no other: the user may have connected anew by now
    again     once everything that was under way when the connection ended is over, for it may have written after us

Erased is the newest connection that is marked, with all the user had before it. Each step finds out by itself what is left to
do, so that any of it can be done again.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sync.domain import connection as rule
from sync.domain.connection import Connection, Erased
from sync.domain.retry import LOST_AFTER
from sync.flows.disconnect import Disconnect
from sync.flows.ports import Anchors, Clock, Connections, Content, Journal, SignIns, Work
from sync.flows.removal import Removal
from sync.jobs import EraseUser, WatchMailbox

#: So long the CRM waits for a removal, in seconds, before the rest is left to the queue: an HTTP call has 230 s in all.
PATIENCE_S = 60.0
#: So long one run of the job goes on, in seconds, before it makes room for the next: host.json gives a function 5 minutes.
JOB_PATIENCE_S = 240.0
#: Longer than anything goes on that was under way when the connection ended.
OVER_AFTER = timedelta(minutes=10)
#: How often is asked whether it is no longer needed whose mailbox it was.
ASKS_AGAIN_AFTER = timedelta(days=1)
#: Longer than completing a sign-in takes: a connection that is not the user's by then never will be.
STILLBORN_AFTER = timedelta(minutes=5)


@dataclass(frozen=True)
class Erase:
    """The end of everything that was synced for a user."""

    connections: Connections
    sign_ins: SignIns
    anchors: Anchors
    journal: Journal
    content: Content
    work: Work
    disconnect: Disconnect
    clock: Clock
    patience_s: float = PATIENCE_S

    async def erase(self, account_id: str, user_id: str) -> Connection:
        """
        End the user's connection and erase what it and all before it have synced; raises NotFound where there never was one.

        The answer's `erased` is how much that was, the same each time. What takes too long goes on in the background.
        """
        connection = await self.disconnect.delete(account_id, user_id)
        if connection.erased is None:
            connection = await self._mark(connection)
        await self._remove(EraseUser(account_id, user_id), self.patience_s)
        return connection

    async def go_on(self, job: EraseUser) -> None:
        """Remove what is left, or has come since; promises the next look by itself."""
        await self._remove(job, JOB_PATIENCE_S)

    @property
    def _removal(self) -> Removal:
        return Removal(self.anchors, self.journal, self.content, self.work, self.clock)

    async def _mark(self, connection: Connection) -> Connection:
        """The connection as erased, which is for good."""
        account_id, user_id = connection.account_id, connection.user_id
        had = await self.connections.all_of(account_id, user_id)
        counted_before = {c.connection_id for c in _erased(had)}
        to_count = {c.connection_id for c in _up_to(connection, had)} - counted_before
        counts = await self._removal.count(account_id, user_id, to_count)
        # Not after the mark: what is done then is done again, and would meet the sign-in of a user who comes back.
        await self.sign_ins.remove_of(account_id, user_id)
        lost_at = self.clock() + timedelta(seconds=self.patience_s) + LOST_AFTER
        await self.work.postpone(EraseUser(account_id, user_id), lost_at)
        return await self.disconnect.rewrite(connection, lambda ended: _marked(ended, counts))

    async def _remove(self, job: EraseUser, patience_s: float) -> None:
        """Remove for so long, then promise what is next: the rest at once, or another look later, until one finds nothing."""
        try:
            async with asyncio.timeout(patience_s):
                erased = await self._without_names(job.account_id, job.user_id)
                ids = {connection.connection_id for connection in erased}
                found = bool(ids) and await self._removal.remove(job.account_id, job.user_id, ids)
        except TimeoutError:
            await self.work.promise(replace(job, again=False), due_at=self.clock() + LOST_AFTER)
            return
        if job.again and not found and not any(map(_of_somebody, erased)):
            await self.work.done(job)
            return
        wait = OVER_AFTER if found or not job.again else ASKS_AGAIN_AFTER
        await self.work.promise(replace(job, again=True), due_at=self.clock() + wait + LOST_AFTER, delay=wait)

    async def _without_names(self, account_id: str, user_id: str) -> list[Connection]:
        """The erased connections, as they were found; after this they name nobody."""
        had = await self.connections.all_of(account_id, user_id)
        erased = _erased(had)
        for connection in erased:
            if connection.erased is None:
                await self.disconnect.rewrite(connection, lambda ended: _marked(ended, Erased()))
            if _of_somebody(connection):
                # What is open at Graph can only be closed by who knows whose mailbox it is, and forgets it then.
                due_at = self.clock() + timedelta(minutes=1)
                await self.work.promise(WatchMailbox(connection.connection_id), due_at=due_at)
        for connection in _stillborn(had, self.clock()) if erased else ():
            await self.disconnect.forget(connection)
            await self.disconnect.rewrite(connection, lambda ended: rule.anonymous(replace(ended, previous=None)))
        return erased


def _up_to(newest: Connection, had: Iterable[Connection]) -> list[Connection]:
    """This connection and all that the user had before it, which have ended."""
    return [c for c in had if not c.live and c.connected_at <= newest.connected_at]


def _erased(had: list[Connection]) -> list[Connection]:
    """Those that are erased: a process may have died between marking the newest and the others."""
    newest = max((c for c in had if c.erased is not None), key=lambda c: c.connected_at, default=None)
    return _up_to(newest, had) if newest is not None else []


def _stillborn(had: list[Connection], now: datetime) -> list[Connection]:
    """Those that never became the user's, since the sign-in died on the way; they hold nothing but names."""
    return [
        c
        for c in had
        if not c.live
        and c.ended_at is None
        and c.erased is None
        and now - c.connected_at > STILLBORN_AFTER
        and _of_somebody(c)
    ]


def _of_somebody(connection: Connection) -> bool:
    """Whether it can still be seen whose mailbox it is."""
    return rule.anonymous(connection) != connection


def _marked(connection: Connection, counts: Erased) -> Connection:
    """The connection with the counts, or as it was marked before."""
    return connection if connection.erased is not None else rule.erased(connection, counts)
