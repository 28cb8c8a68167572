"""The account's own email provider as the CRM sets it: checked at its server first, shown without the password, removed."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.cloud.crm_api import CrmApi
from tests.cloud.local import LocalCloud
from tests.cloud.smtp import Reply
from tests.e2e.account import Json, unique
from tests.e2e.storage import Storage
from tests.e2e.witness import problem_of

PASSWORD = "pässwörd-0f7c"


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def quiet_server(cloud: LocalCloud) -> AsyncIterator[None]:
    """The server's scripted answers are this test's alone."""
    yield
    cloud.smtp.reset()


def provider(cloud: LocalCloud, **changes: Any) -> Json:
    """A provider at the local cloud's SMTP server."""
    given: Json = {
        "host": "127.0.0.1",
        "port": cloud.smtp.port,
        "security": "starttls",
        "username": "apikey",
        "password": PASSWORD,
        "from": {"address": "offers@crm.example", "name": "Offers"},
        "domains": ["CRM.example", "bücher.example"],
    }
    return {name: value for name, value in (given | changes).items() if value is not None}


async def refused(api: CrmApi, body: Json) -> Json:
    """The problem that a provider is refused with."""
    answer = await api.put_provider(body)
    assert answer.status_code == 422, answer.text
    assert PASSWORD not in answer.text
    return problem_of(answer)


async def test_a_provider_is_set_shown_and_removed(cloud: LocalCloud, api: CrmApi) -> None:
    """By STARTTLS with a login; the password comes back nowhere, and nothing was sent."""
    assert (await api.provider()).status_code == 404

    put = await api.put_provider(provider(cloud))

    assert put.status_code == 200, put.text
    shown = put.json()
    checked_at = shown.pop("checked_at")
    assert checked_at.endswith("Z")
    assert shown == {
        "host": "127.0.0.1",
        "port": cloud.smtp.port,
        "security": "starttls",
        "username": "apikey",
        "from": {"address": "offers@crm.example", "name": "Offers"},
        "domains": ["crm.example", "xn--bcher-kva.example"],
    }
    assert (await api.provider()).json() == shown | {"checked_at": checked_at}
    # The server keeps what other accounts sent through it.
    assert [mail for mail in cloud.smtp.messages if mail.mail_from == shown["from"]["address"]] == []

    for _ in range(2):
        gone = await api.delete_provider()
        assert (gone.status_code, gone.content) == (204, b"")
        assert (await api.provider()).status_code == 404


async def test_another_account_sees_nothing_of_it(cloud: LocalCloud, api: CrmApi) -> None:
    """Neither shown nor removed by anybody else."""
    await api.put_provider(provider(cloud))
    async with cloud.api(unique("other")) as other:
        assert problem_of(await other.provider())["code"] == "not_found"
        assert (await other.delete_provider()).status_code == 204
    assert (await api.provider()).status_code == 200


async def test_the_password_is_sealed_where_it_is_stored(cloud: LocalCloud, api: CrmApi, storage: Storage) -> None:
    """Nobody who can read the storage can log in with it."""
    await api.put_provider(provider(cloud))
    row = await storage.provider_row(api.account_id)
    stored = json.loads(row["doc0"])
    assert stored["username"] == "apikey"
    assert stored["password"] not in ("", PASSWORD)
    assert not any(PASSWORD in text for text in (str(row), str(stored)))


@pytest.mark.parametrize(
    "changes",
    [
        {"username": None, "password": None},
        {"host": "localhost"},
        {"security": "none", "username": None, "password": None},
        {"security": "none", "username": None, "password": None, "host": "localhost", "domains": None},
        {"from": {"address": "offers@crm.example"}},
    ],
)
async def test_ways_to_a_server(cloud: LocalCloud, api: CrmApi, changes: Json) -> None:
    """With and without a login, by name and by address, and unencrypted on this machine alone."""
    put = await api.put_provider(provider(cloud, **changes))
    assert put.status_code == 200, put.text
    shown = put.json()
    assert shown["username"] == provider(cloud, **changes).get("username")
    assert shown["from"]["name"] == provider(cloud, **changes)["from"].get("name")


async def test_tls_from_the_first_byte(cloud: LocalCloud, api: CrmApi) -> None:
    """On its port; on that of STARTTLS it fails, and the refusal says to look at both."""
    put = await api.put_provider(provider(cloud, port=cloud.smtp.tls_port, security="tls"))
    assert put.status_code == 200, put.text
    problem = await refused(api, provider(cloud, security="tls"))
    assert (problem["code"], problem["stage"], problem["server_reply"]) == ("provider_check_failed", "tls", None)
    assert "starttls on 587, tls on 465" in problem["detail"]


async def test_a_wrong_password_is_told_in_the_servers_words(cloud: LocalCloud, api: CrmApi) -> None:
    """And what was set before stays."""
    before = (await api.put_provider(provider(cloud))).json()
    await cloud.functions.idle()  # the next login is this test's
    cloud.smtp.script(Reply(command="AUTH", reply="535 5.7.8 Bad credentials for apikey"))

    problem = await refused(api, provider(cloud, domains=["other.example"]))

    assert (problem["code"], problem["stage"]) == ("provider_check_failed", "login")
    assert problem["server_reply"] == "535 5.7.8 Bad credentials for apikey"
    assert "username and password" in problem["detail"]
    assert problem["retryable"] is False
    assert (await api.provider()).json() == before


@pytest.mark.parametrize(
    ("host", "stage"),
    [
        ("10.0.0.1", "address"),
        ("169.254.169.254", "address"),
        ("168.63.129.16", "address"),
        ("::1", "address"),
        ("::ffff:10.0.0.1", "address"),
        ("64:ff9b::a00:1", "address"),
        ("nobody.invalid", "address"),
    ],
)
async def test_an_address_inside_is_refused(cloud: LocalCloud, api: CrmApi, host: str, stage: str) -> None:
    """An account can't make the app talk to the network it runs in."""
    problem = await refused(api, provider(cloud, host=host))
    assert (problem["code"], problem["stage"], problem["server_reply"]) == ("provider_check_failed", stage, None)
    assert "Nothing was stored." in problem["detail"]
    assert (await api.provider()).status_code == 404


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"host": "https://smtp.example"}, "host"),
        ({"host": "smtp.example:587"}, "host"),
        ({"host": ""}, "host"),
        ({"host": "a\r\nb"}, "host"),
        ({"port": 0}, "port"),
        ({"port": 65_536}, "port"),
        ({"port": "587"}, "port"),
        ({"security": "ssl"}, "security"),
        ({"security": "none", "host": "smtp.example"}, "security"),
        ({"username": None}, "username"),
        ({"password": None}, "password"),
        ({"password": "a\nb"}, "password"),
        ({"username": "a\x00b"}, "username"),
        ({"from": {"address": "nobody"}}, "from.address"),
        ({"from": {"address": "a@crm.example", "name": "a\r\nBcc: e@x.example"}}, "from.name"),
        ({"from": None}, "from"),
        ({"domains": ["a@b.example"]}, "domains[0]"),
        ({"domains": ["ok.example", "*.example"]}, "domains[1]"),
        ({"domains": [f"d{i}.example" for i in range(101)]}, "domains"),
        ({"reply_to": "x"}, "reply_to"),
    ],
)
async def test_a_field_that_can_t_be_used_is_named(cloud: LocalCloud, api: CrmApi, changes: Json, field: str) -> None:
    """Before any server is asked."""
    problem = await refused(api, provider(cloud, **changes))
    assert problem["code"] == "invalid_request"
    assert [wrong["field"] for wrong in problem["errors"]] == [field]
