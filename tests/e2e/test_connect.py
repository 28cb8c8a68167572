"""A mailbox is connected, signed in to again, replaced, deleted, and connected anew: over HTTP, as CRM and browser do it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import pytest_asyncio

from tests.cloud.local import LocalCloud
from tests.cloud.sign_in import Browser
from tests.e2e.account import Account, Connected, unique
from tests.e2e.storage import Storage

CONNECTION_FIELDS = {
    "connection_id",
    "state",
    "email",
    "display_name",
    "default_sender",
    "connected_at",
    "sync_state",
    "synced_through",
    "subscription_expires_at",
    "thread_count",
}


async def subscriptions(cloud: LocalCloud, http: httpx.AsyncClient, email: str) -> list[dict[str, Any]]:
    """What Microsoft Graph tells of this mailbox."""
    every = (await http.get(f"{cloud.graph.url}/_lab/subscriptions")).json()
    return [subscription for subscription in every if subscription["email"] == email]


async def answer_arrives(connected: Connected, message: dict[str, Any]) -> None:
    """The contact answers a message, and everything comes to rest."""
    await connected.stage.mail_arrives(
        "ada@customer.example",
        f"RE: {message['subject']}",
        "A late answer",
        in_reply_to=message["internet_message_id"],
    )
    await connected.stage.quiet()


async def test_a_mailbox_is_connected_step_by_step(account: Account) -> None:
    """From the CRM's link over Microsoft's pages back to the CRM: each step leads to the next and shows nothing more."""
    user_id, person, cloud = unique("dana"), account.new_person(), account.cloud
    return_url = f"{cloud.crm.return_url}?tab=email"

    begun = await account.api.start_sign_in(user_id, return_url, person.email)
    assert begun.status_code == 201
    assert set(begun.json()) == {"sign_in_url", "expires_at"}
    browser = Browser(account.http)
    opened = await browser.get(begun.json()["sign_in_url"])
    assert opened.status_code == 302
    assert opened.headers["location"].startswith(f"{cloud.entra.url}/organizations/oauth2/v2.0/authorize?")
    assert dict(parse_qsl(urlsplit(opened.headers["location"]).query))["login_hint"] == person.email
    clicked = await account.http.post(
        f"{cloud.entra.url}/_lab/sign-in",
        json={"authorize_url": opened.headers["location"], "email": person.email, "decision": "accept"},
    )
    brought_back = await browser.get(clicked.json()["redirect_url"])
    assert brought_back.status_code == 302
    back = urlsplit(brought_back.headers["location"])
    query = dict(parse_qsl(back.query))
    assert back._replace(query="").geturl() == cloud.crm.return_url
    assert set(query) == {"tab", "result", "completion_code"}
    assert (query["tab"], query["result"]) == ("email", "ok")
    assert (await account.api.connection(user_id)).status_code == 404, (
        "nothing is connected before the CRM says who it was"
    )

    completed = await account.api.complete(user_id, query["completion_code"])
    assert completed.status_code == 200
    assert set(completed.json()) == CONNECTION_FIELDS
    assert completed.json()["state"] in {"connecting", "connected"}

    connection = await account.active(user_id, completed.json()["connection_id"])
    assert set(connection) == CONNECTION_FIELDS
    assert (connection["email"], connection["display_name"]) == (person.email, person.name)
    assert (connection["default_sender"], connection["thread_count"]) == ("outlook", 0)
    assert all(connection[time].endswith("Z") for time in CONNECTION_FIELDS if time.endswith(("_at", "_through")))


async def test_the_browser_is_bound_by_a_cookie_that_scripts_and_other_sites_cannot_use(account: Account) -> None:
    """The binding cookie is HttpOnly, SameSite=Lax, for this host alone, and taken back with the callback."""
    user_id, person = unique("dana"), account.new_person()
    browser = Browser(account.http)

    opened = await browser.get(await account.sign_in_link(user_id))
    [cookie] = SimpleCookie(opened.headers["set-cookie"]).values()
    assert cookie["httponly"] is True
    assert cookie["samesite"].lower() == "lax"
    assert (cookie["path"], cookie["domain"]) == ("/", "")
    assert 0 < int(cookie["max-age"]) <= 600

    clicked = await account.http.post(
        f"{account.cloud.entra.url}/_lab/sign-in",
        json={"authorize_url": opened.headers["location"], "email": person.email, "decision": "accept"},
    )
    back = await browser.get(clicked.json()["redirect_url"])
    [taken_back] = SimpleCookie(back.headers["set-cookie"]).values()
    assert (taken_back.key, taken_back.value, taken_back["max-age"]) == (cookie.key, "", "0")


async def test_the_crm_hears_of_a_new_connection_once(connected: Connected) -> None:
    """`connection.connected` names connection, user and mailbox, and is the first event of the account."""
    await connected.stage.quiet()

    [event] = await connected.feed()
    assert event["type"] == "connection.connected"
    told = event["data"]["connection"]
    assert (told["connection_id"], told["user_id"], told["email"]) == (
        connected.connection_id,
        connected.user_id,
        connected.email,
    )
    assert connected.events() == [event]


async def test_completing_again_gives_the_same_connection(account: Account) -> None:
    """A CRM that lost the answer asks again: the same connection, no second sign-in at Microsoft, no second event."""
    user_id, person = unique("dana"), account.new_person()
    code = await account.completion_code(user_id, person.email)
    first = (await account.api.complete(user_id, code)).json()
    await account.active(user_id, first["connection_id"])
    before = account.cloud.entra.token_calls

    again = await account.api.complete(user_id, code)

    assert again.status_code == 200
    assert again.json()["connection_id"] == first["connection_id"]
    assert account.cloud.entra.token_calls == before
    await account.cloud.functions.idle()
    assert [event["type"] for event in await account.feed()] == ["connection.connected"]


async def test_deleting_leaves_nothing_that_could_read_the_mailbox(connected: Connected, storage: Storage) -> None:
    """With the answer to the delete the tokens are gone, the subscription is gone, and the CRM is told."""
    assert await storage.tokens_of(connected.connection_id) is not None
    assert len(await subscriptions(connected.cloud, connected.http, connected.email)) == 1

    deleted = await connected.api.delete_connection(connected.user_id)

    nothing = {"messages": 0, "attachments": 0, "events": 0, "anchors": 0}
    assert deleted.status_code == 200
    assert deleted.json() == {"connection_id": connected.connection_id, "erased": nothing}
    assert await storage.tokens_of(connected.connection_id) is None
    assert await subscriptions(connected.cloud, connected.http, connected.email) == []
    event = await connected.heard("connection.disconnected")
    assert event["data"]["connection"]["connection_id"] == connected.connection_id
    shown = (await connected.api.connection(connected.user_id)).json()
    assert (shown["state"], shown["sync_state"], shown["subscription_expires_at"]) == ("disconnected", "stopped", None)


async def test_deleting_again_is_the_same_and_told_once(connected: Connected) -> None:
    """However often and however many at once: the same answer, one event."""
    at_once = await asyncio.gather(*(connected.api.delete_connection(connected.user_id) for _ in range(3)))
    later = await connected.api.delete_connection(connected.user_id)

    assert {answer.status_code for answer in (*at_once, later)} == {200}
    assert all(answer.json() == later.json() for answer in at_once)
    await connected.cloud.functions.idle()
    kinds = [event["type"] for event in await connected.feed()]
    assert kinds == ["connection.connected", "connection.disconnected"]


async def test_a_reply_after_the_delete_stays_in_the_mailbox(connected: Connected) -> None:
    """The thread stops for good: a late answer is neither told nor even looked at."""
    offer = await connected.sent()
    await connected.api.delete_connection(connected.user_id)
    last = (await connected.heard("connection.disconnected"))["sequence"]
    calls = len(await calls_to(connected))

    await answer_arrives(connected, offer)

    assert connected.events(after=last) == []
    assert len(await calls_to(connected)) == calls
    thread = (await connected.api.thread(offer["thread_id"])).json()
    assert thread["state"] == "stopped"
    assert [message["message_id"] for message in thread["messages"]] == [offer["message_id"]]


async def calls_to(connected: Connected) -> list[dict[str, Any]]:
    """The app's calls to Graph for this mailbox."""
    every = await connected.http.get(f"{connected.cloud.graph.url}/_lab/requests", params={"mailbox": connected.email})
    return list(every.json())


