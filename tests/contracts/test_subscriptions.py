"""The promises of subscriptions, on the fake and on Graph's adapter at the emulator."""

from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta

import pytest

from sync.domain.connection import Connection, Subscription
from sync.domain.errors import Declined, Gone, Unclear
from sync.domain.subscription import FALLBACK_LIFETIME, JITTER, MAX_LIFETIME, MIN_LIFETIME
from tests.contracts.graph_stages import EmulatedGraphStage, GraphStage, emulated

WORD = "con_dana.secret"
NEW_WORD = "con_dana.newer-secret"
MINUTE = timedelta(minutes=1)
USUAL = frozenset({"created", "updated"})
BESIDE = USUAL | {"deleted"}


async def opened(stage: GraphStage, connection: Connection | None = None, word: str = WORD) -> Subscription:
    """The one subscription of a mailbox, Dana's unless another is named."""
    subscription, is_new = await stage.subscriptions.open(connection or stage.dana, client_state=word, now=stage.now())
    assert is_new
    return subscription


async def replaced(stage: GraphStage, *known: Subscription, word: str = NEW_WORD) -> Subscription:
    """A new one of Dana's mailbox beside those that are `known` to be in use."""
    ids = {one.subscription_id for one in known}
    return await stage.subscriptions.replace(stage.dana, client_state=word, now=stage.now(), known=ids)


async def test_an_open_subscription_is_renewed_at_about_half_life(stage: GraphStage) -> None:
    """Its end is at most what Graph allows, its renewal a little before half-way; renewing keeps its id and moves both."""
    now = stage.now()
    first = await opened(stage)
    assert await stage.open_subscriptions() == [first.subscription_id]
    assert now + MIN_LIFETIME < first.expires_at <= now + MAX_LIFETIME
    life = first.expires_at - now
    assert now + life * (0.5 - JITTER) - MINUTE <= first.renew_at <= now + life / 2 + MINUTE

    later = now + MINUTE
    renewed = await stage.subscriptions.renew(stage.dana, first, now=later)
    assert renewed.subscription_id == first.subscription_id
    assert renewed.expires_at > first.expires_at
    assert renewed.renew_at > first.renew_at


async def test_opening_again_takes_over_what_is_open(stage: GraphStage) -> None:
    """Where the first try's answer was lost, or another user has connected the mailbox: it lives longer, with its first word."""
    first = await opened(stage)
    await stage.passes(MINUTE)
    second, is_new = await stage.subscriptions.open(stage.dana, client_state="con_other.secret", now=stage.now())
    assert not is_new
    assert second.subscription_id == first.subscription_id
    assert second.expires_at > first.expires_at
    assert await stage.subscribed() == {first.subscription_id: (WORD, USUAL)}


async def test_of_two_that_are_open_the_younger_is_taken_over(stage: GraphStage) -> None:
    """The other one is being closed by whoever replaces it."""
    first = await opened(stage)
    await stage.passes(MINUTE)
    second = await replaced(stage, first)
    taken, is_new = await stage.subscriptions.open(stage.dana, client_state="con_other.secret", now=stage.now())
    assert (taken.subscription_id, is_new) == (second.subscription_id, False)


async def test_a_new_one_opens_beside_the_old_and_makes_way_in_turn(stage: GraphStage) -> None:
    """Graph allows one for each set of change types: the two sets take turns, and the mailbox is never without one."""
    held, types = await opened(stage), [USUAL]
    for _ in range(3):
        new = await replaced(stage, held)
        told = await stage.subscribed()
        assert set(told) == {held.subscription_id, new.subscription_id}
        assert told[new.subscription_id][0] == NEW_WORD
        types.append(told[new.subscription_id][1])
        await stage.subscriptions.close(stage.dana, held)
        held = new
    assert types == [USUAL, BESIDE, USUAL, BESIDE]
    assert await stage.open_subscriptions() == [held.subscription_id]


async def test_a_replacement_that_nobody_knows_makes_way_for_the_next(stage: GraphStage) -> None:
    """A worker opened it and died before it was saved: the next one closes it, and what is in use stays."""
    held = await opened(stage)
    orphan = await replaced(stage, held)
    new = await replaced(stage, held)
    assert set(await stage.open_subscriptions()) == {held.subscription_id, new.subscription_id}
    assert new.subscription_id != orphan.subscription_id


async def test_where_all_are_in_use_nothing_is_closed_for_a_new_one(stage: GraphStage) -> None:
    """It is an answer to try again, and nobody's subscription is gone."""
    held = await opened(stage)
    other = await replaced(stage, held)
    with pytest.raises(Unclear):
        await replaced(stage, held, other)
    assert await stage.open_subscriptions() == [held.subscription_id, other.subscription_id]


