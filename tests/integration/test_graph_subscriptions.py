"""Subscriptions and notifications of the Graph emulator, over real HTTP, against an address that can misbehave."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote_plus

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.cloud.clock import Clock
from tests.cloud.directory import Directory, Person
from tests.cloud.graph.changes import ChangeType, MessageChange
from tests.cloud.graph.errors import GraphError, error_response
from tests.cloud.graph.subscriptions import Subscriptions
from tests.cloud.graph.subscriptions.endpoint_health import EndpointHealth
from tests.cloud.server import Server, free_port

APP = "11111111-1111-1111-1111-111111111111"
OTHER_APP = "22222222-2222-2222-2222-222222222222"
PATIENCE_SECONDS = 10.0

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def eventually(condition: Callable[[], bool], *, nudge: Callable[[], None] = lambda: None) -> None:
    """Return once `condition` holds; `nudge` is called between the looks."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            nudge()
            await asyncio.sleep(0.005)


async def prove(request: web.Request) -> web.StreamResponse:
    """What a good address answers to the handshake: the token, decoded once."""
    return web.Response(text=request.query["validationToken"], content_type="text/plain")


class Receiver:
    """An address for notifications. `prove` answers handshakes, `take` notifications; all that came is kept."""

    def __init__(self) -> None:
        self.validations: list[tuple[str, str, bytes]] = []
        self.posts: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.content_types: list[str | None] = []
        self.prove: Behaviour = prove
        self.take: Behaviour = self.accept
        application = web.Application()
        application.router.add_post("/{name}", self._receive)
        self.server = Server(application)

    @property
    def items(self) -> list[dict[str, Any]]:
        """The notifications of all POSTs, in the order they came."""
        return [item for post in self.posts for item in post["value"]]

    async def accept(self, _: web.Request) -> web.StreamResponse:
        """Take it, as the app does."""
        return web.Response(status=202)

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        if "validationToken" in request.query:
            content_type = request.headers.get("Content-Type", "")
            self.validations.append((request.raw_path, content_type, await request.read()))
            return await self.prove(request)
        self.posts.append(await request.json())
        self.paths.append(request.path)
        self.content_types.append(request.headers.get("Content-Type"))
        return await self.take(request)


