"""
Many refreshes of one connection at once: none fails, Entra ID is asked once, and the newest sign-in is kept.

Real on both sides: blobs and leases on Azurite, MSAL at the Entra ID emulator.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest

from sync.adapters.tokens import SealedTokens
from tests.cloud.azurite import Azurite
from tests.contracts.entra_stages import emulated
from tests.contracts.stores import AzureStores
from tests.contracts.token_stages import SealedTokenStage, mailbox_of

AT_ONCE = 20
CLAIMS = '{{"access_token": {{"nbf": {{"essential": true, "value": "{}"}}}}}}'

#: How a refresh comes to be needed.
WHY = ("expired", "refused", "challenged")


@pytest.fixture
async def stage(azurite: Azurite) -> AsyncIterator[SealedTokenStage]:
    stores = AzureStores(azurite.connection_string)
    async with emulated() as entra:
        with ExitStack() as workers:
            mailbox = mailbox_of((await entra.granted()).home_account_id)
            yield SealedTokenStage(entra, stores.container("tokens"), workers, mailbox)
    await stores.close()


@pytest.mark.parametrize("strict", [False, True], ids=["old tokens live", "strict rotation"])
@pytest.mark.parametrize("why", WHY)
@pytest.mark.parametrize("workers", [1, AT_ONCE], ids=["one worker", "a worker each"])
async def test_refreshes_at_once_ask_once_and_keep_the_newest(
    stage: SealedTokenStage, workers: int, why: str, strict: bool
) -> None:
    """Round after round, whatever the reason: one token for all of them, and the refresh token that came with it works next."""
    stage.entra.emulator.switches.strict_rotation = strict
    connection = stage.connection()
    at_work = [stage.tokens() for _ in range(workers)]
    signed_in = await stage.new_sign_in()
    await at_work[0].keep(connection, aged(signed_in) if why == "expired" else signed_in)
    token = None if why == "expired" else await at_work[0].access_token(connection)
    for round_number in range(3):
        calls = stage.entra.emulator.token_calls
        claims = CLAIMS.format(round_number) if why == "challenged" else ""
        asked = [at_work[i % workers].access_token(connection, refused=token, claims=claims) for i in range(AT_ONCE)]
        answers = await asyncio.gather(*asked)
        assert len(set(answers)) == 1
        assert answers[0] != token
        assert stage.entra.emulator.token_calls - calls == 1
        token = answers[0]
        assert await stage.tokens().access_token(connection) == token


async def test_a_token_in_storage_costs_no_call(stage: SealedTokenStage) -> None:
    """Neither for a token nor for anything else of Entra ID, however many workers start."""
    connection = stage.connection()
    await stage.tokens().keep(connection, await stage.new_sign_in())
    calls = len(stage.entra.emulator.requests)
    started: list[SealedTokens] = [stage.tokens() for _ in range(AT_ONCE)]
    answers = await asyncio.gather(*(worker.access_token(connection) for worker in started))
    assert len(set(answers)) == 1
    assert len(stage.entra.emulator.requests) == calls


async def test_connections_are_refreshed_side_by_side(stage: SealedTokenStage) -> None:
    """One's refresh is nothing to the other: each asks once."""
    worker = stage.tokens()
    connections = [stage.connection(f"con_{i}") for i in range(5)]
    for connection in connections:
        await worker.keep(connection, aged(await stage.new_sign_in()))
    calls = stage.entra.emulator.token_calls
    answers = await asyncio.gather(*(worker.access_token(connection) for connection in connections for _ in range(4)))
    assert len(set(answers)) == len(connections)
    assert stage.entra.emulator.token_calls - calls == len(connections)


def aged(token_cache: str) -> str:
    """MSAL's cache when its access tokens have expired."""
    cache = json.loads(token_cache)
    for entry in cache["AccessToken"].values():
        entry["expires_on"] = entry["extended_expires_on"] = "1000000000"
    return json.dumps(cache)
