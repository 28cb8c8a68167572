"""
The local cloud from a terminal:

    python -m tests.cloud start     everything runs until Ctrl-C; `.cloud.json` says where
    python -m tests.cloud demo      plays the whole story once and ends
"""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from tests.cloud.address_file import published
from tests.cloud.azurite import AzuriteError
from tests.cloud.functions import AppLoadError
from tests.cloud.lab import Lab
from tests.cloud.local import CHECKOUT, LocalCloud, Ports

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Two people to begin with, in two organisations: `(email, name, aliases)`.
PEOPLE = [
    ("dana@northwind.example", "Dana Whitfield", ["dana.whitfield@northwind.example"]),
    ("lee@fabrikam.example", "Lee Okafor", []),
]


async def start(ports: Ports, lab_port: int, app_folder: Path, address_file: Path) -> int:
    """Run everything until cancelled."""
    say("Starting the cloud on one machine …")
    cloud = LocalCloud(app_folder=app_folder, ports=ports)
    for email, name, aliases in PEOPLE:
        cloud.directory.add(email, name, aliases)
    lab = Lab.beside(cloud, lab_port)
    async with cloud, contextlib.AsyncExitStack() as running:
        running.push_async_callback(lab.stop)
        await lab.start()
        addresses = {**cloud.addresses, "lab": lab.url}
        running.enter_context(published(addresses, address_file))
        say(welcome(addresses, address_file))
        await asyncio.Event().wait()
    return 0


async def demo() -> int:
    """Play the story; 0 when every step went as told."""
    from tests.cloud.demo import play  # only here: `start` needs none of it

    return await play()


def welcome(addresses: dict[str, Any], address_file: Path) -> str:
    """What is up, in plain words."""
    people = "\n".join(f"    {name:<16} {email}" for email, name, _ in PEOPLE)
    return f"""
Everything is up, and nothing of it leaves this machine.

    Start here       {addresses["lab"]}   (a CRM and a mailbox, side by side)
    For developers   {addresses["lab"]}/developers   (addresses, keys, commands to copy)
    The app          {addresses["functions"]}
    Entra ID         {addresses["entra"]}
    Microsoft Graph  {addresses["graph"]}/v1.0
    The CRM          {addresses["crm"]}
    SMTP provider    {addresses["smtp"]}   (what it got: {addresses["smtp_lab"]}/_lab/messages)
    Azure Storage    {addresses["azurite"]["blob"]}

Who has a mailbox:
{people}

Addresses and keys are in {address_file.name} as long as this runs. Ctrl-C stops everything.
"""


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


async def until_signalled(work: Coroutine[Any, Any, int]) -> int:
    """
    Run `work`; SIGINT, SIGTERM or SIGHUP cancels it, once.

    A second signal must not break off the stopping: Ctrl-C under `make` brings one from the terminal and one from make.
    """
    task = asyncio.ensure_future(work)
    signalled = False

    def stop() -> None:
        nonlocal signalled
        if not signalled:
            signalled = True
            say("Stopping …")
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        return await task
    except asyncio.CancelledError:
        return 0
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.cloud", description="The cloud on one machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("start", help="run everything until Ctrl-C")
    for part in ("functions", "entra", "graph", "crm", "smtp", "lab"):
        starting.add_argument(f"--{part}-port", type=int, default=0, metavar="PORT", help="default: a free one")
    starting.add_argument(
        "--app", type=Path, default=CHECKOUT, help="a folder with a function_app.py; default: this one"
    )
    starting.add_argument("--address-file", type=Path, default=CHECKOUT / ".cloud.json", help="default: .cloud.json")
    commands.add_parser("demo", help="play the whole story once")
    return parser.parse_args()


def main() -> int:
    """Do what the command line says; the exit status."""
    asked = arguments()
    try:
        if asked.command == "demo":
            return asyncio.run(until_signalled(demo()))
        # Whoever waits for this file must not find one that a killed run left behind.
        asked.address_file.unlink(missing_ok=True)
        ports = Ports(
            functions=asked.functions_port,
            entra=asked.entra_port,
            graph=asked.graph_port,
            crm=asked.crm_port,
            smtp=asked.smtp_port,
        )
        return asyncio.run(until_signalled(start(ports, asked.lab_port, asked.app, asked.address_file)))
    except* (AppLoadError, AzuriteError, OSError) as problems:
        # What a person can do something about: an app that does not load, a port that is taken, a missing `make install`.
        for problem in problems.exceptions:
            print(f"Could not start. {problem}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
