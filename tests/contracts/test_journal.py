"""The journal's promises, on the fake and on Azure Tables."""

import asyncio
import itertools
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from sync.domain.errors import Conflict
from sync.domain.event import Attempt, NewEvent, attempted, erased
from sync.domain.message import Status
from sync.flows.ports import Journal
from tests.cloud.azurite import Azurite
from tests.contracts.stores import AzureStores, Stores
from tests.contracts.values import ACCOUNT, NOW, accepted, batch, batch_id, message, new_event, thread

LATER = NOW + timedelta(days=2)


@pytest.fixture
def journal(stores: Stores) -> Journal:
    return stores.journal()


async def begun(journal: Journal, name: str, **of_thread: Any) -> None:
    """A thread with its first message."""
    beginning = thread(name, **of_thread)
    first = message(name, beginning.thread_id, beginning.account_id)
    of = batch(name, beginning.account_id)
    await journal.accept(beginning.account_id, accepted(name, name), of, first, beginning, expires_at=LATER)


async def test_what_is_not_there_is_none(journal: Journal) -> None:
    """Or empty, where a list is asked for; an event id that is none is not there either."""
    assert await journal.accepted(ACCOUNT, "key") is None
    assert await journal.batch(ACCOUNT, batch_id("none")) is None
    assert await journal.in_batch(ACCOUNT, batch_id("none")) == []
    assert await journal.count_in_batch(ACCOUNT, batch_id("none")) == {}
    assert await journal.message(ACCOUNT, "msg_none") is None
    assert await journal.thread(ACCOUNT, "thr_none") is None
    for event_id in ("evt_0000000001abcdefghijkl", "evt_none", "", "../1"):
        assert await journal.event(ACCOUNT, event_id) is None
    assert await journal.events(ACCOUNT, 0, 10) == []
    assert await journal.messages_of(ACCOUNT, "thr_none") == []
    assert await journal.threads(ACCOUNT, contact_id=None, user_id=None, after=None, limit=10) == []
    assert await journal.count_threads(ACCOUNT, "con_1") == 0


async def test_everything_comes_back_as_it_was_stored(journal: Journal) -> None:
    """Times to the microsecond, characters beyond ASCII, tuples, sets and nested metadata."""
    await begun(journal, "1")
    told = await journal.append(new_event("once"))
    assert await journal.accepted(ACCOUNT, "1") == accepted("1", "1")
    assert await journal.batch(ACCOUNT, batch_id("1")) == batch("1")
    assert await journal.message(ACCOUNT, "msg_1") == message("1")
    assert await journal.thread(ACCOUNT, "thr_1") == thread("1")
    assert await journal.event(ACCOUNT, told.event_id) == told
    assert told.data == new_event("once").data


async def test_a_message_far_larger_than_a_property_comes_back_whole(journal: Journal) -> None:
    """Hundreds of recipients and a full metadata object."""
    large = message("large", metadata={"text": "ü" * 4000}, to=message("x").to * 500)
    await journal.accept(ACCOUNT, accepted("large"), batch("large"), large, expires_at=LATER)
    assert await journal.message(ACCOUNT, "msg_large") == large


async def test_of_many_accepts_under_one_key_one_stands(stores: Stores) -> None:
    """All get that one's answer, and of the others no message and no thread is stored."""
    journals = [stores.journal() for _ in range(5)]
    answers = await asyncio.gather(
        *(
            journals[i % 5].accept(
                ACCOUNT,
                accepted("key", f"{i}"),
                batch(f"{i}"),
                message(f"{i}", f"thr_{i}"),
                thread(f"{i}", contacts=(f"c-{i}",)),
                expires_at=LATER,
            )
            for i in range(50)
        )
    )
    winner = answers[0].body_hash.removeprefix("hash of ")
    assert all(answer == accepted("key", winner) for answer in answers)
    assert await journals[0].accepted(ACCOUNT, "key") == answers[0]
    stored = await journals[0].threads(ACCOUNT, contact_id=None, user_id=None, after=None, limit=100)
    assert [t.thread_id for t in stored] == [f"thr_{winner}"]
    for i in range(50):
        assert (await journals[0].message(ACCOUNT, f"msg_{i}") is not None) is (str(i) == winner)
        assert (await journals[0].batch(ACCOUNT, batch_id(f"{i}")) is not None) is (str(i) == winner)
        found = await journals[0].threads(ACCOUNT, contact_id=f"c-{i}", user_id=None, after=None, limit=10)
        assert len(found) == (str(i) == winner)


