"""What must stay shut: shared keys, public blobs, old TLS, local auth, publish profiles, and networks where wanted."""

from typing import Any

import pytest

from tests.unit.infra.bicep import INFRA, Expression, Loop, template

APP = INFRA / "app"


def at(value: Any, path: str) -> Any:
    """`blobServices.containers.0.publicAccess` of a value."""
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


@pytest.mark.parametrize(
    ("file", "module", "path", "wanted"),
    [
        ("storage", "account", "allowSharedKeyAccess", False),
        ("storage", "account", "defaultToOAuthAuthentication", True),
        ("storage", "account", "allowBlobPublicAccess", False),
        ("storage", "account", "allowCrossTenantReplication", False),
        ("storage", "account", "minimumTlsVersion", "TLS1_2"),
        ("storage", "account", "supportsHttpsTrafficOnly", True),
        ("storage", "account", "blobServices.containers.0.publicAccess", "None"),
        # What a user had erased is gone.
        ("storage", "account", "blobServices.deleteRetentionPolicyEnabled", False),
        ("storage", "account", "blobServices.containerDeleteRetentionPolicyEnabled", False),
        ("storage", "account", "publicNetworkAccess", Expression("private ? 'Disabled' : 'Enabled'")),
        ("storage", "account", "networkAcls.defaultAction", Expression("private ? 'Deny' : 'Allow'")),
        ("vault", "vault", "enableRbacAuthorization", True),
        ("vault", "vault", "enableSoftDelete", True),
        ("vault", "vault", "enablePurgeProtection", True),
        ("vault", "vault", "enableVaultForTemplateDeployment", False),
        ("vault", "vault", "networkAcls.defaultAction", Expression("private ? 'Deny' : 'Allow'")),
        ("monitoring", "applicationInsights", "disableLocalAuth", True),
        ("monitoring", "workspace", "features.disableLocalAuth", True),
        ("function", "site", "httpsOnly", True),
        ("function", "site", "siteConfig.minTlsVersion", "1.2"),
        ("function", "site", "siteConfig.scmMinTlsVersion", "1.2"),
        ("function", "site", "siteConfig.ftpsState", "Disabled"),
        ("function", "site", "basicPublishingCredentialsPolicies.0", {"name": "ftp", "allow": False}),
        ("function", "site", "basicPublishingCredentialsPolicies.1", {"name": "scm", "allow": False}),
        ("function", "site", "keyVaultAccessIdentityResourceId", Expression("identityResourceId")),
        ("function", "site", "managedIdentities", {"userAssignedResourceIds": [Expression("identityResourceId")]}),
    ],
)
def test_what_is_shut_stays_shut(file: str, module: str, path: str, wanted: Any) -> None:
    """Each of these is set in the open, whatever a module's default may become."""
    assert at(template(APP / f"{file}.bicep").params(module), path) == wanted


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("runtime", {"name": "python", "version": "3.13"}),
        ("deployment.storage.authentication.type", "UserAssignedIdentity"),
        ("scaleAndConcurrency.triggers", {"http": {"perInstanceConcurrency": Expression("httpConcurrency")}}),
        (
            "scaleAndConcurrency.alwaysReady",
            Expression(
                "httpAlwaysReadyInstances == 0 ? [] : [{ name: 'http', instanceCount: httpAlwaysReadyInstances }]"
            ),
        ),
    ],
)
def test_the_function_app_is_what_was_chosen(path: str, wanted: Any) -> None:
    """Flex Consumption, this Python, deployed with the identity, HTTP instances as the operator says."""
    function = template(APP / "function.bicep")
    assert function.params("plan")["skuName"] == "FC1"
    assert at(function.params("site")["functionAppConfig"], path) == wanted


def test_the_python_is_the_projects() -> None:
    """What runs in Azure is what the tests ran with."""
    version = (INFRA.parent / ".python-version").read_text().strip()
    assert at(template(APP / "function.bicep").params("site"), "functionAppConfig.runtime.version") == version


@pytest.mark.parametrize(
    ("file", "module", "kinds"),
    [
        ("storage", "account", {"metrics": ["Transaction"], "logs": []}),
        ("vault", "vault", {"metrics": ["AllMetrics"], "logs": ["audit"]}),
        # Not allLogs: HTTP logs hold whole addresses, with sign-in codes in them.
        ("function", "site", {"metrics": ["AllMetrics"], "logs": ["FunctionAppLogs"]}),
    ],
)
def test_diagnostics_go_to_the_workspace(file: str, module: str, kinds: dict[str, list[str]]) -> None:
    """What Azure itself tells of each resource is kept beside the app's telemetry, and no more than is meant."""
    (setting,) = template(APP / f"{file}.bicep").params(module)["diagnosticSettings"]
    assert setting["workspaceResourceId"] == Expression("workspaceResourceId")
    logs = [log.get("category") or log["categoryGroup"] for log in setting.get("logCategoriesAndGroups", [])]
    assert {"metrics": [metric["category"] for metric in setting["metricCategories"]], "logs": logs} == kinds


def test_a_network_has_all_endpoints() -> None:
    """With a network, what holds data is reached through it: each storage service that is used, and the Key Vault."""
    storage, vault = template(APP / "storage.bicep"), template(APP / "vault.bicep")
    assert storage.value("variable", "services") == Expression("private ? ['blob', 'queue', 'table'] : []")
    for endpoints, service in (
        (storage.params("account")["privateEndpoints"], Expression("service")),
        (vault.params("vault")["privateEndpoints"], "vault"),
    ):
        assert isinstance(endpoints, Loop)
        assert endpoints.body["service"] == service
        assert endpoints.body["subnetResourceId"] == Expression("endpointSubnetResourceId")
        assert endpoints.body["privateDnsZoneGroup"]["privateDnsZoneGroupConfigs"]
    zones = template(APP / "network.bicep").value("variable", "zoneNames")
    kinds = [zone.text if isinstance(zone, Expression) else zone for zone in zones]
    assert [kind.strip("'").split(".")[1] for kind in kinds] == ["blob", "queue", "table", "vaultcore"]
