"""
The answer to Microsoft Graph: one queue write and nothing else stands between a notification and its 202.

The cloud's storage is behind gateways that note and refuse.
"""

from collections.abc import Callable
from typing import Any

import pytest
import pytest_asyncio

from tests.cloud.polling import eventually
from tests.e2e.conversation import heard_of
from tests.e2e.gateway import Behind
from tests.e2e.test_notifications_edge import LIFECYCLE, NOTIFICATIONS, change, client_state, lifecycle

CHANGES_QUEUE, WATCH_QUEUE = "/mail-changes/messages", "/mailbox-watch/messages"
ROUTES: list[tuple[str, str, Callable[..., dict[str, Any]]]] = [
    (NOTIFICATIONS, CHANGES_QUEUE, change),
    (LIFECYCLE, WATCH_QUEUE, lifecycle),
]
#: All that one post starts while what it queued is not handed out.
ONCE = {NOTIFICATIONS: {"http_graph_notifications": 1}, LIFECYCLE: {"http_graph_lifecycle": 1}}


@pytest_asyncio.fixture(autouse=True, scope="module", loop_scope="session")
async def queues(gateway_cloud: Behind) -> None:
    """The first message makes its queue; only what comes after it is looked at."""
    for path, _, item in ROUTES:
        accepted = await gateway_cloud.post(path, [item(await client_state(gateway_cloud.user))])
        assert accepted.status_code == 202


@pytest.mark.parametrize(("path", "queue", "item"), ROUTES)
async def test_a_notification_costs_one_queue_write(behind: Behind, path: str, queue: str, item: Any) -> None:
    """Before the 202 no table, no blob and no call to Microsoft Graph: one message is written, and that is all."""
    gateway, graph = behind.gateway, behind.user.cloud.graph
    word = await client_state(behind.user)
    # What was queued is not handed out, so that only the acknowledgement itself is seen.
    gateway.queue.refuses = lambda method, asked: method == "GET" and asked == queue

    async def look() -> tuple[int, list[tuple[str, str]], int, int, int]:
        places = (len(gateway.queue.requests), len(gateway.table.requests), len(gateway.blob.requests))
        calls = len((await behind.user.http.get(f"{graph.url}/_lab/requests")).json())
        answer = await behind.post(path, [item(word)])
        return (
            answer.status_code,
            [asked for asked in gateway.queue.requests[places[0] :] if asked[0] != "GET"],
            len(gateway.table.requests) - places[1],
            len(gateway.blob.requests) - places[2],
            len((await behind.user.http.get(f"{graph.url}/_lab/requests")).json()) - calls,
        )

    assert await behind.undisturbed(look, ONCE[path]) == (202, [("POST", queue)], 0, 0, 0)


@pytest.mark.parametrize(("path", "queue", "item"), ROUTES)
async def test_one_post_with_many_items_queues_each_genuine_one_once(
    behind: Behind, path: str, queue: str, item: Any
) -> None:
    """Forged items do not take genuine ones of the same post with them, and repetitions are dropped."""
    word = await client_state(behind.user)
    behind.gateway.queue.refuses = lambda method, asked: method == "GET" and asked == queue
    others = {NOTIFICATIONS: ("AAkOther", "updated"), LIFECYCLE: ("missed",)}[path]
    items = [item("con_x.forged"), item(word), item(word), {}, item(word, *others), item(None)]

    async def look() -> tuple[int, int]:
        before = len(behind.gateway.queue.requests)
        answer = await behind.post(path, items)
        written = [asked for asked in behind.gateway.queue.requests[before:] if asked == ("POST", queue)]
        return answer.status_code, len(written)

    assert await behind.undisturbed(look, ONCE[path]) == (202, 2)


@pytest.mark.parametrize(("path", "queue", "item"), ROUTES)
async def test_with_the_tables_down_graph_still_gets_its_202(behind: Behind, path: str, queue: str, item: Any) -> None:
    """What Microsoft tells us is kept even while nothing else of the storage works."""
    word = await client_state(behind.user)
    behind.gateway.queue.refuses = lambda method, asked: method == "GET" and asked == queue
    behind.gateway.table.refuses = lambda _method, _path: True

    assert (await behind.post(path, [item(word)])).status_code == 202


@pytest.mark.parametrize(("path", "queue", "item"), ROUTES)
async def test_with_the_queue_down_graph_is_asked_to_try_again(
    behind: Behind, path: str, queue: str, item: Any
) -> None:
    """5xx for what should have been queued, never a 202 for what is lost; what is forged needs no queue and gets its 202."""
    word = await client_state(behind.user)
    behind.gateway.queue.refuses = lambda method, _path: method == "POST"

    refused = await behind.post(path, [item(word)])
    forged = await behind.post(path, [item("con_x.forged")])

    assert 500 <= refused.status_code < 600
    assert forged.status_code == 202


async def test_mail_that_arrives_while_the_queue_is_down_reaches_the_crm_afterwards(behind: Behind) -> None:
    """Graph tries again, and nothing is lost."""
    user = behind.user
    offer = await user.sent()
    await user.stage.quiet()
    refusals = 0

    def refuses(method: str, path: str) -> bool:
        nonlocal refusals
        down = method == "POST" and path == CHANGES_QUEUE
        refusals += down
        return down

    behind.gateway.queue.refuses = refuses
    arrived = await user.stage.mail_arrives(
        "ada@customer.example", "RE: Our offer", "Gladly", in_reply_to=offer["internet_message_id"]
    )

    async def refused_twice() -> bool:
        return refusals >= 2

    await eventually(refused_twice, "Graph to try twice")
    behind.gateway.queue.refuses = lambda _method, _path: False

    # Other tests of this file share the mailbox.
    await heard_of(user, "message.synced", arrived["internet_message_id"])
