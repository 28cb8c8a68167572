"""
Which subscriptions there are, and the rules they are kept by.

Imitated: one app and one person see only their own; the end of a subscription by the clock; 409 for a second one of the
same kind. Where the documentation and the reports disagree, `SubscriptionRules` lets a test choose.
Not imitated: the limit of 1,000 subscriptions per mailbox.
"""

from dataclasses import dataclass

from tests.cloud.clock import Clock
from tests.cloud.directory import AccessToken, Person
from tests.cloud.graph.errors import GraphError
from tests.cloud.graph.lab_json import NUMBER, Accepts, ControlError
from tests.cloud.graph.subscriptions.handshake import VALIDATION_TIMEOUT_SECONDS
from tests.cloud.graph.subscriptions.subscription import Lifetimes, Subscription


@dataclass
class SubscriptionRules:
    """
    Where documentation and reports disagree, or a limit may change.

    `duplicates`: a second subscription to the same resource and change types is a 409 (documented) or accepted
    (reported, 2025-10 and 2026-02). `missing`: PATCH of one that is gone is 404 `ResourceNotFound` or (reported) 400
    `ErrorInvalidParameter`. `client_state`: whether it is shown or null in GET. `revalidate`: whether every PATCH asks
    the address again (reported), not only one that changes it. `reauthorization`: whether the end of the access token
    stops notifications, after `reauthorizationRequired` (documented), or does not matter. Longest lives in minutes.
    """

    duplicates: str = "refuse"
    missing: str = "not_found"
    client_state: str = "shown"
    revalidate: bool = False
    reauthorization: bool = True
    basic_minutes: int = 10_080
    rich_minutes: int = 1_440
    validation_timeout_s: float = VALIDATION_TIMEOUT_SECONDS

    @property
    def lifetimes(self) -> Lifetimes:
        """The longest lives, as reading a request needs them."""
        return Lifetimes(self.basic_minutes, self.rich_minutes)

    def __post_init__(self) -> None:
        for name, values in {
            "duplicates": ("refuse", "accept"),
            "missing": ("not_found", "invalid_parameter"),
            "client_state": ("shown", "hidden"),
        }.items():
            if getattr(self, name) not in values:
                raise ControlError(f"{name!r} is one of {', '.join(values)}")


RULE_FIELDS: dict[str, Accepts] = {
    "duplicates": str,
    "missing": str,
    "client_state": str,
    "revalidate": bool,
    "reauthorization": bool,
    "basic_minutes": int,
    "rich_minutes": int,
    "validation_timeout_s": NUMBER,
}


class Registry:
    """All subscriptions, whoever made them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """No subscription, and the usual rules."""
        self._subscriptions: dict[str, Subscription] = {}
        self.rules = SubscriptionRules()

    def add(self, subscription: Subscription) -> None:
        """Keep a new subscription; raises 409 where its like exists and the rules refuse that."""
        self.refuse_duplicate(subscription)
        self._subscriptions[subscription.id] = subscription

    def remove(self, subscription: Subscription) -> None:
        """Forget a subscription; fine for one that is gone."""
        self._subscriptions.pop(subscription.id, None)

    def is_live(self, subscription: Subscription) -> bool:
        """Whether it is neither removed nor past its expiry."""
        return subscription.id in self._subscriptions and subscription.expires_at > self._clock.now()

    def token_expired(self, subscription: Subscription) -> bool:
        """Whether the access token behind it has ended, where that matters."""
        return self.rules.reauthorization and subscription.token_expires_at <= self._clock.now()

    def live(self) -> list[Subscription]:
        """All that are neither removed nor past their expiry, oldest first."""
        return [subscription for subscription in self._subscriptions.values() if self.is_live(subscription)]

    def find(self, subscription_id: str | None) -> Subscription | None:
        """The live subscription with this id, whoever made it."""
        return next((found for found in self.live() if found.id == subscription_id), None)

    def own(self, person: Person, token: AccessToken) -> list[Subscription]:
        """What this app may see on behalf of this person."""
        owner = token.client_id, person.oid
        return [found for found in self.live() if (found.client_id, found.person.oid) == owner]

    def refuse_duplicate(self, subscription: Subscription) -> None:
        """Raise 409 where its like exists and the rules refuse that."""
        if self.rules.duplicates == "accept":
            return
        for other in self.live():
            if other.combination == subscription.combination:
                message = f"Subscription Id {other.id} already exists for the requested combination"
                raise GraphError(409, "Conflict", message)
