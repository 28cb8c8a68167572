"""What an operator reads after a deployment: whether everything the app needs is there (domain/check has the words)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sync.domain import check as rule
from sync.domain.check import Check, Name
from sync.domain.errors import NotFound, OperatorAlarm
from sync.flows.ports import Certificate, Clock, Connections, Content, Entra, NewSecret, Web, Work
from sync.flows.webhook import Endpoint


@dataclass
class Checks:
    """
    All checks at once. Each process keeps their outcome for a minute: whoever watches the status sends the CRM no flood of tests.

    `certificate`: what Graph encrypts for; None: it does not. `unresolved`: names of settings that Azure left as a reference to
    Key Vault. Addresses have no slash at their end.
    """

    work: Work
    content: Content
    connections: Connections
    entra: Entra
    web: Web
    endpoint: Endpoint
    certificate: Certificate | None
    clock: Clock
    new_secret: NewSecret
    unresolved: Sequence[str]
    graph_base_url: str
    public_base_url: str
    _seen: tuple[list[Check], datetime] | None = field(default=None, init=False)
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def all(self) -> list[Check]:
        """The checks, in the order in which one depends on the other; never raises for what is wrong with them."""
        async with self._looking:
            now = self.clock()
            if self._seen is None or now - self._seen[1] >= rule.KEPT_FOR:
                self._seen = (await self._look(), now)
            return self._seen[0]

    async def _look(self) -> list[Check]:
        looks: dict[Name, Callable[[], Awaitable[Check]]] = {
            "storage": self._storage,
            "key_vault": self._key_vault,
            "entra_credential": self._entra_credential,
            "graph": self._graph,
            "notification_address": self._notification_address,
            "notification_certificate": self._notification_certificate,
            "crm_webhook": self._crm_webhook,
        }
        return list(await asyncio.gather(*(self._one(name, look) for name, look in looks.items())))

    async def _one(self, name: Name, look: Callable[[], Awaitable[Check]]) -> Check:
        try:
            async with asyncio.timeout(rule.PATIENCE.total_seconds()):
                return await look()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one of them, it is said, and so are the others
            return rule.unreached(name, rule.words_of(error))

    async def _storage(self) -> Check:
        async def blobs() -> None:
            try:
                await self.content.file("none/none/none")
            except NotFound:
                return

        parts: dict[str, Callable[[], Awaitable[object]]] = {
            "tables": lambda: self.connections.by_id("none"),
            "queues": self.work.waiting,
            "blobs": blobs,
        }
        outcomes = await asyncio.gather(*(part() for part in parts.values()), return_exceptions=True)
        return rule.storage(
            {
                name: rule.words_of(outcome) if isinstance(outcome, BaseException) else None
                for name, outcome in zip(parts, outcomes, strict=True)
            }
        )

    async def _key_vault(self) -> Check:
        return rule.key_vault(self.unresolved)

    async def _entra_credential(self) -> Check:
        try:
            asked = await self.entra.try_credential(await self.connections.a_tenant())
        except OperatorAlarm as alarm:
            return rule.entra_credential(str(alarm), asked=True)
        return rule.entra_credential(None, asked=asked)

    async def _graph(self) -> Check:
        return rule.graph((await self.web.ask("GET", f"{self.graph_base_url}/me")).status)

    async def _notification_address(self) -> Check:
        token = self.new_secret()
        answer = await self.web.ask("POST", f"{self.public_base_url}/graph/notifications?validationToken={token}")
        return rule.notification_address(answer.status, echoed=answer.text == token)

    async def _notification_certificate(self) -> Check:
        if self.certificate is None:
            return rule.notification_certificate(None, self.clock())
        try:
            return rule.notification_certificate(self.certificate.ends_at, self.clock())
        except OperatorAlarm as alarm:
            return rule.unusable_certificate(str(alarm))

    async def _crm_webhook(self) -> Check:
        webhook = await self.endpoint.fresh()
        _, answer = await self.endpoint.test()
        return rule.crm_webhook(webhook.state, webhook.reason, answer)
