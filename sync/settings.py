"""
The app settings: the only place that reads the environment. Everything wrong is reported at once, in plain words.

Values that come newest first are separated by commas. Keys are base64 (standard or URL-safe) of random bytes:
`ENCRYPTION_KEYS` of exactly 32, `SIGNING_KEYS` of at least 32, each made by `openssl rand -base64 32`.
"""

import base64
import binascii
import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from sync.domain import certificate, pace, subscription
from sync.domain.server_address import Network
from sync.domain.sign_in import origin_of

GRAPH = "https://graph.microsoft.com/v1.0"
AUTHORITY = "https://login.microsoftonline.com/organizations"
MAX_MESSAGES_PER_MINUTE = 3_600
MAX_RETENTION_DAYS = 36_500
#: A process can be stopped at any time: so many milliseconds of what it measured are lost then at most.
METRICS_EVERY_MS = 30_000
DEFAULT_SUBSCRIPTION_MINUTES = 8_640  # six days: a day below the most that Graph allows
DEFAULT_RICH_SUBSCRIPTION_MINUTES = 1_380  # an hour below


class ConfigurationError(Exception):
    """The app settings can't be used; `problems` says all of it."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("The app settings need attention:\n" + "\n".join(f"  - {p}" for p in problems))


@dataclass(frozen=True)
class Settings:
    """What the app was told. Secrets are never shown in a repr."""

    #: connection string, or None where `storage_account` is reached with an identity
    storage_connection: str | None
    #: service addresses by kind (blob, queue, table) where an identity is used
    storage_services: Mapping[str, str]
    storage_identity_client_id: str | None
    public_base_url: str
    graph_base_url: str
    entra_authority: str
    entra_client_id: str
    entra_client_secret: str | None
    entra_managed_identity_client_id: str | None
    crm_webhook_url: str
    crm_webhook_secrets: tuple[str, ...]
    allowed_return_origins: tuple[str, ...]
    encryption_keys: tuple[bytes, ...]
    signing_keys: tuple[bytes, ...]
    subscription_lifetime: timedelta
    #: whether Graph sends the keys of messages along, encrypted for the newest certificate
    notification_mode: Literal["basic", "rich"]
    #: PEM of certificates with their private keys, newest first; None: there are none
    notification_certificates: str | None
    forwarded_messages: Literal["sync", "withhold"]
    #: emails of bulk sends, and others beside them, that leave through one mailbox in a minute
    outlook_messages_per_minute: int
    #: where an account's provider may be although that is not on the public internet
    provider_allowed_networks: tuple[Network, ...]
    #: how long mail is kept; None: for ever
    retention: timedelta | None
    #: where spans and metrics go
    telemetry: "TelemetrySettings"
    #: names of variables of others (the Functions host's) that are still a reference to Key Vault
    unresolved_references: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Settings(public_base_url={self.public_base_url!r}, …)"


@dataclass(frozen=True)
class TelemetrySettings:
    """Where telemetry goes, by the names that Azure Functions and OpenTelemetry give these settings; without any, nowhere."""

    #: the connection string of an Application Insights resource
    application_insights: str | None = None
    #: the managed identity to authenticate with there; "": the system's own; None: its key in the connection string is enough
    identity_client_id: str | None = None
    #: the root of a collector that takes OTLP over HTTP
    otlp_endpoint: str | None = None
    #: how often metrics are exported
    metrics_every: timedelta = timedelta(milliseconds=METRICS_EVERY_MS)
    #: what is told of this process (https://opentelemetry.io/docs/specs/semconv/resource/)
    resource: Mapping[str, str] = field(default_factory=dict)

    @property
    def wanted(self) -> bool:
        """Whether it goes anywhere."""
        return bool(self.application_insights or self.otlp_endpoint)

    def __repr__(self) -> str:
        return f"TelemetrySettings(wanted={self.wanted})"


def load() -> Settings:
    """The settings of this process."""
    return read(os.environ)


def read(environment: Mapping[str, str]) -> Settings:
    """Read the settings; raises ConfigurationError with everything that is wrong."""
    reader = _Reader(environment)
    connection, services, storage_identity = _storage(reader)
    secret = reader.optional("ENTRA_CLIENT_SECRET")
    identity = reader.optional("ENTRA_MANAGED_IDENTITY_CLIENT_ID")
    if bool(secret) == bool(identity):
        which = "both are set" if secret else "neither is set"
        reader.missing(
            f"Set one of ENTRA_CLIENT_SECRET and ENTRA_MANAGED_IDENTITY_CLIENT_ID; {which}.",
            *("ENTRA_CLIENT_SECRET", "ENTRA_MANAGED_IDENTITY_CLIENT_ID"),
        )
    mode, certificates, lifetime = _notifications(reader)
    days = reader.number("RETENTION_DAYS", 0, low=1, high=MAX_RETENTION_DAYS)
    settings = Settings(
        storage_connection=connection,
        storage_services=services,
        storage_identity_client_id=storage_identity,
        public_base_url=reader.url("PUBLIC_BASE_URL"),
        graph_base_url=reader.url("GRAPH_BASE_URL", GRAPH),
        entra_authority=reader.url("ENTRA_AUTHORITY", AUTHORITY),
        entra_client_id=reader.required("ENTRA_CLIENT_ID"),
        entra_client_secret=secret,
        entra_managed_identity_client_id=identity,
        crm_webhook_url=reader.url("CRM_WEBHOOK_URL", query=True),
        crm_webhook_secrets=reader.listed("CRM_WEBHOOK_SECRETS", _webhook_secret),
        allowed_return_origins=reader.listed("ALLOWED_RETURN_ORIGINS", _origin),
        encryption_keys=reader.listed("ENCRYPTION_KEYS", _encryption_key),
        signing_keys=reader.listed("SIGNING_KEYS", _signing_key),
        subscription_lifetime=lifetime,
        notification_mode=mode,
        notification_certificates=certificates,
        forwarded_messages=reader.choice("FORWARDED_MESSAGES", ("sync", "withhold"), "sync"),  # type: ignore[arg-type]
        outlook_messages_per_minute=reader.number(
            "OUTLOOK_MESSAGES_PER_MINUTE", pace.PER_MINUTE, low=1, high=MAX_MESSAGES_PER_MINUTE
        ),
        provider_allowed_networks=reader.listed("PROVIDER_ALLOWED_NETWORKS", _network, needed=False),
        retention=timedelta(days=days) if days else None,
        telemetry=_telemetry(reader),
        unresolved_references=tuple(sorted(name for name, value in environment.items() if _is_reference(value))),
    )
    if reader.problems:
        raise ConfigurationError(reader.problems)
    return settings


def _storage(reader: "_Reader") -> tuple[str | None, dict[str, str], str | None]:
    """`AzureWebJobsStorage` as a connection string, or the identity-based form that Functions documents."""
    connection = reader.optional("AzureWebJobsStorage")
    account = reader.optional("AzureWebJobsStorage__accountName")
    services = {}
    for kind in ("blob", "queue", "table"):
        address = reader.optional(f"AzureWebJobsStorage__{kind}ServiceUri")
        if address or account:
            services[kind] = (address or f"https://{account}.{kind}.core.windows.net").rstrip("/")
    if not connection and len(services) < 3:
        reader.missing(
            "AzureWebJobsStorage is missing: a connection string, or AzureWebJobsStorage__accountName for an identity.",
            "AzureWebJobsStorage",
        )
    return connection, services, reader.optional("AzureWebJobsStorage__clientId")


def _notifications(reader: "_Reader") -> tuple[Literal["basic", "rich"], str | None, timedelta]:
    """How Graph is to tell us, the certificates for what it encrypts, and for how long it is asked to at a time."""
    certificates = reader.optional("NOTIFICATION_CERTIFICATES")
    if certificates:
        try:
            certificate.looks_right(certificates)
        except ValueError as error:
            reader.problem(f"NOTIFICATION_CERTIFICATES must be PEM of certificates with their private keys: {error}.")
    rich = reader.choice("NOTIFICATION_MODE", ("basic", "rich"), "basic") == "rich"
    if rich and not certificates:
        reader.missing(
            "NOTIFICATION_CERTIFICATES is missing: NOTIFICATION_MODE=rich needs one.", "NOTIFICATION_CERTIFICATES"
        )
    longest = subscription.RICH_MAX_LIFETIME if rich else subscription.MAX_LIFETIME
    minutes = reader.number(
        "SUBSCRIPTION_MINUTES",
        DEFAULT_RICH_SUBSCRIPTION_MINUTES if rich else DEFAULT_SUBSCRIPTION_MINUTES,
        low=int(subscription.MIN_LIFETIME.total_seconds() // 60),
        high=int(longest.total_seconds() // 60),
        when=" while NOTIFICATION_MODE is rich" if rich else "",
    )
    return "rich" if rich else "basic", certificates, timedelta(minutes=minutes)


def _telemetry(reader: "_Reader") -> TelemetrySettings:
    """
    The settings of Azure Functions' own telemetry (https://learn.microsoft.com/azure/azure-functions/functions-app-settings),
    which the host reads too; the name of the app and of the instance are set by Azure.
    """
    insights = reader.optional("APPLICATIONINSIGHTS_CONNECTION_STRING")
    if insights and "instrumentationkey=" not in insights.casefold():
        reader.problem(
            "APPLICATIONINSIGHTS_CONNECTION_STRING must be the connection string of an Application Insights resource."
        )
    authentication = reader.optional("APPLICATIONINSIGHTS_AUTHENTICATION_STRING")
    identity = None
    if authentication:
        given = dict(_pair(part) for part in authentication.split(";") if part.strip())
        if given.get("authorization") != "AAD" or not given.keys() <= {"authorization", "clientid"}:
            reader.problem(
                "APPLICATIONINSIGHTS_AUTHENTICATION_STRING must be Authorization=AAD, or Authorization=AAD;ClientId=… for an"
                " identity of your own."
            )
        identity = given.get("clientid", "")
    otlp = reader.url("OTEL_EXPORTER_OTLP_ENDPOINT") if reader.optional("OTEL_EXPORTER_OTLP_ENDPOINT") else None
    name, instance = reader.optional("WEBSITE_SITE_NAME"), reader.optional("WEBSITE_INSTANCE_ID")
    return TelemetrySettings(
        application_insights=insights,
        identity_client_id=identity,
        otlp_endpoint=otlp,
        metrics_every=timedelta(
            milliseconds=reader.number("OTEL_METRIC_EXPORT_INTERVAL", METRICS_EVERY_MS, low=100, high=3_600_000)
        ),
        resource={
            "service.name": name or "outlook-two-way-sync",
            "cloud.provider": "azure",
            "cloud.platform": "azure_functions",
            **({"service.instance.id": instance} if instance else {}),
        },
    )


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip().casefold(), value.strip()


class _Reader:
    """Reads one environment and gathers what is wrong with it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[str] = []
        self._unresolved: set[str] = set()

    def problem(self, words: str) -> None:
        self.problems.append(words)

    def missing(self, words: str, *names: str) -> None:
        """A problem, unless one of these is an unresolved reference, which is told already."""
        if self._unresolved.isdisjoint(names):
            self.problem(words)

    def optional(self, name: str) -> str | None:
        value = self._environment.get(name, "").strip()
        if not _is_reference(value):
            return value or None
        if name not in self._unresolved:
            self._unresolved.add(name)
            self.problem(
                f"{name} is a Key Vault reference that Azure did not resolve: see that the secret exists, and that the app's"
                " identity has the role Key Vault Secrets User on the vault."
            )
        return None

    def required(self, name: str) -> str:
        value = self.optional(name)
        if value is None:
            self.missing(f"{name} is missing.", name)
        return value or ""

    def url(self, name: str, default: str | None = None, *, query: bool = False) -> str:
        """An https address without a trailing slash; http only on the loopback, where the local cloud is."""
        value = self.optional(name) or default or self.required(name)
        if value and not _usable_url(value, query=query):
            without = "" if query else ", without a query"
            self.problem(f"{name} must be an https address{without} (http only for 127.0.0.1, ::1 or localhost).")
        return value.rstrip("/")

    def number(self, name: str, default: int, *, low: int, high: int, when: str = "") -> int:
        value = self.optional(name)
        if value is None:
            return default
        plain = value.isascii() and value.isdigit() and len(value) <= len(str(high))
        if not plain or not low <= int(value) <= high:
            self.problem(f"{name} must be a whole number from {low} to {high}{when}.")
            return default
        return int(value)

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.optional(name) or default
        if value not in allowed:
            self.problem(f"{name} must be {' or '.join(allowed)}.")
        return value

    def listed[T](self, name: str, read_one: Callable[[str], T], *, needed: bool = True) -> tuple[T, ...]:
        values = [v.strip() for v in (self.optional(name) or "").split(",") if v.strip()]
        if needed and not values:
            self.missing(f"{name} is missing.", name)
        found = []
        for place, value in enumerate(values, start=1):
            try:
                found.append(read_one(value))
            except ValueError as error:
                self.problem(f"{name}, entry {place}: {error}")
        return tuple(found)


