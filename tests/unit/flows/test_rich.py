"""
Rich notifications: a message's keys come along, so that the mailbox is asked for nothing of mail outside every thread.

What comes along spares a question and decides nothing else: where it can't be used, all goes as without it.
"""

from dataclasses import replace
from datetime import timedelta
from typing import get_args

import pytest

from sync.domain.connection import Connection
from sync.domain.encrypted_content import Reason
from sync.domain.errors import Throttled
from sync.domain.mail import MailboxMessage
from sync.domain.message import Message
from sync.domain.metrics import NOTIFICATIONS_DATA
from sync.domain.notification import key_name
from sync.domain.subscription import MAX_LIFETIME
from sync.jobs import MailChange
from tests.unit.flows.test_key_rotation import held, open_ids
from tests.unit.flows.world import ADA, SIGNING_KEY, World


@pytest.fixture
async def sent(world: World, dana: Connection) -> Message:
    """An email that Dana sent to Ada from the CRM, its copy told; Graph now tells of nothing by itself."""
    sent = await world.sent(dana)
    world.mail.on_change = lambda *_: None
    return sent


@pytest.fixture
def copy(world: World, sent: Message) -> MailboxMessage:
    """The copy in Sent Items."""
    return world.mail.sent_copy(sent.message_id)


def told_of(world: World, dana: Connection, mail: MailboxMessage, what: Reason | None = None) -> MailChange:
    """Graph's notification of this mail, with its keys, or with what can't be used for this reason."""
    return MailChange(dana.connection_id, mail.graph_id, carried=world.resource_data.carried(what or mail))


async def synced(world: World) -> list[object]:
    """The threads of what the CRM was told of mail found in the mailbox."""
    told = [e.data["message"] for e in await world.feed() if e.type == "message.synced"]
    return [message["thread_id"] for message in told]  # type: ignore[index]


def asked_since(world: World, before: int) -> list[str]:
    """Which questions the mailbox was asked since then."""
    return [call for call in world.faults.calls[before:] if call.startswith("mail.")]


async def test_the_mailbox_is_not_asked_about_mail_outside_every_thread(
    world: World, dana: Connection, sent: Message
) -> None:
    """Not once; and a draft costs nothing either."""
    before = len(world.faults.calls)
    dinner = world.mail.arrives(dana.mailbox, ADA.address, "Dinner?")
    draft = replace(dinner, is_draft=True)
    await world.work_off(told_of(world, dana, dinner))
    await world.work_off(told_of(world, dana, draft))
    assert asked_since(world, before) == []
    assert await synced(world) == []
    assert world.metrics.counted(NOTIFICATIONS_DATA, "outcome") == {"used": 2}


async def test_a_reply_is_known_by_what_came_along(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """Only what it says is read, and it is told once, however often Graph tells of it."""
    before = len(world.faults.calls)
    reply = world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    for _ in range(3):
        await world.work_off(told_of(world, dana, reply))
    assert asked_since(world, before) == ["mail.content"]
    assert await synced(world) == [sent.thread_id]


@pytest.mark.parametrize("reason", get_args(Reason))
async def test_what_can_not_be_used_is_asked_for(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage, reason: Reason
) -> None:
    """As without it; and it is counted by its reason, so that an operator sees it."""
    before = len(world.faults.calls)
    reply = world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    await world.work_off(told_of(world, dana, reply, reason))
    assert asked_since(world, before) == ["mail.keys", "mail.content"]
    assert await synced(world) == [sent.thread_id]
    assert world.metrics.counted(NOTIFICATIONS_DATA, "outcome") == {reason: 1}


async def test_without_a_certificate_nothing_is_opened(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """The mode was switched back and the certificates are gone, while Graph still tells as before."""
    world.receive = replace(world.receive, resource_data=None)
    reply = world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    await world.work_off(told_of(world, dana, reply))
    assert world.resource_data.opened == []
    assert await synced(world) == [sent.thread_id]


async def test_a_try_that_is_put_off_asks_the_mailbox(
    world: World, dana: Connection, sent: Message, copy: MailboxMessage
) -> None:
    """Nothing of a mailbox waits in a queue longer than it has to, be it encrypted."""
    reply = world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    world.faults.fail("mail.content", Throttled(retry_after=timedelta(seconds=30)), times=1)
    await world.work_off(told_of(world, dana, reply))
    (waiting,) = [m.job for m in world.work.messages if isinstance(m.job, MailChange)]
    assert waiting.carried == ""
    await world.settle()
    assert await synced(world) == [sent.thread_id]
    assert len(world.resource_data.opened) == 1


async def test_who_shares_the_mailbox_gets_what_came_along(world: World, dana: Connection) -> None:
    """Graph tells one of them; the other's thread needs the keys as well."""
    await world.connected(dana.mailbox.email, "u2")
    other = await world.connection("u2")
    theirs = world.mail.sent_copy((await world.sent(other, key="of u2")).message_id)
    world.mail.on_change = lambda *_: None
    reply = world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=theirs)
    before = len(world.faults.calls)
    await world.work_off(told_of(world, dana, reply))
    await world.settle(timedelta(minutes=1))
    assert len(await synced(world)) == 1
    assert asked_since(world, before) == ["mail.content"]


async def test_a_new_certificate_or_mode_replaces_the_subscription_at_its_renewal(
    world: World, dana: Connection
) -> None:
    """As a new signing key does; the mailbox is never without one, and one that is as it should be is only renewed."""
    names = []
    for certificate in ("", "first", "second", "second", ""):
        world.subscriptions.encrypts_for = certificate
        await world.settle(MAX_LIFETIME / 2 + timedelta(hours=1))
        names.append((await held(world)).made_with)
        assert len(open_ids(world)) == 1
    basic = key_name(SIGNING_KEY)
    assert names == [basic, f"{basic}+first", f"{basic}+second", f"{basic}+second", basic]
    assert world.faults.count("subscriptions.replace") == 3


async def test_a_certificate_that_can_not_be_read_waits_for_the_operator(world: World, dana: Connection) -> None:
    """The subscription goes on as long as it lives, nobody has to sign in again, and it is replaced once that is mended."""
    old = await held(world)
    world.subscriptions.encrypts_for = "unreadable"
    await world.settle(MAX_LIFETIME / 2 + timedelta(hours=12))
    assert (await held(world)).subscription_id == old.subscription_id
    assert (await world.connection()).state == dana.state
    world.subscriptions.encrypts_for = "first"
    await world.settle(timedelta(days=1))
    assert (await held(world)).made_with == f"{key_name(SIGNING_KEY)}+first"
