"""Rows with versions, as a table keeps them: a replacement names the version it read."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

from sync.domain.errors import Conflict

_versions = count(1)


class VersionedRows[Key, Value: Any]:
    """Frozen dataclasses with a field `version`, by key."""

    def __init__(self) -> None:
        self._rows: dict[Key, Value] = {}

    def get(self, key: Key) -> Value | None:
        """The row with its version."""
        return self._rows.get(key)

    def insert(self, key: Key, value: Value) -> Value:
        """A new row; raises Conflict where it exists."""
        if key in self._rows:
            raise Conflict
        return self.put(key, value)

    def replace(self, key: Key, value: Value) -> Value:
        """Replace the version read; raises Conflict where it was changed or is not there."""
        current = self._rows.get(key)
        if current is None or current.version != value.version:
            raise Conflict
        return self.put(key, value)

    def put(self, key: Key, value: Value) -> Value:
        """Insert or replace, whatever is there."""
        self._rows[key] = replace(value, version=f"v{next(_versions)}")
        return self._rows[key]

    def remove(self, key: Key) -> None:
        """Delete, if it is there."""
        self._rows.pop(key, None)

    def __iter__(self) -> Iterator[Value]:
        return iter(list(self._rows.values()))

    def __contains__(self, key: Key) -> bool:
        return key in self._rows
