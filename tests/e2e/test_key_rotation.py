"""
Keys are changed while connections live: the new one is put in front, everything is made anew with it, and the old one is dropped.

Each step is a restart of the real app with other settings, as an operator changes them in Azure.
"""

import base64
import secrets
from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from sync.adapters.sealing import key_id
from sync.domain.notification import connection_of
from sync.jobs import CatchUp, MailChange, WatchMailbox
from tests.cloud.local import LocalCloud
from tests.cloud.polling import eventually
from tests.e2e.account import Account, Connected, Json, unique
from tests.e2e.conversation import answers, at_rest, newly_connected, synced
from tests.e2e.life import (
    Log,
    graph_says,
    last_told,
    one_subscription,
    restarted,
    run_now,
    sends_and_receives,
    shown,
    told_types,
)
from tests.e2e.storage import Storage
from tests.e2e.way import Way


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own_cloud() -> AsyncIterator[LocalCloud]:
    """A cloud whose app is started anew with other keys; each test begins with the keys that the one before left."""
    async with LocalCloud() as cloud:
        yield cloud


@pytest_asyncio.fixture(loop_scope="session")
async def dana(own_cloud: LocalCloud, http: httpx.AsyncClient) -> AsyncIterator[Connected]:
    """A user on it whose mailbox is connected with the keys of now."""
    async with own_cloud.api(unique("acme")) as api:
        connected = await newly_connected(Account(own_cloud, api, http))
        await connected.stage.quiet()
        yield connected


@pytest_asyncio.fixture(loop_scope="session")
async def own_storage(own_cloud: LocalCloud) -> AsyncIterator[Storage]:
    """Its storage."""
    async with Storage(own_cloud.azurite.connection_string) as opened:
        yield opened


def new_key() -> str:
    """As `openssl rand -base64 32` makes it."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def made_with(subscription: Json, key: str) -> bool:
    """Whether its word was made with this key."""
    return connection_of(subscription["clientState"], [base64.b64decode(key)]) is not None


async def sealed_with(of: Connected, storage: Storage) -> str:
    """The id of the key that the stored tokens were sealed with."""
    stored = await storage.tokens_of(of.connection_id)
    assert stored is not None
    return stored.decode().partition(".")[0]


async def changes_of_subscription(of: Connected) -> list[tuple[str, str]]:
    """The app's calls to Graph that opened or closed one for this mailbox, oldest first: method, path."""
    logged = await of.stage.lab("GET", f"{of.cloud.graph.url}/_lab/requests?mailbox={of.email}")
    changes = [call for call in logged if "/subscriptions" in call["path"] and call["method"] in ("POST", "DELETE")]
    return [(call["method"], call["path"].removeprefix("/v1.0")) for call in changes]


async def test_signing_keys_are_rotated_without_a_gap(dana: Connected, own_cloud: LocalCloud) -> None:
    """
    With both keys Graph's word of before is believed; the first renewal makes another subscription, before it closes the old one.

    Then the old key can go. Links to the settings page that were given out before are good until then, too.
    """
    thread, old = await dana.sent(), own_cloud.app_settings["SIGNING_KEYS"]
    page = (await dana.api.settings_page(dana.user_id, own_cloud.crm.return_url)).json()["url"]
    before = await one_subscription(dana)
    assert made_with(before, old)
    new = new_key()

    await restarted(own_cloud, SIGNING_KEYS=f"{new},{old}")
    await synced(dana, await answers(dana, thread, text="Told with the old word"))
    assert await one_subscription(dana) == before
    assert await opens(page, dana.http) == 200

    await graph_says(dana, "reauthorizationRequired")
    after = await one_subscription(dana)
    assert made_with(after, new)
    assert after["id"] != before["id"]
    assert (await changes_of_subscription(dana))[-2:] == [
        ("POST", "/subscriptions"),
        ("DELETE", f"/subscriptions/{before['id']}"),
    ]
    await synced(dana, await answers(dana, thread, text="Told with the new word"))
    await graph_says(dana, "reauthorizationRequired")
    assert (await one_subscription(dana))["id"] == after["id"], "renewed, once its key is the newest"

    await restarted(own_cloud, SIGNING_KEYS=new)
    await synced(dana, await answers(dana, thread, text="Told with the new word, the old key gone"))
    assert await opens(page, dana.http) == 401
    await sends_and_receives(dana)
    assert told_types(dana) == [
        "connection.connected",
        "message.sent",
        *["message.synced"] * 3,
        "message.sent",
        "message.synced",
    ]


async def opens(page_url: str, http: httpx.AsyncClient) -> int:
    """The status that the settings page gets with the token of this link."""
    root, _, token = page_url.partition("#token=")
    return (await http.get(f"{root}/connection", headers={"Authorization": f"Bearer {token}"})).status_code


async def test_nothing_that_comes_while_the_word_is_changed_is_missed_or_told_twice(
    dana: Connected, own_cloud: LocalCloud
) -> None:
    """For a moment both subscriptions tell of the same mail."""
    thread, old = await dana.sent(), own_cloud.app_settings["SIGNING_KEYS"]
    await restarted(own_cloud, SIGNING_KEYS=f"{new_key()},{old}")
    before, held = last_told(dana), (await one_subscription(dana))["id"]
    slow = {"match": f"DELETE */subscriptions/{held}", "delay_s": 1.5}
    await dana.stage.lab("POST", f"{own_cloud.graph.url}/_lab/faults", slow)
    said = {"subscription_id": held, "event": "reauthorizationRequired"}
    await dana.stage.lab("POST", f"{own_cloud.graph.url}/_lab/lifecycle", said)
    await both_open(dana)

    arrivals = [await answers(dana, thread, text=f"Answer {n}") for n in range(3)]
    await at_rest(dana)

    assert len({(await synced(dana, arrival))["message_id"] for arrival in arrivals}) == 3
    assert told_types(dana, before) == ["message.synced"] * 3
    assert (await one_subscription(dana))["id"] != held


