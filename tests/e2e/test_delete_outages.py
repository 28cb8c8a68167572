"""
Delete while Microsoft answers errors, or nothing: it has ended here at once, and there as soon as that can be done.

The app looks again after 30 s, and then less and less often. A test does not wait for that: it sees that another look is
promised, and brings it forward.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from sync.jobs import WatchMailbox
from tests.cloud.polling import eventually
from tests.e2e.account import Account, Connected, Json, unique
from tests.e2e.conversation import answers, at_rest, fault
from tests.e2e.life import (
    deletes,
    in_flight,
    last_told,
    needs_new_token,
    nothing_is_left,
    promised,
    run_now,
    sends_and_receives,
    shown,
    told_types,
)
from tests.e2e.storage import Storage

CLOSE = "DELETE */subscriptions/*"
#: So long, in seconds, a person in front of a CRM may wait for a delete while Microsoft is silent.
PATIENCE_S = 8.0


async def cleaned_up(who: Connected, storage: Storage) -> bool:
    """Whether the tokens are destroyed, which is the last thing; until then the look that is promised for later is due now."""
    job = WatchMailbox(who.connection_id)
    if await storage.tokens_of(who.connection_id) is not None:
        assert await promised(storage, job)
        await run_now(who, job)
    return await storage.tokens_of(who.connection_id) is None


#: How Graph fails to close a subscription.
GRAPH_FAILS: dict[str, Json] = {
    "500": {"status": 500},
    "503": {"status": 503, "retry_after": 3},
    "429": {"status": 429, "retry_after": 3},
    "401": {"status": 401, "times": 3},
    "connection cut": {"drop": True, "times": 3},
    "connection cut, closed": {"drop": True, "applied": True},
    "still failing later": {"status": 500, "times": 3},
}


@pytest.mark.parametrize("how", GRAPH_FAILS)
async def test_delete_while_graph_fails(connected: Connected, storage: Storage, how: str) -> None:
    """200 at once, and nothing syncs any more; what Graph did not do is done once it answers again."""
    offer = await connected.sent()
    before = last_told(connected)
    await fault(connected, CLOSE, **GRAPH_FAILS[how])

    deleted = await deletes(connected)

    assert deleted["connection_id"] == connected.connection_id
    assert (await shown(connected))["state"] == "disconnected"
    await connected.is_answered(offer)
    await eventually(lambda: cleaned_up(connected, storage), "the clean-up")
    await nothing_is_left(connected, storage)
    assert told_types(connected, before) == ["connection.disconnected"]
    assert await deletes(connected) == deleted


async def test_delete_while_graph_is_silent(connected: Connected, storage: Storage) -> None:
    """It has ended for everybody before Graph was asked, and the CRM gets its answer although Graph gives none."""
    await fault(connected, CLOSE, delay_s=2 * PATIENCE_S)
    deleting = asyncio.create_task(deletes(connected, within_s=PATIENCE_S))
    await in_flight(connected, CLOSE)

    assert (await shown(connected))["state"] == "disconnected"
    refused = await connected.api.send(connected.mail(), unique("key"))
    assert (refused.status_code, refused.json()["code"]) == (409, "provider_not_configured")
    assert not deleting.done()

    await deleting
    assert await cleaned_up(connected, storage)
    await nothing_is_left(connected, storage)


#: How Entra ID fails to give the token that closing takes.
ENTRA_FAILS: dict[str, Json] = {
    "500": {"error": "server_error", "error_codes": [90033], "status": 500, "retry_after": 1},
    "429": {"error": "temporarily_unavailable", "error_codes": [50196], "status": 429, "retry_after": 1},
    "our secret has expired": {"error": "invalid_client", "error_codes": [7000222]},
}


@pytest.mark.parametrize("how", ENTRA_FAILS)
async def test_delete_while_entra_fails(connected: Connected, storage: Storage, how: str) -> None:
    """Without a token nothing can be closed at Graph: the tokens are kept just for that, until it is done."""
    await needs_new_token(connected)
    planned = ENTRA_FAILS[how] | {"grant_type": "refresh_token", "times": 1}
    await connected.stage.lab("POST", f"{connected.cloud.entra.url}/_lab/token-error", planned)

    await deletes(connected)

    assert (await shown(connected))["state"] == "disconnected"
    await eventually(lambda: cleaned_up(connected, storage), "the clean-up")
    await nothing_is_left(connected, storage)


@contextlib.asynccontextmanager
async def entra_silent(of: Account) -> AsyncIterator[asyncio.Event]:
    """Who calls Entra ID is taken in and never answered; the event is set once somebody has called."""
    called, over = asyncio.Event(), asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        await over.wait()
        writer.transport.abort()

    port = int(of.cloud.entra.url.rpartition(":")[2])
    await of.cloud.entra.stop()
    server = await asyncio.start_server(say_nothing, "127.0.0.1", port, reuse_port=True)
    try:
        yield called
    finally:
        over.set()
        server.close()
        await server.wait_closed()
        await of.cloud.entra.start()


async def test_delete_while_entra_is_silent(connected: Connected, storage: Storage) -> None:
    """As while Graph is: the answer comes, and the rest follows."""
    await needs_new_token(connected)

    async with entra_silent(connected) as called:
        await deletes(connected, within_s=PATIENCE_S)
        assert called.is_set()
        assert (await shown(connected))["state"] == "disconnected"

    assert await cleaned_up(connected, storage)
    await nothing_is_left(connected, storage)


async def test_the_user_can_connect_again_while_the_clean_up_waits(connected: Connected, storage: Storage) -> None:
    """The old subscription, which could not be closed, is not taken for the new one's, nor the new one closed with it."""
    offer = await connected.sent()
    await fault(connected, CLOSE, status=500)
    await deletes(connected)

    again = await connected.updates_to(connected.person)
    await run_now(connected, WatchMailbox(connected.connection_id))

    assert await storage.tokens_of(connected.connection_id) is None
    await sends_and_receives(again)
    before = last_told(again)
    await answers(again, offer)
    await at_rest(again)
    assert told_types(again, before) == []
    assert len(await again.subscriptions(again.email)) == 1
