"""Through which door an email goes: the sender rule, with what it asks for read only where it decides."""

from dataclasses import dataclass

from sync.domain import sender_rule
from sync.domain.connection import Connection
from sync.domain.errors import ProviderNotConfigured
from sync.domain.outgoing import Kind
from sync.domain.provider import Provider
from sync.domain.sender_rule import Sender
from sync.flows.ports import Connections, Providers


@dataclass(frozen=True)
class Door:
    """Which door, and the one of the two that stands behind it."""

    sender: Sender
    connection: Connection | None = None
    provider: Provider | None = None

    @property
    def mailbox(self) -> Connection | None:
        """The connection it goes through; None for the provider."""
        return self.connection if self.sender.via == "outlook" else None


@dataclass(frozen=True)
class Senders:
    """What is asked before anything is sent, and by whoever only wants to know."""

    connections: Connections
    providers: Providers

    async def resolve(self, account_id: str, user_id: str, kind: Kind, from_address: str | None) -> Door:
        """The door; raises what the sender rule refuses with. Sends nothing."""
        connection = await self.connections.of_user(account_id, user_id)
        try:
            return Door(sender_rule.decide(kind, from_address, connection, None), connection)
        except ProviderNotConfigured:
            provider = await self.providers.of_account(account_id)
            if provider is None:
                raise
        return Door(sender_rule.decide(kind, from_address, connection, provider), connection, provider)
