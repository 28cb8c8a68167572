"""
Where adapters meet flows, the only place that sees both: here the flows, in adapters.py what they are given.

Flows are imported where they are built, as adapters are, so that a cold start pays only for what it does.
"""

import random
import secrets
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from sync import settings, trace
from sync.domain.connection import Connection, DefaultSender
from sync.domain.ids import key_hash
from sync.wiring import logs
from sync.wiring.adapters import Adapters, now
from sync.wiring.noting import QueueFunction, noting, timed

if TYPE_CHECKING:
    from sync.flows.accept import Accept
    from sync.flows.batches import Batches
    from sync.flows.bulk import Bulk
    from sync.flows.cancel import Cancel
    from sync.flows.catch_up import CatchingUp
    from sync.flows.checks import Checks
    from sync.flows.connect import Connect
    from sync.flows.deliver import Deliver
    from sync.flows.disconnect import Disconnect
    from sync.flows.erase import Erase
    from sync.flows.explain import Explain
    from sync.flows.gauges import Gauges
    from sync.flows.outcome import Outcomes
    from sync.flows.pacing import Pacing
    from sync.flows.poison import Poisons
    from sync.flows.provider import ProviderSettings
    from sync.flows.receive import Receive
    from sync.flows.reconnect import Reconnect
    from sync.flows.redeliver import Redelivery
    from sync.flows.retention import RemovingOld
    from sync.flows.send import Send
    from sync.flows.sender import Senders
    from sync.flows.settings_page import SettingsPage
    from sync.flows.show import Show
    from sync.flows.sign_in_end import SignInEnds
    from sync.flows.sweep import Sweep
    from sync.flows.through_outlook import ThroughOutlook
    from sync.flows.watch import Watch
    from sync.flows.webhook import Endpoint


__all__ = ["Wiring", "build", "timed"]


def new_secret() -> str:
    """256 random bits, URL-safe."""
    return secrets.token_urlsafe(32)


def build() -> "Wiring":
    """The app as its environment asks for it; raises ConfigurationError with everything that is wrong."""
    logs.set_up()
    return Wiring(settings.load())


