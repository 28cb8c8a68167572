"""Through the account's provider: handed over once, and told as the server said."""

from dataclasses import replace
from datetime import timedelta

import pytest

from sync.domain.connection import DefaultSender
from sync.domain.errors import Declined, ProviderNotConfigured, Throttled, Unclear
from sync.domain.mail import Address
from sync.domain.message import Contact, Status
from sync.domain.outgoing import Kind, Outgoing, OutgoingFile
from sync.domain.provider import ServerReply
from sync.domain.sender_rule import FromNotAllowed
from tests.unit.flows.bulk_world import counts, crowd
from tests.unit.flows.conftest import DANA
from tests.unit.flows.each_crash import Story, everything_was_heard, with_each_crash
from tests.unit.flows.provider_world import PROVIDER, accepted, received, world_with_provider
from tests.unit.flows.sent_once import DAY, TEXT
from tests.unit.flows.world import ACCOUNT, ADA, World

BOB, EVE = Contact("bob@world.example", "Bob"), Contact("eve@world.example", "Eve")
LOGO = OutgoingFile("logo.png", "image/png", b"\x89PNG\r\n\x1a\n" + b"0" * 20, inline=True, content_id="logo")
LATER, NEVER = ServerReply(450, "4.2.1 Try again later"), ServerReply(550, "5.1.1 No such user")


@pytest.fixture
async def world() -> World:
    return await world_with_provider()


async def test_an_email_reaches_the_server_as_it_was_asked_for(world: World) -> None:
    """With its text, its people, its files and a Message-ID of ours; it is told as sent, and belongs to no thread."""
    message = await accepted(world, to=(ADA, BOB), cc=(EVE,), bcc=(Contact("boss@crm.example"),), files=(TEXT, LOGO))
    assert (message.thread_id, message.connection_id, message.via) == ("", "", "provider")
    await world.settle()

    (left,) = world.smtp.outgoing
    email = left.email
    assert left.recipients == ("ada@world.example", "bob@world.example", "eve@world.example", "boss@crm.example")
    assert (email.sender, email.subject, email.body.html) == (Address("crm@acme.example", "Acme"), "Offer", "<p>Hi</p>")
    assert [a.address for a in (*email.to, *email.cc)] == [ADA.address, BOB.address, EVE.address]
    assert email.files == (TEXT, LOGO)
    assert email.message_id == f"<{message.message_id}@acme.example>"
    stored = await world.message(message.message_id)
    assert (stored.status, stored.internet_message_id) == (Status.SENT, email.message_id)
    assert await world.told() == ["message.sent"]
    told = (await world.feed())[0].data["message"]
    assert (told["thread_id"], told["connection_id"]) == (None, None)  # type: ignore[index]
    await everything_was_heard(world)


@pytest.mark.parametrize(
    ("kind", "from_address", "address", "rule"),
    [
        ("individual", None, "crm@acme.example", "individual_not_connected"),
        ("individual", "x@elsewhere.example", "crm@acme.example", "individual_not_connected"),
        ("workflow", None, "crm@acme.example", "workflow_provider"),
        ("bulk", None, "crm@acme.example", "bulk_from_blank"),
        ("bulk", "News@Acme.example", "News@Acme.example", "bulk_from_other"),
    ],
)
async def test_who_stands_in_from(world: World, kind: Kind, from_address: str | None, address: str, rule: str) -> None:
    """The provider's own address, or one of its domains that a bulk send names; the question before gets the same answer."""
    door = await world.senders.resolve(ACCOUNT, "u1", kind, from_address)
    assert (door.sender.via, door.sender.address, door.sender.rule, door.sender.syncs) == (
        "provider",
        address,
        rule,
        False,
    )
    asked = Outgoing(kind, "u1", (ADA,), "Offer", text="Hi", from_address=from_address)
    answer = await world.accept.accept(ACCOUNT, "key", asked, "hash")
    assert answer["sender"] == {"via": "provider", "address": address, "rule": rule}
    await world.settle()
    assert [one.email.sender.address for one in world.smtp.outgoing] == [address]


