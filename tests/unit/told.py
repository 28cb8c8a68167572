"""
What the code can tell a caller, read from the code itself: settings it asks for, routes, problem codes, values of fields.

The tests of documents hold the tables of README and docs/ against it.
"""

import ast
import importlib
import re
import typing
from collections.abc import Iterator, Mapping
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path

import pytest

from sync import settings
from sync.api import problems
from sync.domain import send_refusal, sign_in
from tests.unit.source import ROOT, app_files, module_name, tree


class Recorder(Mapping[str, str]):
    """An environment in which nothing is set, and which remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def get(self, key: str, default: typing.Any = None) -> typing.Any:
        self.asked.add(key)
        return default

    def __getitem__(self, key: str) -> str:
        self.asked.add(key)
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def settings_read() -> set[str]:
    """Every setting that the app asks for."""
    environment = Recorder()
    with pytest.raises(settings.ConfigurationError):
        settings.read(environment)
    return environment.asked


def routes() -> dict[str, bool]:
    """`METHOD /route` of each HTTP function, and whether it asks for the function key; from the decorators."""
    path = ROOT / "function_app.py"
    prefixes = {
        node.targets[0].id: node.value.value
        for node in tree(path).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and _is_text(node.value)
    }
    found = {}
    for call in _calls(path, "route"):
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        route = eval(compile(ast.Expression(given["route"]), "function_app.py", "eval"), dict(prefixes))
        for method in ast.literal_eval(given["methods"]):
            found[f"{method} /{route}"] = "auth_level" not in given
    return found


def problem_codes() -> dict[str, tuple[int, bool]]:
    """Status, and whether to try again, of each code of a problem document: of every refusal, and what the edge makes itself."""
    found = {kind.code: (int(status), kind.retryable) for kind, status in problems.STATUS.items()}
    for path in app_files():
        for call in _calls(path, "problem"):
            if len(call.args) < 2 or not _is_text(call.args[1]):
                continue
            status, code = call.args[0], call.args[1].value
            assert isinstance(status, ast.Attribute), (
                f"{path.name}:{call.lineno}: name the status, as HTTPStatus.CONFLICT"
            )
            retryable = any(k.arg == "retryable" and ast.literal_eval(k.value) for k in call.keywords)
            told = (int(HTTPStatus[status.attr]), retryable)
            assert found.setdefault(code, told) == told, f"{code} is told in two ways"
    return found


A_CODE = re.compile(r"[a-z]+(_[a-z]+)+")


def codes_of_failures() -> set[str]:
    """What an email can fail with: what flows and domain say themselves, a neighbour refuses with, Graph's that we know."""
    found = set(send_refusal._BY_CODE)
    for path in app_files():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                found |= {code.value for code in _codes_given(node) if _is_text(code) and code.value}
            elif isinstance(node, ast.Dict):
                found |= {
                    v.value for k, v in zip(node.keys, node.values, strict=True) if _is(k, "code") and _is_text(v)
                }
            elif isinstance(node, ast.Tuple) and path.parent.name == "flows" and len(node.elts) == 2:
                code, words = node.elts  # how a bulk send hands on why all that is left of it fails
                if _is_text(code) and _is_text(words) and A_CODE.fullmatch(code.value) and words.value.endswith("."):
                    found.add(code.value)
            elif (
                isinstance(node, ast.Assign)
                and path.parent.name == "flows"
                and any(isinstance(t, ast.Name) and t.id == "code" for t in node.targets)
            ):
                found |= set(_outcomes(node.value))
    return found


def _codes_given(call: ast.Call) -> Iterator[ast.Constant]:
    """The constants that a call takes as the code of a failed message or of a permanent no."""
    named = _name(call.func)
    if named in ("fail", "failed", "_fail_unless_sent") and len(call.args) > 1:
        yield from (a for a in call.args[1:2] if isinstance(a, ast.Constant))
    wanted = {"code"} if named == "Declined" else {"problem_code"}
    yield from (k.value for k in call.keywords if k.arg in wanted and isinstance(k.value, ast.Constant))


def _outcomes(value: ast.expr) -> Iterator[str]:
    """`f"smtp_{words[:3]}" if … else "provider_refused"`: what is made with a number ends in an ellipsis."""
    if isinstance(value, ast.IfExp):
        yield from _outcomes(value.body)
        yield from _outcomes(value.orelse)
    elif isinstance(value, ast.JoinedStr) and _is_text(value.values[0]):
        yield f"{value.values[0].value}…"
    elif _is_text(value):
        yield value.value


def literals(of: object) -> set[str]:
    """The strings of a Literal."""
    assert typing.get_origin(of) is typing.Literal, of
    return set(typing.get_args(of))


def field(of: type, name: str) -> set[str]:
    """The strings that a field of a class may be."""
    return literals(typing.get_type_hints(of)[name])


def results() -> set[str]:
    """What the browser brings back as `result`: ok, or why there is no code."""
    ok = [
        k.value
        for call in _calls(ROOT / "sync/flows/connect.py", "with_result")
        for k in call.keywords
        if k.arg == "result"
    ]
    return {value.value for value in ok if _is_text(value)} | literals(sign_in.Outcome)


def rules_of_the_sender() -> set[str]:
    """The names of the rules, where the sender rule decides by them."""
    path = ROOT / "sync/domain/sender_rule.py"
    given = [call.args[2] for call in _calls(path, "Sender")] + [call.args[1] for call in _calls(path, "_through")]
    return {value.value for value in given if _is_text(value)}


def states_of_a_thread() -> set[str]:
    """What a thread's JSON says of it."""
    path = ROOT / "sync/api/answers.py"
    [choice] = [
        value
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if _is(key, "state") and isinstance(value, ast.IfExp)
    ]
    assert _is_text(choice.body), ast.unparse(choice)
    assert _is_text(choice.orelse), ast.unparse(choice)
    return {choice.body.value, choice.orelse.value}


def choices() -> set[tuple[str, frozenset[str]]]:
    """Every choice between strings in what the CRM meets: each StrEnum and Literal of the domain, the API and the settings."""
    found = set()
    for path in app_files():
        module = module_name(path)
        if not module.startswith(("sync.domain", "sync.api", "sync.settings")):
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Subscript) and _name(node.value) == "Literal":
                given = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
                found.add((module, frozenset(value.value for value in given if _is_text(value))))
            elif isinstance(node, ast.ClassDef) and any(_name(base) == "StrEnum" for base in node.bases):
                members: type[StrEnum] = getattr(importlib.import_module(module), node.name)
                found.add((module, frozenset(set(members))))
    return found


def subclasses[T](of: type[T]) -> Iterator[type[T]]:
    """Every class of the domain below this one."""
    for path in app_files():
        if module_name(path).startswith("sync.domain"):
            importlib.import_module(module_name(path))
    for kind in of.__subclasses__():
        yield kind
        yield from subclasses(kind)


def _calls(path: Path, name: str) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call) and _name(node.func) == name)


def _name(of: ast.expr) -> str:
    return of.id if isinstance(of, ast.Name) else of.attr if isinstance(of, ast.Attribute) else ""


def _is(key: ast.expr | None, word: str) -> bool:
    return isinstance(key, ast.Constant) and key.value == word


class _Text(ast.Constant):
    value: str


def _is_text(value: ast.expr) -> typing.TypeGuard[_Text]:
    return isinstance(value, ast.Constant) and isinstance(value.value, str)