async def test_the_feed_has_no_holes_whoever_appends(stores: Stores) -> None:
    """40 appends at once from four processes: numbers 1 to 40, each once, all stored with their messages."""
    journals = [stores.journal() for _ in range(4)]
    told = await asyncio.gather(
        *(journals[i % 4].append(new_event(f"{i}"), message(f"{i}", minutes=i)) for i in range(40))
    )
    assert sorted(event.sequence for event in told) == list(range(1, 41))
    assert len({event.event_id for event in told}) == 40
    feed = await stores.journal().events(ACCOUNT, 0, 100)
    assert feed == sorted(told, key=lambda event: event.sequence)
    assert len(await journals[0].messages_of(ACCOUNT, "thr_1")) == 40


async def test_the_last_sequence_is_that_of_the_newest_event(stores: Stores) -> None:
    """Of each account its own, whoever appended; none has 0."""
    journals = [stores.journal() for _ in range(3)]
    assert await journals[0].last_sequence(ACCOUNT) == 0
    for number in range(1, 8):
        await journals[number % 3].append(new_event(f"{number}"))
        assert [await journal.last_sequence(ACCOUNT) for journal in journals] == [number] * 3
    assert await journals[0].last_sequence("other") == 0


async def test_the_feed_has_no_holes_at_any_moment_of_a_rush(stores: Stores) -> None:
    """A reader that polls while others append never sees a number before the ones below it."""
    journal = stores.journal()
    appends = asyncio.gather(*(stores.journal().append(new_event(f"{i}")) for i in range(12)))
    while not appends.done():
        numbers = [event.sequence for event in await journal.events(ACCOUNT, 0, 100)]
        assert numbers == list(range(1, len(numbers) + 1))
    await appends


async def test_what_was_told_before_is_not_told_again(stores: Stores) -> None:
    """Of many tries at once, and of any later, the first stands; a later message is not written."""
    journals = [stores.journal() for _ in range(4)]
    told = await asyncio.gather(
        *(journals[i % 4].append(new_event("once"), message("1", subject=f"Try {i}")) for i in range(20))
    )
    assert {(event.sequence, event.event_id) for event in told} == {(1, told[0].event_id)}
    stored = await journals[0].message(ACCOUNT, "msg_1")
    again = await stores.journal().append(new_event("once"), message("1", subject="Much later"))
    assert again == told[0]
    assert again.version is not None
    assert await journals[0].message(ACCOUNT, "msg_1") == stored
    assert len(await journals[0].events(ACCOUNT, 0, 10)) == 1


async def test_an_event_brings_its_message_up_to_date(journal: Journal) -> None:
    """The message is there already as queued, and is sent with the event; it stays one message of its thread."""
    await begun(journal, "1")
    before = await journal.message(ACCOUNT, "msg_1")
    assert before is not None
    await journal.append(new_event("sent"), replace(before, status=Status.SENT))
    (after,) = await journal.messages_of(ACCOUNT, "thr_1")
    assert after.status is Status.SENT
    with pytest.raises(Conflict):
        await journal.save_message(before)


async def test_a_save_names_the_version_it_read(journal: Journal) -> None:
    """Of two who read the same, the second to save is refused; what a save returns can be saved again."""
    await begun(journal, "1")
    told = await journal.append(new_event("once"))
    event = await journal.event(ACCOUNT, told.event_id)
    mail, conversation = await journal.message(ACCOUNT, "msg_1"), await journal.thread(ACCOUNT, "thr_1")
    assert event is not None
    assert mail is not None
    assert conversation is not None

    saved_mail = await journal.save_message(replace(mail, subject="A"))
    saved_thread = await journal.save_thread(replace(conversation, subject="A"))
    tried = attempted(event, Attempt(NOW, 0.5, 500, answer="oops"), "pending", LATER)
    saved_event = await journal.save_event(tried)
    assert saved_event == tried
    with pytest.raises(Conflict):
        await journal.save_message(replace(mail, subject="B"))
    with pytest.raises(Conflict):
        await journal.save_thread(replace(conversation, subject="B"))
    with pytest.raises(Conflict):
        await journal.save_event(event)
    await journal.save_message(replace(saved_mail, subject="C"))
    await journal.save_thread(replace(saved_thread, subject="C"))
    await journal.save_event(replace(saved_event, delivery="undelivered"))


async def test_a_refused_save_of_a_thread_leaves_no_trace(journal: Journal) -> None:
    """The contact it would have added does not find the thread."""
    await begun(journal, "1")
    old = await journal.thread(ACCOUNT, "thr_1")
    assert old is not None
    await journal.save_thread(replace(old, subject="A"))
    wider = replace(old, contacts=thread("1", contacts=("c-1", "c-2")).contacts)
    with pytest.raises(Conflict):
        await journal.save_thread(wider)
    assert await journal.threads(ACCOUNT, contact_id="c-2", user_id=None, after=None, limit=10) == []


