"""When Microsoft no longer accepts a stored sign-in: stop using it, and tell the CRM once, in plain words."""

import logging
from dataclasses import dataclass

from sync.domain import connection as connection_rule
from sync.domain.connection import Connection
from sync.domain.errors import Conflict, ReconnectNeeded
from sync.domain.event import connection_event
from sync.flows.deliver import tell
from sync.flows.ports import Clock, Connections, Journal, Work

log = logging.getLogger(__name__)

PROBLEM = "Microsoft no longer accepts the sign-in of this mailbox."
WHAT_TO_DO = (
    "The user has to sign in to Outlook again. Until then nothing syncs and nothing is sent through the mailbox."
)


@dataclass(frozen=True)
class Reconnect:
    """The way into `needs_reconnect`."""

    connections: Connections
    journal: Journal
    work: Work
    clock: Clock

    async def ask(self, connection: Connection, refused: ReconnectNeeded) -> None:
        """Mark the connection and tell the CRM; does nothing where it has ended, or was signed in to again meanwhile."""
        current = await self.connections.by_id(connection.connection_id)
        while current is not None and current.live and current.sign_ins == connection.sign_ins:
            stopped = connection_rule.needs_reconnect(current, f"{PROBLEM} {WHAT_TO_DO}")
            log.warning("sign-in refused", extra={"connection_id": stopped.connection_id, "cause": refused.cause})
            now = self.clock()
            words = {"cause": PROBLEM, "what_to_do": WHAT_TO_DO}
            event = connection_event("connection.needs_reconnect", stopped, f"sign-in-{stopped.sign_ins}", now, **words)
            # Told first: once the state is saved nobody comes here again, so a crash in between would leave it untold.
            await tell(self.journal, self.work, event, now)
            try:
                await self.connections.save(stopped)
            except Conflict:
                current = await self.connections.by_id(connection.connection_id)
                continue
            return
