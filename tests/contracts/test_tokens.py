"""The promises of stored sign-ins, on the fake and on sealed blobs with MSAL at the Entra ID emulator."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import ExitStack

import pytest

from sync.domain.errors import ReconnectNeeded
from tests.contracts.entra_stages import emulated
from tests.contracts.stores import AzureStores
from tests.contracts.token_stages import FakeTokenStage, SealedTokenStage, TokenStage, mailbox_of

#: As Graph asks for a token that is newer than a revocation.
CLAIMS = '{"access_token": {"nbf": {"essential": true, "value": "1726258122"}}}'


@pytest.fixture(params=["fake", "sealed"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[TokenStage]:
    if request.param == "fake":
        yield FakeTokenStage()
        return
    stores = AzureStores(request.getfixturevalue("azurite").connection_string)
    async with emulated() as entra:
        with ExitStack() as workers:
            mailbox = mailbox_of((await entra.granted()).home_account_id)
            yield SealedTokenStage(entra, stores.container("tokens"), workers, mailbox)
    await stores.close()


async def refused(asked: Awaitable[str]) -> ReconnectNeeded:
    with pytest.raises(ReconnectNeeded) as refusal:
        await asked
    return refusal.value


async def test_a_kept_sign_in_gives_tokens_until_it_is_destroyed(stage: TokenStage) -> None:
    """The same token while it is good; none before, none after; to destroy what is not there is no error."""
    tokens, connection = stage.tokens(), stage.connection()
    await tokens.destroy(connection)
    await refused(tokens.access_token(connection))
    await tokens.keep(connection, await stage.new_sign_in())
    token = await tokens.access_token(connection)
    assert token
    assert await tokens.access_token(connection) == token
    for _ in range(2):
        await tokens.destroy(connection)
        await refused(tokens.access_token(connection))


async def test_calls_at_once_get_one_token(stage: TokenStage) -> None:
    """The first one, and its successor where Graph refused that to all of them."""
    tokens, connection = stage.tokens(), stage.connection()
    await tokens.keep(connection, await stage.new_sign_in())
    first = await asyncio.gather(*(tokens.access_token(connection) for _ in range(20)))
    assert len(set(first)) == 1
    second = await asyncio.gather(*(tokens.access_token(connection, refused=first[0]) for _ in range(20)))
    assert len(set(second)) == 1
    assert second[0] != first[0]


async def test_a_token_that_graph_refused_is_replaced(stage: TokenStage) -> None:
    """Another one, from then on for everybody, also in another process."""
    tokens, connection = stage.tokens(), stage.connection()
    await tokens.keep(connection, await stage.new_sign_in())
    first = await tokens.access_token(connection)
    second = await tokens.access_token(connection, refused=first)
    assert second != first
    assert await tokens.access_token(connection) == second
    assert await tokens.access_token(connection, refused=first) == second
    assert await stage.tokens().access_token(connection, refused=first) == second


async def test_a_token_brings_the_claims_that_graph_asked_for(stage: TokenStage) -> None:
    """One got before does not do, whoever got it; the one that was asked for with them does, for everybody."""
    tokens, connection = stage.tokens(), stage.connection()
    await tokens.keep(connection, await stage.new_sign_in())
    first = await tokens.access_token(connection)
    second = await tokens.access_token(connection, refused=first)
    third = await tokens.access_token(connection, refused=first, claims=CLAIMS)
    assert third not in (first, second)
    assert await tokens.access_token(connection, refused=first, claims=CLAIMS) == third
    assert await tokens.access_token(connection) == third
    assert await stage.tokens().access_token(connection, refused=first, claims=CLAIMS) == third
    assert await tokens.access_token(connection, refused=third, claims=CLAIMS) != third


async def test_a_sign_in_that_microsoft_no_longer_accepts_needs_a_new_one(stage: TokenStage) -> None:
    """It is said why; and the new one works, without meeting a token of the old, in another process too."""
    tokens, another, connection = stage.tokens(), stage.tokens(), stage.connection()
    await tokens.keep(connection, await stage.new_sign_in())
    old = await tokens.access_token(connection)
    assert await another.access_token(connection) == old
    await stage.revoke()
    refusal = await refused(tokens.access_token(connection, refused=old))
    assert (refusal.reason, refusal.claims) == ("sign_in_expired", "")
    signed_in_again = stage.connection(sign_ins=2)
    await tokens.keep(signed_in_again, await stage.new_sign_in())
    new = await tokens.access_token(signed_in_again)
    assert new != old
    assert await another.access_token(signed_in_again) == new


async def test_a_refusal_says_what_the_next_sign_in_has_to_bring(stage: TokenStage) -> None:
    """With those claims the new one works."""
    tokens, connection = stage.tokens(), stage.connection()
    await tokens.keep(connection, await stage.new_sign_in())
    old = await tokens.access_token(connection)
    await stage.want_sign_in_with(CLAIMS)
    refusal = await refused(tokens.access_token(connection, refused=old, claims=CLAIMS))
    assert (refusal.reason, refusal.claims) == ("verification_required", CLAIMS)
    await tokens.keep(connection, await stage.new_sign_in())
    assert await tokens.access_token(connection, claims=CLAIMS) != old


async def test_connections_do_not_share_sign_ins(stage: TokenStage) -> None:
    """Even of one mailbox: destroying one's leaves the other's."""
    tokens, one, two = stage.tokens(), stage.connection("con_1"), stage.connection("con_2")
    await tokens.keep(one, await stage.new_sign_in())
    await refused(tokens.access_token(two))
    await tokens.keep(two, await stage.new_sign_in())
    await tokens.destroy(one)
    assert await tokens.access_token(two)


async def test_stored_sign_ins_are_sealed_anew_with_the_newest_key(stage: TokenStage) -> None:
    """When asked; nothing else changes, and twice does no harm. Where there is none there is nothing to do."""
    connection = stage.connection()
    await stage.tokens().reseal(connection)
    await stage.tokens().keep(connection, await stage.new_sign_in())
    token = await stage.tokens().access_token(connection)
    stage.rotate_keys()
    assert not await stage.sealed_with_newest(connection)
    for _ in range(2):
        await stage.tokens().reseal(connection)
        assert await stage.sealed_with_newest(connection)
    assert await stage.tokens().access_token(connection) == token
    await stage.tokens().destroy(connection)
    await stage.tokens().reseal(connection)
    await refused(stage.tokens().access_token(connection))


async def test_whatever_is_written_is_sealed_with_the_newest_key(stage: TokenStage) -> None:
    """A refresh does what re-sealing would have done."""
    connection = stage.connection()
    await stage.tokens().keep(connection, await stage.new_sign_in())
    token = await stage.tokens().access_token(connection)
    stage.rotate_keys()
    assert await stage.tokens().access_token(connection, refused=token) != token
    assert await stage.sealed_with_newest(connection)