async def test_a_from_of_somebody_else_is_refused(world: World) -> None:
    """Neither an address of the mailbox nor of the provider: 422, and nothing is sent."""
    with pytest.raises(FromNotAllowed):
        await world.senders.resolve(ACCOUNT, "u1", "bulk", "boss@elsewhere.example")
    await world.providers.remove(ACCOUNT)
    for kind in ("individual", "bulk", "workflow"):
        with pytest.raises(ProviderNotConfigured):
            await world.senders.resolve(ACCOUNT, "u1", kind, None)


REFUSALS = {
    "login refused": ("smtp.submission", Declined("535 5.7.8 Bad password", code="smtp_535", status=535), "smtp_535"),
    "email refused": ("smtp.hand_over", Declined("554 5.7.1 Spam", code="smtp_554", status=554), "smtp_554"),
}


@pytest.mark.parametrize(("call", "refusal", "code"), REFUSALS.values(), ids=REFUSALS)
async def test_a_permanent_no_is_told_with_the_servers_words(
    world: World, call: str, refusal: Declined, code: str
) -> None:
    """At once, and it is not tried again."""
    world.faults.fail(call, refusal)
    message = await accepted(world)
    await world.settle(DAY)
    stored = await world.message(message.message_id)
    assert (stored.status, stored.problem_code) == (Status.FAILED, code)
    assert refusal.detail in stored.problem
    assert (await world.told(), world.smtp.outgoing) == (["message.failed"], [])
    await everything_was_heard(world)


@pytest.mark.parametrize("call", ["smtp.submission", "smtp.hand_over"])
async def test_what_the_server_puts_off_is_tried_again(world: World, call: str) -> None:
    """Busy, greylisting, or not to be reached before it had the email: later, with the same Message-ID, once."""
    world.faults.fail(call, Throttled("421 4.3.2 Busy", retry_after=timedelta()))
    if call == "smtp.submission":
        world.faults.fail(call, Unclear("no connection"))
    await accepted(world)
    await world.settle()
    assert received(world) == {ADA.address: 1}
    assert await world.told() == ["message.sent"]


@pytest.mark.parametrize("applied", [True, False], ids=["it was taken", "it was not"])
async def test_a_lost_answer_is_told_and_never_sends_a_second_email(world: World, applied: bool) -> None:
    """Nobody but the server knows whether it was sent: that is what the CRM hears, and it is not tried again."""
    world.faults.fail("smtp.hand_over", Unclear("no answer"), applied=applied)
    message = await accepted(world)
    await world.settle(DAY)
    assert len(world.smtp.outgoing) == applied
    stored = await world.message(message.message_id)
    assert (stored.status, stored.problem_code) == (Status.FAILED, "outcome_unknown")
    assert stored.internet_message_id == f"<{message.message_id}@acme.example>"
    assert await world.told() == ["message.failed"]


async def test_a_server_that_is_never_there_is_told_after_a_day(world: World) -> None:
    """With the last thing that was known of it."""
    for _ in range(400):
        world.faults.fail("smtp.submission", Unclear("The name smtp.example leads nowhere"))
    message = await accepted(world)
    await world.settle(timedelta(hours=23))
    assert await world.told() == []
    await world.settle(timedelta(hours=3))
    stored = await world.message(message.message_id)
    assert (stored.status, stored.problem_code) == (Status.FAILED, "provider_unreachable")
    assert "leads nowhere" in stored.problem
    assert world.smtp.outgoing == []


async def test_each_recipient_has_an_end_of_their_own(world: World) -> None:
    """Taken at once, put off and taken later, refused: one email each at most, sent first, then bounced for who was refused."""
    world.smtp.replies = {BOB.address: LATER, EVE.address: NEVER}
    message = await accepted(world, to=(ADA, BOB, EVE))
    await world.settle(timedelta(seconds=0))
    assert await world.told() == []
    del world.smtp.replies[BOB.address]
    await world.settle()

    assert received(world) == {ADA.address: 1, BOB.address: 1}
    assert await world.told() == ["message.sent", "message.bounced"]
    bounced = (await world.feed())[-1].data
    assert bounced["bounces"] == [{"address": EVE.address, "status_code": "5.1.1", "detail": "550 5.1.1 No such user"}]
    stored = await world.message(message.message_id)
    assert (stored.status, stored.bounces[0].address) == (Status.BOUNCED, EVE.address)
    assert {one.email.message_id for one in world.smtp.outgoing} == {stored.internet_message_id}
    await everything_was_heard(world)


