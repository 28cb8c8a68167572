"""
Keeping watch over a mailbox: open its subscription, renew it at half-life, close it once the connection has ended.

This runs in a queue function: Graph calls our validation address while our own POST /subscriptions is still waiting, and an
HTTP function that waits for itself can deadlock.

A subscription that was made with a key or a certificate that is no longer the newest, or in another mode of notifications, is
replaced instead of renewed, the new one opened and saved before the old is closed. So a signing key or a certificate can be
dropped once every subscription has come to half of its life.
"""

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sync.domain import connection as connection_rule
from sync.domain import subscription as rule
from sync.domain.connection import Connection, State, Subscription
from sync.domain.errors import Conflict, Gone, OperatorAlarm, OutsideError, ReconnectNeeded, Throttled
from sync.domain.event import connection_event
from sync.domain.failure import told_of
from sync.domain.notification import client_state, key_name, read_lifecycle
from sync.domain.retry import OPERATOR_NEEDS
from sync.flows.catch_up import EVERY, LOST_AFTER
from sync.flows.connect import tell_update
from sync.flows.counted import counted
from sync.flows.deliver import tell
from sync.flows.disconnect import Disconnect
from sync.flows.ports import Clock, Connections, Journal, Metrics, Subscriptions, Tokens, Work
from sync.flows.reconnect import Reconnect
from sync.jobs import CatchUp, WatchMailbox

log = logging.getLogger(__name__)

#: A promise comes due this long after the wake-up it stands behind.
GRACE = timedelta(minutes=1)


def acknowledge(
    body: bytes, signing_keys: Sequence[bytes], *, trace: str = "", metrics: Metrics | None = None
) -> list[str]:
    """
    The queue messages for a lifecycle notification collection. Forged items are counted and dropped.

    trace: the traceparent of the post, which goes on with each message.
    """
    told = counted("lifecycle", metrics, lambda: read_lifecycle(body, signing_keys))
    if told.forged:
        log.warning("forged lifecycle notifications dropped", extra={"count": told.forged})
    return [WatchMailbox(connection_id, event, trace=trace).to_json() for connection_id, event in told.changed]