class Wiring(Adapters):
    """The app, put together from its settings."""

    # What Graph's posts become, without any adapter.

    def acknowledge_changes(self, body: bytes) -> list[str]:
        """Queue messages for `mail-changes`."""
        from sync.flows.receive import acknowledge

        return acknowledge(
            body, self.settings.signing_keys, trace=trace.current().traceparent, metrics=self.watching.tally
        )

    def acknowledge_lifecycle(self, body: bytes) -> list[str]:
        """Queue messages for `mailbox-watch`."""
        from sync.flows.watch import acknowledge

        return acknowledge(
            body, self.settings.signing_keys, trace=trace.current().traceparent, metrics=self.watching.tally
        )

    # Flows, as the entry functions call them.

    @cached_property
    def connect(self) -> "Connect":
        """Sign-ins and connections."""
        from sync.flows.connect import Connect

        return Connect(
            sign_ins=self._sign_ins,
            ends=self.sign_in_ends,
            connections=self._connections,
            journal=self._journal,
            work=self._work,
            entra=self._entra,
            tokens=self._tokens,
            mail=self._mail,
            disconnect=self.disconnect,
            sealing=self._sealing,
            clock=now,
            new_secret=new_secret,
            public_base_url=self.settings.public_base_url,
            allowed_return_origins=self.settings.allowed_return_origins,
        )

    @cached_property
    def sign_in_ends(self) -> "SignInEnds":
        """Sign-ins that came to nothing."""
        from sync.flows.sign_in_end import SignInEnds

        return SignInEnds(self._sign_ins, self._entra, now)

    @cached_property
    def settings_page(self) -> "SettingsPage":
        """The page where a person manages the connection."""
        from sync.flows.settings_page import SettingsPage

        return SettingsPage(
            connections=self._connections,
            connect=self.connect,
            ends=self.sign_in_ends,
            disconnect=self.disconnect,
            clock=now,
            signing_keys=self.settings.signing_keys,
            public_base_url=self.settings.public_base_url,
            allowed_return_origins=self.settings.allowed_return_origins,
        )

    async def choose_default_sender(self, account_id: str, user_id: str, default_sender: str) -> Connection:
        """The door of a user's individual emails: `outlook` or `provider`."""
        from sync.flows.default_sender import choose

        return await choose(self._connections, account_id, user_id, DefaultSender(default_sender))

    @cached_property
    def disconnect(self) -> "Disconnect":
        """The end of connections."""
        from sync.flows.disconnect import Disconnect

        return Disconnect(self._connections, self._journal, self._work, self._tokens, self._subscriptions, now)

    @cached_property
    def erase(self) -> "Erase":
        """The end of what was synced."""
        from sync.flows.erase import Erase

        return Erase(
            connections=self._connections,
            sign_ins=self._sign_ins,
            anchors=self._anchors,
            journal=self._journal,
            content=self._content,
            work=self._work,
            disconnect=self.disconnect,
            clock=now,
        )

    @cached_property
    def watch(self) -> "Watch":
        """Subscriptions."""
        from sync.flows.watch import Watch

        return Watch(
            connections=self._connections,
            journal=self._journal,
            work=self._work,
            subscriptions=self._subscriptions,
            tokens=self._tokens,
            disconnect=self.disconnect,
            reconnect=self._reconnect,
            clock=now,
            signing_key=self.settings.signing_keys[0],
        )

    @cached_property
    def senders(self) -> "Senders":
        """The sender rule."""
        from sync.flows.sender import Senders

        return Senders(self._connections, self._providers)

    @cached_property
    def accept(self) -> "Accept":
        """Taking sends over."""
        from sync.flows.accept import Accept

        return Accept(self.senders, self._journal, self._content, self._work, now)

    @cached_property
    def batches(self) -> "Batches":
        """Looking at what was asked to be sent."""
        from sync.flows.batches import Batches

        return Batches(self._journal, self._content, now)

    @cached_property
    def cancel(self) -> "Cancel":
        """Taking back what is not yet sent."""
        from sync.flows.cancel import Cancel

        return Cancel(self.batches, self._journal, self._work, now)

    @cached_property
    def bulk(self) -> "Bulk":
        """The turns of the emails of bulk sends."""
        from sync.flows.bulk import Bulk

        return Bulk(
            connections=self._connections,
            journal=self._journal,
            content=self._content,
            work=self._work,
            pacing=self._pacing,
            outcomes=self._outcomes,
            clock=now,
        )

    @cached_property
    def send(self) -> "Send":
        """Sending, through either door."""
        from sync.flows.send import Send
        from sync.flows.through_provider import ThroughProvider

        provider = ThroughProvider(self._providers, self._journal, self._content, self._smtp, self._outcomes, now)
        return Send(self._journal, self._work, self._outlook, provider, self._outcomes, now)

    @cached_property
    def _outlook(self) -> "ThroughOutlook":
        from sync.flows.draft import Drafting
        from sync.flows.through_outlook import ThroughOutlook

        return ThroughOutlook(
            connections=self._connections,
            anchors=self._anchors,
            journal=self._journal,
            mail=self._mail,
            drafting=Drafting(self._anchors, self._journal, self._content, self._mail),
            pacing=self._pacing,
            outcomes=self._outcomes,
            reconnect=self._reconnect,
            clock=now,
        )

    @cached_property
    def provider_settings(self) -> "ProviderSettings":
        """The accounts' own email providers."""
        from sync.flows.provider import ProviderSettings

        return ProviderSettings(self._providers, self._smtp, now)

    @cached_property
    def receive(self) -> "Receive":
        """Mail that Graph tells of."""
        from sync.flows.bounce import Bounces
        from sync.flows.receive import Receive

        return Receive(
            connections=self._connections,
            anchors=self._anchors,
            journal=self._journal,
            content=self._content,
            work=self._work,
            mail=self._mail,
            reconnect=self._reconnect,
            outlook=self._outlook,
            outcomes=self._outcomes,
            bounces=Bounces(
                connections=self._connections,
                anchors=self._anchors,
                journal=self._journal,
                content=self._content,
                work=self._work,
                mail=self._mail,
                clock=now,
            ),
            clock=now,
            metrics=self.watching.tally,
            forwarded_messages=self.settings.forwarded_messages,
            resource_data=self._resource_data,
        )

    @cached_property
    def catching_up(self) -> "CatchingUp":
        """Mail that nobody told us of."""
        from sync.flows.catch_up import CatchingUp

        return CatchingUp(self._connections, self._work, self._mail, self.receive, self._reconnect, now)

    @cached_property
    def deliver(self) -> "Deliver":
        """Telling the CRM."""
        from sync.flows.deliver import Deliver

        return Deliver(self._journal, self._webhooks, self._work, self._crm, self.endpoint, now, random.random)

    @cached_property
    def redelivery(self) -> "Redelivery":
        """Telling the CRM many events again."""
        from sync.flows.redeliver import Redelivery

        return Redelivery(self._journal, self._webhooks, self._work, self.endpoint, now)

    @cached_property
    def endpoint(self) -> "Endpoint":
        """How it stands with the CRM's webhook."""
        from sync.flows.webhook import Endpoint

        return Endpoint(
            webhooks=self._webhooks,
            work=self._work,
            crm=self._crm,
            clock=now,
            new_secret=new_secret,
            url_hash=key_hash(self.settings.crm_webhook_url),
        )

    @cached_property
    def show(self) -> "Show":
        """What the CRM can look up."""
        from sync.flows.show import Show

        return Show(
            connections=self._connections,
            ends=self.sign_in_ends,
            journal=self._journal,
            content=self._content,
            work=self._work,
            batches=self.batches,
            poisons=self.poisons,
            clock=now,
        )

    @cached_property
    def checks(self) -> "Checks":
        """Whether everything that the app needs is there."""
        from sync.flows.checks import Checks

        return Checks(
            work=self._work,
            content=self._content,
            connections=self._connections,
            entra=self._entra,
            web=self._web,
            endpoint=self.endpoint,
            clock=now,
            new_secret=new_secret,
            certificate=self._encrypted_for,
            unresolved=self.settings.unresolved_references,
            graph_base_url=self.settings.graph_base_url,
            public_base_url=self.settings.public_base_url,
        )

    @cached_property
    def explain(self) -> "Explain":
        """Why a message of a mailbox syncs, or does not."""
        from sync.flows.explain import Explain

        return Explain(
            connections=self._connections,
            anchors=self._anchors,
            journal=self._journal,
            mail=self._mail,
            reconnect=self._reconnect,
            forwarded_messages=self.settings.forwarded_messages,
        )

    @cached_property
    def sweep(self) -> "Sweep":
        """Promises that lost their wake-up."""
        from sync.flows.sweep import Sweep

        return Sweep(self._work, now)

    @cached_property
    def retention(self) -> "RemovingOld":
        """The end of what was kept long enough."""
        from sync.domain.retention import Retention
        from sync.flows.retention import RemovingOld

        return RemovingOld(
            rule=Retention(self.settings.retention),
            connections=self._connections,
            sign_ins=self._sign_ins,
            anchors=self._anchors,
            journal=self._journal,
            content=self._content,
            paces=self._paces,
            work=self._work,
            clock=now,
        )

    @cached_property
    def poisons(self) -> "Poisons":
        """Work that failed."""
        from sync.flows.poison import Poisons

        return Poisons(self._poison, now)

    def noting(self, queue: str) -> Callable[[QueueFunction], QueueFunction]:
        """A decorator of the function that works on this queue: the work is watched, and why it failed is noted."""
        note, watch = noting(lambda: self.poisons, queue), self.watching.watched(queue)
        return lambda function: note(watch(function))

    async def take_queue_gauges(self) -> None:
        """How the queues stand, where anybody is told."""
        if await self.watching.ready() is not None:
            await self._gauges.queues()

    async def take_mailbox_gauges(self) -> None:
        """How the connections stand, where anybody is told."""
        if await self.watching.ready() is not None:
            await self._gauges.mailboxes()

    @cached_property
    def _gauges(self) -> "Gauges":
        from sync.flows.gauges import Gauges

        return Gauges(
            work=self._work,
            connections=self._connections,
            endpoint=self.endpoint,
            metrics=self.watching.tally,
            clock=now,
            lifetime=self.settings.subscription_lifetime,
        )

    # What several of them share.

    @cached_property
    def _reconnect(self) -> "Reconnect":
        from sync.flows.reconnect import Reconnect

        return Reconnect(self._connections, self._journal, self._work, now)

    @cached_property
    def _outcomes(self) -> "Outcomes":
        from sync.flows.outcome import Outcomes

        return Outcomes(self._connections, self._journal, self._content, self._work, now)

    @cached_property
    def _pacing(self) -> "Pacing":
        from sync.flows.pacing import Pacing

        return Pacing(self._paces, self._journal, now, self.settings.outlook_messages_per_minute)
