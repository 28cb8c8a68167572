"""`DELETE …/connection?erase=true`: what was synced is nowhere in storage any more, and the CRM can go on from there."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest_asyncio
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue import TextBase64DecodePolicy
from azure.storage.queue.aio import QueueServiceClient

from tests.cloud.local import LocalCloud
from tests.cloud.stage import Stage, attached
from tests.e2e.account import Account, Connected, Json, unique
from tests.e2e.conversation import answers, at_rest, left, newly_connected, synced
from tests.e2e.way import Way

TEXT = "text/plain"
#: An email, its answer and the user's own word to that; the file on each of the first two that was stored; an event for each
#: message and for the begin and the end of the connection; a message id for each message, and their conversation's two keys.
OF_A_CONVERSATION = {"messages": 3, "attachments": 2, "events": 5, "anchors": 5}


@dataclass(frozen=True)
class Secretive(Connected):
    """A connected user all of whose mail says one word, that nobody else says."""

    word: str

    @property
    def traces(self) -> list[str]:
        """What must be found nowhere: what the mail says, and whose mailbox it is."""
        return [self.word, self.email.partition("@")[2], self.person.oid]

    async def converses(self) -> list[Json]:
        """`data.message` of an email with a file, of its answer with files, and of what the user writes to that in Outlook."""
        contact = {"address": f"{self.word}@customer.example", "name": f"Ada {self.word}", "contact_id": self.word}
        notes = attached(f"{self.word}.txt", TEXT, f"notes on {self.word}".encode())
        sent = await self.sent(
            to=[contact], subject=f"About {self.word}", html=f"<p>{self.word}!</p>", attachments=[notes]
        )
        files = [notes, attached(f"{self.word}.exe", TEXT, b"MZ")]
        answer = await answers(self, sent, contact["address"], f"I like {self.word}.", attachments=files)
        answered = await synced(self, answer)
        found = await self.stage.outlook.find(answer.internet_message_id)
        written = await synced(self, await self.stage.outlook.reply_all(found["id"], f"So do I: {self.word}"))
        await at_rest(self)
        return [sent, answered, written]

    async def is_erased(self) -> Json:
        """The answer of the app, once everything has come to rest."""
        answer = await self.api.delete_connection(self.user_id, erase=True)
        assert answer.status_code == 200, answer.text
        await at_rest(self)
        return dict(answer.json())


@pytest_asyncio.fixture(loop_scope="session")
async def secretive(account: Account) -> Secretive:
    """A fresh account with a connected user."""
    word = unique("canary").replace("-", "")
    user_id, person = unique("dana"), account.new_person(f"Dana {word}")
    connection = await account.connect(user_id, person.email)
    stage = Stage(account.cloud, account.http, person.email)
    return Secretive(account.cloud, account.api, account.http, user_id, person, connection, stage, word)


async def everything(cloud: LocalCloud) -> AsyncIterator[tuple[str, str]]:
    """Every row, every blob and every queue message that can be seen: where it is, and what it says, its name with it."""
    connection = cloud.azurite.connection_string
    async with (
        TableServiceClient.from_connection_string(connection) as tables,
        BlobServiceClient.from_connection_string(connection) as blobs,
        QueueServiceClient.from_connection_string(connection) as queues,
    ):
        async for table in tables.list_tables():
            async for row in tables.get_table_client(table.name).list_entities():
                yield table.name, " ".join(str(value) for value in row.values())
        async for container in blobs.list_containers():
            opened = blobs.get_container_client(container.name)
            async for blob in opened.list_blobs():
                try:
                    content = await (await opened.download_blob(blob.name)).readall()
                except ResourceNotFoundError:  # another test's, that went meanwhile
                    continue
                yield container.name, f"{blob.name} {content.decode(errors='replace')}"
        async for queue in queues.list_queues():
            client = queues.get_queue_client(queue.name, message_decode_policy=TextBase64DecodePolicy())
            for message in await client.peek_messages(max_messages=32):
                yield queue.name, str(message.content)


async def kept(user: Secretive) -> set[str]:
    """Where something of the user is kept: tables, containers, queues."""
    return {
        place
        async for place, text in everything(user.cloud)
        if any(trace.casefold() in text.casefold() for trace in user.traces)
    }


async def test_nothing_of_an_erased_user_is_left_in_storage(secretive: Secretive) -> None:
    """No address, name, subject, body or file: neither in a table nor in a blob or a queue, nor in a blob's name."""
    await secretive.converses()
    await Way.begin(secretive, expected_email=secretive.email, user_id=secretive.user_id, person=secretive.person)
    refused = await Way.begin(secretive, user_id=secretive.user_id, person=secretive.person)
    await refused.back_in_crm(await refused.to_callback("decline"))
    assert await kept(secretive) == {"connections", "signins", "anchors", "journal", "mail"}

    answer = await secretive.is_erased()

    assert answer == {"connection_id": secretive.connection_id, "erased": OF_A_CONVERSATION}
    assert await kept(secretive) == set()


