"""
A sign-in with another mailbox that comes to nothing, wherever it ends: the one that is connected goes on as if nobody had tried.

All ways end at the same user, one after the other, so that no remainder of one could be put right by another connection.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import httpx
import pytest
import pytest_asyncio

from tests.cloud.local import LocalCloud
from tests.e2e.account import Connected, Json
from tests.e2e.conversation import users
from tests.e2e.life import Log, sends_and_receives, shown, standing, told_types
from tests.e2e.storage import Storage
from tests.e2e.way import Way, query_of, with_query


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def dana(cloud: LocalCloud, http: httpx.AsyncClient) -> AsyncIterator[Connected]:
    """The user whose mailbox is connected, and stays so."""
    async with users(cloud, http, 1) as [connected]:
        await connected.stage.quiet()
        yield connected


type Ending = Callable[[Connected, Storage], Awaitable[httpx.Response | Json | None]]


async def begun(dana: Connected, expected_email: str | None = None) -> Way:
    """A sign-in of the user's, in which somebody else's mailbox will be named."""
    return await Way.begin(dana, expected_email, user_id=dana.user_id)


async def link_never_opened(dana: Connected, _: Storage) -> None:
    """The CRM asked for a link, and that was all."""
    await begun(dana)


async def left_at_microsoft(dana: Connected, _: Storage) -> None:
    """The person stands in front of Microsoft's page."""
    way = await begun(dana)
    await way.browser.redirected(way.link)


async def left_on_the_way_back(dana: Connected, _: Storage) -> None:
    """Microsoft has said yes; the browser was closed before it came back to us."""
    await (await begun(dana)).to_callback()


async def never_completed(dana: Connected, _: Storage) -> None:
    """The browser is back in the CRM, which does not complete it."""
    await (await begun(dana)).to_completion_code()


async def completed_too_late(dana: Connected, storage: Storage) -> httpx.Response:
    """The CRM completes it after five minutes."""
    way = await begun(dana)
    code = await way.to_completion_code()
    await storage.expire_sign_in(code)
    return await way.complete(code)


async def back_too_late(dana: Connected, storage: Storage) -> Json:
    """The person was at Microsoft for more than ten minutes."""
    way = await begun(dana)
    callback = await way.to_callback()
    await storage.expire_sign_in(query_of(callback)["state"])
    return await way.back_in_crm(callback)


async def declined(dana: Connected, _: Storage) -> Json:
    """Cancel on Microsoft's page."""
    way = await begun(dana)
    return await way.back_in_crm(await way.to_callback("decline"))


async def failed_at_microsoft(dana: Connected, _: Storage) -> Json:
    """Microsoft sends the browser back with an error."""
    way = await begun(dana)
    callback = await way.to_callback()
    state = query_of(callback)["state"]
    return await way.back_in_crm(f"{callback.partition('?')[0]}?state={state}&error=server_error")


async def needs_an_administrator(dana: Connected, _: Storage) -> Json:
    """The organisation lets only an administrator approve the app."""
    person = dana.new_person(admin_consent_required=True)
    way = await Way.begin(dana, user_id=dana.user_id, person=person)
    told = await way.back_in_crm(await way.to_callback())
    assert told.pop("admin_consent_url").startswith(dana.cloud.entra.url)
    return told


async def foreign_code(dana: Connected, _: Storage) -> httpx.Response:
    """Somebody slipped in a code of another sign-in."""
    way, attacker = await begun(dana), await Way.begin(dana)
    injected = query_of(await attacker.to_callback())["code"]
    back = await way.back_in_crm(with_query(await way.to_callback(), code=injected))
    return await way.complete(back["completion_code"])


async def redemption_refused(dana: Connected, _: Storage) -> httpx.Response:
    """Microsoft does not take its own code."""
    way = await begun(dana)
    code = await way.to_completion_code()
    refusal = {"error": "invalid_grant", "error_codes": [70008], "times": 1, "grant_type": "authorization_code"}
    await dana.stage.lab("POST", f"{dana.cloud.entra.url}/_lab/token-error", refusal)
    return await way.complete(code)


