"""
What a `$filter` becomes: a small tree that is asked whether an entity matches, and how two values compare.

An entity is the JSON-shaped dict that Graph would write; a path is `/`-separated (`from/emailAddress/address`).
Doubtful (?): that words (subject, names, addresses) compare without case and ids as written; Graph documents neither.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Literal, Protocol

from tests.cloud.graph.extended_property import property_key

Kind = Literal["text", "token", "boolean", "date", "number", "property-id"]
"""`text` compares without case, `token` (ids) as written, `property-id` as one extended property id with another."""

COMPARE: dict[str, Callable[[Any, Any], bool]] = {"eq": eq, "ne": ne, "gt": gt, "ge": ge, "lt": lt, "le": le}
FUNCTIONS: dict[str, Callable[[str, str], bool]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": str.__contains__,
}


def value_at(entity: Any, path: str) -> Any:
    """The value at a `/`-separated path of an entity; None where any part of the way is missing. "" is the entity."""
    for name in path.split("/") if path else ():
        if not isinstance(entity, Mapping):
            return None
        entity = entity.get(name)
    return entity


def comparable(value: Any, kind: Kind) -> Any:
    """A value in the form in which two of its kind compare; None stays None."""
    if value is None:
        return None
    if kind == "text":
        return str(value).casefold()
    if kind == "date":
        return parse_date(str(value))
    if kind == "property-id":
        return property_key(str(value))
    return value


def parse_date(text: str) -> datetime:
    """An OData DateTimeOffset, or a date alone (midnight UTC)."""
    when = datetime.fromisoformat(text)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when


class Expression(Protocol):
    """One node of a parsed filter."""

    def matches(self, entity: Any) -> bool:
        """Whether the entity (or, inside `any`, the item) satisfies this node."""

    def paths(self) -> list[str]:
        """The properties this node mentions, in the order they are written."""


@dataclass(frozen=True)
class Comparison:
    """`path eq literal` and its five siblings. Null equals only null, and is neither more nor less than anything."""

    path: str
    operator: str
    value: Any
    kind: Kind

    def matches(self, entity: Any) -> bool:
        found = comparable(value_at(entity, self.path), self.kind)
        if (found is None or self.value is None) and self.operator not in {"eq", "ne"}:
            return False
        return COMPARE[self.operator](found, self.value)

    def paths(self) -> list[str]:
        return [self.path]


@dataclass(frozen=True)
class TextFunction:
    """`startswith(path,'…')` and its two siblings; false on null."""

    name: str
    path: str
    value: str
    kind: Kind

    def matches(self, entity: Any) -> bool:
        found = comparable(value_at(entity, self.path), self.kind)
        return isinstance(found, str) and FUNCTIONS[self.name](found, self.value)

    def paths(self) -> list[str]:
        return [self.path]


@dataclass(frozen=True)
class AnyItem:
    """`collection/any(x: …)`: true when one item satisfies the whole condition."""

    collection: str
    condition: Expression

    def matches(self, entity: Any) -> bool:
        return any(self.condition.matches(item) for item in value_at(entity, self.collection) or ())

    def paths(self) -> list[str]:
        return [self.collection]


@dataclass(frozen=True)
class All:
    """`a and b and c`."""

    parts: Sequence[Expression]

    def matches(self, entity: Any) -> bool:
        return all(part.matches(entity) for part in self.parts)

    def paths(self) -> list[str]:
        return [path for part in self.parts for path in part.paths()]


@dataclass(frozen=True)
class Either:
    """`a or b or c`."""

    parts: Sequence[Expression]

    def matches(self, entity: Any) -> bool:
        return any(part.matches(entity) for part in self.parts)

    def paths(self) -> list[str]:
        return [path for part in self.parts for path in part.paths()]


@dataclass(frozen=True)
class Negation:
    """`not (…)`."""

    part: Expression

    def matches(self, entity: Any) -> bool:
        return not self.part.matches(entity)

    def paths(self) -> list[str]:
        return self.part.paths()
