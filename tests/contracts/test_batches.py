"""Batches, their letters, and the pace of a mailbox: the promises of storage, on the fakes and on Azurite."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sync.domain.batch import Letter
from sync.domain.errors import Conflict, NotFound
from sync.domain.ids import mailbox_key
from sync.domain.message import Contact, Status
from sync.domain.pace import Pace, given, used
from sync.flows.ports import Journal
from tests.contracts.stores import Stores
from tests.contracts.values import ACCOUNT, NOW, accepted, batch, of_batch, thread

LATER = NOW + timedelta(days=2)
MAILBOX = ("tenant", "object")


@pytest.fixture
def journal(stores: Stores) -> Journal:
    return stores.journal()


async def stored(journal: Journal, name: str, account_id: str = ACCOUNT, **changes: Any) -> None:
    """A batch under its key."""
    of = batch(name, account_id, **changes)
    await journal.accept(account_id, accepted(name, name), of, expires_at=LATER)


async def test_a_batch_moves_on_from_the_version_read(journal: Journal) -> None:
    """Two workers that read the same can't both move it on."""
    await stored(journal, "one")
    first = await journal.batch(ACCOUNT, batch("one").batch_id)
    assert first == batch("one")
    second = await journal.save_batch(replace(first, released=2))
    assert (await journal.batch(ACCOUNT, first.batch_id)) == second
    with pytest.raises(Conflict):
        await journal.save_batch(replace(first, cancelled_at=NOW))
    await journal.save_batch(replace(second, cancelled_at=NOW))


async def test_a_message_is_released_once(stores: Stores) -> None:
    """Of many at once, and of any later, the first one's rows stand; its thread is begun with it."""
    of = batch("one")
    journals = [stores.journal() for _ in range(4)]
    tries = [of_batch(of, 0, subject=f"Try {i}") for i in range(12)]
    begins = replace(thread("x"), thread_id=tries[0].thread_id)
    released = await asyncio.gather(*(journals[i % 4].release(m, begins) for i, m in enumerate(tries)))
    assert {message.subject for message in released} == {released[0].subject}
    assert {message.version for message in released} == {released[0].version}
    assert await journals[0].messages_of(ACCOUNT, begins.thread_id) == [released[0]]
    assert await journals[0].thread(ACCOUNT, begins.thread_id) == begins
    (found,) = await journals[0].threads(ACCOUNT, contact_id="c-1", user_id=None, after=None, limit=10)
    assert found == begins
    sent = await journals[0].save_message(replace(released[0], status=Status.SENT))
    assert await journals[1].release(tries[0], begins) == sent


async def test_a_message_without_a_thread_is_in_none(journal: Journal) -> None:
    """What goes through the provider: stored, found by its id, and removed without a trace."""
    message = await journal.release(of_batch(batch("one"), 0, thread_id="", connection_id=""), None)
    assert await journal.message(ACCOUNT, message.message_id) == message
    assert await journal.messages_of(ACCOUNT, "") == []
    await journal.remove_message(message)
    assert await journal.message(ACCOUNT, message.message_id) is None


async def test_the_messages_of_a_batch_are_its_own_and_in_its_order(journal: Journal) -> None:
    """However many there are, whatever is stored beside them, and counted by status."""
    of, other = batch("one"), batch("two")
    statuses = [Status.QUEUED, Status.SENDING, Status.SENT, Status.FAILED, Status.BOUNCED, Status.CANCELLED]
    order = [7, 0, 33, 3, 1, 999]
    for index, status in zip(order, statuses, strict=True):
        await journal.release(of_batch(of, index, status=status), None)
    await journal.release(of_batch(other, 0), None)
    await journal.release(of_batch(batch("one", "b"), 0), None)

    found = await journal.in_batch(ACCOUNT, of.batch_id)
    assert [message.message_id for message in found] == [of_batch(of, i).message_id for i in sorted(order)]
    assert all(message.version for message in found)
    unfinished = await journal.in_batch(ACCOUNT, of.batch_id, unfinished=True)
    assert [message.status for message in unfinished] == [Status.SENDING, Status.QUEUED]
    assert await journal.count_in_batch(ACCOUNT, of.batch_id) == dict.fromkeys([s.value for s in statuses], 1)


