"""What Microsoft Graph, and whoever pretends to be it, may post to us, and what comes of it."""

from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest

from tests.cloud.local import LocalCloud
from tests.cloud.polling import eventually
from tests.e2e.account import Connected, Json
from tests.e2e.witness import Everything, Witness, problem_of

NOTIFICATIONS, LIFECYCLE = "/graph/notifications", "/graph/lifecycle"


async def client_state(user: Connected) -> str:
    """The secret word of the user's subscription, as Microsoft Graph knows it."""
    return str((await subscription(user))["clientState"])


async def subscription(user: Connected) -> Json:
    """The one subscription to the user's mailbox."""
    [own] = await user.subscriptions(user.email)
    return own


def change(word: object, graph_id: str = "AAkALgAAAAAAHYQDEapm", change_type: str = "created") -> Json:
    """One item of a change notification collection
    (https://learn.microsoft.com/graph/api/resources/changenotification)."""
    return {
        "subscriptionId": "7f105c7d-2dc5-4530-97cd-4e7ae6534c07",
        "clientState": word,
        "changeType": change_type,
        "resource": f"Users/x/Messages/{graph_id}",
        "resourceData": {"@odata.type": "#Microsoft.Graph.Message", "id": graph_id},
    }


def lifecycle(word: object, event: str = "reauthorizationRequired") -> Json:
    """One item of a lifecycle notification collection."""
    return {"subscriptionId": "7f105c7d-2dc5-4530-97cd-4e7ae6534c07", "clientState": word, "lifecycleEvent": event}


# The validation handshake.


@pytest.mark.parametrize("path", [NOTIFICATIONS, LIFECYCLE])
@pytest.mark.parametrize("encode", [quote, quote_plus])
@pytest.mark.parametrize(
    "token",
    [
        "plain",
        "a b",
        "a+b",
        "100%",
        "a%2Bb",
        "a%20b",
        "a=b&c=d",
        "a/b?c#d",
        "Grüße 你好 🙂",
        "<script>alert(1)</script>",
        "{\"json\": 'quoted'}",
        "x" * 2_048,
        "Validation: Testing client application reachability for subscription Request-Id: 3b7c42 +%2B/ab%25==",
    ],
)
async def test_the_validation_token_comes_back_decoded_once(
    cloud: LocalCloud, http: httpx.AsyncClient, path: str, encode: Any, token: str
) -> None:
    """Byte for byte, as plain text that no browser takes for anything else."""
    answer = await http.post(
        f"{cloud.functions_url}{path}?validationToken={encode(token, safe='')}",
        content=b"",
        headers={"Content-Type": "text/plain; charset=utf-8"},
    )

    assert (answer.status_code, answer.content) == (200, token.encode())
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", [NOTIFICATIONS, LIFECYCLE])
@pytest.mark.parametrize(
    "token", ["", "x" * 2_049, "a\nb", "a\rb", "\u0000", "a\u001bb", "\u007f", "a\u2028b", "a\u202eb"]
)
async def test_what_is_no_validation_token_is_not_echoed(
    cloud: LocalCloud, http: httpx.AsyncClient, path: str, token: str
) -> None:
    """Empty, too long, or with characters that no token has: 400."""
    answer = await http.post(f"{cloud.functions_url}{path}?validationToken={quote(token, safe='')}")

    assert answer.status_code == 400
    assert problem_of(answer)["code"] == "malformed_request"


# Forged, of no use, malformed.


