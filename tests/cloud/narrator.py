"""How the demo speaks: numbered scenes, what happened, and what was checked."""

import os
import sys
import time
from collections.abc import Mapping
from typing import Any


class ExpectationError(Exception):
    """Something did not go as told."""

    def __init__(self, expected: str, got: object) -> None:
        super().__init__(f"expected: {expected}\ngot:      {got}")
        self.expected = expected
        self.got = got


class Narrator:
    """
    Tells a story on standard output, at once, in colour only where a person looks at it.

    `tell`, `crm_heard` and `expect` belong to the scene begun last.
    """

    def __init__(self) -> None:
        self._scenes = 0
        self._began = time.monotonic()
        # https://no-color.org
        self._colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self.checks = 0

    def title(self, text: str) -> None:
        """The first line of all."""
        self._print(f"\n{self._bold(text)}")

    def scene(self, text: str) -> None:
        """Begin a new scene."""
        self._scenes += 1
        self._print(f"\n{self._bold(f'{self._scenes:>2}  {text}')}")

    def tell(self, text: str) -> None:
        """One thing that happens."""
        self._print(f"    {text}")

    def crm_heard(self, event: Mapping[str, Any]) -> None:
        """An event as the CRM received it, in one line, with a line for each file of its message."""
        self._print(f"    {self._blue('→ CRM')} #{event['sequence']} {event['type']}{_gist(event)}")
        for file in event["data"].get("message", {}).get("attachments", []):
            size = f"{file['size_bytes']:,} bytes"
            fate = f"skipped: {file['reason']}" if file["status"] == "skipped" else "synced"
            self._print(f"            {file['name']:<22} {size:>17}   {fate}")

    def expect(self, truth: object, that: str, got: object = None) -> None:
        """Print `that` as checked; raises ExpectationError with what was found instead unless `truth` holds."""
        if not truth:
            raise ExpectationError(that, truth if got is None else got)
        self.checks += 1
        self._print(f"    {self._green('✓')} {that}")

    def numbers(self, title: str, counts: Mapping[str, int]) -> None:
        """A small table, the largest number first."""
        self._print(f"\n    {title}")
        for name, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
            self._print(f"    {count:>7,}  {name}")

    def end(self, text: str) -> None:
        """The last line, with the time it all took."""
        self._print(f"\n{self._bold(text)} {self.checks} checks, {time.monotonic() - self._began:.0f} seconds.\n")

    def failed(self, problem: str) -> None:
        """The last line when something did not go as told."""
        indented = problem.replace("\n", "\n      ")
        self._print(f"    {self._red('✗')} {indented}\n")

    def _print(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def _bold(self, text: str) -> str:
        return self._paint("1", text)

    def _green(self, text: str) -> str:
        return self._paint("32", text)

    def _red(self, text: str) -> str:
        return self._paint("31", text)

    def _blue(self, text: str) -> str:
        return self._paint("34", text)

    def _paint(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colour else text


def _gist(event: Mapping[str, Any]) -> str:
    """Who wrote to whom, and about what; of a connection, its mailbox."""
    data = event["data"]
    if "message" not in data:
        email = data.get("connection", {}).get("email")
        return f", {email}" if email else ""
    message = data["message"]
    to = ", ".join(person["address"] for person in message["to"])
    sender = message["from"]["address"]
    return f", {message['direction']} from {message['origin']}: {sender} → {to}, “{message['subject']}”"
