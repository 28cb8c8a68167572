"""The documents that are read first, the signing key, and which tenants there are."""

from typing import Any

import httpx
import jwt
import pytest

from tests.cloud.directory import Directory
from tests.cloud.entra import EntraEmulator
from tests.integration.entra.client import CLIENT_ID, code_for, new_refresh_token, redeem, refresh


async def test_id_token_is_signed_with_the_published_key(
    browser: httpx.AsyncClient, entra: EntraEmulator, directory: Directory
) -> None:
    """An app that verifies id_tokens can: signature by the JWKS, audience, and the issuer of the person's tenant."""
    id_token = (await redeem(browser, await code_for(browser, entra))).json()["id_token"]
    ann = directory.by_email("ann@contoso.example")
    assert ann is not None
    configuration = (await browser.get(f"/{ann.tenant_id}/v2.0/.well-known/openid-configuration")).json()
    keys = jwt.PyJWKSet.from_dict((await browser.get(configuration["jwks_uri"])).json())

    key = keys[jwt.get_unverified_header(id_token)["kid"]]
    claims = jwt.decode(id_token, key, ["RS256"], audience=CLIENT_ID, issuer=configuration["issuer"])

    assert configuration["issuer"] == f"{entra.url}/{ann.tenant_id}/v2.0"
    assert claims["nonce"] == "nonce-1"
    assert "nonce" not in _claims((await refresh(browser, await new_refresh_token(browser, entra))).json()["id_token"])


async def test_graphs_proofs_verify_with_the_published_key(browser: httpx.AsyncClient, entra: EntraEmulator) -> None:
    """What Graph puts into rich notifications to prove itself is signed by the tenant's issuer, as a receiver checks it."""
    tenant = "8cb7868a-71e7-5e04-918b-4d0d240f944a"
    token = entra.sign_for_tenant(tenant, {"aud": CLIENT_ID, "azp": "graph"})
    keys = jwt.PyJWKSet.from_dict((await browser.get("/common/discovery/v2.0/keys")).json())

    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, ["RS256"], audience=CLIENT_ID, issuer=f"{entra.url}/{tenant}/v2.0")

    assert claims["azp"] == "graph"


def _claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


@pytest.mark.parametrize("tenant", ["organizations", "common"])
async def test_discovery_of_every_tenant(browser: httpx.AsyncClient, entra: EntraEmulator, tenant: str) -> None:
    """Endpoints lie below the authority, on the emulator's own root; the issuer is a pattern, as the real one's."""
    document = (await browser.get(f"/{tenant}/v2.0/.well-known/openid-configuration")).json()

    assert document["issuer"] == f"{entra.url}/{{tenantid}}/v2.0"
    assert document["authorization_endpoint"] == f"{entra.url}/{tenant}/oauth2/v2.0/authorize"
    assert document["token_endpoint"] == f"{entra.url}/{tenant}/oauth2/v2.0/token"


@pytest.mark.parametrize(
    "path",
    ["v2.0/.well-known/openid-configuration", "discovery/v2.0/keys", "oauth2/v2.0/authorize", "v2.0/adminconsent"],
)
async def test_unknown_tenant(browser: httpx.AsyncClient, path: str) -> None:
    """A tenant in which nobody is does not exist, at any endpoint."""
    response = await browser.get(f"/consumers/{path}")

    assert response.status_code == 400
    assert "AADSTS90002" in response.text


async def test_instance_discovery(browser: httpx.AsyncClient, entra: EntraEmulator) -> None:
    """The emulator vouches for itself and for no other host."""
    query = {"api-version": "1.0", "authorization_endpoint": f"{entra.url}/organizations/oauth2/v2.0/authorize"}
    known = await browser.get("/common/discovery/instance", params=query)
    unknown = await browser.get(
        "/common/discovery/instance", params={**query, "authorization_endpoint": "https://login.example/common/x"}
    )

    assert (
        known.json()["tenant_discovery_endpoint"] == f"{entra.url}/organizations/v2.0/.well-known/openid-configuration"
    )
    assert (unknown.status_code, unknown.json()["error"]) == (400, "invalid_instance")
