"""
What goes between the host and its worker process: pickled values over a socket pair, each behind its length.

Only these two processes hold the socket's ends, both are ours, so pickle is as safe here as between the processes of
multiprocessing. In Azure this is gRPC with the messages of FunctionRpc.proto, and the shapes below follow those.
"""

import asyncio
import pickle
import struct
from dataclasses import dataclass, field
from typing import Any, Literal

LENGTH = struct.Struct("!Q")

#: A value with its kind: text for "string" and "json", bytes for "bytes", HttpRequest or HttpResponse for "http".
Kind = Literal["string", "bytes", "json", "http", "int", "double"]
Value = tuple[Kind, Any]


@dataclass(frozen=True)
class HttpRequest:
    """RpcHttp as a request. Header names are lower-case; `params` are the route's."""

    method: str
    url: str
    headers: dict[str, str]
    query: dict[str, str]
    params: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Cookie:
    """One cookie of a response; empty or None where the app did not say. `expires` is in seconds since 1970."""

    name: str
    value: str
    domain: str
    path: str
    expires: int | None
    max_age: float | None
    secure: bool
    http_only: bool
    same_site: Literal["lax", "strict", "none"] | None


@dataclass(frozen=True)
class HttpResponse:
    """RpcHttp as a response."""

    status: int
    headers: dict[str, str]
    cookies: list[Cookie]
    body: bytes


@dataclass(frozen=True)
class Function:
    """One function as the worker indexed it; each binding is the dictionary that function.json would hold."""

    name: str
    function_id: str
    bindings: list[dict[str, Any]]
    has_retry_policy: bool


@dataclass(frozen=True)
class Indexed:
    """The worker's first words: its functions, or `error`, the text of what went wrong while loading the app."""

    functions: list[Function] = field(default_factory=list)
    error: str | None = None


@dataclass(frozen=True)
class Invocation:
    """Run this function with these inputs."""

    invocation_id: str
    function_id: str
    inputs: dict[str, Value]
    metadata: dict[str, Value]
    #: W3C Trace Context of this invocation
    traceparent: str = ""


@dataclass(frozen=True)
class Outcome:
    """How an invocation ended: `error` is the worker's text (message and stack), or else the outputs."""

    invocation_id: str
    error: str | None = None
    return_value: Value | None = None
    outputs: dict[str, Value] = field(default_factory=dict)


async def receive(reader: asyncio.StreamReader) -> Any:
    """The next value; raises asyncio.IncompleteReadError when the other side is gone."""
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    return pickle.loads(await reader.readexactly(length))


async def send(writer: asyncio.StreamWriter, value: Any) -> None:
    """Send a value; safe for several tasks at once."""
    body = pickle.dumps(value)
    writer.write(LENGTH.pack(len(body)) + body)
    await writer.drain()
