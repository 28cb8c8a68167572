"""Nothing reads as lost: work that always fails is given up after 5 tries, shown with its reason, mended, put back, and done."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from azure.storage.queue.aio import QueueServiceClient

from sync.jobs import MAIL_CHANGES, QUEUES
from tests.cloud.local import LocalCloud
from tests.cloud.polling import eventually
from tests.e2e.account import Account, Json, unique
from tests.e2e.conversation import answers, at_rest, newly_connected, synced, told
from tests.e2e.storage import Storage

#: host.json waits half a minute between two tries.
AT_ONCE = {"AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:01"}
MAX_TRIES = 5
BROKEN = '{"email": "private@customer.example"'


async def test_work_that_fails_is_shown_mended_and_done(http: httpx.AsyncClient) -> None:
    """
    A row that can't be read stops the mail of one connection: it is in the status by its ids, with where the code failed.

    The host's copy would expire after 7 days; the app's never does. Once the row is mended, what is put back is done as ever, and
    nothing is told twice.
    """
    async with (
        LocalCloud(AT_ONCE) as cloud,
        Storage(cloud.azurite.connection_string) as storage,
        cloud.api(unique("acme")) as api,
    ):
        user = await newly_connected(Account(cloud, api, http))
        offer = await user.sent()
        await at_rest(user)
        assert (await status(user))["poison"] == []

        row = await storage.connection_row(user.account_id, user.user_id)
        await storage.put_connection_row(row | {"doc0": BROKEN})
        arrival = await answers(user, offer)

        async def given_up() -> list[Json]:
            return list((await status(user))["poison"])

        [shown] = await eventually(given_up, "the work to be given up", timeout=60)
        assert (shown["queue"], shown["tries"]) == (MAIL_CHANGES, MAX_TRIES)
        assert shown["job"]["connection_id"] == user.connection_id
        assert shown["job"]["graph_id"] == arrival.graph_id
        assert shown["reason"].startswith("JSONDecodeError at ")
        assert "connections.py:" in shown["reason"] or "rows.py:" in shown["reason"]
        assert "private" not in str(shown)
        since = datetime.fromisoformat(shown["since"])
        assert datetime.now(UTC) - timedelta(minutes=2) < since < datetime.now(UTC)
        assert (await status(user))["queues"][MAIL_CHANGES]["poison"] == 1
        assert cloud.functions.failures["queue_mail_change"] == MAX_TRIES

        [until] = await storage.poison(MAIL_CHANGES)
        assert until - datetime.now(UTC) < timedelta(days=8)
        await runs(http, cloud, "timer_poison")
        [until] = await eventually(lambda: storage.poison(MAIL_CHANGES), "the kept message to be seen", timeout=90)
        assert until.year == 9999

        await storage.put_connection_row(row)
        assert (await api.replay_poison("no-such-queue")).status_code == 422
        assert (await api.replay_poison("crm-deliveries")).json() == {
            "replayed": 0,
            "queues": {"crm-deliveries": 0},
        }
        answer = await api.replay_poison()
        assert answer.status_code == 200
        assert answer.json() == {"replayed": 1, "queues": {**dict.fromkeys(QUEUES, 0), MAIL_CHANGES: 1}}
        message = await synced(user, arrival)
        await at_rest(user)
        assert told(user) == [("message.sent", offer["message_id"]), ("message.synced", message["message_id"])]
        after = await status(user)
        assert after["poison"] == []
        assert sum(queue["poison"] for queue in after["queues"].values()) == 0
        assert await storage.failures() == 0


async def test_what_recovers_by_itself_leaves_no_reason_behind(http: httpx.AsyncClient) -> None:
    """A try that fails notes why, and the next one that succeeds forgets it; what is no job at all is shown without ids."""
    async with (
        LocalCloud(AT_ONCE) as cloud,
        Storage(cloud.azurite.connection_string) as storage,
        cloud.api(unique("acme")) as api,
    ):
        user = await newly_connected(Account(cloud, api, http))
        offer = await user.sent()
        await at_rest(user)
        row = await storage.connection_row(user.account_id, user.user_id)
        await storage.put_connection_row(row | {"doc0": BROKEN})
        arrival = await answers(user, offer)
        await eventually(storage.failures, "a reason to be noted")
        await storage.put_connection_row(row)
        await synced(user, arrival)
        await at_rest(user)
        assert await storage.failures() == 0

        async with QueueServiceClient.from_connection_string(cloud.azurite.connection_string) as queues:
            await queues.get_queue_client(MAIL_CHANGES).send_message("not in the encoding of the host")

        async def seen() -> list[Json]:
            return list((await status(user))["poison"])

        [shown] = await eventually(seen, "the message to be given up")
        assert (shown["job"], shown["tries"]) == ({}, None)
        assert shown["reason"].startswith("unknown")


async def status(of: Account) -> dict[str, Any]:
    """How the app is doing."""
    answer = await of.api.status()
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def runs(http: httpx.AsyncClient, cloud: LocalCloud, function: str) -> None:
    """Run a function that no request reaches, and wait for its end."""
    before = cloud.functions.invocations[function]
    url = f"{cloud.functions_url}/admin/functions/{function}"
    answer = await http.post(url, headers={"x-functions-key": cloud.functions.master_key}, json={})
    assert answer.status_code == 202, answer.text

    async def has_run() -> bool:
        return cloud.functions.invocations[function] > before

    await eventually(has_run, f"{function} to run")
    await cloud.functions.idle()
