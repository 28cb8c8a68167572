"""
Catching up: what Graph did not tell us of is found by looking through the mailbox, by time of receipt, in any folder.

It runs after every gap (a `missed` notification, a subscription that was removed or lapsed, a new sign-in) and every 15 minutes.
Only keys and addresses are listed; what belongs to a thread goes the same way as mail that was told of, so that nothing comes
twice. `synced_through` moves only once the end of the mailbox was seen: up to then nothing is missing.
"""

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sync.domain.connection import Connection, State
from sync.domain.errors import Conflict, Declined, Gone, OperatorAlarm, OutsideError, ReconnectNeeded, Throttled
from sync.domain.failure import told_of
from sync.domain.mail import MailboxMessage
from sync.flows.ports import Clock, Connections, Mail, Work
from sync.flows.receive import Receive
from sync.flows.reconnect import Reconnect
from sync.jobs import CatchUp, MailChange

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=15)
#: Exchange shows mail a little after its time of receipt: so much of what was seen is looked at again, and not yet claimed.
OVERLAP = timedelta(minutes=10)
SETTLING = timedelta(minutes=1)
RETRY_AFTER = timedelta(minutes=1)
LOST_AFTER = timedelta(minutes=5)
#: Graph gives at most so many messages in one page.
MAX_PAGE_SIZE = 1_000


@dataclass(frozen=True)
class CatchingUp:
    """The looks through mailboxes, a page for each job."""

    connections: Connections
    work: Work
    mail: Mail
    receive: Receive
    reconnect: Reconnect
    clock: Clock

    async def look_through(self, job: CatchUp) -> None:
        """One page; promises the next one, or the next look."""
        connection = await self.connections.by_id(job.connection_id)
        if connection is None or not connection.live or connection.state is State.NEEDS_RECONNECT:
            await self.work.done(job)  # signing in again promises it anew
            return
        asked_at = self.clock()
        since = datetime.fromisoformat(job.since) if job.since else _mark(connection) - OVERLAP
        try:
            page = await self.mail.received_since(connection, since, job.page_size, job.skip)
            going_again = _going_again(job, since)
            looked_at = [mail for mail in page if not going_again or _received(mail) <= job.again_to]
            news = await self._take_all(connection, looked_at)
        except ReconnectNeeded as refused:
            await self.reconnect.ask(connection, refused)
            await self.work.done(job)
            return
        except (OutsideError, OperatorAlarm) as failure:
            if isinstance(failure, OperatorAlarm):
                log.critical("operator alarm: %s", failure.detail)
            log.warning("catch-up interrupted", extra={"connection_id": job.connection_id, **told_of(failure)})
            wait = failure.retry_after if isinstance(failure, Throttled) else RETRY_AFTER
            await self.work.promise(job, due_at=self.clock() + wait + LOST_AFTER, delay=wait)
            return
        following = _following(job, since, page, news=news)
        if following is not None:
            await self.work.promise(following, due_at=self.clock() + LOST_AFTER)
            return
        await self._advance(connection, asked_at)
        await self.work.postpone(CatchUp(job.connection_id), asked_at + EVERY)

    async def _take_all(self, connection: Connection, page: list[MailboxMessage]) -> bool:
        """
        Take a page, and what was left of it again as long as something came of that; whether anything did.

        A message can be known by another alone that is listed behind it: times are whole seconds, and answers overtake.
        """
        left, before = page, len(page) + 1
        while len(left) < before:
            before = len(left)
            left = [mail for mail in left if not await self._take(connection, mail)]
        return len(left) < len(page)

    async def _take(self, connection: Connection, mail: MailboxMessage) -> bool:
        """Whether something came of it, so that it need not be taken again."""
        try:
            return await self.receive.take(connection, mail)
        except Gone:
            log.info("message is gone", extra={"connection_id": connection.connection_id})
        except Declined as refused:
            # One message that can't be read does not keep back the others; its own queue message ends with the poison ones.
            log.warning("message refused", extra={"connection_id": connection.connection_id, "code": refused.code})
            await self.work.queue(MailChange(connection.connection_id, mail.graph_id, passed_on=True))
        return True

    async def _advance(self, connection: Connection, asked_at: datetime) -> None:
        """
        Move the mark forward, unless the connection has ended or another look has moved it further.

        A gap is closed by a look whose last page was asked for after the gap was known.
        """
        through = asked_at - SETTLING
        current: Connection | None = connection
        while current is not None and current.live:
            gap = None if current.gap_since is None or current.gap_since <= asked_at else current.gap_since
            caught_up = replace(current, synced_through=max(_mark(current), through), gap_since=gap)
            if caught_up == current:
                return
            try:
                await self.connections.save(caught_up)
                return
            except Conflict:
                current = await self.connections.by_id(connection.connection_id)


def _mark(connection: Connection) -> datetime:
    return connection.synced_through or connection.connected_at


def _following(job: CatchUp, since: datetime, page: list[MailboxMessage], *, news: bool) -> CatchUp | None:
    """
    The page to look at next; None: the end was seen.

    An answer can be received before what it answers, and be known by that alone. So where something was found, the time shortly
    before its page is looked at again, once, and then the look goes on where it was.
    """
    full = len(page) >= job.page_size
    if _going_again(job, since):
        there = not full or _received(page[-1]) >= job.again_to
        return replace(job, since=job.again_to, skip=0) if there else _next(job, since, page)
    # The first page begins that much before the mark already.
    if news and job.since and _received(page[-1]) > job.again_to:
        return replace(job, since=(since - OVERLAP).isoformat(), skip=0, again_to=_received(page[-1]))
    return _next(job, since, page) if full else None


def _going_again(job: CatchUp, since: datetime) -> bool:
    """Whether this page was looked at before."""
    return bool(job.again_to) and since < datetime.fromisoformat(job.again_to)


def _received(mail: MailboxMessage) -> str:
    """The time of receipt, in whole seconds of UTC, so that texts compare as times do; empty: it has none."""
    at = mail.received_at
    return at.astimezone(UTC).replace(microsecond=0).isoformat() if at is not None else ""


def _next(job: CatchUp, since: datetime, page: list[MailboxMessage]) -> CatchUp:
    """
    Go on from the last message's time, which is looked at again: a place in the list would shift when mail is deleted meanwhile.

    Where a whole page has one time, the next is larger. Only within a second that has more mail than the largest, places are
    counted, and half of each page is looked at again for what moved up meanwhile.
    """
    last = page[-1].received_at
    if last is not None and last > since:
        return replace(job, since=last.isoformat(), skip=0)
    if job.page_size < MAX_PAGE_SIZE:
        return replace(job, since=since.isoformat(), page_size=min(job.page_size * 4, MAX_PAGE_SIZE))
    return replace(job, since=since.isoformat(), skip=job.skip + job.page_size // 2)
