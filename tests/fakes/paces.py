"""Paces of mailboxes, in memory."""

from collections.abc import AsyncIterator

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

    async def every(self) -> AsyncIterator[Pace]:
        """The paces of all mailboxes."""
        async with self._faults.at("paces.every"):
            found = list(self._paces)
        for pace in found:
            yield pace

    async def remove(self, pace: Pace) -> None:
        """Remove it, unless it was changed since it was read."""
        async with self._faults.at("paces.remove"):
            current = self._paces.get(pace.mailbox)
            if current is not None and current.version == pace.version:
                self._paces.remove(pace.mailbox)
