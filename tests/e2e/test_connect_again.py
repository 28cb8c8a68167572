"""A mailbox after another: anew after a delete, another one in its place, the same once more, and one of two users."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio

from tests.cloud.local import LocalCloud
from tests.e2e.account import Connected, unique
from tests.e2e.life import last_told
from tests.e2e.storage import Storage


async def test_connecting_after_a_delete_is_a_new_connection_without_the_old_threads(connected: Connected) -> None:
    """The same mailbox again: another connection id, and what the old connection had begun stays stopped."""
    offer = await connected.sent()
    await connected.api.delete_connection(connected.user_id)

    connection = await connected.connect(connected.user_id, connected.email)

    assert connection["connection_id"] != connected.connection_id
    assert connection["thread_count"] == 0
    last = last_told(connected)
    await connected.is_answered(offer)
    assert connected.events(after=last) == []
    assert (await connected.api.thread(offer["thread_id"])).json()["state"] == "stopped"
    assert len(await connected.subscriptions(connected.email)) == 1


async def test_another_mailbox_takes_the_place_of_the_first(connected: Connected, storage: Storage) -> None:
    """*Update*: until it is complete the old one stays; then the new one is the user's, and nothing of the old is left."""
    offer = await connected.sent()
    other = connected.new_person("Dana Private")

    code = await connected.completion_code(connected.user_id, other.email)
    still = (await connected.api.connection(connected.user_id)).json()
    assert (still["connection_id"], still["state"]) == (connected.connection_id, "connected")
    completed = (await connected.api.complete(connected.user_id, code)).json()
    connection = await connected.active(connected.user_id, completed["connection_id"])

    assert connection["connection_id"] != connected.connection_id
    assert connection["email"] == other.email
    told = (await connected.heard("connection.updated"))["data"]
    assert told["connection"]["connection_id"] == connection["connection_id"]
    assert told["previous_connection_id"] == connected.connection_id
    assert told["previous_email"] == connected.email
    await connected.stage.quiet()
    assert await storage.tokens_of(connected.connection_id) is None
    assert await storage.tokens_of(connection["connection_id"]) is not None
    assert await connected.subscriptions(connected.email) == []

    last = last_told(connected)
    await connected.is_answered(offer)
    assert connected.events(after=last) == []
    assert (await connected.api.thread(offer["thread_id"])).json()["state"] == "stopped"
    refused = await connected.api.send(connected.mail(thread_id=offer["thread_id"]), unique("key"))
    assert (refused.status_code, refused.json()["code"]) == (409, "thread_stopped")


async def test_signing_in_again_with_the_same_mailbox_keeps_connection_and_threads(connected: Connected) -> None:
    """It renews the connection: same id, one subscription, and the threads go on."""
    offer = await connected.sent()

    connection = await connected.connect(connected.user_id, connected.email)

    assert connection["connection_id"] == connected.connection_id
    assert connection["thread_count"] == 1
    assert len(await connected.subscriptions(connected.email)) == 1
    last = last_told(connected)
    await connected.is_answered(offer)
    assert [event["type"] for event in connected.events(after=last)] == ["message.synced"]


@pytest_asyncio.fixture(loop_scope="session", params=["refuse", "accept"])
async def second_subscription(
    request: pytest.FixtureRequest, cloud: LocalCloud, http: httpx.AsyncClient
) -> AsyncIterator[None]:
    """An app's second subscription to a mailbox: a 409, as documented, or accepted, as reported since October 2025."""
    rules = f"{cloud.graph.url}/_lab/subscription-rules"
    (await http.post(rules, json={"duplicates": request.param})).raise_for_status()
    yield
    (await http.post(rules, json={"duplicates": "refuse"})).raise_for_status()


@pytest.mark.usefixtures("second_subscription")
@pytest.mark.parametrize("who_leaves", ["who connected first", "who connected last"])
async def test_one_mailbox_of_two_users_is_two_connections(
    connected: Connected, storage: Storage, who_leaves: str
) -> None:
    """Each has its own: what one user began the other does not see, and who deletes theirs leaves the other's as it was."""
    colleague = unique("colleague")
    second = replace(connected, user_id=colleague, connection=await connected.connect(colleague, connected.email))
    stays, leaves = (second, connected) if who_leaves == "who connected first" else (connected, second)
    offers = {user.connection_id: await user.sent() for user in (stays, leaves)}
    before = last_told(connected)
    for user in (stays, leaves):
        await connected.is_answered(offers[user.connection_id])
        [synced] = connected.events(after=before)
        assert synced["data"]["message"]["connection_id"] == user.connection_id
        before = synced["sequence"]

    await leaves.api.delete_connection(leaves.user_id)
    await connected.stage.quiet()

    assert await storage.tokens_of(leaves.connection_id) is None
    assert await storage.tokens_of(stays.connection_id) is not None
    assert len(await connected.subscriptions(connected.email)) == 1
    before = last_told(connected)
    await connected.is_answered(offers[leaves.connection_id])
    assert connected.events(after=before) == []
    await connected.is_answered(offers[stays.connection_id])
    [synced] = connected.events(after=before)
    assert synced["data"]["message"]["connection_id"] == stays.connection_id

    await stays.api.delete_connection(stays.user_id)
    await connected.cloud.functions.idle()
    assert await connected.subscriptions(connected.email) == []
