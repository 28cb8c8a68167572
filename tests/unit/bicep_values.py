"""The values that stand in a Bicep file, read with the tree-sitter grammar (PyPI `tree-sitter-bicep`)."""

from pathlib import Path
from typing import Any

import tree_sitter
import tree_sitter_bicep


def root_of(path: Path) -> tree_sitter.Node:
    """The syntax tree of a file; raises ValueError with the first place that can't be parsed."""
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))
    root = parser.parse(path.read_bytes()).root_node
    if root.has_error:
        raise ValueError(f"{path.name}: not Bicep at line {_first_error(root).start_point[0] + 1}")
    return root


def variable(path: Path, name: str) -> Any:
    """The value of `var <name>`: texts, numbers, arrays and objects as Python has them, expressions as their text."""
    for node in root_of(path).children:
        if node.type == "variable_declaration" and _text(node.children[1]) == name:
            return _value(node.children[-1])
    raise KeyError(f"{path.name} has no variable {name}")


def parameters(path: Path) -> dict[str, str]:
    """The parameters of a file with their types."""
    found = {}
    for node in root_of(path).children:
        if node.type == "parameter_declaration":
            words = [child for child in node.children if child.type not in ("decorators", "decorator")]
            found[_text(words[1])] = _text(words[2])
    return found


def _value(node: tree_sitter.Node) -> Any:
    match node.type:
        case "array":
            return [_value(child) for child in node.named_children if child.type != "comment"]
        case "object":
            pairs = (child for child in node.named_children if child.type == "object_property")
            return {_text(pair.children[0]): _value(pair.children[-1]) for pair in pairs}
        case "string":
            return "".join(_text(child) for child in node.named_children)
        case "multiline_string":
            return _text(node).removeprefix("'''").removesuffix("'''")
        case "number":
            return int(_text(node))
        case _:
            return _text(node)


def _text(node: tree_sitter.Node) -> str:
    return (node.text or b"").decode()


def _first_error(node: tree_sitter.Node) -> tree_sitter.Node:
    if node.is_error or node.is_missing:
        return node
    return next((_first_error(child) for child in node.children if child.has_error), node)
