"""
Once a day: what was kept long enough is removed (domain/retention says what), account by account, a page at a time.

    messages     a message's body and files first, then, in bulk, what leads to all of its emails, then its row
    batches      whose emails are gone, or which nobody asks for any more
    events       what they told; each keeps its number, so that a CRM that is behind sees what it missed
    attempts     of deliveries, with what the receiver answered
    threads      that no message is left of, and no live connection holds; with the last of a connection, its anchors
    keys         of requests that nobody repeats any more
    sign_ins     and then `paces`: of all accounts together

Body and files are named by the rows that go after them, and each step finds by itself what is left to do: any of it can be done
again, wherever it was cut short. A run stops between two pages once it took `PATIENCE`, and promises the rest.
"""

import asyncio
import contextlib
import itertools
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from sync.domain import event as event_rule
from sync.domain import ids
from sync.domain import retention as rule
from sync.domain.errors import Conflict
from sync.domain.event import Event
from sync.domain.message import Attachment, Message
from sync.domain.retention import Mark, Retention
from sync.domain.retry import LOST_AFTER
from sync.flows.ports import Anchors, Clock, Connections, Content, Journal, Paces, SignIns, Work
from sync.jobs import DeliverEvent, RemoveOld

log = logging.getLogger(__name__)

#: How long one run goes on before it makes room for the next; host.json gives a function 5 minutes.
PATIENCE = timedelta(minutes=3)
PAGE = 100
#: Rows or blobs that are removed at the same time.
AT_ONCE = 16
STAGES_OF_ACCOUNT = ("messages", "batches", "events", "attempts", "threads", "keys")