async def our_secret_refused(dana: Connected, _: Storage) -> httpx.Response:
    """Microsoft does not take our secret: the operator's matter, and the code stays good."""
    log, way = Log(dana.cloud), await begun(dana)
    code = await way.to_completion_code()
    refusal = {"error": "invalid_client", "error_codes": [7000222], "times": 1, "grant_type": "authorization_code"}
    await dana.stage.lab("POST", f"{dana.cloud.entra.url}/_lab/token-error", refusal)
    answer = await way.complete(code)
    assert len(log.alarms) == 1
    return answer


async def another_mailbox_than_expected(dana: Connected, _: Storage) -> httpx.Response:
    """Somebody else's mailbox than the one the CRM asked for."""
    way = await begun(dana, expected_email=dana.email)
    return await way.complete(await way.to_completion_code())


async def mailbox_without_licence(dana: Connected, _: Storage) -> httpx.Response:
    """An account that never had a mailbox."""
    way = await Way.begin(dana, user_id=dana.user_id, person=dana.new_person(mailbox="none"))
    return await way.complete(await way.to_completion_code())


async def inactive_mailbox(dana: Connected, _: Storage) -> httpx.Response:
    """An account whose mailbox is not active any more."""
    way = await Way.begin(dana, user_id=dana.user_id, person=dana.new_person(mailbox="inactive"))
    return await way.complete(await way.to_completion_code())


@dataclass(frozen=True)
class End:
    """
    How a sign-in ends.

    answer: what the browser brings back, or the status and code the CRM gets; None for one that nobody brings to an end.
    outcome: what the connection shows of it afterwards; `before` for nothing new.
    """

    answer: Json | tuple[int, str] | None = None
    outcome: Literal["before", "declined", "expired", "failed", "wrong_mailbox", "admin_consent_required"] = "before"


#: The ways to nothing, and what is told of each.
ENDS: dict[Ending, End] = {
    link_never_opened: End(),
    left_at_microsoft: End(),
    left_on_the_way_back: End(),
    never_completed: End(),
    completed_too_late: End((410, "completion_code_expired")),
    back_too_late: End({"result": "expired"}, "expired"),
    declined: End({"result": "declined"}, "declined"),
    failed_at_microsoft: End({"result": "failed"}, "failed"),
    needs_an_administrator: End({"result": "admin_consent_required"}, "admin_consent_required"),
    foreign_code: End((409, "sign_in_failed"), "failed"),
    redemption_refused: End((409, "sign_in_failed"), "failed"),
    our_secret_refused: End((503, "operator_attention_needed")),
    another_mailbox_than_expected: End((409, "wrong_mailbox"), "wrong_mailbox"),
    mailbox_without_licence: End((409, "sign_in_failed"), "failed"),
    inactive_mailbox: End((409, "sign_in_failed"), "failed"),
}


@pytest.mark.parametrize("ending", ENDS, ids=lambda ending: ending.__name__)
async def test_a_sign_in_that_comes_to_nothing_changes_nothing(
    dana: Connected, storage: Storage, ending: Ending
) -> None:
    """Connection, subscription, tokens and both directions of the sync are as before; how it ended is told beside them."""
    before, told_before, sign_in = await standing(dana, storage), told_types(dana), (await shown(dana)).get("sign_in")

    answer = await ending(dana, storage)
    await dana.stage.quiet()

    end = ENDS[ending]
    if isinstance(answer, httpx.Response):
        assert (answer.status_code, answer.json()["code"]) == end.answer
    else:
        assert answer == end.answer
    assert await standing(dana, storage) == before
    assert told_types(dana) == told_before
    if end.outcome == "before":
        assert (await shown(dana)).get("sign_in") == sign_in
    else:
        assert (await shown(dana))["sign_in"]["outcome"] == end.outcome
    await sends_and_receives(dana)
