"""
Values as table rows and back. A row has the columns a query needs, and the whole value as JSON in `doc`.

A string property holds at most 32 Ki UTF-16 characters and an entity 1 MiB
(https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model), so `doc` is cut into ASCII
pieces, `doc0`, `doc1`, and so on.
"""

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

PIECE_CHARS = 30_000

Row = dict[str, Any]


def columns_of(value: object) -> Row:
    """The `doc` columns of a dataclass; its `version` is not part of it."""
    text = json.dumps(plain(value), separators=(",", ":"))
    return {f"doc{i}": text[at : at + PIECE_CHARS] for i, at in enumerate(range(0, len(text), PIECE_CHARS))}


def value_of[T](kind: type[T], row: Mapping[str, Any], version: str | None = None) -> T:
    """The dataclass that `columns_of` wrote; fields it did not know yet get their defaults."""
    pieces: list[str] = []
    while (piece := row.get(f"doc{len(pieces)}")) is not None:
        pieces.append(piece)
    value = typed(kind, json.loads("".join(pieces)))
    if version is not None:
        value = dataclasses.replace(value, version=version)
    return typing.cast("T", value)


def plain(value: object) -> Any:
    """A value as JSON knows it: dataclasses as objects, times as RFC 3339, sets sorted."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.name != "version"}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, frozenset | set):
        return sorted(plain(v) for v in value)
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    return value


def typed(kind: Any, value: Any) -> Any:
    """The inverse of `plain` for the types that our dataclasses are made of."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        (kind,) = (k for k in typing.get_args(kind) if k is not type(None))
        return typed(kind, value)
    if dataclasses.is_dataclass(kind):
        make = typing.cast("type", kind)
        hints = _hints(make)
        return make(**{k: typed(hints[k], v) for k, v in value.items() if k in hints})
    if origin is tuple:
        members = typing.get_args(kind)
        if len(members) == 2 and members[1] is ...:
            return tuple(typed(members[0], v) for v in value)
        return tuple(typed(k, v) for k, v in zip(members, value, strict=True))
    if origin is frozenset:
        return frozenset(typed(typing.get_args(kind)[0], v) for v in value)
    if kind is datetime:
        return datetime.fromisoformat(value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return value


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)
