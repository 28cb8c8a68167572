"""
Keeping watch over a mailbox: open its subscription, renew it at half-life, close it once the connection has ended.

This runs in a queue function: Graph calls our validation address while our own POST /subscriptions is still waiting, and an
HTTP function that waits for itself can deadlock.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sync.domain import connection as connection_rule
from sync.domain.connection import Connection, State
from sync.domain.errors import Conflict, Gone, OutsideError, ReconnectNeeded, Throttled
from sync.domain.event import connection_event
from sync.domain.notification import client_state, read_lifecycle
from sync.flows.catch_up import EVERY, LOST_AFTER
from sync.flows.connect import tell_update
from sync.flows.deliver import tell
from sync.flows.disconnect import Disconnect
from sync.flows.ports import Clock, Connections, Journal, Subscriptions, Work
from sync.flows.reconnect import Reconnect
from sync.jobs import CatchUp, WatchMailbox

log = logging.getLogger(__name__)

RETRY_AFTER = timedelta(minutes=1)


def acknowledge(body: bytes, signing_keys: Sequence[bytes]) -> list[str]:
    """The queue messages for a lifecycle notification collection. Forged items are counted in the log and dropped."""
    told = read_lifecycle(body, signing_keys)
    if told.forged:
        log.warning("forged lifecycle notifications dropped", extra={"count": told.forged})
    return [WatchMailbox(connection_id, event).to_json() for connection_id, event in told.changed]


@dataclass(frozen=True)
class Watch:
    """The subscription of a connection."""

    connections: Connections
    journal: Journal
    work: Work
    subscriptions: Subscriptions
    disconnect: Disconnect
    reconnect: Reconnect
    clock: Clock
    signing_key: bytes

    async def keep(self, job: WatchMailbox) -> None:
        """Do what is due for this connection's subscription; promises the next time by itself."""
        connection = await self.connections.by_id(job.connection_id)
        if connection is None:
            await self.work.done(job)
            return
        if job.lifecycle and not job.passed_on:
            for other in await self.connections.sharing(connection):
                await self.work.queue(WatchMailbox(other.connection_id, job.lifecycle, passed_on=True))
        try:
            if not connection.live:
                await self.disconnect.close_at_graph(connection)
                await self.work.done(job)
                return
            if connection.state is State.NEEDS_RECONNECT:
                await self.work.done(job)  # signing in again promises it anew
                return
            connection = await self._watched(connection, job.lifecycle)
        except ReconnectNeeded as refused:
            if connection.live:
                await self.reconnect.ask(connection, refused)
            else:
                await self.disconnect.forget(connection)
            await self.work.done(job)
            return
        except OutsideError as failure:
            wait = failure.retry_after if isinstance(failure, Throttled) else RETRY_AFTER
            log.warning(
                "subscription not changed", extra={"connection_id": job.connection_id, "problem": failure.detail}
            )
            await self.work.promise(job, due_at=self.clock() + wait + RETRY_AFTER, delay=wait)
            return
        now = self.clock()
        await tell_update(self.journal, self.work, connection, now)  # the call that saved it may have died before
        once = f"connected-{connection.sign_ins}"
        await tell(self.journal, self.work, connection_event("connection.connected", connection, once, now), now)
        renew_at = connection.subscription.renew_at if connection.subscription else now + RETRY_AFTER
        await self.work.postpone(WatchMailbox(job.connection_id), renew_at)

    async def _catch_up(self, before: Connection, after: Connection, lifecycle: str, now: datetime) -> None:
        """Look through the mailbox after every gap in what we are told; the first time there is nothing to catch up with."""
        job = CatchUp(after.connection_id)
        if before.synced_through is None:
            await self.work.postpone(job, now + EVERY)
        elif lifecycle == "missed" or _subscription_id(before) != _subscription_id(after):
            await self.work.promise(job, due_at=now + LOST_AFTER)

    async def _watched(self, connection: Connection, lifecycle: str) -> Connection:
        """The connection with a subscription that is not due for renewal."""
        now = self.clock()
        subscription = None if lifecycle == "subscriptionRemoved" else connection.subscription
        # A PATCH renews the authorization too; Microsoft asks not to combine it with POST …/reauthorize.
        asked = lifecycle == "reauthorizationRequired"
        if subscription is not None and (asked or subscription.renew_at <= now):
            try:
                subscription = await self.subscriptions.renew(connection, subscription, now=now)
            except Gone:
                subscription = None
        if subscription is None:
            word = client_state(connection.connection_id, self.signing_key)
            subscription = await self.subscriptions.open(connection, client_state=word, now=now)
        while True:
            watched = connection_rule.connected(connection, subscription)
            # Promised first: once the subscription is saved, nobody sees any more that there was a gap.
            await self._catch_up(connection, watched, lifecycle, now)
            try:
                return await self.connections.save(watched) if watched != connection else connection
            except Conflict:
                changed = await self.connections.by_id(connection.connection_id)
                if changed is None or not changed.live:
                    # Ended while we asked Graph: what we opened must not outlive it.
                    if not await self.connections.sharing(replace(connection, subscription=subscription)):
                        await self.subscriptions.close(connection, subscription)
                    raise Gone("the connection ended meanwhile") from None
                connection = changed


def _subscription_id(connection: Connection) -> str | None:
    return connection.subscription.subscription_id if connection.subscription else None
