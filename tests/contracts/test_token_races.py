"""
What comes between a refresh and its end: a worker that dies, a lease that ends, a new sign-in, a delete, a refusal, a key.

On Azurite, with an endpoint that rotates strictly and answers when it is told to.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from azure.storage.blob.aio import BlobServiceClient

from sync.adapters import tokens as adapter
from sync.adapters.blobs import Leased
from sync.adapters.tokens import LIFE_LEFT, SealedTokens
from sync.domain.errors import ReconnectNeeded, Unclear
from tests.cloud.azurite import Azurite
from tests.cloud.polling import eventually
from tests.contracts.stores import AzureStores
from tests.contracts.token_stages import KEY, LIFE, OLD_KEY, ScriptedStage
from tests.contracts.values import connection

CON = connection("con_1")


@pytest.fixture
async def stage(azurite: Azurite) -> AsyncIterator[ScriptedStage]:
    stores = AzureStores(azurite.connection_string)
    yield ScriptedStage(stores.container("tokens"))
    await stores.close()


async def kept(stage: ScriptedStage) -> SealedTokens:
    """A worker, with a stored sign-in that has to be refreshed."""
    worker = stage.tokens()
    await worker.keep(CON, stage.entra.new_sign_in())
    return worker


async def refreshing(stage: ScriptedStage, worker: SealedTokens) -> "asyncio.Task[str]":
    """A call that has asked Entra ID, which has not answered yet."""
    stage.entra.slow = True
    calls = len(stage.entra.calls)
    asked = asyncio.create_task(worker.access_token(CON))
    await stage.entra.asked(calls + 1)
    return asked


class Looks:
    """How often the stored sign-in was looked at: who waits for another's refresh looks again and again."""

    def __init__(self, stage: ScriptedStage, monkeypatch: pytest.MonkeyPatch) -> None:
        self._count = 0
        get = stage.container.get

        async def counted(name: str) -> tuple[bytes, str] | None:
            self._count += 1
            return await get(name)

        monkeypatch.setattr(stage.container, "get", counted)

    async def go_on(self) -> None:
        """Return once there were three more looks."""
        target = self._count + 3

        async def enough() -> bool:
            return self._count >= target

        await eventually(enough, "looks at the stored sign-in")


def between_look_and_deed(
    stage: ScriptedStage, monkeypatch: pytest.MonkeyPatch, action: Callable[[], Awaitable[object]]
) -> None:
    """Let this happen once the stored sign-in was read, before anything comes of it."""
    get = stage.container.get

    async def overtaken(name: str) -> tuple[bytes, str] | None:
        monkeypatch.setattr(stage.container, "get", get)
        found = await get(name)
        await action()
        return found

    monkeypatch.setattr(stage.container, "get", overtaken)


