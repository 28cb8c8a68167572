"""The token endpoint, by hand."""

import asyncio

import httpx
import jwt
import pytest

from tests.cloud.clock import Clock
from tests.cloud.directory import Directory
from tests.cloud.entra import EntraEmulator
from tests.cloud.entra.discovery import HOME_TENANT
from tests.integration.entra.client import (
    CALLBACK,
    authorize_path,
    code_for,
    new_refresh_token,
    redeem,
    refresh,
    sign_in,
)


@pytest.mark.parametrize(
    ("changes", "status", "error", "number"),
    [
        pytest.param({"grant_type": None}, 400, "invalid_request", 900144, id="no grant_type"),
        pytest.param({"grant_type": "device_code"}, 400, "unsupported_grant_type", 70003, id="grant_type"),
        pytest.param({"client_id": None}, 400, "invalid_request", 900144, id="no client_id"),
        pytest.param({"client_id": "nobody"}, 400, "unauthorized_client", 700016, id="unknown app"),
        pytest.param({"client_secret": None}, 401, "invalid_client", 7000218, id="no secret"),
        pytest.param({"client_secret": "guess"}, 401, "invalid_client", 7000215, id="wrong secret"),
        pytest.param({"code": None}, 400, "invalid_request", 900144, id="no code"),
        pytest.param({"code": "guess"}, 400, "invalid_grant", 70000, id="unknown code"),
        pytest.param({"redirect_uri": CALLBACK + "?tenant=1"}, 400, "invalid_client", 500112, id="redirect_uri"),
        pytest.param({"code_verifier": "w" * 43}, 400, "invalid_grant", 501481, id="wrong verifier"),
        pytest.param({"code_verifier": None}, 400, "invalid_grant", 501481, id="no verifier"),
        pytest.param({"scope": "Mail.Read"}, 400, "invalid_grant", 65001, id="scope beyond consent"),
        pytest.param({"scope": "Mail.Raed"}, 400, "invalid_client", 650053, id="unknown scope"),
        pytest.param({"claims": "[]"}, 400, "invalid_request", 90023, id="claims"),
        pytest.param(
            {"resource": "https://graph.microsoft.com"}, 400, "invalid_request", 90023, id="unknown parameter"
        ),
        pytest.param(
            {"client_id": "other-app", "client_secret": "other secret"}, 400, "invalid_grant", 70000, id="other app"
        ),
    ],
)
async def test_token_errors(
    browser: httpx.AsyncClient,
    entra: EntraEmulator,
    changes: dict[str, str | None],
    status: int,
    error: str,
    number: int,
) -> None:
    """Each wrong redemption is refused in Entra's words and shape, and the code is still good for the right one."""
    code = await code_for(browser, entra)
    response = await redeem(browser, code, **changes)

    body = response.json()
    assert (response.status_code, body["error"], body["error_codes"]) == (status, error, [number])
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    assert (
        f"Trace ID: {body['trace_id']} Correlation ID: {body['correlation_id']} Timestamp: "
        in body["error_description"]
    )
    assert body["error_uri"].endswith(f"/error?code={number}")
    assert body["timestamp"].endswith("Z")
    assert (await redeem(browser, code)).status_code == 200


async def test_code_works_once(browser: httpx.AsyncClient, entra: EntraEmulator) -> None:
    """A code that was redeemed is refused: AADSTS54005."""
    code = await code_for(browser, entra)

    assert (await redeem(browser, code)).status_code == 200
    assert (await redeem(browser, code)).json()["error_codes"] == [54005]


async def test_code_lives_ten_minutes(browser: httpx.AsyncClient, entra: EntraEmulator, clock: Clock) -> None:
    """A code is good for 10 minutes and no longer."""
    early, late = await code_for(browser, entra), await code_for(browser, entra)

    clock.advance(595)
    assert (await redeem(browser, early)).status_code == 200
    clock.advance(10)
    assert (await redeem(browser, late)).json()["error_codes"] == [70008]


