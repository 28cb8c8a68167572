"""
When Microsoft no longer lets us into a mailbox: the CRM is told once, in plain words, and after a new sign-in nothing is missing.

Claims challenges are in test_claims_challenge.py, what is the operator's or an administrator's in test_operator_trouble.py.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio

from sync.domain.trouble import TROUBLES, Reason
from sync.jobs import CatchUp
from tests.cloud.crm import Event
from tests.cloud.local import LocalCloud
from tests.cloud.polling import eventually
from tests.e2e.account import Connected, unique
from tests.e2e.conversation import ADA, Played, answers, arrives, at_rest, calls, fault, left, synced, told, users
from tests.e2e.life import (
    Log,
    graph_says,
    last_told,
    licence,
    needs_new_token,
    run_now,
    sends_and_receives,
    shown,
    token_calls,
    told_types,
    trouble,
)

READ, INBOX = "GET */me/messages/*", "GET */me/mailFolders/inbox"


async def healed_by_microsoft(who: Connected) -> None:
    """What no sign-in heals is put right by whoever can."""
    await who.stage.lab("POST", f"{who.cloud.entra.url}/_lab/trouble", {"email": who.email, "kind": "none"})
    await licence(who, "active")


@dataclass(frozen=True)
class Refusal:
    """
    A refusal of Microsoft's, and what the CRM reads of it.

    begins: how it begins. heals: what has to be done at Microsoft before a new sign-in helps, if anything.
    """

    begins: Callable[[Connected], Awaitable[object]]
    reason: Reason
    heals: Callable[[Connected], Awaitable[None]] | None = None


def entra(kind: str) -> Callable[[Connected], Awaitable[object]]:
    """Entra ID refuses to refresh."""
    return lambda who: trouble(who, kind)


def graph(status: int, code: str) -> Callable[[Connected], Awaitable[object]]:
    """Graph refuses the next read of a message, however often the app gets another token for it."""
    return lambda who: fault(who, READ, status=status, code=code, times=3 if status == 401 else 1)


async def scopes_taken_away(who: Connected) -> None:
    """The token is good, and opens nothing of the mailbox any more."""
    for match in (READ, INBOX):
        await fault(who, match, status=403, code="ErrorAccessDenied")


REFUSALS: dict[str, Refusal] = {
    "revoked": Refusal(entra("revoked"), "sign_in_expired"),
    "not used for 90 days": Refusal(entra("expired"), "sign_in_expired"),
    "password expired": Refusal(entra("password_expired"), "password_expired"),
    "account disabled": Refusal(entra("account_disabled"), "account_disabled", healed_by_microsoft),
    "conditional access": Refusal(entra("conditional_access"), "blocked_by_policy"),
    "second factor": Refusal(entra("mfa"), "verification_required"),
    "consent withdrawn": Refusal(entra("consent_withdrawn"), "consent_withdrawn"),
    "scopes taken away": Refusal(scopes_taken_away, "consent_withdrawn"),
    "mailbox moved away": Refusal(graph(404, "MailboxNotEnabledForRESTAPI"), "mailbox_unavailable"),
    "token never good enough": Refusal(graph(401, "InvalidAuthenticationToken"), "sign_in_expired"),
}


async def refused_and_healed(connected: Connected, refusal: Refusal) -> list[str]:
    """
    A refusal is met by an answer to a thread; another answer and a send follow; then the user signs in again.

    Returns the types of what the CRM was told of it, in no order: a delivery may overtake another.
    """
    thread = await connected.sent()
    await at_rest(connected)
    before = last_told(connected)
    await refusal.begins(connected)

    first = await answers(connected, thread, text="The first one")
    await at_rest(connected)
    [event] = connected.events(before)
    await is_told_in_plain_words(connected, event, refusal.reason)

    asked = len(await calls(connected))
    second = await answers(connected, thread, text="The second one")
    refused = await connected.api.send(connected.mail(), unique("key"))
    assert (refused.status_code, refused.json()["code"]) == (409, "connection_needs_reconnect")
    await at_rest(connected)
    assert len(await calls(connected)) == asked
    assert told_types(connected, before) == ["connection.needs_reconnect"]

    if refusal.heals is not None:
        await refusal.heals(connected)
    again = await connected.signs_in_again()
    assert again.connection_id == connected.connection_id
    assert not {"problem", "problem_code"} & set(again.connection)
    for each in (first, second):
        assert (await synced(again, each))["thread_id"] == thread["thread_id"]
    await at_rest(again)
    told_of_it = sorted(told_types(again, before))
    await sends_and_receives(again)
    return told_of_it


async def is_told_in_plain_words(connected: Connected, event: Event, reason: Reason) -> None:
    """See that event and connection say what happened and what to do, in the same words, and nothing of Microsoft's own."""
    words, told_of, now = TROUBLES[reason], event["data"], await shown(connected)
    assert event["type"] == "connection.needs_reconnect"
    assert (told_of["reason"], told_of["cause"], told_of["what_to_do"]) == (reason, words.cause, words.what_to_do)
    assert told_of["connection"]["connection_id"] == connected.connection_id
    assert told_of["connection"]["state"] == "needs_reconnect"
    assert (now["state"], now["sync_state"]) == ("needs_reconnect", "stopped")
    assert (now["problem_code"], now["problem"]) == (reason, f"{words.cause} {words.what_to_do}")
    assert not any(secret in str((event, now)) for secret in ("AADSTS", "invalid_grant", "token"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def by_refusal(cloud: LocalCloud, http: httpx.AsyncClient) -> AsyncIterator[Played[str, list[str]]]:
    """Every refusal, each of an account of its own, all at once."""
    async with users(cloud, http, len(REFUSALS)) as everybody:
        who = dict(zip(REFUSALS, everybody, strict=True))
        yield await Played.at_once(REFUSALS, lambda name: refused_and_healed(who[name], REFUSALS[name]))


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_is_told_once_and_healed_by_a_new_sign_in(
    by_refusal: Played[str, list[str]], name: str
) -> None:
    """
    With the first call that fails; no timer is needed for it.

    Until the new sign-in nothing is sent or asked; after it what came meanwhile is told once, the call that failed included.
    """
    assert by_refusal[name] == ["connection.connected", "connection.needs_reconnect", *["message.synced"] * 2]


@pytest.mark.parametrize("state", ["inactive", "none"])
async def test_an_email_that_meets_a_mailbox_without_licence_waits_for_it(connected: Connected, state: str) -> None:
    """The user is told of the licence; the email, which was accepted before, is sent once the mailbox is there again."""
    await licence(connected, state)
    before = last_told(connected)
    accepted = (await connected.api.send(connected.mail(), unique("key"))).json()["messages"][0]
    await at_rest(connected)

    [event] = connected.events(before)
    assert (event["type"], event["data"]["reason"]) == ("connection.needs_reconnect", "mailbox_unavailable")
    assert (await connected.api.message(accepted["message_id"])).json()["status"] in {"queued", "sending"}

    await licence(connected, "active")
    await connected.signs_in_again()
    await connected.heard("message.sent", before)

    await at_rest(connected)
    assert told(connected) == [("message.sent", accepted["message_id"])]
    assert len(left(connected)) == 1


async def test_many_calls_that_are_refused_at_once_tell_it_once(connected: Connected) -> None:
    """Mail, sends, a renewal and a look through the mailbox all meet it in the same moment: one event."""
    thread = await connected.sent()
    before, log = last_told(connected), Log(connected.cloud)
    accepted = [await connected.api.send(connected.mail(subject=f"Offer {n}"), unique("key")) for n in range(3)]
    await trouble(connected, "revoked")
    for n in range(3):
        await answers(connected, thread, text=f"Answer {n}")
    await graph_says(connected, "reauthorizationRequired")
    await run_now(connected, CatchUp(connected.connection_id))
    await at_rest(connected)

    assert told_types(connected, before).count("connection.needs_reconnect") == 1
    assert len([line for line in log.lines("WARNING") if "sign-in refused" in line]) >= 1
    assert log.alarms == []
    assert {answer.status_code for answer in accepted} == {202}


async def test_mail_of_nobodys_thread_finds_a_refusal_too(connected: Connected) -> None:
    """So the user is told before a contact's answer is missed."""
    await trouble(connected, "revoked")

    await arrives(connected, ADA, "Something else")

    await connected.heard("connection.needs_reconnect")
    await at_rest(connected)  # it is told before the state is saved
    assert (await shown(connected))["state"] == "needs_reconnect"


async def test_without_any_mail_a_refusal_is_found_by_the_look_through_the_mailbox(connected: Connected) -> None:
    """Which comes every quarter of an hour."""
    await trouble(connected, "revoked")

    await run_now(connected, CatchUp(connected.connection_id))

    await connected.heard("connection.needs_reconnect")
    assert (await shown(connected))["state"] == "needs_reconnect"


async def test_an_access_token_that_ended_early_is_nobodys_trouble(connected: Connected) -> None:
    """Graph refuses it, another one is got with one call, and the sync goes on."""
    thread = await connected.sent()
    await at_rest(connected)
    before = last_told(connected)
    await needs_new_token(connected)
    requests = len(connected.cloud.entra.requests)

    await connected.is_answered(thread)

    assert told_types(connected, before) == ["message.synced"]
    assert (await shown(connected))["state"] == "connected"
    assert len(token_calls(connected, requests)) == 1


async def test_a_message_that_is_refused_by_itself_is_not_the_mailboxs_trouble(connected: Connected) -> None:
    """403 for one item while the inbox is open to us: the user is asked for nothing, and other mail goes on."""
    thread = await connected.sent()
    await at_rest(connected)
    before = last_told(connected)
    await fault(connected, READ, status=403, code="ErrorAccessDenied")
    await answers(connected, thread, text="The refused one")
    await at_rest(connected)

    other = await synced(connected, await answers(connected, thread, text="Another one"))

    assert other["thread_id"] == thread["thread_id"]
    assert told_types(connected, before) == ["message.synced"]
    assert (await shown(connected))["state"] == "connected"


async def test_each_refusal_after_a_new_sign_in_is_told_anew(connected: Connected) -> None:
    """Once per sign-in, with its own reason."""
    for kind, reason in (("revoked", "sign_in_expired"), ("consent_withdrawn", "consent_withdrawn")):
        before = last_told(connected)
        await trouble(connected, kind)
        await arrives(connected, ADA, "Something else")
        assert (await connected.heard("connection.needs_reconnect", before))["data"]["reason"] == reason
        await eventually(lambda: _needs_reconnect(connected), "needs_reconnect")
        await connected.signs_in_again()

    kinds = told_types(connected)
    assert kinds == ["connection.connected", *["connection.needs_reconnect", "connection.connected"] * 2]


async def _needs_reconnect(who: Connected) -> bool:
    return bool((await shown(who))["state"] == "needs_reconnect")
