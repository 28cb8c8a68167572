"""
What the flows need of the outside, as small interfaces. Adapters and the tests' fakes keep the same promises
(tests/contracts holds them to it).

Common promises: a row that is not there is None; saving a row that somebody changed since it was read raises
`domain.errors.Conflict`; what is saved is returned with its new `version`. Times are aware, in UTC. Graph and Entra ID raise
the OutsideError family of `domain.errors`.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from sync.domain.metrics import Reading
from sync.flows.ports.neighbours import (
    Certificate,
    Crm,
    Entra,
    Mail,
    ResourceData,
    Smtp,
    Submission,
    Subscriptions,
    Web,
)
from sync.flows.ports.storage import (
    Anchors,
    Connections,
    Content,
    Journal,
    Paces,
    Poison,
    Providers,
    Sealing,
    SignIns,
    Tokens,
    Webhooks,
    Work,
)

__all__ = [
    "Anchors",
    "Certificate",
    "Clock",
    "Connections",
    "Content",
    "Crm",
    "Dice",
    "Entra",
    "Journal",
    "Mail",
    "Metrics",
    "NewSecret",
    "Paces",
    "Poison",
    "Providers",
    "ResourceData",
    "Sealing",
    "SignIns",
    "Smtp",
    "Submission",
    "Subscriptions",
    "Tokens",
    "Web",
    "Webhooks",
    "Work",
]

Clock = Callable[[], datetime]
#: A new secret of 256 random bits, URL-safe.
NewSecret = Callable[[], str]
#: A random number from 0 to 1, to spread retries.
Dice = Callable[[], float]


class Metrics(Protocol):
    """What the app measures of itself."""

    def note(self, reading: Reading) -> None:
        """Take a value. Never raises, and waits for nothing."""
