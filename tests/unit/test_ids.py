"""Ids: the same for the same thing, different for another, and readable where something is read from them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain import ids

texts = st.text(st.characters(codec="utf-8"))
A_MESSAGE = "msg_" + "a2" * 12


def test_ids_that_are_stored_never_change() -> None:
    """
    Rows of today are found tomorrow: how ids are made is pinned.

    Base32 of the SHA-256 of the parts with U+001F between them, as `printf 'send\\x1facme\\x1fkey-1\\x1fhash' | sha256sum` tells.
    """
    assert ids.batch_id("acme", "key-1", "hash") == "bat_mupzh6r2yvn6cbt44r64"
    assert ids.message_in_batch("bat_" + "a2" * 10, 33) == "msg_" + "a2" * 10 + "2233"
    assert ids.thread_id_of(A_MESSAGE) == "thr_" + "a2" * 12
    assert ids.mailbox_message_id("con_1", "<k1@x.example>", "AAk1") == "msg_dedoqorlurw6b64boo7c4qba"
    assert ids.event_id("acme", 42, "outcome|msg_1") == "evt_0000000042p7ke3q3252vu"
    assert ids.key_hash("conv-a") == "bf9033a786e261aa8314b791ebfdbfecd54f1c38"


@given(texts, texts, st.integers(0, 999))
def test_the_form_of_ids(account_id: str, key: str, number: int) -> None:
    """Whatever an id is made of, it is short and fit for a row key, an address and a file name."""
    batch = ids.batch_id(account_id, key, "hash")
    message = ids.message_in_batch(batch, number)
    assert re.fullmatch(r"bat_[a-z2-7]{20}", batch)
    assert re.fullmatch(r"msg_[a-z2-7]{24}", message)
    assert re.fullmatch(r"thr_[a-z2-7]{24}", ids.thread_id_of(message))
    assert re.fullmatch(r"msg_[a-z2-7]{24}", ids.mailbox_message_id(account_id, key, ""))
    assert re.fullmatch(r"[0-9a-f]{40}", ids.key_hash(key))


def test_what_is_different_has_different_ids() -> None:
    """No two things share an id: not by moving a character from one part to the next, not by another origin."""
    made = [
        ids.message_in_batch(ids.batch_id("acme", "key", "hash"), 0),
        ids.message_in_batch(ids.batch_id("acme", "key", "hash"), 1),
        ids.message_in_batch(ids.batch_id("acme", "key", "other"), 0),
        ids.message_in_batch(ids.batch_id("acme", "key1", "hash"), 0),
        ids.message_in_batch(ids.batch_id("acmek", "ey", "hash"), 0),
        ids.message_in_batch(ids.batch_id("", "acmekey", "hash"), 0),
        ids.mailbox_message_id("acme", "key", ""),
        ids.mailbox_message_id("acme", "key0", ""),
        ids.mailbox_message_id("con_1", "<a@x>", ""),
        ids.mailbox_message_id("con_2", "<a@x>", ""),
    ]
    assert len(set(made)) == len(made)


def test_two_copies_of_a_message_have_one_id() -> None:
    """In Sent Items and in the Inbox it is one message; without a message id each copy stands for itself."""
    assert ids.mailbox_message_id("con_1", "<a@x>", "AAk1") == ids.mailbox_message_id("con_1", "<a@x>", "AAk2")
    assert ids.mailbox_message_id("con_1", "", "AAk1") != ids.mailbox_message_id("con_1", "", "AAk2")


@given(texts, st.integers(0, 9_999))
def test_a_message_is_read_from_its_attachments_id(key: str, index: int) -> None:
    """A file is found without a table of files."""
    message = ids.message_in_batch(ids.batch_id("acme", key, "hash"), 0)
    assert ids.message_of_attachment(ids.attachment_id(message, index)) == (message, index)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "att_",
        "att_" + "a" * 24,
        "att_" + "a" * 24 + "_",
        "att_" + "a" * 24 + "_x",
        "att_" + "a" * 24 + "_-1",
        "att_" + "a" * 24 + "_00000",
        "att_" + "a" * 24 + "_٣",
        "att_" + "a" * 24 + "_0\n",
        "att_" + "a" * 23 + "_0",
        "att_" + "A" * 24 + "_0",
        "att_" + "1" * 24 + "_0",
        "msg_" + "a" * 24 + "_0",
        "att_../../x_0",
    ],
)
def test_what_is_no_attachment_id(text: str) -> None:
    """What a caller makes up leads nowhere, and never into a row key."""
    assert ids.message_of_attachment(text) is None


@given(texts, st.integers(1, 9_999_999_999), texts)
def test_a_place_in_the_feed_is_read_from_an_events_id(account_id: str, sequence: int, once: str) -> None:
    """An event is found by its id alone."""
    assert ids.sequence_of(ids.event_id(account_id, sequence, once)) == sequence


@pytest.mark.parametrize(
    "text",
    ["", "evt_", "evt_0000000001", "evt_1abcdefghijkl", "evt_0000000001abcdefghijk", "evt_0000000001ABCDEFGHIJKL",
     "evt_٠٠٠٠٠٠٠٠٠١abcdefghijkl", "evt_0000000001abcdefghijkl\n", "msg_0000000001abcdefghijkl"],
)  # fmt: skip
def test_what_is_no_event_id(text: str) -> None:
    """Anything else is no event."""
    assert ids.sequence_of(text) is None


@given(st.lists(st.integers(1, 9_999_999_999), min_size=2, max_size=2, unique=True))
def test_event_ids_sort_by_their_place(sequences: list[int]) -> None:
    """The order of ids is the order of the feed."""
    first, second = sorted(sequences)
    assert ids.event_id("acme", first, "z") < ids.event_id("acme", second, "a")


@given(texts, st.integers(0, 32**4 - 1), st.integers(0, 32**4 - 1))
def test_the_messages_of_a_batch_stand_together_and_in_its_order(key: str, one: int, other: int) -> None:
    """They begin alike, sort as they are counted, and lead back to the batch and their place in it."""
    batch = ids.batch_id("acme", key, "hash")
    first, second = ids.message_in_batch(batch, one), ids.message_in_batch(batch, other)
    assert first.startswith(ids.messages_of_batch(batch))
    assert (first < second) == (one < other)
    assert ids.place_in_batch(first) == (batch, one)


@pytest.mark.parametrize("text", ["", "msg_", "bat_" + "a" * 20, "msg_" + "a" * 23, "msg_" + "A" * 24, "../msg"])
def test_what_is_no_message_id_has_no_place_in_a_batch(text: str) -> None:
    """An id that came from outside may be anything."""
    assert ids.place_in_batch(text) is None


def test_a_thread_leads_to_the_message_that_begins_it() -> None:
    """So that a thread is found before it has a row."""
    assert ids.message_that_begins(ids.thread_id_of(A_MESSAGE)) == A_MESSAGE
