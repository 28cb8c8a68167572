"""
RETENTION_DAYS on the real app: what is old goes, with its bodies and files; what is young stays, and late answers still sync.

The app's clock can't be moved, so mail is made old in its rows, and the host is told to run the day's timer.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest_asyncio
from azure.data.tables.aio import TableServiceClient

from sync.adapters.journal import JournalTable
from sync.adapters.tables import Tables
from tests.cloud.local import LocalCloud
from tests.cloud.polling import eventually
from tests.cloud.stage import Stage
from tests.e2e.account import Account, Connected, Json, unique
from tests.e2e.batches import with_provider
from tests.e2e.conversation import ADA, answers, at_rest, in_mailbox, mailbox_of, synced, told
from tests.e2e.storage import Storage

OLD = timedelta(days=31)
NOTES = {"name": "notes.txt", "content_type": "text/plain", "content_base64": "bm90ZXM="}


@pytest_asyncio.fixture(loop_scope="session")
async def user(http: httpx.AsyncClient) -> AsyncIterator[Connected]:
    """A connected user of a cloud of its own, whose app keeps mail for 30 days."""
    async with LocalCloud({"RETENTION_DAYS": "30"}) as cloud, cloud.api(unique("acme")) as api:
        account = Account(cloud, api, http)
        user_id, person = unique("dana"), account.new_person()
        connection = await account.connect(user_id, person.email)
        yield Connected(cloud, api, http, user_id, person, connection, Stage(cloud, http, person.email))


async def grow_old(of: Connected) -> None:
    """Everything that happened in this account so far happened 31 days ago."""
    await at_rest(of)  # that an event was taken is written down after it was
    then = datetime.now(UTC) - OLD
    async with TableServiceClient.from_connection_string(of.cloud.azurite.connection_string) as client:
        journal = JournalTable(Tables(client))
        place = ""
        found, _ = await journal.messages_before(of.account_id, datetime.now(UTC) + timedelta(days=1), place)
        for message in found:
            await journal.save_message(replace(message, sent_at=then))
        for batch in await journal.batches(of.account_id, "", 100):
            await journal.save_batch(replace(batch, accepted_at=then))
        for event in await journal.events(of.account_id, 0, 100):
            await journal.save_event(replace(event, occurred_at=then))


async def a_day_comes(to: Connected) -> None:
    """The day's look for what is old, to its end."""
    answer = await to.http.post(
        f"{to.cloud.functions_url}/admin/functions/timer_remove_old",
        json={"input": ""},
        headers={"x-functions-key": to.cloud.functions.master_key},
    )
    assert answer.status_code == 202

    async def over() -> bool:
        async with TableServiceClient.from_connection_string(to.cloud.azurite.connection_string) as client:
            rows = client.get_table_client("owed").query_entities("RowKey eq 'retention'")
            return not [row async for row in rows]

    await to.cloud.functions.idle()
    await eventually(over, "what is old to be removed")
    await at_rest(to)


async def blobs(of: Connected) -> list[str]:
    """The names of all bodies and files."""
    async with Storage(of.cloud.azurite.connection_string) as storage:
        return [name for name in (await storage.contents()).blobs if name.startswith("mail/")]


async def test_what_is_old_goes_and_late_answers_sync(user: Connected) -> None:
    """Through Outlook as through the provider; the feed keeps its numbers, the thread its id."""
    await with_provider(user)
    offer = await user.sent(attachments=[NOTES])
    workflow = await user.sent(kind="workflow")
    reply = await synced(user, await answers(user, offer, attachments=[NOTES]))
    await grow_old(user)
    young = await synced(user, await answers(user, offer, text="Anything new?"))
    await at_rest(user)
    feed = await user.feed()

    await a_day_comes(user)

    for message in (offer, workflow, reply):
        assert (await user.api.message(message["message_id"])).status_code == 404
        for file in message["attachments"]:
            assert (await user.api.attachment(file["attachment_id"])).status_code == 404
    thread = (await user.api.thread(offer["thread_id"])).json()
    assert [message["message_id"] for message in thread["messages"]] == [young["message_id"]]
    [left] = await blobs(user)
    assert young["message_id"] in left
    after = await user.feed()
    assert [event["id"] for event in after] == [event["id"] for event in feed]
    assert [event["sequence"] for event in after] == list(range(1, len(feed) + 1))
    assert [event["data"].get("erased", False) for event in after] == [True] * (len(feed) - 1) + [False]

    # Graph tells of the removed messages again: they are no news.
    before = told(user)
    for message in (offer, reply):
        mailbox_of(user).changed(in_mailbox(user, message["internet_message_id"]))
    await at_rest(user)
    assert told(user) == before

    late = await synced(user, await answers(user, offer, text="It took me a while."))
    assert late["thread_id"] == offer["thread_id"]
    again = await user.sent(thread_id=offer["thread_id"], to=None)
    assert (again["thread_id"], [person["address"] for person in again["to"]]) == (offer["thread_id"], [ADA])


async def test_an_emptied_thread_goes_on(user: Connected) -> None:
    """Nothing is left of it but that it is there: an answer to what was removed syncs, and the CRM can write into it."""
    offer = await user.sent()
    await grow_old(user)
    await a_day_comes(user)
    shown = (await user.api.thread(offer["thread_id"])).json()
    assert shown["messages"] == []
    assert await blobs(user) == []

    written: Json = await user.sent(thread_id=offer["thread_id"])
    late = await synced(user, await answers(user, offer, text="It took me a while."))

    assert [written["thread_id"], late["thread_id"]] == [offer["thread_id"]] * 2
    assert late["contact_ids"] == ["contact-1"]
