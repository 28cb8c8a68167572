"""A server that speaks SMTP just as a test says, for what no well-behaved one does, and how the adapter fails there."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from sync.adapters.smtp import ProviderSmtp
from sync.domain.errors import OutsideError
from sync.domain.provider import Provider
from tests.contracts.smtp_stages import LOCAL, email, provider

#: The adapter, where this machine is allowed.
SMTP = ProviderSmtp("app.example", LOCAL)
ADA = "ada@customer.example"

#: What it answers where a test says nothing else; `.` stands for the end of an email, `` for the greeting.
USUAL = {
    "": "220 odd",
    "EHLO": "250-odd\r\n250 SIZE 1000000",
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go on",
    ".": "250 kept",
    "RSET": "250 ok",
    "QUIT": "221 bye",
}


@dataclass
class OddServer:
    """
    A server of 127.0.0.1, without TLS.

    answers: the whole answer to each command; None cuts the connection; "…" says nothing and waits. heard: every line that came.
    """

    answers: Mapping[str, str | None]
    port: int = 0
    heard: list[str] = field(default_factory=list)
    connections: int = 0

    @property
    def verbs(self) -> list[str]:
        """The commands that came, without the lines of emails."""
        return [line.partition(" ")[0] for line in self.heard if line.partition(" ")[0] in {**USUAL, **self.answers}]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        said, in_data = "", False
        try:
            while True:
                answer = {**USUAL, **self.answers}.get(said, "502 5.5.1 unknown")
                if not in_data or said == ".":
                    if answer is None:
                        return
                    if answer != "…":
                        writer.write(f"{answer}\r\n".encode())
                        await writer.drain()
                    in_data = said == "DATA" and answer.startswith("354")
                if not (line := await reader.readline()):
                    return
                self.heard.append(line.decode(errors="replace").removesuffix("\r\n"))
                said = self.heard[-1] if in_data else self.heard[-1].partition(" ")[0]
        finally:
            writer.transport.abort()


@asynccontextmanager
async def odd(answers: Mapping[str, str | None] | None = None) -> AsyncIterator[OddServer]:
    """Such a server, running."""
    served = OddServer(answers or {})
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(served.serve(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=2**24)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await task
        await server.wait_closed()


def bare(server: OddServer, **changes: Any) -> Provider:
    """A server on this machine, without encryption or login."""
    given = {"host": "127.0.0.1", "username": "", "password": ""} | changes
    return provider(port=server.port, security="none", **given)


async def failure(asked: Provider, kind: type[OutsideError], by: ProviderSmtp = SMTP) -> Any:
    """How a check fails, and that a submission fails the same way."""
    with pytest.raises(OutsideError) as checked:
        await by.check(asked)
    with pytest.raises(OutsideError) as offered:
        async with by.submission(asked, email(), [ADA]):
            pass
    assert type(checked.value) is type(offered.value) is kind
    assert checked.value.stage == offered.value.stage
    return checked.value
