"""infra/README.md says what is so: its blocks are whole, and its choices, defaults and links are the repository's."""

import json
import re

from tests.unit.infra.bicep import INFRA, template
from tests.unit.infra.readme import README, WHOLE, blocks
from tests.unit.infra.shell import complaints

SCRIPT = INFRA / "register-app.sh"


def test_every_block_is_run_or_parsed() -> None:
    """Shell and JSON are the only languages, so that no block is left out."""
    assert {block.language for block in blocks()} == {"sh", "json"}
    for block in blocks():
        if block.language == "json":
            json.loads(block.text)


def test_the_script_is_clean() -> None:
    """ShellCheck has nothing to say about register-app.sh."""
    assert complaints(SCRIPT.read_text()) == ""


def test_shell_blocks_are_clean() -> None:
    """ShellCheck has nothing to say about the blocks as one script."""
    assert complaints("set -euo pipefail\n" + WHOLE) == ""


def test_every_choice_is_told() -> None:
    """Each environment variable that main.parameters.json reads stands in the document, and the other way round."""
    parameters = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    variables = {re.findall(r"\$\{(\w+)", entry["value"])[0] for entry in parameters.values()}
    by_azd = {"AZURE_ENV_NAME", "AZURE_LOCATION", "AZURE_PRINCIPAL_ID"}
    told = set(re.findall(r"`([A-Z_]+)`", README.read_text().partition("## 3.")[0]))
    set_by_steps = set(re.findall(r"azd env set ([A-Z_]+)", WHOLE))
    assert told | set_by_steps == variables - by_azd


def test_defaults_that_are_told_are_the_templates() -> None:
    """The table of choices has main.bicep's defaults."""
    parameters = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    by_variable = {re.findall(r"\$\{(\w+)", entry["value"])[0]: name for name, entry in parameters.items()}
    rows = re.findall(r"^\| `([A-Z_]+)` \| `([^`]+)` \|", README.read_text(), re.MULTILINE)
    assert len(rows) >= 7
    for variable, told in rows:
        default = template(INFRA / "main.bicep").value("parameter", by_variable[variable])
        assert told == (str(default).lower() if isinstance(default, bool) else str(default)), variable


def test_permissions_are_told_with_a_reason() -> None:
    """What the script registers stands in the table, and no other permission does."""
    registered = re.findall(r"^([\w.]+) +[0-9a-f]{8}-[0-9a-f-]{27}$", SCRIPT.read_text(), re.MULTILINE)
    assert {"Mail.ReadWrite", "Mail.Send", "User.Read"} < set(registered)
    table = README.read_text().partition("| permission (delegated) | why |")[2].partition("\n\n")[0]
    rows = [row.split(" | ") for row in table.splitlines()[2:]]
    assert [name for row in rows for name in re.findall(r"`([\w.]+)`", row[0])] == registered
    assert all(len(row[1]) > 15 for row in rows)


def test_links_to_files_lead_there() -> None:
    """Every relative link of the document is a file of the repository."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", README.read_text())
    assert links
    assert [link for link in links if not (INFRA / link).exists()] == []
