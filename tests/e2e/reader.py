"""
Somebody who reads the documents from top to bottom and types what stands there, into one real shell beside a local cloud.

What a document shows as an id stands for the one that really came: `con_95go…` in a later command is replaced by what the earlier
answer had in that place. What no command does (sign in, answer an email) is done by hand, as `BY_HAND` of the test says.
"""

import asyncio
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.documents import Block

#: A member with this name says that there are more members than shown.
MORE = "…"
ID = re.compile(r"(con|thr|msg|bat|evt|att)_[\w-]+")
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
#: Objects whose members are names of queues, states and the like: shown are some of them.
BY_NAME = ("queues", "connections")
#: No command of a document takes longer.
WITHIN_SECONDS = 60


@dataclass(frozen=True)
class Ran:
    """What a shell block came to."""

    status: int
    output: str
    complaints: str

    @property
    def answer(self) -> Any:
        """The output as JSON; raises ValueError."""
        return json.loads(self.output)


@dataclass
class Reader:
    """
    One shell session in `folder`, where `.cloud.json` is. Variables live on from block to block.

    stands_for: what is typed in the place of what is shown.
    """

    folder: Path
    stands_for: dict[str, str] = field(default_factory=dict)

    async def types(self, block: Block) -> Ran:
        """Run a shell block, up to its first command that fails."""
        text = block.text
        for shown, real in self.stands_for.items():
            text = text.replace(shown, real)
        kept = self.folder / "variables.sh"
        kept.touch()
        script = f". ./{kept.name}\nset -aeu\n{text}\nexport -p > {kept.name}\n"
        path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        shell = await asyncio.create_subprocess_exec(
            *("sh", "-c", script),
            cwd=self.folder,
            env={"PATH": path, "HOME": str(self.folder)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(WITHIN_SECONDS):
            output, complaints = await shell.communicate()
        return Ran(shell.returncode or 0, output.decode(), complaints.decode())

    def learns(self, shown: Any, real: Any) -> None:
        """From now on each id that was shown stands for the one that came in its place."""
        if isinstance(shown, dict) and isinstance(real, dict):
            for name, value in shown.items():
                self.learns(value, real.get(name))
        elif isinstance(shown, list) and isinstance(real, list):
            for one, other in zip(shown, real, strict=False):
                self.learns(one, other)
        elif isinstance(shown, str) and isinstance(real, str) and ID.fullmatch(shown):
            self.stands_for.setdefault(shown, real)


def differences(shown: Any, real: Any, at: str = "") -> list[str]:
    """
    Where a real answer has not the shape that a document shows: members and kinds of values; ids and times look alike.

    null may stand where the other has a value: whether something has happened yet is not a matter of shape.
    """
    if shown is None or real is None:
        return []
    if isinstance(shown, dict) and isinstance(real, dict):
        return _of_members(shown, real, at)
    if isinstance(shown, list) and isinstance(real, list):
        if shown and not real:
            return [f"{at or 'the answer'} is empty"]
        return [d for i, one in enumerate(real) for d in _of_any(shown, one, f"{at}[{i}]")]
    if _kind(shown) != _kind(real):
        return [f"{at or 'the answer'} is {_kind(real)} ({real!r}), shown is {_kind(shown)} ({shown!r})"]
    return []


def _of_members(shown: dict[str, Any], real: dict[str, Any], at: str) -> list[str]:
    if at.rpartition(".")[2] in BY_NAME:
        found = [f"{at} has no {name}" for name in shown.keys() - real.keys()]
        return found + [d for name, one in real.items() for d in _of_any(list(shown.values()), one, f"{at}.{name}")]
    found = [f"{at}.{name} is not there" for name in shown.keys() - real.keys() - {MORE}]
    if MORE not in shown:
        found += [f"{at}.{name} is not shown" for name in real.keys() - shown.keys()]
    return found + [
        d for name in shown.keys() & real.keys() for d in differences(shown[name], real[name], f"{at}.{name}")
    ]


def _of_any(shown: list[Any], real: Any, at: str) -> list[str]:
    """Where it differs from the nearest of those shown: nothing where it has the shape of any, or none is shown."""
    return min((differences(one, real, at) for one in shown), key=len, default=[])


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "yes or no"
    if isinstance(value, int | float):
        return "a number"
    if not isinstance(value, str):
        return "a list" if isinstance(value, list) else "an object"
    if found := ID.fullmatch(value):
        return f"an id {found[1]}_"
    return "a time" if TIME.fullmatch(value) else "a text"
