"""What is stored of a sign-in is sealed to its place; what can't be opened is the operator's, and never a user's, to mend."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from sync.adapters.sealing import key_id
from sync.domain.connection import Connection
from sync.domain.errors import OperatorAlarm
from tests.cloud.azurite import Azurite
from tests.contracts.stores import AzureStores
from tests.contracts.token_stages import KEY, OLD_KEY, ScriptedStage
from tests.contracts.values import connection

CON = connection("con_1")


@pytest.fixture
async def stage(azurite: Azurite) -> AsyncIterator[ScriptedStage]:
    stores = AzureStores(azurite.connection_string)
    yield ScriptedStage(stores.container("tokens"))
    await stores.close()


async def alarmed(stage: ScriptedStage, asked: Connection, *keys: bytes) -> str:
    """What the operator reads when these keys meet this sign-in; Entra ID is not asked."""
    calls = len(stage.entra.calls)
    with pytest.raises(OperatorAlarm) as alarm:
        await stage.tokens(*keys).access_token(asked)
    assert len(stage.entra.calls) == calls
    return str(alarm.value)


async def test_what_is_stored_shows_nothing_of_the_sign_in(stage: ScriptedStage) -> None:
    """Neither the token nor whose it is."""
    await stage.tokens().keep(CON, stage.entra.new_sign_in())
    await stage.tokens().access_token(CON)
    stored = await stage.container.get("con_1")
    assert stored is not None
    assert not any(word in stored[0] for word in (b"sign", b"token", b"acme", b"con_1"))


@pytest.mark.parametrize(
    "other",
    [connection("con_2"), replace(CON, account_id="other"), replace(connection("con_2"), account_id="other")],
    ids=["connection", "account", "both"],
)
async def test_a_sign_in_moved_to_another_place_does_not_open_there(stage: ScriptedStage, other: Connection) -> None:
    """Whoever can write to the storage can't give one customer another one's mailbox."""
    await stage.tokens().keep(CON, stage.entra.new_sign_in())
    stored = await stage.container.get("con_1")
    assert stored is not None
    await stage.container.put(other.connection_id, stored[0])
    assert "another place" in await alarmed(stage, other)


async def test_a_key_that_was_taken_out_too_early_is_named(stage: ScriptedStage) -> None:
    """The operator reads which connection, which key, and what to do; with the key back, all is as before."""
    await stage.tokens(OLD_KEY).keep(CON, stage.entra.new_sign_in())
    said = await alarmed(stage, CON, KEY)
    assert "con_1" in said
    assert key_id(OLD_KEY) in said
    assert "put that key back" in said
    with pytest.raises(OperatorAlarm, match=key_id(OLD_KEY)):
        await stage.tokens(KEY).reseal(CON)
    assert await stage.tokens(KEY, OLD_KEY).access_token(CON) == "sign-in 1, token 1"


async def test_a_key_can_go_once_all_is_sealed_anew(stage: ScriptedStage) -> None:
    """Which costs no call to Entra ID."""
    await stage.tokens(OLD_KEY).keep(CON, stage.entra.new_sign_in())
    await stage.tokens(KEY, OLD_KEY).reseal(CON)
    assert not stage.entra.calls
    assert await stage.tokens(KEY).access_token(CON) == "sign-in 1, token 1"


@pytest.mark.parametrize(
    "changed",
    [b"", b".", b"\xff\xfe", b"nonsense", key_id(KEY).encode() + b".AAAA", key_id(KEY).encode() + b".!\xc3\xa9"],
)
async def test_what_was_tampered_with_is_an_alarm(stage: ScriptedStage, changed: bytes) -> None:
    """Whatever it was made into; a new sign-in mends it."""
    worker = stage.tokens()
    await worker.keep(CON, stage.entra.new_sign_in())
    await stage.container.put("con_1", changed)
    said = await alarmed(stage, CON)
    assert "con_1" in said
    assert "new sign-in" in said
    if not changed.startswith(key_id(KEY).encode()):
        with pytest.raises(OperatorAlarm):
            await worker.reseal(CON)
    await worker.keep(CON, stage.entra.new_sign_in())
    assert await worker.access_token(CON) == "sign-in 2, token 1"