async def test_threads_are_found_by_contact_and_user_a_page_at_a_time(journal: Journal) -> None:
    """Every page size shows every thread once, in the order of their ids, whatever the ids of contacts look like."""
    odd = "a/b\\c#d?e|ü'"
    for name, user, contacts in (
        ("a", "u1", ("c-1",)),
        ("b", "u1", ("c-1", "c-2")),
        ("c", "u2", ("c-1", odd)),
        ("d", "u2", ("c-10",)),
        ("e", "u1", ("c", "")),
    ):
        await begun(journal, name, user_id=user, contacts=contacts)

    expected = {
        (None, None): "abcde",
        ("c-1", None): "abc",
        ("c-1", "u1"): "ab",
        (None, "u2"): "cd",
        (odd, None): "c",
        ("c", None): "e",
        ("c-10", "u1"): "",
        ("none", None): "",
    }
    for (contact, user_id), names in expected.items():
        for limit in (1, 2, 10):
            after, pages = None, []
            while page := await journal.threads(ACCOUNT, contact_id=contact, user_id=user_id, after=after, limit=limit):
                assert len(page) <= limit
                pages += page
                after = page[-1].thread_id
            assert [t.thread_id for t in pages] == [f"thr_{n}" for n in names], (contact, user_id, limit)


async def test_messages_of_a_thread_come_oldest_first(journal: Journal) -> None:
    """By when they were sent or received, in whatever order they were stored."""
    await begun(journal, "1")
    for name, minutes in (("late", 30), ("early", 10), ("middle", 20)):
        await journal.append(new_event(name), message(name, minutes=minutes))
    await journal.append(new_event("other"), message("other", "thr_10"))
    found = await journal.messages_of(ACCOUNT, "thr_1")
    assert [m.message_id for m in found] == ["msg_1", "msg_early", "msg_middle", "msg_late"]
    assert all(a.at < b.at for a, b in pairwise(found))


async def test_events_come_in_order_behind_a_number(journal: Journal) -> None:
    """At most as many as asked for, and each with what it was saved with since."""
    for i in range(12):
        await journal.append(new_event(f"{i}"))
    assert [e.sequence for e in await journal.events(ACCOUNT, 0, 5)] == [1, 2, 3, 4, 5]
    assert [e.sequence for e in await journal.events(ACCOUNT, 8, 100)] == [9, 10, 11, 12]
    assert await journal.events(ACCOUNT, 12, 100) == []
    (last,) = await journal.events(ACCOUNT, 11, 1)
    await journal.save_event(replace(last, delivery="delivered"))
    assert [e.delivery for e in await journal.events(ACCOUNT, 10, 2)] == ["pending", "delivered"]


def told_of(user_id: str, once: str, account_id: str = ACCOUNT, kind: str = "message") -> NewEvent:
    """An event that tells of this user."""
    return replace(new_event(once, account_id), data={kind: {"user_id": user_id, "text": once}})


async def users_in(journal: Journal, account_id: str, user_id: str) -> tuple[list[str], list[int]]:
    """The threads of a user, in any order, and the numbers of the events that tell of them."""
    threads = [thread.thread_id async for thread in journal.threads_of(account_id, user_id)]
    return sorted(threads), [event.sequence async for event in journal.events_of(account_id, user_id)]


async def test_everything_about_a_user_is_found(journal: Journal) -> None:
    """Threads, and events in order; nothing of a user whose id begins alike, or of the same id in another account."""
    for name, user_id in (("a", "u1"), ("b", "u1"), ("c", "u10"), ("d", "u")):
        await begun(journal, name, user_id=user_id)
        await journal.append(told_of(user_id, name))
    await begun(journal, "e", user_id="u1", account_id="other")
    await journal.append(told_of("u1", "connected", kind="connection"))
    await journal.append(told_of("u1", "e", "other"))
    await journal.append(new_event("about nobody"))
    assert await users_in(journal, ACCOUNT, "u1") == (["thr_a", "thr_b"], [1, 2, 5])
    assert await users_in(journal, ACCOUNT, "u") == (["thr_d"], [4])
    assert await users_in(journal, "other", "u1") == (["thr_e"], [1])
    assert await users_in(journal, ACCOUNT, "none") == ([], [])


async def test_what_is_found_of_a_user_can_be_saved(journal: Journal) -> None:
    """With the version it was found in; an event that was erased is still found."""
    await begun(journal, "1")
    await journal.append(told_of("u1", "once"))
    async for thread_found in journal.threads_of(ACCOUNT, "u1"):
        await journal.save_thread(replace(thread_found, subject="A"))
    async for event_found in journal.events_of(ACCOUNT, "u1"):
        await journal.save_event(erased(event_found))
        with pytest.raises(Conflict):
            await journal.save_event(event_found)
    assert [t.subject async for t in journal.threads_of(ACCOUNT, "u1")] == ["A"]
    assert [e.data async for e in journal.events_of(ACCOUNT, "u1")] == [
        {"erased": True, "user_id": "u1", "connection_id": ""}
    ]


