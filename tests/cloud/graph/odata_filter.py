"""
The `$filter` language of Graph's mail lists: a tokenizer and a recursive-descent parser.

Imitated, from OData 4.01 URL conventions 5.1.1 and https://learn.microsoft.com/graph/filter-query-parameter:

    or-expr    = and-expr *( "or" and-expr )
    and-expr   = unary *( "and" unary )
    unary      = "not" unary | "(" or-expr ")" | function | any | comparison
    function   = ("startswith" | "endswith" | "contains") "(" path "," string ")"
    any        = path "/any(" variable ":" or-expr ")"
    comparison = path ("eq" | "ne" | "gt" | "ge" | "lt" | "le") literal

Which paths may be filtered, and of what kind they are, is said by `Filterable`; anything else is a 400, as is a literal
of another kind. A path inside `any` begins with its variable; a variable alone is the item itself (`categories/any`).
Not imitated: arithmetic, `in`, `has`, `all`, `cast`, other functions, a literal on the left, a boolean path alone, and
`not` before a comparison without parentheses (which OData reads as `(not path) eq literal`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from tests.cloud.graph.errors import bad_request
from tests.cloud.graph.odata_expression import (
    COMPARE,
    FUNCTIONS,
    All,
    AnyItem,
    Comparison,
    Either,
    Expression,
    Kind,
    Negation,
    TextFunction,
    comparable,
)


@dataclass(frozen=True)
class Filterable:
    """What may be filtered: `paths` with their kinds, and collections, each with the paths inside one item of it."""

    paths: Mapping[str, Kind] = field(default_factory=dict)
    collections: Mapping[str, Mapping[str, Kind]] = field(default_factory=dict)
    type_name: str = "Message"


_MISSING = object()
_KEYWORDS = {*COMPARE, "and", "or", "not", "true", "false", "null"}


@dataclass(frozen=True)
class Filter:
    """A parsed `$filter`; `text` is as it was written, `paths` each property once, in the order first mentioned."""

    text: str
    expression: Expression

    def matches(self, entity: Mapping[str, Any]) -> bool:
        """Whether an entity, as the full JSON-shaped dict, satisfies the filter."""
        return self.expression.matches(entity)

    @property
    def paths(self) -> list[str]:
        """The properties the filter mentions, for the rule on `$orderby`."""
        return list(dict.fromkeys(self.expression.paths()))


def parse_filter(text: str, filterable: Filterable) -> Filter:
    """Parse a `$filter`; raises 400 for what is malformed, unknown, or compares unlike kinds."""
    return Filter(text, _Parser(text, filterable).parse())


@dataclass(frozen=True)
class _Token:
    kind: Literal["string", "date", "number", "name", "punctuation", "end"]
    text: str
    at: int


_TOKEN = re.compile(
    r"(?P<string>'(?:[^']|'')*')"
    r"|(?P<date>\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,12})?)?(?:Z|[+-]\d\d:\d\d))?)"
    r"|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<name>[A-Za-z_]\w*(?:/[A-Za-z_]\w*)*)"
    r"|(?P<punctuation>[(),:])"
)


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(text):
        if text[at] == " ":
            at += 1
            continue
        match = _TOKEN.match(text, at)
        # Two words that touch ("5and") are one malformed word, not two tokens.
        touching = (
            found
            and found[-1].at + len(found[-1].text) == at
            and "punctuation"
            not in (
                found[-1].kind,
                match and match.lastgroup,
            )
        )
        if match is None or touching:
            raise bad_request(f"Syntax error at position {at} in '{text}'.")
        found.append(_Token(match.lastgroup, match[0], at))  # type: ignore[arg-type]
        at = match.end()
    return [*found, _Token("end", "", len(text))]


class _Parser:
    """Recursive descent over the tokens. `_scope` is the variable of the `any` we are in, with the paths inside it."""

    def __init__(self, text: str, filterable: Filterable) -> None:
        self._text = text
        self._filterable = filterable
        self._tokens = _tokens(text)
        self._position = 0
        self._scope: tuple[str, Mapping[str, Kind]] | None = None

    def parse(self) -> Expression:
        expression = self._or()
        if self._token.kind != "end":
            self._fail()
        return expression

    @property
    def _token(self) -> _Token:
        return self._tokens[self._position]

    def _take(self) -> _Token:
        token = self._token
        self._position += token.kind != "end"
        return token

    def _take_if(self, text: str) -> bool:
        found = self._token.kind in ("name", "punctuation") and self._token.text == text
        self._position += found
        return found

    def _expect(self, text: str) -> None:
        if not self._take_if(text):
            self._fail()

    def _fail(self) -> NoReturn:
        raise bad_request(f"Syntax error at position {self._token.at} in '{self._text}'.")

    def _or(self) -> Expression:
        parts = [self._and()]
        while self._take_if("or"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else Either(parts)

    def _and(self) -> Expression:
        parts = [self._unary()]
        while self._take_if("and"):
            parts.append(self._unary())
        return parts[0] if len(parts) == 1 else All(parts)

    def _unary(self) -> Expression:
        if self._take_if("not"):
            part = self._unary()
            if isinstance(part, Comparison) and self._tokens[self._position - 1].text != ")":
                self._fail()
            return Negation(part)
        if self._take_if("("):
            inner = self._or()
            self._expect(")")
            return inner
        if self._token.kind != "name" or self._token.text in _KEYWORDS:
            self._fail()
        name = self._take().text
        if self._take_if("("):
            return self._any(name.removesuffix("/any")) if name.endswith("/any") else self._function(name)
        return self._comparison(name)

    def _function(self, name: str) -> Expression:
        if name not in FUNCTIONS:
            raise bad_request(f"An unknown function with name '{name}' was found.")
        path, kind = self._path(self._take().text)
        if kind not in ("text", "token"):
            raise bad_request(f"No function signature for the function with name '{name}' matches '{path}'.")
        self._expect(",")
        value = self._literal(kind)
        self._expect(")")
        if value is None:
            self._fail()
        return TextFunction(name, path, value, kind)

    def _any(self, collection: str) -> Expression:
        if self._scope is not None or collection not in self._filterable.collections:
            self._unknown(collection)
        variable = self._take()
        if variable.kind != "name" or "/" in variable.text or variable.text in _KEYWORDS:
            self._fail()
        self._expect(":")
        self._scope = (variable.text, self._filterable.collections[collection])
        condition = self._or()
        self._scope = None
        self._expect(")")
        return AnyItem(collection, condition)

    def _comparison(self, name: str) -> Expression:
        path, kind = self._path(name)
        operator = self._token.text
        if operator not in COMPARE or (kind in ("boolean", "property-id") and operator not in ("eq", "ne")):
            self._fail()
        self._take()
        return Comparison(path, operator, self._literal(kind), kind)

    def _path(self, written: str) -> tuple[str, Kind]:
        path, known = written, self._filterable.paths
        if self._scope is not None:
            variable, known = self._scope
            head, _, path = written.partition("/")
            if head != variable:
                self._unknown(written)
        if path not in known:
            self._unknown(written)
        return path, known[path]

    def _unknown(self, path: str) -> NoReturn:
        raise bad_request(
            f"Could not find a property named '{path}' on type"
            f" 'Microsoft.OutlookServices.{self._filterable.type_name}', or it cannot be filtered."
        )

    def _literal(self, kind: Kind) -> Any:
        token = self._take()
        value: Any = _MISSING
        if token.kind == "string" and kind in ("text", "token", "property-id"):
            value = token.text[1:-1].replace("''", "'")
        elif token.kind == "date" and kind == "date":
            value = token.text
        elif token.kind == "number" and kind == "number":
            value = float(token.text)
        elif token.kind == "name" and token.text == "null":
            value = None
        elif token.kind == "name" and token.text in ("true", "false") and kind == "boolean":
            value = token.text == "true"
        if value is _MISSING:
            raise bad_request(f"A binary operator with incompatible types was detected at position {token.at}.")
        try:
            return comparable(value, kind)
        except ValueError:
            raise bad_request(f"'{value}' is not a valid date and time.") from None
