"""
Who may import whom: the rule at the end of sync/__init__.py, read from the source.

It keeps rules free of I/O, flows free of vendors, and the path that answers Graph light.
"""

from pathlib import Path

import pytest

from tests.unit.source import ROOT, app_files, imported_by, module_name

#: For each part of the app, the parts of it that it may import. The longest name that fits a module is its part.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "sync": (),
    "sync.domain": ("sync.domain",),
    "sync.jobs": (),
    "sync.trace": (),
    "sync.adapters": ("sync.domain", "sync.jobs", "sync.trace", "sync.adapters"),
    "sync.flows": ("sync.domain", "sync.jobs", "sync.flows"),
    "sync.settings": ("sync.domain",),
    "sync.wiring": (
        *("sync.domain", "sync.jobs", "sync.trace", "sync.adapters", "sync.flows", "sync.settings", "sync.wiring"),
    ),
    "sync.api": ("sync.domain", "sync.trace", "sync.api"),
    "function_app": ("sync.wiring", "sync.api", "sync.jobs"),
}
#: What the standard library offers for looking at the world: the domain is told the time, the dice and the settings.
NOT_IN_DOMAIN = frozenset(
    (
        *("asyncio", "http", "logging", "os", "pathlib", "random", "secrets", "socket", "sqlite3", "ssl", "subprocess"),
        *("tempfile", "threading", "time", "urllib.request", "uuid"),
    )
)


def part_of(module: str) -> str:
    """Which part of the app a module belongs to; empty for what is not ours."""
    parts = [part for part in MAY_IMPORT if module == part or module.startswith(part + ".")]
    return max(parts, key=len, default="")


@pytest.mark.parametrize("path", app_files(), ids=module_name)
def test_a_module_imports_only_what_its_part_may(path: Path) -> None:
    """Each import of ours points the way the map in sync/__init__.py says."""
    part = part_of(module_name(path))
    for imported, line in imported_by(path):
        target = part_of(imported)
        assert not target or target in MAY_IMPORT[part], (
            f"{path.relative_to(ROOT)}:{line} imports {imported}, but {part} may import only "
            f"{', '.join(MAY_IMPORT[part]) or 'nothing of ours'}. Move what is needed there, or take it as an argument "
            f"(a port in sync/flows/ports.py) that sync/wiring.py passes in."
        )


@pytest.mark.parametrize("path", app_files(), ids=module_name)
def test_every_module_has_its_place(path: Path) -> None:
    """A new file at the top of sync/ needs a line in the rule: here and in sync/__init__.py."""
    part = part_of(module_name(path))
    assert part in MAY_IMPORT
    assert part != "sync" or path.name == "__init__.py", (
        f"say in MAY_IMPORT and in sync/__init__.py what {path.name} may import"
    )


@pytest.mark.parametrize("path", app_files(), ids=module_name)
def test_the_app_does_not_import_its_tests(path: Path) -> None:
    """What runs in Azure stands without tests/, which is not deployed."""
    for imported, line in imported_by(path):
        assert imported.partition(".")[0] != "tests", f"{path.relative_to(ROOT)}:{line} imports {imported}"


@pytest.mark.parametrize("path", [p for p in app_files() if "domain" in p.parts], ids=module_name)
def test_the_domain_looks_at_nothing(path: Path) -> None:
    """No clock, no dice, no environment, no log, no I/O: a rule's answer depends on its arguments alone."""
    for imported, line in imported_by(path):
        first = imported.partition(".")[0]
        assert not {imported, first} & NOT_IN_DOMAIN, (
            f"{path.relative_to(ROOT)}:{line} imports {imported}: take what it tells as an argument of the rule instead."
        )


@pytest.mark.parametrize("path", [p for p in app_files() if "domain" not in p.parts], ids=module_name)
def test_only_settings_read_the_environment(path: Path) -> None:
    """A setting that is read elsewhere would be missing from the list of what is wrong at start."""
    reads = "os.environ" in path.read_text() or "getenv" in path.read_text()
    assert not reads or path.name == "settings.py", (
        f"{path.relative_to(ROOT)}: read it in sync/settings.py and pass it in"
    )


def test_the_map_names_every_part() -> None:
    """The docstring of sync/__init__.py is where a newcomer reads the rule."""
    the_map = (ROOT / "sync" / "__init__.py").read_text()
    for part in MAY_IMPORT:
        assert f"    {part.removeprefix('sync.')}  " in the_map or part == "sync", part


def test_the_reader_of_imports_sees_each_form() -> None:
    """Inside a function, for type checking, relative, of a module by its package: no form slips through."""
    wiring = ROOT / "sync" / "wiring"
    imports = {imported for name in ("__init__", "adapters") for imported, _ in imported_by(wiring / f"{name}.py")}
    assert {"sync.settings", "sync.flows.receive", "sync.adapters.tables", "httpx", "azure.data.tables.aio"} <= imports
    assert "sync.wiring" in {imported for imported, _ in imported_by(ROOT / "function_app.py")}
