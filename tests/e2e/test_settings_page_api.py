"""
The settings page over HTTP, as a browser and anybody with curl can call it: for the one user of its link, and nobody else.

What the page shows and how it works for a person is tested in a browser; its rules in the unit tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import httpx
import pytest

from tests.cloud.directory import Person
from tests.cloud.sign_in import sign_in
from tests.e2e.account import Account, Connected, Json, unique
from tests.e2e.conversation import answers, at_rest
from tests.e2e.life import nothing_is_left, sends_and_receives, shown, told_types, trouble
from tests.e2e.storage import Storage
from tests.e2e.witness import problem_of

ROOT = "/settings/email"


@dataclass(frozen=True)
class Page:
    """The page of one user, opened with the link that the CRM got for it."""

    account: Account
    user_id: str
    url: str

    @classmethod
    async def opened(cls, account: Account, user_id: str) -> "Page":
        """The page, as the CRM opens it for this user."""
        answer = await account.api.settings_page(user_id, account.cloud.crm.return_url)
        assert answer.status_code == 201, answer.text
        return cls(account, user_id, answer.json()["url"])

    @property
    def token(self) -> str:
        """What the page proves itself with."""
        return self.url.partition("#token=")[2]

    async def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One call as the page makes it: with its token, without a cookie, without the function key."""
        headers: Mapping[str, str] = {"Authorization": f"Bearer {self.token}"}
        return await self.account.http.request(
            method, f"{self.account.cloud.functions_url}{ROOT}/{path}", headers=headers, **more
        )

    async def signs_in(self, person: Person, decision: Literal["accept", "decline"] = "accept") -> dict[str, str]:
        """What the browser brings back to the CRM after this person's sign-in, which was begun on the page."""
        begun = await self.call("POST", "sign-in", json={})
        assert (begun.status_code, set(begun.json())) == (201, {"sign_in_url", "expires_at"})
        entra = self.account.cloud.entra.url
        return await sign_in(self.account.http, begun.json()["sign_in_url"], entra, person.email, decision)

    async def view(self) -> Json:
        """What the page shows."""
        answer = await self.call("GET", "connection")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


async def test_the_link_opens_the_page_of_one_user_for_an_hour(account: Account) -> None:
    """The token is behind the `#`, which no server, no log and no referrer gets to see."""
    before = datetime.now(UTC)

    answer = await account.api.settings_page(unique("dana"), account.cloud.crm.return_url)

    assert (answer.status_code, set(answer.json())) == (201, {"url", "expires_at"})
    page, _, fragment = answer.json()["url"].partition("#")
    assert page == account.cloud.functions_url + ROOT
    assert fragment.startswith("token=")
    life = datetime.fromisoformat(answer.json()["expires_at"]) - before
    assert timedelta(minutes=59) < life < timedelta(minutes=61)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"return_url": "https://evil.example/"}, 422, "return_url_not_allowed"),
        ({"return_url": "https://crm.example.evil.example/"}, 422, "return_url_not_allowed"),
        ({"return_url": "javascript:alert(1)"}, 422, "return_url_not_allowed"),
        ({}, 422, "invalid_request"),
        ({"return_url": "https://crm.example/", "user_id": "somebody"}, 422, "invalid_request"),
    ],
)
async def test_a_link_leads_back_to_the_crm_or_is_not_made(
    account: Account, body: Json, status: int, code: str
) -> None:
    """The way back is checked before there is a link, and the link is for the user in the path."""
    url = f"{account.cloud.functions_url}/v1/accounts/{account.account_id}/users/dana/settings-page"

    refused = await account.http.post(url, json=body, headers={"x-functions-key": account.cloud.function_key})

    assert (refused.status_code, problem_of(refused)["code"]) == (status, code)


# The page and its files.


async def test_the_page_is_for_the_crms_frame_and_loads_nothing_from_elsewhere(account: Account) -> None:
    """The same for everybody: who it is for stands in the fragment alone. It keeps nothing in the browser."""
    page = await account.http.get(account.cloud.functions_url + ROOT)

    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.split(maxsplit=1) for part in page.headers["content-security-policy"].split("; "))
    assert policy["frame-ancestors"] == f"{account.cloud.crm.url} https://crm.example"
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "x-frame-options" not in page.headers, "it knows no list of origins, and would forbid the CRM's frame"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in page.headers


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("email.css", "text/css"), ("email.js", "text/javascript"), ("microsoft.svg", "image/svg+xml")],
)
async def test_a_file_is_sent_again_only_once_it_has_changed(account: Account, name: str, media_type: str) -> None:
    """The browser asks each time, with the tag it has."""
    url = f"{account.cloud.functions_url}/settings/assets/{name}"

    first = await account.http.get(url)
    again = await account.http.get(url, headers={"If-None-Match": first.headers["etag"]})
    older = await account.http.get(url, headers={"If-None-Match": '"older"'})

    assert (first.status_code, older.status_code) == (200, 200)
    assert first.headers["content-type"].partition(";")[0] == media_type
    assert first.headers["x-content-type-options"] == "nosniff"
    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert older.content == first.content != b""


