"""
The Azure CLI without a cloud. Each command of infra/README.md and infra/register-app.sh, with the options it must and may have
(https://learn.microsoft.com/cli/azure/reference-index); any other is refused, as is what does not exist. `--query` is JMESPath,
evaluated by the library that the Azure CLI uses.

Not imitated: rights, time (roles and registrations need minutes to spread), other filters than `field eq 'value'`.
"""

import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jmespath

from tests.integration.infra.fake_command_line import SUBSCRIPTION, TENANT, Options, Refused, State, check, parsed


def find(state: State, options: Options) -> dict[str, Any]:
    """The application that --id names."""
    application: dict[str, Any] | None = state["applications"].get(options["--id"][0])
    if application is None:
        raise Refused(f"Resource '{options['--id'][0]}' does not exist")
    return application


def filtered(options: Options, field: str) -> str:
    """The value of `field eq 'value'`, the only filter known here."""
    match = re.fullmatch(rf"{field} eq '([^']*)'", options["--filter"][0])
    if not match:
        raise Refused(f"unknown filter {options['--filter'][0]!r}")
    return match[1]


def app_list(state: State, options: Options) -> Any:
    name = filtered(options, "displayName")
    return [app for app in state["applications"].values() if app["displayName"] == name]


def app_create(state: State, options: Options) -> Any:
    app_id = str(uuid.UUID(int=0x5000 + len(state["applications"]), version=4))
    state["applications"][app_id] = {
        "appId": app_id,
        "displayName": options["--display-name"][0],
        "signInAudience": options["--sign-in-audience"][0],
        "requiredResourceAccess": [],
        "web": {"redirectUris": []},
        "federated": [],
    }
    return state["applications"][app_id]


def app_update(state: State, options: Options) -> Any:
    app = find(state, options)
    if "--sign-in-audience" in options:
        app["signInAudience"] = options["--sign-in-audience"][0]
    if "--required-resource-accesses" in options:
        app["requiredResourceAccess"] = json.loads(options["--required-resource-accesses"][0])
    if "--web-redirect-uris" in options:
        app["web"]["redirectUris"] = options["--web-redirect-uris"]
    for option, field in (("--enable-id-token-issuance", "idToken"), ("--enable-access-token-issuance", "accessToken")):
        if option in options:
            app["web"][field] = options[option][0] == "true"
    return None


def app_delete(state: State, options: Options) -> Any:
    del state["applications"][find(state, options)["appId"]]


def federated_create(state: State, options: Options) -> Any:
    app, made = find(state, options), json.loads(options["--parameters"][0])
    if {f["subject"] for f in app["federated"]} & {made["subject"]} or len(app["federated"]) >= 20:
        raise Refused("FederatedIdentityCredential with the same issuer and subject already exists")
    if made.keys() != {"name", "issuer", "subject", "audiences"} or not re.fullmatch(r"[\w-]{3,120}", made["name"]):
        raise Refused("unknown shape of a federated credential")
    app["federated"].append(made)


def principal_list(state: State, options: Options) -> Any:
    app_id = filtered(options, "appId")
    return [{"id": f"principal-of-{app_id}", "appId": app_id}] if app_id in state["principals"] else []


def principal_create(state: State, options: Options) -> Any:
    if find(state, options)["appId"] in state["principals"]:
        raise Refused("The service principal is already in use")
    state["principals"].append(options["--id"][0])


def secret_set(state: State, options: Options) -> Any:
    vault(state, options)
    value = Path(options["--file"][0]).read_text()
    state["vault"].setdefault(options["--name"][0], []).append(value)


def secret_show(state: State, options: Options) -> Any:
    vault(state, options)
    versions = state["vault"].get(options["--name"][0])
    if not versions:
        raise Refused("SecretNotFound")
    return {"value": versions[-1]}


def vault(state: State, options: Options) -> None:
    """Refuse another Key Vault than the one that was made."""
    if options["--vault-name"][0] != state["env"].get("KEY_VAULT_NAME"):
        raise Refused("The Key Vault was not found")


def site(state: State, options: Options) -> str:
    """The resource id of the function app, which has to be there."""
    env = state["env"]
    group, name = options["--resource-group"][0], options["--name"][0]
    if (group, name) != (env.get("AZURE_RESOURCE_GROUP"), env.get("FUNCTION_APP_NAME")):
        raise Refused("ResourceNotFound")
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.Web/sites/{name}"


def identity_create(state: State, options: Options) -> Any:
    name = options["--name"][0]
    state["identities"][name] = {"principalId": f"principal-{name}", "clientId": f"client-{name}", "federated": []}


def identity_federated(state: State, options: Options) -> Any:
    given = {name: values for name, values in options.items() if name not in ("--output", "--resource-group")}
    state["identities"][options["--identity-name"][0]]["federated"].append(given)