@dataclass(frozen=True)
class RemovingOld:
    """The end of what was kept long enough."""

    rule: Retention
    connections: Connections
    sign_ins: SignIns
    anchors: Anchors
    journal: Journal
    content: Content
    paces: Paces
    work: Work
    clock: Clock
    patience: timedelta = PATIENCE

    async def begin(self) -> None:
        """Promise a look at everything."""
        await self.work.promise(RemoveOld(), due_at=self.clock() + LOST_AFTER)

    async def go_on(self, job: RemoveOld) -> None:
        """Look at what comes next, and promise what is behind it. Doing it again changes nothing."""
        began = self.clock()
        await self.work.postpone(job, began + self.patience + LOST_AFTER)
        following: RemoveOld | None = await self._step(job)
        while following is not None:
            if self.clock() - began >= self.patience:
                await self.work.promise(following, due_at=self.clock() + LOST_AFTER)
                return
            following = await self._step(following)
        await self.work.done(job)

    async def _step(self, at: RemoveOld) -> RemoveOld | None:
        """Work off one page; what comes next, None: that was all."""
        if not at.stage:
            account_id = await self.journal.next_account(at.account_id)
            return RemoveOld(account_id, STAGES_OF_ACCOUNT[0]) if account_id is not None else RemoveOld("", "sign_ins")
        if at.stage == "sign_ins":
            await self._sign_ins()
            return RemoveOld("", "paces")
        if at.stage not in STAGES_OF_ACCOUNT:
            await self._paces()
            return None
        look = {
            "messages": self._messages,
            "batches": self._batches,
            "events": self._events,
            "attempts": self._attempts,
            "threads": self._threads,
            "keys": self._keys,
        }[at.stage]
        place = await look(at.account_id, at.place)
        if place:
            return replace(at, place=place)
        stages = STAGES_OF_ACCOUNT[STAGES_OF_ACCOUNT.index(at.stage) + 1 :]
        return RemoveOld(at.account_id, stages[0] if stages else "")

    # Each of these returns the place to go on from; empty: there is no more.

    async def _messages(self, account_id: str, place: str) -> str:
        now = self.clock()
        before = self.rule.mail_before(now)
        if before is None:
            return ""
        found, onward = await self.journal.messages_before(account_id, before, place)
        old = [message for message in found if self.rule.message_goes(message, now)]
        await self._remove([message for message in old if message.origin != "crm"])
        places = [ids.place_in_batch(message.message_id) for message in old if message.origin == "crm"]
        for batch_id in sorted({place_in_batch[0] for place_in_batch in places if place_in_batch is not None}):
            await self._remove_batch(account_id, batch_id)
        return onward

    async def _remove_batch(self, account_id: str, batch_id: str) -> None:
        """Remove all emails of a batch, which share what they say, or none of them."""
        now = self.clock()
        batch = await self.journal.batch(account_id, batch_id)
        messages = await self.journal.in_batch(account_id, batch_id)
        if batch is not None and not batch.finished:
            return
        if not all(self.rule.message_goes(message, now) for message in messages):
            return
        names = [name for message in messages for name in _content_of(message.body_blob, message.attachments)]
        await self._remove_content([*names, batch.letters_name if batch is not None else ""])
        if batch is not None:
            # Before its emails: it would say of those that are gone that they have not had their turn.
            await self.journal.remove_batch(batch)
        await self._remove(messages)

    async def _remove(self, messages: list[Message]) -> None:
        await self._remove_content(
            name for message in messages for name in _content_of(message.body_blob, message.attachments)
        )
        for some in itertools.batched(messages, AT_ONCE, strict=False):
            await asyncio.gather(*(self.journal.remove_message(message) for message in some))
        if messages:
            log.info("old messages removed", extra={"account_id": messages[0].account_id, "count": len(messages)})

    async def _remove_content(self, names: Iterable[str]) -> None:
        for some in itertools.batched(sorted(set(names) - {""}), AT_ONCE, strict=False):
            await asyncio.gather(*(self.content.remove(name) for name in some))

    async def _batches(self, account_id: str, place: str) -> str:
        now = self.clock()
        found = await self.journal.batches(account_id, place, PAGE)
        for batch in found:
            if not self.rule.batch_goes(batch, (), now):
                continue
            messages = await self.journal.in_batch(account_id, batch.batch_id)
            if not self.rule.batch_goes(batch, messages, now):
                continue
            kept = () if messages else _content_of(batch.body_blob, batch.files)
            await self._remove_content([batch.letters_name, *kept])
            await self.journal.remove_batch(batch)
        return found[-1].batch_id if len(found) == PAGE else ""

    async def _events(self, account_id: str, place: str) -> str:
        now = self.clock()
        before = self.rule.mail_before(now)
        if before is None:
            return ""
        mark = await self.journal.mark(account_id, "emptied")
        after = int(place) if place else mark.sequence
        found = await self.journal.events(account_id, after, PAGE)
        old = list(itertools.takewhile(lambda event: event.occurred_at < before, found))
        going = [event for event in old if self.rule.event_goes(event, now)]
        for some in itertools.batched(going, AT_ONCE, strict=False):
            await asyncio.gather(*(self._empty(event) for event in some))
        done = list(itertools.takewhile(lambda event: self.rule.event_goes(event, now), old))
        if done and after == mark.sequence:
            await self._move(mark, done[-1].sequence)
        return str(old[-1].sequence) if len(old) == PAGE else ""

    async def _attempts(self, account_id: str, place: str) -> str:
        now = self.clock()
        mark = await self.journal.mark(account_id, "attempts")
        after = int(place) if place else mark.sequence
        found = await self.journal.events(account_id, after, PAGE)
        old = list(itertools.takewhile(lambda event: rule.attempts_may_be_old(event, now), found))
        for some in itertools.batched(old, AT_ONCE, strict=False):
            await asyncio.gather(*(self._forget_attempts(event) for event in some))
        done = list(itertools.takewhile(lambda event: rule.attempts_are_over(event, now), old))
        if done and after == mark.sequence:
            await self._move(mark, done[-1].sequence)
        return str(old[-1].sequence) if len(old) == PAGE else ""

    async def _move(self, mark: Mark, sequence: int) -> None:
        """Move the mark on, unless it was moved meanwhile: back, because an old event was delivered again, or by another run."""
        with contextlib.suppress(Conflict):
            await self.journal.save_mark(replace(mark, sequence=sequence))

    async def _forget_attempts(self, event: Event) -> None:
        """Take the attempts that are too old out of an event."""
        kept = event_rule.without_old_attempts(event, self.clock())
        if kept != event:
            with contextlib.suppress(Conflict):  # it is being delivered, and they go with that
                await self.journal.save_event(kept)

    async def _empty(self, event: Event) -> None:
        """Take what it told out of an event, and end its delivery."""
        current: Event | None = event
        while current is not None:
            empty = event_rule.erased(current)
            if empty == current:
                return
            try:
                await self.journal.save_event(empty)
            except Conflict:  # it was being delivered
                current = await self.journal.event(event.account_id, event.event_id)
                continue
            if empty.delivery != "pending":
                await self.work.done(DeliverEvent(event.account_id, event.event_id))
            return

    async def _threads(self, account_id: str, place: str) -> str:
        now = self.clock()
        if self.rule.mail_before(now) is None:
            return ""
        found = await self.journal.threads(account_id, contact_id=None, user_id=None, after=place or None, limit=PAGE)
        current = {user: await self.connections.of_user(account_id, user) for user in {t.user_id for t in found}}
        live = {c.connection_id for c in current.values() if c is not None and c.live}
        going = []
        for thread in found:
            held = thread.connection_id in live
            if not self.rule.thread_goes(thread, (), now, live=held):
                continue
            messages = await self.journal.messages_of(account_id, thread.thread_id)
            if self.rule.thread_goes(thread, messages, now, live=held):
                going.append(thread)
        for connection_id, count in Counter(thread.connection_id for thread in going).items():
            # With the last threads of a connection that has ended, and before them, its keys go: they lead nowhere any more.
            if await self.journal.count_threads(account_id, connection_id) == count:
                await self.anchors.remove_all(connection_id)
        for thread in going:
            await self.journal.remove_thread(thread)
        return found[-1].thread_id if len(found) == PAGE else ""

    async def _keys(self, account_id: str, _: str) -> str:
        await self.journal.remove_keys(account_id, self.clock())
        return ""

    async def _sign_ins(self) -> None:
        now = self.clock()
        async for sign_in in self.sign_ins.expired(now - rule.SIGN_IN_LIFE):
            last = await self.sign_ins.last(sign_in.account_id, sign_in.user_id)
            if rule.sign_in_goes(sign_in, last, now):
                await self.sign_ins.remove(sign_in)
        async for last in self.sign_ins.ends():
            if not last.to_be_shown(now):
                await self.sign_ins.forget_last(last.account_id, last.user_id)

    async def _paces(self) -> None:
        now = self.clock()
        async for pace in self.paces.every():
            if rule.pace_goes(pace, now):
                await self.paces.remove(pace)


def _content_of(body: str, files: Iterable[Attachment]) -> list[str]:
    """The names of a body and of the files that are stored."""
    return [name for name in (body, *(file.blob for file in files)) if name]
