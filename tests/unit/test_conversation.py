"""The ids and conversation keys of the Graph emulator, byte for byte where a specification says so."""

import base64
import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.cloud.graph.conversation import (
    base_subject,
    change_key,
    child_index,
    collision,
    conversation_id,
    index_guid,
    new_attachment_id,
    new_conversation,
    new_index,
    new_internet_message_id,
    new_message_ids,
    new_mutable_id,
)

MAILBOX = "6f1a2a0b-2f0e-4a52-9d0c-0d8c1d8f2b11"
NOW = datetime(2020, 5, 18, 12, 54, 2, 700_000, tzinfo=UTC)


def _level(index: str) -> bytes:
    return base64.b64decode(index)[-5:]


def test_index_has_the_header_of_the_specification() -> None:
    """A conversation index begins with 0x01, the five high bytes of the FILETIME, and the GUID."""
    guid = bytes(range(16))
    header = base64.b64decode(new_index(NOW, guid))
    # The FILETIME of NOW is 132343088427000000 = 0x01D62D1368E2EAC0.
    assert header == bytes.fromhex("0101d62d1368") + guid


def test_a_known_index_is_read() -> None:
    """The GUID is bytes 6 to 21, however many answers follow, as in an index that Exchange Online wrote."""
    real = "AQHTe7/VAniOJVgCxEmtF1z6ZY1rFQ=="
    assert index_guid(real).hex() == "02788e255802c449ad175cfa658d6b15"
    assert index_guid(child_index(real, NOW)) == index_guid(real)


@pytest.mark.parametrize(
    ("later", "code", "steps_of_bits"),
    [
        (timedelta(minutes=1), 0, 18),
        (timedelta(days=600), 0, 18),
        (timedelta(days=700), 1, 23),
    ],
)
def test_an_answer_adds_five_bytes(later: timedelta, code: int, steps_of_bits: int) -> None:
    """Each answer keeps its parent's bytes and adds its time since the header, coarser after 1.7 years."""
    parent = new_index(NOW, uuid.uuid4().bytes)
    child = child_index(parent, NOW + later)
    assert base64.b64decode(child)[:-5] == base64.b64decode(parent)
    value = int.from_bytes(_level(child)[:4], "big")
    assert value >> 31 == code
    # The header has dropped 24 bits of its time, up to 1.7 seconds.
    elapsed = ((value & 0x7FFFFFFF) << steps_of_bits) / 10_000_000
    assert 0 <= elapsed - later.total_seconds() + 0.84 <= 1.7 + 0.84


def test_answers_to_answers_grow() -> None:
    """The number of levels is the depth of the thread."""
    index = new_conversation(NOW, MAILBOX).index
    for depth in range(1, 4):
        index = child_index(index, NOW + timedelta(hours=depth))
        assert len(base64.b64decode(index)) == 22 + 5 * depth


@pytest.mark.parametrize("index", ["", "AQ==", "not base64", base64.b64encode(b"\x02" + bytes(21)).decode()])
def test_what_is_no_index_is_refused(index: str) -> None:
    """A broken parent index is an error of the test that made it, never continued silently."""
    with pytest.raises(ValueError):
        index_guid(index)


def test_conversation_id_holds_mailbox_and_guid() -> None:
    """The id is bound to the mailbox and to the GUID that its index carries."""
    conversation = new_conversation(NOW, MAILBOX)
    decoded = base64.b64decode(conversation.id)
    assert decoded == b"\x00\x04\x24\x00" + MAILBOX.encode() + b"\x00\x10\x00" + index_guid(conversation.index)
    assert conversation.id == conversation_id(MAILBOX, index_guid(conversation.index))
    assert conversation.id.startswith("AAQkA")
    assert conversation.id != conversation_id(str(uuid.uuid4()), index_guid(conversation.index))


def test_a_collision_shares_only_the_id() -> None:
    """Unrelated mail with an equal subject has the same conversationId and an index of its own."""
    mine = new_conversation(NOW, MAILBOX)
    other = collision(mine.id, NOW)
    assert other.id == mine.id
    assert index_guid(other.index) != index_guid(mine.index)


def test_ids_look_like_graphs() -> None:
    """Both ids of a message are URL-safe and recognisable; the mutable has the length of Exchange's."""
    ids = [new_message_ids(MAILBOX) for _ in range(50)]
    assert len({each for pair in ids for each in (pair.mutable, pair.immutable)}) == 100
    for pair in ids:
        assert re.fullmatch(r"AAMkA[\w=-]{147}", pair.mutable)
        assert re.fullmatch(r"AAkALgA[\w=-]+", pair.immutable)
    assert len(new_mutable_id(MAILBOX)) == 152


def test_an_attachment_id_begins_with_its_message() -> None:
    """A file's id extends its message's id and is new each time."""
    message_id = new_mutable_id(MAILBOX)
    first, second = new_attachment_id(message_id), new_attachment_id(message_id)
    assert first != second
    assert first.startswith(message_id[:140])


def test_stamps_are_new_each_time() -> None:
    """Change keys and Message-IDs never repeat, and have the form that callers parse."""
    assert change_key() != change_key()
    assert change_key().startswith("CQAAABYAAA")
    assert len(change_key()) == 40
    assert re.fullmatch(r"<[0-9A-F]{32}@contoso\.example>", new_internet_message_id("contoso.example"))


@pytest.mark.parametrize(
    ("subject", "base"),
    [
        ("Offer", "Offer"),
        ("RE: Offer", "Offer"),
        ("Re: FW: AW: Offer", "Offer"),
        ("  Fwd:  Offer ", "Offer"),
        ("Re[2]: Offer", "Offer"),
        ("RÉF: Offer", "Offer"),
        ("RE:", ""),
        ("", ""),
        ("Re:Offer", "Re:Offer"),
        ("Note: Offer", "Note: Offer"),
        ("Q3: Offer", "Q3: Offer"),
        ("Offer RE: Price", "Offer RE: Price"),
    ],
)
def test_base_subject(subject: str, base: str) -> None:
    """A prefix is up to three letters, a colon and a space; anything else is the subject itself."""
    assert base_subject(subject) == base
