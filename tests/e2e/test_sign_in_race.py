"""The same step of a sign-in taken many times at the same moment: all have read the same row before the first one writes."""

import asyncio

from tests.e2e.account import Account
from tests.e2e.gateway import Behind, Together
from tests.e2e.way import Way, query_of

AT_ONCE = 5


def account_of(behind: Behind) -> Account:
    """The account on the cloud behind the gateways."""
    return Account(behind.user.cloud, behind.user.api, behind.user.http)


async def test_of_many_callbacks_at_once_one_is_taken(behind: Behind) -> None:
    """One completion code, and it connects; the others are refused."""
    way = await Way.begin(account_of(behind))
    opened = await behind.user.http.get(way.link)
    cookie = opened.headers["set-cookie"].partition(";")[0]
    callback = await way.through_microsoft(opened.headers["location"])
    behind.gateway.table.holds = Together(AT_ONCE, "PUT", "/signins(")

    answers = await asyncio.gather(
        *(behind.user.http.get(callback, headers={"Cookie": cookie}) for _ in range(AT_ONCE))
    )
    behind.user.http.cookies.clear()

    [taken] = [answer for answer in answers if answer.status_code == 302]
    assert sorted(answer.status_code for answer in answers) == [302] + [400] * (AT_ONCE - 1)
    completed = await way.complete(query_of(taken.headers["location"])["completion_code"])
    assert completed.status_code == 200


async def test_a_code_is_redeemed_once_however_often_it_is_completed_at_once(behind: Behind) -> None:
    """One call redeems and connects; the others are told that the code is being used, and get the connection afterwards."""
    way = await Way.begin(account_of(behind))
    code = await way.to_completion_code()
    redemptions = behind.user.cloud.entra.redemptions
    behind.gateway.table.holds = Together(AT_ONCE, "PUT", "/signins(")

    answers = await asyncio.gather(*(way.complete(code) for _ in range(AT_ONCE)))

    assert sorted(answer.status_code for answer in answers) == [200] + [409] * (AT_ONCE - 1)
    assert behind.user.cloud.entra.redemptions == redemptions + 1
    [connected] = [answer.json() for answer in answers if answer.status_code == 200]
    again = await way.complete(code)
    assert (again.status_code, again.json()["connection_id"]) == (200, connected["connection_id"])


async def test_a_link_opened_twice_at_once_is_bound_to_one_browser(behind: Behind) -> None:
    """Of many browsers at the same moment one goes on to Microsoft; it alone could come back."""
    way = await Way.begin(account_of(behind))
    behind.gateway.table.holds = Together(AT_ONCE, "PUT", "/signins(")

    answers = await asyncio.gather(*(behind.user.http.get(way.link) for _ in range(AT_ONCE)))
    behind.user.http.cookies.clear()

    assert sorted(answer.status_code for answer in answers) == [302] + [400] * (AT_ONCE - 1)
