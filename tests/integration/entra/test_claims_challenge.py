"""Continuous access evaluation: Graph and Entra ID together, with MSAL as an app that understands challenges, and by hand."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.cloud.clock import Clock
from tests.cloud.directory import Directory
from tests.cloud.entra import EntraEmulator
from tests.cloud.graph import GraphEmulator
from tests.integration.entra.client import (
    CLIENT_ID,
    LoopbackHttp,
    Msal,
    authorize_path,
    code_for,
    connect,
    redeem,
    refresh,
    sign_in,
)

ANN = "ann@contoso.example"
CAPABLE = '{"access_token":{"xms_cc":{"values":["CP1"]}}}'


@pytest.fixture
async def graph(directory: Directory, clock: Clock) -> AsyncIterator[GraphEmulator]:
    emulator = GraphEmulator(directory, clock)
    await emulator.start()
    yield emulator
    await emulator.stop()


@pytest.fixture
async def capable(entra: EntraEmulator, http: LoopbackHttp) -> Msal:
    """An app that says it understands challenges."""
    return await asyncio.to_thread(Msal, entra.url, http, capabilities=["CP1"])


async def challenge(browser: httpx.AsyncClient, graph: GraphEmulator, email: str = ANN, **how: bool) -> str:
    """Challenge this person's tokens; the claims that answer it."""
    answer = await browser.post(f"{graph.url}/_lab/cae-challenge", json={"email": email, **how})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["claims"])


async def me(browser: httpx.AsyncClient, graph: GraphEmulator, token: str, path: str = "/me") -> httpx.Response:
    """Call Graph with this token."""
    return await browser.get(f"{graph.url}/v1.0{path}", headers={"Authorization": f"Bearer {token}"})


def asked_for(refused: httpx.Response) -> str:
    """The claims in the header of a challenge, as an app reads them."""
    assert refused.status_code == 401
    found = re.search(r'claims="([^"]+)"', refused.headers["www-authenticate"])
    assert found is not None
    return base64.b64decode(found[1]).decode()


def with_capability(claims: str) -> str:
    """These claims as an app sends them that says it understands challenges."""
    return json.dumps({"access_token": {**json.loads(claims)["access_token"], "xms_cc": {"values": ["CP1"]}}})


async def tokens(browser: httpx.AsyncClient, entra: EntraEmulator, claims: str | None = CAPABLE) -> dict[str, Any]:
    """Ann's tokens, asked for by hand with these claims."""
    answer = await redeem(browser, await code_for(browser, entra), claims=claims)
    return dict(answer.json())


async def test_what_a_challenge_looks_like(
    browser: httpx.AsyncClient, entra: EntraEmulator, graph: GraphEmulator
) -> None:
    """Every call of that person is 401 with Graph's envelope and the documented header; others are not touched."""
    ann = (await tokens(browser, entra))["access_token"]
    code = await code_for(browser, entra, "bob@fabrikam.example")
    bob = (await redeem(browser, code, claims=CAPABLE)).json()["access_token"]
    assert (await me(browser, graph, ann)).status_code == 200
    claims = await challenge(browser, graph)

    for path in ("/me", "/me/messages", "/subscriptions"):
        refused = await me(browser, graph, ann, path)
        error = refused.json()["error"]
        header = refused.headers["www-authenticate"]
        assert asked_for(refused) == claims
        assert header.startswith(
            'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/auth'
        )
        assert 'error="insufficient_claims"' in header
        assert error["code"] == "InvalidAuthenticationToken"
        assert error["message"].endswith("code: TokenIssuedBeforeRevocationTimestamp")
    nbf = json.loads(claims)["access_token"]["nbf"]
    assert (nbf["essential"], nbf["value"].isdigit()) == (True, True)
    assert (await me(browser, graph, bob)).status_code == 200


async def test_msal_answers_a_challenge(
    capable: Msal, browser: httpx.AsyncClient, graph: GraphEmulator, entra: EntraEmulator
) -> None:
    """`claims_challenge` goes past MSAL's cache, reaches the token endpoint beside CP1, and its token, and all after, pass."""
    first = await connect(capable, browser)
    await challenge(browser, graph)
    claims = asked_for(await me(browser, graph, first["access_token"]))
    second = await asyncio.to_thread(capable.silent, claims=claims)
    third = await asyncio.to_thread(capable.silent, force_refresh=True)

    assert json.loads(entra.requests[-2].form["claims"]) == json.loads(with_capability(claims))
    assert (await me(browser, graph, first["access_token"])).status_code == 401
    assert (await me(browser, graph, second["access_token"])).status_code == 200
    assert (await me(browser, graph, third["access_token"])).status_code == 200


async def test_only_exactly_these_claims_answer(
    browser: httpx.AsyncClient, entra: EntraEmulator, graph: GraphEmulator
) -> None:
    """A refresh without the claims, or with those of an earlier challenge, brings a token that is challenged again."""
    got = await tokens(browser, entra)
    earlier = await challenge(browser, graph)
    claims = await challenge(browser, graph)
    assert claims != earlier

    async def status_with(asked: str) -> int:
        refreshed = (await refresh(browser, got["refresh_token"], claims=asked)).json()
        return (await me(browser, graph, refreshed["access_token"])).status_code

    assert await status_with(CAPABLE) == 401
    assert await status_with(with_capability(earlier)) == 401
    assert await status_with(with_capability(claims)) == 200


