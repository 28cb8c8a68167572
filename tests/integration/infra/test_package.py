"""The package that is deployed, as the workflow puts it together: whole, compiled, and at most 60 MB."""

import os
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from importlib.util import cache_from_source
from pathlib import Path

from tests.unit.infra.test_deployed_package import deployed_files, git, pinned
from tests.unit.infra.test_workflow import DEPLOY, read
from tests.unit.source import ROOT

MAX_BYTES = 60 * 1024 * 1024
#: Bytes that a zip archive adds for each file, besides twice its name.
ZIP_HEADERS = 30 + 46


def build_steps() -> list[str]:
    """The scripts of the workflow's build, but what needs the network."""
    scripts = [step.get("run", "") for step in read(DEPLOY)["jobs"]["build"]["steps"]]
    return [script for script in scripts if script and not re.search(r"\bpip install\b|\baz bicep\b", script)]


def test_the_workflow_packs_the_app_compiled(tmp_path: Path) -> None:
    """In the zip: each file of the app, each module's compiled form, which is used whatever the file's time, and nothing else."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(tmp_path / "clone")], check=True, timeout=120)
    environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "RUNNER_TEMP": str(tmp_path)}
    for script in build_steps():
        subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=tmp_path / "clone",
            env=environment,
            check=True,
            timeout=300,
        )
    app = deployed_files() & git("ls-files")
    compiled = {cache_from_source(name) for name in app if name.endswith(".py")}
    with zipfile.ZipFile(tmp_path / "clone" / "package.zip") as package:
        assert {name for name in package.namelist() if not name.endswith("/")} == app | compiled
        flags = [package.read(name)[4:8] for name in compiled]
    assert set(flags) == {(1).to_bytes(4, "little")}, "hash-based and unchecked (PEP 552)"


def package_files(of: Distribution) -> Iterator[tuple[str, Path]]:
    """Its installed files with their compiled forms, but what lies outside of site-packages."""
    for file in of.files or ():
        path = Path(str(file.locate()))
        if ".." in file.parts or file.suffix == ".pyc" or not path.is_file():
            continue
        yield str(file), path
        if path.suffix == ".py" and (compiled := Path(cache_from_source(str(path)))).is_file():
            yield cache_from_source(str(file)), compiled


def zipped_bytes(name: str, path: Path) -> int:
    """About what a file takes in a zip archive: a little more than with the usual level of compression."""
    return len(zlib.compress(path.read_bytes(), level=1)) + ZIP_HEADERS + 2 * len(name)


def test_the_package_is_small() -> None:
    """App and packages are at most 60 MB as a zip: a cold start begins with fetching it."""
    app = sum(zipped_bytes(name, ROOT / name) for name in deployed_files())
    packages = {
        name: sum(zipped_bytes(file, path) for file, path in package_files(distribution(name))) for name in pinned()
    }
    assert all(packages.values()), "a package without files was not measured"
    largest = sorted(packages, key=lambda name: -packages[name])[:5]
    total = app + sum(packages.values())
    assert total <= MAX_BYTES, f"{total / 2**20:.1f} MB, most of it {', '.join(largest)}"