async def both_open(of: Connected) -> None:
    """Return once Graph has two subscriptions of this mailbox."""

    async def look() -> bool:
        return len(await of.subscriptions(of.email)) == 2

    await eventually(look, "the second subscription")


async def test_a_signing_key_that_is_dropped_too_early_costs_time_and_no_mail(
    dana: Connected, own_cloud: LocalCloud
) -> None:
    """What Graph says with the old word is not believed, and nobody is alarmed; the next look through the mailbox finds it."""
    thread, old = await dana.sent(), own_cloud.app_settings["SIGNING_KEYS"]
    await at_rest(dana)
    before, log = last_told(dana), Log(own_cloud)
    await restarted(own_cloud, SIGNING_KEYS=new_key())
    arrival = await answers(dana, thread)
    await at_rest(dana)
    assert told_types(dana, before) == []
    assert any("forged notifications dropped" in line for line in log.lines("WARNING"))

    await run_now(dana, CatchUp(dana.connection_id))

    assert (await synced(dana, arrival))["thread_id"] == thread["thread_id"]
    assert (await shown(dana))["state"] == "connected"
    await restarted(own_cloud, SIGNING_KEYS=old)


async def test_encryption_keys_are_rotated_without_a_sign_in(
    dana: Connected, own_cloud: LocalCloud, own_storage: Storage
) -> None:
    """With both keys what is stored can be read; the next renewal seals it anew, and then the old key can go."""
    thread, old = await dana.sent(), own_cloud.app_settings["ENCRYPTION_KEYS"]
    waiting = await Way.begin(dana)
    code = await waiting.to_completion_code()
    new = new_key()
    old_id, new_id = (key_id(base64.b64decode(key)) for key in (old, new))
    assert await sealed_with(dana, own_storage) == old_id

    await restarted(own_cloud, ENCRYPTION_KEYS=f"{new},{old}")
    await synced(dana, await answers(dana, thread, text="Read with the old key"))
    assert (await waiting.complete(code)).status_code == 200
    assert await sealed_with(dana, own_storage) == old_id

    await graph_says(dana, "reauthorizationRequired")
    assert await sealed_with(dana, own_storage) == new_id

    await restarted(own_cloud, ENCRYPTION_KEYS=new)
    await synced(dana, await answers(dana, thread, text="Read with the new key"))
    await sends_and_receives(dana)
    assert "connection.needs_reconnect" not in told_types(dana)


async def test_an_encryption_key_that_is_dropped_too_early_is_the_operators_alarm(
    dana: Connected, own_cloud: LocalCloud, own_storage: Storage
) -> None:
    """The user is asked for nothing and the tokens are left as they are: with the key put back the work that waited is done."""
    thread, old = await dana.sent(), own_cloud.app_settings["ENCRYPTION_KEYS"]
    await at_rest(dana)
    stored, before, log = await own_storage.tokens_of(dana.connection_id), last_told(dana), Log(own_cloud)
    new = new_key()

    await restarted(own_cloud, ENCRYPTION_KEYS=new)
    arrival = await answers(dana, thread)
    await at_rest(dana)
    await graph_says(dana, "reauthorizationRequired")

    assert (await shown(dana))["state"] == "connected"
    assert told_types(dana, before) == []
    assert await own_storage.tokens_of(dana.connection_id) == stored
    assert log.alarms
    assert all(key_id(base64.b64decode(old)) in alarm for alarm in log.alarms), "it says which key is missing"

    await restarted(own_cloud, ENCRYPTION_KEYS=f"{new},{old}")
    await run_now(dana, MailChange(dana.connection_id, arrival.graph_id, tries=1))
    assert (await synced(dana, arrival))["thread_id"] == thread["thread_id"]
    await sends_and_receives(dana)


async def test_a_new_sign_in_replaces_what_no_key_opens_any_more(
    dana: Connected, own_cloud: LocalCloud, own_storage: Storage
) -> None:
    """A key that is lost for good costs each user one sign-in, and no thread."""
    thread = await dana.sent()
    lost = new_key()

    await restarted(own_cloud, ENCRYPTION_KEYS=lost)
    again = await dana.signs_in_again()

    assert again.connection_id == dana.connection_id
    assert await sealed_with(again, own_storage) == key_id(base64.b64decode(lost))
    await synced(again, await answers(again, thread))


async def test_delete_works_without_the_key(dana: Connected, own_cloud: LocalCloud, own_storage: Storage) -> None:
    """It ends here at once; what can't be opened can't close anything at Graph, and is kept until it can."""
    old = own_cloud.app_settings["ENCRYPTION_KEYS"]
    await restarted(own_cloud, ENCRYPTION_KEYS=new_key())

    deleted = await dana.api.delete_connection(dana.user_id)

    assert deleted.status_code == 200
    assert (await shown(dana))["state"] == "disconnected"
    await restarted(own_cloud, ENCRYPTION_KEYS=old)
    await run_now(dana, WatchMailbox(dana.connection_id))
    assert await own_storage.tokens_of(dana.connection_id) is None
    assert await dana.subscriptions(dana.email) == []