async def test_a_worker_that_dies_over_a_refresh_holds_nobody_up_for_long(
    stage: ScriptedStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others wait and ask nobody, until its lease has ended; then one of them refreshes."""
    workers = [await kept(stage), stage.tokens(), stage.tokens()]
    looks = Looks(stage, monkeypatch)
    lease = await stage.leased()
    asked = [asyncio.create_task(worker.access_token(CON)) for worker in workers]
    await looks.go_on()
    assert not stage.entra.calls
    await stage.container.release("con_1", lease)
    assert set(await asyncio.gather(*asked)) == {"sign-in 1, token 1"}
    assert len(stage.entra.calls) == 1


async def test_a_lease_ends_by_itself(stage: ScriptedStage, azurite: Azurite) -> None:
    """Within a minute, which Azure knows, not we; and it is over as soon as the refresh is, however that ended."""
    worker = await kept(stage)
    asked = await refreshing(stage, worker)
    async with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        names = [c.name async for c in service.list_containers() if c.name.endswith("-tokens")]
        held = [
            blob.lease.duration
            for name in names
            async for blob in service.get_container_client(name).list_blobs()
            if blob.lease.state == "leased"
        ]
    assert set(held) == {"fixed"}
    assert adapter.LEASE_SECONDS <= 60
    stage.entra.answer()
    await asked
    await stage.container.release("con_1", await stage.leased())
    stage.entra.slow = False
    for failure in (Unclear(), ReconnectNeeded(cause="invalid_grant"), RuntimeError("a bug")):
        stage.entra.failure = failure
        with pytest.raises(type(failure)):
            await stage.tokens().access_token(CON, refused="sign-in 1, token 1")
        await stage.container.release("con_1", await stage.leased())


async def test_patience_ends(stage: ScriptedStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that never gets its turn is not refused, and says so; nothing was asked of Entra ID. Re-sealing likewise."""
    monkeypatch.setattr(adapter, "PATIENCE_SECONDS", 0.4)
    worker = await kept(stage)
    await stage.leased()
    with pytest.raises(Unclear, match="con_1"):
        await worker.access_token(CON)
    with pytest.raises(Unclear, match="con_1"):
        await stage.tokens(OLD_KEY, KEY).reseal(CON)
    assert not stage.entra.calls


def test_patience_outlasts_a_dead_worker() -> None:
    """Its lease, and the refresh of whoever comes next."""
    assert adapter.PATIENCE_SECONDS > adapter.LEASE_SECONDS + 15


async def test_a_new_sign_in_is_not_held_up_by_a_refresh_and_stays(stage: ScriptedStage) -> None:
    """It is stored at once; the refresh of the old one ends in a token of the new one and overwrites nothing."""
    worker = await kept(stage)
    asked = await refreshing(stage, worker)
    await stage.tokens().keep(CON, stage.entra.new_sign_in())
    assert (await stage.stored())["sign_in"] == "sign-in 2"
    stage.entra.slow = False
    stage.entra.answer()
    assert await asked == "sign-in 2, token 1"
    assert (await stage.stored())["token"] == "sign-in 2, token 1"


async def test_a_new_sign_in_of_the_same_worker_is_what_the_next_call_gets(stage: ScriptedStage) -> None:
    """Not a token of the old one that is still being got."""
    worker = await kept(stage)
    old = await refreshing(stage, worker)
    again = replace(CON, sign_ins=2)
    await worker.keep(again, stage.entra.new_sign_in())
    stage.entra.slow = False
    assert await worker.access_token(again) == "sign-in 2, token 1"
    stage.entra.answer(0)
    assert await old == "sign-in 2, token 1"
    assert await worker.access_token(again) == "sign-in 2, token 1"


async def test_a_delete_is_not_held_up_by_a_refresh_and_stays(stage: ScriptedStage) -> None:
    """What the refresh brings is not stored, and nobody gets it."""
    worker = await kept(stage)
    asked = await refreshing(stage, worker)
    await stage.tokens().destroy(CON)
    assert await stage.container.get("con_1") is None
    stage.entra.answer()
    with pytest.raises(ReconnectNeeded):
        await asked
    assert await stage.container.get("con_1") is None


async def test_a_token_that_was_read_before_a_delete_is_not_handed_out_after_it(
    stage: ScriptedStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call that read it may still have it; the worker does not keep it for others."""
    await (await kept(stage)).access_token(CON)
    worker = stage.tokens()
    between_look_and_deed(stage, monkeypatch, lambda: worker.destroy(CON))
    assert await worker.access_token(CON) == "sign-in 1, token 1"
    with pytest.raises(ReconnectNeeded):
        await worker.access_token(CON)


async def test_a_lost_lease_is_no_licence_to_overwrite(stage: ScriptedStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Azure may tell a worker of its lease before it tells of the version: a new sign-in stays even so."""
    worker = await kept(stage)
    put = stage.container.put

    async def as_azure(name: str, content: bytes, *, version: str | None = None, lease: str | None = None) -> str:
        if lease is not None:
            raise Leased
        return await put(name, content, version=version)

    asked = await refreshing(stage, worker)
    await stage.tokens().keep(CON, stage.entra.new_sign_in())
    monkeypatch.setattr(stage.container, "put", as_azure)
    stage.entra.slow = False
    stage.entra.answer()
    assert await asked == "sign-in 2, token 1"
    assert (await stage.stored())["sign_in"] == "sign-in 2"


async def test_what_was_got_is_stored_though_the_lease_has_ended(stage: ScriptedStage) -> None:
    """Else the only refresh token that still lives would be lost."""
    worker = await kept(stage)
    asked = await refreshing(stage, worker)
    stage.entra.slow = False
    await lease_ends(stage)
    stage.entra.answer()
    assert await asked == "sign-in 1, token 1"
    assert await stage.tokens().access_token(CON) == "sign-in 1, token 1"
    assert await stage.tokens().access_token(CON, refused="sign-in 1, token 1") == "sign-in 1, token 2"


async def test_a_refusal_because_another_worker_was_faster_is_not_believed(stage: ScriptedStage) -> None:
    """A lease ended during a slow refresh, and the next worker is refused the spent token: it takes what the slow one got."""
    slow_one, next_one = await kept(stage), stage.tokens()
    slow = await refreshing(stage, slow_one)
    await lease_ends(stage)
    refused = await refreshing(stage, next_one)
    stage.entra.answer(0)
    assert await slow == "sign-in 1, token 1"
    stage.entra.answer(1)
    assert await refused == "sign-in 1, token 1"
    assert (await stage.stored())["refresh"] == 1


async def test_a_slow_refresh_is_stored_over_the_lease_of_the_next_worker(stage: ScriptedStage) -> None:
    """Who is slower than its lease can't be told from one that died, so that a refusal before its answer is believed. Its
    token is kept all the same."""
    slow_one, next_one = await kept(stage), stage.tokens()
    slow = await refreshing(stage, slow_one)
    await lease_ends(stage)
    refused = await refreshing(stage, next_one)
    stage.entra.answer(1)
    with pytest.raises(ReconnectNeeded):
        await refused
    stage.entra.answer(0)
    assert await slow == "sign-in 1, token 1"
    assert (await stage.stored())["refresh"] == 1


async def test_a_refusal_of_what_is_stored_is_believed(stage: ScriptedStage) -> None:
    """With one question asked."""
    worker = await kept(stage)
    stage.entra.failure = ReconnectNeeded(cause="invalid_grant", reason="account_disabled", claims="{}")
    with pytest.raises(ReconnectNeeded) as refusal:
        await worker.access_token(CON)
    assert (refusal.value.reason, refusal.value.claims) == ("account_disabled", "{}")
    assert len(stage.entra.calls) == 1


async def test_a_call_that_is_given_up_loses_no_token(stage: ScriptedStage) -> None:
    """The refresh goes on to its end: what it brings is stored, and others who wait get it."""
    worker = await kept(stage)
    given_up = await refreshing(stage, worker)
    waiting = asyncio.create_task(worker.access_token(CON))
    await asyncio.sleep(0)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    stage.entra.answer()
    assert await waiting == "sign-in 1, token 1"
    assert (await stage.stored())["token"] == "sign-in 1, token 1"
    assert len(stage.entra.calls) == 1


async def test_calls_that_wait_for_one_refresh_share_its_failure(stage: ScriptedStage) -> None:
    """Twenty calls while Entra ID is down are one question, not twenty in a row; the next call asks again."""
    worker = await kept(stage)
    stage.entra.failure = Unclear("down")
    ended = await asyncio.gather(*(worker.access_token(CON) for _ in range(20)), return_exceptions=True)
    assert {type(end) for end in ended} == {Unclear}
    assert len(stage.entra.calls) == 1
    stage.entra.failure = None
    assert await worker.access_token(CON) == "sign-in 1, token 1"


async def test_nobody_gets_a_refused_token_while_another_is_got(stage: ScriptedStage) -> None:
    """A call that comes meanwhile waits."""
    worker = await kept(stage)
    refused = await worker.access_token(CON)
    stage.entra.slow = True
    replacing = asyncio.create_task(worker.access_token(CON, refused=refused))
    await stage.entra.asked(2)
    meanwhile = asyncio.create_task(worker.access_token(CON))
    stage.entra.answer()
    assert list(await asyncio.gather(replacing, meanwhile)) == ["sign-in 1, token 2"] * 2


async def test_a_token_is_not_used_to_its_last_minute(stage: ScriptedStage) -> None:
    """A request under way must not outlive it; before that it is not asked for again. In memory and in storage alike."""
    worker = await kept(stage)
    first = await worker.access_token(CON)
    stage.clock.advance(LIFE - LIFE_LEFT - timedelta(seconds=1))
    assert await worker.access_token(CON) == first
    assert await stage.tokens().access_token(CON) == first
    stage.clock.advance(timedelta(seconds=1))
    second = await stage.tokens().access_token(CON)
    assert second != first
    assert await worker.access_token(CON) == second
    assert len(stage.entra.calls) == 2


async def test_re_sealing_waits_for_a_refresh_under_way(stage: ScriptedStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not put the used refresh token back; the new one is what is sealed anew."""
    worker = await kept(stage)
    looks = Looks(stage, monkeypatch)
    asked = await refreshing(stage, worker)
    resealing = asyncio.create_task(stage.tokens(OLD_KEY, KEY).reseal(CON))
    await looks.go_on()
    stage.entra.answer()
    await asyncio.gather(asked, resealing)
    assert (await stage.stored(OLD_KEY))["token"] == "sign-in 1, token 1"


async def test_re_sealing_does_not_undo_a_refresh(stage: ScriptedStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that began and ended while it was at work."""
    worker = await kept(stage)
    between_look_and_deed(stage, monkeypatch, lambda: worker.access_token(CON))
    await stage.tokens(OLD_KEY, KEY).reseal(CON)
    assert (await stage.stored(OLD_KEY))["token"] == "sign-in 1, token 1"


async def lease_ends(stage: ScriptedStage) -> None:
    """As when a refresh takes longer than its lease: time is up, and the blob is as it was."""
    await stage.container.break_lease("con_1")
