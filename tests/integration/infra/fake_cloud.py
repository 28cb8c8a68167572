"""
The command-line tools of infra/README.md on a machine without a cloud: az (fake_az.py), azd, func, gh, git and curl.

Run as one of them (by the name it is called with) it keeps what it is told in a JSON file, answers from there, and refuses
whatever it does not know: a command, an option, a thing that is not there. So a step that could not work with the real tool does
not work here either, as far as these commands go
(https://learn.microsoft.com/azure/developer/azure-developer-cli/reference, https://cli.github.com/manual).
"""

import json
import os
import re
import sys
from pathlib import Path

from tests.integration.infra.fake_az import az
from tests.integration.infra.fake_command_line import IDENTITY, OPERATOR, Refused, State, check, parsed


def start() -> State:
    """A subscription with nothing in it."""
    return {
        "calls": [],
        "signed_in": [],
        "applications": {},
        "principals": [],
        "env": {},
        "vault": {},
        "identities": {},
        "variables": {},
    }


def azd(state: State, arguments: list[str]) -> str:
    """The Azure Developer CLI."""
    words, options = parsed(arguments)
    if "azd" not in state["signed_in"] and words in (["provision"], ["deploy"], ["up"], ["down"]):
        raise Refused("not logged in, run `azd auth login` to login")
    match words:
        case ["auth", "login"]:
            check(options, "", "")
            state["signed_in"].append("azd")
        case ["deploy"]:
            check(options, "", "")
        case ["env", "new", name]:
            check(options, "--location --subscription", "")
            state["env"] = {"AZURE_ENV_NAME": name, "AZURE_LOCATION": options["--location"][0]}
        case ["env", "set", name, value] if value:
            state["env"][name] = value
        case ["env", "get-value", name]:
            if name not in state["env"]:
                raise Refused(f"key '{name}' not found in the environment values")
            return f"{state['env'][name]}\n"
        case ["provision"] | ["up"]:
            check(options, "", "--preview")
            provision(state)
        case ["down"]:
            check(options, "--force", "")
            state["vault"] = {}
        case _:
            raise Refused(f"unknown command {arguments}")
    return ""


def provision(state: State) -> None:
    """Fill in main.parameters.json as azd does, refusing what is missing, and keep the template's outputs."""
    env = state["env"] | {"AZURE_PRINCIPAL_ID": OPERATOR}
    parameters = Path(os.environ["FAKE_CLOUD_PARAMETERS"]).read_text()
    needed = set(re.findall(r"\$\{([A-Z_]+)\}", parameters))
    if missing := needed - env.keys():
        raise Refused(f"missing required inputs: {sorted(missing)}")
    name = f"func-{env['AZURE_ENV_NAME']}"
    state["env"] |= {
        "AZURE_RESOURCE_GROUP": f"rg-{env['AZURE_ENV_NAME']}",
        "FUNCTION_APP_NAME": name,
        "PUBLIC_BASE_URL": env.get("CUSTOM_BASE_URL", f"https://{name}.azurewebsites.net"),
        "KEY_VAULT_NAME": f"kv-{env['AZURE_ENV_NAME']}",
        "IDENTITY_PRINCIPAL_ID": IDENTITY,
    }


def func(state: State, arguments: list[str]) -> str:
    """Functions Core Tools."""
    if arguments != ["azure", "functionapp", "publish", state["env"].get("FUNCTION_APP_NAME"), "--python"]:
        raise Refused(f"unknown command {arguments}")
    return ""


def gh(state: State, arguments: list[str]) -> str:
    """The GitHub CLI."""
    words, options = parsed(arguments)
    match words:
        case ["api"] if "--method" in options:
            check(options, "--method --silent", "")
        case ["variable", "set", name]:
            check(options, "--repo --env --body", "")
            state["variables"][name] = options["--body"][0]
        case _:
            raise Refused(f"unknown command {arguments}")
    return ""


def curl(state: State, arguments: list[str]) -> str:
    """A request to the deployed app."""
    base = state["env"].get("PUBLIC_BASE_URL", "?")
    (address,) = [argument for argument in arguments if argument.startswith("https://")]
    route = address.removeprefix(base)
    anonymous = route == "/health"
    if route not in ("/health", "/v1/status", "/v1/webhook/test") or not address.startswith(base):
        raise Refused(f"404 {address}")
    if not anonymous and "x-functions-key: the key" not in arguments:
        raise Refused("401")
    return json.dumps({"status": "ok"} if anonymous else {}) + "\n"


def git(state: State, arguments: list[str]) -> str:
    """Only what an update needs."""
    if arguments != ["pull"]:
        raise Refused(f"unknown command {arguments}")
    return ""


TOOLS = {"az": az, "azd": azd, "func": func, "gh": gh, "curl": curl, "git": git}


def main() -> int:
    """Run as the tool that this is called as; 2 where it refuses."""
    tool, arguments, path = Path(sys.argv[1]).name, sys.argv[2:], Path(os.environ["FAKE_CLOUD"])
    state = json.loads(path.read_text())
    state["calls"].append([tool, *arguments])
    try:
        said = TOOLS[tool](state, arguments)
    except Refused as refused:
        sys.stderr.write(f"{tool}: {refused}\n")
        return 2
    finally:
        path.write_text(json.dumps(state))
    sys.stdout.write(said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
