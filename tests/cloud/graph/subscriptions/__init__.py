"""
Subscriptions to changes of messages, and the notifications that follow from them.

    service.py          `Subscriptions`: the parts put together
    subscription.py     one subscription: what may be asked for, how it is shown
    registry.py         which there are, and by which rules
    routes.py           /v1.0/subscriptions
    handshake.py        does an address want notifications?
    publication.py      who is told what about a change
    notifier.py         delivery, retries, and the ways it can go wrong
    endpoint_health.py  what becomes of slow addresses
    lifecycle.py        reauthorizationRequired, subscriptionRemoved, missed
    rich.py             notifications that carry the message, encrypted
    controls.py         the /_lab routes
"""

from tests.cloud.graph.subscriptions.service import Subscriptions

__all__ = ["Subscriptions"]
