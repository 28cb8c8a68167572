"""
Subscriptions to changes of messages: the parts of this package put together.

Not imitated anywhere in it: `missed` on its own account, and `subscriptionRemoved` when consent or sessions are revoked;
both are sent by `POST /_lab/lifecycle` only.
"""

from aiohttp import web

from tests.cloud.clock import Clock
from tests.cloud.directory import Directory
from tests.cloud.graph.changes import MessageChange
from tests.cloud.graph.subscriptions.controls import SubscriptionControls
from tests.cloud.graph.subscriptions.handshake import validate_endpoint
from tests.cloud.graph.subscriptions.lifecycle import Reauthorization
from tests.cloud.graph.subscriptions.notifier import Notifier
from tests.cloud.graph.subscriptions.publication import Publication
from tests.cloud.graph.subscriptions.registry import Registry
from tests.cloud.graph.subscriptions.rich import ReadMessage, SignToken
from tests.cloud.graph.subscriptions.routes import SubscriptionRoutes
from tests.cloud.graph.subscriptions.subscription import Subscription


class Subscriptions:
    """
    Graph's subscriptions: `publish` a change, and whoever subscribed is told.

    Rich notifications need `read_message` (reads what changed) and `sign_token` (Entra ID's signature); without both, a
    subscription with resource data is refused with 400.
    """

    def __init__(
        self,
        directory: Directory,
        clock: Clock,
        *,
        read_message: ReadMessage | None = None,
        sign_token: SignToken | None = None,
    ) -> None:
        self.registry = Registry(clock)
        self.notifier = Notifier(clock, sign_token)
        self._publication = Publication(self.registry, self.notifier, read_message)
        self._reauthorization = Reauthorization(clock, self._challenge)
        self._routes = SubscriptionRoutes(
            directory,
            clock,
            self.registry,
            self._reauthorization,
            self._validate,
            rich_possible=read_message is not None and sign_token is not None,
        )
        self._controls = SubscriptionControls(self.registry, self._reauthorization, self._publication, self.notifier)

    def register(self, router: web.UrlDispatcher) -> None:
        """Add `/v1.0/subscriptions` and the controls under `/_lab`."""
        self._routes.register(router)
        self._controls.register(router)

    async def start(self) -> None:
        """Be ready to call out."""
        await self.notifier.start()

    async def stop(self) -> None:
        """Give up whatever is on its way."""
        await self._reauthorization.stop()
        await self.notifier.stop()

    def reset(self) -> None:
        """Forget every subscription, whatever is on its way, the delivery settings and the rules."""
        self._reauthorization.reset()
        self.notifier.reset()
        self._publication.reset()
        self.registry.reset()

    def publish(self, change: MessageChange) -> None:
        """Tell whoever subscribed to this change; call it on the running loop, it returns at once."""
        self._publication.publish(change)

    def _challenge(self, subscription: Subscription) -> None:
        if self.registry.rules.reauthorization:
            self._publication.tell_lifecycle(subscription, "reauthorizationRequired")

    async def _validate(self, address: str) -> None:
        await validate_endpoint(self.notifier.session, address, self.registry.rules.validation_timeout_s)