async def test_code_of_another_tenant(browser: httpx.AsyncClient, entra: EntraEmulator, directory: Directory) -> None:
    """A code is redeemed at the person's tenant, or where every tenant is, but not at another's."""
    bob = directory.by_email("bob@fabrikam.example")
    assert bob is not None
    code = await code_for(browser, entra, "ann@contoso.example")

    assert (await redeem(browser, code, bob.tenant_id)).json()["error_codes"] == [700005]


async def test_scopes_without_offline_access_or_openid(browser: httpx.AsyncClient, entra: EntraEmulator) -> None:
    """No refresh token without offline_access, no id_token without openid; a Graph scope written as an address is the same."""
    url = entra.url + authorize_path(scope="https://graph.microsoft.com/mail.read")
    answer = (await redeem(browser, (await sign_in(browser, url))["code"])).json()

    assert answer["scope"] == "Mail.Read"
    assert not {"refresh_token", "id_token"} & answer.keys()


async def test_who_never_had_a_mailbox_has_no_address_in_the_id_token(
    browser: httpx.AsyncClient, entra: EntraEmulator, directory: Directory
) -> None:
    """They sign in under a name that looks like one, as everybody; `email` is only there where mail arrives."""
    directory.add("una@contoso.example", "Una", mailbox="none")
    url = entra.url + authorize_path(scope="openid profile email")
    told = []
    for person in ("ann@contoso.example", "una@contoso.example"):
        answer = (await redeem(browser, (await sign_in(browser, url, person))["code"])).json()
        claims = jwt.decode(answer["id_token"], options={"verify_signature": False})
        told.append((claims["preferred_username"], claims.get("email")))

    assert told == [("ann@contoso.example", "ann@contoso.example"), ("una@contoso.example", None)]


async def test_refresh_with_fewer_scopes(
    browser: httpx.AsyncClient, entra: EntraEmulator, directory: Directory
) -> None:
    """A refresh may ask for less, and gets just that."""
    token = await new_refresh_token(browser, entra)
    answer = (await refresh(browser, token, scope="Mail.Send offline_access openid profile")).json()

    granted = directory.token(answer["access_token"])
    assert granted is not None
    assert granted.scopes == {"mail.send"}


async def test_switches_of_the_scope_in_an_answer(browser: httpx.AsyncClient, entra: EntraEmulator) -> None:
    """An answer can hold earlier consents too, and write scopes as addresses: an app must read both."""
    await sign_in(browser, entra.url + authorize_path(scope="Mail.Read"))
    entra.switches.earlier_consents_in_scope = True
    entra.switches.scopes_as_uri = True
    url = entra.url + authorize_path(scope="Mail.Send")
    answer = (await redeem(browser, (await sign_in(browser, url))["code"])).json()

    assert answer["scope"] == "https://graph.microsoft.com/Mail.Send https://graph.microsoft.com/Mail.Read"


async def test_old_refresh_token_lives_on(browser: httpx.AsyncClient, entra: EntraEmulator) -> None:
    """As in Entra ID, a refresh gives a new refresh token and the old one still works."""
    old = await new_refresh_token(browser, entra)
    new = (await refresh(browser, old)).json()["refresh_token"]

    assert new != old
    assert (await refresh(browser, old)).status_code == 200


async def test_strict_rotation(browser: httpx.AsyncClient, entra: EntraEmulator) -> None:
    """With strict_rotation a used refresh token is refused and the new one works."""
    entra.switches.strict_rotation = True
    old = await new_refresh_token(browser, entra)
    new = (await refresh(browser, old)).json()["refresh_token"]

    assert (await refresh(browser, old)).json()["error"] == "invalid_grant"
    assert (await refresh(browser, new)).status_code == 200


