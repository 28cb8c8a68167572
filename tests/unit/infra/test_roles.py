"""Who may do what in Azure: each role that something needs is assigned on the one resource it is needed for, and no other is."""

import re
from typing import Any

import pytest

from tests.unit.infra.bicep import INFRA, Expression, Loop, files, template, text
from tests.unit.infra.function_app_index import binding_types

ROLES = INFRA / "app" / "roles.bicep"

#: Azure's built-in roles that could be meant (https://learn.microsoft.com/azure/role-based-access-control/built-in-roles).
BUILT_IN = {
    "Owner": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Reader": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
    "Storage Account Contributor": "17d1049b-9a84-46fb-8f53-869881c3d3ab",
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Reader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Storage Queue Data Message Processor": "8a0f0c08-91a1-4084-bc3d-661d67233fed",
    "Storage Queue Data Message Sender": "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a",
    "Storage Queue Data Reader": "19e7f393-937e-4f77-808e-94535e297925",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "Storage Table Data Reader": "76199698-9eea-4c19-bc75-cec21354c6b6",
    "Key Vault Administrator": "00482a5a-887f-4fb3-b363-3b7fe8e74483",
    "Key Vault Secrets Officer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Monitoring Contributor": "749f88d5-cbae-40b8-bcfc-e573ddc772fa",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
}
#: What each kind of trigger or binding needs of the storage account
#: (https://learn.microsoft.com/azure/azure-functions/functions-reference#configure-an-identity-based-connection). A queue
#: trigger would do with reading and processing, an output with sending; but the app makes its queues, and puts back what was
#: given up.
NEEDED_BY_BINDING: dict[str, set[str]] = {
    "httpTrigger": {"Storage Blob Data Owner"},  # the host keeps function keys in blobs
    "http": set(),
    "timerTrigger": {"Storage Blob Data Owner"},  # the host keeps when a timer last ran in blobs
    "queueTrigger": {"Storage Blob Data Owner", "Storage Queue Data Contributor"},
    "queue": {"Storage Queue Data Contributor"},
}
#: What the app needs besides its bindings: its rows.
NEEDED_BY_ADAPTERS = {"Storage Table Data Contributor"}

LISTS = {
    "onStorage": "storage",
    "onKeyVault": "keyVault",
    "onApplicationInsights": "applicationInsights",
    "operatorOnKeyVault": "keyVault",
}


def granted(of: str) -> dict[str, str]:
    """The roles of one list: name to id."""
    grants: list[dict[str, Any]] = template(ROLES).value("variable", of)
    return {grant["role"]: grant["id"] for grant in grants}


@pytest.mark.parametrize("of", LISTS)
def test_a_role_is_what_its_name_says(of: str) -> None:
    """The GUID beside a name is that role's, and each says why it is given."""
    assert granted(of)
    for name, guid in granted(of).items():
        assert BUILT_IN[name] == guid, f"{name} is {BUILT_IN[name]}"
    assert all(len(grant["reason"]) > 20 for grant in template(ROLES).value("variable", of))


def test_storage_roles_are_what_bindings_and_rows_need() -> None:
    """Every binding of function_app.py can work with the identity, and nothing more is given."""
    bindings = binding_types()
    assert bindings <= NEEDED_BY_BINDING.keys(), "say in NEEDED_BY_BINDING what the new kind of binding needs"
    needed = set().union(*(NEEDED_BY_BINDING[binding] for binding in bindings)) | NEEDED_BY_ADAPTERS
    assert set(granted("onStorage")) == needed


def test_other_roles_are_the_least_that_works() -> None:
    """The app reads secrets and writes telemetry; whoever operates it writes secrets."""
    assert set(granted("onKeyVault")) == {"Key Vault Secrets User"}
    assert set(granted("onApplicationInsights")) == {"Monitoring Metrics Publisher"}
    assert set(granted("operatorOnKeyVault")) == {"Key Vault Secrets Officer"}


def test_each_list_is_assigned_on_its_resource() -> None:
    """What is listed is assigned: on that resource alone, to the identity, or to the operator where there is one."""
    resources = {n: r for n, r in template(ROLES).all("resource").items() if "roleAssignments" in r.of}
    seen = set()
    for resource in resources.values():
        loop = resource.value
        assert isinstance(loop, Loop)
        over = re.search(r"\w*[oO]n(Storage|KeyVault|ApplicationInsights)\b", loop.over.text)
        assert over
        seen.add(over[0])
        assert loop.body["scope"] == Expression(LISTS[over[0]])
        properties = loop.body["properties"]
        assert "grant.id" in properties["roleDefinitionId"].text
        operator = over[0].startswith("operator")
        assert properties["principalId"] == Expression("operatorPrincipalId" if operator else "identityPrincipalId")
        assert ("empty(operatorPrincipalId) ? []" in loop.over.text) == operator
        # One name for each resource, principal and role, so that a second deployment meets its own assignment.
        assert loop.body["name"].text.startswith(
            f"guid({LISTS[over[0]]}.id, {properties['principalId'].text}, grant.id"
        )
    assert seen == LISTS.keys()
    assert len(resources) == len(LISTS)


def test_roles_are_assigned_in_one_file() -> None:
    """No other file assigns any, by itself or through a module."""
    for path in files():
        if path != ROLES:
            assert "roleAssignments" not in text(template(path).root), f"{path.name}: move it to roles.bicep"
