"""
Nobody finishes another's sign-in, and nothing is asked of Microsoft's token endpoint before everything fits.

Where it matters, a refusal is shown together with what still works after it: the rightful person's own way.
"""

from collections.abc import Iterator

import httpx
import pytest

from tests.cloud.sign_in import Browser
from tests.e2e.account import Account
from tests.e2e.storage import Storage
from tests.e2e.way import Way, query_of, with_query


@pytest.fixture
def no_token_call(account: Account) -> Iterator[None]:
    """See that the test asked nothing of Microsoft's token endpoint."""
    before = account.cloud.entra.redemptions
    yield
    assert account.cloud.entra.redemptions == before


def assert_refused(answer: httpx.Response) -> None:
    """See that a browser was told in plain words, on a page that loads, keeps and leads to nothing, that it can't go on."""
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "Go back to the CRM and click Connect again." in answer.text
    assert_safe(answer)


def assert_safe(answer: httpx.Response) -> None:
    """See that an answer to a browser is neither kept, guessed at, framed nor told on, and loads nothing."""
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy)
    assert not any("script" in directive for directive in policy)


def tampered(state: str) -> dict[str, str]:
    """States that are not the one given, by what is wrong with them."""
    sign_in_id, _, secret = state.partition(".")
    return {
        "last character": state[:-1] + ("A" if state[-1] != "A" else "B"),
        "secret cut off": f"{sign_in_id}.",
        "id alone": sign_in_id,
        "secret alone": f".{secret}",
        "more behind": state + "x",
        "of another id": f"{'0' * len(sign_in_id)}.{secret}",
        "a path": f"../{state}",
        "a query": f"x' or RowKey ne '.{secret}",
        "not ASCII": f"{sign_in_id}ü.{secret}",
        "endless": f"{sign_in_id}.{'x' * 4_000}",
    }


@pytest.mark.usefixtures("no_token_call")
@pytest.mark.parametrize("how", tampered("id.secret"))
async def test_a_state_that_was_tampered_with_is_refused(account: Account, how: str) -> None:
    """Right browser, right code, wrong state: nothing is parked."""
    way = await Way.begin(account)
    callback = await way.to_callback()

    answer = await way.browser.get(with_query(callback, state=tampered(query_of(callback)["state"])[how]))

    assert_refused(answer)


@pytest.mark.usefixtures("no_token_call")
@pytest.mark.parametrize("missing", ["state", "everything"])
async def test_a_callback_without_its_state_is_refused(account: Account, missing: str) -> None:
    """Nothing is looked up, and nothing said about why."""
    way = await Way.begin(account)
    callback = await way.to_callback()
    url, code = callback.partition("?")[0], query_of(callback)["code"]

    assert_refused(await way.browser.get(f"{url}?code={code}" if missing == "state" else url))


async def test_a_tampered_try_does_not_cost_the_rightful_person_theirs(account: Account) -> None:
    """After a forged callback the real one still connects."""
    way = await Way.begin(account)
    callback = await way.to_callback()
    assert_refused(
        await way.browser.get(with_query(callback, state=tampered(query_of(callback)["state"])["more behind"]))
    )
    assert_refused(await Browser(account.http).get(callback))

    await way.connects(callback)


@pytest.mark.usefixtures("no_token_call")
async def test_states_of_two_sign_ins_cannot_be_swapped(account: Account) -> None:
    """Each browser with the other's state and code, or with its own code under the other's state: refused."""
    one, other = await Way.begin(account), await Way.begin(account)
    ones, others = await one.to_callback(), await other.to_callback()

    assert_refused(await one.browser.get(others))
    assert_refused(await other.browser.get(ones))
    assert_refused(await one.browser.get(with_query(ones, state=query_of(others)["state"])))


async def test_a_code_from_another_sign_in_is_of_no_use(account: Account) -> None:
    """An attacker's code under the victim's state and cookie: PKCE and nonce make it unusable, and nothing connects."""
    victim, attacker = await Way.begin(account), await Way.begin(account)
    callback = await victim.to_callback()
    injected = query_of(await attacker.to_callback())["code"]

    brought_back = await victim.back_in_crm(with_query(callback, code=injected))
    completed = await victim.complete(brought_back["completion_code"])

    assert (completed.status_code, completed.json()["code"]) == (409, "sign_in_failed")
    assert (await account.api.connection(victim.user_id)).status_code == 404


@pytest.mark.usefixtures("no_token_call")
async def test_a_browser_that_did_not_open_the_link_is_refused(account: Account) -> None:
    """No cookie, the cookie of another sign-in, an invented or an empty one."""
    way, other = await Way.begin(account), await Way.begin(account)
    callback = await way.to_callback()
    await other.to_callback()

    assert_refused(await Browser(account.http).get(callback))
    assert_refused(await other.browser.get(callback))
    for cookie in ("sign_in=", "sign_in=invented", "sign_in", "other=sign_in"):
        assert_refused(await account.http.get(callback, headers={"Cookie": cookie}))


@pytest.mark.usefixtures("no_token_call")
async def test_a_callback_works_once(account: Account) -> None:
    """Replayed in the same browser, and with the cookie kept from before, it is refused; the first code stays the only one."""
    way = await Way.begin(account)
    opened = await account.http.get(way.link)
    cookie = opened.headers["set-cookie"].partition(";")[0]
    account.http.cookies.clear()
    callback = await way.through_microsoft(opened.headers["location"])
    first = await account.http.get(callback, headers={"Cookie": cookie})
    account.http.cookies.clear()
    assert query_of(first.headers["location"])["result"] == "ok"

    for headers in ({"Cookie": cookie}, {}):
        assert_refused(await account.http.get(callback, headers=headers))
        account.http.cookies.clear()


