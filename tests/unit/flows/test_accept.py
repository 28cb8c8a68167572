"""Accepting sends: one key, one answer, one email."""

import asyncio
from dataclasses import replace

import pytest

from sync.domain.connection import Connection, DefaultSender
from sync.domain.errors import (
    AttachmentRefused,
    ConnectionNeedsReconnect,
    IdempotencyKeyReused,
    InvalidRequest,
    NotFound,
    SyncError,
    ThreadStopped,
)
from sync.domain.message import Contact, Status
from sync.domain.outgoing import Outgoing, OutgoingFile
from sync.jobs import SendMail
from tests.unit.flows.world import ACCOUNT, ADA, World

EMAIL = Outgoing("individual", "u1", (ADA,), "Offer", "<p>Hi</p>", metadata={"campaign": 7})


async def test_an_accepted_send_is_answered_stored_and_queued(world: World, dana: Connection) -> None:
    """The answer names message, thread, door and rule; the message waits in the journal, its wake-up in the queue."""
    answer = await world.accept.accept(ACCOUNT, "key", EMAIL, "hash")

    told = answer["messages"][0]  # type: ignore[index]
    stored = await world.message(told["message_id"])
    assert answer == {
        "batch_id": "bat_" + stored.message_id[4:24],
        "messages": [
            {
                "message_id": stored.message_id,
                "thread_id": stored.thread_id,
                "status": "queued",
                "to": [{"address": ADA.address, "name": "Ada", "contact_id": "c-ada"}],
            }
        ],
        "sender": {"via": "outlook", "address": dana.mailbox.email, "rule": "individual_outlook"},
    }
    assert (stored.status, stored.metadata) == (Status.QUEUED, {"campaign": 7})
    assert world.work.visible(SendMail.queue) == [SendMail(ACCOUNT, stored.message_id)]
    thread = await world.journal.thread(ACCOUNT, stored.thread_id)
    assert thread is not None
    assert (thread.connection_id, thread.contacts) == (dana.connection_id, (ADA,))


async def test_the_same_request_again_gets_the_first_answer(world: World, dana: Connection) -> None:
    """Before and after it was sent, and even after a disconnect; nothing is sent again."""
    first = await world.accept.accept(ACCOUNT, "key", EMAIL, "hash")
    assert await world.accept.accept(ACCOUNT, "key", EMAIL, "hash") == first
    await world.settle()
    assert await world.accept.accept(ACCOUNT, "key", EMAIL, "hash") == first
    await world.disconnect.delete(ACCOUNT, "u1")
    assert await world.accept.accept(ACCOUNT, "key", EMAIL, "hash") == first
    await world.settle()
    assert len(world.mail.outgoing) == 1


async def test_the_same_key_with_another_body_is_refused(world: World, dana: Connection) -> None:
    """And nothing of the other body is sent."""
    await world.accept.accept(ACCOUNT, "key", EMAIL, "hash")
    with pytest.raises(IdempotencyKeyReused):
        await world.accept.accept(ACCOUNT, "key", replace(EMAIL, subject="Another"), "another hash")
    await world.settle()
    assert [item.seen.subject for item in world.mail.outgoing] == ["Offer"]


async def test_many_equal_requests_at_once_are_one_send(world: World, dana: Connection) -> None:
    """All get one answer, and one email leaves."""
    answers = await asyncio.gather(*(world.accept.accept(ACCOUNT, "key", EMAIL, "hash") for _ in range(50)))
    assert all(answer == answers[0] for answer in answers)
    await world.settle()
    assert len(world.mail.outgoing) == 1
    assert (await world.told()).count("message.sent") == 1


async def test_one_key_with_two_bodies_at_once_sends_one_of_them(world: World, dana: Connection) -> None:
    """Whoever is first wins, the others are refused."""
    requests = [
        world.accept.accept(ACCOUNT, "key", replace(EMAIL, subject=f"Body {i % 2}"), f"hash {i % 2}") for i in range(10)
    ]
    ends = await asyncio.gather(*requests, return_exceptions=True)
    refused = [end for end in ends if isinstance(end, IdempotencyKeyReused)]
    assert len(refused) == 5
    await world.settle()
    assert len(world.mail.outgoing) == 1


