"""What is deployed: all of the app and nothing else, with exactly the packages it needs, in at most 60 MB."""

import re
import subprocess
import zlib
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.unit.source import ROOT

MAX_BYTES = 60 * 1024 * 1024
#: Bytes that a zip archive adds for each file: two headers and twice its name.
ZIP_HEADERS = 30 + 46


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


def package_files(of: Distribution) -> Iterator[tuple[str, Path]]:
    """Its installed files but compiled Python and what lies outside of site-packages."""
    for file in of.files or ():
        path = Path(str(file.locate()))
        if ".." not in file.parts and file.suffix != ".pyc" and path.is_file():
            yield str(file), path


def zipped_bytes(name: str, path: Path) -> int:
    """About what a file takes in a zip archive: a little more than with the usual level of compression."""
    return len(zlib.compress(path.read_bytes(), level=1)) + ZIP_HEADERS + 2 * len(name)


def test_the_app_is_deployed_and_nothing_else() -> None:
    """Each file of sync/, pages and all; no test, no document, nothing of infra/. A new file at the top is in .funcignore."""
    app = {name for name in git("ls-files", "--cached", "--others", "--exclude-standard") if name.startswith("sync/")}
    assert "sync/pages/email.html" in app
    assert deployed_files() == app | {"function_app.py", "host.json", "requirements.txt"}


def test_requirements_are_the_whole_closure() -> None:
    """What the packages need is pinned as well, all of it, and nothing else is: an installation finds no version of its own."""
    assert closure(wanted_directly()) == pinned().keys()
    assert {name: distribution(name).version for name in pinned()} == pinned()


def test_the_package_is_small() -> None:
    """App and packages are at most 60 MB as a zip: a cold start begins with unpacking it."""
    app = sum(zipped_bytes(name, ROOT / name) for name in deployed_files())
    packages = {
        name: sum(zipped_bytes(file, path) for file, path in package_files(distribution(name))) for name in pinned()
    }
    assert all(packages.values()), "a package without files was not measured"
    largest = sorted(packages, key=lambda name: -packages[name])[:5]
    total = app + sum(packages.values())
    assert total <= MAX_BYTES, f"{total / 2**20:.1f} MB, most of it {', '.join(largest)}"