async def test_connecting_after_a_delete_is_a_new_connection_without_the_old_threads(connected: Connected) -> None:
    """The same mailbox again: another connection id, and what the old connection had begun stays stopped."""
    offer = await connected.sent()
    await connected.api.delete_connection(connected.user_id)

    connection = await connected.connect(connected.user_id, connected.email)

    assert connection["connection_id"] != connected.connection_id
    assert connection["thread_count"] == 0
    last = connected.events()[-1]["sequence"]
    await answer_arrives(connected, offer)
    assert connected.events(after=last) == []
    assert (await connected.api.thread(offer["thread_id"])).json()["state"] == "stopped"
    assert len(await subscriptions(connected.cloud, connected.http, connected.email)) == 1


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
    assert await subscriptions(connected.cloud, connected.http, connected.email) == []

    last = connected.events()[-1]["sequence"]
    await answer_arrives(connected, offer)
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
    assert len(await subscriptions(connected.cloud, connected.http, connected.email)) == 1
    last = connected.events()[-1]["sequence"]
    await answer_arrives(connected, offer)
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
    before = connected.events()[-1]["sequence"]
    for user in (stays, leaves):
        await answer_arrives(connected, offers[user.connection_id])
        [synced] = connected.events(after=before)
        assert synced["data"]["message"]["connection_id"] == user.connection_id
        before = synced["sequence"]

    await leaves.api.delete_connection(leaves.user_id)
    await connected.stage.quiet()

    assert await storage.tokens_of(leaves.connection_id) is None
    assert await storage.tokens_of(stays.connection_id) is not None
    assert len(await subscriptions(connected.cloud, connected.http, connected.email)) == 1
    before = connected.events()[-1]["sequence"]
    await answer_arrives(connected, offers[leaves.connection_id])
    assert connected.events(after=before) == []
    await answer_arrives(connected, offers[stays.connection_id])
    [synced] = connected.events(after=before)
    assert synced["data"]["message"]["connection_id"] == stays.connection_id

    await stays.api.delete_connection(stays.user_id)
    await connected.cloud.functions.idle()
    assert await subscriptions(connected.cloud, connected.http, connected.email) == []


async def test_who_was_never_connected_has_nothing_to_show_or_delete(account: Account) -> None:
    """404 for both, in the same words."""
    user_id = unique("nobody")

    shown, deleted = await account.api.connection(user_id), await account.api.delete_connection(user_id)

    assert (shown.status_code, deleted.status_code) == (404, 404)
    assert shown.json()["detail"] == deleted.json()["detail"]


async def test_a_user_of_another_account_with_the_same_name_is_somebody_else(connected: Connected) -> None:
    """Connections belong to an account: the same user id in another account has none."""
    async with connected.cloud.api(unique("other")) as elsewhere:
        assert (await elsewhere.connection(connected.user_id)).status_code == 404
        assert (await elsewhere.delete_connection(connected.user_id)).status_code == 404

    assert (await connected.api.connection(connected.user_id)).json()["state"] == "connected"
