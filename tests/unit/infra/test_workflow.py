"""The GitHub workflow and azure.yaml: pinned, with the least rights, and in step with what they deploy."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.infra.bicep import INFRA, template
from tests.unit.infra.shell import complaints
from tests.unit.source import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
DEPLOY = ROOT / ".github" / "workflows" / "deploy.yml"


def read(path: Path) -> dict[Any, Any]:
    """A YAML file; `on` is read as True, as YAML 1.1 has it."""
    content: dict[Any, Any] = yaml.safe_load(path.read_text())
    return content


def steps(path: Path) -> list[dict[str, Any]]:
    """Every step of every job."""
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned(path: Path) -> None:
    """Each action is one commit, whatever its tag may be moved to, and says which version that was."""
    used = re.findall(r"uses: (\S+)(.*)", path.read_text())
    assert used
    for action, comment in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_scripts_are_clean(path: Path) -> None:
    """ShellCheck has nothing to say, and nothing of GitHub's is written into a script."""
    scripts = [step["run"] for step in steps(path) if "run" in step]
    assert scripts
    for script in scripts:
        assert "${{" not in script, "hand it over in env: what is written into a script can become part of it"
        assert complaints(script) == ""


def test_rights_are_the_least() -> None:
    """Reading the code, and for the one job that deploys a token for Azure. There is no secret."""
    workflow = read(DEPLOY)
    assert workflow["permissions"] == {"contents": "read"}
    assert {name: job.get("permissions") for name, job in workflow["jobs"].items()} == {
        "test": None,
        "build": None,
        "deploy": {"id-token": "write"},
    }
    assert "secrets." not in DEPLOY.read_text()
    checkouts = [step for step in steps(DEPLOY) if "actions/checkout" in step.get("uses", "")]
    assert [step["with"] for step in checkouts] == [{"persist-credentials": False}] * 2


def test_only_what_was_tested_is_deployed() -> None:
    """From main, once tests and build are through, in the environment that Azure trusts."""
    workflow = read(DEPLOY)
    assert workflow[True] == {"push": {"branches": ["main"]}, "workflow_dispatch": None}
    deploy = workflow["jobs"]["deploy"]
    assert (deploy["needs"], deploy["environment"]) == (["test", "build"], "production")
    assert ".ci/run" in [step.get("run") for step in workflow["jobs"]["test"]["steps"]]


def test_azd_finds_the_function_app() -> None:
    """The service's name is the function app's tag, and it is built where it runs."""
    project = read(ROOT / "azure.yaml")
    ((name, service),) = project["services"].items()
    assert service == {"project": ".", "language": "python", "host": "function", "remoteBuild": True}
    tags = template(INFRA / "app" / "function.bicep").params("site")["tags"]
    assert f"'azd-service-name': '{name}'" in tags.text
    assert project["infra"] == {"provider": "bicep", "path": INFRA.name}
