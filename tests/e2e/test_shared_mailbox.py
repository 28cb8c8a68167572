"""
One mailbox that two users have connected, in one account or in two: each is a world of its own.

Graph allows the app one subscription for the mailbox, so what it tells is for both; neither end may take the other's away.
"""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.cloud.request_log import asks_for_content
from tests.e2e.account import Account, Connected, Json, unique
from tests.e2e.conversation import Arrival, answers, arrives, at_rest, calls_about, synced, told


@pytest_asyncio.fixture(loop_scope="session")
async def carol(connected: Connected, request: pytest.FixtureRequest) -> AsyncIterator[Connected]:
    """A second user with the same mailbox: a colleague, or somebody of another account where the test asks for it."""
    another = getattr(request, "param", "a colleague") == "another account"
    account_id = unique("other") if another else connected.account_id
    async with connected.cloud.api(account_id) as api:
        account = Account(connected.cloud, api, connected.http)
        connection = await account.connect("carol", connected.email)
        yield replace(connected, api=api, user_id="carol", connection=connection)


@pytest_asyncio.fixture(loop_scope="session")
async def duplicates(connected: Connected, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """Whether Graph takes a second subscription for one mailbox: documented one way (refuse), reported the other (accept)."""
    url = f"{connected.cloud.graph.url}/_lab/subscription-rules"
    await connected.stage.lab("POST", url, {"duplicates": request.param})
    yield str(request.param)
    await connected.stage.lab("POST", url, {"duplicates": "refuse"})


async def subscriptions(of: Connected) -> int:
    """How many subscriptions watch the mailbox."""
    watching = await of.stage.lab("GET", f"{of.cloud.graph.url}/_lab/subscriptions")
    return len([one for one in watching if one["email"] == of.email])


async def told_by_itself(by: Connected, offer: Json) -> Json:
    """What the CRM is told of an answer to this offer, which has to be of this user's own thread."""
    answer = await synced(by, await answers(by, offer))
    assert (answer["thread_id"], answer["user_id"]) == (offer["thread_id"], by.user_id)
    assert answer["connection_id"] == by.connection_id
    return answer


@pytest.mark.parametrize(
    ("duplicates", "carol"),
    [("refuse", "a colleague"), ("refuse", "another account"), ("accept", "a colleague")],
    indirect=True,
)
async def test_each_hears_of_their_own_threads_alone(duplicates: str, connected: Connected, carol: Connected) -> None:
    """Each answer is told once, to whom the thread belongs; for the other, it is mail like any other."""
    danas, carols = await connected.sent(), await carol.sent()

    first, second = await told_by_itself(connected, danas), await told_by_itself(carol, carols)
    unrelated = await arrives(connected, "sam@elsewhere.example", "Unrelated")
    await at_rest(connected)

    mine = {message_id for _, message_id in told(connected)}
    theirs = {message_id for _, message_id in told(carol)}
    assert {danas["message_id"], first["message_id"]} <= mine
    assert {carols["message_id"], second["message_id"]} <= theirs
    if connected.account_id != carol.account_id:
        assert (len(told(connected)), len(told(carol)), mine & theirs) == (2, 2, set())
    else:
        assert len(told(connected)) == 4
    about = await calls_about(connected, unrelated)
    assert (len(about), [call for call in about if asks_for_content(call)]) == (2, [])


async def test_what_one_reads_the_other_does_not(connected: Connected, carol: Connected) -> None:
    """A message of one's thread is read for that one; of the other's part are its keys and nothing else."""
    offer = await connected.sent()

    arrival: Arrival = await answers(connected, offer)
    await synced(connected, arrival)
    await at_rest(connected)

    about = await calls_about(connected, arrival)
    assert len(about) == 3
    assert len([call for call in about if asks_for_content(call)]) == 1


@pytest.mark.parametrize(
    ("duplicates", "carol", "first_goes", "how"),
    [
        ("refuse", "a colleague", True, "delete"),
        ("refuse", "a colleague", False, "delete"),
        ("refuse", "another account", True, "update"),
        ("refuse", "another account", False, "update"),
        ("accept", "a colleague", True, "delete"),
    ],
    indirect=["duplicates", "carol"],
)
async def test_who_leaves_does_not_take_the_other_along(
    duplicates: str, connected: Connected, carol: Connected, first_goes: bool, how: str
) -> None:
    """After one's delete or update the other's threads sync on; only the last one out ends the watch over the mailbox."""
    danas, carols = await connected.sent(), await carol.sent()
    goes, stays = (connected, carol) if first_goes else (carol, connected)
    kept = carols if first_goes else danas

    if how == "delete":
        await goes.api.delete_connection(goes.user_id)
    else:
        await goes.connect(goes.user_id, goes.new_person().email)
    await at_rest(connected)

    assert await subscriptions(stays) == 1
    await told_by_itself(stays, kept)
    before = len(told(goes))
    gone = await answers(goes, danas if first_goes else carols)
    await at_rest(connected)
    assert len(told(goes)) == before
    assert all(not asks_for_content(call) for call in await calls_about(goes, gone))

    await stays.api.delete_connection(stays.user_id)
    await at_rest(connected)
    assert await subscriptions(stays) == 0


async def test_a_subscription_that_graph_removes_is_opened_again_for_both(
    connected: Connected, carol: Connected
) -> None:
    """Graph says so to one of them; both are told of mail again."""
    danas, carols = await connected.sent(), await carol.sent()
    lab = f"{connected.cloud.graph.url}/_lab"
    [watching] = [s for s in await connected.stage.lab("GET", f"{lab}/subscriptions") if s["email"] == connected.email]

    removed = {"subscription_id": watching["id"], "event": "subscriptionRemoved"}
    await connected.stage.lab("POST", f"{lab}/lifecycle", removed)
    await at_rest(connected)

    assert await subscriptions(connected) == 1
    await told_by_itself(connected, danas)
    await told_by_itself(carol, carols)
