"""Renewing, reading and ending a subscription, and who sees it."""

from datetime import timedelta
from typing import Any

import pytest

from tests.integration.graph_subscriptions.cloud import OTHER_APP, Cloud, answering, eventually


async def test_nobody_sees_the_subscriptions_of_another(cloud: Cloud) -> None:
    """Another person, and another app of the same person, get 404 for everything, and empty lists."""
    path = f"/v1.0/subscriptions/{(await cloud.subscribe())['id']}"
    for stranger in ({"person": cloud.ben}, {"client_id": OTHER_APP}):
        assert (await cloud.call("GET", "/v1.0/subscriptions", **stranger))[1]["value"] == []
        for method, target in (("GET", path), ("PATCH", path), ("DELETE", path), ("POST", path + "/reauthorize")):
            status, body = await cloud.call(method, target, **stranger)
            assert (status, body["error"]["code"]) == (404, "ResourceNotFound")
    assert (await cloud.call("GET", path))[0] == 200


async def test_an_update_changes_expiry_or_address_and_nothing_else(cloud: Cloud) -> None:
    """A new address must prove itself; without a known field, or with an unknown one, it is 400."""
    created = await cloud.subscribe()
    path = f"/v1.0/subscriptions/{created['id']}"
    status, changed = await cloud.call("PATCH", path, {"notificationUrl": cloud.address("elsewhere")})
    assert (status, changed) == (200, {**created, "notificationUrl": cloud.address("elsewhere")})
    assert cloud.receiver.validations[-1][0].startswith("/elsewhere?")

    status, body = await cloud.call("PATCH", path, {})
    assert body["error"]["message"].startswith("Subscription must contain either the 'expirationDateTime'")
    assert status == 400
    assert (await cloud.call("PATCH", path, {"clientState": "x"}))[0] == 400
    cloud.receiver.prove = answering(500)
    assert (await cloud.call("PATCH", path, {"notificationUrl": cloud.address()}))[0] == 400
    assert (await cloud.call("GET", path))[1] == changed


async def test_after_delete_it_is_gone(cloud: Cloud) -> None:
    """DELETE is 204, then 404; what was not delivered yet stays undelivered."""
    path = f"/v1.0/subscriptions/{(await cloud.subscribe())['id']}"
    await cloud.control("notifications", {"paused": True})
    cloud.change()
    assert (await cloud.call("DELETE", path))[0] == 204
    assert (await cloud.call("DELETE", path))[0] == 404
    await cloud.control("notifications", {"paused": False})
    await cloud.settled()
    assert cloud.receiver.posts == []
    assert (await cloud.control("notifications"))["failed"] == 1


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("not_found", (404, "ResourceNotFound")), ("invalid_parameter", (400, "ErrorInvalidParameter"))],
)
async def test_the_clock_ends_a_subscription(cloud: Cloud, rule: str, expected: tuple[int, str]) -> None:
    """Past its expiry nothing is told any more, it cannot be renewed, and its place is free."""
    await cloud.control("subscription-rules", {"missing": rule})
    path = f"/v1.0/subscriptions/{(await cloud.subscribe())['id']}"
    cloud.clock.advance(6 * 86_400 + 1)
    cloud.change()
    later = {"expirationDateTime": (cloud.clock.now() + timedelta(days=1)).isoformat()}
    status, body = await cloud.call("PATCH", path, later)
    assert (status, body["error"]["code"]) == expected
    await cloud.settled()
    assert [item for item in cloud.receiver.items if "changeType" in item] == []
    await cloud.subscribe()


@pytest.mark.parametrize("event", ["reauthorizationRequired", "subscriptionRemoved", "missed"])
async def test_lifecycle_notifications(cloud: Cloud, event: str) -> None:
    """They go to their own address, name no change and no resource; a removed subscription is gone."""
    subscription = await cloud.subscribe()
    await cloud.control("lifecycle", {"subscription_id": subscription["id"], "event": event}, expect=202)
    await cloud.settled()
    assert cloud.receiver.items == [
        {
            "subscriptionId": subscription["id"],
            "subscriptionExpirationDateTime": subscription["expirationDateTime"],
            "tenantId": cloud.anna.tenant_id,
            "clientState": "con_1.secret",
            "lifecycleEvent": event,
        }
    ]
    left = [found["id"] for found in await cloud.control("subscriptions")]
    assert left == ([] if event == "subscriptionRemoved" else [subscription["id"]])