@pytest.mark.parametrize(
    "name", ["email.html", "none.js", "answers.py", "..%2fanswers.py", "%2e%2e", "%2fetc%2fpasswd", "email.css%00"]
)
async def test_nothing_else_is_a_file_of_the_page(account: Account, name: str) -> None:
    """Names are looked up, never followed."""
    answer = await account.http.get(f"{account.cloud.functions_url}/settings/assets/{name}")

    assert answer.status_code == 404


# What the page does.


async def test_the_page_shows_its_own_user(connected: Connected) -> None:
    """As the CRM reads the connection; without the number of threads, and nothing of who is beside."""
    colleague, elsewhere = unique("colleague"), unique("other")
    crm = await shown(connected)

    view = await (await Page.opened(connected, connected.user_id)).view()
    assert set(view) == {"connection", "sign_in", "now"}
    assert view["connection"] == {name: crm[name] for name in crm if name != "thread_count"}
    assert abs(datetime.fromisoformat(view["now"]) - datetime.now(UTC)) < timedelta(minutes=1)

    nobody = {"connection": None, "sign_in": None}
    theirs = await (await Page.opened(connected, colleague)).view()
    assert {name: theirs[name] for name in nobody} == nobody
    async with connected.cloud.api(elsewhere) as api:
        other = await (await Page.opened(Account(connected.cloud, api, connected.http), connected.user_id)).view()
    assert {name: other[name] for name in nobody} == nobody


async def test_a_sign_in_begun_on_the_page_is_completed_by_the_crm(account: Account) -> None:
    """The page leads to Microsoft and back to the CRM; what it brings there the page itself can't use."""
    page, person = await Page.opened(account, unique("dana")), account.new_person()

    back = await page.signs_in(person)

    assert back["result"] == "ok"
    assert (await page.view())["connection"] is None
    assert (await page.call("POST", "complete", json={"completion_code": back["completion_code"]})).status_code == 404
    completed = await account.api.complete(page.user_id, back["completion_code"])
    assert completed.status_code == 200
    await account.active(page.user_id, completed.json()["connection_id"])
    view = await page.view()
    assert (view["connection"]["email"], view["connection"]["state"]) == (person.email, "connected")


async def test_what_became_of_a_sign_in_is_shown_until_the_next_one(account: Account) -> None:
    """Declined; then waiting for an administrator, with the link to pass on; then connected, and nothing of it is left."""
    page, person = await Page.opened(account, unique("dana")), account.new_person()
    waiting = account.new_person(admin_consent_required=True)

    declined = await page.signs_in(person, "decline")
    assert declined == {"result": "declined"}
    assert (await page.view())["sign_in"].keys() == {"outcome", "at"}
    assert (await page.view())["sign_in"]["outcome"] == "declined"

    told = await page.signs_in(waiting)
    view = (await page.view())["sign_in"]
    assert (told["result"], view["outcome"]) == ("admin_consent_required", "admin_consent_required")
    assert view["admin_consent_url"] == told["admin_consent_url"]

    code = (await page.signs_in(person))["completion_code"]
    await account.api.complete(page.user_id, code)
    assert (await page.view())["sign_in"] is None


async def test_the_default_email_is_chosen_on_the_page(connected: Connected) -> None:
    """The CRM reads the same, and the next email goes through that door."""
    page = await Page.opened(connected, connected.user_id)

    chosen = await page.call("PUT", "default-sender", json={"default_sender": "provider"})

    assert (chosen.status_code, chosen.json()["connection"]["default_sender"]) == (200, "provider")
    assert (await shown(connected))["default_sender"] == "provider"
    refused = await connected.api.send(connected.mail(), unique("key"))
    assert (refused.status_code, refused.json()["code"]) == (409, "provider_not_configured")
    await page.call("PUT", "default-sender", json={"default_sender": "outlook"})
    await sends_and_receives(connected)


async def test_a_mailbox_that_refuses_us_is_shown_with_what_to_do(connected: Connected) -> None:
    """In the words that the CRM was told."""
    page = await Page.opened(connected, connected.user_id)
    await trouble(connected, "password_expired")
    await connected.api.send(connected.mail(), unique("key"))
    what_to_do = (await connected.heard("connection.needs_reconnect"))["data"]["what_to_do"]
    await at_rest(connected)

    shown_now = (await page.view())["connection"]

    assert (shown_now["state"], shown_now["problem_code"]) == ("needs_reconnect", "password_expired")
    assert shown_now["problem"].endswith(what_to_do)


async def test_delete_on_the_page_ends_the_connection_and_erases_nothing(
    connected: Connected, storage: Storage
) -> None:
    """To erase what was synced is the CRM's alone to ask for. Again, or where there was none: as asked."""
    page, thread = await Page.opened(connected, connected.user_id), await connected.sent()

    for query in ("?erase=true", ""):
        deleted = await page.call("DELETE", f"connection{query}")
        assert (deleted.status_code, deleted.json()["connection"]["state"]) == (200, "disconnected")

    await nothing_is_left(connected, storage)
    assert (await connected.api.thread(thread["thread_id"])).json()["messages"][0]["subject"] == thread["subject"]
    before = len(told_types(connected))
    await answers(connected, thread)
    await at_rest(connected)
    assert len(told_types(connected)) == before
    nobody = await (await Page.opened(connected, unique("nobody"))).call("DELETE", "connection")
    assert (nobody.status_code, nobody.json()["connection"]) == (200, None)