@pytest.mark.parametrize(("path", "item"), [(NOTIFICATIONS, change), (LIFECYCLE, lifecycle)])
async def test_forged_notifications_are_dropped(witness: Witness, path: str, item: Any) -> None:
    """A clientState that is not ours, in whatever way: 202, so that nobody learns anything, and nothing is queued."""
    genuine = await client_state(witness.user)
    connection_id, _, mac = genuine.rpartition(".")
    forged: list[object] = [
        None,
        "",
        ".",
        7,
        [genuine],
        {"clientState": genuine},
        connection_id,
        f"{connection_id}.",
        f".{mac}",
        f"{connection_id}.{'A' * len(mac)}",
        f"con_somebodyelse.{mac}",
        genuine + "x",
        genuine[:-1],
        genuine.upper(),
        f" {genuine}",
        f"{connection_id}.ü",
        "x" * 100_000,
    ]
    items = [item(word) for word in forged] + [{}, {**item(genuine), "clientState": None}]

    async def post() -> tuple[Everything, Everything, set[int]]:
        before = await witness.everything()
        each = [await witness.http.post(witness.cloud.functions_url + path, json={"value": [one]}) for one in items]
        together = await witness.http.post(witness.cloud.functions_url + path, json={"value": items})
        return before, await witness.everything(), {answer.status_code for answer in (*each, together)}

    before, after, statuses = await witness.undisturbed(post)
    assert (after, statuses) == (before, {202})


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        (NOTIFICATIONS, {"changeType": "deleted"}),
        (NOTIFICATIONS, {"changeType": None}),
        (NOTIFICATIONS, {"resourceData": None}),
        (NOTIFICATIONS, {"resourceData": {}}),
        (NOTIFICATIONS, {"resourceData": {"id": ""}}),
        (NOTIFICATIONS, {"resourceData": {"id": 7}}),
        (LIFECYCLE, {"lifecycleEvent": "somethingNew"}),
        (LIFECYCLE, {"lifecycleEvent": None}),
    ],
    ids=repr,
)
async def test_notifications_of_no_use_are_dropped(witness: Witness, path: str, changes: Json) -> None:
    """Genuine, but nothing we act on: 202, nothing queued."""
    item = (change if path == NOTIFICATIONS else lifecycle)(await client_state(witness.user)) | changes

    async def post() -> tuple[Everything, Everything, int]:
        before = await witness.everything()
        answer = await witness.http.post(witness.cloud.functions_url + path, json={"value": [item]})
        return before, await witness.everything(), answer.status_code

    before, after, status = await witness.undisturbed(post)
    assert (after, status) == (before, 202)


@pytest.mark.parametrize("path", [NOTIFICATIONS, LIFECYCLE])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"value"',
        b"{}",
        b'{"value": null}',
        b'{"value": {}}',
        b'{"value": "text"}',
        b'{"value": [7]}',
        b'{"value": [null]}',
        b'{"value": [{}, "x"]}',
        b'\xff\xfe{"value": []}',
        b"[" * 100_000,
        b'{"value": [' + b" " * (4 * 1024 * 1024) + b"]}",
    ],
    ids=lambda body: body[:24].decode(errors="replace"),
)
async def test_what_is_no_notification_is_refused(witness: Witness, path: str, body: bytes) -> None:
    """400: it came from nobody we know, and nothing is queued."""
    await witness.refused(
        lambda: witness.http.post(witness.cloud.functions_url + path, content=body), 400, "malformed_request"
    )


@pytest.mark.parametrize("path", [NOTIFICATIONS, LIFECYCLE])
async def test_an_empty_collection_is_accepted(cloud: LocalCloud, http: httpx.AsyncClient, path: str) -> None:
    """202 without a body."""
    answer = await http.post(f"{cloud.functions_url}{path}", json={"value": []})

    assert (answer.status_code, answer.content) == (202, b"")


# Lifecycle.


async def tell(user: Connected, subscription_id: str, event: str) -> None:
    """Microsoft Graph sends this lifecycle notification."""
    await user.stage.lab(
        "POST", f"{user.cloud.graph.url}/_lab/lifecycle", {"subscription_id": subscription_id, "event": event}
    )
    await user.stage.quiet()


async def test_a_subscription_that_was_removed_is_opened_anew(connected: Connected) -> None:
    """After `subscriptionRemoved` Microsoft tells us of the mailbox again, and the CRM need not know."""
    before = await subscription(connected)

    await tell(connected, before["id"], "subscriptionRemoved")

    async def another() -> bool:
        return [found["id"] != before["id"] for found in await connected.subscriptions(connected.email)] == [True]

    assert await eventually(another, "a new subscription")
    assert [event["type"] for event in await connected.feed()] == ["connection.connected"]
    offer = await connected.sent()
    await connected.is_answered(offer)
    assert connected.events()[-1]["type"] == "message.synced"


async def test_a_subscription_whose_authorization_ends_is_renewed(connected: Connected) -> None:
    """`reauthorizationRequired` is answered with a renewal, not with PATCH and reauthorize together."""
    before = await subscription(connected)

    await tell(connected, before["id"], "reauthorizationRequired")

    async def renewed() -> bool:
        now = await subscription(connected)
        return bool(now["id"] == before["id"] and now["expirationDateTime"] > before["expirationDateTime"])

    assert await eventually(renewed, "the subscription to be renewed")
    assert (await subscription(connected))["conflicting_renewals"] == 0


async def test_missed_notifications_leave_the_subscription_as_it_is(connected: Connected) -> None:
    """`missed` says that some were lost, not that anything ended."""
    before = await subscription(connected)

    await tell(connected, before["id"], "missed")

    assert (await subscription(connected))["id"] == before["id"]
    assert (await connected.api.connection(connected.user_id)).json()["sync_state"] in {"active", "catching_up"}