@dataclass(frozen=True)
class Watch:
    """The subscription of a connection."""

    connections: Connections
    journal: Journal
    work: Work
    subscriptions: Subscriptions
    tokens: Tokens
    disconnect: Disconnect
    reconnect: Reconnect
    clock: Clock
    signing_key: bytes

    @property
    def _newest(self) -> str:
        """What a subscription is made with now. Raises OperatorAlarm where the newest certificate can't be read."""
        return rule.made_with(key_name(self.signing_key), self.subscriptions.certificate_id)

    async def keep(self, job: WatchMailbox) -> None:
        """Do what is due for this connection's subscription; promises the next time by itself."""
        connection = await self.connections.by_id(job.connection_id)
        if connection is None:
            await self.work.done(job)
            return
        if job.lifecycle and not job.passed_on:
            for other in await self.connections.sharing(connection):
                await self.work.queue(WatchMailbox(other.connection_id, job.lifecycle, passed_on=True))
        if connection.state is State.NEEDS_RECONNECT:
            await self.work.done(job)  # signing in again promises it anew
            return
        try:
            if not connection.live:
                await self._closed(job, connection)
                return
            connection = await self._watched(connection, job.lifecycle)
            await self.tokens.reseal(connection)
        except ReconnectNeeded as refused:
            await self.reconnect.ask(connection, refused)
            await self.work.done(job)
            return
        except (OutsideError, OperatorAlarm) as failure:
            await self._again(job, connection, failure)
            return
        now = self.clock()
        await tell_update(self.journal, self.work, connection, now)  # the call that saved it may have died before
        once = f"connected-{connection.sign_ins}"
        await tell(self.journal, self.work, connection_event("connection.connected", connection, once, now), now)
        renew_at = connection.subscription.renew_at if connection.subscription else now + GRACE
        await self.work.postpone(WatchMailbox(job.connection_id), renew_at)

    async def _closed(self, job: WatchMailbox, connection: Connection) -> None:
        """A connection that has ended leaves nothing open; where Microsoft does not let us close it, it ends by itself."""
        try:
            await self.disconnect.close_at_graph(connection)
        except ReconnectNeeded:
            await self.disconnect.forget(connection)
        except (OutsideError, OperatorAlarm):
            if connection.subscription is not None and connection.subscription.expires_at > self.clock():
                raise
            await self.disconnect.forget(connection)
        await self.work.done(job)

    async def _again(self, job: WatchMailbox, connection: Connection, failure: OutsideError | OperatorAlarm) -> None:
        """Try again later: soon where nothing tells us of the mailbox, less and less often where something does."""
        now = self.clock()
        extra = {"connection_id": job.connection_id, **told_of(failure)}
        failing_since = datetime.fromisoformat(job.failing_since) if job.failing_since else now
        if isinstance(failure, OperatorAlarm):
            log.critical("operator alarm: %s", failure.detail, extra=extra)
            wait = OPERATOR_NEEDS
        else:
            log.warning("subscription not changed", extra=extra)
            wait = _wait(connection, failing_since, now)
        if isinstance(failure, Throttled):
            wait = max(wait, failure.retry_after)
        # Of the lifecycle event the others know by now, and a gap is saved. Not queued: each event that Graph tells of meanwhile
        # would begin a row of tries of its own. The promise is one for each connection, and the sweep wakes it.
        again = replace(
            job,
            lifecycle="" if job.lifecycle == "missed" else job.lifecycle,
            passed_on=True,
            failing_since=failing_since.isoformat(),
        )
        await self.work.postpone(again, now + wait)

    async def _watched(self, connection: Connection, lifecycle: str) -> Connection:
        """The connection with a subscription that is not due for renewal, and is made as one would be made now."""
        now = self.clock()
        held = connection.subscription
        if held is None:
            return await self._saved(connection, await self._opened(connection, now), gap=True)
        lost = lifecycle == "subscriptionRemoved"
        # A PATCH renews the authorization too; Microsoft asks not to combine it with POST …/reauthorize. And it proves whether
        # a subscription was removed: that may be told late, or twice, when another one is open already.
        due = lost or lifecycle == "reauthorizationRequired" or held.renew_at <= now
        if lifecycle == "missed" or not due:
            connection = await self._saved(connection, held, gap=lifecycle == "missed")
        if not due:
            return connection
        if held.made_with != self._newest:
            return await self._replaced(connection, held, now, gap=lost)
        try:
            renewed = await self.subscriptions.renew(connection, held, now=now)
        except Gone:
            return await self._saved(connection, await self._opened(connection, now), gap=True)
        connection = await self._saved(connection, replace(renewed, made_with=held.made_with), gap=lost)
        await self._tidy(connection, now)
        return connection

    async def _opened(self, connection: Connection, now: datetime) -> Subscription:
        """A subscription of this mailbox, a new one or one that others of our connections live by already."""
        if (adopted := await self._adopted(connection, now)) is not None:
            return adopted
        word = client_state(connection.connection_id, self.signing_key)
        subscription, is_new = await self.subscriptions.open(connection, client_state=word, now=now)
        if is_new:
            return replace(subscription, made_with=self._newest)
        known = [other.subscription for other in await self.connections.of_mailbox(connection) if other.subscription]
        names = [s.made_with for s in known if s.subscription_id == subscription.subscription_id]
        return replace(subscription, made_with=names[0] if names else "")

    async def _adopted(self, connection: Connection, now: datetime) -> Subscription | None:
        """What another connection of the mailbox has opened, as one would be made now, with a longer life."""
        own = connection.subscription
        for other in await self.connections.of_mailbox(connection):
            theirs = other.subscription
            if theirs is None or theirs.made_with != self._newest:
                continue
            if own is not None and own.subscription_id == theirs.subscription_id:
                continue
            with contextlib.suppress(Gone):
                renewed = await self.subscriptions.renew(connection, theirs, now=now)
                return replace(renewed, made_with=theirs.made_with)
        return None

    async def _replaced(self, connection: Connection, held: Subscription, now: datetime, *, gap: bool) -> Connection:
        """The connection with a subscription as it would be made now, which tells us before the old one is closed."""
        adopted = await self._adopted(connection, now)
        if adopted is not None:  # it has told us of nothing so far, since it names another connection
            connection = await self._saved(connection, adopted, gap=True)
            await self._tidy(connection, now)
            return connection
        sharing = await self.connections.sharing(connection)
        word = client_state(connection.connection_id, self.signing_key)
        in_use = await self._in_use(connection)
        new = await self.subscriptions.replace(connection, client_state=word, now=now, known=in_use)
        signed = replace(new, made_with=self._newest)
        connection = await self._saved(connection, signed, gap=gap or held.expires_at <= now)
        for other in sharing:
            await self.work.queue(WatchMailbox(other.connection_id, "subscriptionRemoved", passed_on=True))
        try:
            await self.subscriptions.close(connection, held)
        except OutsideError as failure:
            log.warning(
                "old subscription not closed; it ends by itself",
                extra={"connection_id": connection.connection_id, **told_of(failure)},
            )
        return connection

    async def _saved(self, connection: Connection, subscription: Subscription, *, gap: bool) -> Connection:
        """The connection as it is watched now. `gap`: we may not have been told of everything, so that a look through is due."""
        while True:
            now = self.clock()
            watched = connection_rule.connected(connection, subscription)
            # Promised first: once the subscription is saved, nobody sees any more that there was a gap.
            if connection.synced_through is None:
                await self.work.postpone(CatchUp(connection.connection_id), now + EVERY)  # nothing to catch up with yet
            elif gap:
                await self.work.promise(CatchUp(connection.connection_id), due_at=now + LOST_AFTER)
                watched = replace(watched, gap_since=now)
            try:
                return await self.connections.save(watched) if watched != connection else connection
            except Conflict:
                changed = await self.connections.by_id(connection.connection_id)
                if changed is None or not changed.live:
                    # Ended while we asked Graph: what we opened must not outlive it.
                    if not await self.connections.sharing(replace(connection, subscription=subscription)):
                        await self.subscriptions.close(connection, subscription)
                    raise Gone("the connection ended meanwhile") from None
                if changed.state is State.NEEDS_RECONNECT:
                    raise Gone("the sign-in was refused meanwhile") from None
                connection = changed
                held = changed.subscription
                if held is not None and held.subscription_id == subscription.subscription_id:
                    subscription = replace(subscription, made_with=subscription.made_with or held.made_with)

    async def _tidy(self, connection: Connection, now: datetime) -> None:
        """Close what a process that died has left open at Graph. If that can't be done now, the next renewal does it."""
        if connection.subscription is None:
            return
        try:
            found = await self.subscriptions.ours(connection, now=now)
            for orphan in rule.orphans(found, connection.subscription, await self._in_use(connection)):
                log.info("orphaned subscription closed", extra={"connection_id": connection.connection_id})
                await self.subscriptions.close(connection, orphan)
        except OutsideError as failure:
            log.info("not tidied", extra={"connection_id": connection.connection_id, **told_of(failure)})

    async def _in_use(self, connection: Connection) -> set[str]:
        """The subscriptions that connections of this mailbox live by."""
        live = [connection, *await self.connections.of_mailbox(connection)]
        return {c.subscription.subscription_id for c in live if c.subscription is not None}


def _wait(connection: Connection, failing_since: datetime, now: datetime) -> timedelta:
    if not connection.live:
        return rule.wait_after_failure(connection.ended_at or now, now, at_most=rule.MAX_WAIT_TO_CLOSE)
    held = connection.subscription
    if held is None or held.expires_at <= now:
        return rule.MIN_WAIT
    return rule.wait_after_failure(failing_since, now, at_most=rule.MAX_WAIT_WHILE_COVERED)
