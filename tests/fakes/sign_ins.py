"""Sign-ins under way, in memory."""

from sync.domain.sign_in import SignIn
from tests.fakes.faults import Faults
from tests.fakes.versioned import VersionedRows


class FakeSignIns:
    """Keeps `flows.ports.SignIns`."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._rows: VersionedRows[str, SignIn] = VersionedRows()

    async def get(self, sign_in_id: str) -> SignIn | None:
        """The sign-in with this id."""
        async with self._faults.at("sign_ins.get"):
            return self._rows.get(sign_in_id)

    async def save(self, sign_in: SignIn) -> SignIn:
        """Insert it (no version) or replace the version read."""
        async with self._faults.at("sign_ins.save"):
            write = self._rows.insert if sign_in.version is None else self._rows.replace
            return write(sign_in.sign_in_id, sign_in)