async def test_ours_are_all_of_this_mailbox_and_no_others(stage: GraphStage) -> None:
    """With their ends, so that the youngest can be told."""
    assert await stage.subscriptions.ours(stage.dana, now=stage.now()) == []
    first = await opened(stage)
    await opened(stage, stage.bob, "con_bob.secret")
    second = await replaced(stage, first)
    found = {one.subscription_id: one.expires_at for one in await stage.subscriptions.ours(stage.dana, now=stage.now())}
    assert found == {first.subscription_id: first.expires_at, second.subscription_id: second.expires_at}


async def test_mailboxes_have_subscriptions_of_their_own(stage: GraphStage) -> None:
    """Opening or closing one leaves the other's."""
    dana = await opened(stage)
    bob = await opened(stage, stage.bob, "con_bob.secret")
    assert await stage.open_subscriptions() == [dana.subscription_id, bob.subscription_id]
    await stage.subscriptions.close(stage.dana, dana)
    assert await stage.open_subscriptions() == [bob.subscription_id]


async def test_closing_what_has_ended_is_no_error(stage: GraphStage) -> None:
    """Closed twice, or dropped by Graph before."""
    held = await opened(stage)
    for _ in range(2):
        await stage.subscriptions.close(stage.dana, held)
        assert await stage.open_subscriptions() == []


async def test_renewing_what_has_ended_says_gone(stage: GraphStage) -> None:
    """So that a new one is opened."""
    held = await opened(stage)
    await stage.drop_subscriptions()
    with pytest.raises(Gone):
        await stage.subscriptions.renew(stage.dana, held, now=stage.now())


# What only the adapter has to know of Graph.


@pytest.fixture
async def graph() -> AsyncIterator[EmulatedGraphStage]:
    async with emulated() as stage:
        yield stage


async def test_graph_is_asked_for_exactly_what_is_needed(graph: EmulatedGraphStage) -> None:
    """Created and updated mail, ids only, both addresses ours, our secret word, immutable ids."""
    await opened(graph)
    (held,) = await graph.lab("GET", "/subscriptions")
    assert (held["resource"], held["changeType"]) == ("me/messages", "created,updated")
    assert held["notificationUrl"].endswith("/graph/notifications")
    assert held["lifecycleNotificationUrl"].endswith("/graph/lifecycle")
    assert (held["clientState"], held["immutable_ids"]) == (WORD, True)
    assert not held.get("includeResourceData")


async def test_an_app_at_another_address_keeps_its_own(graph: EmulatedGraphStage) -> None:
    """A second installation of the same registration is neither listed, nor taken over, nor closed."""
    theirs, _ = await graph.elsewhere.open(graph.dana, client_state="con_1.theirs", now=graph.now())
    assert await graph.subscriptions.ours(graph.dana, now=graph.now()) == []
    with pytest.raises(Declined) as refused:
        await graph.subscriptions.open(graph.dana, client_state=WORD, now=graph.now())
    assert refused.value.status == 409
    assert await graph.subscribed() == {theirs.subscription_id: ("con_1.theirs", USUAL)}


@pytest.mark.parametrize("client_state", ["shown", "hidden"])
async def test_two_of_one_kind_are_both_ours_where_graph_accepts_duplicates(
    graph: EmulatedGraphStage, client_state: str
) -> None:
    """As reported since 2025: nothing is refused then, so both are found by listing, whether or not their words are shown."""
    await graph.lab("POST", "/subscription-rules", {"duplicates": "accept", "client_state": client_state})
    first = await opened(graph)
    second = await opened(graph)
    beside = await replaced(graph, second)
    found = await graph.subscriptions.ours(graph.dana, now=graph.now())
    assert (
        [one.subscription_id for one in found]
        == [one.subscription_id for one in (first, second, beside)]
        == await graph.open_subscriptions()
    )


async def test_the_other_way_graph_says_that_a_subscription_ended_counts_too(graph: EmulatedGraphStage) -> None:
    """400 ErrorInvalidParameter instead of 404, as reported from the field."""
    await graph.lab("POST", "/subscription-rules", {"missing": "invalid_parameter"})
    held = await opened(graph)
    await graph.drop_subscriptions()
    with pytest.raises(Gone):
        await graph.subscriptions.renew(graph.dana, held, now=graph.now())


