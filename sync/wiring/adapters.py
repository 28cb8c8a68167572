"""
The adapters, each built once per process when it is first needed, from the settings.

They are imported where they are built: azure-storage-queue alone takes about 0.4 s, which a cold start that only acknowledges a
notification must not pay.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from sync.settings import Settings
from sync.wiring.watching import Watching

#: How blob and queue clients repeat a call that failed for a moment: three times, each 1 to 3 s later (the backoff, 1 s more by
#: the base, up to 1 s more or less by chance). By default they wait 18 s at first, and then longer, which neither the CRM nor a
#: function should; what fails for longer is repeated by the queue.
STORAGE_RETRIES = {"retry_total": 3, "initial_backoff": 1, "increment_base": 1, "random_jitter_range": 1}

if TYPE_CHECKING:
    import httpx
    from azure.core.credentials_async import AsyncTokenCredential

    from sync.adapters.anchors import AnchorsTable
    from sync.adapters.blobs import Container, MailContentBlobs
    from sync.adapters.certificates import NotificationCertificates
    from sync.adapters.connections import ConnectionsTable
    from sync.adapters.crm import CrmWebhook
    from sync.adapters.entra import MsalEntra
    from sync.adapters.graph_client import GraphClient
    from sync.adapters.graph_mail import GraphMail
    from sync.adapters.graph_subscriptions import GraphSubscriptions
    from sync.adapters.journal import JournalTable
    from sync.adapters.paces import PacesTable
    from sync.adapters.poison import PoisonQueues
    from sync.adapters.providers import ProvidersTable
    from sync.adapters.queues import QueuedWork
    from sync.adapters.resource_data import GraphResourceData
    from sync.adapters.sealing import AesGcmSealing
    from sync.adapters.sign_ins import SignInsTable
    from sync.adapters.smtp import ProviderSmtp
    from sync.adapters.tables import Tables
    from sync.adapters.tokens import SealedTokens
    from sync.adapters.web import PlainWeb
    from sync.adapters.webhooks import WebhooksTable
    from sync.domain.event import Answer, Event, NewEvent
    from sync.domain.message import Message


def now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


class Adapters:
    """Everything of the outside."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def _tables(self) -> "Tables":
        from azure.data.tables.aio import TableServiceClient

        from sync.adapters.tables import Tables

        return Tables(self._storage(TableServiceClient, "table"))

    @cached_property
    def _work(self) -> "QueuedWork":
        from azure.storage.queue.aio import QueueServiceClient

        from sync.adapters.queues import QueuedWork

        return QueuedWork(self._storage(QueueServiceClient, "queue"), self._tables)

    @cached_property
    def _poison(self) -> "PoisonQueues":
        from azure.storage.queue.aio import QueueServiceClient

        from sync.adapters.poison import PoisonQueues

        return PoisonQueues(self._storage(QueueServiceClient, "queue"), self._tables)

    @cached_property
    def _content(self) -> "MailContentBlobs":
        from sync.adapters.blobs import MailContentBlobs

        return MailContentBlobs(self._container("mail"))

    def _container(self, name: str) -> "Container":
        from azure.storage.blob.aio import BlobServiceClient

        from sync.adapters.blobs import Container

        return Container(self._storage(BlobServiceClient, "blob"), name)

    def _storage[T](self, client: Callable[..., T], kind: str) -> T:
        """A service's client, by connection string or with the app's identity."""
        retries = STORAGE_RETRIES if kind != "table" else {}  # those of tables wait 0.8 s at first by themselves
        connection = self.settings.storage_connection
        if connection:
            made: T = client.from_connection_string(connection, **retries)  # type: ignore[attr-defined]  # all three have it
            return made
        return client(self.settings.storage_services[kind], credential=self._identity, **retries)

    @cached_property
    def _identity(self) -> "AsyncTokenCredential":
        from azure.identity.aio import DefaultAzureCredential

        return DefaultAzureCredential(managed_identity_client_id=self.settings.storage_identity_client_id)

    @cached_property
    def watching(self) -> Watching:
        """Telemetry of this process."""
        return Watching(self.settings.telemetry)

    @cached_property
    def _transport(self) -> "httpx.AsyncBaseTransport":
        from httpx_aiohttp import AiohttpTransport

        return AiohttpTransport(trust_env=False)

    @cached_property
    def _http(self) -> "httpx.AsyncClient":
        """For what is neither Graph's mail nor the CRM's webhook; not watched."""
        from httpx_aiohttp import HttpxAiohttpClient

        return HttpxAiohttpClient(trust_env=False, transport=self._transport)

    @cached_property
    def _graph_http(self) -> "httpx.AsyncClient":
        from httpx_aiohttp import HttpxAiohttpClient

        from sync.adapters.watched_http import GraphTransport

        base_url, watching = self.settings.graph_base_url, self.watching
        transport = GraphTransport(self._transport, base_url, watching.spans, watching.tally.note)
        return HttpxAiohttpClient(trust_env=False, transport=transport)

    @cached_property
    def _crm_http(self) -> "httpx.AsyncClient":
        from httpx_aiohttp import HttpxAiohttpClient

        from sync.adapters.watched_http import CrmTransport

        return HttpxAiohttpClient(trust_env=False, transport=CrmTransport(self._transport, self.watching.spans))

    @cached_property
    def _web(self) -> "PlainWeb":
        from sync.adapters.web import PlainWeb

        return PlainWeb(self._http)

    @cached_property
    def _sealing(self) -> "AesGcmSealing":
        from sync.adapters.sealing import AesGcmSealing

        return AesGcmSealing(self.settings.encryption_keys)

    @cached_property
    def _entra(self) -> "MsalEntra":
        from sync.adapters.entra import MsalEntra, federated_credential

        settings = self.settings
        identity = settings.entra_managed_identity_client_id
        credential = federated_credential(identity) if identity else settings.entra_client_secret or ""
        redirect_uri = f"{settings.public_base_url}/oauth/callback"
        return MsalEntra(settings.entra_authority, settings.entra_client_id, credential, redirect_uri)

    @cached_property
    def _tokens(self) -> "SealedTokens":
        from sync.adapters.tokens import SealedTokens

        return SealedTokens(self._entra, self._sealing, self._container("tokens"), now)

    @cached_property
    def _graph(self) -> "GraphClient":
        from sync.adapters.graph_client import GraphClient

        return GraphClient(self._graph_http, self.settings.graph_base_url, self._tokens)

    @cached_property
    def _mail(self) -> "GraphMail":
        from sync.adapters.graph_mail import GraphMail

        return GraphMail(self._graph)

    @cached_property
    def _subscriptions(self) -> "GraphSubscriptions":
        from sync.adapters.graph_subscriptions import GraphSubscriptions

        settings = self.settings
        return GraphSubscriptions(
            self._graph, settings.public_base_url, settings.subscription_lifetime, self._encrypted_for
        )

    @property
    def _encrypted_for(self) -> "NotificationCertificates | None":
        """Whom Graph is asked to encrypt for: nobody in basic mode."""
        return self._certificates if self.settings.notification_mode == "rich" else None

    @cached_property
    def _certificates(self) -> "NotificationCertificates | None":
        from sync.adapters.certificates import NotificationCertificates

        pem = self.settings.notification_certificates
        return NotificationCertificates(pem) if pem else None

    @cached_property
    def _resource_data(self) -> "GraphResourceData | None":
        """Also in basic mode where certificates are left: what Graph still encrypts until its subscription is replaced."""
        if self._certificates is None:
            return None
        from sync.adapters.entra_keys import EntraKeys
        from sync.adapters.resource_data import GraphResourceData

        keys = EntraKeys(self._http, self.settings.entra_authority, now)
        return GraphResourceData(self._certificates, keys, self.settings.entra_client_id)

    @cached_property
    def _crm(self) -> "CrmWebhook":
        from sync.adapters.crm import CrmWebhook
        from sync.domain.readings import of_delivery

        def measure(event: "Event", answer: "Answer") -> None:
            for reading in of_delivery(event, answer, now()):
                self.watching.tally.note(reading)

        settings = self.settings
        return CrmWebhook(self._crm_http, settings.crm_webhook_url, settings.crm_webhook_secrets, now, measure)

    @cached_property
    def _smtp(self) -> "ProviderSmtp":
        from sync.adapters.smtp import ProviderSmtp
        from sync.adapters.smtp_session import client_name

        return ProviderSmtp(client_name(self.settings.public_base_url), self.settings.provider_allowed_networks)

    @cached_property
    def _providers(self) -> "ProvidersTable":
        from sync.adapters.providers import ProvidersTable

        return ProvidersTable(self._tables, self._sealing)

    @cached_property
    def _sign_ins(self) -> "SignInsTable":
        from sync.adapters.sign_ins import SignInsTable

        return SignInsTable(self._tables)

    @cached_property
    def _connections(self) -> "ConnectionsTable":
        from sync.adapters.connections import ConnectionsTable

        return ConnectionsTable(self._tables)

    @cached_property
    def _anchors(self) -> "AnchorsTable":
        from sync.adapters.anchors import AnchorsTable

        return AnchorsTable(self._tables)

    @cached_property
    def _journal(self) -> "JournalTable":
        from sync.adapters.journal import JournalTable
        from sync.domain.readings import of_told

        def measure(event: "NewEvent", message: "Message | None") -> None:
            for reading in of_told(event, message):
                self.watching.tally.note(reading)

        return JournalTable(self._tables, measure)

    @cached_property
    def _paces(self) -> "PacesTable":
        from sync.adapters.paces import PacesTable

        return PacesTable(self._tables)

    @cached_property
    def _webhooks(self) -> "WebhooksTable":
        from sync.adapters.webhooks import WebhooksTable

        return WebhooksTable(self._tables)
