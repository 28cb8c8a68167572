"""The sender rule: each row of the product's table, in every state of the mailbox that the row speaks of."""

from typing import Any

import pytest

from sync.domain.connection import Connection, DefaultSender, State
from sync.domain.errors import ConnectionNeedsReconnect, ProviderNotConfigured, Refusal
from sync.domain.mail import Address
from sync.domain.outgoing import Kind
from sync.domain.provider import Provider
from sync.domain.sender_rule import FromNotAllowed, Sender, decide
from tests.unit.sample_mail import connection

OWN, ALIAS, OTHER = "anna@contoso.example", "a.berger@contoso.example", "news@acme.example"
PROVIDER = Provider(
    "acme", "smtp.acme.example", 587, "starttls", Address("crm@acme.example"), ("acme.example", "mail.acme.example")
)

CONNECTED = connection()
CONNECTING = connection(state=State.CONNECTING)
PREFERS_PROVIDER = connection(default_sender=DefaultSender.PROVIDER)
NEEDS_RECONNECT = connection(state=State.NEEDS_RECONNECT)
PREFERS_PROVIDER_NEEDS_RECONNECT = connection(state=State.NEEDS_RECONNECT, default_sender=DefaultSender.PROVIDER)
DELETED = connection(state=State.DISCONNECTED)
NEVER = None

OUTLOOK = Sender("outlook", OWN, "individual_outlook")


def provider(rule: str, address: str = PROVIDER.sender.address) -> Sender:
    """Through the provider, by this rule."""
    return Sender("provider", address, rule)


ANSWERS: list[tuple[Kind, str | None, Connection | None, Sender]] = [
    # individual: from is ignored
    ("individual", None, CONNECTED, OUTLOOK),
    ("individual", OTHER, CONNECTED, OUTLOOK),
    ("individual", ALIAS, CONNECTED, OUTLOOK),
    ("individual", None, CONNECTING, OUTLOOK),
    ("individual", None, PREFERS_PROVIDER, provider("individual_default_provider")),
    ("individual", OWN, PREFERS_PROVIDER, provider("individual_default_provider")),
    ("individual", None, NEVER, provider("individual_not_connected")),
    ("individual", OWN, DELETED, provider("individual_not_connected")),
    # bulk: from decides
    ("bulk", OWN, CONNECTED, Sender("outlook", OWN, "bulk_from_outlook")),
    ("bulk", OWN.upper(), CONNECTED, Sender("outlook", OWN.upper(), "bulk_from_outlook")),
    ("bulk", f" {OWN} ", CONNECTED, Sender("outlook", OWN, "bulk_from_outlook")),
    ("bulk", ALIAS, CONNECTED, Sender("outlook", ALIAS, "bulk_from_outlook")),
    ("bulk", OWN, CONNECTING, Sender("outlook", OWN, "bulk_from_outlook")),
    ("bulk", OWN, PREFERS_PROVIDER, Sender("outlook", OWN, "bulk_from_outlook")),
    ("bulk", None, CONNECTED, provider("bulk_from_blank")),
    ("bulk", "", NEVER, provider("bulk_from_blank")),
    ("bulk", "  ", NEEDS_RECONNECT, provider("bulk_from_blank")),
    ("bulk", None, DELETED, provider("bulk_from_blank")),
    ("bulk", OTHER, CONNECTED, provider("bulk_from_other", OTHER)),
    ("bulk", OTHER, NEEDS_RECONNECT, provider("bulk_from_other", OTHER)),
    ("bulk", OTHER, NEVER, provider("bulk_from_other", OTHER)),
    ("bulk", "News@MAIL.Acme.example", NEVER, provider("bulk_from_other", "News@MAIL.Acme.example")),
    # workflow: always the provider
    ("workflow", None, CONNECTED, provider("workflow_provider")),
    ("workflow", OWN, CONNECTED, provider("workflow_provider")),
    ("workflow", None, NEEDS_RECONNECT, provider("workflow_provider")),
    ("workflow", OTHER, NEVER, provider("workflow_provider")),
]

REFUSALS: list[tuple[Kind, str | None, Connection | None, Provider | None, type[Refusal]]] = [
    ("individual", None, NEEDS_RECONNECT, PROVIDER, ConnectionNeedsReconnect),
    ("individual", None, PREFERS_PROVIDER_NEEDS_RECONNECT, PROVIDER, ConnectionNeedsReconnect),
    ("bulk", OWN, NEEDS_RECONNECT, PROVIDER, ConnectionNeedsReconnect),
    ("bulk", ALIAS, NEEDS_RECONNECT, PROVIDER, ConnectionNeedsReconnect),
    # not the mailbox's any more, and no address of the provider's
    ("bulk", OWN, DELETED, PROVIDER, FromNotAllowed),
    ("bulk", OWN, NEVER, PROVIDER, FromNotAllowed),
    ("bulk", "x@elsewhere.example", CONNECTED, PROVIDER, FromNotAllowed),
    ("bulk", "x@sub.acme.example", CONNECTED, PROVIDER, FromNotAllowed),
    ("bulk", "x@notacme.example", CONNECTED, PROVIDER, FromNotAllowed),
    ("bulk", "x@acme.example.evil.example", CONNECTED, PROVIDER, FromNotAllowed),
    ("bulk", "x@acme.example@evil.example", CONNECTED, PROVIDER, FromNotAllowed),
    # a provider is needed and none is set
    ("individual", None, PREFERS_PROVIDER, None, ProviderNotConfigured),
    ("individual", None, NEVER, None, ProviderNotConfigured),
    ("individual", None, DELETED, None, ProviderNotConfigured),
    ("bulk", None, CONNECTED, None, ProviderNotConfigured),
    ("bulk", OTHER, CONNECTED, None, ProviderNotConfigured),
    ("workflow", None, CONNECTED, None, ProviderNotConfigured),
]


@pytest.mark.parametrize(("kind", "from_address", "mailbox", "sender"), ANSWERS)
def test_the_table(kind: Kind, from_address: str | None, mailbox: Connection | None, sender: Sender) -> None:
    """Kind, from and the mailbox's state decide the door, and the answer names the rule."""
    assert decide(kind, from_address, mailbox, PROVIDER) == sender


@pytest.mark.parametrize(("kind", "from_address", "mailbox", "provider", "refusal"), REFUSALS)
def test_what_is_refused(
    kind: Kind, from_address: str | None, mailbox: Connection | None, provider: Provider | None, refusal: type[Refusal]
) -> None:
    """An email never goes through another door than the one that was asked for."""
    with pytest.raises(refusal):
        decide(kind, from_address, mailbox, provider)


@pytest.mark.parametrize("row", [row for row in ANSWERS if row[3].via == "outlook"])
def test_outlook_needs_no_provider(row: tuple[Any, ...]) -> None:
    """What goes through the mailbox goes whether or not the account has a provider."""
    kind, from_address, mailbox, sender = row
    assert decide(kind, from_address, mailbox, None) == sender


@pytest.mark.parametrize("row", ANSWERS)
def test_only_what_goes_through_outlook_syncs(row: tuple[Any, ...]) -> None:
    """The provider's emails begin no thread."""
    sender: Sender = row[3]
    assert sender.syncs is (sender.via == "outlook")
