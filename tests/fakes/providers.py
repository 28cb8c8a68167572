"""The accounts' own providers, in memory."""

from sync.domain.provider import Provider
from tests.fakes.faults import Faults
from tests.fakes.versioned import VersionedRows


class FakeProviders:
    """Keeps `flows.ports.Providers`."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._rows: VersionedRows[str, Provider] = VersionedRows()

    async def of_account(self, account_id: str) -> Provider | None:
        """The account's provider."""
        async with self._faults.at("providers.of_account"):
            return self._rows.get(account_id)

    async def save(self, provider: Provider) -> Provider:
        """Put it in the place of whatever was there."""
        async with self._faults.at("providers.save"):
            return self._rows.put(provider.account_id, provider)

    async def remove(self, account_id: str) -> None:
        """Forget it; no error where there is none."""
        async with self._faults.at("providers.remove"):
            self._rows.remove(account_id)
