"""Paces of mailboxes, in memory."""

from sync.domain.ids import mailbox_key
from sync.domain.pace import Pace
from tests.fakes.faults import Faults
from tests.fakes.versioned import VersionedRows


class FakePaces:
    """Keeps `flows.ports.Paces`."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._paces: VersionedRows[str, Pace] = VersionedRows()

    async def of_mailbox(self, mailbox: tuple[str, str]) -> Pace:
        """The mailbox's pace; a new one where nothing was sent yet."""
        async with self._faults.at("paces.of_mailbox"):
            name = mailbox_key(mailbox)
            return self._paces.get(name) or Pace(name)

    async def save(self, pace: Pace) -> None:
        """Insert it (no version) or replace the version read; raises Conflict."""
        async with self._faults.at("paces.save"):
            if pace.version is None:
                self._paces.insert(pace.mailbox, pace)
            else:
                self._paces.replace(pace.mailbox, pace)
