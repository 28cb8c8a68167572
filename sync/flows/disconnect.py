"""
Ending a connection: first here, for everybody and at once, then at Graph.

What opens or closes something at Graph is promised before, so that a process that dies in between leaves nothing open for good.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sync.domain import connection as connection_rule
from sync.domain.connection import Connection
from sync.domain.errors import Conflict, NotFound, OperatorAlarm, OutsideError
from sync.domain.event import connection_event
from sync.flows.deliver import tell
from sync.flows.ports import Clock, Connections, Journal, Subscriptions, Tokens, Work
from sync.jobs import WatchMailbox

#: How long a delete waits for Graph before it leaves the clean-up to the queue, in seconds.
CLOSE_PATIENCE_S = 5.0


@dataclass(frozen=True)
class Disconnect:
    """The end of connections."""

    connections: Connections
    journal: Journal
    work: Work
    tokens: Tokens
    subscriptions: Subscriptions
    clock: Clock

    async def delete(self, account_id: str, user_id: str) -> Connection:
        """End the user's connection: first here, for everybody and at once, then at Graph. Again: the same answer."""
        connection = await self._users(account_id, user_id)
        ended_before = not connection.live
        while connection.live:
            await self.see_to(connection)
            try:
                connection = await self.connections.save(connection_rule.disconnected(connection, self.clock()))
            except Conflict:
                connection = await self._users(account_id, user_id)
        now = self.clock()
        await tell(self.journal, self.work, connection_event("connection.disconnected", connection, "ended", now), now)
        if ended_before:  # an earlier call may have died before it closed anything
            await self.work.promise(WatchMailbox(connection.connection_id), due_at=now + timedelta(minutes=1))
        else:
            await self.close(connection)
        return connection

    async def _users(self, account_id: str, user_id: str) -> Connection:
        connection = await self.connections.of_user(account_id, user_id)
        if connection is None:
            raise NotFound
        return connection

    async def see_to(self, connection: Connection) -> None:
        """Promise a look at a connection about to change: if this process dies, what is open for it is still put right."""
        await self.work.postpone(WatchMailbox(connection.connection_id), self.clock() + timedelta(minutes=1))

    async def close(self, connection: Connection) -> None:
        """Drop subscription and tokens of a connection that has ended; what does not work now is left to the queue."""
        job = WatchMailbox(connection.connection_id)
        await self.work.promise(job, due_at=self.clock() + timedelta(minutes=1), delay=timedelta(seconds=30))
        if connection.subscription is None:
            return  # one may be opening at this moment: whoever opens it still needs the tokens to close it
        try:
            async with asyncio.timeout(CLOSE_PATIENCE_S):
                await self.close_at_graph(connection)
        except (OutsideError, OperatorAlarm, TimeoutError):
            return
        await self.work.done(job)

    async def close_at_graph(self, connection: Connection) -> None:
        """
        End at Graph what a connection had opened, unless others live by it, then destroy its tokens.

        The last connection of a mailbox leaves nothing open, not even what was opened by a call without an answer.
        """
        if not await self.connections.of_mailbox(connection):
            for left in await self.subscriptions.ours(connection, now=self.clock()):
                await self.subscriptions.close(connection, left)
        elif connection.subscription is not None and not await self.connections.sharing(connection):
            await self.subscriptions.close(connection, connection.subscription)
        await self.forget(connection)

    async def forget(self, connection: Connection) -> None:
        """Destroy the tokens of a connection that has ended, the last thing that is done for it."""
        await self.tokens.destroy(connection)
        await self.connections.leave(connection)
        kept = await self.connections.by_id(connection.connection_id)
        if kept is None or kept.erased is None or connection_rule.anonymous(kept) == kept:
            return
        # Graph may go on naming this connection to others who live by its subscription: they are found by its mailbox.
        if not await self.connections.sharing(kept):
            await self.rewrite(kept, connection_rule.anonymous)

    async def rewrite(self, connection: Connection, change: Callable[[Connection], Connection]) -> Connection:
        """Change what is kept of a connection that has ended, wherever it is kept, while others may take its place."""
        while True:
            current = await self.connections.of_user(connection.account_id, connection.user_id)
            if current is None or current.connection_id != connection.connection_id:
                retired = await self.connections.by_id(connection.connection_id)
                changed = change(retired or connection)
                await self.connections.retire(changed)
                return changed
            changed = change(current)
            await self.connections.retire(changed)  # it was introduced with all its names
            with contextlib.suppress(Conflict):
                return await self.connections.save(changed)