async def test_an_email_that_is_refused_for_everybody_has_failed(world: World) -> None:
    """Nobody got it, so it was not sent."""
    world.smtp.replies = {ADA.address: NEVER, BOB.address: NEVER}
    message = await accepted(world, to=(ADA, BOB))
    await world.settle(DAY)
    stored = await world.message(message.message_id)
    assert (stored.status, stored.problem_code) == (Status.FAILED, "smtp_550")
    assert "No such user" in stored.problem
    assert await world.told() == ["message.failed"]


async def test_more_recipients_than_a_server_need_take_are_offered_in_turns(world: World) -> None:
    """A hundred at a time, each once, with one Message-ID, and one end for all."""
    world.smtp.replies = {"c150@world.example": NEVER, "c7@world.example": LATER}
    await accepted(world, to=crowd(250))
    await world.settle(timedelta(seconds=0))
    del world.smtp.replies["c7@world.example"]
    await world.settle()
    assert [len(one.recipients) for one in world.smtp.outgoing] == [99, 99, 50, 1]
    assert received(world) == {f"c{i}@world.example": 1 for i in range(250) if i != 150}
    assert await world.told() == ["message.sent", "message.bounced"]


async def test_a_slow_server_is_offered_the_next_turn_in_another_run(world: World) -> None:
    """A function that ran longer than it may would be ended in the middle: what is done is written down, the rest comes soon."""

    async def slow() -> None:
        world.clock.advance(timedelta(seconds=95))

    message = await accepted(world, to=crowd(250))
    world.faults.meanwhile("smtp.hand_over", slow)
    await world.settle(timedelta(seconds=0))
    assert [len(one.recipients) for one in world.smtp.outgoing] == [100]
    assert (await world.message(message.message_id)).status is Status.SENDING
    await world.settle()
    assert received(world) == {f"c{i}@world.example": 1 for i in range(250)}
    assert await world.told() == ["message.sent"]


async def test_who_is_put_off_for_a_day_is_told_as_bounced(world: World) -> None:
    """The others had it at once."""
    world.smtp.replies = {BOB.address: LATER}
    message = await accepted(world, to=(ADA, BOB))
    await world.settle(timedelta(hours=26))
    stored = await world.message(message.message_id)
    assert [(b.address, "4.2.1" in b.detail) for b in stored.bounces] == [(BOB.address, True)]
    assert received(world) == {ADA.address: 1}
    assert await world.told() == ["message.sent", "message.bounced"]


async def test_a_provider_that_was_removed_or_changed_sends_nothing_that_it_may_not(world: World) -> None:
    """What waited is told as failed, and why."""
    first = await accepted(world, send_at=world.clock() + timedelta(hours=1))
    second = await accepted(world, key="key-2", send_at=world.clock() + timedelta(hours=2))
    await world.providers.save(replace(PROVIDER, sender=Address("new@other.example"), domains=()))
    await world.settle(timedelta(minutes=90))
    await world.providers.remove(ACCOUNT)
    await world.settle(timedelta(hours=2))
    codes = [(await world.message(m.message_id)).problem_code for m in (first, second)]
    assert codes == ["from_not_allowed", "provider_not_configured"]
    assert world.smtp.outgoing == []


