"""Rows: every value that is stored comes back as it was, whatever stands in it and whichever version of the app wrote it."""

import dataclasses
import types
import typing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.adapters.rows import PIECE_CHARS, columns_of, plain, value_of
from sync.domain.connection import Connection, State
from sync.domain.event import Event
from sync.domain.message import Message, Thread
from sync.domain.outgoing import AcceptedSend
from sync.domain.sign_in import SignIn
from tests.unit.sample_mail import NOW, connection, event, message, thread

#: What the adapters keep in tables.
STORED = [Connection, SignIn, Message, Thread, Event, AcceptedSend]

words = st.text(st.characters(exclude_categories=()), max_size=8)  # lone surrogates too
times = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5)), timezone(timedelta(minutes=345))]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a type that our dataclasses are made of."""
    origin, members = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*(values(member) for member in members))
    if origin is typing.Literal:
        return st.sampled_from(members)
    if origin is tuple and members[-1] is ...:
        return st.lists(values(members[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*(values(member) for member in members))
    if origin is frozenset:
        return st.frozensets(values(members[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(words, json_values, max_size=2)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        # The version is the row's own; it is not part of the value.
        return st.builds(
            typing.cast("type", kind),
            **{f.name: st.none() if f.name == "version" else values(hints[f.name]) for f in dataclasses.fields(kind)},
        )
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    plain_ones = {str: words, datetime: times, bool: st.booleans(), int: st.integers(), type(None): st.none()}
    return plain_ones[kind] if kind is not float else st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.long
@pytest.mark.parametrize("kind", STORED)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=50)
@given(st.data())
def test_what_is_stored_comes_back(kind: type, data: st.DataObject) -> None:
    """Every field of every stored value survives, and with its type: times are times, tuples are tuples."""
    value = data.draw(values(kind))
    back: Any = value_of(kind, columns_of(value))
    assert back == value
    for each in dataclasses.fields(kind):
        assert type(getattr(back, each.name)) is type(getattr(value, each.name)), each.name


@given(
    st.sampled_from([0, 1, PIECE_CHARS - 1, PIECE_CHARS, PIECE_CHARS + 1, 3 * PIECE_CHARS]),
    st.sampled_from("xé👋\0\ud83d"),
)
@settings(max_examples=30)
def test_a_long_value_is_cut_into_pieces(length: int, character: str) -> None:
    """No column is longer than a table allows (32 Ki characters), whatever characters it counts, and nothing is lost."""
    long = message(subject=character * length)
    row = columns_of(long)
    assert list(row) == [f"doc{i}" for i in range(len(row))]
    assert all(0 < len(piece) <= PIECE_CHARS and piece.isascii() for piece in row.values())
    assert value_of(Message, {"PartitionKey": "acme", "RowKey": "x", **row}) == long


def test_a_version_is_the_rows_and_not_the_values() -> None:
    """What is read carries the row's ETag; what is written does not carry the one it was read with."""
    row = columns_of(connection(version="old"))
    assert "old" not in "".join(row.values())
    assert value_of(Connection, row, "new").version == "new"
    assert value_of(Connection, row).version is None


def test_metadata_may_have_a_version_of_its_own() -> None:
    """Only our own values' versions are left out, not a member that the CRM calls so."""
    kept = message(metadata={"version": 3, "nested": {"version": None}})
    assert value_of(Message, columns_of(kept)).metadata == {"version": 3, "nested": {"version": None}}


@dataclass(frozen=True)
class Older:
    """A value as an older version of the app wrote it."""

    name: str
    dropped: int


@dataclass(frozen=True)
class Newer:
    """The same as a newer version knows it."""

    name: str
    since: datetime | None = None
    tags: tuple[str, ...] = field(default=("none",))


def test_rows_of_another_version_are_read() -> None:
    """During a deployment both versions read each other's rows: unknown fields are passed over, missing ones get defaults."""
    assert value_of(Newer, columns_of(Older("a", 1))) == Newer("a")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (NOW, "2026-11-23T09:30:15.250000+00:00"),
        (State.CONNECTED, "connected"),
        (frozenset({"b", "a"}), ["a", "b"]),
        (("a", ("b",)), ["a", ["b"]]),
        ({1: frozenset({2})}, {"1": [2]}),
        (None, None),
    ],
)
def test_plain_values(value: object, shown: object) -> None:
    """What stands in a row is plain JSON, the same for the same value each time."""
    assert plain(value) == shown


@pytest.mark.parametrize("value", [connection(), message(), thread(), event()])
def test_equal_values_make_equal_rows(value: Any) -> None:
    """A row that is written again unchanged is the same row."""
    assert columns_of(value) == columns_of(replace(value))
