"""
Who is told what about a change.

Imitated, from https://learn.microsoft.com/graph/change-notifications-delivery-webhooks: the fields of a notification, the
change types of a subscription, and that a folder sees a message arrive as `created` and leave as `deleted`, while the
whole mailbox sees a moved message as it was published (a draft that is sent: `updated`).
A guess: rich notifications carry the message as it is when the change happens, and nothing for a deleted one.
Not imitated: the several `updated` that Outlook often sends for one change.
"""

import secrets
from collections.abc import Iterable
from typing import Any

from tests.cloud.graph.changes import ChangeType, MessageChange
from tests.cloud.graph.subscriptions.lifecycle import lifecycle_body
from tests.cloud.graph.subscriptions.notifier import Item, Notifier
from tests.cloud.graph.subscriptions.registry import Registry
from tests.cloud.graph.subscriptions.rich import ReadMessage, encrypt
from tests.cloud.graph.subscriptions.subscription import Subscription, wire_time


class Publication:
    """Turns changes and lifecycle events into items for the notifier."""

    def __init__(self, registry: Registry, notifier: Notifier, read_message: ReadMessage | None) -> None:
        self._registry = registry
        self._notifier = notifier
        self._read_message = read_message
        self.reset()

    def reset(self) -> None:
        """Forget where messages were seen last."""
        self._folders: dict[tuple[str, str], tuple[str, str]] = {}

    def publish(self, change: MessageChange) -> None:
        """Tell whoever subscribed to this change; returns at once."""
        key = change.oid, change.immutable_id
        before = self._folders.pop(key, None)
        if change.change_type != "deleted":
            self._folders[key] = change.folder, change.message_id
        for subscription in self._registry.live():
            if subscription.person.oid != change.oid:
                continue
            for kind, message_id in _seen_by(subscription, change, before):
                if kind in subscription.change_types:
                    told_id = change.immutable_id if subscription.immutable_ids else message_id
                    self._notify(subscription, kind, told_id, change.etag)

    def _notify(self, subscription: Subscription, kind: ChangeType, message_id: str, etag: str) -> None:
        path = f"Users/{subscription.person.oid}/Messages/{message_id}"
        body: dict[str, Any] = {
            "id": secrets.token_urlsafe(9),
            "subscriptionId": subscription.id,
            "subscriptionExpirationDateTime": wire_time(subscription.expires_at),
            "clientState": subscription.client_state,
            "changeType": kind,
            "resource": path,
            "tenantId": subscription.person.tenant_id,
            "resourceData": {
                "@odata.type": "#Microsoft.Graph.Message",
                "@odata.id": path,
                "@odata.etag": etag,
                "id": message_id,
            },
        }
        rich = subscription.rich
        if rich and self._read_message and kind != "deleted":
            message = self._read_message(subscription.person.oid, message_id, rich.options)
            if message is not None:
                body["encryptedContent"] = encrypt(rich, message)
        self._notifier.send(
            Item(
                url=subscription.notification_url,
                body=body,
                wanted=lambda: self._registry.is_live(subscription),
                held=lambda: self._registry.token_expired(subscription),
                audience=(subscription.client_id, subscription.person.tenant_id) if rich else None,
            )
        )

    def tell_lifecycle(self, subscription: Subscription, event: str) -> None:
        """Tell a lifecycle event, to a subscription that asked for them; it may be gone by then."""
        if subscription.lifecycle_notification_url is not None:
            self._notifier.send(
                Item(
                    url=subscription.lifecycle_notification_url,
                    body=lifecycle_body(subscription, event),
                    wanted=lambda: True,
                    held=lambda: False,
                    lifecycle=True,
                )
            )


def _seen_by(
    subscription: Subscription, change: MessageChange, before: tuple[str, str] | None
) -> Iterable[tuple[ChangeType, str]]:
    """
    How a subscription sees a change, as change types with the (mutable) id to tell.

    `before` is the folder and id the message had. The whole mailbox sees a moved message as it was published; a folder
    sees it leave as `deleted` and arrive as `created`.
    """
    folder = subscription.folder
    if folder is None:
        yield change.change_type, change.message_id
    elif change.change_type == "deleted" or before is None or before[0] == change.folder:
        if folder == change.folder:
            yield change.change_type, change.message_id
    elif folder == before[0]:
        yield "deleted", before[1]
    elif folder == change.folder:
        yield "created", change.message_id
