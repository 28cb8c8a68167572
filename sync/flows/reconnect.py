"""When Microsoft no longer accepts a stored sign-in: stop using it, and tell the CRM once, in plain words."""

import logging
from dataclasses import dataclass

from sync.domain import connection as connection_rule
from sync.domain.connection import Connection, State
from sync.domain.errors import Conflict, ReconnectNeeded
from sync.domain.event import connection_event
from sync.domain.trouble import TROUBLES
from sync.flows.deliver import tell
from sync.flows.ports import Clock, Connections, Journal, Work

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reconnect:
    """The way into `needs_reconnect`."""

    connections: Connections
    journal: Journal
    work: Work
    clock: Clock

    async def ask(self, connection: Connection, refused: ReconnectNeeded) -> None:
        """Mark the connection and tell the CRM; does nothing where it has ended, or was signed in to again meanwhile."""
        trouble = TROUBLES[refused.reason]
        problem = f"{trouble.cause} {trouble.what_to_do}"
        current = await self.connections.by_id(connection.connection_id)
        while current is not None and current.live and current.sign_ins == connection.sign_ins:
            if current.state is State.NEEDS_RECONNECT:
                return
            stopped = connection_rule.needs_reconnect(current, refused.reason, problem, refused.claims)
            log.warning(
                "sign-in refused",
                extra={"connection_id": stopped.connection_id, "reason": refused.reason, "cause": refused.cause},
            )
            now = self.clock()
            words = {"reason": refused.reason, "cause": trouble.cause, "what_to_do": trouble.what_to_do}
            event = connection_event("connection.needs_reconnect", stopped, f"sign-in-{stopped.sign_ins}", now, **words)
            # Told first: once the state is saved nobody comes here again, so a crash in between would leave it untold.
            await tell(self.journal, self.work, event, now)
            try:
                await self.connections.save(stopped)
            except Conflict:
                current = await self.connections.by_id(connection.connection_id)
                continue
            return
