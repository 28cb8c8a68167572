"""What rich notifications carry, opened in memory: as it was when `carried` was called, whatever the mailbox shows later."""

from itertools import count

from sync.domain.connection import Connection
from sync.domain.encrypted_content import Reason, Unusable
from sync.domain.mail import MailboxMessage
from tests.fakes.faults import Faults


class FakeResourceData:
    """Keeps `flows.ports.ResourceData`. `opened`: the texts that were opened, in order."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._numbers = count(1)
        self._shown: dict[str, MailboxMessage | Reason] = {}
        self.opened: list[str] = []

    def carried(self, what: MailboxMessage | Reason) -> str:
        """The text of a queue message that carries these keys, or what can't be used for this reason."""
        text = f"carried-{next(self._numbers)}"
        self._shown[text] = what
        return text

    async def message(self, _connection: Connection, graph_id: str, text: str) -> MailboxMessage:
        """The keys that it carries; raises Unusable."""
        async with self._faults.at("resource_data.message"):
            self.opened.append(text)
            found = self._shown[text]
            if not isinstance(found, MailboxMessage):
                raise Unusable(found)
            assert found.graph_id == graph_id
            return found
