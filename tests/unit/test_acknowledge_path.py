"""
What a cold start pays before it can answer Graph.

Graph drops an app that answers notifications slowly for a while (10 s, in 10 minutes 10 %), and importing storage and sign-in
libraries takes longer than everything else together. So the path that acknowledges imports none of them. Each test looks in
a process of its own, since here everything is imported already.
"""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from sync.domain.notification import client_state
from tests.unit.source import ROOT
from tests.unit.test_settings import GOOD, RICH

#: Libraries that the acknowledging path must not import.
HEAVY = (
    *("azure.data", "azure.storage", "azure.identity", "azure.core", "msal", "httpx", "httpx_aiohttp", "aiohttp"),
    *("pydantic", "nh3", "email_validator", "cryptography", "standardwebhooks", "requests"),
    *("aiosmtplib", "idna", "opentelemetry"),
)
WORD = client_state("con_1", b"k" * 32)
CHANGE = {"clientState": WORD, "changeType": "created", "resourceData": {"id": "AAkA1"}}
LIFECYCLE = {"clientState": WORD, "lifecycleEvent": "missed"}

ACKNOWLEDGE = f"""
    from sync import api, jobs, wiring
    flows = wiring.build()
    assert flows.acknowledge_changes({json.dumps({"value": [CHANGE]}).encode()!r}) == [
        jobs.MailChange("con_1", "AAkA1").to_json()
    ]
    assert flows.acknowledge_lifecycle({json.dumps({"value": [LIFECYCLE]}).encode()!r}) == [
        jobs.WatchMailbox("con_1", "missed").to_json()
    ]
    assert api.accepted().status_code == 202
    assert api.validation("token").status_code == 200
"""


def imported_after(program: str, **settings: str) -> set[str]:
    """The modules that a fresh process with good settings has imported after this program."""
    text = textwrap.dedent(program) + "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COVERAGE"))}
    environment |= GOOD | settings
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


@pytest.mark.long
@pytest.mark.parametrize("settings", [{}, RICH], ids=["basic", "rich"])
@pytest.mark.parametrize("program", [ACKNOWLEDGE, "import function_app", ACKNOWLEDGE + "    import function_app"])
def test_acknowledging_imports_nothing_heavy(program: str, settings: dict[str, str]) -> None:
    """From the first import to the 202, and also when the host only indexes the app's functions."""
    imported = imported_after(program, **settings)
    assert "sync.wiring" in imported
    heavy = sorted(name for name in imported if any(name == h or name.startswith(h + ".") for h in HEAVY))
    assert not heavy, (
        f"imported on the way to Graph's 202: {heavy}. Import it in sync/wiring where its adapter is built."
    )
    azure = {".".join(name.split(".")[:2]) for name in imported if name.startswith("azure.")}
    assert azure == {"azure.functions"}


@pytest.mark.long
def test_the_look_is_sharp() -> None:
    """A heavy import would be seen."""
    imported = imported_after("import azure.storage.queue")
    assert "azure.storage.queue" in imported
    assert "azure.core" in imported
