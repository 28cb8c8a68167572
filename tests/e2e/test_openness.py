"""Who may call what: everybody may ask whether the app is alive; the CRM's API wants the function key, always."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from unittest.mock import patch

import httpx
import pytest

from tests.cloud.local import LocalCloud
from tests.e2e.witness import Everything, Witness

#: What browsers and Microsoft Graph call, who have no key. Each protects itself; whoever adds one here says how.
OPEN = {
    "http_connect",  # the link's own secret
    "http_oauth_callback",  # state, and the cookie of the browser that opened the link
    "http_graph_notifications",  # clientState
    "http_graph_lifecycle",  # clientState
    "http_health",  # shows nothing
    "http_openapi",  # how the API is called; the same for everybody
    "http_docs",
    "http_settings_page",  # the same for everybody
    "http_settings_asset",  # the same for everybody
    "http_settings_view",  # the token of the page's link, as the three below
    "http_settings_sign_in",
    "http_settings_default_sender",
    "http_settings_delete",
}


@dataclass(frozen=True)
class Route:
    """One HTTP function as the app declares it."""

    name: str
    methods: tuple[str, ...]
    path: str
    anonymous: bool


@pytest.fixture(scope="module")
def routes(cloud: LocalCloud) -> Iterator[list[Route]]:
    """Every HTTP function of the real app, so that one added tomorrow is tested without being named."""
    with patch.dict(os.environ, cloud.app_settings):
        import function_app

        found = []
        for function in function_app.app.get_functions():
            declared = function.get_trigger()
            assert declared is not None
            trigger = declared.get_dict_repr()
            if trigger["type"] == "httpTrigger":
                methods = tuple(getattr(method, "value", str(method)) for method in trigger["methods"])
                anonymous = "ANONYMOUS" in str(trigger["authLevel"]).upper()
                found.append(Route(str(function.get_function_name()), methods, trigger["route"], anonymous))
        yield found


def address(cloud: LocalCloud, route: Route) -> str:
    """A call of the route, with an `x` for each of its parameters."""
    steps = ["x" if step.startswith("{") else step for step in route.path.split("/")]
    return f"{cloud.functions_url}/{'/'.join(steps)}"


def test_what_is_open_is_named_here(routes: list[Route]) -> None:
    """A route without a key is a decision, not an oversight; under `/v1` there is none."""
    assert {route.name for route in routes if route.anonymous} == OPEN
    assert not [route for route in routes if route.anonymous and route.path.startswith("v1/")]
    assert len([route for route in routes if route.path.startswith("v1/")]) >= 12


async def test_every_other_route_wants_the_key(witness: Witness, routes: list[Route]) -> None:
    """Without a key, with a wrong, empty, doubled or misplaced one: 401 that says nothing, and the app is not even asked."""
    key = witness.cloud.function_key
    wrong: list[dict[str, str]] = [
        {},
        {"x-functions-key": ""},
        {"x-functions-key": "x" * len(key)},
        {"x-functions-key": key[:-1]},
        {"x-functions-key": f"{key},{key}"},
        {"x-functions-key": key.swapcase()},
        {"Authorization": f"Bearer {key}"},
        {"Cookie": f"x-functions-key={key}"},
        {"x-function-key": key},
    ]
    closed = [(method, route) for route in routes if not route.anonymous for method in route.methods]

    async def answers() -> list[httpx.Response]:
        return [
            await witness.http.request(method, address(witness.cloud, route), headers=headers, json={})
            for method, route in closed
            for headers in wrong
        ]

    async def look() -> tuple[Everything, list[httpx.Response], Everything]:
        return await witness.everything(), await answers(), await witness.everything()

    ran = dict(witness.cloud.functions.invocations)
    before, refused, after = await witness.undisturbed(look)
    assert {(answer.status_code, answer.content) for answer in refused} == {(401, b"")}
    assert after == before
    runs = witness.cloud.functions.invocations
    assert not [route.name for _, route in closed if runs[route.name] != ran.get(route.name, 0)]


async def test_anybody_may_ask_whether_the_app_is_alive(cloud: LocalCloud, http: httpx.AsyncClient) -> None:
    """`/health` answers without a key, and tells nothing but that."""
    answer = await http.get(f"{cloud.functions_url}/health")

    assert answer.status_code == 200
    assert answer.json() == {"status": "ok"}
    assert answer.headers["cache-control"] == "no-store"


async def test_no_answer_says_what_the_app_is_made_of(cloud: LocalCloud, http: httpx.AsyncClient) -> None:
    """Answers of the app itself name no framework and no version."""
    key = {"x-functions-key": cloud.function_key}
    for answer in (
        await http.get(f"{cloud.functions_url}/health"),
        await http.get(f"{cloud.functions_url}/connect/x.y"),
        await http.get(f"{cloud.functions_url}/v1/accounts/x/threads/y", headers=key),
    ):
        assert "x-powered-by" not in answer.headers
        assert "traceback" not in answer.text.casefold()
        assert ".py" not in answer.text
