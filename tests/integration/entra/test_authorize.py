"""What the authorize endpoint takes, and where it says what it does not."""

import httpx
import pytest

from tests.cloud.directory import Directory
from tests.cloud.entra import EntraEmulator
from tests.integration.entra.client import CALLBACK, authorize_path, received


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        pytest.param({"client_id": None}, 900144, id="no client_id"),
        pytest.param({"client_id": "nobody"}, 700016, id="unknown app"),
        pytest.param({"redirect_uri": None}, 900144, id="no redirect_uri"),
        pytest.param({"redirect_uri": CALLBACK + "/"}, 50011, id="redirect_uri with a slash more"),
        pytest.param({"redirect_uri": CALLBACK.upper()}, 50011, id="redirect_uri in capitals"),
        pytest.param({"redirect_uri": "https://evil.example/"}, 50011, id="redirect_uri elsewhere"),
        pytest.param({"promt": "login"}, 90023, id="unknown parameter"),
    ],
)
async def test_authorize_errors_on_a_page(
    browser: httpx.AsyncClient, changes: dict[str, str | None], number: int
) -> None:
    """Where the app or its address is in doubt nobody is redirected: there is a page, and a 400."""
    response = await browser.get(authorize_path(**changes))

    assert response.status_code == 400
    assert f"AADSTS{number}" in response.text
    assert "location" not in response.headers


async def test_duplicated_parameter(browser: httpx.AsyncClient) -> None:
    """A parameter that is there twice is refused, whichever would have been meant."""
    response = await browser.get(authorize_path() + "&state=state-2")

    assert response.status_code == 400
    assert "AADSTS9000411" in response.text


@pytest.mark.parametrize(
    ("changes", "error", "number"),
    [
        pytest.param({"response_type": None}, "invalid_request", 900144, id="no response_type"),
        pytest.param({"response_type": "id_token"}, "unsupported_response_type", 700054, id="response_type"),
        pytest.param({"response_mode": "fragment"}, "invalid_request", 70007, id="response_mode"),
        pytest.param({"scope": None}, "invalid_request", 900144, id="no scope"),
        pytest.param({"scope": " "}, "invalid_scope", 70011, id="blank scope"),
        pytest.param({"scope": "Mail.Raed"}, "invalid_client", 650053, id="unknown scope"),
        pytest.param({"scope": "https://vault.example/x"}, "invalid_resource", 500011, id="unknown resource"),
        pytest.param({"prompt": "none"}, "login_required", 50058, id="prompt none"),
        pytest.param({"prompt": "create"}, "invalid_request", 90023, id="prompt unknown"),
        pytest.param({"claims": "xms_cc"}, "invalid_request", 90023, id="claims no JSON"),
        pytest.param({"client_info": "yes"}, "invalid_request", 90023, id="client_info"),
        pytest.param({"code_challenge": None}, "invalid_request", 50147, id="no challenge"),
        pytest.param({"code_challenge": "short"}, "invalid_request", 501491, id="challenge too short"),
        pytest.param({"code_challenge_method": "plain"}, "invalid_request", 90023, id="PKCE plain"),
    ],
)
async def test_authorize_errors_on_the_redirect(
    browser: httpx.AsyncClient, entra: EntraEmulator, changes: dict[str, str | None], error: str, number: int
) -> None:
    """Every other error goes back to the app with its state; the control refuses the same request, and says why."""
    path = authorize_path(**changes)
    response = await browser.get(path)
    body = {"authorize_url": entra.url + path, "email": "ann@contoso.example", "decision": "accept"}
    control = await browser.post("/_lab/sign-in", json=body)

    assert response.status_code == 302
    answer = received(response.headers["location"])
    assert (answer["error"], answer["state"]) == (error, "state-1")
    assert answer["error_description"].startswith(f"AADSTS{number}: ")
    assert control.status_code == 400
    assert f"AADSTS{number}" in control.json()["error"]


async def test_redirect_uri_with_a_query(browser: httpx.AsyncClient, entra: EntraEmulator) -> None:
    """An answer is added to the query that a redirect URI already has."""
    address = CALLBACK + "?tenant=1"
    body = {"authorize_url": entra.url + authorize_path(redirect_uri=address), "email": "ann@contoso.example"}
    response = await browser.post("/_lab/sign-in", json={**body, "decision": "accept"})

    answer = received(response.json()["redirect_url"], address)
    assert answer["tenant"] == "1"
    assert {"code", "client_info", "session_state"} <= answer.keys()


async def test_only_people_of_the_tenant_sign_in_at_its_authority(
    browser: httpx.AsyncClient, entra: EntraEmulator, directory: Directory
) -> None:
    """An authority with a tenant's id shows and takes that tenant's people only."""
    ann = directory.by_email("ann@contoso.example")
    assert ann is not None
    path = authorize_path(ann.tenant_id)
    page = await browser.get(path)
    body = {"authorize_url": entra.url + path, "email": "bob@fabrikam.example", "decision": "accept"}
    control = await browser.post("/_lab/sign-in", json=body)

    assert "ann@contoso.example" in page.text
    assert "bob@fabrikam.example" not in page.text
    assert (control.status_code, "AADSTS50020" in control.text) == (400, True)
