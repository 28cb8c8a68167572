"""
Continuous access evaluation: Graph wants more of our tokens than they can show, and says what.

What a refresh can answer nobody notices; what only the person can answer, the next sign-in asks for
(https://learn.microsoft.com/entra/identity-platform/claims-challenge).
"""

import json

from tests.e2e.account import Connected, Json, unique
from tests.e2e.conversation import answers, at_rest, left, synced
from tests.e2e.life import last_told, sends_and_receives, shown, standing, token_calls, told_types, trouble
from tests.e2e.storage import Storage
from tests.e2e.way import Way, query_of


async def challenge(of: Connected, *, interactive: bool = False) -> Json:
    """Graph challenges this person's tokens from now on; what it wants of them."""
    asked = {"email": of.email, "interactive": interactive}
    wanted = await of.stage.lab("POST", f"{of.cloud.graph.url}/_lab/cae-challenge", asked)
    return dict(json.loads(wanted["claims"])["access_token"])


def asks_for(claims: str, wanted: Json) -> bool:
    """Whether a `claims` parameter holds what is wanted, whatever else beside it."""
    asked = json.loads(claims)["access_token"]
    return {name: asked.get(name) for name in wanted} == wanted


async def test_a_challenge_that_a_refresh_can_answer_is_not_noticed(connected: Connected) -> None:
    """One refresh that carries the claims; mail comes in and goes out, and the CRM hears of nothing else."""
    thread = await connected.sent()
    await at_rest(connected)
    before, requests = last_told(connected), len(connected.cloud.entra.requests)
    wanted = await challenge(connected)

    await synced(connected, await answers(connected, thread))
    await sends_and_receives(connected)

    [refresh] = token_calls(connected, requests)
    assert (refresh.form["grant_type"], refresh.status) == ("refresh_token", 200)
    assert asks_for(refresh.form["claims"], wanted)
    assert told_types(connected, before) == ["message.synced", "message.sent", "message.synced"]
    assert (await shown(connected))["state"] == "connected"


async def test_each_challenge_is_answered(connected: Connected, storage: Storage) -> None:
    """A later one wants something else; and with no new one the token that is there will do, also for another worker."""
    thread = await connected.sent()
    await at_rest(connected)
    for _ in range(2):
        wanted, requests = await challenge(connected), len(connected.cloud.entra.requests)
        await synced(connected, await answers(connected, thread))
        [refresh] = token_calls(connected, requests)
        assert asks_for(refresh.form["claims"], wanted)

    before, requests = await standing(connected, storage), len(connected.cloud.entra.requests)
    await connected.cloud.functions.kill_worker()
    await synced(connected, await answers(connected, thread))
    assert token_calls(connected, requests) == []
    assert (await standing(connected, storage)).tokens == before.tokens


async def test_many_calls_that_are_challenged_at_once_cost_one_refresh(connected: Connected) -> None:
    """All of them wait for the same token."""
    thread = await connected.sent()
    await at_rest(connected)
    requests = len(connected.cloud.entra.requests)
    await challenge(connected)

    arrivals = [await answers(connected, thread, text=f"Answer {n}") for n in range(4)]

    assert len({(await synced(connected, each))["message_id"] for each in arrivals}) == 4
    assert len(token_calls(connected, requests)) == 1


async def test_a_challenge_that_only_the_person_can_answer_is_asked_of_them(connected: Connected) -> None:
    """`needs_reconnect`; the next sign-in brings the claims to Microsoft, and everything that came meanwhile syncs."""
    thread = await connected.sent()
    await at_rest(connected)
    before = last_told(connected)
    wanted = await challenge(connected, interactive=True)
    first = await answers(connected, thread, text="The first one")
    await at_rest(connected)
    [event] = connected.events(before)
    assert (event["type"], event["data"]["reason"]) == ("connection.needs_reconnect", "verification_required")
    assert (await shown(connected))["problem_code"] == "verification_required"
    refused = await connected.api.send(connected.mail(), unique("key"))
    assert (refused.status_code, refused.json()["code"]) == (409, "connection_needs_reconnect")

    way = await Way.begin(connected, user_id=connected.user_id, person=connected.person)
    authorize_url = await way.browser.redirected(way.link)
    assert asks_for(query_of(authorize_url)["claims"], wanted)
    await way.connects(await way.through_microsoft(authorize_url))

    assert (await synced(connected, first))["thread_id"] == thread["thread_id"]
    await sends_and_receives(connected)
    assert sorted(told_types(connected, before)) == [
        "connection.connected",
        "connection.needs_reconnect",
        "message.sent",
        "message.synced",
        "message.synced",
    ]
    assert len(left(connected)) == 2
    later = await Way.begin(connected, user_id=connected.user_id)
    claims = query_of(await later.browser.redirected(later.link))["claims"]
    assert wanted.keys().isdisjoint(json.loads(claims)["access_token"])


async def test_what_a_policy_wants_is_asked_of_the_person(connected: Connected) -> None:
    """A refresh refused by conditional access names claims as well; the page of the next sign-in gets them."""
    claims = await trouble(connected, "conditional_access")
    assert claims is not None
    await connected.api.send(connected.mail(), unique("key"))
    await connected.heard("connection.needs_reconnect")
    await at_rest(connected)

    way = await Way.begin(connected, user_id=connected.user_id, person=connected.person)
    authorize_url = await way.browser.redirected(way.link)

    assert asks_for(query_of(authorize_url)["claims"], json.loads(claims)["access_token"])
    await way.connects(await way.through_microsoft(authorize_url))
    await connected.heard("message.sent")
    assert len(left(connected)) == 1


async def test_a_mailbox_that_is_challenged_can_be_left_for_another(connected: Connected) -> None:
    """What was wanted of the old mailbox does not hold up the new one."""
    await challenge(connected, interactive=True)
    await connected.api.send(connected.mail(), unique("key"))
    await connected.heard("connection.needs_reconnect")
    await at_rest(connected)

    updated = await connected.updates_to(connected.new_person())

    await sends_and_receives(updated)
    assert (await shown(updated))["email"] == updated.email
