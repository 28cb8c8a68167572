"""
Delete in every state of a connection: it has ended at once, and nothing of it is left.

That a delete of a healthy connection leaves nothing is in test_connect.py; what Microsoft's errors do to it in
test_delete_outages.py.
"""

from collections.abc import Awaitable, Callable

import pytest

from sync.jobs import CatchUp, WatchMailbox
from tests.cloud.directory import Person
from tests.cloud.polling import eventually
from tests.cloud.stage import Stage
from tests.e2e.account import Account, Connected, unique
from tests.e2e.conversation import at_rest, calls, fault, heard_of, left, told
from tests.e2e.life import (
    deletes,
    held,
    last_told,
    licence,
    nothing_is_left,
    run_now,
    shown,
    told_types,
    trouble,
)
from tests.e2e.storage import Storage
from tests.e2e.way import Way

OPEN, DRAFT = "POST */subscriptions", "POST */me/messages"


async def connecting(account: Account, person: Person, **opening: object) -> Connected:
    """A new user whose sign-in is complete, and whose subscription can't be opened as `POST /_lab/faults` says, if it does."""
    user_id = unique("dana")
    code = await account.completion_code(user_id, person.email)
    if opening:
        fails = {"match": OPEN, "mailbox": person.email} | opening
        (await account.http.post(f"{account.cloud.graph.url}/_lab/faults", json=fails)).raise_for_status()
    connection = (await account.api.complete(user_id, code)).json()
    stage = Stage(account.cloud, account.http, person.email)
    return Connected(account.cloud, account.api, account.http, user_id, person, connection, stage)


async def revoked(who: Connected) -> None:
    """Somebody ended the sign-in."""
    await trouble(who, "revoked")


async def without_licence(who: Connected) -> None:
    """The mailbox is there no more, as far as Graph is concerned."""
    await licence(who, "inactive")


async def test_delete_while_connecting_ends_it(account: Account, storage: Storage) -> None:
    """Graph did not let us open anything yet: there is nothing to close, and nothing is opened later."""
    dana = await connecting(account, account.new_person(), status=503, times=3)
    await dana.cloud.functions.idle()
    assert ((await shown(dana))["state"], (await shown(dana))["sync_state"]) == ("connecting", "starting")

    assert (await deletes(dana))["connection_id"] == dana.connection_id

    await run_now(dana, WatchMailbox(dana.connection_id))
    await nothing_is_left(dana, storage)
    assert told_types(dana) == ["connection.disconnected"]


async def test_delete_while_the_subscription_is_being_opened_closes_it(account: Account, storage: Storage) -> None:
    """Graph has opened it and not yet said so: whoever hears of it closes it, with tokens that were kept for that."""
    person = account.new_person()
    async with held(account, person.email, OPEN, applied=True):
        dana = await connecting(account, person)
        await eventually(lambda: dana.subscriptions(dana.email), "Graph to open it")

        await deletes(dana)

    await at_rest(dana)
    await run_now(dana, WatchMailbox(dana.connection_id))
    await nothing_is_left(dana, storage)
    assert told_types(dana) == ["connection.disconnected"]


async def test_delete_closes_a_subscription_that_nobody_knows_to_be_open(account: Account, storage: Storage) -> None:
    """Graph has opened it, and its answer was lost: it is looked for, since nobody else would ever close it."""
    dana = await connecting(account, account.new_person(), drop=True, applied=True)
    await at_rest(dana)
    assert len(await dana.subscriptions(dana.email)) == 1
    assert (await shown(dana))["sync_state"] == "starting"

    await deletes(dana)

    await run_now(dana, WatchMailbox(dana.connection_id))
    await nothing_is_left(dana, storage)


@pytest.mark.parametrize(("begins", "code"), [(revoked, "sign_in_expired"), (without_licence, "mailbox_unavailable")])
async def test_delete_of_a_mailbox_that_lets_us_in_no_more_destroys_its_tokens(
    connected: Connected, storage: Storage, begins: Callable[[Connected], Awaitable[None]], code: str
) -> None:
    """Nothing can be closed at Graph any more; what it still tells is dropped until the subscription has run out."""
    offer = await connected.sent()
    await at_rest(connected)
    await begins(connected)
    await run_now(connected, CatchUp(connected.connection_id))
    assert (await shown(connected))["problem_code"] == code

    await deletes(connected)

    await run_now(connected, WatchMailbox(connected.connection_id))
    assert await storage.tokens_of(connected.connection_id) is None
    gone = await shown(connected)
    assert (gone["state"], gone["sync_state"], "problem" in gone) == ("disconnected", "stopped", False)
    await licence(connected, "active")
    before, looked_at = last_told(connected), len(await calls(connected))
    await connected.is_answered(offer)
    assert (told_types(connected, before), len(await calls(connected))) == ([], looked_at)


async def test_a_sign_in_that_waits_for_its_completion_outlives_a_delete(
    connected: Connected, storage: Storage
) -> None:
    """Who is about to change mailboxes deletes the old one first: the new one is a new connection, not an update."""
    way = await Way.begin(connected, user_id=connected.user_id)
    code = await way.to_completion_code()

    await deletes(connected)
    await nothing_is_left(connected, storage)
    completed = (await way.complete(code)).json()
    await connected.active(connected.user_id, completed["connection_id"])
    await connected.cloud.functions.idle()

    assert completed["email"] == way.person.email
    assert told_types(connected) == ["connection.connected", "connection.disconnected", "connection.connected"]


async def test_a_user_with_nothing_but_a_sign_in_has_nothing_to_delete(account: Account) -> None:
    """404, and the sign-in goes on: what is not complete is no connection."""
    way = await Way.begin(account)
    callback = await way.to_callback()

    assert (await account.api.delete_connection(way.user_id)).status_code == 404

    await way.connects(callback)


async def test_an_email_that_waits_is_told_as_failed(connected: Connected) -> None:
    """It was accepted and could not leave yet: the delete stops it, and says so."""
    await fault(connected, DRAFT, status=429, retry_after=2)
    accepted = (await connected.api.send(connected.mail(), unique("key"))).json()["messages"][0]
    await connected.cloud.functions.idle()

    await deletes(connected)

    failed = (await heard_of(connected, "message.failed", accepted["message_id"]))["data"]
    assert failed["problem"]["code"] == "connection_disconnected"
    await at_rest(connected)
    assert left(connected) == []
    assert told(connected) == [("message.failed", accepted["message_id"])]
