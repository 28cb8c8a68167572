"""Tickets of a mailbox's pace, given and used by workers that know nothing of each other."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync.domain import pace as rule
from sync.domain.errors import Conflict
from sync.domain.pace import Pace
from sync.flows.ports import Clock, Journal, Paces

log = logging.getLogger(__name__)

#: How often a change is tried while others change the same mailbox's pace.
TRIES = 20
#: A ticket that was not used for so long may be that of an email which ended otherwise: then it is taken back.
OVERDUE_AFTER = timedelta(seconds=30)
#: While it is not known when there will be room: emails are on their way.
LOOK_AGAIN_AFTER = timedelta(seconds=5)
#: So many emails are waited for, rather than coming back for each.
WORTH_COMING_BACK = 5


@dataclass(frozen=True)
class Pacing:
    """The paces of all mailboxes; `per_minute` emails for each."""

    paces: Paces
    journal: Journal
    clock: Clock
    per_minute: int = rule.PER_MINUTE

    async def give(
        self, mailbox: tuple[str, str], account_id: str, message_ids: Sequence[str]
    ) -> tuple[Sequence[str], datetime]:
        """Tickets for the first of these emails, as many as there are; and when it is worth to come back for the others."""
        await self._take_back(mailbox)
        while True:
            now = self.clock()
            pace = await self.paces.of_mailbox(mailbox)
            first = message_ids[: pace.room(now, self.per_minute)]
            after = rule.given(pace, account_id, first, now)
            left = min(len(message_ids) - len(first), WORTH_COMING_BACK)
            come_back = after.room_for(left, now, self.per_minute) or now + LOOK_AGAIN_AFTER
            if not first:
                return [], come_back
            try:
                await self.paces.save(after)
            except Conflict:
                continue
            return first, come_back

    async def use(self, mailbox: tuple[str, str], account_id: str, message_id: str) -> None:
        """This email is about to be sent. Never holds it back: a ticket that can't be marked goes on counting."""
        if not await self._change(mailbox, lambda pace: rule.used(pace, account_id, message_id, self.clock())):
            log.warning("pace not kept", extra={"message_id": message_id})

    async def _take_back(self, mailbox: tuple[str, str]) -> None:
        now = self.clock()
        pace = await self.paces.of_mailbox(mailbox)
        waiting = [t for t in pace.tickets if t.used_at is None and now - t.given_at > OVERDUE_AFTER]
        ended = []
        for ticket in waiting:
            message = await self.journal.message(ticket.account_id, ticket.message_id)
            if message is None or message.status.final:
                ended.append(ticket.message_id)
        if ended:
            await self._change(mailbox, lambda current: rule.returned(current, ended))

    async def _change(self, mailbox: tuple[str, str], change: Callable[[Pace], Pace]) -> bool:
        for _ in range(TRIES):
            try:
                await self.paces.save(change(await self.paces.of_mailbox(mailbox)))
            except Conflict:
                continue
            return True
        return False
