"""The promises of stored sign-ins, on the fake and on sealed blobs; and what happens when processes refresh at once."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from sync.adapters.blobs import Container
from sync.adapters.sealing import AesGcmSealing
from sync.adapters.tokens import LIFE_LEFT, SealedTokens
from sync.domain.connection import Connection
from sync.domain.errors import ReconnectNeeded
from sync.flows.ports import Tokens
from tests.cloud.azurite import Azurite
from tests.contracts.stores import AzureStores
from tests.contracts.values import connection
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Faults
from tests.fakes.people import People
from tests.fakes.tokens import FakeTokens

LIFE = timedelta(hours=1)


class RotatingRefresh:
    """
    A token endpoint that gives a new refresh token at each use, and counts. A token cache is `{"refresh": number, …}`.

    `accepts`: whether Microsoft still takes a cache. A cached access token is handed out again unless `force` is asked.
    """

    def __init__(self, clock: FakeClock, accepts: Callable[[str], bool]) -> None:
        self._clock = clock
        self._accepts = accepts
        self.refreshes = 0

    async def refresh(self, token_cache: str, home_account_id: str, *, force: bool) -> tuple[str, float, str | None]:
        """Token, life in seconds, and the cache where it changed."""
        cache = json.loads(token_cache)
        await asyncio.sleep(0.01)  # a round trip, so that others get a turn
        if not self._accepts(cache["sign_in"]):
            raise ReconnectNeeded(cause="invalid_grant")
        left = cache.get("expires", 0) - self._clock().timestamp()
        if not force and left > LIFE_LEFT.total_seconds():
            return cache["token"], left, None
        self.refreshes += 1
        number = cache.get("refresh", 0) + 1
        expires = self._clock().timestamp() + LIFE.total_seconds()
        newer = {**cache, "refresh": number, "token": f"token {self.refreshes}", "expires": expires}
        return newer["token"], LIFE.total_seconds(), json.dumps(newer)


class TokenStage:
    """A store of tokens, and the person whose sign-ins they are."""

    def __init__(self, tokens: Callable[[], Tokens], people: People, clock: FakeClock) -> None:
        self.tokens = tokens
        self.people = people
        self.clock = clock

    def new_sign_in(self) -> str:
        """A token cache as a sign-in gives it."""
        return json.dumps({"sign_in": self.people.signed_in(self.people["dana@crm.example"])})


@pytest.fixture
def people() -> People:
    people = People()
    people.add("dana@crm.example")
    return people


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def azure(azurite: Azurite) -> AsyncIterator[AzureStores]:
    stores = AzureStores(azurite.connection_string)
    yield stores
    await stores.close()


@pytest.fixture
def endpoint(people: People, clock: FakeClock) -> RotatingRefresh:
    return RotatingRefresh(clock, lambda cache: cache in people["dana@crm.example"].sign_ins)


@pytest.fixture
def container(azure: AzureStores) -> Container:
    return azure.container("tokens")


@pytest.fixture
def sealed(container: Container, endpoint: RotatingRefresh, clock: FakeClock) -> Callable[[], SealedTokens]:
    """A new process each time, on one store."""
    return lambda: SealedTokens(endpoint, AesGcmSealing([b"k" * 32]), container, clock)


@pytest.fixture(params=["fake", "sealed"])
def stage(request: pytest.FixtureRequest, people: People, clock: FakeClock) -> TokenStage:
    if request.param == "sealed":
        return TokenStage(request.getfixturevalue("sealed"), people, clock)
    fake = _UnwrappingTokens(people, Faults())
    return TokenStage(lambda: fake, people, clock)


class _UnwrappingTokens(FakeTokens):
    """The fake, on caches as they are written here."""

    async def keep(self, connection: Connection, token_cache: str) -> None:
        await super().keep(connection, json.loads(token_cache)["sign_in"])


async def refused(asked: Awaitable[str]) -> None:
    with pytest.raises(ReconnectNeeded):
        await asked


async def test_a_kept_sign_in_gives_tokens_until_it_is_destroyed(stage: TokenStage) -> None:
    """The same token while it is good; none before, none after; to destroy what is not there is no error."""
    tokens = stage.tokens()
    await tokens.destroy(connection())
    await refused(tokens.access_token(connection()))
    await tokens.keep(connection(), stage.new_sign_in())
    token = await tokens.access_token(connection())
    assert token
    assert await tokens.access_token(connection()) == token
    for _ in range(2):
        await tokens.destroy(connection())
        await refused(tokens.access_token(connection()))


async def test_a_token_that_graph_refused_is_replaced(stage: TokenStage) -> None:
    """Another one, from then on for everybody."""
    tokens = stage.tokens()
    await tokens.keep(connection(), stage.new_sign_in())
    first = await tokens.access_token(connection())
    second = await tokens.access_token(connection(), refused=first)
    assert second != first
    assert await tokens.access_token(connection()) == second
    assert await tokens.access_token(connection(), refused=first) == second


async def test_a_sign_in_that_microsoft_no_longer_accepts_needs_a_new_one(stage: TokenStage) -> None:
    """And the new one works, without meeting a token of the old."""
    tokens = stage.tokens()
    await tokens.keep(connection(), stage.new_sign_in())
    old = await tokens.access_token(connection())
    stage.people.revoke("dana@crm.example")
    await refused(tokens.access_token(connection(), refused=old))
    signed_in_again = replace(connection(), sign_ins=2)
    await tokens.keep(signed_in_again, stage.new_sign_in())
    assert await tokens.access_token(signed_in_again) != old


async def test_connections_do_not_share_sign_ins(stage: TokenStage) -> None:
    """Even of one mailbox: destroying one's leaves the other's."""
    tokens = stage.tokens()
    await tokens.keep(connection("con_1"), stage.new_sign_in())
    await refused(tokens.access_token(connection("con_2")))
    await tokens.keep(connection("con_2"), stage.new_sign_in())
    await tokens.destroy(connection("con_1"))
    assert await tokens.access_token(connection("con_2"))


async def test_many_calls_at_once_in_one_process_refresh_once(
    sealed: Callable[[], SealedTokens], endpoint: RotatingRefresh, people: People
) -> None:
    """The others wait for the one that asks."""
    tokens = sealed()
    await tokens.keep(connection(), new_cache(people))
    answers = await asyncio.gather(*(tokens.access_token(connection()) for _ in range(20)))
    assert len(set(answers)) == 1
    assert endpoint.refreshes == 1


async def test_two_processes_that_refresh_at_once_keep_the_newest(
    sealed: Callable[[], SealedTokens],
    endpoint: RotatingRefresh,
    people: People,
    clock: FakeClock,
    container: Container,
) -> None:
    """At most one refresh each; who comes second takes what the first stored, and nothing newer is overwritten."""
    processes = [sealed(), sealed()]
    await processes[0].keep(connection(), new_cache(people))
    for round_number in range(1, 4):
        before = endpoint.refreshes
        answers = await asyncio.gather(*(processes[i % 2].access_token(connection()) for i in range(20)))
        assert endpoint.refreshes - before <= 2
        assert len(set(answers)) == 1
        stored = await container.get("con_1")
        assert stored is not None
        cache = json.loads(AesGcmSealing([b"k" * 32]).unseal(stored[0].decode(), "acme", "con_1", "token_cache"))
        assert (cache["refresh"], cache["token"]) == (round_number, answers[0])
        clock.advance(LIFE)


async def test_a_token_is_not_used_to_its_last_minute(
    sealed: Callable[[], SealedTokens], endpoint: RotatingRefresh, people: People, clock: FakeClock
) -> None:
    """A request under way must not outlive it; before that it is not asked for again."""
    tokens = sealed()
    await tokens.keep(connection(), new_cache(people))
    first = await tokens.access_token(connection())
    clock.advance(LIFE - LIFE_LEFT - timedelta(seconds=1))
    assert await tokens.access_token(connection()) == first
    clock.advance(timedelta(seconds=1))
    assert await tokens.access_token(connection()) != first
    assert endpoint.refreshes == 2


async def test_what_is_stored_is_sealed_to_its_connection(
    sealed: Callable[[], SealedTokens], people: People, container: Container
) -> None:
    """The blob shows nothing of the sign-in, and moved to another connection it can't be opened."""
    cache = new_cache(people)
    await sealed().keep(connection(), cache)
    stored = await container.get("con_1")
    assert stored is not None
    assert b"sign_in" not in stored[0]
    await container.put("con_2", stored[0])
    with pytest.raises(ValueError, match="another place"):
        await sealed().access_token(connection("con_2"))


async def test_a_destroyed_sign_in_does_not_come_back_with_a_refresh_under_way(
    sealed: Callable[[], SealedTokens], people: People, container: Container
) -> None:
    """A delete while another process refreshes: what that one wanted to store is not stored."""
    first, second = sealed(), sealed()
    await first.keep(connection(), new_cache(people))
    asked = asyncio.ensure_future(second.access_token(connection()))
    await asyncio.sleep(0)
    await first.destroy(connection())
    await asyncio.gather(asked, return_exceptions=True)
    assert await container.get("con_1") is None


def new_cache(people: People) -> str:
    return json.dumps({"sign_in": people.signed_in(people["dana@crm.example"])})