class Cloud:
    """A Graph that has subscriptions and nothing else, two people, and a receiver."""

    def __init__(self, **rich: Any) -> None:
        self.clock = Clock()
        self.directory = Directory(self.clock)
        self.anna = self.directory.add("anna@fabrikam.example", "Anna")
        self.ben = self.directory.add("ben@fabrikam.example", "Ben")
        self.subscriptions = Subscriptions(self.directory, self.clock, **rich)
        self.receiver = Receiver()

        @web.middleware
        async def errors(request: web.Request, handler: Behaviour) -> web.StreamResponse:
            try:
                return await handler(request)
            except GraphError as error:
                return error_response(error, self.clock)

        application = web.Application(middlewares=[errors])
        self.subscriptions.register(application.router)
        self.server = Server(application)
        self.http = aiohttp.ClientSession()

    async def start(self) -> None:
        await self.receiver.server.start()
        await self.subscriptions.start()
        await self.server.start()

    async def stop(self) -> None:
        await self.http.close()
        await self.subscriptions.stop()
        await self.server.stop()
        await self.receiver.server.stop()

    def address(self, name: str = "notifications") -> str:
        return f"{self.receiver.server.url}/{name}"

    def request_body(self, **fields: Any) -> dict[str, Any]:
        """A good subscription request; a field given as None is left out."""
        body = {
            "changeType": "created,updated",
            "notificationUrl": self.address(),
            "lifecycleNotificationUrl": self.address("lifecycle"),
            "resource": "me/messages",
            "expirationDateTime": (self.clock.now() + timedelta(days=6)).isoformat(),
            "clientState": "con_1.secret",
        }
        return {name: value for name, value in {**body, **fields}.items() if value is not None}

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        person: Person | None = None,
        client_id: str = APP,
        scope: str = "Mail.ReadWrite",
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """One call with a fresh token; the status and the JSON body, None where there is none."""
        token = self.directory.issue_token(person or self.anna, frozenset({scope}), client_id)
        authorization = {"Authorization": f"Bearer {token.value}", **(headers or {})}
        async with self.http.request(method, self.server.url + path, json=body, headers=authorization) as answer:
            return answer.status, await answer.json() if await answer.read() else None

    async def subscribe(self, *, headers: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
        """A new subscription of Anna's."""
        status, subscription = await self.call(
            "POST", "/v1.0/subscriptions", self.request_body(**fields), headers=headers
        )
        assert status == 201, subscription
        return subscription

    async def control(self, name: str, body: Any = None, *, expect: int = 200) -> Any:
        """A `/_lab` control: POST with a body, GET without."""
        method = "GET" if body is None else "POST"
        async with self.http.request(method, f"{self.server.url}/_lab/{name}", json=body) as answer:
            assert answer.status == expect, await answer.text()
            return await answer.json()

    def change(
        self, number: int = 1, kind: ChangeType = "created", folder: str = "inbox", *, person: Person | None = None
    ) -> None:
        """Publish a change of message `number`; its mutable id depends on the folder, as Outlook's does."""
        self.subscriptions.publish(
            MessageChange(
                oid=(person or self.anna).oid,
                change_type=kind,
                message_id=f"AAMk{number}-{folder}",
                immutable_id=f"AAkA{number}",
                etag=f'W/"{number}"',
                folder=folder,
            )
        )

    async def settled(self) -> None:
        """Return once nothing is on its way any more."""
        await eventually(lambda: self.subscriptions.notifier.counts.pending == 0)


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    """A running cloud."""
    running = Cloud()
    await running.start()
    yield running
    await running.stop()


# Creation and the handshake


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


def answering(status: int = 200, text: str | None = None, content_type: str = "text/plain") -> Behaviour:
    """An address that answers the handshake in its own way; `text` None echoes the token."""

    async def answer(request: web.Request) -> web.StreamResponse:
        echoed = request.query["validationToken"] if text is None else text
        headers = {"Location": str(request.url)} if 300 <= status < 400 else None
        return web.Response(status=status, text=echoed, content_type=content_type, headers=headers)

    return answer


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
    body = cloud.request_body(lifecycleNotificationUrl=f"http://127.0.0.1:{free_port()}/lifecycle")
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


# Life and end of a subscription


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


# What is told


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


# Delivery that goes wrong


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
    await cloud.control("notifications", {"first_timeout_s": 0.05, "first_retry_s": 0})

    async def slow(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.2)
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
    """A delay of an hour is an hour of the clock."""
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


# Lifecycle


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


# Rich notifications

PRIVATE_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sync")])
CERTIFICATE = (
    x509.CertificateBuilder()
    .subject_name(NAME)
    .issuer_name(NAME)
    .public_key(PRIVATE_KEY.public_key())
    .serial_number(1)
    .not_valid_before(datetime(2026, 1, 1))
    .not_valid_after(datetime(2036, 1, 1))
    .sign(PRIVATE_KEY, hashes.SHA256())
)


def rich_request(cloud: Cloud) -> dict[str, Any]:
    """What a subscription with resource data asks for beyond a basic one."""
    return {
        "resource": "me/messages?$select=id,subject,conversationId",
        "includeResourceData": True,
        "encryptionCertificate": base64.b64encode(CERTIFICATE.public_bytes(Encoding.DER)).decode(),
        "encryptionCertificateId": "key-1",
        "expirationDateTime": (cloud.clock.now() + timedelta(hours=23)).isoformat(),
    }


def decrypt(content: dict[str, str]) -> dict[str, Any]:
    """What the subscriber does: unseal the key, check the signature, decrypt."""
    oaep = rsa_padding.OAEP(mgf=rsa_padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)
    key = PRIVATE_KEY.decrypt(base64.b64decode(content["dataKey"]), oaep)
    data = base64.b64decode(content["data"])
    assert hmac.digest(key, data, hashlib.sha256) == base64.b64decode(content["dataSignature"])
    decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
    unpadder = padding.PKCS7(128).unpadder()
    plain = unpadder.update(decryptor.update(data) + decryptor.finalize()) + unpadder.finalize()
    decoded: dict[str, Any] = json.loads(plain)
    return decoded


@pytest.fixture
async def rich_cloud() -> AsyncIterator[Cloud]:
    """A running cloud that can read messages and sign tokens."""

    def read_message(oid: str, message_id: str, options: Any) -> dict[str, Any]:
        return {"id": message_id, "subject": "Grüße", "asked": options["$select"]}

    def sign_token(tenant_id: str, claims: Any) -> str:
        return json.dumps({"iss": f"https://sts.example/{tenant_id}/v2.0", **claims})

    running = Cloud(read_message=read_message, sign_token=sign_token)
    await running.start()
    yield running
    await running.stop()


async def test_a_rich_notification_carries_the_message_for_the_key_holder_only(rich_cloud: Cloud) -> None:
    """The selected properties come encrypted for the certificate, with one token that names Graph and our app."""
    created = await rich_cloud.subscribe(**rich_request(rich_cloud))
    assert (created["includeResourceData"], created["encryptionCertificateId"]) == (True, "key-1")
    rich_cloud.change(1)
    rich_cloud.change(2)
    await rich_cloud.settled()
    (post,) = rich_cloud.receiver.posts
    content = post["value"][0]["encryptedContent"]
    assert decrypt(content) == {"id": "AAMk1-inbox", "subject": "Grüße", "asked": "id,subject,conversationId"}
    assert content["encryptionCertificateId"] == "key-1"
    expected = hashlib.sha1(CERTIFICATE.public_bytes(Encoding.DER)).hexdigest().upper()
    assert content["encryptionCertificateThumbprint"] == expected
    (token,) = post["validationTokens"]
    claims = json.loads(token)
    assert (claims["aud"], claims["azp"]) == (APP, "0bf30f3b-4a52-48df-9a82-234910c4a086")
    assert claims["tid"] == rich_cloud.anna.tenant_id


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"resource": "me/messages"}, id="no select"),
        pytest.param({"resource": "me/messages?$select=id,body"}, id="body"),
        pytest.param({"resource": "me/messages?$select=id&$top=1"}, id="other option"),
        pytest.param({"encryptionCertificateId": None}, id="no certificate id"),
        pytest.param({"encryptionCertificate": "bm8="}, id="no certificate"),
        pytest.param({"includeResourceData": None}, id="certificate for a basic one"),
    ],
)
async def test_outlooks_rules_for_rich_notifications(rich_cloud: Cloud, fields: dict[str, Any]) -> None:
    """`$select` is a must, bodies and other options are refused, and so is a certificate nobody can use."""
    body = rich_cloud.request_body(**{**rich_request(rich_cloud), **fields})
    status, answer = await rich_cloud.call("POST", "/v1.0/subscriptions", body)
    assert (status, answer["error"]["code"]) == (400, "InvalidRequest")


async def test_a_rich_subscription_lives_a_day_at_most(rich_cloud: Cloud) -> None:
    """1,440 minutes, not 10,080."""
    fields = rich_request(rich_cloud) | {
        "expirationDateTime": (rich_cloud.clock.now() + timedelta(minutes=1_441)).isoformat()
    }
    status, answer = await rich_cloud.call("POST", "/v1.0/subscriptions", rich_cloud.request_body(**fields))
    assert status == 400
    assert "1440 minutes" in answer["error"]["message"]


async def test_an_emulator_without_the_parts_for_it_refuses_rich_subscriptions(cloud: Cloud) -> None:
    """It says so rather than deliver basic notifications in their stead."""
    body = cloud.request_body(**rich_request(cloud))
    status, answer = await cloud.call("POST", "/v1.0/subscriptions", body)
    assert status == 400
    assert "resource data" in answer["error"]["message"]


# Controls


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
