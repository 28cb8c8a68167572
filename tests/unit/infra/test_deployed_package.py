"""What is deployed: all of the app and nothing else, with exactly the packages it needs."""

import re
import subprocess
from importlib.metadata import distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.unit.source import ROOT


def git(*arguments: str) -> set[str]:
    """The lines that git prints."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.splitlines())


def deployed_files() -> set[str]:
    """The repository's files that .funcignore lets through: it is read as a .gitignore is."""
    every = git("ls-files", "--cached", "--others", "--exclude-standard")
    left_out = git("ls-files", "--cached", "--others", "--ignored", "--exclude-from=.funcignore")
    return {name for name in every - left_out if (ROOT / name).is_file()}


def pinned() -> dict[str, str]:
    """What requirements.txt pins, by name."""
    lines = re.findall(r"^([\w.-]+)==([\w.]+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in lines}


def wanted_directly() -> set[str]:
    """What stands before the comment `what these need`."""
    text = (ROOT / "requirements.txt").read_text().partition("# what these need")[0]
    return {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}


def closure(names: set[str]) -> set[str]:
    """These packages and all that they need on this platform, as their installed metadata says."""
    seen: set[str] = set()
    todo = [(name, frozenset[str]()) for name in names]
    visited: set[tuple[str, frozenset[str]]] = set()
    while todo:
        name, extras = todo.pop()
        if (name, extras) in visited:
            continue
        visited.add((name, extras))
        seen.add(name)
        for line in distribution(name).requires or ():
            need = Requirement(line)
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                todo.append((canonicalize_name(need.name), frozenset(need.extras)))
    return seen


@pytest.mark.long
def test_the_app_is_deployed_and_nothing_else() -> None:
    """Each file of sync/, pages and all; no test, no document, nothing of infra/. A new file at the top is in .funcignore."""
    app = {name for name in git("ls-files", "--cached", "--others", "--exclude-standard") if name.startswith("sync/")}
    assert "sync/pages/email.html" in app
    assert deployed_files() == app | {"function_app.py", "host.json", "requirements.txt"}


def test_requirements_are_the_whole_closure() -> None:
    """What the packages need is pinned as well, all of it, and nothing else is: an installation finds no version of its own."""
    assert closure(wanted_directly()) == pinned().keys()
    assert {name: distribution(name).version for name in pinned()} == pinned()