def role_assign(state: State, options: Options) -> Any:
    if options["--assignee-object-id"][0] not in {i["principalId"] for i in state["identities"].values()}:
        raise Refused("Cannot find the principal")
    state.setdefault("roles", []).append({name: values[0] for name, values in options.items()})


def rest(state: State, options: Options) -> Any:
    uri = options["--uri"][0]
    id_ = site(state, {"--resource-group": [uri.split("/")[6]], "--name": [uri.split("/")[10]]})
    if uri != f"https://management.azure.com{id_}/config/configreferences/appsettings/refresh?api-version=2022-03-01":
        raise Refused(f"unknown address {uri}")


def keys_set(state: State, options: Options) -> Any:
    site(state, options)
    return {"name": options["--key-name"][0], "value": "the key"}


ACCOUNT = {"id": SUBSCRIPTION, "name": "Pay as you go", "tenantId": TENANT}
RUNTIMES = [{"version": version} for version in ("3.10", "3.11", "3.12", "3.13")]

#: Each command with the options it must have, those it may have besides --query and --output, and what it does.
Handler = Callable[[State, Options], Any]
AZ: dict[str, tuple[str, str, Handler]] = {
    "login": ("", "", lambda s, o: s["signed_in"].append("az")),
    "account show": ("", "", lambda s, o: ACCOUNT),
    "provider register": ("--namespace", "--wait", lambda s, o: None),
    "functionapp list-flexconsumption-locations": ("", "", lambda s, o: [{"name": "westeurope"}, {"name": "eastus"}]),
    "functionapp list-flexconsumption-runtimes": ("--location --runtime", "", lambda s, o: RUNTIMES),
    "functionapp show": ("--resource-group --name", "", lambda s, o: {"id": site(s, o)}),
    "functionapp restart": ("--resource-group --name", "", lambda s, o: site(s, o) and None),
    "functionapp keys list": (
        "--resource-group --name",
        "",
        lambda s, o: site(s, o) and {"functionKeys": {"default": "the key"}},
    ),
    "functionapp keys set": ("--resource-group --name --key-type --key-name", "", keys_set),
    "functionapp keys delete": ("--resource-group --name --key-type --key-name", "", lambda s, o: site(s, o) and None),
    "ad app list": ("--filter", "", app_list),
    "ad app create": ("--display-name --sign-in-audience", "", app_create),
    "ad app show": ("--id", "", find),
    "ad app update": (
        "--id",
        "--sign-in-audience --required-resource-accesses --web-redirect-uris --enable-id-token-issuance"
        " --enable-access-token-issuance",
        app_update,
    ),
    "ad app delete": ("--id", "", app_delete),
    "ad app permission admin-consent": ("--id", "", lambda s, o: find(s, o) and None),
    "ad app federated-credential list": ("--id", "", lambda s, o: find(s, o)["federated"]),
    "ad app federated-credential create": ("--id --parameters", "", federated_create),
    "ad sp list": ("--filter", "", principal_list),
    "ad sp create": ("--id", "", principal_create),
    "keyvault secret set": ("--vault-name --name --file", "", secret_set),
    "keyvault secret show": ("--vault-name --name", "", secret_show),
    "identity create": ("--resource-group --name", "", identity_create),
    "identity show": ("--resource-group --name", "", lambda s, o: s["identities"][o["--name"][0]]),
    "identity federated-credential create": (
        "--resource-group --identity-name --name --issuer --subject --audiences",
        "",
        identity_federated,
    ),
    "role assignment create": ("--role --assignee-object-id --assignee-principal-type --scope", "", role_assign),
    "monitor log-analytics workspace list": ("--resource-group", "", lambda s, o: [{"customerId": "workspace"}]),
    "monitor log-analytics query": ("--workspace --analytics-query", "", lambda s, o: []),
    "rest": ("--method --uri", "", rest),
}


def az(state: State, arguments: list[str]) -> str:
    """The Azure CLI; what it prints."""
    words, options = parsed(arguments)
    command = " ".join(words)
    if command not in AZ:
        raise Refused(f"'{command}' is misspelled or not recognized")
    if "az" not in state["signed_in"] and command != "login":
        raise Refused("Please run 'az login' to setup account.")
    must, may, handler = AZ[command]
    check(options, must, f"{may} --query --output")
    result = handler(state, options)
    if "--query" in options:
        result = jmespath.search(options["--query"][0], result)
    match options.get("--output", ["json"])[0]:
        case "none":
            return ""
        case "tsv":
            return "".join(
                f"{line}\n" for line in (result if isinstance(result, list) else [result]) if line is not None
            )
        case "json":
            return "" if result is None else json.dumps(result, indent=2) + "\n"
        case other:
            raise Refused(f"unknown output {other}")