async def test_where_a_tenant_allows_a_shorter_life_only_that_is_taken(graph: EmulatedGraphStage) -> None:
    """4,230 minutes, as older tenants do: on opening, on renewing what lived longer before, and beside another."""
    held = await opened(graph)
    assert held.expires_at - graph.now() > FALLBACK_LIFETIME
    await graph.lab("POST", "/subscription-rules", {"basic_minutes": 4_230})
    renewed = await graph.subscriptions.renew(graph.dana, held, now=graph.now())
    new = await replaced(graph, held)
    await graph.drop_subscriptions()
    for shorter in (renewed, new, await opened(graph)):
        assert MINUTE > graph.now() + FALLBACK_LIFETIME - shorter.expires_at >= timedelta()
        assert graph.now() < shorter.renew_at < graph.now() + FALLBACK_LIFETIME / 2
    assert renewed.subscription_id == held.subscription_id


#: How Graph was seen to refuse an expiry: by code and words.
REFUSED_LIVES = {
    "as documented": (
        "ExtensionError",
        "Operation: Create; Exception: [Status Code: BadRequest; Reason: Subscription expiration can only be 4230 minutes in "
        "the future.]",
    ),
    "by another code": ("ErrorInvalidParameter", "The expirationDateTime is too far in the future."),
    "in other words": (
        "ExtensionError",
        "Operation: Update; Exception: [Status Code: BadRequest; Reason: Expiration time '2026-12-01T12:00:00Z' "
        "('7.00:00:00' from now) is beyond allowed max '2.22:30:00'.]",
    ),
}


@pytest.mark.parametrize(("code", "message"), REFUSED_LIVES.values(), ids=REFUSED_LIVES)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_refused_lifetime_is_known_by_its_words_not_its_code(
    graph: EmulatedGraphStage, method: str, code: str, message: str
) -> None:
    """A shorter one is asked for at once, and it is the same subscription that is renewed: it has not ended."""
    held = await opened(graph) if method == "PATCH" else None
    fault = {"match": f"{method} */subscriptions*", "status": 400, "code": code, "message": message}
    await graph.lab("POST", "/faults", fault)
    shorter = await graph.subscriptions.renew(graph.dana, held, now=graph.now()) if held else await opened(graph)
    assert shorter.expires_at - graph.now() <= FALLBACK_LIFETIME
    assert await graph.open_subscriptions() == [shorter.subscription_id]
    assert held is None or held.subscription_id == shorter.subscription_id


async def test_a_life_shorter_than_the_fallback_is_refused_for_good(graph: EmulatedGraphStage) -> None:
    """Graph's own words are passed on; it is not asked a third time."""
    await graph.lab("POST", "/subscription-rules", {"basic_minutes": 60})
    with pytest.raises(Declined, match="can only be 60 minutes"):
        await graph.subscriptions.open(graph.dana, client_state=WORD, now=graph.now())
    requests = await graph.lab("GET", "/requests")
    assert [request["status"] for request in requests if request["method"] == "POST"] == [400, 400]


@pytest.mark.parametrize("call", ["open", "renew", "replace"])
async def test_a_refusal_for_another_reason_is_passed_on(graph: EmulatedGraphStage, call: str) -> None:
    """It is not answered by closing or shortening anything."""
    held = None if call == "open" else await opened(graph)
    before = await graph.lab("GET", "/subscriptions")
    fault = {"match": "P* */subscriptions*", "status": 403, "code": "ExtensionError", "times": 5}
    await graph.lab("POST", "/faults", fault)
    asked: Awaitable[object]
    if held is None:
        asked = opened(graph)
    elif call == "renew":
        asked = graph.subscriptions.renew(graph.dana, held, now=graph.now())
    else:
        asked = replaced(graph, held)
    with pytest.raises(Declined) as refused:
        await asked
    assert (refused.value.status, refused.value.code) == (403, "ExtensionError")
    assert await graph.lab("GET", "/subscriptions") == before


@pytest.mark.parametrize("call", ["open", "replace"])
async def test_an_opening_whose_answer_was_lost_is_found_by_the_next(graph: EmulatedGraphStage, call: str) -> None:
    """The connection is cut after Graph took it: Unclear, and the next try leaves nothing behind but what it returns."""
    held = []
    if (
        call == "replace"
    ):  # beside the one with the second set of change types, so that the first POST is the one that is taken
        first = await opened(graph)
        held = [await replaced(graph, first)]
        await graph.subscriptions.close(graph.dana, first)
    await graph.lab("POST", "/faults", {"match": "POST */subscriptions", "drop": True, "applied": True})
    with pytest.raises(Unclear):
        await (replaced(graph, *held) if held else opened(graph))
    assert len(await graph.open_subscriptions()) == len(held) + 1
    if held:
        found = await replaced(graph, *held)
    else:
        found, is_new = await graph.subscriptions.open(graph.dana, client_state=WORD, now=graph.now())
        assert not is_new
    assert await graph.open_subscriptions() == [one.subscription_id for one in (*held, found)]
