"""infra/register-app.sh: the registration is exactly what the app needs, and running it again changes nothing."""

import json
import re
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

import msal
import pytest

from sync.adapters.entra import SCOPES
from sync.settings import AUTHORITY
from tests.integration.infra.conftest import Cloud
from tests.integration.infra.fake_command_line import IDENTITY, TENANT
from tests.unit.infra.bicep import INFRA

SCRIPT = INFRA / "register-app.sh"

#: Delegated permissions of Microsoft Graph (https://learn.microsoft.com/graph/permissions-reference).
DELEGATED = {
    "024d486e-b451-40bb-833d-3e66d98c5c73": "Mail.ReadWrite",
    "e383f46e-2787-4529-855e-0e479a3ffac0": "Mail.Send",
    "e1fe6dd8-ba31-4d61-89e7-88639da4683d": "User.Read",
    "7427e0e9-2fba-42fe-b0c0-848c9e6a8182": "offline_access",
    "37f7f235-527c-4136-accd-4a02d197296e": "openid",
    "14dad69e-099b-42c9-810b-d002981feec1": "profile",
}
BASE_URL = "https://func-x.azurewebsites.net"
WHOLE = ("--base-url", BASE_URL, "--identity-principal-id", IDENTITY)


def register(cloud: Cloud, *arguments: str) -> str:
    """Run the script; the client id it prints."""
    done = cloud.bash(str(SCRIPT), *arguments)
    assert done.returncode == 0, done.stderr
    (client_id,) = done.stdout.splitlines()
    return client_id


class Discovery:
    """Answers MSAL's look for the endpoints of the authority."""

    status_code = 200
    headers: Mapping[str, str] = {}
    text = json.dumps({f"{name}_endpoint": f"https://login.example/{name}" for name in ("authorization", "token")})

    def get(self, url: str, **_: object) -> "Discovery":
        return self

    def close(self) -> None:
        """Nothing is open."""


def asked_for_at_sign_in() -> set[str]:
    """Every scope of a sign-in, with those that MSAL adds."""
    app = msal.ConfidentialClientApplication(
        "client", authority=AUTHORITY, client_credential="secret", http_client=Discovery(), instance_discovery=False
    )
    flow = app.initiate_auth_code_flow(list(SCOPES), redirect_uri="https://x", response_mode="form_post")
    (scope,) = parse_qs(urlsplit(flow["auth_uri"]).query)["scope"]
    return set(scope.split())


def test_a_new_registration_has_what_the_app_asks_for(signed_in: Cloud) -> None:
    """Delegated permissions of every scope of a sign-in and no other, every organisation's accounts, no implicit grant."""
    client_id = register(signed_in)
    app = signed_in.state["applications"][client_id]
    (graph,) = app["requiredResourceAccess"]
    assert graph["resourceAppId"] == "00000003-0000-0000-c000-000000000000"
    assert {access["type"] for access in graph["resourceAccess"]} == {"Scope"}
    permissions = [DELEGATED[access["id"]] for access in graph["resourceAccess"]]
    assert sorted(permissions) == sorted(asked_for_at_sign_in())
    assert app["signInAudience"] == "AzureADMultipleOrgs"
    assert (app["web"]["idToken"], app["web"]["accessToken"]) == (False, False)
    assert signed_in.state["principals"] == [client_id]
    assert app["displayName"] == "Email sync"


def test_the_names_in_the_script_are_those_of_the_permissions() -> None:
    """Each GUID stands beside its permission's name."""
    told = dict(re.findall(r"^([\w.]+) +([0-9a-f]{8}-[0-9a-f-]{27})$", SCRIPT.read_text(), re.MULTILINE))
    assert {guid: name for name, guid in told.items()} == DELEGATED


def test_it_comes_back_to_the_app_and_trusts_its_identity(signed_in: Cloud) -> None:
    """The redirect address is the app's, and the identity's token is a credential: issuer, subject, audience as Entra ID asks."""
    client_id = register(signed_in, *WHOLE)
    app = signed_in.state["applications"][client_id]
    assert app["web"]["redirectUris"] == [f"{BASE_URL}/oauth/callback"]
    (trust,) = app["federated"]
    assert trust["issuer"] == f"https://login.microsoftonline.com/{TENANT}/v2.0"
    assert (trust["subject"], trust["audiences"]) == (IDENTITY, ["api://AzureADTokenExchange"])


def test_again_changes_nothing(signed_in: Cloud) -> None:
    """The same registration is found by its name or its id, and nothing is added twice."""
    client_id = register(signed_in, *WHOLE)
    before = signed_in.state | {"calls": []}
    assert register(signed_in, *WHOLE) == client_id
    assert register(signed_in, "--client-id", client_id, *WHOLE) == client_id
    assert signed_in.state | {"calls": []} == before


def test_what_is_missing_is_added(signed_in: Cloud) -> None:
    """First without an address, then with one, then with another: the first stays. What was permitted by hand goes."""
    client_id = register(signed_in, "--name", "Northwind email sync")
    state = signed_in.state
    state["applications"][client_id]["requiredResourceAccess"].append({"resourceAppId": "more", "resourceAccess": []})
    signed_in.state_file.write_text(json.dumps(state))
    register(signed_in, "--name", "Northwind email sync", "--base-url", BASE_URL)
    register(signed_in, "--client-id", client_id, "--base-url", "https://mail.crm.example/")
    app = signed_in.state["applications"][client_id]
    assert app["web"]["redirectUris"] == [f"{BASE_URL}/oauth/callback", "https://mail.crm.example/oauth/callback"]
    assert len(app["requiredResourceAccess"]) == 1
    assert app["displayName"] == "Northwind email sync"
    assert len(signed_in.state["applications"]) == 1


def test_two_of_one_name_are_not_guessed_between(signed_in: Cloud) -> None:
    """It asks which, and touches neither."""
    state = signed_in.state
    for client_id in ("a", "b"):
        state["applications"][client_id] = {"appId": client_id, "displayName": "Email sync"}
    signed_in.state_file.write_text(json.dumps(state))
    done = signed_in.bash(str(SCRIPT))
    assert (done.returncode, done.stdout) == (2, "")
    assert "--client-id" in done.stderr
    assert signed_in.state["applications"] == state["applications"]


def test_a_failed_call_ends_it(signed_in: Cloud) -> None:
    """An application that is not there is not made under that id, and addresses are not lost because they could not be read."""
    done = signed_in.bash(str(SCRIPT), "--client-id", "00000000-0000-4000-8000-00000000dead", *WHOLE)
    assert (done.returncode, done.stdout) == (2, "")
    assert "does not exist" in done.stderr
    assert signed_in.state["applications"] == {}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--base-url", "http://func-x.azurewebsites.net"), "https://"),
        (("--base-url",), "needs a value"),
        (("--secret", "x"), "unknown argument"),
        (("--name", "Dana's sync"), "quote"),
    ],
)
def test_wrong_arguments_are_refused(signed_in: Cloud, arguments: tuple[str, ...], why: str) -> None:
    """Before anything is called."""
    done = signed_in.bash(str(SCRIPT), *arguments)
    assert done.returncode == 2
    assert why in done.stderr
    assert signed_in.state["calls"] == [["az", "login"]]
