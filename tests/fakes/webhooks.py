"""How it stands with the CRM's webhook, in memory."""

from datetime import datetime

from sync.domain.webhook import Undelivered, Webhook
from tests.fakes.faults import Faults
from tests.fakes.versioned import VersionedRows


class FakeWebhooks:
    """Keeps `flows.ports.Webhooks`. `listed`: the undelivered events, by account and sequence."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._rows: VersionedRows[str, Webhook] = VersionedRows()
        self.listed: dict[tuple[str, int], Undelivered] = {}

    async def state(self) -> Webhook | None:
        """What was stored last."""
        async with self._faults.at("webhooks.state"):
            return self._rows.get("webhook")

    async def save(self, webhook: Webhook) -> Webhook:
        """Insert it (no version) or replace the version read; raises Conflict."""
        async with self._faults.at("webhooks.save"):
            if webhook.version is None:
                return self._rows.insert("webhook", webhook)
            return self._rows.replace("webhook", webhook)

    async def list_undelivered(self, event: Undelivered) -> None:
        """Put an event on the list, in the place of an earlier entry for it."""
        async with self._faults.at("webhooks.list_undelivered"):
            self.listed[event.account_id, event.sequence] = event

    async def undelivered(self, since: datetime, limit: int) -> list[Undelivered]:
        """Those that became undelivered since then, account by account, each in the order of its feed."""
        async with self._faults.at("webhooks.undelivered"):
            return [event for _, event in sorted(self.listed.items()) if event.at >= since][:limit]

    async def forget_undelivered(self, account_id: str, sequence: int) -> None:
        """Take an event off the list; no error where it is not on it."""
        async with self._faults.at("webhooks.forget_undelivered"):
            self.listed.pop((account_id, sequence), None)

    async def count_undelivered(self) -> int:
        """How many are on the list."""
        async with self._faults.at("webhooks.count_undelivered"):
            return len(self.listed)
