"""Sign-ins under way, in memory."""

from collections.abc import AsyncIterator
from datetime import datetime

from sync.domain.sign_in import LastSignIn, SignIn
from tests.fakes.faults import Faults
from tests.fakes.versioned import VersionedRows


class FakeSignIns:
    """Keeps `flows.ports.SignIns`."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._rows: VersionedRows[str, SignIn] = VersionedRows()
        self._last: dict[tuple[str, str], LastSignIn] = {}

    async def get(self, sign_in_id: str) -> SignIn | None:
        """The sign-in with this id."""
        async with self._faults.at("sign_ins.get"):
            return self._rows.get(sign_in_id)

    async def save(self, sign_in: SignIn) -> SignIn:
        """Insert it (no version) or replace the version read."""
        async with self._faults.at("sign_ins.save"):
            write = self._rows.insert if sign_in.version is None else self._rows.replace
            return write(sign_in.sign_in_id, sign_in)

    async def last(self, account_id: str, user_id: str) -> LastSignIn | None:
        """How the user's last sign-in ended, where it did not end in a connection."""
        async with self._faults.at("sign_ins.last"):
            return self._last.get((account_id, user_id))

    async def keep_last(self, last: LastSignIn) -> None:
        """Keep how it ended, in the place of what was kept of an earlier one."""
        async with self._faults.at("sign_ins.keep_last"):
            self._last[last.account_id, last.user_id] = last

    async def forget_last(self, account_id: str, user_id: str) -> None:
        """The user has connected since."""
        async with self._faults.at("sign_ins.forget_last"):
            self._last.pop((account_id, user_id), None)

    async def remove_of(self, account_id: str, user_id: str) -> None:
        """Remove all there is of this user's sign-ins."""
        async with self._faults.at("sign_ins.remove_of"):
            for row in self._rows:
                if (row.account_id, row.user_id) == (account_id, user_id):
                    self._rows.remove(row.sign_in_id)
            self._last.pop((account_id, user_id), None)

    async def expired(self, before: datetime) -> AsyncIterator[SignIn]:
        """Those of all users whose time was over before then."""
        async with self._faults.at("sign_ins.expired"):
            found = [row for row in self._rows if row.expires_at < before]
        for sign_in in found:
            yield sign_in

    async def remove(self, sign_in: SignIn) -> None:
        """Remove one; no error where it is gone."""
        async with self._faults.at("sign_ins.remove"):
            self._rows.remove(sign_in.sign_in_id)

    async def ends(self) -> AsyncIterator[LastSignIn]:
        """How the last sign-in of every user ended, where that is kept."""
        async with self._faults.at("sign_ins.ends"):
            found = list(self._last.values())
        for last in found:
            yield last
