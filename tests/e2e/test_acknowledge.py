"""
The answer to Microsoft Graph: one queue write and nothing else stands between a notification and its 202.

On a cloud of its own, whose storage is behind gateways that note and refuse.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.cloud.local import LocalCloud
from tests.cloud.polling import eventually
from tests.cloud.stage import Stage
from tests.e2e.account import Account, Connected, unique
from tests.e2e.gateway import StorageGateway
from tests.e2e.test_notifications_edge import LIFECYCLE, NOTIFICATIONS, change, client_state, lifecycle

CHANGES_QUEUE, WATCH_QUEUE = "/mail-changes/messages", "/mailbox-watch/messages"
ROUTES = [(NOTIFICATIONS, CHANGES_QUEUE, change), (LIFECYCLE, WATCH_QUEUE, lifecycle)]


@dataclass(frozen=True)
class Behind:
    """A connected user on a cloud whose storage is behind `gateway`."""

    user: Connected
    gateway: StorageGateway

    async def post(self, path: str, items: list[dict[str, Any]]) -> httpx.Response:
        """A notification collection."""
        return await self.user.http.post(self.user.cloud.functions_url + path, json={"value": items})

    def timers(self) -> int:
        """How often any timer was started: they use the storage when they like."""
        return sum(n for name, n in self.user.cloud.functions.invocations.items() if name.startswith("timer_"))

    async def undisturbed[T](self, look: Callable[[], Awaitable[T]]) -> T:
        """What `look` finds while no timer runs; called again where one did."""
        while True:
            before = self.timers()
            found = await look()
            if self.timers() == before:
                return found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(http: httpx.AsyncClient) -> AsyncIterator[Behind]:
    """The cloud, its gateways, and the user."""
    async with StorageGateway() as gateway:
        cloud = LocalCloud({"AzureWebJobsStorage": gateway.connection_string})
        gateway.lead_to(cloud.azurite)
        async with cloud, cloud.api(unique("acme")) as api:
            account = Account(cloud, api, http)
            user_id, person = unique("dana"), account.new_person()
            connection = await account.connect(user_id, person.email)
            stage = Stage(cloud, http, person.email)
            # An attempt that failed is repeated at once instead of after 10 s.
            await stage.lab("POST", f"{cloud.graph.url}/_lab/notifications", {"first_retry_s": 0.2})
            yield Behind(Connected(cloud, api, http, user_id, person, connection, stage), gateway)


@pytest_asyncio.fixture(loop_scope="session")
async def behind(running: Behind) -> AsyncIterator[Behind]:
    """The same with everything at rest; whatever a test makes the gateways refuse, they let through again."""
    await running.user.stage.quiet()
    yield running
    running.gateway.queue.refuses = running.gateway.table.refuses = lambda _method, _path: False
    await running.user.stage.quiet()


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

    assert await behind.undisturbed(look) == (202, [("POST", queue)], 0, 0, 0)


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

    assert await behind.undisturbed(look) == (202, 2)


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

    event = await user.heard("message.synced")
    assert event["data"]["message"]["internet_message_id"] == arrived["internet_message_id"]