async def test_more_than_a_page_of_a_users_things_is_found_while_it_is_removed(journal: Journal) -> None:
    """A service hands out 1,000 rows at a time: taking away what was handed out leaves nothing out of the rest."""
    count = 1_100
    for some in itertools.batched(range(count), 50, strict=False):
        await asyncio.gather(*(begun(journal, f"{i}", contacts=()) for i in some))
    removals = []
    async for found in journal.threads_of(ACCOUNT, "u1"):
        removals.append(asyncio.create_task(journal.remove_thread(found)))
    await asyncio.gather(*removals)
    assert len(removals) == count
    assert [found async for found in journal.threads_of(ACCOUNT, "u1")] == []


async def test_a_removed_message_is_nowhere(journal: Journal) -> None:
    """Neither by its id nor in its thread, where the others stay; again it is no error."""
    await begun(journal, "1")
    await journal.append(new_event("2"), message("2", minutes=5))
    first = await journal.message(ACCOUNT, "msg_1")
    assert first is not None
    for _ in range(2):
        await journal.remove_message(first)
        assert await journal.message(ACCOUNT, "msg_1") is None
        assert [m.message_id for m in await journal.messages_of(ACCOUNT, "thr_1")] == ["msg_2"]
    with pytest.raises(Conflict):
        await journal.save_message(first)


async def test_a_removed_thread_is_nowhere(journal: Journal) -> None:
    """Neither by its id nor by its contacts; other threads of theirs stay; again it is no error."""
    await begun(journal, "1", contacts=("c-1", "c-2"))
    await begun(journal, "2", contacts=("c-1",))
    found = await journal.thread(ACCOUNT, "thr_1")
    assert found is not None
    for _ in range(2):
        await journal.remove_thread(found)
        assert await journal.thread(ACCOUNT, "thr_1") is None
        for contact_id, left in (("c-1", ["thr_2"]), ("c-2", []), (None, ["thr_2"])):
            threads = await journal.threads(ACCOUNT, contact_id=contact_id, user_id=None, after=None, limit=10)
            assert [thread.thread_id for thread in threads] == left
        assert await journal.count_threads(ACCOUNT, "con_1") == 1
    with pytest.raises(Conflict):
        await journal.save_thread(found)


async def test_removing_leaves_no_row_behind(azurite: Azurite) -> None:
    """Neither of a thread's contacts nor of a message whose removal was cut short, when its own row was gone."""
    stores = AzureStores(azurite.connection_string)
    try:
        journal, rows = stores.journal(), stores.table("journal")
        await begun(journal, "1", contacts=("c-1", "c-2"))
        await journal.append(new_event("2"), message("2"))
        await rows.delete(ACCOUNT, "message|msg_2")
        found = await journal.thread(ACCOUNT, "thr_1")
        assert found is not None
        await journal.remove_message(message("1"))
        assert not [row async for row, _ in rows.query("PartitionKey eq @a", a=ACCOUNT) if "msg_1" in row["RowKey"]]
        await journal.remove_thread(found)
        kinds = [row["RowKey"].partition("|")[0] async for row, _ in rows.query("PartitionKey eq @a", a=ACCOUNT)]
    finally:
        await stores.close()
    assert kinds == ["batch", "event", "key", "last", "told"]


async def test_a_message_outlives_its_thread(journal: Journal) -> None:
    """Where one was stored as its thread was removed, it is still found, so that it can be removed, too."""
    await begun(journal, "1")
    found = await journal.thread(ACCOUNT, "thr_1")
    assert found is not None
    await journal.remove_thread(found)
    (left,) = await journal.messages_of(ACCOUNT, "thr_1")
    assert left.message_id == "msg_1"


async def test_accounts_do_not_see_each_other(journal: Journal) -> None:
    """The same ids in another account, even one whose name begins alike, lead nowhere; each feed counts from 1."""
    await begun(journal, "1")
    told = await journal.append(new_event("once"), message("1"))
    for other in ("acme2", "acm", "ACME"):
        assert await journal.accepted(other, "1") is None
        assert await journal.message(other, "msg_1") is None
        assert await journal.thread(other, "thr_1") is None
        assert await journal.event(other, told.event_id) is None
        assert await journal.messages_of(other, "thr_1") == []
        assert await journal.threads(other, contact_id="c-1", user_id=None, after=None, limit=10) == []
        assert await journal.count_threads(other, "con_1") == 0
        assert (await journal.append(new_event("once", other))).sequence == 1
        assert len(await journal.events(other, 0, 10)) == 1
    assert await journal.count_threads(ACCOUNT, "con_1") == 1
