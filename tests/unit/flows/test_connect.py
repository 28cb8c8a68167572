"""Connecting: one person, one browser, one user of the CRM from link to connection, and what can come in between."""

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest

from sync.domain.connection import Connection, State
from sync.domain.errors import (
    CompletionCodeExpired,
    CompletionCodeUnknown,
    OperatorAlarm,
    ReturnUrlNotAllowed,
    SignInFailed,
    SignInLinkUnusable,
    SyncError,
    Unclear,
    WrongMailbox,
)
from sync.domain.sign_in import COMPLETION_LIFETIME, LINK_LIFETIME
from tests.unit.flows.conftest import DANA
from tests.unit.flows.world import ACCOUNT, RETURN_URL, World

BOB = "bob@crm.example"


def result(location: str) -> dict[str, str]:
    """What the browser brings back to the CRM."""
    assert location.startswith(RETURN_URL)
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


async def link(world: World, expected_email: str = "") -> str:
    """The token of a new sign-in link."""
    url, _ = await world.connect.begin(ACCOUNT, "u1", RETURN_URL, expected_email=expected_email)
    return url.rpartition("/")[2]


async def complete(world: World, code: str, user_id: str = "u1", account_id: str = ACCOUNT) -> Connection:
    return await world.connect.complete(account_id, user_id, code)


async def test_a_sign_in_ends_in_a_watched_connection(world: World) -> None:
    """From the link to `connection.connected`: whose mailbox it is, its state, and a subscription with our secret word."""
    connection = await world.connected(DANA)

    assert connection.state is State.CONNECTED
    assert connection.mailbox.email == DANA
    assert connection.mailbox.identity == ("tenant-crm.example", "oid-dana")
    assert connection.mailbox.own_addresses == {DANA, "d.doe@crm.example"}
    assert await world.told() == ["connection.connected"]
    (held,) = world.subscriptions.open_ones.values()
    assert held.client_state.startswith(connection.connection_id + ".")


async def test_a_return_address_elsewhere_is_refused_before_anything_is_stored(world: World) -> None:
    """A sign-in can't be used to send a browser to a stranger's site."""
    with pytest.raises(ReturnUrlNotAllowed):
        await world.connect.begin(ACCOUNT, "u1", "https://evil.example/")
    assert world.faults.calls == []


async def test_nothing_secret_is_stored_in_the_open(world: World) -> None:
    """Of link, browser, state, code and flow the row holds hashes or sealed text; an ended sign-in holds nothing of them."""
    token = await link(world)
    opened = await world.connect.open_link(token)
    answer = world.entra.sign_in(opened.location, DANA)
    back = await world.connect.park(answer, opened.binding)
    code = result(back.location)["completion_code"]
    sign_in_id = code.partition(".")[0]
    parked = str(await world.sign_ins.get(sign_in_id))
    for secret in (token, opened.binding, answer["code"], answer["state"], code, "verifier-"):
        assert secret not in parked

    await complete(world, code)
    redeemed = await world.sign_ins.get(sign_in_id)
    assert redeemed is not None
    assert redeemed.sealed_code == redeemed.sealed_flow == ""


async def test_a_link_may_be_opened_again_but_only_the_last_browser_comes_through(world: World) -> None:
    """A link preview or a second click does no harm: the callback fits the browser that opened the link last."""
    token = await link(world)
    first = await world.connect.open_link(token)
    second = await world.connect.open_link(token)
    with pytest.raises(SignInLinkUnusable):
        await world.connect.park(world.entra.sign_in(first.location, DANA), first.binding)
    back = await world.connect.park(world.entra.sign_in(second.location, DANA), second.binding)
    assert result(back.location)["result"] == "ok"


@pytest.mark.parametrize("forged", ["", "x", "unknown.secret", ".", "a/b.secret"])
async def test_a_link_that_was_never_given_opens_nothing(world: World, forged: str) -> None:
    """Whatever it looks like, it is refused alike."""
    with pytest.raises(SignInLinkUnusable):
        await world.connect.open_link(forged)


async def test_a_link_ends_after_its_time_and_after_its_use(world: World) -> None:
    """Ten minutes, or the first callback."""
    used = await link(world)
    opened = await world.connect.open_link(used)
    await world.connect.park(world.entra.sign_in(opened.location, DANA), opened.binding)
    with pytest.raises(SignInLinkUnusable):
        await world.connect.open_link(used)

    late = await link(world)
    world.clock.advance(LINK_LIFETIME)
    with pytest.raises(SignInLinkUnusable):
        await world.connect.open_link(late)


async def test_a_callback_counts_once_and_only_in_the_browser_that_opened_the_link(world: World) -> None:
    """Without the cookie, with another's, with another state, or a second time: refused, and nothing is parked."""
    opened = await world.connect.open_link(await link(world))
    other = await world.connect.open_link(await link(world))
    answer = world.entra.sign_in(opened.location, DANA)
    for binding in ("", "x", other.binding):
        with pytest.raises(SignInLinkUnusable):
            await world.connect.park(answer, binding)
    for state in ("", answer["state"] + "x", answer["state"].partition(".")[0] + ".x"):
        with pytest.raises(SignInLinkUnusable):
            await world.connect.park({**answer, "state": state}, opened.binding)

    await world.connect.park(answer, opened.binding)
    with pytest.raises(SignInLinkUnusable):
        await world.connect.park(answer, opened.binding)


