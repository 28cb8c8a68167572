"""Every test says which truth it guards."""

import ast
from pathlib import Path

import pytest

from tests.unit.source import ROOT, files_of_tests, tree


@pytest.mark.parametrize("path", files_of_tests(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_has_a_docstring(path: Path) -> None:
    """Who reads a failed test learns what is no longer so, before reading any code; the file says what it is about."""
    assert ast.get_docstring(tree(path)), f"{path.relative_to(ROOT)}: begin with a docstring that says what is tested"
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert not silent, "say in a docstring which truth is guarded:\n" + "\n".join(silent)
