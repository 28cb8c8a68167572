"""Creating a subscription: the handshake, the fields, and who may."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote_plus

import pytest
from aiohttp import web

from tests.cloud.server import Port
from tests.integration.graph_subscriptions.cloud import APP, Behaviour, Cloud, answering, prove


async def test_both_addresses_prove_themselves_before_the_subscription_is_answered(cloud: Cloud) -> None:
    """POST /subscriptions asks both addresses, with their own query kept, an empty text/plain body, and an odd token."""
    await cloud.subscribe(notificationUrl=cloud.address() + "?code=a%2Bb")
    (first, content_type, body), (second, _, _) = cloud.receiver.validations
    assert first.startswith("/notifications?code=a%2Bb&validationToken=")
    assert second.startswith("/lifecycle?validationToken=")
    assert (content_type, body) == ("text/plain; charset=utf-8", b"")
    token = unquote_plus(first.partition("validationToken=")[2])
    assert all(character in token for character in "+%/= ")


async def test_a_new_subscription_is_answered_with_all_its_fields(cloud: Cloud) -> None:
    """The 201 has the resource of Graph's documentation, owner and app included, and is what GET shows later."""
    created = await cloud.subscribe()
    assert created["applicationId"] == APP
    assert created["creatorId"] == cloud.anna.oid
    assert created["clientState"] == "con_1.secret"
    assert created["latestSupportedTlsVersion"] == "v1_2"
    assert {"notificationQueryOptions", "includeResourceData", "encryptionCertificateId"} <= created.keys()
    assert await cloud.call("GET", f"/v1.0/subscriptions/{created['id']}") == (200, created)
    _, listed = await cloud.call("GET", "/v1.0/subscriptions")
    assert [found["id"] for found in listed["value"]] == [created["id"]]
    (shown,) = await cloud.control("subscriptions")
    assert shown["email"] == "anna@fabrikam.example"


async def decoding_twice(request: web.Request) -> web.StreamResponse:
    return web.Response(text=unquote_plus(request.query["validationToken"]), content_type="text/plain")


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        pytest.param(answering(403), "HTTP status code is 'Forbidden'.", id="forbidden"),
        pytest.param(answering(202), "HTTP status code is 'Accepted'.", id="another success"),
        pytest.param(answering(307), "HTTP status code is 'TemporaryRedirect'.", id="redirect"),
        pytest.param(answering(text="hello"), "must exactly match validationToken", id="another text"),
        pytest.param(answering(content_type="text/html"), "must exactly match validationToken", id="html"),
        pytest.param(decoding_twice, "must exactly match validationToken", id="decoded twice"),
    ],
)
async def test_an_address_that_does_not_prove_itself_is_refused(
    cloud: Cloud, behaviour: Behaviour, message: str
) -> None:
    """Anything but 200, text/plain and the token decoded once is 400 `InvalidRequest`, and nothing is created."""
    cloud.receiver.prove = behaviour
    status, body = await cloud.call("POST", "/v1.0/subscriptions", cloud.request_body())
    assert (status, body["error"]["code"]) == (400, "InvalidRequest")
    assert message in body["error"]["message"]
    assert await cloud.control("subscriptions") == []


async def test_a_silent_address_times_out(cloud: Cloud) -> None:
    """An address that does not answer in time is refused in the documented words."""
    await cloud.control("subscription-rules", {"validation_timeout_s": 0.05})
    released = asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse:
        await released.wait()
        return await prove(request)

    cloud.receiver.prove = wait
    status, body = await cloud.call("POST", "/v1.0/subscriptions", cloud.request_body())
    released.set()
    assert (status, body["error"]["message"]) == (400, "Subscription validation request timed out.")


