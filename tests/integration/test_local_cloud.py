"""The launcher: everything starts together, the app is told where everything is, and nothing is left behind."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.cloud.__main__ import until_signalled
from tests.cloud.functions import AppLoadError
from tests.cloud.local import CHECKOUT, LocalCloud
from tests.cloud.polling import eventually

HEALTHY = Path(__file__).parent / "apps" / "healthy"
BROKEN = Path(__file__).parent / "apps" / "broken"


def listens(address: str) -> bool:
    """Whether anybody accepts connections there; `address` is a URL or host:port."""
    place = urlsplit(address if "//" in address else f"//{address}")
    with socket.socket() as probe:
        return probe.connect_ex((place.hostname or "", place.port or 0)) == 0


def children_of(pid: int) -> set[int]:
    """The processes below this one, by the kernel's own list (proc(5))."""
    below: set[int] = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(after_name[1]) == pid:
            child = int(status.parent.name)
            below |= {child} | children_of(child)
    return below


def is_running(pid: int) -> bool:
    """Whether this process is there and not just waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def addresses_of(cloud: LocalCloud) -> list[str]:
    parts = [cloud.functions_url, cloud.entra.url, cloud.graph.url, cloud.crm.url, cloud.smtp.url]
    return [*parts, cloud.smtp.host_port]


async def test_everything_is_up_and_the_app_is_told_where() -> None:
    """Once started, every address answers, and the app's process has the contract's settings naming them."""
    async with LocalCloud({"FORWARDED_MESSAGES": "withhold"}, app_folder=HEALTHY) as cloud:
        assert all(listens(address) for address in addresses_of(cloud))
        assert all(listens(url) for url in cloud.addresses["azurite"].values())
        async with httpx.AsyncClient(headers={"x-functions-key": cloud.function_key}) as http:
            settings = (await http.get(f"{cloud.functions_url}/settings")).json()

    assert settings["PUBLIC_BASE_URL"] == cloud.functions_url
    assert settings["GRAPH_BASE_URL"] == f"{cloud.graph.url}/v1.0"
    assert settings["ENTRA_AUTHORITY"] == f"{cloud.entra.url}/organizations"
    assert settings["CRM_WEBHOOK_URL"] == f"{cloud.crm.url}/webhooks"
    assert settings["CRM_WEBHOOK_SECRETS"].startswith("whsec_")
    assert settings["ALLOWED_RETURN_ORIGINS"] == cloud.crm.url
    assert settings["FORWARDED_MESSAGES"] == "withhold"
    assert "AccountName=" in settings["AzureWebJobsStorage"]
    assert {"ENTRA_CLIENT_ID", "ENTRA_CLIENT_SECRET", "ENCRYPTION_KEYS", "SIGNING_KEYS"} <= settings.keys()


async def test_two_clouds_share_nothing() -> None:
    """Two at once neither collide on a port nor know each other's secrets."""
    one, other = LocalCloud(app_folder=HEALTHY), LocalCloud(app_folder=HEALTHY)

    assert not set(addresses_of(one)) & set(addresses_of(other))
    secret_names = ["ENTRA_CLIENT_SECRET", "CRM_WEBHOOK_SECRETS", "ENCRYPTION_KEYS", "SIGNING_KEYS"]
    assert all(one.app_settings[name] != other.app_settings[name] for name in secret_names)
    assert one.function_key != other.function_key


async def test_an_app_that_cannot_be_loaded_is_told_and_leaves_nothing_running() -> None:
    """The error is the app's own, and what had been started before it is stopped."""
    cloud = LocalCloud(app_folder=BROKEN)
    before = children_of(os.getpid())

    with pytest.raises(AppLoadError, match="RuntimeError"):
        await cloud.start()

    assert not any(listens(address) for address in addresses_of(cloud))
    await only_these_children(before)


async def test_a_start_that_is_cancelled_leaves_nothing_running() -> None:
    """Ctrl-C while things are starting stops those that were quick."""
    cloud = LocalCloud(app_folder=HEALTHY)
    before = children_of(os.getpid())
    starting = asyncio.create_task(cloud.start())

    async def quick_ones_are_up() -> bool:
        return listens(cloud.crm.url)

    await eventually(quick_ones_are_up, "the CRM to listen")
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert not any(listens(address) for address in addresses_of(cloud))
    await only_these_children(before)


async def only_these_children(before: set[int]) -> None:
    """Wait until this process has no running child but those it had before, of other tests' clouds."""

    async def none_new() -> bool:
        return not any(is_running(child) for child in children_of(os.getpid()) - before)

    await eventually(none_new, "the children to end", timeout=10)


@pytest.fixture
async def started(tmp_path: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, Path]]:
    """`python -m tests.cloud start`, in a process group of its own, with its address file."""
    address_file = tmp_path / ".cloud.json"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.cloud", "start", "--app", str(HEALTHY), "--address-file", str(address_file),
        cwd=CHECKOUT, start_new_session=True, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    yield process, address_file
    if process.returncode is None:
        process.kill()
    await process.communicate()


@pytest.mark.parametrize("whom", ["process", "group"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_the_command_publishes_its_addresses_while_it_runs_and_stops_everything_at_a_signal(
    started: tuple[asyncio.subprocess.Process, Path], number: signal.Signals, whom: str
) -> None:
    """
    The address file appears when everything answers, is for its owner only, and goes with the cloud.

    A signal to the process alone, or to its whole group as a terminal sends it, ends all children.
    """
    process, address_file = started

    async def published() -> bool:
        assert process.returncode is None
        return address_file.exists()

    await eventually(published, "the address file", timeout=60)
    addresses = json.loads(address_file.read_text())
    assert address_file.stat().st_mode & 0o777 == 0o600
    assert {
        "functions",
        "entra",
        "graph",
        "crm",
        "smtp",
        "smtp_lab",
        "lab",
        "azurite",
        "function_key",
        "webhook_secret",
    } <= (addresses.keys())
    assert all(listens(addresses[name]) for name in ("functions", "entra", "graph", "crm", "smtp", "smtp_lab", "lab"))
    async with httpx.AsyncClient() as http:
        page = (await http.get(f"{addresses['lab']}/developers")).text
    assert "dana@northwind.example" in page
    assert addresses["function_key"] in page
    children = children_of(process.pid)
    assert len(children) >= 2, "Azurite and the app's worker are processes of their own"

    if whom == "process":
        process.send_signal(number)
    else:
        os.killpg(process.pid, number)

    output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, output.decode()
    assert "Everything is up" in output.decode()
    assert not address_file.exists()
    assert not [child for child in children if is_running(child)]
    assert not any(listens(addresses[name]) for name in ("functions", "graph", "crm", "smtp"))


async def test_a_second_signal_does_not_break_off_the_stopping() -> None:
    """Ctrl-C under make comes twice, from the terminal and from make; what is being stopped is stopped to its end."""
    running, stopping, may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()
    stopped = False

    async def work() -> int:
        nonlocal stopped
        try:
            running.set()
            await asyncio.Event().wait()
        finally:
            stopping.set()
            await may_end.wait()
            stopped = True
        return 1

    ending = asyncio.create_task(until_signalled(work()))
    await running.wait()
    signal.raise_signal(signal.SIGINT)
    await stopping.wait()
    signal.raise_signal(signal.SIGTERM)
    for _ in range(10):  # turns of the event loop, in which it hears of the signal
        await asyncio.sleep(0)
    may_end.set()

    assert await ending == 0
    assert stopped
