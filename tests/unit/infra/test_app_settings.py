"""The app settings that the template sets: each that sync/settings.py reads, and no other but the host's own."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from sync import settings
from tests.unit.infra.bicep import INFRA, Expression, evaluate, template
from tests.unit.test_settings import KEY, PEM, SECRET

FUNCTION = INFRA / "app" / "function.bicep"
GROUPS = ("storageSettings", "telemetrySettings", "secretSettings", "syncSettings")

#: What sync/settings.py reads and the template leaves out on purpose.
NOT_SET = {
    "AzureWebJobsStorage": "a connection string has a key in it; storage is reached with the identity",
    "AzureWebJobsStorage__accountName": "the addresses of the three services are set instead: they are right in every cloud",
    "ENTRA_CLIENT_SECRET": "the Entra application trusts the identity: there is no secret",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "telemetry goes to Application Insights; a collector of one's own is set by hand",
    "OTEL_METRIC_EXPORT_INTERVAL": "the app's default is right",
    "WEBSITE_SITE_NAME": "Azure sets it",
    "WEBSITE_INSTANCE_ID": "Azure sets it",
}
#: What the template sets for others than the app.
FOR_THE_HOST = {
    "AzureWebJobsStorage__credential": "tells the Functions host to use an identity",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "where the host and the app's exporter send telemetry",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "with which identity the host does: local auth is off",
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "the exporter tells Microsoft nothing of its own use",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "and asks there for nothing",
}
SECRETS = {"CRM_WEBHOOK_SECRETS", "ENCRYPTION_KEYS", "SIGNING_KEYS"}
#: With rich notifications alone.
CERTIFICATES = "NOTIFICATION_CERTIFICATES"


class Asked(Mapping[str, str]):
    """An environment that is empty and remembers what it was asked for by name; looking through all of it asks for none."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def read_by_the_app() -> set[str]:
    """Every setting that sync/settings.py asks for."""
    asked = Asked()
    with pytest.raises(settings.ConfigurationError):
        settings.read(asked)
    return asked.names


def set_by_the_template() -> dict[str, Any]:
    """Every setting of the function app, by name."""
    return {name: value for group in GROUPS for name, value in template(FUNCTION).value("variable", group).items()}


def test_each_setting_that_is_read_is_set_and_no_other() -> None:
    """A setting that the app gets to know is a setting of the template, or says above why not; the host's are listed too."""
    wanted = (read_by_the_app() - NOT_SET.keys()) | FOR_THE_HOST.keys()
    assert set_by_the_template().keys() == wanted, "set it in infra/app/function.bicep, or say in NOT_SET why not"


def test_the_function_app_has_them_all() -> None:
    """The groups together are what the function app gets, and what was set by hand does not stay."""
    (config,) = template(FUNCTION).params("site")["configs"]
    assert config["name"] == "appsettings"
    assert config["properties"] == Expression(f"union({', '.join(GROUPS)})")
    assert config["retainCurrentAppSettings"] is False


def test_secrets_are_references() -> None:
    """A secret is named, in the Key Vault and without a version; its value is nowhere in the template."""
    references = template(FUNCTION).value("variable", "secretSettings")
    assert references.keys() == SECRETS | {CERTIFICATES}
    for name, reference in references.items():
        secret = name.lower().replace("_", "-")
        named = f"'@Microsoft.KeyVault(VaultName=${{keyVaultName}};SecretName={secret})'"
        assert reference == Expression(named if name in SECRETS else f"notificationMode == 'rich' ? {named} : ''")
    others = {name: value for name, value in set_by_the_template().items() if name not in references}
    assert not [name for name in others if re.search(r"SECRET|PASSWORD|KEYS?$|CERTIFICATE", name)]


PARAMETERS: dict[str, Any] = {
    "identityClientId": "7f9e57b0-0000-4000-8000-000000000002",
    "blobEndpoint": "https://stx.blob.core.windows.net/",
    "queueEndpoint": "https://stx.queue.core.windows.net/",
    "tableEndpoint": "https://stx.table.core.windows.net/",
    "applicationInsightsConnectionString": "InstrumentationKey=0",
    "keyVaultName": "kv-x",
    "publicBaseUrl": "https://func-x.azurewebsites.net",
    "entraClientId": "4f0c1f7e-0000-4000-8000-000000000001",
    "crmWebhookUrl": "https://crm.example/hooks",
    "allowedReturnOrigins": "https://crm.example,https://app.crm.example",
}