async def test_another_account_does_not_meet_this_ones_keys(world: World, dana: Connection) -> None:
    """The same key and body there is another send, refused for what that account lacks; and its ids lead nowhere there."""
    first = await world.accept.accept(ACCOUNT, "key", EMAIL, "hash")
    with pytest.raises(SyncError):
        await world.accept.accept("other", "key", EMAIL, "hash")
    assert await world.journal.message("other", first["messages"][0]["message_id"]) is None  # type: ignore[index]


REFUSED = {
    "no recipient": (replace(EMAIL, to=()), InvalidRequest),
    "line break in subject": (replace(EMAIL, subject="a\r\nBcc: eve@x.example"), InvalidRequest),
    "forbidden file": (replace(EMAIL, files=(OutgoingFile("run.exe", "", b"MZ"),)), AttachmentRefused),
    "unknown thread": (replace(EMAIL, thread_id="thr_none"), NotFound),
    "unknown user": (replace(EMAIL, user_id="nobody"), SyncError),
}


@pytest.mark.parametrize(("send", "error"), REFUSED.values(), ids=REFUSED)
async def test_what_can_not_be_sent_leaves_nothing_behind(
    world: World, dana: Connection, send: Outgoing, error: type[SyncError]
) -> None:
    """No row, no blob, no job: the CRM may use the key again for a request that is right."""
    stored = dict(world.content.stored)
    with pytest.raises(error):
        await world.accept.accept(ACCOUNT, "key", send, "hash")
    assert world.content.stored == stored
    assert world.work.visible(SendMail.queue) == []
    assert (await world.accept.accept(ACCOUNT, "key", EMAIL, "other hash"))["messages"]


async def test_a_user_who_must_sign_in_again_can_not_send(world: World, dana: Connection) -> None:
    """Told at once, not by a failure hours later."""
    world.people.revoke(dana.mailbox.email)
    world.mail.arrives(dana.mailbox, ADA.address, "Hello")
    await world.settle()
    with pytest.raises(ConnectionNeedsReconnect):
        await world.accept.accept(ACCOUNT, "key", EMAIL, "hash")


async def test_a_user_whose_default_is_the_provider_does_not_send_through_outlook(
    world: World, dana: Connection
) -> None:
    """The connection stays, the door is another one."""
    await world.connections.save(replace(dana, default_sender=DefaultSender.PROVIDER))
    with pytest.raises(SyncError):
        await world.accept.accept(ACCOUNT, "key", EMAIL, "hash")
    assert world.work.visible(SendMail.queue) == []


async def test_a_thread_goes_on_only_from_its_own_mailbox(world: World, dana: Connection) -> None:
    """Another user, or the same user with another mailbox, can't answer into it."""
    sent = await world.sent(dana)
    await world.connected("bob@crm.example", user_id="u2")
    with pytest.raises(ThreadStopped):
        await world.accept.accept(ACCOUNT, "k2", replace(EMAIL, user_id="u2", thread_id=sent.thread_id), "hash")

    await world.connected("bob@crm.example")
    with pytest.raises(ThreadStopped):
        await world.accept.accept(ACCOUNT, "k3", replace(EMAIL, thread_id=sent.thread_id), "hash")


async def test_new_contacts_of_an_answer_become_contacts_of_the_thread(world: World, dana: Connection) -> None:
    """The CRM sees the thread with each of them from then on."""
    first = await world.sent(dana)
    boss = Contact("boss@world.example", "Boss", "c-boss")
    await world.accepted(dana, key="key-2", to=[ADA, boss], thread_id=first.thread_id)
    await world.settle()
    (thread,) = await world.journal.threads(ACCOUNT, contact_id="c-boss", user_id=None, after=None, limit=10)
    assert [contact.contact_id for contact in thread.contacts] == ["c-ada", "c-boss"]
