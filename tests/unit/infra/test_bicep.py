"""The Bicep files: they are Bicep, their names lead somewhere, modules get what they take, and everything says what it is for."""

import json
import re
from pathlib import Path

import pytest

from tests.unit.infra.bicep import INFRA, MAIN, Declaration, Template, files, mistakes, parse, template, text, walk

#: What Bicep itself knows.
BUILT_IN = {
    *("concat", "contains", "deployer", "deployment", "empty", "endsWith", "environment", "first", "format"),
    *("guid", "items", "join", "json", "last", "length", "loadFileAsBase64", "loadJsonContent"),
    *("loadTextContent", "map", "max", "min", "filter", "range", "reduce", "replace", "resourceGroup"),
    *("resourceId", "split", "startsWith", "string", "subscription", "sort", "subscriptionResourceId"),
    *("substring", "take", "tenant", "toLower", "toObject", "toUpper", "trim", "union", "uniqueString", "az"),
    *("sys", "tenantResourceId", "padLeft", "flatten", "int", "bool", "any", "base64", "uri"),
    "extensionResourceId",
}
#: Names that give a secret away: https://learn.microsoft.com/azure/azure-resource-manager/bicep/linter-rule-outputs-should-not-contain-secrets
SECRET = re.compile(
    r"\blist[A-Z]\w*\(|AccessKey|accountKey|primaryConnectionString|secondaryConnectionString|sharedKey|password|getSecret",
    re.IGNORECASE,
)


def name_of(path: Path) -> str:
    """`app/roles.bicep`."""
    return str(path.relative_to(INFRA))


def local_modules(of: Template) -> list[tuple[Declaration, Path]]:
    """The modules that are files of this repository."""
    return [
        (module, (of.path.parent / module.of).resolve())
        for module in of.all("module").values()
        if not module.of.startswith("br/")
    ]


every_file = pytest.mark.parametrize("path", files(), ids=name_of)


@every_file
def test_a_file_is_bicep(path: Path) -> None:
    """The parser understands all of it."""
    assert mistakes(template(path).root) == []
    assert template(path).declarations


@pytest.mark.parametrize(
    "broken",
    ["param a string =", "var a = [1, 2", "resource a 'T@1' = {\n name 'b'\n}", "output a = }", "module 'x' = {}"],
)
def test_what_is_not_bicep_is_noticed(broken: str) -> None:
    """The parser does not let everything through."""
    assert mistakes(parse(broken))


@every_file
def test_every_name_is_declared_and_used(path: Path) -> None:
    """No name leads nowhere, and no parameter or variable is left over."""
    root = template(path).root
    declared = {d.name for d in template(path).declarations}
    inner = {
        text(child)
        for node in walk(root)
        if node.type in ("for_statement", "for_loop_parameters", "lambda_expression", "user_defined_function")
        for child in walk(node)
        if child.type in ("loop_variable", "loop_enumerator")
        or (child.type == "identifier" and child.parent == node and node.named_children[0] == child)
    }
    labelled = ("object_property", "decorator", "metadata_declaration")
    labels = {node.named_children[0].id for node in walk(root) if node.type in labelled}
    declarations = {d.node.named_children[0].id for d in template(path).declarations}
    decorators = {node.id for d in walk(root) if d.type == "decorator" for node in walk(d) if node.type == "identifier"}
    used = {
        text(node)
        for node in walk(root)
        if node.type == "identifier" and node.id not in labels | declarations | decorators
    }
    # a property that is written as a name is a label, not a use; a loop's own name is declared by the loop
    unknown = used - declared - inner - BUILT_IN
    assert unknown == set(), "declare it, or add it to BUILT_IN if it is a function of Bicep"
    left_over = {d.name for d in template(path).declarations if d.kind in ("parameter", "variable")} - used
    assert left_over == set(), "nobody uses it: take it out"


@every_file
def test_modules_get_what_they_take(path: Path) -> None:
    """Each file that is called gets each parameter without a default, and none that it does not have."""
    for module, target in local_modules(template(path)):
        takes = template(target).all("parameter")
        given = set(template(path).params(module.name))
        assert given <= set(takes), f"{name_of(target)} has no {given - set(takes)}"
        needed = {name for name, parameter in takes.items() if not parameter.has_value}
        assert needed <= given, f"{module.name} does not get {needed - given}"