def environment(**changed: Any) -> dict[str, str]:
    """The app's environment as the template makes it, with the defaults of main.bicep, references read from the Key Vault."""
    defaults = {
        name: parameter.value
        for name, parameter in template(INFRA / "main.bicep").all("parameter").items()
        if parameter.has_value
    }
    names = defaults | PARAMETERS | changed
    made: dict[str, str] = {}
    for group in GROUPS:
        made |= evaluate(template(FUNCTION).all("variable")[group].node.named_children[-1], names)
    held = {CERTIFICATES: PEM} if made[CERTIFICATES] else {}
    return made | {"CRM_WEBHOOK_SECRETS": SECRET, "ENCRYPTION_KEYS": KEY, "SIGNING_KEYS": KEY} | held


def test_the_app_starts_with_what_the_template_sets() -> None:
    """With the defaults: identity instead of secrets, six days of subscription, nothing removed."""
    read = settings.read(environment())
    assert read.storage_connection is None
    assert read.storage_services["table"] == "https://stx.table.core.windows.net"
    assert read.storage_identity_client_id == read.entra_managed_identity_client_id == PARAMETERS["identityClientId"]
    assert read.entra_client_secret is None
    assert (read.graph_base_url, read.entra_authority) == (settings.GRAPH, settings.AUTHORITY)
    assert read.allowed_return_origins == ("https://crm.example", "https://app.crm.example")
    without_defaults = {name: value for name, value in environment().items() if name in settings_that_are_needed()}
    assert settings.read(without_defaults) == read, "a default of main.bicep is not the app's"


def settings_that_are_needed() -> set[str]:
    """Without the settings that have a default in the app."""
    return set_by_the_template().keys() - {
        *("GRAPH_BASE_URL", "ENTRA_AUTHORITY", "NOTIFICATION_MODE", "SUBSCRIPTION_MINUTES", "FORWARDED_MESSAGES"),
        *("NOTIFICATION_CERTIFICATES", "OUTLOOK_MESSAGES_PER_MINUTE", "PROVIDER_ALLOWED_NETWORKS", "RETENTION_DAYS"),
    }


def test_choices_reach_the_app() -> None:
    """What an operator chooses is what the app reads."""
    read = settings.read(
        environment(
            subscriptionMinutes=60,
            forwardedMessages="withhold",
            outlookMessagesPerMinute=10,
            providerAllowedNetworks="10.20.0.0/16",
            retentionDays=365,
        )
    )
    assert read.retention is not None
    assert (read.retention.days, read.subscription_lifetime.seconds) == (365, 3600)
    assert (read.forwarded_messages, read.outlook_messages_per_minute) == ("withhold", 10)
    assert [str(network) for network in read.provider_allowed_networks] == ["10.20.0.0/16"]


@pytest.mark.parametrize(("minutes", "lifetime"), [(8640, 1380), (1381, 1380), (60, 60)])
def test_rich_notifications_get_their_certificates(minutes: int, lifetime: int) -> None:
    """From the Key Vault, and a lifetime that Graph gives, whatever was chosen; without them no certificate is asked for."""
    read = settings.read(environment(notificationMode="rich", subscriptionMinutes=minutes))
    assert (read.notification_mode, read.notification_certificates) == ("rich", PEM.strip())
    assert read.subscription_lifetime.total_seconds() == lifetime * 60
    assert settings.read(environment(notificationMode="rich")).subscription_lifetime.total_seconds() == 60 * (
        settings.DEFAULT_RICH_SUBSCRIPTION_MINUTES
    )
    assert settings.read(environment()).notification_certificates is None


@pytest.mark.parametrize(
    ("parameter", "low", "high"),
    [("subscriptionMinutes", 45, 10_080), ("outlookMessagesPerMinute", 1, 3_600), ("retentionDays", 0, 36_500)],
)
def test_limits_are_the_apps(parameter: str, low: int, high: int) -> None:
    """What the template lets through the app takes, and the other way round."""
    decorators = template(INFRA / "main.bicep").all("parameter")[parameter].decorators
    assert (decorators["minValue"], decorators["maxValue"]) == (low, high)
    for value in (low, high):
        settings.read(environment(**{parameter: value}))
    with pytest.raises(settings.ConfigurationError):
        settings.read(environment(**{parameter: high + 1}))