async def test_an_answer_through_the_provider_is_shown_below_what_it_answers(world: World) -> None:
    """
    The user's default is the provider: the email does not sync, but the contact's mail program knows where it belongs.

    Who is not named is answered as in Outlook, and the history is quoted.
    """
    dana = await world.connected(DANA)
    first = await world.sent(dana)
    copy = world.mail.sent_copy(first.message_id)
    reply = world.mail.arrives(dana.mailbox, ADA.address, "RE: Offer", answers=copy)
    await world.settle()
    await world.connections.save(replace(await world.connection(), default_sender=DefaultSender.PROVIDER))
    message = await accepted(world, key="key-2", to=(), thread_id=first.thread_id)
    await world.settle()

    (left,) = world.smtp.outgoing
    assert left.recipients == (ADA.address,)
    assert left.email.subject == "RE: Offer"
    assert left.email.in_reply_to == reply.keys.internet_message_id
    assert left.email.references == (copy.keys.internet_message_id, reply.keys.internet_message_id)
    assert (left.email.body.html or "").startswith("<p>Hi</p>")
    assert "Hello" in (left.email.body.html or "")
    assert message.thread_id == ""
    assert len(await world.journal.messages_of(ACCOUNT, first.thread_id)) == 2


@pytest.mark.long
async def test_a_bulk_send_through_the_provider(world: World) -> None:
    """One email each, not held to a mailbox's pace; one that is refused fails alone."""
    world.smtp.replies = {"c7@world.example": NEVER}
    began = world.clock()
    asked = Outgoing("bulk", "u1", crowd(300), "News", "<p>Hi</p>")
    answer = await world.accept.accept(ACCOUNT, "key", asked, "hash")
    await world.settle()
    assert received(world) == {f"c{i}@world.example": 1 for i in range(300) if i != 7}
    assert await counts(world, str(answer["batch_id"])) == {"sent": 299, "failed": 1}
    assert world.clock() - began < timedelta(minutes=2)
    await everything_was_heard(world)


async def an_email() -> World:
    world = await world_with_provider()
    await accepted(world, to=(ADA, BOB))
    return world


async def an_email_that_is_put_off() -> World:
    world = await an_email()
    world.faults.fail("smtp.hand_over", Throttled("451 4.3.0 Later", retry_after=timedelta()))
    return world


async def an_email_with_a_refused_recipient() -> World:
    world = await an_email()
    world.smtp.replies = {BOB.address: NEVER}
    return world


@pytest.mark.long
@pytest.mark.parametrize("story", [an_email, an_email_that_is_put_off, an_email_with_a_refused_recipient])
async def test_a_crash_never_makes_a_second_email_or_a_second_outcome(story: Story) -> None:
    """
    Wherever the process dies each recipient gets the email at most once, and one outcome is told.

    It is told as sent where the server's word was heard. Where the process died with the word on its lips, it says so.
    """

    async def check(world: World) -> None:
        (message,) = list(world.journal._messages)
        outcomes = [kind for kind in await world.told() if kind in ("message.sent", "message.failed")]
        assert len(outcomes) == 1
        assert max(received(world).values(), default=0) <= 1
        if outcomes == ["message.sent"]:
            assert received(world)[ADA.address] == 1
            assert message.status in (Status.SENT, Status.BOUNCED)
        else:
            assert message.problem_code == "outcome_unknown"
        await everything_was_heard(world)

    await with_each_crash(story, check)


async def test_only_a_death_at_the_hand_over_leaves_the_outcome_unknown(world: World) -> None:
    """Everywhere else the email is sent and told as sent: the moment that can't be looked up is as short as it can be."""
    unknown: list[str] = []
    number, calls = 1, 100
    while number <= calls:
        for applied in (False, True):
            each = await an_email()
            before = len(each.faults.calls)
            each.faults.crash_at(number, applied=applied)
            await each.settle(timedelta(minutes=45))
            (message,) = list(each.journal._messages)
            if message.status is not Status.SENT:
                unknown.append(each.faults.calls[before + number - 1])
            else:
                assert received(each) == {ADA.address: 1, BOB.address: 1}
            calls = min(calls, len(each.faults.calls) - before)
        number += 1
    assert set(unknown) <= {"journal.save_message", "smtp.hand_over", "content.body", "journal.append"}
    assert "smtp.hand_over" in unknown