async def test_the_lifecycle_address_must_prove_itself_too(cloud: Cloud) -> None:
    """A good notification address does not help when nobody listens at the lifecycle address."""
    nobody = Port()
    body = cloud.request_body(lifecycleNotificationUrl=f"http://127.0.0.1:{nobody.number}/lifecycle")
    status, answer = await cloud.call("POST", "/v1.0/subscriptions", body)
    assert (status, answer["error"]["code"]) == (400, "InvalidRequest")
    assert len(cloud.receiver.validations) == 1


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        pytest.param({"changeType": "created,moved"}, 400, "InvalidRequest", id="unknown change"),
        pytest.param({"changeType": "created,created"}, 400, "InvalidRequest", id="change twice"),
        pytest.param({"changeType": None}, 400, "InvalidRequest", id="no change type"),
        pytest.param({"resource": "me/events"}, 400, "InvalidRequest", id="other resource"),
        pytest.param({"resource": "me/mailFolders('AAMk1')/messages"}, 400, "InvalidRequest", id="folder by id"),
        pytest.param({"resource": "me/messages?$filter=isRead eq false"}, 400, "InvalidRequest", id="filter"),
        pytest.param({"resource": "users/someone-else/messages"}, 403, "ErrorAccessDenied", id="another mailbox"),
        pytest.param({"notificationUrl": "http://crm.example/n"}, 400, "InvalidRequest", id="plain http"),
        pytest.param({"notificationUrl": "EventHub:https://x"}, 400, "InvalidRequest", id="event hub"),
        pytest.param({"lifecycleNotificationUrl": "ftp://crm.example"}, 400, "InvalidRequest", id="lifecycle url"),
        pytest.param({"clientState": "s" * 129}, 400, "InvalidRequest", id="long client state"),
        pytest.param({"latestSupportedTlsVersion": "v2"}, 400, "InvalidRequest", id="tls version"),
        pytest.param({"expirationDateTime": "soon"}, 400, "InvalidRequest", id="no date"),
        pytest.param({"expirationDateTime": "2099-01-01T00:00:00"}, 400, "InvalidRequest", id="no zone"),
        pytest.param({"expirationDateTime": "2001-01-01T00:00:00Z"}, 400, "InvalidRequest", id="past"),
        pytest.param({"expirationDateTime": "2099-01-01T00:00:00Z"}, 400, "ExtensionError", id="too far"),
        pytest.param({"includeResourceData": True}, 400, "InvalidRequest", id="rich without certificate"),
        pytest.param({"notifyUrl": "https://crm.example"}, 400, "InvalidRequest", id="unknown field"),
    ],
)
async def test_a_wrong_field_is_refused(cloud: Cloud, fields: dict[str, Any], status: int, code: str) -> None:
    """What Graph, or this emulator, does not take is an error; nothing is accepted silently, and nobody is asked."""
    got, body = await cloud.call("POST", "/v1.0/subscriptions", cloud.request_body(**fields))
    assert (got, body["error"]["code"]) == (status, code)
    assert cloud.receiver.validations == []


@pytest.mark.parametrize(
    "resource",
    ["/me/messages", "me/mailFolders('Inbox')/messages", "me/mailfolders/sentitems/messages", "users/{oid}/messages"],
)
async def test_the_ways_to_name_messages(cloud: Cloud, resource: str) -> None:
    """With or without a slash, of a folder or all, of `me` or one's own id: it is shown as it was given."""
    named = resource.format(oid=cloud.anna.oid)
    assert (await cloud.subscribe(resource=named))["resource"] == named


async def test_the_limits_of_an_expiry(cloud: Cloud) -> None:
    """Less than 45 minutes ahead becomes 45; up to 10,080 minutes pass, and the error names the limit that applies."""
    soon = await cloud.subscribe(expirationDateTime=(cloud.clock.now() + timedelta(minutes=1)).isoformat())
    ahead = datetime.fromisoformat(soon["expirationDateTime"]) - cloud.clock.now()
    assert timedelta(minutes=44) < ahead <= timedelta(minutes=45)

    path = f"/v1.0/subscriptions/{soon['id']}"
    week = {"expirationDateTime": (cloud.clock.now() + timedelta(minutes=10_080)).isoformat()}
    assert (await cloud.call("PATCH", path, week))[0] == 200
    await cloud.control("subscription-rules", {"basic_minutes": 4_230})
    status, body = await cloud.call("PATCH", path, week)
    assert (status, body["error"]["code"]) == (400, "ExtensionError")
    assert "can only be 4230 minutes in the future" in body["error"]["message"]


async def test_reading_mail_is_the_permission_it_takes(cloud: Cloud) -> None:
    """Mail.ReadBasic is enough; a token that may only send is refused, and so is none at all."""
    body = cloud.request_body()
    assert (await cloud.call("POST", "/v1.0/subscriptions", body, scope="Mail.Send"))[0] == 403
    async with cloud.http.post(f"{cloud.server.url}/v1.0/subscriptions", json=body) as answer:
        assert answer.status == 401
    assert (await cloud.call("POST", "/v1.0/subscriptions", body, scope="Mail.ReadBasic"))[0] == 201


async def test_a_second_subscription_of_the_same_kind(cloud: Cloud) -> None:
    """Refused with 409 that names the first, in whatever order the types are given; accepted where a test wants that."""
    first = await cloud.subscribe()
    body = cloud.request_body(changeType="updated,created", resource="/me/messages")
    status, answer = await cloud.call("POST", "/v1.0/subscriptions", body)
    assert status == 409
    assert first["id"] in answer["error"]["message"]
    await cloud.control("subscription-rules", {"duplicates": "accept"})
    assert (await cloud.subscribe())["id"] != first["id"]


async def test_two_that_race_for_one_place(cloud: Cloud) -> None:
    """Of two equal requests whose handshakes overlap, one is created and the other refused."""
    body = cloud.request_body()
    answers = await asyncio.gather(*(cloud.call("POST", "/v1.0/subscriptions", body) for _ in range(2)))
    assert sorted(status for status, _ in answers) == [201, 409]
