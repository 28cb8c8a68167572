"""What is told about a change, and how it arrives: well, late, often, or not at all."""

import asyncio
from datetime import timedelta

import pytest
from aiohttp import web

from tests.cloud.clock import Clock
from tests.cloud.graph.changes import ChangeType
from tests.cloud.graph.subscriptions.endpoint_health import EndpointHealth
from tests.integration.graph_subscriptions.cloud import Cloud, eventually


async def test_a_notification_has_the_documented_fields(cloud: Cloud) -> None:
    """Ids, times, clientState, tenant and `@odata` annotations, and nothing of the message's content."""
    subscription = await cloud.subscribe(headers={"Prefer": 'IdType="ImmutableId"'})
    cloud.change()
    await cloud.settled()
    (item,) = cloud.receiver.items
    assert item.pop("id")
    resource = f"Users/{cloud.anna.oid}/Messages/AAkA1"
    assert item == {
        "subscriptionId": subscription["id"],
        "subscriptionExpirationDateTime": subscription["expirationDateTime"],
        "clientState": "con_1.secret",
        "changeType": "created",
        "resource": resource,
        "tenantId": cloud.anna.tenant_id,
        "resourceData": {
            "@odata.type": "#Microsoft.Graph.Message",
            "@odata.id": resource,
            "@odata.etag": 'W/"1"',
            "id": "AAkA1",
        },
    }
    assert cloud.receiver.content_types == ["application/json; charset=utf-8"]


SENT: list[tuple[ChangeType, str]] = [("created", "drafts"), ("updated", "drafts"), ("updated", "sentitems")]


@pytest.mark.parametrize(
    ("resource", "change_types", "told"),
    [
        pytest.param(
            "me/messages",
            "created,updated",
            [("created", "AAMk1-drafts"), ("updated", "AAMk1-drafts"), ("updated", "AAMk1-sentitems")],
            id="the whole mailbox sees a sent draft as updated",
        ),
        pytest.param("me/messages", "created", [("created", "AAMk1-drafts")], id="only what was asked for"),
        pytest.param(
            "me/mailFolders('sentitems')/messages",
            "created,updated,deleted",
            [("created", "AAMk1-sentitems")],
            id="Sent Items sees it arrive",
        ),
        pytest.param(
            "me/mailFolders('drafts')/messages",
            "created,updated,deleted",
            [("created", "AAMk1-drafts"), ("updated", "AAMk1-drafts"), ("deleted", "AAMk1-drafts")],
            id="Drafts sees it leave",
        ),
        pytest.param("me/mailFolders('inbox')/messages", "created,updated,deleted", [], id="the Inbox sees nothing"),
    ],
)
async def test_who_is_told_when_a_draft_is_sent(
    cloud: Cloud, resource: str, change_types: str, told: list[tuple[str, str]]
) -> None:
    """A subscription is told the changes of its folder, of its types, under the ids it asked for."""
    await cloud.subscribe(resource=resource, changeType=change_types)
    for kind, folder in SENT:
        cloud.change(kind=kind, folder=folder)
    cloud.change(2, person=cloud.ben)
    await cloud.settled()
    assert [(item["changeType"], item["resourceData"]["id"]) for item in cloud.receiver.items] == told


async def test_one_post_carries_items_of_several_subscriptions(cloud: Cloud) -> None:
    """What happens at one time for one address arrives together, split only where a POST would hold too many."""
    first = await cloud.subscribe()
    second = await cloud.subscribe(resource="me/mailFolders('inbox')/messages", clientState="con_2.secret")
    cloud.change()
    await cloud.settled()
    (post,) = cloud.receiver.posts
    assert {item["subscriptionId"] for item in post["value"]} == {first["id"], second["id"]}

    await cloud.control("notifications", {"batch_size": 2})
    cloud.change(2)
    cloud.change(3)
    cloud.change(4)
    await cloud.settled()
    assert [len(post["value"]) for post in cloud.receiver.posts] == [2, 2, 2, 2]


@pytest.mark.parametrize("status", [500, 404, 307])
async def test_anything_but_success_is_tried_again(cloud: Cloud, status: int) -> None:
    """The same notification comes again until it is taken; a redirect counts as a failure and is not followed."""
    await cloud.subscribe()

    async def refuse_twice(_: web.Request) -> web.StreamResponse:
        if len(cloud.receiver.posts) <= 2:
            return web.Response(status=status, headers={"Location": cloud.address("elsewhere")})
        return web.Response(status=202)

    cloud.receiver.take = refuse_twice
    cloud.change()
    await eventually(lambda: len(cloud.receiver.posts) == 1)
    await eventually(lambda: len(cloud.receiver.posts) >= 3, nudge=lambda: cloud.clock.advance(5))
    await cloud.settled()
    assert len({item["id"] for item in cloud.receiver.items}) == 1
    assert set(cloud.receiver.paths) == {"/notifications"}
    counts = await cloud.control("notifications")
    assert (counts["delivered"], counts["failed"], counts["pending"]) == (1, 0, 0)