def _usable_url(value: str, *, query: bool) -> bool:
    try:
        parts = urlsplit(value)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return False
    if not host or parts.username or parts.fragment or (parts.query and not query):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def _is_reference(value: str) -> bool:
    """
    Whether Azure left a reference in the place of what it holds
    (https://learn.microsoft.com/azure/app-service/app-service-key-vault-references#troubleshooting-key-vault-references).
    """
    return value.lstrip().lower().startswith("@microsoft.keyvault(")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _base64(value: str) -> bytes:
    try:
        return base64.b64decode(value.replace("-", "+").replace("_", "/") + "=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        raise ValueError("it is not base64") from None


def _encryption_key(value: str) -> bytes:
    key = _base64(value)
    if len(key) != 32:
        raise ValueError("it must be base64 of exactly 32 bytes (openssl rand -base64 32)")
    return key


def _signing_key(value: str) -> bytes:
    key = _base64(value)
    if len(key) < 32:
        raise ValueError("it must be base64 of at least 32 bytes (openssl rand -base64 32)")
    return key


def _webhook_secret(value: str) -> str:
    if not value.startswith("whsec_") or not 24 <= len(_base64(value.removeprefix("whsec_"))) <= 64:
        raise ValueError("it must be whsec_ and base64 of 24 to 64 bytes")
    return value


def _network(value: str) -> Network:
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        raise ValueError(
            "it must be a network, as 10.20.0.0/16 or fd00:1::/64, without bits behind its prefix"
        ) from None


def _origin(value: str) -> str:
    try:
        origin = origin_of(value)
    except ValueError:
        origin = ""
    if origin != value.rstrip("/").lower():
        raise ValueError("it must be an origin, as https://crm.example")
    if origin.startswith("http:") and not is_loopback(urlsplit(origin).hostname or ""):
        raise ValueError("it must be https (http only on this machine)")
    return origin
