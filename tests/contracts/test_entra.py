"""The promises of Microsoft's sign-in, on the fake and on MSAL at the Entra ID emulator."""

import json
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web

from sync.adapters.entra import MsalEntra
from sync.domain.errors import Declined, OperatorAlarm, ReconnectNeeded, SyncError, Unclear
from sync.domain.sign_in import refused_because
from sync.flows.connect import REQUIRED_SCOPES
from tests.cloud.server import Server
from tests.contracts.entra_stages import (
    CALLBACK,
    CAS,
    CLIENT_ID,
    CLIENT_SECRET,
    DANA,
    EmulatedStage,
    EntraStage,
    FakeStage,
    emulated,
)

#: As Graph asks for a token that is newer than a revocation.
CLAIMS = '{"access_token": {"nbf": {"essential": true, "value": "1726258122"}}}'


@pytest.fixture(params=["fake", "msal"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[EntraStage]:
    if request.param == "fake":
        yield FakeStage()
        return
    async with emulated() as stage:
        yield stage


@pytest.fixture
async def msal() -> AsyncIterator[EmulatedStage]:
    async with emulated() as stage:
        yield stage


async def test_a_sign_in_ends_in_a_grant(stage: EntraStage) -> None:
    """Who it is, by ids that never change; all scopes that the sync needs; a token, and a cache to keep."""
    url, flow = await stage.entra.begin(state="abc.state", login_hint=DANA)
    assert parse_qs(urlsplit(url).query)["state"] == ["abc.state"]
    assert parse_qs(urlsplit(url).query)["login_hint"] == [DANA]
    assert json.loads(flow)["state"] == "abc.state"
    answer = await stage.signed_in(url, DANA)
    assert answer["state"] == "abc.state"
    grant = await stage.entra.redeem(flow, answer)
    assert (grant.user_name, grant.display_name) == (DANA, "Dana Doe")
    assert grant.tenant_id
    assert grant.object_id
    assert grant.home_account_id
    assert grant.scopes >= REQUIRED_SCOPES
    assert grant.access_token
    assert grant.token_cache


async def test_the_same_person_has_the_same_ids_each_time(stage: EntraStage) -> None:
    """And each sign-in has a cache of its own."""
    grants = []
    for state in ("one.x", "two.x"):
        url, flow = await stage.entra.begin(state=state, login_hint="")
        grants.append(await stage.entra.redeem(flow, await stage.signed_in(url, DANA)))
    first, second = grants
    assert (first.tenant_id, first.object_id) == (second.tenant_id, second.object_id)
    assert first.token_cache != second.token_cache


async def test_a_code_is_good_once(stage: EntraStage) -> None:
    """The second time it is refused."""
    url, flow = await stage.entra.begin(state="abc.state", login_hint="")
    answer = await stage.signed_in(url, DANA)
    await stage.entra.redeem(flow, answer)
    with pytest.raises(Declined):
        await stage.entra.redeem(flow, answer)


async def test_a_code_of_another_sign_in_is_refused(stage: EntraStage) -> None:
    """With its own state or with ours put in its place: the flow knows what it asked for."""
    _, ours = await stage.entra.begin(state="ours.x", login_hint="")
    url, _ = await stage.entra.begin(state="theirs.x", login_hint="")
    theirs = await stage.signed_in(url, DANA)
    with pytest.raises(Declined):
        await stage.entra.redeem(ours, theirs)
    with pytest.raises(Declined):
        await stage.entra.redeem(ours, {**theirs, "state": "ours.x"})


@pytest.mark.parametrize("answer", [{}, {"code": "x"}, {"code": "forged", "state": "abc.state"}])
async def test_a_forged_answer_is_refused(stage: EntraStage, answer: dict[str, str]) -> None:
    """Whatever is missing or made up."""
    _, flow = await stage.entra.begin(state="abc.state", login_hint="")
    with pytest.raises(Declined):
        await stage.entra.redeem(flow, answer)


async def test_why_there_is_no_code_can_be_read_from_the_answer(stage: EntraStage) -> None:
    """Declined, or an administrator is needed; and the CRM gets a page for that one."""
    url, _ = await stage.entra.begin(state="abc.state", login_hint="")
    assert refused_because(await stage.signed_in(url, DANA, "decline")) == "declined"
    url, _ = await stage.entra.begin(state="abc.state", login_hint="")
    assert refused_because(await stage.signed_in(url, CAS)) == "admin_consent_required"
    assert parse_qs(urlsplit(stage.entra.admin_consent_url("abc")).query)["state"] == ["abc"]


async def test_what_microsoft_wanted_is_asked_for_at_the_next_sign_in(stage: EntraStage) -> None:
    """The claims of its refusal are in the address; without any, nothing that is not asked of everybody."""
    url, _ = await stage.entra.begin(state="abc.state", login_hint="", claims=CLAIMS)
    asked = json.loads(parse_qs(urlsplit(url).query)["claims"][0])["access_token"]
    assert asked.items() >= json.loads(CLAIMS)["access_token"].items()
    url, _ = await stage.entra.begin(state="abc.state", login_hint="")
    assert "nbf" not in parse_qs(urlsplit(url).query).get("claims", ["{}"])[0]


async def redeemed(msal: EmulatedStage) -> tuple[str, str]:
    """Cache and account of a fresh sign-in."""
    grant = await msal.granted()
    return grant.token_cache, grant.home_account_id


async def test_every_token_is_asked_for_as_by_an_app_that_can_be_challenged(msal: EmulatedStage) -> None:
    """At the page, with the code and with a refresh token; and the claims of a sign-in go along with its code."""
    grant = await msal.granted(claims=CLAIMS)
    await msal.msal.refresh(grant.token_cache, grant.home_account_id)
    await msal.msal.refresh(grant.token_cache, grant.home_account_id, claims=CLAIMS)
    calls = [json.loads(call.form["claims"]) for call in msal.emulator.requests if call.is_token_call]
    wanted = json.loads(CLAIMS)["access_token"]
    capable = {"xms_cc": {"values": ["CP1"]}}
    assert [call["access_token"] for call in calls] == [wanted | capable, capable, wanted | capable]


async def test_a_cache_gives_its_token_without_asking_anybody(msal: EmulatedStage) -> None:
    """That of the sign-in first, then that of the last refresh alone, however it was asked for and answered."""
    grant = await msal.granted()
    cache, account = grant.token_cache, grant.home_account_id
    calls = len(msal.emulator.requests)
    found = msal.msal.cached(cache, account)
    assert found is not None
    assert found[0] == grant.access_token
    assert 3500 < found[1] <= 3600
    assert len(msal.emulator.requests) == calls
    msal.emulator.switches.scopes_as_uri = True
    for claims in ("", CLAIMS, ""):
        token, life_s, cache = await msal.msal.refresh(cache, account, claims=claims)
        found = msal.msal.cached(cache, account)
        assert found is not None
        assert found[0] == token
        assert found[1] == pytest.approx(life_s, abs=5)


async def test_a_cached_token_is_given_for_the_claims_it_was_asked_for_with(msal: EmulatedStage) -> None:
    """Neither one from before, nor one from after that was asked for without, nor one with others."""
    cache, account = await redeemed(msal)
    assert msal.msal.cached(cache, account, claims=CLAIMS) is None
    token, _, asked_with = await msal.msal.refresh(cache, account, claims=CLAIMS)
    found = msal.msal.cached(asked_with, account, claims=CLAIMS)
    assert found is not None
    assert found[0] == token
    assert msal.msal.cached(asked_with, account, claims=CLAIMS.replace("1726258122", "1726258123")) is None
    _, _, asked_without = await msal.msal.refresh(asked_with, account)
    assert msal.msal.cached(asked_without, account, claims=CLAIMS) is None


async def test_each_refresh_gives_another_token_and_a_cache_to_keep(msal: EmulatedStage) -> None:
    """The rotated refresh token is in it: the next refresh works from there, also where the one before is dead."""
    msal.emulator.switches.strict_rotation = True
    cache, account = await redeemed(msal)
    tokens = set()
    for _ in range(3):
        token, life_s, cache = await msal.msal.refresh(cache, account)
        assert 0 < life_s <= 3600
        tokens.add(token)
    assert len(tokens) == 3


@pytest.mark.parametrize("account", ["", "someone.else"])
async def test_a_cache_without_that_account_needs_a_new_sign_in(msal: EmulatedStage, account: str) -> None:
    """Never another account's token."""
    cache, _ = await redeemed(msal)
    assert msal.msal.cached(cache, account) is None
    with pytest.raises(ReconnectNeeded):
        await msal.msal.refresh(cache, account)


async def test_a_revoked_sign_in_needs_a_new_one(msal: EmulatedStage) -> None:
    """With the number of Microsoft's reason for diagnosis, and what it means to people."""
    cache, account = await redeemed(msal)
    await msal.lab("/revoke", {"email": DANA})
    with pytest.raises(ReconnectNeeded) as refused:
        await msal.msal.refresh(cache, account)
    assert "AADSTS50173" in refused.value.cause
    assert refused.value.reason == "sign_in_expired"


async def test_a_refusal_says_what_the_next_sign_in_has_to_bring(msal: EmulatedStage) -> None:
    """The claims Microsoft names; where it names none, those that the token was asked for with."""
    cache, account = await redeemed(msal)
    others = '{"access_token": {"capolids": {"essential": true, "values": ["1"]}}}'
    await msal.token_calls_fail("interaction_required", 50076, suberror="basic_action", claims=others)
    with pytest.raises(ReconnectNeeded) as refused:
        await msal.msal.refresh(cache, account, claims=CLAIMS)
    assert (refused.value.reason, refused.value.claims) == ("verification_required", others)
    cache, account = await redeemed(msal)
    await msal.token_calls_fail("invalid_grant", 50078)
    with pytest.raises(ReconnectNeeded) as refused:
        await msal.msal.refresh(cache, account, claims=CLAIMS)
    assert refused.value.claims == CLAIMS


REFUSALS: list[tuple[str, int, type[SyncError], type[SyncError]]] = [
    ("invalid_grant", 70000, Declined, ReconnectNeeded),
    ("interaction_required", 50076, Declined, ReconnectNeeded),
    ("consent_required", 65001, Declined, ReconnectNeeded),
    ("invalid_client", 7000222, OperatorAlarm, OperatorAlarm),
    ("invalid_grant", 7000112, OperatorAlarm, OperatorAlarm),
    ("invalid_grant", 90033, Unclear, Unclear),
    ("unauthorized_client", 700016, OperatorAlarm, OperatorAlarm),
    ("invalid_scope", 70011, OperatorAlarm, OperatorAlarm),
    ("temporarily_unavailable", 90033, Unclear, Unclear),
    ("server_error", 90036, Unclear, Unclear),
]


@pytest.mark.parametrize(
    ("error", "number", "signing_in", "refreshing"), REFUSALS, ids=[f"{r[0]}-{r[1]}" for r in REFUSALS]
)
async def test_each_refusal_says_who_has_to_do_something(
    msal: EmulatedStage, error: str, number: int, signing_in: type[SyncError], refreshing: type[SyncError]
) -> None:
    """The user, the operator, or nobody but time."""
    cache, account = await redeemed(msal)
    await msal.token_calls_fail(error, number)
    with pytest.raises(refreshing):
        await msal.msal.refresh(cache, account)
    url, flow = await msal.entra.begin(state="abc.state", login_hint="")
    answer = await msal.signed_in(url, DANA)
    await msal.token_calls_fail(error, number)
    with pytest.raises(signing_in):
        await msal.entra.redeem(flow, answer)


@pytest.mark.parametrize("status", [500, 503])
async def test_a_token_endpoint_in_trouble_is_unclear(msal: EmulatedStage, status: int) -> None:
    """And the sign-in is still good afterwards. MSAL itself waits a while, so another process asks."""
    cache, account = await redeemed(msal)
    await msal.token_calls_fail("server_error", 90036, status=status)
    with pytest.raises(Unclear):
        await msal.msal.refresh(cache, account)
    with closing(msal.another_process()) as another:
        assert (await another.refresh(cache, account))[0]


async def test_a_wrong_secret_is_the_operators_and_the_right_one_works_at_once(msal: EmulatedStage) -> None:
    """No user is asked to sign in, and none has to once the app was started anew with the right secret."""
    cache, account = await redeemed(msal)
    with closing(msal.another_process("of last year")) as before:
        for _ in range(2):
            with pytest.raises(OperatorAlarm, match="AADSTS7000215"):
                await before.refresh(cache, account)
    with closing(msal.another_process()) as after:
        assert (await after.refresh(cache, account))[0]


async def test_nobody_there_is_unclear() -> None:
    """A sign-in that can't be asked is no refusal."""
    entra = MsalEntra("http://127.0.0.1:9/organizations", "client", "client secret", CALLBACK)
    with closing(entra), pytest.raises(Unclear):
        await entra.begin(state="abc.state", login_hint="")


async def test_an_address_without_a_sign_in_is_the_operators(msal: EmulatedStage) -> None:
    """Whatever is asked for there."""
    grant = await msal.granted()
    url, flow = await msal.msal.begin(state="abc.state", login_hint="")
    answer = await msal.signed_in(url, DANA)
    with closing(msal.another_process(root=f"{msal.emulator.url}/nowhere")) as lost:
        for asked in (
            lost.begin(state="abc.state", login_hint=""),
            lost.redeem(flow, answer),
            lost.refresh(grant.token_cache, grant.home_account_id),
        ):
            with pytest.raises(OperatorAlarm, match="ENTRA_AUTHORITY"):
                await asked


async def test_an_answer_that_is_not_microsofts_is_unclear(msal: EmulatedStage) -> None:
    """A page of some proxy on the way says nothing about the sign-in."""
    application = web.Application()
    proxy = Server(application, 0)

    async def endpoints(_: web.Request) -> web.Response:
        return web.json_response(
            {"authorization_endpoint": f"{proxy.url}/organizations/a", "token_endpoint": f"{proxy.url}/organizations/t"}
        )

    async def page(_: web.Request) -> web.Response:
        return web.Response(status=403, text="<html>Blocked</html>", content_type="text/html")

    application.router.add_get("/organizations/v2.0/.well-known/openid-configuration", endpoints)
    application.router.add_post("/organizations/t", page)
    grant = await msal.granted()
    url, flow = await msal.msal.begin(state="abc.state", login_hint="")
    answer = await msal.signed_in(url, DANA)
    await proxy.start()
    try:
        with closing(msal.another_process(root=proxy.url)) as behind:
            for asked in (behind.refresh(grant.token_cache, grant.home_account_id), behind.redeem(flow, answer)):
                with pytest.raises(Unclear):
                    await asked
    finally:
        await proxy.stop()


async def test_the_credential_can_be_tried_once_an_organisation_is_known(stage: EntraStage) -> None:
    """Before, nobody can say; afterwards Microsoft gives the app a token of its own."""
    assert await stage.entra.try_credential(None) is False
    url, flow = await stage.entra.begin(state="abc.state", login_hint=DANA)
    grant = await stage.entra.redeem(flow, await stage.signed_in(url, DANA))
    assert await stage.entra.try_credential(grant.tenant_id) is True


@pytest.mark.parametrize("state", ["wrong", "expired"])
async def test_a_credential_that_is_refused_is_the_operators(
    msal: EmulatedStage, state: Literal["wrong", "expired"]
) -> None:
    """At once, and at once no more when it has been put right: no refusal is answered from a cache."""
    tenant = (await msal.granted()).tenant_id
    await msal.lab("/client-secret", {"state": state})
    for _ in range(2):
        with pytest.raises(OperatorAlarm, match="invalid_client"):
            await msal.entra.try_credential(tenant)
    await msal.lab("/client-secret", {"state": "good"})
    assert await msal.entra.try_credential(tenant) is True


async def test_an_authority_of_one_organisation_is_asked_there(msal: EmulatedStage) -> None:
    """Nobody has to have connected before."""
    authority = f"{msal.emulator.url}/{(await msal.granted()).tenant_id}"
    with closing(MsalEntra(authority, CLIENT_ID, CLIENT_SECRET, CALLBACK)) as entra:
        assert await entra.try_credential(None) is True
    with (
        closing(MsalEntra(authority, CLIENT_ID, "other", CALLBACK)) as entra,
        pytest.raises(OperatorAlarm, match="7000215"),
    ):
        await entra.try_credential(None)


@pytest.mark.parametrize(("principal", "trusted"), [("principal-1", True), ("principal-2", False)])
async def test_a_managed_identity_knows_its_organisation(msal: EmulatedStage, principal: str, trusted: bool) -> None:
    """So that a deployment without a secret is tried before anybody has connected."""
    msal.emulator.register_app(CLIENT_ID, CLIENT_SECRET, [CALLBACK], managed_identity="principal-1")
    credential = {"client_assertion": lambda: msal.emulator.managed_identity_token(principal)}
    with closing(MsalEntra(f"{msal.emulator.url}/organizations", CLIENT_ID, credential, CALLBACK)) as entra:
        if trusted:
            assert await entra.try_credential(None) is True
        else:
            with pytest.raises(OperatorAlarm, match="AADSTS"):
                await entra.try_credential(None)