async def test_a_slow_answer_is_tried_again_with_more_time(cloud: Cloud) -> None:
    """The first answer has 3 s (here less), the next ones 10 s: the same slowness passes on the second try."""
    await cloud.subscribe()
    settings = await cloud.control("notifications")
    assert (settings["settings"]["first_timeout_s"], settings["settings"]["retry_timeout_s"]) == (3.0, 10.0)
    # Long enough for the first one to arrive before it is given up, on a busy machine too.
    await cloud.control("notifications", {"first_timeout_s": 1, "first_retry_s": 0})

    async def slow(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(1.5)
        return web.Response(status=202)

    cloud.receiver.take = slow
    cloud.change()
    await cloud.settled()
    assert len(cloud.receiver.posts) == 2
    assert (await cloud.control("notifications"))["delivered"] == 1


async def test_after_four_hours_a_notification_is_given_up(cloud: Cloud) -> None:
    """Retries grow apart and end within 4 hours of the clock; the notification then counts as failed."""
    await cloud.control("subscription-rules", {"reauthorization": False})
    await cloud.subscribe()
    cloud.receiver.take = answering_nothing_well
    cloud.change()
    begun = cloud.clock.now()
    await eventually(lambda: cloud.subscriptions.notifier.counts.pending == 0, nudge=lambda: cloud.clock.advance(60))
    assert (await cloud.control("notifications"))["failed"] == 1
    assert cloud.clock.now() - begun > timedelta(hours=1)
    assert 5 <= len(cloud.receiver.posts) <= 13


async def answering_nothing_well(_: web.Request) -> web.StreamResponse:
    return web.Response(status=503)


async def test_a_share_is_lost(cloud: Cloud) -> None:
    """With a drop rate of 1 nothing arrives, and the count says so; lifecycle notifications still do."""
    subscription = await cloud.subscribe()
    await cloud.control("notifications", {"drop_rate": 1})
    cloud.change()
    lost = {"subscription_id": subscription["id"], "event": "missed"}
    await cloud.control("lifecycle", lost, expect=202)
    await cloud.settled()
    assert [item.get("lifecycleEvent") for item in cloud.receiver.items] == ["missed"]
    assert (await cloud.control("notifications"))["dropped"] == 1


async def test_duplicates_come_in_posts_of_their_own(cloud: Cloud) -> None:
    """A duplicate rate of 2 delivers each notification three times, under one id."""
    await cloud.subscribe()
    await cloud.control("notifications", {"duplicate_rate": 2.0})
    cloud.change(1)
    cloud.change(2)
    await cloud.settled()
    ids = [item["id"] for item in cloud.receiver.items]
    assert len(ids) == 6
    assert all(ids.count(one) == 3 for one in ids)
    assert all(len({item["id"] for item in post["value"]}) == len(post["value"]) for post in cloud.receiver.posts)


async def test_shuffled_notifications_come_one_by_one_in_the_order_of_the_seed(cloud: Cloud) -> None:
    """The same seed gives the same disorder."""
    await cloud.subscribe()
    rounds = []
    for _ in range(2):
        cloud.receiver.posts.clear()
        await cloud.control("notifications", {"shuffle": True, "shuffle_window_s": 0.05, "seed": 7})
        for number in range(10):
            cloud.change(number)
        await cloud.settled()
        assert all(len(post["value"]) == 1 for post in cloud.receiver.posts)
        rounds.append([item["resourceData"]["@odata.etag"] for item in cloud.receiver.items])
    assert rounds[0] == rounds[1]
    assert sorted(rounds[0]) != rounds[0]
    assert len(set(rounds[0])) == 10


async def test_late_notifications_follow_the_clock(cloud: Cloud) -> None:
    """A delay of half an hour is half an hour of the clock."""
    await cloud.subscribe()
    await cloud.control("notifications", {"delay_s": 1800, "batch_window_s": 0})
    cloud.change()
    assert (await cloud.control("notifications"))["pending"] == 1
    assert cloud.receiver.posts == []
    await eventually(lambda: len(cloud.receiver.posts) == 1, nudge=lambda: cloud.clock.advance(600))


async def test_paused_delivery_goes_on_where_it_stood(cloud: Cloud) -> None:
    """Nothing leaves while paused; all that gathered leaves afterwards, in one POST."""
    await cloud.subscribe()
    await cloud.control("notifications", {"paused": True, "batch_window_s": 0})
    cloud.change(1)
    assert (await cloud.control("notifications"))["pending"] == 1
    cloud.change(2)
    assert cloud.receiver.posts == []
    await cloud.control("notifications", {"paused": False})
    await cloud.settled()
    assert [len(post["value"]) for post in cloud.receiver.posts] == [2]


@pytest.mark.parametrize("answers", [[0.5] * 12, [3.5] + [0.5] * 9, [3.5] * 2 + [0.5] * 9, [10.5] * 2 + [0.5] * 9])
def test_how_slow_endpoints_are_treated(answers: list[float]) -> None:
    """More than 10 % over 3 s delays, more than 15 % over 10 s drops; ten minutes later all is as before."""
    clock = Clock()
    health = EndpointHealth(clock)
    for seconds in answers:
        health.record("https://crm.example/notifications", seconds)
    slow, very_slow = sum(s >= 3 for s in answers) / len(answers), sum(s >= 10 for s in answers) / len(answers)
    expected = "drop" if very_slow > 0.15 else "delay" if slow > 0.10 else "normal"
    assert health.treatment("https://crm.example/lifecycle") == expected
    assert health.treatment("https://other.example/notifications") == "normal"
    clock.advance(601)
    assert health.treatment("https://crm.example/notifications") == "normal"


async def test_an_address_that_is_too_slow_is_told_ten_minutes_later(cloud: Cloud) -> None:
    """With `penalise_slow`, what happens after slow answers waits for 10 minutes of the clock."""
    await cloud.subscribe()
    await cloud.control("notifications", {"penalise_slow": True, "batch_window_s": 0})
    cloud.subscriptions.notifier._health.record(cloud.address(), 3.5)
    cloud.change()
    cloud.clock.advance(590)
    assert (await cloud.control("notifications"))["pending"] == 1
    await eventually(lambda: len(cloud.receiver.posts) == 1, nudge=lambda: cloud.clock.advance(5))
