"""The tools of infra/README.md, on a machine without a cloud."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.infra import fake_cloud
from tests.unit.infra.bicep import INFRA
from tests.unit.source import ROOT


class Cloud:
    """Runs bash with the fake tools before all others on its PATH, in the root of the repository."""

    def __init__(self, folder: Path) -> None:
        self.state_file = folder / "state.json"
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in fake_cloud.TOOLS:
            script = self.bin / tool
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{fake_cloud.__file__}" "$0" "$@"\n')
            script.chmod(0o755)
        self.state_file.write_text(json.dumps(fake_cloud.start()))

    @property
    def state(self) -> dict[str, Any]:
        """What the cloud knows by now."""
        state: dict[str, Any] = json.loads(self.state_file.read_text())
        return state

    def bash(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run bash with these arguments; nothing of this process's environment is seen but the PATH."""
        environment = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "FAKE_CLOUD": str(self.state_file),
            "FAKE_CLOUD_PARAMETERS": str(INFRA / "main.parameters.json"),
            "HOME": str(self.bin.parent),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        return subprocess.run(
            ["bash", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600
        )


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    """An empty subscription, and nobody signed in."""
    return Cloud(tmp_path)


@pytest.fixture
def signed_in(cloud: Cloud) -> Cloud:
    """An empty subscription with the Azure CLI signed in to it."""
    assert cloud.bash("-c", "az login").returncode == 0
    return cloud
