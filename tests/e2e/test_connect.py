"""A mailbox is connected, signed in to again, replaced, deleted, and connected anew: over HTTP, as CRM and browser do it."""

import asyncio
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlsplit

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
    before = account.cloud.entra.redemptions

    again = await account.api.complete(user_id, code)

    assert again.status_code == 200
    assert again.json()["connection_id"] == first["connection_id"]
    assert account.cloud.entra.redemptions == before
    await account.cloud.functions.idle()
    assert [event["type"] for event in await account.feed()] == ["connection.connected"]


async def test_deleting_leaves_nothing_that_could_read_the_mailbox(connected: Connected, storage: Storage) -> None:
    """With the answer to the delete the tokens are gone, the subscription is gone, and the CRM is told."""
    assert await storage.tokens_of(connected.connection_id) is not None
    assert len(await connected.subscriptions(connected.email)) == 1

    deleted = await connected.api.delete_connection(connected.user_id)

    nothing = {"messages": 0, "attachments": 0, "events": 0, "anchors": 0}
    assert deleted.status_code == 200
    assert deleted.json() == {"connection_id": connected.connection_id, "erased": nothing}
    assert await storage.tokens_of(connected.connection_id) is None
    assert await connected.subscriptions(connected.email) == []
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
    # The look at the email's draft may still be on its way.
    await connected.stage.quiet()
    calls = len(await calls_to(connected))

    await connected.is_answered(offer)

    assert connected.events(after=last) == []
    assert len(await calls_to(connected)) == calls
    thread = (await connected.api.thread(offer["thread_id"])).json()
    assert thread["state"] == "stopped"
    assert [message["message_id"] for message in thread["messages"]] == [offer["message_id"]]


async def calls_to(connected: Connected) -> list[dict[str, Any]]:
    """The app's calls to Graph for this mailbox."""
    every = await connected.http.get(f"{connected.cloud.graph.url}/_lab/requests", params={"mailbox": connected.email})
    return list(every.json())


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