async def test_who_opens_the_link_last_finishes_it(account: Account) -> None:
    """The link opened in two browsers: the first, bound no more, is refused; the second connects."""
    way = await Way.begin(account)
    firsts_callback = await way.to_callback()
    first, way.browser = way.browser, Browser(account.http)
    seconds_callback = await way.to_callback()

    assert_refused(await first.get(firsts_callback))
    assert_refused(await first.get(seconds_callback))
    assert_refused(await way.browser.get(firsts_callback))
    await way.connects(seconds_callback)


@pytest.mark.usefixtures("no_token_call")
async def test_a_link_ends_with_its_callback(account: Account) -> None:
    """Once somebody came back from Microsoft, the link opens nothing more."""
    way = await Way.begin(account)
    await way.to_completion_code()

    assert_refused(await Browser(account.http).get(way.link))


@pytest.mark.usefixtures("no_token_call")
@pytest.mark.parametrize(
    "token",
    [
        "{id}.{altered}",
        "{id}",
        "{id}.",
        ".{secret}",
        "{id}.{secret}x",
        "x",
        "%27%20or%201%20eq%201.x",
        "..%2Fhealth",
        "%00.x",
        "%C3%BC.x",
        "a" * 4_000 + ".x",
        "<img src=x onerror=alert(1)>.x",
    ],
)
async def test_a_link_that_is_none_is_a_page(account: Account, token: str) -> None:
    """Altered, cut, invented: the same page, which shows nothing of the link; no cookie, no way to Microsoft."""
    way = await Way.begin(account)
    root, _, genuine = way.link.rpartition("/")
    sign_in_id, _, secret = genuine.partition(".")
    altered = secret[:-1] + ("A" if secret[-1] != "A" else "B")

    answer = await way.browser.get(f"{root}/{token.format(id=sign_in_id, secret=secret, altered=altered)}")

    assert_refused(answer)
    assert "set-cookie" not in answer.headers
    assert "onerror" not in answer.text


@pytest.mark.usefixtures("no_token_call")
async def test_an_expired_link_opens_nothing(account: Account, storage: Storage) -> None:
    """After ten minutes the person is asked to begin again."""
    way = await Way.begin(account)
    await storage.expire_sign_in(way.link)

    assert_refused(await way.browser.get(way.link))


@pytest.mark.usefixtures("no_token_call")
async def test_coming_back_too_late_is_told_to_the_crm(account: Account, storage: Storage) -> None:
    """Who stayed on Microsoft's pages for too long comes back with `result=expired`, and the callback is used up."""
    way = await Way.begin(account)
    callback = await way.to_callback()
    await storage.expire_sign_in(query_of(callback)["state"])

    assert await way.back_in_crm(callback) == {"result": "expired"}
    assert_refused(await way.browser.get(callback))


@pytest.mark.usefixtures("no_token_call")
async def test_declining_is_told_to_the_crm(account: Account) -> None:
    """Cancel on Microsoft's page: `result=declined`, no code, nothing connected."""
    way = await Way.begin(account)

    assert await way.back_in_crm(await way.to_callback("decline")) == {"result": "declined"}
    assert (await account.api.connection(way.user_id)).status_code == 404


@pytest.mark.usefixtures("no_token_call")
@pytest.mark.parametrize(
    ("error", "result"), [("access_denied", "declined"), ("server_error", "failed"), ("", "failed")]
)
async def test_an_answer_without_a_code_is_never_taken_for_one(account: Account, error: str, result: str) -> None:
    """Whatever Microsoft says instead of a code, no completion code comes of it, and its words are not passed on."""
    way = await Way.begin(account)
    callback = await way.to_callback()
    state = query_of(callback)["state"]
    told = f"&error={error}&error_description=secret" if error else ""

    assert await way.back_in_crm(f"{callback.partition('?')[0]}?state={state}{told}") == {"result": result}


async def test_where_an_administrator_is_needed_the_way_to_one_is_told_and_works(account: Account) -> None:
    """`result=admin_consent_required` with an address at which an administrator agrees; then the same person connects."""
    way = await Way.begin(account, needs_admin=True)
    redemptions = account.cloud.entra.redemptions

    told = await way.back_in_crm(await way.to_callback())

    assert told.pop("result") == "admin_consent_required"
    assert set(told) == {"admin_consent_url"}
    assert account.cloud.entra.redemptions == redemptions
    consent = {"admin_consent_url": told["admin_consent_url"], "email": way.person.email, "decision": "accept"}
    agreed = await account.http.post(f"{account.cloud.entra.url}/_lab/admin-consent", json=consent)
    page = await Browser(account.http).get(agreed.json()["redirect_url"])
    assert page.status_code == 200
    assert "Your organisation has approved the app." in page.text
    assert_safe(page)

    way.link, way.browser = await account.sign_in_link(way.user_id), Browser(account.http)
    await way.connects(await way.to_callback())


async def test_an_administrator_who_declines_is_told_so(account: Account) -> None:
    """Nothing was approved: the page says that and claims nothing else."""
    way = await Way.begin(account, needs_admin=True)
    told = await way.back_in_crm(await way.to_callback())
    consent = {"admin_consent_url": told["admin_consent_url"], "email": way.person.email, "decision": "decline"}
    answered = await account.http.post(f"{account.cloud.entra.url}/_lab/admin-consent", json=consent)

    page = await Browser(account.http).get(answered.json()["redirect_url"])

    assert "Nothing was approved." in page.text
    assert_safe(page)