async def test_a_thousand_messages_are_counted(journal: Journal) -> None:
    """More than storage gives in one page."""
    of = batch("one")
    await asyncio.gather(*(journal.release(of_batch(of, i), None) for i in range(1_005)))
    assert await journal.count_in_batch(ACCOUNT, of.batch_id) == {"queued": 1_005}
    assert len(await journal.in_batch(ACCOUNT, of.batch_id)) == 1_005


async def test_a_batch_is_blanked_for_its_user_and_connection_alone(journal: Journal) -> None:
    """Nobody's name is left in it, its key still leads to it, and it is finished; twice is the same."""
    await stored(journal, "one")
    await stored(journal, "two", connection_id="con_2")
    await stored(journal, "three", user_id="u2")
    await stored(journal, "four", "b")
    await stored(journal, "five", connection_id="")
    for _ in range(2):
        await journal.blank_batches(ACCOUNT, "u1", ["con_1", "con_0"])
        blank = await journal.batch(ACCOUNT, batch("one").batch_id)
        assert blank is not None
        assert (blank.erased, blank.finished, blank.size, blank.letters_name) == (True, True, 3, "")
        assert not [word for word in ("Ada", "ada@", "dana", "Dana", "News", "c-1") if word in repr(blank)]
        assert await journal.accepted(ACCOUNT, "one") == accepted("one", "one")
    for name, account_id, changes in (
        ("two", ACCOUNT, {"connection_id": "con_2"}),
        ("three", ACCOUNT, {"user_id": "u2"}),
        ("four", "b", {}),
        ("five", ACCOUNT, {"connection_id": ""}),
    ):
        kept = batch(name, account_id, **changes)
        assert await journal.batch(account_id, kept.batch_id) == kept


async def test_letters_come_back_as_they_were_stored(stores: Stores) -> None:
    """A thousand of them, with names beyond ASCII; and they go with the connection they are kept for."""
    content = stores.content()
    letters = tuple(
        Letter((Contact(f"c{i}@world.example", f"Ünï {i} 🎈", f"c-{i}"),), "bad" if i == 7 else "")
        for i in range(1_000)
    )
    name = await content.put_letters(ACCOUNT, "con_1", "bat_1", letters)
    assert await content.put_letters(ACCOUNT, "con_1", "bat_1", letters) == name
    assert await content.letters(name) == letters
    assert await content.remove_all(ACCOUNT, "con_1") == 1
    with pytest.raises(NotFound):
        await content.letters(name)


async def test_a_pace_is_that_of_one_mailbox(stores: Stores) -> None:
    """A mailbox that sent nothing has a new one; times come back to the microsecond."""
    paces = stores.paces()
    assert await paces.of_mailbox(MAILBOX) == Pace(mailbox_key(MAILBOX))
    pace = used(given(Pace(mailbox_key(MAILBOX)), ACCOUNT, ["msg_1", "msg_2"], NOW), ACCOUNT, "msg_1", NOW)
    await paces.save(pace)
    assert await stores.paces().of_mailbox(MAILBOX) == pace
    assert await paces.of_mailbox(("tenant", "another")) == Pace(mailbox_key(("tenant", "another")))


async def test_of_many_that_give_tickets_at_once_nobody_gives_too_many(stores: Stores) -> None:
    """Each change names the version it read, also the first of all."""

    async def give(name: str) -> bool:
        paces = stores.paces()
        pace = await paces.of_mailbox(MAILBOX)
        if pace.room(NOW) == 0:
            return False
        try:
            await paces.save(given(pace, ACCOUNT, [name], NOW))
        except Conflict:
            return await give(name)
        return True

    given_to = await asyncio.gather(*(give(f"msg_{i}") for i in range(36)))
    assert sum(given_to) == 30
    assert (await stores.paces().of_mailbox(MAILBOX)).room(NOW) == 0
