"""Route templates and host.json, as the local Functions host reads them."""

import json
from pathlib import Path

import pytest

from tests.cloud.functions import host_json, routes


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("health", "/health", {}),
        ("health", "/HEALTH/", {}),
        ("health", "/health/more", None),
        ("", "/", {}),
        (
            "v1/accounts/{account_id}/users/{user_id}",
            "/v1/accounts/A-1/users/u%20s",
            {"account_id": "A-1", "user_id": "u s"},
        ),
        ("v1/accounts/{account_id}", "/v1/accounts/", None),
        ("n/{n:int}", "/n/-12", {"n": "-12"}),
        ("n/{n:int}", "/n/twelve", None),
        ("n/{n:int}", "/n/99999999999", None),
        ("n/{n:int}", "/n/3000000000", None),
        ("n/{n:long}", "/n/3000000000", {"n": "3000000000"}),
        ("n/{n:guid}", "/n/11111111-2222-3333-4444-555555555555", {"n": "11111111-2222-3333-4444-555555555555"}),
        ("n/{n:alpha}", "/n/abc1", None),
        ("n/{n?}", "/n", {}),
        ("n/{n?}", "/n/x", {"n": "x"}),
        ("n/{n:int?}", "/n/x", None),
        ("n/{n=5}", "/n", {"n": "5"}),
        ("files/{*path}", "/files/a/b.txt", {"path": "a/b.txt"}),
        ("files/{*path}", "/files", {}),
        ("files/{name}", "/files/a%2Fb", {"name": "a%2Fb"}),
    ],
)
def test_matching(template: str, path: str, expected: dict[str, str] | None) -> None:
    """A path gives the decoded parameters of the template, or does not match."""
    assert routes.parse(template).match(path) == expected


def test_the_more_literal_template_is_tried_first() -> None:
    """`threads/open` is not taken for a thread whose id is `open`."""
    templates = ["{*rest}", "threads/{id}", "threads/{id:int}", "threads/open"]
    ordered = sorted((routes.parse(template) for template in templates), key=lambda route: route.precedence)
    assert [route.template for route in ordered] == ["threads/open", "threads/{id:int}", "threads/{id}", "{*rest}"]


@pytest.mark.parametrize(
    "template", ["/health", "a//b", "{*rest}/more", "{id?}/more", "file-{id}", "{id:regex}", "{id", "{n:range(1,2)}"]
)
def test_wrong_or_unknown_templates_are_refused(template: str) -> None:
    """A template that would not work in Azure, or is not imitated here, is an error at load."""
    with pytest.raises(routes.RouteError):
        routes.parse(template)


def app_with(folder: Path, host: object) -> Path:
    """A folder with this host.json."""
    (folder / "host.json").write_text(json.dumps(host))
    return folder


def test_defaults_are_those_of_azure(tmp_path: Path) -> None:
    """An empty host.json gives the documented defaults."""
    options = host_json.read(app_with(tmp_path, {"version": "2.0"}), {})
    assert options == host_json.HostOptions("api", 300.0, host_json.QueueOptions(60.0, 0.0, 16, 8, 5, "base64"))


def test_app_settings_override_host_json(tmp_path: Path) -> None:
    """AzureFunctionsJobHost__… wins, whatever its case, and makes what is not there."""
    host = {"version": "2.0", "functionTimeout": "-1", "extensions": {"queues": {"batchSize": 4}}}
    settings = {
        "AzureFunctionsJobHost__extensions__queues__batchSize": "6",
        "azurefunctionsjobhost__Extensions__Queues__maxPollingInterval": "00:00:00.250",
        "AzureFunctionsJobHost__extensions__http__routePrefix": "",
    }
    options = host_json.read(app_with(tmp_path, host), settings)
    assert (options.queues.batch_size, options.queues.new_batch_threshold) == (6, 3)
    assert options.queues.max_polling_interval == 0.25
    assert options.route_prefix == ""
    assert options.function_timeout is None


def test_the_host_json_of_the_app_is_read() -> None:
    """The file that is deployed says what DESIGN and README say."""
    options = host_json.read(Path(__file__).resolve().parents[2], {})
    assert options == host_json.HostOptions("", 300.0, host_json.QueueOptions(2.0, 30.0, 16, 8, 5, "base64"))


@pytest.mark.parametrize(
    ("queues", "fault"),
    [
        ({"batchSize": 33}, "batchSize"),
        ({"batchSize": "many"}, "batchSize"),
        ({"maxDequeueCount": 0}, "maxDequeueCount"),
        ({"visibilityTimeout": "30"}, "visibilityTimeout"),
        ({"maxPollingInterval": "00:00:00.05"}, "maxPollingInterval"),
        ({"messageEncoding": "utf-8"}, "messageEncoding"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, queues: dict[str, object], fault: str) -> None:
    """The message of a wrong host.json says which value is wrong."""
    with pytest.raises(host_json.HostJsonError, match=fault):
        host_json.read(app_with(tmp_path, {"version": "2.0", "extensions": {"queues": queues}}), {})


def test_a_missing_or_broken_host_json_is_said(tmp_path: Path) -> None:
    """No file, no JSON and no version are three plain errors."""
    with pytest.raises(host_json.HostJsonError, match=r"no host\.json"):
        host_json.read(tmp_path, {})
    (tmp_path / "host.json").write_text("{")
    with pytest.raises(host_json.HostJsonError, match="not JSON"):
        host_json.read(tmp_path, {})
    with pytest.raises(host_json.HostJsonError, match="version"):
        host_json.read(app_with(tmp_path, {}), {})
