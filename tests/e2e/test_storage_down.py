"""
The storage is down: nothing that is told then is taken for kept, the app stays alive, and afterwards all of it is there once.

A cloud of its own, with proxies before the storage that reset every connection.
"""

from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from tests.cloud.fault_plan import FaultPlan
from tests.cloud.local import LocalCloud
from tests.cloud.polling import eventually
from tests.e2e.account import Account, Connected
from tests.e2e.conversation import answers, at_rest, left, newly_connected, notifications, synced, told
from tests.e2e.settling import Settling
from tests.e2e.test_notifications_edge import LIFECYCLE, NOTIFICATIONS, change, client_state, lifecycle


@pytest_asyncio.fixture(loop_scope="session")
async def user(http: httpx.AsyncClient) -> AsyncIterator[Connected]:
    """Somebody connected, on a cloud whose storage can go down; nothing else fails there."""
    settings = {"AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:02"}
    async with LocalCloud(settings, lease_seconds=10, faults=FaultPlan(1, ())) as cloud, cloud.api("acme") as api:
        yield await newly_connected(Account(cloud, api, http))


async def test_nothing_is_lost_while_the_storage_is_down(user: Connected) -> None:
    """Graph and the CRM get 5xx and try again, /health answers; then each message is told once and each email left once."""
    cloud, http = user.cloud, user.http
    offer = await user.sent()
    await at_rest(user)
    word = await client_state(user)

    async with notifications(user, first_retry_s=0.5):
        cloud.faults.storage_down()
        for path, item in ((NOTIFICATIONS, change(word)), (LIFECYCLE, lifecycle(word))):
            refused = await http.post(cloud.functions_url + path, json={"value": [item]})
            assert 500 <= refused.status_code < 600
        assert (await http.get(f"{cloud.functions_url}/health")).status_code == 200
        reply = await answers(user, offer)
        copy = await user.stage.outlook.find(offer["internet_message_id"], "sentitems")
        own = await user.stage.outlook.reply_all(copy["id"], "One thing more.")
        second = user.mail(subject="Second offer")
        refused = await user.api.send(second, "second")
        assert refused.status_code >= 500
        assert refused.json()["retryable"] is True
        assert len(left(user)) == 2

        cloud.faults.off()
        taken = await user.api.send(second, "second")
        assert taken.status_code == 202, taken.text
        again = await user.api.send(second, "second")
        assert again.json() == taken.json()
        await synced(user, reply)
        await synced(user, own)
        await at_rest(user)
    async with Settling(cloud, http) as settling:
        # What was promised meanwhile and lost its wake-up comes now, as does whatever would come twice.
        await settling.time_passes([user.account_id])
        await settling.rest()
        assert await settling.poison() == {}

    assert Counter(kind for kind, _ in told(user)) == {"message.sent": 2, "message.synced": 2}
    assert sorted(mail["subject"] for mail in left(user)) == ["Our offer", "RE: Our offer", "Second offer"]
    feed = await user.feed()
    assert [event["sequence"] for event in feed] == list(range(1, len(feed) + 1))


async def test_work_that_meets_the_storage_down_is_done_afterwards(user: Connected) -> None:
    """What was under way goes on where it stopped: one email, told once."""
    faults = user.cloud.faults
    # The app is in the middle of sending when the storage goes: what Graph answers next can't be written down.
    faults.graph.hold()
    accepted = await user.api.send(user.mail(), "first")

    async def under_way() -> bool:
        return faults.graph.waiting > 0

    await eventually(under_way, "the app to call Graph")
    faults.storage_down()
    faults.graph.release()

    async def noticed() -> bool:
        return faults.table.refused > 3

    await eventually(noticed, "the app to be refused")
    faults.off()

    async with Settling(user.cloud, user.http) as settling:

        async def is_told() -> bool:
            return bool(told(user))

        assert await settling.until([user.account_id], is_told, steps=5)
    assert told(user) == [("message.sent", accepted.json()["messages"][0]["message_id"])]
    assert len(left(user)) == 1
