"""
What no user can mend: the app's own registration is refused, or an administrator has to approve it first.

The operator is told by an alarm in the log, and work waits; an administrator by a link that the CRM can show at any time.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from sync.jobs import CatchUp, MailChange, SendMail, WatchMailbox
from tests.cloud.local import LocalCloud
from tests.cloud.sign_in import Browser
from tests.e2e.account import Account, Connected, unique
from tests.e2e.conversation import answers, at_rest, left, synced, told
from tests.e2e.life import Log, last_told, needs_new_token, promised, run_now, sends_and_receives, shown, told_types
from tests.e2e.storage import Storage
from tests.e2e.way import Way
from tests.e2e.witness import problem_of


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cloud() -> AsyncIterator[LocalCloud]:
    """The cloud of this file: with a secret that is refused, whoever needs a token there sounds the alarm."""
    async with LocalCloud() as own:
        yield own


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def storage(cloud: LocalCloud) -> AsyncIterator[Storage]:
    """Its tables, blobs and queues."""
    async with Storage(cloud.azurite.connection_string) as opened:
        yield opened


@contextlib.asynccontextmanager
async def secret(of: Account, state: str) -> AsyncIterator[None]:
    """The app's client secret is `wrong` or `expired` for a while, for everybody."""
    url = f"{of.cloud.entra.url}/_lab/client-secret"
    (await of.http.post(url, json={"state": state})).raise_for_status()
    try:
        yield
    finally:
        (await of.http.post(url, json={"state": "good"})).raise_for_status()


@pytest.mark.parametrize("state", ["wrong", "expired"])
async def test_while_our_secret_is_refused_work_waits_and_no_user_is_asked_for_anything(
    connected: Connected, storage: Storage, state: str
) -> None:
    """With a good secret the work that waited is done: mail that came meanwhile is told once, the email leaves once."""
    thread = await connected.sent()
    await at_rest(connected)
    before, log = last_told(connected), Log(connected.cloud)
    await needs_new_token(connected)
    async with secret(connected, state):
        answer = await answers(connected, thread)
        accepted = (await connected.api.send(connected.mail(), unique("key"))).json()["messages"][0]
        await at_rest(connected)
        await run_now(connected, WatchMailbox(connected.connection_id, "reauthorizationRequired"))
        await run_now(connected, CatchUp(connected.connection_id))

        assert (await shown(connected))["state"] == "connected"
        assert "problem" not in await shown(connected)
        assert told_types(connected, before) == []
        assert log.alarms
        assert await promised(storage, SendMail(connected.account_id, accepted["message_id"]))
        assert not [line for line in log.lines("WARNING") if "sign-in refused" in line]

    # Five minutes later:
    await run_now(connected, MailChange(connected.connection_id, answer.graph_id, tries=1))
    await run_now(connected, SendMail(connected.account_id, accepted["message_id"]))
    assert (await synced(connected, answer))["thread_id"] == thread["thread_id"]
    await connected.heard("message.sent", before)
    await at_rest(connected)
    assert sorted(told(connected, accepted["thread_id"])) == [("message.sent", accepted["message_id"])]
    assert len(left(connected)) == 2
    assert sorted(told_types(connected, before)) == ["message.sent", "message.synced"]
    await sends_and_receives(connected)


async def email(who: Connected) -> None:
    """An email that is to leave."""
    await who.api.send(who.mail(), unique("key"))


async def renewal(who: Connected) -> None:
    """Graph asks for a renewal."""
    await run_now(who, WatchMailbox(who.connection_id, "reauthorizationRequired"))


async def look_through_the_mailbox(who: Connected) -> None:
    """The look that comes every quarter of an hour."""
    await run_now(who, CatchUp(who.connection_id))


@pytest.mark.parametrize("first", [email, renewal, look_through_the_mailbox], ids=lambda first: first.__name__)
async def test_the_alarm_says_what_to_look_at(
    connected: Connected, first: Callable[[Connected], Awaitable[None]]
) -> None:
    """In the words of the log line, whichever call is the first to be refused: Microsoft's number, and our settings."""
    log = Log(connected.cloud)
    await needs_new_token(connected)

    async with secret(connected, "expired"):
        await first(connected)
        await connected.cloud.functions.idle()

    [alarm] = log.alarms
    assert "AADSTS7000222" in alarm
    assert "ENTRA_CLIENT_ID" in alarm
    assert (await shown(connected))["state"] == "connected"
    # With a token again: the look through the mailbox comes back in a minute, and the secret of another test may be refused then.
    await sends_and_receives(connected)


async def test_nobody_is_asked_to_sign_in_while_the_secret_is_refused(account: Account) -> None:
    """A sign-in that can't be redeemed for that reason is kept: the same code completes it once the secret is good."""
    way, log = await Way.begin(account), Log(account.cloud)
    code = await way.to_completion_code()
    async with secret(account, "expired"):
        refused = await way.complete(code)

    problem = problem_of(refused)
    assert (problem["status"], problem["code"], problem["retryable"]) == (503, "operator_attention_needed", True)
    assert "AADSTS" not in json.dumps(problem)
    assert int(refused.headers["retry-after"]) > 0
    assert log.alarms
    completed = await way.complete(code)
    assert (completed.status_code, completed.json()["email"]) == (200, way.person.email)


