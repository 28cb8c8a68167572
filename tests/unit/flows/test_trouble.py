"""When Microsoft no longer lets us in: the user is asked once, in plain words; what the operator has to mend is never theirs."""

from collections.abc import Callable
from datetime import timedelta
from typing import get_args
from urllib.parse import parse_qs, urlsplit

import pytest

from sync.domain.connection import Connection, State
from sync.domain.errors import OperatorAlarm, ReconnectNeeded
from sync.domain.message import Status
from sync.domain.settings_page import Visit
from sync.domain.trouble import TROUBLES, Reason
from sync.jobs import CatchUp, Job, MailChange, WatchMailbox
from tests.unit.flows.conftest import DANA
from tests.unit.flows.world import ACCOUNT, RETURN_URL, World

#: What fails first, by the call that meets it; each within the minute.
FIRST_CALLS: dict[str, tuple[str, Callable[[Connection], Job]]] = {
    "mail": ("mail.keys", lambda dana: MailChange(dana.connection_id, "AAkA1")),
    "a look through the mailbox": ("mail.received_since", lambda dana: CatchUp(dana.connection_id)),
    "a renewal": (
        "subscriptions.renew",
        lambda dana: WatchMailbox(dana.connection_id, "reauthorizationRequired"),
    ),
}


@pytest.mark.parametrize("reason", get_args(Reason))
async def test_the_user_is_told_what_happened_and_what_to_do(world: World, dana: Connection, reason: Reason) -> None:
    """One event with the cause in plain words; state and problem on the connection say the same."""
    world.faults.fail("mail.keys", ReconnectNeeded(cause="invalid_grant AADSTS1", reason=reason))
    await world.work_off(MailChange(dana.connection_id, "AAkA1"))

    stopped = await world.connection()
    trouble = TROUBLES[reason]
    assert (stopped.state, stopped.problem_code) == (State.NEEDS_RECONNECT, reason)
    assert stopped.problem == f"{trouble.cause} {trouble.what_to_do}"
    told = (await world.feed())[-1]
    assert told.type == "connection.needs_reconnect"
    assert (told.data["reason"], told.data["cause"]) == (reason, trouble.cause)
    assert told.data["what_to_do"] == trouble.what_to_do
    assert "AADSTS" not in str(told.data)


@pytest.mark.parametrize("first", FIRST_CALLS)
async def test_whoever_meets_the_refusal_first_tells_it_once(world: World, dana: Connection, first: str) -> None:
    """Whichever call it is; the others that meet it afterwards tell nothing more."""
    _, job = FIRST_CALLS[first]
    world.people.revoke(DANA)
    await world.work_off(job(dana))
    assert (await world.connection()).state is State.NEEDS_RECONNECT
    for _, others in FIRST_CALLS.values():
        await world.work_off(others(dana))
    await world.settle(timedelta(days=1))
    assert (await world.told()).count("connection.needs_reconnect") == 1


async def test_what_microsoft_wants_of_the_next_sign_in_is_asked_for(world: World, dana: Connection) -> None:
    """A claims challenge goes into the authorize request; the sign-in after that is an ordinary one again."""
    claims = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'
    world.faults.fail("mail.keys", ReconnectNeeded(cause="insufficient_claims", claims=claims))
    await world.work_off(MailChange(dana.connection_id, "AAkA1"))
    assert (await world.connection()).claims == claims

    async def asked() -> str:
        url, _ = await world.settings_page.sign_in(Visit(ACCOUNT, "u1", RETURN_URL))
        opened = await world.connect.open_link(url.rpartition("/")[2])
        return parse_qs(urlsplit(opened.location).query).get("claims", [""])[0]

    assert await asked() == claims
    await world.connected(DANA)
    assert await asked() == ""


async def test_after_signing_in_again_the_sync_goes_on_with_what_came_meanwhile(world: World, dana: Connection) -> None:
    """Answers that came while nobody was let in are told once; sends that waited go out."""
    sent = await world.sent(dana)
    world.people.revoke(DANA)
    answer = world.mail.sent_copy(sent.message_id)
    world.mail.arrives(dana.mailbox, "ada@world.example", "RE", answers=answer)
    waiting = await world.accepted(dana, key="key-2")
    await world.settle()
    assert (await world.connection()).state is State.NEEDS_RECONNECT
    world.mail.arrives(dana.mailbox, "ada@world.example", "RE", answers=answer)
    await world.settle()
    assert "message.synced" not in await world.told()

    await world.connected(DANA)
    await world.settle()
    assert (await world.told()).count("message.synced") == 2
    assert (await world.message(waiting.message_id)).status is Status.SENT


@pytest.mark.parametrize("first", FIRST_CALLS)
async def test_a_broken_registration_is_the_operators_and_work_waits(
    world: World, dana: Connection, first: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No user is asked for anything; an alarm is logged; once it is mended everything goes on by itself."""
    sent = await world.sent(dana)
    call, job = FIRST_CALLS[first]
    world.faults.fail(call, OperatorAlarm(), times=3)
    world.mail.arrives(dana.mailbox, "ada@world.example", "RE", answers=world.mail.sent_copy(sent.message_id))
    await world.work_off(job(dana))
    await world.settle()
    assert (await world.connection()).state is State.CONNECTED
    assert await world.told() == ["connection.connected", "message.sent", "message.synced"]
    alarms = [record for record in caplog.records if record.levelname == "CRITICAL"]
    assert alarms


async def test_an_email_waits_for_the_operator(world: World, dana: Connection) -> None:
    """It is neither failed nor sent twice."""
    world.faults.fail("mail.create_draft", OperatorAlarm(), times=3)
    message = await world.sent(dana)
    assert message.status is Status.SENT
    assert (await world.told()).count("message.sent") == 1


async def test_a_mailbox_that_can_not_be_used_is_not_connected(world: World, dana: Connection) -> None:
    """Found before anything is taken over: the mailbox that works stays connected."""
    world.people.add("eve@crm.example").has_mailbox = False
    code = await world.completion_code("eve@crm.example")
    with pytest.raises(Exception, match="no Outlook mailbox"):
        await world.connect.complete(ACCOUNT, "u1", code)
    assert await world.connection() == dana
