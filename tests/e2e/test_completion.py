"""The last step of a sign-in is the CRM's: only it knows who sits there, and only the right user's code connects anything."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.e2e.account import Account, unique
from tests.e2e.storage import Storage
from tests.e2e.way import Way


async def test_a_completion_code_is_of_use_to_its_own_user_alone(account: Account) -> None:
    """Another user, another account: 404 as for a code that never was, no token call; the right user still connects."""
    way = await Way.begin(account)
    code = await way.to_completion_code()
    redemptions = account.cloud.entra.redemptions

    async with account.cloud.api(unique("other")) as elsewhere:
        refused = [
            await account.api.complete(unique("mallory"), code),
            await elsewhere.complete(way.user_id, code),
            await account.api.complete(way.user_id, "never.was"),
        ]

    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(404, "completion_code_unknown")}
    assert len({answer.json()["detail"] for answer in refused}) == 1
    assert account.cloud.entra.redemptions == redemptions
    assert (await way.complete(code)).status_code == 200


@pytest.mark.parametrize(
    "garbage", ["", ".", "x", "x.", ".x", "../x.y", "x' or '1' eq '1.y", "ü.y", "a" * 100 + ".y", "x.y\n", "\u0000.x", "x#?/\\.y"]
)  # fmt: skip
async def test_garbage_is_no_completion_code(account: Account, garbage: str) -> None:
    """404, in the words for every unknown code."""
    redemptions = account.cloud.entra.redemptions

    answer = await account.api.complete(unique("dana"), garbage)

    assert (answer.status_code, answer.json()["code"]) == (404, "completion_code_unknown")
    assert account.cloud.entra.redemptions == redemptions


@pytest.mark.parametrize("spoil", ["last character", "more behind", "another secret"])
async def test_an_altered_code_is_none(account: Account, spoil: str) -> None:
    """The id in front of a code is no secret, and worth nothing without the rest."""
    way = await Way.begin(account)
    code = await way.to_completion_code()
    altered = {
        "last character": code[:-1] + ("A" if code[-1] != "A" else "B"),
        "more behind": code + "x",
        "another secret": f"{code.partition('.')[0]}.{'x' * 43}",
    }[spoil]

    assert (await way.complete(altered)).status_code == 404
    assert (await way.complete(code)).status_code == 200


async def test_an_old_code_has_expired(account: Account, storage: Storage) -> None:
    """410, no token call: the user has to sign in again, and nothing was connected."""
    way = await Way.begin(account)
    code = await way.to_completion_code()
    redemptions = account.cloud.entra.redemptions
    await storage.expire_sign_in(code)

    answer = await way.complete(code)

    assert (answer.status_code, answer.json()["code"]) == (410, "completion_code_expired")
    assert account.cloud.entra.redemptions == redemptions
    assert (await account.api.connection(way.user_id)).status_code == 404


async def test_another_mailbox_than_expected_connects_nothing(account: Account, storage: Storage) -> None:
    """409 `wrong_mailbox`; no connection, no event, nothing stored, and the code is used up."""
    way = await Way.begin(account, expected_email="somebody.else@company.example")
    code = await way.to_completion_code()

    answer = await way.complete(code)

    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_mailbox")
    assert (await account.api.connection(way.user_id)).status_code == 404
    assert await account.feed() == []
    assert (await way.complete(code)).status_code == 410


@pytest.mark.parametrize("written", ["{email}", "{EMAIL}", "{alias}"])
async def test_the_expected_mailbox_connects_by_any_of_its_addresses(account: Account, written: str) -> None:
    """Letter case does not matter, nor whether the CRM knows the person by an alias."""
    way = await Way.begin(account)
    alias = f"alias.{way.person.email}"
    account.cloud.directory.add(way.person.email, way.person.name, [alias])
    expected = written.format(email=way.person.email, EMAIL=way.person.email.upper(), alias=alias)
    way.link = await account.sign_in_link(way.user_id, expected)

    await way.connects(await way.to_callback())


async def test_the_tokens_behind_a_connection_are_sealed(account: Account, storage: Storage) -> None:
    """What is stored of a sign-in shows nothing of it: no token, no address, no client secret."""
    way = await Way.begin(account)
    completed = await way.complete(await way.to_completion_code())

    stored = await storage.tokens_of(completed.json()["connection_id"])

    assert stored is not None
    secrets = [way.person.email, "refresh_token", "AccessToken", account.cloud.app_settings["ENTRA_CLIENT_SECRET"]]
    assert not [secret for secret in secrets if secret.encode() in stored]


@pytest.mark.parametrize(
    "return_url",
    [
        "https://evil.example/",
        "{origin}.evil.example/",
        "{origin}@evil.example/",
        "http://evil.example#{origin}/",
        "http://evil.example/?{origin}/",
        "http://evil.example\\@{host}/",
        "http://user@{host}/",
        "http://user:word@{host}/",
        "//{host}/",
        "/connected",
        "{host}/connected",
        "javascript:alert(1)//{origin}",
        "data:text/html,{origin}",
        "ftp://{host}/",
        "https://{host}/",
        "http://127.0.0.1:1/",
        "http://127.0.0.1/",
        "http://localhost:{port}/",
        "http://2130706433:{port}/",
        "http://127.0.0.1:{port}x/",
        "http://127.0.0.1:99999/",
        "http://[::1/",
        "{origin}/\r\nSet-Cookie: a=b",
        "{origin}/\tconnected",
        " {origin}/connected",
        "{origin}/connected ",
        "\u0000{origin}/connected",
        "{origin}/ünsafe",
        "{origin}\\evil",
        "http:{origin}",
        "http:///{host}/",
        "https://crm.example.evil.example/",
        "https://crm.examplex/",
        "https://www.crm.example/",
        "https://crm.example@evil.example/",
        "https://crm.example:8443/",
        "https://crm.example%2eevil.example/",
        "https://crm.example%00.evil.example/",
        "https://evil.example/https://crm.example/",
        "https:crm.example",
        "http://crm.example/",
        "//crm.example/",
        "crm.example",
        "",
        "x" * 3_000,
    ],
)
async def test_the_browser_is_led_back_to_the_crm_and_nowhere_else(account: Account, return_url: str) -> None:
    """An address that is not on an allowed origin, or that a browser may read differently from us, is a 422; no link is made."""
    origin = account.cloud.crm.url
    host, port = urlsplit(origin).netloc, str(urlsplit(origin).port)
    asked = return_url.replace("{origin}", origin).replace("{host}", host).replace("{port}", port)

    answer = await account.api.start_sign_in(unique("dana"), asked)

    assert answer.status_code == 422
    assert answer.json()["code"] in {"return_url_not_allowed", "invalid_request"}


@pytest.mark.parametrize("return_url", ["https://crm.example", "HTTPS://CRM.Example:443/connected?a=1#b", "{origin}/"])
async def test_one_address_written_in_several_ways_is_one_origin(account: Account, return_url: str) -> None:
    """Letter case of scheme and host, and the default port, make no difference."""
    answer = await account.api.start_sign_in(unique("dana"), return_url.replace("{origin}", account.cloud.crm.url))

    assert answer.status_code == 201


@pytest.mark.parametrize(
    "path", ["", "/", "/connected?a=1&b=%2F%3F", "/connected#tab", "/connected?result=ok#tab", "?x"]
)
async def test_what_the_return_url_holds_is_kept(account: Account, path: str) -> None:
    """Path, query and fragment come back as they were; result and code are added to the query, before the fragment."""
    way = await Way.begin(account)
    return_url = f"{account.cloud.crm.url}{path}"
    way.link = (await account.api.start_sign_in(way.user_id, return_url)).json()["sign_in_url"]

    back = urlsplit(await way.browser.redirected(await way.to_callback()))

    asked = urlsplit(return_url)
    assert (back.scheme, back.netloc, back.fragment) == (asked.scheme, asked.netloc, asked.fragment)
    assert back.path.removesuffix("/") == asked.path.removesuffix("/")
    added = back.query.removeprefix(asked.query).removeprefix("&")
    assert [name for name, _ in parse_qsl(added)] == ["result", "completion_code"]