async def test_who_waits_for_an_administrator_is_told_so_until_it_is_approved(account: Account) -> None:
    """
    The CRM finds it where it asks for the connection, which there is none of yet, with the link for the administrator.

    Once approved that is said in its place, and once connected nothing of it is left.
    """
    way = await Way.begin(account, needs_admin=True)
    assert "sign_in" not in (await account.api.connection(way.user_id)).json()
    brought_back = await way.back_in_crm(await way.to_callback())
    assert brought_back["result"] == "admin_consent_required"

    none_yet = await account.api.connection(way.user_id)
    waiting = none_yet.json().pop("sign_in")
    assert (none_yet.status_code, none_yet.json()["code"]) == (404, "not_found")
    assert waiting["outcome"] == "admin_consent_required"
    assert waiting["admin_consent_url"] == brought_back["admin_consent_url"]
    assert await _answered(account, way, "decline") == "Nothing was approved."
    assert (await account.api.connection(way.user_id)).json()["sign_in"] == waiting

    assert await _answered(account, way, "accept") == "Your organisation has approved the app."
    approved = (await account.api.connection(way.user_id)).json()["sign_in"]
    assert set(approved) == {"outcome", "at"}
    assert approved["outcome"] == "admin_consented"
    assert approved["at"] > waiting["at"]

    connection = await account.connect(way.user_id, way.person.email)
    assert "sign_in" not in connection
    assert told_types(account) == ["connection.connected"]


async def _answered(account: Account, way: Way, decision: str) -> str:
    """What an administrator reads who opened the link that the CRM shows, and pressed this."""
    shown_link = (await account.api.connection(way.user_id)).json()["sign_in"]["admin_consent_url"]
    pressed = {"admin_consent_url": shown_link, "email": way.person.email, "decision": decision}
    decided = await account.http.post(f"{account.cloud.entra.url}/_lab/admin-consent", json=pressed)
    page = await Browser(account.http).get(decided.json()["redirect_url"])
    assert page.status_code == 200
    return page.text.partition("<p>")[2].partition(".")[0] + "."


async def test_an_approval_that_somebody_made_up_opens_nothing(account: Account) -> None:
    """Microsoft's redirect proves nothing: at most it changes what one user reads, and a sign-in is refused as before."""
    way = await Way.begin(account, needs_admin=True)
    link = (await way.back_in_crm(await way.to_callback()))["admin_consent_url"]
    state = link.partition("state=")[2].partition("&")[0]
    callback = f"{account.cloud.functions_url}/oauth/callback"

    for made_up in (f"admin_consent=True&state={state}x", "admin_consent=True", f"admin_consent=maybe&state={state}"):
        assert (await account.http.get(f"{callback}?{made_up}")).status_code == 200
        still = (await account.api.connection(way.user_id)).json()["sign_in"]
        assert still["outcome"] == "admin_consent_required"

    await account.http.get(f"{callback}?admin_consent=True&state={state}&tenant=x")
    assert (await account.api.connection(way.user_id)).json()["sign_in"]["outcome"] == "admin_consented"
    again = await Way.begin(account, user_id=way.user_id, person=way.person)
    assert (await again.back_in_crm(await again.to_callback()))["result"] == "admin_consent_required"


async def test_an_approval_counts_on_whichever_link_it_was_given(account: Account) -> None:
    """The user has tried again since the link was passed on: the administrator approves the app, not one attempt."""
    first = await Way.begin(account, needs_admin=True)
    link = (await first.back_in_crm(await first.to_callback()))["admin_consent_url"]
    again = await Way.begin(account, user_id=first.user_id, person=first.person)
    await again.back_in_crm(await again.to_callback())

    consent = {"admin_consent_url": link, "email": first.person.email, "decision": "accept"}
    decided = await account.http.post(f"{account.cloud.entra.url}/_lab/admin-consent", json=consent)
    await Browser(account.http).get(decided.json()["redirect_url"])

    assert (await account.api.connection(first.user_id)).json()["sign_in"]["outcome"] == "admin_consented"


async def test_an_update_that_needs_an_administrator_leaves_the_old_mailbox_and_says_so(connected: Connected) -> None:
    """The connection carries both: it goes on, and the other mailbox waits."""
    person = connected.new_person(admin_consent_required=True)
    way = await Way.begin(connected, user_id=connected.user_id, person=person)
    await way.back_in_crm(await way.to_callback())

    both = await shown(connected)

    assert (both["state"], both["email"]) == ("connected", connected.email)
    assert both["sign_in"]["outcome"] == "admin_consent_required"
    assert await _answered(connected, way, "accept") == "Your organisation has approved the app."
    updated = await connected.updates_to(person)
    assert "sign_in" not in updated.connection
    await sends_and_receives(updated)
