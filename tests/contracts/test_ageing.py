"""The promises of what grows old, on the fakes and on Azure Tables and Blobs: found by age, a page at a time, and removed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from sync.domain.body import Body
from sync.domain.errors import Conflict, NotFound
from sync.domain.ids import mailbox_key
from sync.domain.message import Message
from sync.domain.pace import Pace, given
from sync.domain.retention import Mark, MarkKind
from sync.domain.sign_in import LastSignIn, SignIn, Step
from sync.flows.ports import Journal
from tests.contracts import values
from tests.contracts.stores import Stores
from tests.contracts.values import ACCOUNT, NOW

SECOND = timedelta(seconds=1)


@pytest.fixture
def journal(stores: Stores) -> Journal:
    return stores.journal()


async def stored(journal: Journal, message: Message) -> Message:
    """A message as its journal has it."""
    return await journal.release(message, None)


async def test_accounts_are_found_by_what_they_have(journal: Journal) -> None:
    """Each once, in the order of their ids, whatever it has; none where there is nothing."""
    assert await journal.next_account("") is None
    await journal.append(values.new_event("1", "acme"))
    for number in range(3):
        await stored(journal, values.message(str(number), account_id="acme-2"))
    await journal.accept("Zeta_1", values.accepted("k"), values.batch("first", "Zeta_1"), expires_at=NOW)
    found, after = [], ""
    while (account_id := await journal.next_account(after)) is not None:
        found.append(account_id)
        after = account_id
    assert found == ["Zeta_1", "acme", "acme-2"]


async def test_messages_are_found_by_when_they_happened(journal: Journal) -> None:
    """Those from before, page after page; of their own account only; by the time they have now."""
    for number in range(9):
        await stored(journal, values.message(f"{number}", minutes=number))
    await stored(journal, values.message("1", account_id="other"))
    later = await stored(journal, values.message("a", minutes=-1))
    await journal.save_message(replace(later, sent_at=NOW + timedelta(hours=1)))
    found, place = [], ""
    while True:
        page, place = await journal.messages_before(ACCOUNT, NOW + timedelta(minutes=7), place)
        found += page
        if not place:
            break
    assert [message.message_id for message in found] == [f"msg_{number}" for number in range(7)]
    assert (await journal.save_message(found[0])).version != found[0].version


async def test_a_page_goes_on_behind_what_was_removed_meanwhile(journal: Journal) -> None:
    """What was looked at is removed before the next page is asked for: none is passed over."""
    for number in range(450):
        await stored(journal, values.message(f"{number:03}"))
    place, removed = "", 0
    while True:
        page, place = await journal.messages_before(ACCOUNT, NOW + SECOND, place)
        for message in page:
            await journal.remove_message(message)
        removed += len(page)
        if not place:
            break
    assert removed == 450
    assert await journal.messages_before(ACCOUNT, NOW + SECOND, "") == ([], "")


async def test_batches_are_found_in_order_and_removed(journal: Journal) -> None:
    """A page at a time; removing one again is no error, and the key of its request stays."""
    for name in ("a", "b", "c"):
        await journal.accept(ACCOUNT, values.accepted(name, name), values.batch(name), expires_at=NOW)
    every = await journal.batches(ACCOUNT, "", 10)
    assert [batch.batch_id for batch in every] == [values.batch_id(name) for name in ("a", "b", "c")]
    assert await journal.batches(ACCOUNT, every[0].batch_id, 1) == [every[1]]
    for _ in range(2):
        await journal.remove_batch(every[1])
    assert [batch.batch_id for batch in await journal.batches(ACCOUNT, "", 10)] == [
        every[0].batch_id,
        every[2].batch_id,
    ]
    assert await journal.accepted(ACCOUNT, "b") is not None


async def test_keys_go_once_their_time_is_over(journal: Journal) -> None:
    """Not those whose time is not, nor another account's."""
    await journal.accept(ACCOUNT, values.accepted("old", "a"), values.batch("a"), expires_at=NOW - SECOND)
    await journal.accept(ACCOUNT, values.accepted("new", "b"), values.batch("b"), expires_at=NOW + SECOND)
    await journal.accept("other", values.accepted("old", "a"), values.batch("a", "other"), expires_at=NOW - SECOND)
    for _ in range(2):
        await journal.remove_keys(ACCOUNT, NOW)
    assert await journal.accepted(ACCOUNT, "old") is None
    assert await journal.accepted(ACCOUNT, "new") is not None
    assert await journal.accepted("other", "old") is not None


