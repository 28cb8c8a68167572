"""
Lifecycle notifications: what Graph tells about a subscription rather than about a message.

Imitated, from https://learn.microsoft.com/graph/change-notifications-lifecycle-events (2026-03-24): the notification's
fields, and `reauthorizationRequired` every 15 minutes in the last hour before the access token or the subscription ends.
A guess: the challenges go on every 15 minutes after the token's end, while the subscription lasts.
Not imitated: the earlier challenges, at halves of the time left, of tokens that live longer than an hour.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tests.cloud.clock import Clock
from tests.cloud.graph.subscriptions.subscription import Subscription, wire_time

LIFECYCLE_EVENTS = ("reauthorizationRequired", "subscriptionRemoved", "missed")
CHALLENGE_EVERY = timedelta(minutes=15)
FIRST_CHALLENGE_BEFORE_END = timedelta(minutes=45)


def lifecycle_body(subscription: Subscription, event: str) -> dict[str, Any]:
    """One lifecycle notification; it has no change type and no resource."""
    return {
        "subscriptionId": subscription.id,
        "subscriptionExpirationDateTime": wire_time(subscription.expires_at),
        "tenantId": subscription.person.tenant_id,
        "clientState": subscription.client_state,
        "lifecycleEvent": event,
    }


def next_challenge(end: datetime, after: datetime) -> datetime:
    """The first challenge later than `after`, for a token or subscription that ends at `end`."""
    first = end - FIRST_CHALLENGE_BEFORE_END
    if first > after:
        return first
    return first + CHALLENGE_EVERY * ((after - first) // CHALLENGE_EVERY + 1)


class Reauthorization:
    """
    Asks for reauthorization of each watched subscription when its time comes.

    `challenge` is called in a task of its own, for a subscription whose access token, or itself, is about to end.
    """

    def __init__(self, clock: Clock, challenge: Callable[[Subscription], None]) -> None:
        self._clock = clock
        self._challenge = challenge
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def watch(self, subscription: Subscription) -> None:
        """Watch a new subscription, or one whose token or expiry changed."""
        self.forget(subscription)
        self._tasks[subscription.id] = asyncio.get_running_loop().create_task(self._remind(subscription))

    def forget(self, subscription: Subscription) -> None:
        """Stop watching; fine for one that is not watched."""
        if task := self._tasks.pop(subscription.id, None):
            task.cancel()

    def reset(self) -> None:
        """Stop watching all."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    async def stop(self) -> None:
        """Stop watching all, and wait until that is so."""
        tasks = list(self._tasks.values())
        self.reset()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _remind(self, subscription: Subscription) -> None:
        end = min(subscription.token_expires_at, subscription.expires_at)
        while subscription.expires_at > self._clock.now():
            await self._clock.sleep_until(next_challenge(end, self._clock.now()))
            if subscription.expires_at > self._clock.now():
                self._challenge(subscription)
