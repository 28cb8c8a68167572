"""The promises of subscriptions, on the fake and on Graph's adapter at the emulator."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from sync.domain.errors import Declined, Gone
from sync.domain.subscription import MAX_LIFETIME, MIN_LIFETIME
from tests.contracts.graph_stages import EmulatedGraphStage, GraphStage, emulated

WORD = "con_dana.secret"


async def test_an_open_subscription_is_renewed_at_half_life(stage: GraphStage) -> None:
    """Its end is at most what Graph allows, its renewal half-way to it; renewing keeps its id and moves both."""
    now = stage.now()
    opened = await stage.subscriptions.open(stage.dana, client_state=WORD, now=now)
    assert await stage.open_subscriptions() == [opened.subscription_id]
    assert now + MIN_LIFETIME < opened.expires_at <= now + MAX_LIFETIME
    assert abs(opened.renew_at - now - (opened.expires_at - now) / 2) < timedelta(seconds=1)

    later = now + timedelta(minutes=1)
    renewed = await stage.subscriptions.renew(stage.dana, opened, now=later)
    assert renewed.subscription_id == opened.subscription_id
    assert renewed.expires_at > opened.expires_at
    assert renewed.renew_at > opened.renew_at


async def test_opening_again_leaves_one_subscription(stage: GraphStage) -> None:
    """Where the first try's answer was lost, or another user has connected the mailbox: what is open is taken over."""
    first = await stage.subscriptions.open(stage.dana, client_state=WORD, now=stage.now())
    second = await stage.subscriptions.open(stage.dana, client_state="con_other.secret", now=stage.now())
    assert first.subscription_id == second.subscription_id
    assert await stage.open_subscriptions() == [second.subscription_id]


async def test_mailboxes_have_subscriptions_of_their_own(stage: GraphStage) -> None:
    """Opening or closing one leaves the other's."""
    dana = await stage.subscriptions.open(stage.dana, client_state=WORD, now=stage.now())
    bob = await stage.subscriptions.open(stage.bob, client_state="con_bob.secret", now=stage.now())
    assert await stage.open_subscriptions() == [dana.subscription_id, bob.subscription_id]
    await stage.subscriptions.close(stage.dana, dana)
    assert await stage.open_subscriptions() == [bob.subscription_id]


async def test_closing_what_has_ended_is_no_error(stage: GraphStage) -> None:
    """Closed twice, or dropped by Graph before."""
    opened = await stage.subscriptions.open(stage.dana, client_state=WORD, now=stage.now())
    for _ in range(2):
        await stage.subscriptions.close(stage.dana, opened)
        assert await stage.open_subscriptions() == []


async def test_renewing_what_has_ended_says_gone(stage: GraphStage) -> None:
    """So that a new one is opened."""
    opened = await stage.subscriptions.open(stage.dana, client_state=WORD, now=stage.now())
    await stage.drop_subscriptions()
    with pytest.raises(Gone):
        await stage.subscriptions.renew(stage.dana, opened, now=stage.now())


@pytest.fixture
async def graph() -> AsyncIterator[EmulatedGraphStage]:
    async with emulated() as stage:
        yield stage


async def test_graph_is_asked_for_exactly_what_is_needed(graph: EmulatedGraphStage) -> None:
    """Created and updated mail, ids only, both addresses ours, our secret word, immutable ids."""
    await graph.subscriptions.open(graph.dana, client_state=WORD, now=graph.now())
    (held,) = await graph.lab("GET", "/subscriptions")
    assert (held["resource"], held["changeType"]) == ("me/messages", "created,updated")
    assert held["notificationUrl"].endswith("/graph/notifications")
    assert held["lifecycleNotificationUrl"].endswith("/graph/lifecycle")
    assert (held["clientState"], held["immutable_ids"]) == (WORD, True)
    assert not held.get("includeResourceData")


async def test_the_other_way_graph_says_that_a_subscription_ended_counts_too(graph: EmulatedGraphStage) -> None:
    """400 ErrorInvalidParameter instead of 404, as reported from the field."""
    await graph.lab("POST", "/subscription-rules", {"missing": "invalid_parameter"})
    opened = await graph.subscriptions.open(graph.dana, client_state=WORD, now=graph.now())
    await graph.drop_subscriptions()
    with pytest.raises(Gone):
        await graph.subscriptions.renew(graph.dana, opened, now=graph.now())


async def test_where_a_tenant_allows_a_shorter_life_only_that_is_taken(graph: EmulatedGraphStage) -> None:
    """4,230 minutes, as older tenants do."""
    await graph.lab("POST", "/subscription-rules", {"basic_minutes": 4_230})
    opened = await graph.subscriptions.open(graph.dana, client_state=WORD, now=graph.now())
    assert opened.expires_at - graph.now() <= timedelta(minutes=4_230)


async def test_a_refusal_for_another_reason_is_passed_on(graph: EmulatedGraphStage) -> None:
    """It is not answered by closing or shortening anything."""
    await graph.lab("POST", "/faults", {"match": "POST */subscriptions", "status": 403, "code": "ExtensionError"})
    with pytest.raises(Declined) as refused:
        await graph.subscriptions.open(graph.dana, client_state=WORD, now=graph.now())
    assert (refused.value.status, refused.value.code) == (403, "ExtensionError")