async def test_the_end_of_the_token_stops_notifications_until_it_is_renewed(cloud: Cloud) -> None:
    """Before it, reauthorizationRequired comes; after it, changes wait; a PATCH with a fresh token lets them through."""
    subscription = await cloud.subscribe(headers={"Prefer": 'IdType="ImmutableId"'})
    cloud.clock.advance(15 * 60)
    await eventually(lambda: len(cloud.receiver.items) == 1)
    assert cloud.receiver.items[0]["lifecycleEvent"] == "reauthorizationRequired"

    cloud.clock.advance(45 * 60)
    cloud.change()
    await cloud.control("notifications", {"batch_window_s": 0})
    await eventually(lambda: len(cloud.receiver.items) == 2)
    path = f"/v1.0/subscriptions/{subscription['id']}"
    later = {"expirationDateTime": (cloud.clock.now() + timedelta(days=6)).isoformat()}
    assert (await cloud.call("PATCH", path, later))[0] == 200
    await eventually(lambda: cloud.subscriptions.notifier.counts.pending == 0, nudge=lambda: cloud.clock.advance(5))
    told = [item.get("changeType") or item["lifecycleEvent"] for item in cloud.receiver.items]
    assert told == ["reauthorizationRequired", "reauthorizationRequired", "created"]


async def test_reauthorize_and_renew_must_lie_apart(cloud: Cloud) -> None:
    """Reauthorize is 204 without a body; doing both within 10 minutes is counted, for tests to see."""
    path = f"/v1.0/subscriptions/{(await cloud.subscribe())['id']}"
    assert await cloud.call("POST", path + "/reauthorize") == (204, None)
    later = {"expirationDateTime": (cloud.clock.now() + timedelta(days=1)).isoformat()}
    await cloud.call("PATCH", path, later)
    assert (await cloud.control("subscriptions"))[0]["conflicting_renewals"] == 1
    cloud.clock.advance(601)
    await cloud.call("POST", path + "/reauthorize")
    assert (await cloud.control("subscriptions"))[0]["conflicting_renewals"] == 1


@pytest.mark.parametrize(
    ("control", "body", "status"),
    [
        ("notifications", {"drop": 1}, 400),
        ("notifications", {"drop_rate": 2}, 400),
        ("notifications", {"delay_s": -1}, 400),
        ("notifications", {"shuffle": 1}, 400),
        ("notifications", [], 400),
        ("subscription-rules", {"duplicates": "perhaps"}, 400),
        ("lifecycle", {"subscription_id": "none", "event": "missed"}, 404),
        ("lifecycle", {"subscription_id": "none", "event": "lost"}, 400),
    ],
)
async def test_controls_refuse_what_they_do_not_know(cloud: Cloud, control: str, body: Any, status: int) -> None:
    """A typo in a test is an error, with words that help."""
    assert (await cloud.control(control, body, expect=status))["error"]


async def test_reset_forgets_everything(cloud: Cloud) -> None:
    """Subscriptions, settings, rules, counts, and whatever was on its way."""
    await cloud.subscribe()
    await cloud.control("notifications", {"paused": True, "seed": 9})
    await cloud.control("subscription-rules", {"duplicates": "accept"})
    cloud.change()
    cloud.subscriptions.reset()
    assert await cloud.control("subscriptions") == []
    state = await cloud.control("notifications")
    assert (state["pending"], state["settings"]["paused"], state["settings"]["seed"]) == (0, False, 1)
    assert (await cloud.control("subscription-rules"))["duplicates"] == "refuse"
    await cloud.subscribe()
    cloud.change()
    await cloud.settled()
    assert len(cloud.receiver.items) == 1
