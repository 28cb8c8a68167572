"""The promises of Microsoft's sign-in, on the fake and on MSAL at the Entra ID emulator."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal, Protocol
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest

from sync.adapters.entra import MsalEntra
from sync.domain.errors import Declined, OperatorAlarm, ReconnectNeeded, SyncError, Unclear
from sync.domain.sign_in import refused_because
from sync.flows.connect import REQUIRED_SCOPES
from sync.flows.ports import Entra
from tests.cloud.clock import Clock
from tests.cloud.directory import Directory
from tests.cloud.entra import EntraEmulator
from tests.fakes.entra import FakeEntra
from tests.fakes.faults import Faults
from tests.fakes.people import People

DANA, CAS = "dana@crm.example", "cas@northwind.example"
CALLBACK = "https://app.example/oauth/callback"


class EntraStage(Protocol):
    """The port, and people at Microsoft's pages."""

    entra: Entra

    async def signed_in(
        self, url: str, email: str, decision: Literal["accept", "decline"] = "accept"
    ) -> dict[str, str]:
        """What the redirect brings back once this person has decided at this address."""


class FakeStage:
    """The fake. Cas needs an administrator."""

    def __init__(self) -> None:
        people = People()
        people.add(DANA, "Dana Doe")
        people.add(CAS, "Cas Vos").admin_consent_required = True
        self._fake = FakeEntra(people, Faults())
        self.entra: Entra = self._fake

    async def signed_in(
        self, url: str, email: str, decision: Literal["accept", "decline"] = "accept"
    ) -> dict[str, str]:
        return self._fake.sign_in(url, email, decision)


class EmulatedStage:
    """MSAL at the emulator."""

    def __init__(self, emulator: EntraEmulator, http: httpx.AsyncClient, entra: MsalEntra) -> None:
        self._emulator = emulator
        self._http = http
        self.msal = entra
        self.entra: Entra = entra

    async def signed_in(
        self, url: str, email: str, decision: Literal["accept", "decline"] = "accept"
    ) -> dict[str, str]:
        clicked = await self.lab("/sign-in", {"authorize_url": url, "email": email, "decision": decision})
        return dict(parse_qsl(urlsplit(clicked["redirect_url"]).query))

    async def lab(self, path: str, body: dict[str, Any]) -> Any:
        """A control of the emulator."""
        answer = await self._http.post(f"{self._emulator.url}/_lab{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def another_process(self) -> MsalEntra:
        """The same app in another process; close it after use."""
        return MsalEntra(f"{self._emulator.url}/organizations", "client", "client secret", CALLBACK)

    async def token_calls_fail(self, error: str, number: int, **more: Any) -> None:
        """The next call of the token endpoint fails so."""
        await self.lab("/token-error", {"error": error, "error_codes": [number], "times": 1, **more})


@asynccontextmanager
async def emulated() -> AsyncIterator[EmulatedStage]:
    """A running emulator with Dana and Cas."""
    clock = Clock()
    directory = Directory(clock)
    directory.add(DANA, "Dana Doe")
    directory.add(CAS, "Cas Vos", admin_consent_required=True)
    emulator = EntraEmulator(directory, clock)
    emulator.register_app("client", "client secret", [CALLBACK])
    await emulator.start()
    entra = MsalEntra(f"{emulator.url}/organizations", "client", "client secret", CALLBACK)
    try:
        async with httpx.AsyncClient() as http:
            yield EmulatedStage(emulator, http, entra)
    finally:
        entra.close()
        await emulator.stop()


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


async def redeemed(msal: EmulatedStage) -> tuple[str, str]:
    """Cache and account of a fresh sign-in."""
    url, flow = await msal.entra.begin(state="abc.state", login_hint="")
    grant = await msal.entra.redeem(flow, await msal.signed_in(url, DANA))
    return grant.token_cache, grant.home_account_id


async def test_a_fresh_cache_gives_its_token_without_asking(msal: EmulatedStage) -> None:
    """And nothing to store anew."""
    cache, account = await redeemed(msal)
    first, life_s, _ = await msal.msal.refresh(cache, account, force=False)
    second, _, changed = await msal.msal.refresh(cache, account, force=False)
    assert first == second
    assert 0 < life_s <= 3600
    assert changed is None


async def test_a_forced_refresh_gives_another_token_and_a_cache_to_keep(msal: EmulatedStage) -> None:
    """The rotated refresh token is in it: the next refresh works from there."""
    cache, account = await redeemed(msal)
    first, _, _ = await msal.msal.refresh(cache, account, force=False)
    second, _, changed = await msal.msal.refresh(cache, account, force=True)
    assert second != first
    assert changed is not None
    third, _, _ = await msal.msal.refresh(changed, account, force=True)
    assert third not in (first, second)


@pytest.mark.parametrize("account", ["", "someone.else"])
async def test_a_cache_without_that_account_needs_a_new_sign_in(msal: EmulatedStage, account: str) -> None:
    """Never another account's token."""
    cache, _ = await redeemed(msal)
    with pytest.raises(ReconnectNeeded):
        await msal.msal.refresh(cache, account, force=True)


async def test_a_revoked_sign_in_needs_a_new_one(msal: EmulatedStage) -> None:
    """With the number of Microsoft's reason for diagnosis."""
    cache, account = await redeemed(msal)
    await msal.lab("/revoke", {"email": DANA})
    with pytest.raises(ReconnectNeeded) as refused:
        await msal.msal.refresh(cache, account, force=True)
    assert "AADSTS50173" in refused.value.cause


REFUSALS: list[tuple[str, int, type[SyncError], type[SyncError]]] = [
    ("invalid_grant", 70000, Declined, ReconnectNeeded),
    ("interaction_required", 50076, Declined, ReconnectNeeded),
    ("consent_required", 65001, Declined, ReconnectNeeded),
    ("invalid_client", 7000222, OperatorAlarm, OperatorAlarm),
    ("unauthorized_client", 700016, OperatorAlarm, OperatorAlarm),
    ("invalid_scope", 70011, OperatorAlarm, OperatorAlarm),
    ("temporarily_unavailable", 90033, Unclear, Unclear),
    ("server_error", 90036, Unclear, Unclear),
]


@pytest.mark.parametrize(("error", "number", "signing_in", "refreshing"), REFUSALS, ids=[r[0] for r in REFUSALS])
async def test_each_refusal_says_who_has_to_do_something(
    msal: EmulatedStage, error: str, number: int, signing_in: type[SyncError], refreshing: type[SyncError]
) -> None:
    """The user, the operator, or nobody but time."""
    cache, account = await redeemed(msal)
    await msal.token_calls_fail(error, number)
    with pytest.raises(refreshing):
        await msal.msal.refresh(cache, account, force=True)
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
        await msal.msal.refresh(cache, account, force=True)
    another = msal.another_process()
    try:
        assert (await another.refresh(cache, account, force=True))[0]
    finally:
        another.close()


async def test_nobody_there_is_unclear() -> None:
    """A sign-in that can't be asked is no refusal."""
    entra = MsalEntra("http://127.0.0.1:9/organizations", "client", "client secret", CALLBACK)
    try:
        with pytest.raises(Unclear):
            await entra.begin(state="abc.state", login_hint="")
    finally:
        entra.close()
