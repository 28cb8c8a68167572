"""
infra/README.md, followed from top to bottom by somebody who has nothing but the tools.

Every shell block runs, in one shell, one after the other, with the tools of fake_cloud.py and the real openssl.
"""

import base64
import json
import re
from typing import Any

import pytest

from sync import settings
from sync.domain import certificate
from tests.integration.infra.conftest import Cloud
from tests.integration.infra.fake_command_line import IDENTITY, TENANT
from tests.unit.infra.readme import SHELL
from tests.unit.infra.test_app_settings import SECRETS, environment
from tests.unit.infra.test_workflow import DEPLOY

States = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> States:
    """What the cloud knows after each shell block, by the heading it is under."""
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    marks = [f'cp "$FAKE_CLOUD" "$FAKE_CLOUD.{place}"\n' for place in range(len(SHELL))]
    script = "set -euo pipefail\n" + "".join(block.text + mark for block, mark in zip(SHELL, marks, strict=True))
    done = cloud.bash("-c", script)
    assert done.returncode == 0, done.stderr
    found: States = {}
    for place, block in enumerate(SHELL):
        state = json.loads(cloud.state_file.with_name(f"{cloud.state_file.name}.{place}").read_text())
        found.setdefault(block.heading, []).append(state)
    return found


def test_the_application_comes_back_and_trusts_the_identity(states: States) -> None:
    """After step 4: one registration, with the app's redirect address and its identity as the credential."""
    state = states["4. Make everything in Azure"][-1]
    (application,) = state["applications"].values()
    env = state["env"]
    assert env["ENTRA_CLIENT_ID"] == application["appId"]
    assert application["web"]["redirectUris"] == [f"{env['PUBLIC_BASE_URL']}/oauth/callback"]
    assert [trust["subject"] for trust in application["federated"]] == [IDENTITY]


def test_the_app_starts_with_what_was_put_in(states: States) -> None:
    """After step 5 the Key Vault holds each secret that the template refers to, and the app takes all of it."""
    state = states["5. Put the secrets in"][-1]
    names = {name.lower().replace("_", "-"): name for name in SECRETS}
    assert state["vault"].keys() == names.keys()
    secrets = {names[name]: versions[-1] for name, versions in state["vault"].items()}
    assert all(value == value.strip() for value in secrets.values())
    env = state["env"]
    chosen = environment(
        publicBaseUrl=env["PUBLIC_BASE_URL"],
        entraClientId=env["ENTRA_CLIENT_ID"],
        crmWebhookUrl=env["CRM_WEBHOOK_URL"],
        allowedReturnOrigins=env["ALLOWED_RETURN_ORIGINS"],
    )
    read = settings.read(chosen | secrets)
    assert read.encryption_keys != read.signing_keys
    assert read.crm_webhook_secrets == (secrets["CRM_WEBHOOK_SECRETS"],)


def test_it_is_deployed_and_asked(states: States) -> None:
    """By each tool; then health, status and a test event."""
    calls = states["7. See that it works"][-1]["calls"]
    assert ["azd", "deploy"] in calls
    assert [call[1:4] for call in calls if call[0] == "func"] == [["azure", "functionapp", "publish"]]
    asked = [argument for call in calls if call[0] == "curl" for argument in call if argument.startswith("https://")]
    assert [address.split("/", 3)[3] for address in asked] == ["health", "v1/status", "v1/webhook/test"]


def test_the_pipeline_has_what_the_workflow_reads(states: States) -> None:
    """Every variable, and an identity that may change the function app alone, for this repository's environment alone."""
    state = states["A pipeline on GitHub"][-1]
    assert state["variables"].keys() == set(re.findall(r"vars\.(\w+)", DEPLOY.read_text()))
    assert state["variables"]["AZURE_TENANT_ID"] == TENANT
    (role,) = state["roles"]
    assert role["--role"] == "Website Contributor"
    assert role["--scope"].endswith(f"/Microsoft.Web/sites/{state['env']['FUNCTION_APP_NAME']}")
    (trust,) = state["identities"]["id-github"]["federated"]
    assert re.fullmatch(r"repo:[\w-]+/[\w-]+:environment:production", trust["--subject"][0])
    assert trust["--issuer"] == ["https://token.actions.githubusercontent.com"]


def test_rich_notifications_have_a_certificate_and_then_two(states: States) -> None:
    """Each state of the secret is one that the app takes; the new certificate is in front, and both can be read."""
    state = states["Rich notifications"][-1]
    assert state["env"]["NOTIFICATION_MODE"] == "rich"
    first, both = state["vault"]["notification-certificates"]
    (old,), (new, behind) = certificate.read(first), certificate.read(both)
    assert (behind.certificate_id, new.certificate_id != old.certificate_id) == (old.certificate_id, True)
    for pem in (first, both):
        read = settings.read(environment(notificationMode="rich") | {"NOTIFICATION_CERTIFICATES": pem})
        assert read.notification_certificates == pem.strip()


def test_rotation_goes_behind_then_in_front_then_alone(states: States) -> None:
    """And each state of it is one that the app starts with."""
    vault = states["Rotate keys and secrets"][-1]["vault"]
    old, behind, in_front, new = vault["encryption-keys"]
    assert (behind, in_front) == (f"{old},{new}", f"{new},{old}")
    assert len(base64.b64decode(new)) == 32
    old, both, new = vault["crm-webhook-secrets"]
    assert both == f"{new},{old}"
    for name, versions in vault.items():
        for version in versions:
            settings.read(environment() | {name.upper().replace("-", "_"): version})


def test_in_the_end_nothing_is_left(states: States) -> None:
    """Neither the registration nor the secrets."""
    state = states["Remove everything"][-1]
    assert (state["applications"], state["vault"]) == ({}, {})


def test_secrets_are_on_no_command_line(states: States) -> None:
    """What the Key Vault held was piped: no list of processes has it, nor a shell's history."""
    vault = states["Rotate keys and secrets"][-1]["vault"]
    pem = vault.pop("notification-certificates")
    values = {part for versions in vault.values() for version in versions for part in version.split(",")}
    assert len(values) == 5
    values |= {line for version in pem for line in version.splitlines() if not line.startswith("-")}
    told = [argument for call in states["Remove everything"][-1]["calls"] for argument in call]
    assert not [value for value in values if any(value in argument for argument in told)]


@pytest.mark.parametrize(
    ("left_out", "what_is_said"),
    [
        ("az login", "Please run 'az login'"),
        ("azd auth login", "run `azd auth login`"),
        ("azd env set ENTRA_CLIENT_ID", "ENTRA_CLIENT_ID"),
        ("azd env set CRM_WEBHOOK_URL", "missing required inputs: ['CRM_WEBHOOK_URL']"),
        ("azd provision", "not found in the environment values"),
    ],
)
def test_a_step_that_is_left_out_is_missed(cloud: Cloud, left_out: str, what_is_said: str) -> None:
    """The tools notice where the way has a gap: so it has none."""
    lines = [line for block in SHELL for line in block.text.splitlines() if not line.startswith(left_out)]
    done = cloud.bash("-c", "set -euo pipefail\n" + "\n".join(lines))
    assert done.returncode != 0
    assert what_is_said in done.stderr
