"""
The `/_lab` controls of subscriptions and notifications: the local cloud's own, nothing of Microsoft Graph.

    GET /_lab/subscriptions            all, with the owner's address
    GET|POST /_lab/subscription-rules  what Graph's documentation leaves in doubt (registry.py, `SubscriptionRules`)
    GET|POST /_lab/notifications       how notifications are delivered (notifier.py, `Settings`), and how many were
    POST /_lab/lifecycle               send one lifecycle notification; `subscriptionRemoved` also removes it
"""

from dataclasses import asdict

from aiohttp import web

from tests.cloud.graph.lab_json import ControlError, control, read_fields
from tests.cloud.graph.subscriptions.lifecycle import LIFECYCLE_EVENTS, Reauthorization, lifecycle_body
from tests.cloud.graph.subscriptions.notifier import SETTING_FIELDS, Notifier
from tests.cloud.graph.subscriptions.publication import Publication
from tests.cloud.graph.subscriptions.registry import RULE_FIELDS, Registry, SubscriptionRules
from tests.cloud.graph.subscriptions.subscription import wire_time


class SubscriptionControls:
    """The handlers of these controls."""

    def __init__(
        self, registry: Registry, reauthorization: Reauthorization, publication: Publication, notifier: Notifier
    ) -> None:
        self._registry = registry
        self._reauthorization = reauthorization
        self._publication = publication
        self._notifier = notifier

    def register(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        router.add_get("/_lab/subscriptions", control(self._list))
        router.add_get("/_lab/subscription-rules", control(self._rules))
        router.add_post("/_lab/subscription-rules", control(self._change_rules))
        router.add_get("/_lab/notifications", control(self._notifications))
        router.add_post("/_lab/notifications", control(self._change_notifications))
        router.add_post("/_lab/lifecycle", control(self._lifecycle))

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response(
            [
                {
                    **subscription.shown(),
                    "email": subscription.person.email,
                    "immutable_ids": subscription.immutable_ids,
                    "token_expires_at": wire_time(subscription.token_expires_at),
                    "conflicting_renewals": subscription.conflicting_renewals,
                }
                for subscription in self._registry.live()
            ]
        )

    async def _rules(self, _: web.Request) -> web.Response:
        return web.json_response(asdict(self._registry.rules))

    async def _change_rules(self, request: web.Request) -> web.Response:
        fields = await read_fields(request, RULE_FIELDS)
        self._registry.rules = SubscriptionRules(**{**asdict(self._registry.rules), **fields})
        return web.json_response(asdict(self._registry.rules))

    async def _notifications(self, _: web.Request) -> web.Response:
        return web.json_response({"settings": asdict(self._notifier.settings), **asdict(self._notifier.counts)})

    async def _change_notifications(self, request: web.Request) -> web.Response:
        self._notifier.change(await read_fields(request, SETTING_FIELDS))
        return await self._notifications(request)

    async def _lifecycle(self, request: web.Request) -> web.Response:
        fields = await read_fields(request, {"subscription_id": str, "event": str})
        event = fields.get("event")
        if event not in LIFECYCLE_EVENTS:
            raise ControlError(f"'event' is one of {', '.join(LIFECYCLE_EVENTS)}")
        subscription = self._registry.find(fields.get("subscription_id"))
        if subscription is None:
            raise ControlError("no such subscription", status=404)
        if subscription.lifecycle_notification_url is None:
            raise ControlError("this subscription has no lifecycleNotificationUrl")
        if event == "subscriptionRemoved":
            self._registry.remove(subscription)
            self._reauthorization.forget(subscription)
        self._publication.tell_lifecycle(subscription, event)
        return web.json_response(lifecycle_body(subscription, event), status=202)
