"""
Bicep files as the tests read them: declarations with their decorators, and values as far as the file itself tells them.

Read with tree-sitter's grammar of Bicep. The real compiler is a download of its own, which not every machine has, so that what it
would check across files (names that are declared, parameters that a module takes) is checked by test_bicep.py.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

from tests.unit.source import ROOT

INFRA = ROOT / "infra"
MAIN = INFRA / "main.bicep"
KINDS = ("parameter", "variable", "resource", "module", "output")


@dataclass(frozen=True)
class Expression:
    """What only a deployment can work out, as it is written."""

    text: str


@dataclass(frozen=True)
class Loop:
    """`[for x in over: body]`."""

    over: Any
    body: Any


@dataclass(frozen=True)
class Declaration:
    """
    One declaration. `of` is a parameter's or output's type, a resource's type or a module's path; `value` is its default, its
    body or its value: None, bool, int, str, list, dict, Loop, Expression.
    """

    kind: str
    name: str
    of: str
    value: Any
    decorators: Mapping[str, Any]
    node: Node

    @property
    def has_value(self) -> bool:
        """Whether anything stands behind the equals sign."""
        return any(child.type == "=" for child in self.node.children)


@dataclass(frozen=True)
class Template:
    """One file."""

    path: Path
    declarations: tuple[Declaration, ...]
    root: Node

    def all(self, kind: str) -> dict[str, Declaration]:
        """The declarations of one kind, by name."""
        return {d.name: d for d in self.declarations if d.kind == kind}

    def value(self, kind: str, name: str) -> Any:
        """What was declared under this name."""
        return self.all(kind)[name].value

    def params(self, module: str) -> dict[str, Any]:
        """The parameters that a module is called with."""
        params: dict[str, Any] = self.value("module", module)["params"]
        return params


def files() -> list[Path]:
    """Every Bicep file."""
    return sorted(INFRA.rglob("*.bicep"))


@cache
def template(path: Path) -> Template:
    """Read a file; whether it has errors says `mistakes`."""
    root = parse(path.read_text())
    return Template(path, tuple(_declarations(root)), root)


def parse(text: str) -> Node:
    """The syntax tree of a file's text."""
    return Parser(Language(tree_sitter_bicep.language())).parse(text.encode()).root_node


def mistakes(root: Node) -> list[str]:
    """Where the text is not Bicep: line and what stands there."""
    return [
        f"line {node.start_point.row + 1}: {text(node)[:60]!r}"
        for node in walk(root)
        if (node.is_error or node.is_missing) and not (node.parent and node.parent.is_error)
    ]


def walk(node: Node) -> Iterator[Node]:
    """A node and everything in it."""
    yield node
    for child in node.children:
        yield from walk(child)


def text(node: Node) -> str:
    """What a node is written as."""
    return (node.text or b"").decode()


def _declarations(root: Node) -> Iterator[Declaration]:
    decorators: dict[str, Any] = {}
    for node in root.named_children:
        if node.type == "decorators":
            calls = [decorator.named_children[0] for decorator in node.named_children]
            decorators = {text(call.named_children[0]): _first_argument(call) for call in calls}
            continue
        kind = node.type.removesuffix("_declaration")
        if kind in KINDS:
            named = [child for child in node.named_children if child.type not in ("comment", "existing")]
            has_type = kind != "variable"
            of = _literal(named[1]) if has_type else ""
            body = named[2 if has_type else 1 :]
            yield Declaration(kind, text(named[0]), of, _value(body[-1]) if body else None, decorators, node)
            decorators = {}


def _literal(node: Node) -> str:
    """A type as it is written, or the text of a string."""
    return str(_value(node)) if node.type == "string" else text(node)


def _first_argument(call: Node) -> Any:
    arguments = [a for a in call.named_children if a.type == "arguments"]
    values = arguments[0].named_children if arguments else []
    return _value(values[0]) if values else None


def _value(node: Node) -> Any:
    children = [child for child in node.named_children if child.type != "comment"]
    match node.type:
        case "object":
            return {
                _key(p.named_children[0]): _value(p.named_children[-1]) for p in children if p.type == "object_property"
            }
        case "array":
            return [_value(child) for child in children]
        case "string" if all(child.type != "interpolation" for child in children):
            return "".join(_characters(child) for child in children)
        case "multiline_string":
            return text(node).removeprefix("'''").removesuffix("'''")
        case "number":
            return int(text(node))
        case "boolean":
            return text(node) == "true"
        case "null":
            return None
        case "if_statement":
            return _value(children[-1])
        case "for_statement":
            return Loop(_value(children[-2]), _value(children[-1]))
        case _:
            return Expression(text(node))


def _key(node: Node) -> str:
    return str(_value(node)) if node.type == "string" else text(node)


def _characters(node: Node) -> str:
    return text(node)[1:] if node.type == "escape_sequence" else text(node)


class Unknown(LookupError):
    """An expression that `evaluate` does not work out."""


def evaluate(node: Node, names: Mapping[str, Any]) -> Any:
    """
    Work out an expression, given what its names stand for: literals, names, interpolation, `a ? b : c`, `==`, and calls of
    string(), min() and union().

    Raises Unknown for anything else.
    """
    children = [child for child in node.named_children if child.type != "comment"]
    match node.type:
        case "identifier":
            if text(node) not in names:
                raise Unknown(text(node))
            return names[text(node)]
        case "string":
            return "".join(
                str(evaluate(child.named_children[0], names)) if child.type == "interpolation" else _characters(child)
                for child in children
            )
        case "object":
            return {_key(p.named_children[0]): evaluate(p.named_children[-1], names) for p in children}
        case "ternary_expression":
            condition, yes, no = children
            return evaluate(yes if evaluate(condition, names) else no, names)
        case "binary_expression" if re.search(r"==", text(node)):
            left, right = children
            return evaluate(left, names) == evaluate(right, names)
        case "call_expression":
            function, arguments = children
            values = [evaluate(argument, names) for argument in arguments.named_children]
            match text(function):
                case "string":
                    return str(values[0])
                case "min":
                    return min(values)
                case "union":
                    return {key: value for given in values for key, value in given.items()}
            raise Unknown(text(node))
        case "number" | "boolean" | "null":
            return _value(node)
        case _:
            raise Unknown(text(node))