async def test_who_does_not_understand_challenges_is_never_challenged(
    app: Msal, browser: httpx.AsyncClient, entra: EntraEmulator, graph: GraphEmulator
) -> None:
    """A token asked for without CP1 works on, by MSAL and by hand; so does Outlook's."""
    result = await connect(app, browser)
    by_hand = await tokens(browser, entra, claims=None)
    body = {"email": ANN, "scope": "User.Read"}
    outlook = (await browser.post("/_lab/token", json=body)).json()
    await challenge(browser, graph)

    for answer in (result, by_hand, outlook):
        assert (await me(browser, graph, answer["access_token"])).status_code == 200


async def test_a_challenge_that_takes_the_person(
    capable: Msal, browser: httpx.AsyncClient, graph: GraphEmulator
) -> None:
    """The refresh with the claims is refused with the same claims; a sign-in without them does not help, one with them does."""
    first = await connect(capable, browser)
    await challenge(browser, graph, interactive=True)
    claims = asked_for(await me(browser, graph, first["access_token"]))
    refused = await asyncio.to_thread(capable.silent, claims=claims)
    without = await connect(capable, browser)

    assert (refused["error"], refused["error_codes"]) == ("interaction_required", [50078])
    assert (refused["suberror"], refused["claims"]) == ("basic_action", claims)
    assert asked_for(await me(browser, graph, without["access_token"])) == claims
    signed_in = await connect(capable, browser, claims_challenge=claims)
    later = await asyncio.to_thread(capable.silent, force_refresh=True)
    assert (await me(browser, graph, signed_in["access_token"])).status_code == 200
    assert (await me(browser, graph, later["access_token"])).status_code == 200


async def test_the_claims_must_be_in_the_authorize_request(
    browser: httpx.AsyncClient, entra: EntraEmulator, graph: GraphEmulator
) -> None:
    """Where the person is wanted, claims in the redemption alone are not enough; where not, they are."""
    for interactive, status in ((True, 401), (False, 200)):
        claims = await challenge(browser, graph, interactive=interactive)
        got = await tokens(browser, entra, claims=with_capability(claims))

        assert (await me(browser, graph, got["access_token"])).status_code == status


async def test_claims_in_the_authorize_request_are_enough(
    browser: httpx.AsyncClient, entra: EntraEmulator, graph: GraphEmulator
) -> None:
    """A sign-in that carried them answers, whatever the redemption asks beside CP1."""
    claims = await challenge(browser, graph, interactive=True)
    code = (await sign_in(browser, entra.url + authorize_path(claims=claims)))["code"]
    got = (await redeem(browser, code, claims=CAPABLE)).json()

    assert (await me(browser, graph, got["access_token"])).status_code == 200


@pytest.mark.parametrize("ended_by", ["healthy again", "reset of Graph"])
async def test_the_end_of_a_challenge(
    browser: httpx.AsyncClient, entra: EntraEmulator, graph: GraphEmulator, ended_by: str
) -> None:
    """A challenge outlives the beginning of a trouble, and ends for all tokens with the person's health or Graph's reset."""
    token = (await tokens(browser, entra))["access_token"]
    await challenge(browser, graph)
    await browser.post("/_lab/trouble", json={"email": ANN, "kind": "revoked"})
    assert (await me(browser, graph, token)).status_code == 401
    if ended_by == "healthy again":
        await browser.post("/_lab/trouble", json={"email": ANN, "kind": "none"})
    else:
        await browser.post(f"{graph.url}/_lab/reset")

    assert (await me(browser, graph, token)).status_code == 200


async def test_long_life(
    capable: Msal,
    browser: httpx.AsyncClient,
    entra: EntraEmulator,
    graph: GraphEmulator,
    clock: Clock,
    directory: Directory,
) -> None:
    """Switched on, CAE tokens live 28 hours and say when to refresh them; tokens without CP1 live an hour as ever."""
    assert (await connect(capable, browser))["expires_in"] == 3599
    await browser.post("/_lab/switches", json={"long_cae_tokens": True})
    raw, plain = await tokens(browser, entra), await tokens(browser, entra, claims=None)
    through_msal = await asyncio.to_thread(capable.silent, force_refresh=True)

    assert (raw["expires_in"], raw["refresh_in"]) == (100_800, 50_400)
    assert (plain["expires_in"], plain.get("refresh_in")) == (3599, None)
    assert through_msal["expires_in"] == 100_800
    clock.advance(100_000)
    assert (await me(browser, graph, raw["access_token"])).status_code == 200
    assert (await me(browser, graph, plain["access_token"])).status_code == 401
    assert "www-authenticate" not in (await me(browser, graph, plain["access_token"])).headers
    token = directory.token(raw["access_token"])
    assert token is not None
    assert (token.client_id, token.cae) == (CLIENT_ID, True)


@pytest.mark.parametrize(
    ("body", "status"),
    [({"email": "z@z.example"}, 404), ({"email": ANN, "interactive": 1}, 400), ({}, 400)],
)
async def test_wrong_use(browser: httpx.AsyncClient, graph: GraphEmulator, body: dict[str, Any], status: int) -> None:
    """A challenge of nobody, or one that is not understood, is refused with a reason."""
    answer = await browser.post(f"{graph.url}/_lab/cae-challenge", json=body)

    assert answer.status_code == status
    assert answer.json()["error"]
