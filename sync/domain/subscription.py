"""
How long a subscription lives and when it is renewed.

Graph lets a basic subscription to Outlook messages live 10,080 minutes and raises anything below 45 minutes to 45
(https://learn.microsoft.com/graph/api/resources/subscription#subscription-lifetime).
"""

from datetime import datetime, timedelta

MAX_LIFETIME = timedelta(minutes=10_080)
MIN_LIFETIME = timedelta(minutes=45)
#: What older tenants were seen to allow at most; tried when Graph refuses the lifetime asked for (GRAPH 400 on create).
FALLBACK_LIFETIME = timedelta(minutes=4_230)

RESOURCE = "me/messages"
#: A sent mail arrives as `updated` (the draft has moved), a received one as `created`.
CHANGE_TYPES = "created,updated"


def renew_at(now: datetime, expires_at: datetime) -> datetime:
    """Half-life: the other half is there for failed attempts."""
    return now + (expires_at - now) / 2
