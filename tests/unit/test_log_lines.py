"""What a line of the log may say: constant words, and beside them ids and codes from a list, never what a person wrote."""

import ast
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.domain.errors import Declined, ReconnectNeeded, Unclear
from sync.domain.failure import told_of
from sync.wiring.logs import TALKATIVE, TOLD, Record, set_up
from tests.unit.source import ROOT, app_files, tree

LEVELS = ("debug", "info", "warning", "error", "critical", "exception", "log")
#: What stands for a `%s`, by its source: the place of a failure, and the words of an operator's alarm, which are ours.
WORDS = ("reason_of(error)", "reason_of(unnoted)", "reason", "error.detail", "alarm.detail", "failure.detail")


def calls() -> Iterator[tuple[Path, ast.Call]]:
    """Every call of a logger in the app."""
    for path in app_files():
        for node in ast.walk(tree(path)):
            called = ast.unparse(node.func).split(".") if isinstance(node, ast.Call) else []
            if isinstance(node, ast.Call) and called[0] in ("log", "logger", "logging") and called[-1] in LEVELS:
                yield path, node


CALLS = [pytest.param(path, node, id=f"{path.stem}:{node.lineno}") for path, node in calls()]


@pytest.mark.parametrize(("path", "call"), CALLS)
def test_a_line_has_constant_words(path: Path, call: ast.Call) -> None:
    """What varies is in `extra`, but for the place of a failure and the words of an alarm."""
    words, *more = call.args
    assert isinstance(words, ast.Constant), f"{path.name}:{call.lineno} puts its words together"
    for argument in more:
        text = ast.unparse(argument)
        assert text in WORDS or text.startswith("f'{after.reason} Deliveries"), (
            f"{path.name}:{call.lineno} tells {text}"
        )
    if any(ast.unparse(argument).endswith(".detail") for argument in more):
        # Only an operator's alarm is told in words, and all of those are written by us.
        assert words.value == "operator alarm: %s"


@pytest.mark.parametrize(("path", "call"), CALLS)
def test_what_stands_beside_is_on_the_list(path: Path, call: ast.Call) -> None:
    """Only names of `logs.TOLD`; a neighbour's no is told by `failure.told_of`."""
    for keyword in call.keywords:
        assert keyword.arg == "extra", f"{path.name}:{call.lineno}: {keyword.arg}"
        value = keyword.value
        if isinstance(value, ast.Name):
            continue  # made a few lines above, by the same rule: the next assertion is for those
        assert isinstance(value, ast.Dict)
        for key, told in zip(value.keys, value.values, strict=True):
            if key is None:
                assert ast.unparse(told).startswith("told_of(")
            else:
                assert isinstance(key, ast.Constant)
                assert key.value in TOLD, (
                    f"{path.name}:{call.lineno} tells {key.value!r}: list it in sync/wiring/logs.py"
                )


def test_nothing_else_is_printed() -> None:
    """No print, no traceback, no warning with somebody's words."""
    for path in app_files():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in ("print", "traceback.print_exc", "warnings.warn", "sys.stderr.write"), path.name


def line(name: str = "sync.flows.deliver", /, **extra: object) -> str:
    """A line as a handler gets it."""
    record = Record(name, logging.INFO, "deliver.py", 1, "delivery %s", ("failed",), None)
    record.__dict__.update(extra)
    return record.getMessage()


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ({}, "delivery failed"),
        ({"status": 503, "event_id": "evt_1"}, "delivery failed (event_id=evt_1, status=503)"),
        ({"status": None, "code": ""}, "delivery failed"),
        ({"count": 0}, "delivery failed (count=0)"),
        ({"key": "mail-changes|con_1|AAk-_="}, "delivery failed (key=mail-changes|con_1|AAk-_=)"),
        (
            {"cause": "invalid_grant AADSTS50173,AADSTS700"},
            "delivery failed (cause=invalid_grant AADSTS50173,AADSTS700)",
        ),
        ({"code": "ada@customer.example"}, "delivery failed (code=?)"),
        ({"code": "Kim would like to see you"}, "delivery failed (code=?)"),
        ({"code": "Grüße"}, "delivery failed (code=?)"),
        ({"code": "a\nb"}, "delivery failed (code=?)"),
        ({"code": "x" * 401}, "delivery failed (code=?)"),
        ({"subject": "Our offer"}, "delivery failed"),
    ],
)
def test_a_line_tells_its_ids(extra: dict[str, object], told: str) -> None:
    """In the order of the list; what looks like anything else is a question mark."""
    assert line(**extra) == told


def test_lines_of_others_are_left_alone() -> None:
    """Their attributes are theirs."""
    assert line("azure.core", status=503) == "delivery failed"


def test_libraries_are_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would write a line, with addresses, for each request."""
    before = logging.getLogRecordFactory()
    levels = {name: logging.getLogger(name).level for name in TALKATIVE}
    try:
        set_up()
        assert logging.getLogRecordFactory() is Record
        assert all(logging.getLogger(f"{name}.sub").getEffectiveLevel() >= logging.WARNING for name in TALKATIVE)
    finally:
        logging.setLogRecordFactory(before)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Unclear("500 for ada@customer.example"), {"kind": "Unclear"}),
        (
            Declined("ada@customer.example is blocked", code="ErrorSendAsDenied", status=403),
            {"kind": "Declined", "code": "ErrorSendAsDenied", "status": 403},
        ),
        (ReconnectNeeded("words", cause="invalid_grant"), {"kind": "ReconnectNeeded", "cause": "invalid_grant"}),
    ],
)
def test_a_neighbours_no_is_told_without_its_words(error: Exception, told: dict[str, object]) -> None:
    """Its kind, code, status and cause."""
    assert told_of(error) == told


def test_the_reader_finds_every_line() -> None:
    """Lines are found where they are known to be."""
    assert len(CALLS) >= 25
    assert {path.relative_to(ROOT).as_posix() for path, _ in calls()} >= {
        *("sync/adapters/graph_client.py", "sync/api/problems.py", "sync/flows/watch.py", "sync/wiring/watching.py"),
    }