async def test_a_repeated_call_gets_the_same_answer(secretive: Secretive) -> None:
    """With erase and without."""
    await secretive.converses()
    answer = await secretive.is_erased()
    assert await secretive.is_erased() == answer
    assert (await secretive.api.delete_connection(secretive.user_id)).json() == answer


async def test_an_erased_user_can_not_be_looked_up(secretive: Secretive) -> None:
    """Messages, files and threads answer 404; the connection says that it has ended, and not whose it was."""
    messages = await secretive.converses()
    await secretive.is_erased()

    api = secretive.api
    assert {(await api.message(message["message_id"])).status_code for message in messages} == {404}
    files = [file for message in messages for file in message["attachments"]]
    assert [(await api.attachment(file["attachment_id"])).status_code for file in files] == [404] * 3
    assert (await api.thread(messages[0]["thread_id"])).status_code == 404
    for asked in ({"user_id": secretive.user_id}, {"contact_id": secretive.word}, {}):
        assert (await api.threads(**asked)).json()["threads"] == []
    shown = (await api.connection(secretive.user_id)).json()
    assert (shown["connection_id"], shown["state"]) == (secretive.connection_id, "disconnected")
    assert (shown["email"], shown["display_name"], shown["thread_count"]) == (None, None, 0)


async def test_the_feed_has_no_hole_where_something_was_erased(secretive: Secretive) -> None:
    """Each event at its place with its id and type; of what it told only whose it was. One of them is not delivered again."""
    await secretive.converses()
    before = await secretive.feed()
    await secretive.is_erased()
    after = await secretive.feed()

    assert [event["sequence"] for event in after] == [1, 2, 3, 4, 5]
    assert [(event["id"], event["type"]) for event in after[:4]] == [(event["id"], event["type"]) for event in before]
    ids = {"connection_id": secretive.connection_id, "user_id": secretive.user_id}
    assert [event["data"] for event in after[:4]] == [{"erased": True, **ids}] * 4
    heard = await secretive.heard("connection.disconnected")
    assert heard["data"]["connection"]["connection_id"] == secretive.connection_id

    def received() -> list[str]:
        attempts = secretive.cloud.crm.attempts
        return [attempt.event["id"] for attempt in attempts if attempt.event["account_id"] == secretive.account_id]

    before_that = received()
    again = await secretive.api.redeliver(after[1]["id"])
    await secretive.cloud.functions.idle()
    assert (again.status_code, again.json()["delivery"]) == (202, "delivered")
    assert again.json()["data"] == {"erased": True, **ids}
    assert received() == before_that


async def test_another_user_of_the_account_loses_nothing(secretive: Secretive) -> None:
    """Messages, files and events stay as they were, and mail goes on syncing."""
    await secretive.converses()
    other = await newly_connected(secretive)
    offer = await other.sent(attachments=[attached("offer.txt", TEXT, b"our offer")])
    answer = await synced(other, await answers(other, offer))
    await at_rest(other)
    before = [(await other.api.message(message["message_id"])).json() for message in (offer, answer)]
    feed = [event for event in await other.feed() if other.user_id in str(event["data"])]

    await secretive.is_erased()

    assert [(await other.api.message(message["message_id"])).json() for message in (offer, answer)] == before
    assert (await other.api.attachment(offer["attachments"][0]["attachment_id"])).content == b"our offer"
    assert [event for event in await other.feed() if other.user_id in str(event["data"])] == feed
    again = await synced(other, await answers(other, answer))
    assert again["thread_id"] == offer["thread_id"]


async def test_both_mailboxes_of_an_update_are_erased(secretive: Secretive) -> None:
    """The mail of the first one, whose place another has taken, goes as well."""
    await secretive.converses()
    second = await secretive.updates_to(secretive.new_person(f"Dora {secretive.word}"))
    await second.converses()

    answer = await second.is_erased()

    # The begin of each, the Update, the end of the second; an email and its answers of each.
    assert answer["erased"] == {"messages": 6, "attachments": 4, "events": 10, "anchors": 10}
    assert await kept(secretive) == await kept(second) == set()


async def test_the_user_can_connect_again(secretive: Secretive) -> None:
    """As somebody new: erased threads are gone, a request of then is answered and not sent again, new mail syncs both ways."""
    body = secretive.mail(subject=f"About {secretive.word}")
    accepted = (await secretive.api.send(body, "key-of-then")).json()
    await at_rest(secretive)
    await secretive.is_erased()

    connection = await secretive.connect(secretive.user_id, secretive.email)
    again = replace(secretive, connection=connection)
    assert connection["connection_id"] != secretive.connection_id
    repeated = await again.api.send(body, "key-of-then")
    assert repeated.status_code == 202
    [told], [then] = repeated.json()["messages"], accepted["messages"]
    assert told == then | {"to": []}
    gone = await again.api.send(again.mail(thread_id=then["thread_id"]), unique("key"))
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")

    offer = await again.sent(subject="Another offer")
    answer = await synced(again, await answers(again, offer))
    assert (answer["connection_id"], answer["thread_id"]) == (connection["connection_id"], offer["thread_id"])
    assert [mail["subject"] for mail in left(again)] == [body["subject"], "Another offer"]
