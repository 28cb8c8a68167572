"""What a fresh clone is set up from: pinned, and from whatever package registry the machine uses."""

import json
import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"[a-z0-9-]+==[0-9][\w.]*")


@pytest.mark.parametrize(
    ("name", "includes"),
    [
        ("requirements.txt", None),
        ("requirements-cloud.txt", "requirements.txt"),
        ("requirements-dev.txt", "requirements-cloud.txt"),
    ],
)
def test_every_python_package_is_pinned_once(name: str, includes: str | None) -> None:
    """Each line is `name==version`, no index and no address, and no package is in two files. To fix: pin with `==`."""
    lines = [line for line in (CHECKOUT / name).read_text().splitlines() if line and not line.startswith("#")]
    if includes is not None:
        assert lines.pop(0) == f"-r {includes}"
    assert [line for line in lines if not PIN.fullmatch(line)] == []
    names = [line.partition("==")[0] for line in lines]
    assert len(names) == len(set(names))
    others = {"requirements.txt", "requirements-cloud.txt", "requirements-dev.txt"} - {name}
    elsewhere = {
        line.partition("==")[0]
        for other in others
        for line in (CHECKOUT / other).read_text().splitlines()
        if "==" in line
    }
    assert not elsewhere & set(names)


def test_the_npm_lock_names_no_registry() -> None:
    """
    Every package has a checksum and no address.

    To fix: `npm install --omit-lockfile-registry-resolved` and commit the lock file it writes.
    """
    packages = json.loads((CHECKOUT / "package-lock.json").read_text())["packages"]
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [name for name, package in packages.items() if name and "integrity" not in package] == []