async def test_strict_rotation_of_many_at_once(browser: httpx.AsyncClient, entra: EntraEmulator) -> None:
    """Of 20 refreshes at once with one token, one gets the tokens and 19 are refused; the log tells them apart."""
    old = await new_refresh_token(browser, entra)
    entra.switches.strict_rotation = True
    answers = await asyncio.gather(*(refresh(browser, old) for _ in range(20)))

    won = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    assert [answer.json()["error"] for answer in answers if answer.status_code == 400] == ["invalid_grant"] * 19
    logged = (await browser.get("/_lab/requests")).json()
    refreshes = [call for call in logged if call["form"].get("grant_type") == "refresh_token"]
    assert (
        sorted((call["status"], call["error"], call["error_code"]) for call in refreshes if call["error"])
        == [(400, "invalid_grant", 70000)] * 19
    )
    assert len(refreshes) == 20
    assert (await refresh(browser, won[0]["refresh_token"])).status_code == 200


async def test_refresh_token_dies_of_inactivity(browser: httpx.AsyncClient, entra: EntraEmulator, clock: Clock) -> None:
    """90 days without use end a refresh token (700082); who uses it and keeps the new one goes on."""
    unused = await new_refresh_token(browser, entra)
    used = await new_refresh_token(browser, entra)

    clock.advance(60 * 86_400)
    used = (await refresh(browser, used)).json()["refresh_token"]
    clock.advance(60 * 86_400)

    assert (await refresh(browser, unused)).json()["error_codes"] == [700082]
    assert (await refresh(browser, used)).status_code == 200


async def test_refresh_token_of_another_app(browser: httpx.AsyncClient, entra: EntraEmulator) -> None:
    """A refresh token is of no use to another app."""
    token = await new_refresh_token(browser, entra)
    answer = await refresh(browser, token, client_id="other-app", client_secret="other secret")

    assert (answer.json()["error"], answer.json()["suberror"]) == ("invalid_grant", "client_mismatch")


@pytest.mark.parametrize(
    ("principal", "lifetime_seconds", "number"),
    [("principal-2", 3600, 700213), ("principal-1", 0, 700024), (None, 0, 700027)],
)
async def test_refused_assertions(
    browser: httpx.AsyncClient, entra: EntraEmulator, principal: str | None, lifetime_seconds: int, number: int
) -> None:
    """An assertion of another identity, an expired one and a forged one are each refused as invalid_client."""
    assertion = entra.managed_identity_token(principal, lifetime_seconds) if principal else "a.b.c"
    form = {
        "client_id": "other-app",
        "client_secret": None,
        "client_assertion": assertion,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }
    response = await redeem(browser, "any", **form)

    assert (response.status_code, response.json()["error_codes"]) == (401, [number])


APP = {"client_id": "other-app", "client_secret": "other secret", "grant_type": "client_credentials"}
DEFAULT = "https://graph.microsoft.com/.default"


@pytest.mark.parametrize(
    ("tenant", "changes", "numbers"),
    [
        (HOME_TENANT, {}, None),
        ("organizations", {}, [50059]),
        ("nobody", {}, [90002]),
        (HOME_TENANT, {"scope": "Mail.Read"}, [1002012]),
        (HOME_TENANT, {"client_secret": "wrong"}, [7000215]),
    ],
)
async def test_an_app_gets_a_token_of_its_own(
    browser: httpx.AsyncClient, tenant: str, changes: dict[str, str], numbers: list[int] | None
) -> None:
    """In a tenant, for whatever it may do there, with its secret; without a user, so that nothing comes to refresh it."""
    answer = await browser.post(f"/{tenant}/oauth2/v2.0/token", data=APP | {"scope": DEFAULT} | changes)

    assert answer.json().get("error_codes") == numbers
    assert answer.is_success is (numbers is None)
    if answer.is_success:
        assert sorted(answer.json()) == ["access_token", "expires_in", "ext_expires_in", "token_type"]


async def test_correlation_id_is_the_callers(browser: httpx.AsyncClient) -> None:
    """An error names the client-request-id of the call, which is how the two are matched in logs."""
    request_id = "0f8fad5b-d9cb-469f-a165-70867728950e"
    response = await browser.post("/common/oauth2/v2.0/token", headers={"client-request-id": request_id})

    assert response.json()["correlation_id"] == request_id