@every_file
def test_outputs_that_are_used_exist(path: Path) -> None:
    """`module.outputs.name` is an output of that module, where the module is ours."""
    used = re.findall(r"\b(\w+)!?\.outputs\.(\w+)", text(template(path).root))
    targets = {module.name: target for module, target in local_modules(template(path))}
    for module, output in used:
        if module in targets:
            assert output in template(targets[module]).all("output"), f"{module} has no output {output}"


@every_file
def test_public_modules_are_verified_and_pinned(path: Path) -> None:
    """What is not ours is an Azure Verified Module of one exact version, and does not report its use."""
    for module in template(path).all("module").values():
        if module.of.startswith("br/"):
            assert re.fullmatch(r"br/public:avm/res/[a-z-]+(/[a-z-]+)+:\d+\.\d+\.\d+", module.of)
            params = module.value.body["params"] if hasattr(module.value, "body") else module.value["params"]
            assert params["enableTelemetry"] is False


@every_file
def test_parameters_and_outputs_say_what_they_are(path: Path) -> None:
    """Each has a description, but for where a thing is and what it is tagged with."""
    for declaration in template(path).declarations:
        if declaration.kind in ("parameter", "output") and declaration.name not in ("location", "tags"):
            assert declaration.decorators.get("description"), f"{declaration.name} has no @description"


@every_file
def test_no_output_gives_a_secret_away(path: Path) -> None:
    """Outputs are kept in the deployment's history, for all who may read the resource group."""
    for output in template(path).all("output").values():
        assert not SECRET.search(text(output.node)), f"{output.name} gives a secret away"
        assert "secure" not in output.decorators, f"{output.name} is a secret"


def test_nothing_secret_passes_through() -> None:
    """The template takes no secret either; what it tells are five names and addresses."""
    assert [p.name for p in template(MAIN).all("parameter").values() if "secure" in p.decorators] == []
    assert set(template(MAIN).all("output")) == {
        *("AZURE_RESOURCE_GROUP", "FUNCTION_APP_NAME", "PUBLIC_BASE_URL", "KEY_VAULT_NAME", "IDENTITY_PRINCIPAL_ID")
    }


def test_choices_that_cost_say_their_reason_and_price() -> None:
    """Always-ready instances, concurrency and the network tell why one would, and what it costs as of when."""
    parameters = template(MAIN).all("parameter")
    for name in ("httpAlwaysReadyInstances", "httpConcurrency", "vnetEnabled"):
        assert "USD" in parameters[name].decorators["description"], f"{name} says no price"
    assert re.search(r"Prices: .*East US.* on \d{4}-\d{2}-\d{2}", text(template(MAIN).root))
    assert parameters["httpConcurrency"].value > 1
    assert parameters["httpAlwaysReadyInstances"].value >= 1


#: https://learn.microsoft.com/azure/cloud-adoption-framework/ready/azure-best-practices/resource-abbreviations
ABBREVIATIONS = {
    "appServicePlan": "asp-",
    "applicationInsights": "appi-",
    "actionGroup": "ag-",
    "functionApp": "func-",
    "keyVault": "kv-",
    "logAnalyticsWorkspace": "log-",
    "managedIdentity": "id-",
    "privateEndpoint": "pep-",
    "resourceGroup": "rg-",
    "storageAccount": "st",
    "subnet": "snet-",
    "virtualNetwork": "vnet-",
}


def test_names_begin_with_azures_abbreviations() -> None:
    """Each kind of resource is known by its name, and no abbreviation is left over."""
    assert json.loads((INFRA / "abbreviations.json").read_text()) == ABBREVIATIONS
    used = set(re.findall(r"\babbreviations\.(?!json)(\w+)", text(template(MAIN).root)))
    assert used == set(ABBREVIATIONS)


PLACEHOLDER = re.compile(r"\$\{([A-Z_]+)(=[^}]*)?\}")


def test_azd_fills_in_every_parameter() -> None:
    """Each parameter has an environment variable of its own, and one default: the template's."""
    parameters = template(MAIN).all("parameter")
    given = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    assert set(given) == set(parameters)
    variables = []
    for name, entry in given.items():
        placeholder = PLACEHOLDER.fullmatch(entry["value"])
        assert placeholder, f"{name}: {entry['value']}"
        variables.append(placeholder[1])
        default = parameters[name].value if parameters[name].has_value else None
        if name == "operatorPrincipalId":  # azd sets it to who runs it
            assert (placeholder[0], default) == ("${AZURE_PRINCIPAL_ID}", "")
            continue
        written = str(default).lower() if isinstance(default, bool) else str(default)
        assert placeholder[2] == (None if default is None else f"={written}"), f"{name} has two defaults"
    assert len(variables) == len(set(variables))
