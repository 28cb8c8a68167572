"""
How long a subscription lives and when it is renewed.

Graph lets a basic subscription to Outlook messages live 10,080 minutes, a rich one 1,440, and raises less than 45 to 45
(https://learn.microsoft.com/graph/api/resources/subscription#subscription-lifetime).
"""

import zlib
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from sync.domain.connection import Subscription

MAX_LIFETIME = timedelta(minutes=10_080)
MIN_LIFETIME = timedelta(minutes=45)
#: With `includeResourceData`, which rich notifications need.
RICH_MAX_LIFETIME = timedelta(minutes=1_440)
#: What older tenants were seen to allow at most; tried when Graph refuses the lifetime asked for (GRAPH 400 on create).
FALLBACK_LIFETIME = timedelta(minutes=4_230)

RESOURCE = "me/messages"
#: A sent mail arrives as `updated` (the draft has moved), a received one as `created`.
CHANGE_TYPES = "created,updated"
#: Graph allows one subscription for each resource and set of change types (409), so a new one beside the old takes another set.
#: Deletions are told of in vain then, until this one makes way in turn.
OTHER_CHANGE_TYPES = "created,updated,deleted"
#: Of a lifetime, up to so much earlier than half of it a subscription is renewed: thousands that were opened together spread.
JITTER = 0.1
#: Waits between failed tries. A mailbox that nothing tells of is tried as often as may be; the others have time.
MIN_WAIT = timedelta(minutes=1)
MAX_WAIT_WHILE_COVERED = timedelta(minutes=15)
MAX_WAIT_TO_CLOSE = timedelta(hours=1)
#: What another worker has opened just now it may not have saved yet.
SETTLING = timedelta(minutes=10)


def made_with(signing_key: str, certificate_id: str) -> str:
    """
    What a subscription is made with: one that was made with anything else is replaced when it would be renewed.

    `signing_key`: the public name of its clientState's key. `certificate_id`: whom Graph encrypts for; empty: it is a basic one.
    """
    return f"{signing_key}+{certificate_id}" if certificate_id else signing_key


def renew_at(now: datetime, expires_at: datetime, subscription_id: str) -> datetime:
    """Half-life, or a little before: the other half is there for failed attempts. The same subscription, the same spread."""
    spread = zlib.crc32(subscription_id.encode()) / 2**32
    return now + (expires_at - now) * (0.5 - JITTER * spread)


def wait_after_failure(failing_since: datetime, now: datetime, *, at_most: timedelta) -> timedelta:
    """The wait before the next try: half of how long it has failed, so that a long outage brings no storm of tries."""
    return min(max((now - failing_since) / 2, MIN_WAIT), at_most)


def orphans(found: Iterable[Subscription], renewed: Subscription, in_use: Collection[str]) -> list[Subscription]:
    """
    Those of the subscriptions `found` for a mailbox that nobody uses: left by a process that died between opening and saving.

    `renewed`: the one that was opened or renewed just now. When another was opened Graph does not say; all of an app live equally
    long, so the later it ends, the younger it is.
    """
    return [
        other
        for other in found
        if other.subscription_id not in {renewed.subscription_id, *in_use}
        and renewed.expires_at - other.expires_at > SETTLING
    ]