async def test_a_callback_after_the_time_says_expired(world: World) -> None:
    """The browser goes back to the CRM with the reason; the code is not kept."""
    opened = await world.connect.open_link(await link(world))
    answer = world.entra.sign_in(opened.location, DANA)
    world.clock.advance(LINK_LIFETIME)
    back = await world.connect.park(answer, opened.binding)
    assert result(back.location) == {"result": "expired"}


async def test_a_person_who_declines_comes_back_with_that_result(world: World) -> None:
    """And the sign-in has ended: its link opens nothing."""
    token = await link(world)
    opened = await world.connect.open_link(token)
    back = await world.connect.park(world.entra.sign_in(opened.location, DANA, "decline"), opened.binding)
    assert result(back.location) == {"result": "declined"}
    with pytest.raises(SignInLinkUnusable):
        await world.connect.open_link(token)


async def test_where_an_administrator_has_to_consent_the_crm_gets_the_link_for_that(world: World) -> None:
    """The result names it, with Microsoft's page for the administrator."""
    world.people[DANA].admin_consent_required = True
    opened = await world.connect.open_link(await link(world))
    back = await world.connect.park(world.entra.sign_in(opened.location, DANA), opened.binding)
    told = result(back.location)
    assert told["result"] == "admin_consent_required"
    assert told["admin_consent_url"].startswith("https://entra.example/adminconsent")


@pytest.mark.parametrize(
    ("account_id", "user_id"), [(ACCOUNT, "u2"), ("other", "u1")], ids=["another user", "another account"]
)
async def test_nobody_completes_the_sign_in_of_another(world: World, account_id: str, user_id: str) -> None:
    """Their code looks to others like none at all, Microsoft is not asked, and its owner can still use it."""
    code = await world.completion_code(DANA)
    with pytest.raises(CompletionCodeUnknown):
        await complete(world, code, user_id, account_id)
    assert world.faults.count("entra.redeem") == 0
    assert (await complete(world, code)).user_id == "u1"


async def test_a_completion_code_ends_after_its_time(world: World) -> None:
    """Later than that, Microsoft is not asked any more."""
    code = await world.completion_code(DANA)
    world.clock.advance(COMPLETION_LIFETIME)
    with pytest.raises(CompletionCodeExpired):
        await complete(world, code)
    assert world.faults.count("entra.redeem") == 0


async def test_completing_again_gives_the_same_connection(world: World) -> None:
    """A CRM that lost the answer asks again: same connection, one redemption; once deleted and connected anew it is spent."""
    code = await world.completion_code(DANA)
    first = await complete(world, code)
    assert (await complete(world, code)).connection_id == first.connection_id
    assert world.faults.count("entra.redeem") == 1

    await world.disconnect.delete(ACCOUNT, "u1")
    await world.connected(DANA)
    with pytest.raises(CompletionCodeExpired):
        await complete(world, code)


async def test_of_two_completions_at_once_one_redeems(world: World) -> None:
    """The other is told that the code is in use; afterwards it would get the connection."""
    code = await world.completion_code(DANA)
    ends = await asyncio.gather(complete(world, code), complete(world, code), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["CompletionInProgress", "Connection"]
    assert world.faults.count("entra.redeem") == 1
    assert (await complete(world, code)).user_id == "u1"


@pytest.mark.parametrize("error", [Unclear("no answer"), OperatorAlarm()], ids=["down", "does not know us"])
async def test_where_microsoft_is_not_there_the_same_code_works_later(world: World, error: SyncError) -> None:
    """The authorization code was not used, so that the user need not sign in again."""
    code = await world.completion_code(DANA)
    world.faults.fail("entra.redeem", error)
    with pytest.raises(type(error)):
        await complete(world, code)
    assert (await complete(world, code)).mailbox.email == DANA


@pytest.mark.parametrize("missing", ["mail.send", "mail.readwrite"])
async def test_a_permission_that_was_not_granted_fails_the_sign_in(world: World, missing: str) -> None:
    """Nothing is connected and nothing stored; the code is spent."""
    world.people[DANA].scopes -= {missing}
    await fails(world, SignInFailed)


async def test_an_account_without_a_mailbox_fails_the_sign_in(world: World) -> None:
    """A directory account need not have Exchange."""
    world.people[DANA].has_mailbox = False
    await fails(world, SignInFailed)


async def test_another_mailbox_than_expected_fails_the_sign_in(world: World) -> None:
    """The CRM asked for Bob's and Dana signed in."""
    await fails(world, WrongMailbox, expected_email=BOB)


async def fails(world: World, error: type[SyncError], expected_email: str = "") -> None:
    """Dana's sign-in ends with this error, and leaves nothing."""
    code = await world.completion_code(DANA, expected_email=expected_email)
    with pytest.raises(error):
        await complete(world, code)
    with pytest.raises(CompletionCodeExpired):
        await complete(world, code)
    assert await world.connections.of_user(ACCOUNT, "u1") is None
    assert world.tokens.stored == {}


@pytest.mark.parametrize("expected", [DANA, "DANA@crm.example", "d.doe@crm.example", " dana@crm.example "])
async def test_any_of_the_mailboxs_own_addresses_is_the_expected_one(world: World, expected: str) -> None:
    """In any case, and an alias counts."""
    code = await world.completion_code(DANA, expected_email=expected)
    assert (await complete(world, code)).mailbox.email == DANA