@pytest.mark.parametrize("kind", ["emptied", "attempts"])
async def test_how_far_the_feed_is_done_with_is_kept(journal: Journal, kind: MarkKind) -> None:
    """For each account and kind by itself; it is no event; who has an old version of it changes nothing."""
    first = await journal.mark(ACCOUNT, kind)
    assert (first, first.version) == (Mark(ACCOUNT, kind, 0), None)
    await journal.append(values.new_event("1"))
    await journal.save_mark(replace(first, sequence=1))
    with pytest.raises(Conflict):
        await journal.save_mark(replace(first, sequence=9))
    read = await journal.mark(ACCOUNT, kind)
    await journal.save_mark(read)
    with pytest.raises(Conflict):
        await journal.save_mark(replace(read, sequence=9))
    await journal.save_mark(replace(await journal.mark(ACCOUNT, kind), sequence=7))
    assert (await journal.mark(ACCOUNT, kind)).sequence == 7
    assert (await journal.mark("other", kind)).sequence == 0
    assert (await journal.mark(ACCOUNT, "attempts" if kind == "emptied" else "emptied")).sequence == 0
    assert [event.sequence for event in await journal.events(ACCOUNT, 0, 10)] == [1]


async def test_one_piece_of_content_is_removed(stores: Stores) -> None:
    """That one alone; again, where nothing ever was, or without a name it is no error."""
    content = stores.content()
    await content.remove("acme/con_1/bodies/none")
    await content.remove("")
    body = await content.put_body(ACCOUNT, "con_1", "msg_1", Body("a", None))
    file = await content.put_file(ACCOUNT, "con_1", "att_1", b"x")
    for _ in range(2):
        await content.remove(body)
    with pytest.raises(NotFound):
        await content.body(body)
    assert await content.file(file) == b"x"


async def test_a_pace_is_removed_in_the_version_that_was_read(stores: Stores) -> None:
    """One that got a ticket meanwhile stays."""
    paces = stores.paces()
    for name in ("one", "two"):
        await paces.save(Pace(mailbox_key(("tenant", name))))
    names = {mailbox_key(("tenant", name)): name for name in ("one", "two")}
    read = {names[pace.mailbox]: pace async for pace in paces.every()}
    assert sorted(read) == ["one", "two"]
    await paces.save(given(read["two"], ACCOUNT, ["msg_1"], NOW))
    for pace in read.values():
        await paces.remove(pace)
    await paces.remove(read["one"])
    (left,) = [pace async for pace in paces.every()]
    assert [ticket.message_id for ticket in left.tickets] == ["msg_1"]
    assert (await paces.of_mailbox(("tenant", "one"))).version is None


async def test_sign_ins_are_found_once_their_time_is_over(stores: Stores) -> None:
    """Of all users; a removed one is nowhere, and what is kept of its end is found by itself."""
    sign_ins = stores.sign_ins()
    for number, account_id in enumerate(("acme", "other", "acme")):
        await sign_ins.save(
            SignIn(
                f"s{number}", account_id, "u1", "https://x", "", Step.NEW, NOW + (number - 1) * SECOND, token_hash="h"
            )
        )
    last = LastSignIn("acme", "u1", "s0", "declined", NOW)
    await sign_ins.keep_last(last)
    found = [sign_in async for sign_in in sign_ins.expired(NOW + SECOND)]
    assert sorted(sign_in.sign_in_id for sign_in in found) == ["s0", "s1"]
    for sign_in in (*found, *found):
        await sign_ins.remove(sign_in)
    assert [sign_in async for sign_in in sign_ins.expired(NOW + SECOND)] == []
    assert await sign_ins.get("s0") is None
    assert await sign_ins.get("s2") is not None
    assert [end async for end in sign_ins.ends()] == [last]
