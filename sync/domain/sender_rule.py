"""The sender rule: through which door an email goes, by its kind, its From and the state of the user's mailbox."""

from dataclasses import dataclass
from typing import Literal

from sync.domain.connection import Connection, DefaultSender
from sync.domain.errors import ConnectionNeedsReconnect, InvalidRequest, ProviderNotConfigured
from sync.domain.outgoing import Kind
from sync.domain.provider import Provider


class FromNotAllowed(InvalidRequest):
    """from is neither an address of the connected mailbox nor in one of the provider's domains. Nothing was sent."""

    code = "from_not_allowed"


@dataclass(frozen=True)
class Sender:
    """Which door, with which address, by which rule, and whether what goes through it syncs."""

    via: Literal["outlook", "provider"]
    address: str
    rule: str

    @property
    def syncs(self) -> bool:
        """Only what goes through Outlook begins or continues a thread."""
        return self.via == "outlook"


def decide(kind: Kind, from_address: str | None, connection: Connection | None, provider: Provider | None) -> Sender:
    """
    Apply the table of the product's rules.

    Raises ConnectionNeedsReconnect, ProviderNotConfigured or FromNotAllowed where the answer is no.
    """
    mailbox = connection if connection is not None and connection.live else None
    asked_from = (from_address or "").strip()
    if kind == "individual":
        if mailbox is None:
            return _through(provider, "individual_not_connected")
        if not mailbox.sends:
            raise ConnectionNeedsReconnect
        if mailbox.default_sender is DefaultSender.PROVIDER:
            return _through(provider, "individual_default_provider")
        return Sender("outlook", mailbox.mailbox.email, "individual_outlook")
    if kind == "workflow":
        return _through(provider, "workflow_provider")
    if not asked_from:
        return _through(provider, "bulk_from_blank")
    if mailbox is not None and asked_from.casefold() in mailbox.mailbox.own_addresses:
        if not mailbox.sends:
            raise ConnectionNeedsReconnect
        return Sender("outlook", asked_from, "bulk_from_outlook")
    if provider is None:
        raise ProviderNotConfigured
    if not provider.may_send_as(asked_from):
        raise FromNotAllowed
    return Sender("provider", asked_from, "bulk_from_other")


def _through(provider: Provider | None, rule: str) -> Sender:
    if provider is None and rule == "individual_default_provider":
        raise ProviderNotConfigured(
            "This user's default email is the account's own provider, and the account has none. Nothing was sent. "
            "Choose Outlook as the default email."
        )
    if provider is None:
        raise ProviderNotConfigured
    return Sender("provider", provider.sender.address, rule)
