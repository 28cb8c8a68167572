"""
The trace that the code runs in now, as the text that W3C Trace Context gives it (https://www.w3.org/TR/trace-context/#traceparent-header).

The Functions host gives each invocation a `traceparent`. Here it is kept as it is, so that the path that answers Microsoft Graph
can hand it on with its queue message and imports nothing of OpenTelemetry.
"""

import contextlib
import re
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True)
class Here:
    """Where we are: `traceparent` names the span that runs (empty: none), `queue` the queue whose message it works on."""

    traceparent: str = ""
    queue: str = ""


_here: ContextVar[Here] = ContextVar("here", default=Here())  # noqa: B039 - frozen


def current() -> Here:
    """Where the code runs now."""
    return _here.get()


@contextlib.contextmanager
def inside(traceparent: object, queue: str = "") -> Iterator[None]:
    """Run what follows in this trace."""
    token = _here.set(Here(usable(traceparent), queue))
    try:
        yield
    finally:
        _here.reset(token)


def usable(traceparent: object) -> str:
    """A traceparent of the version we know; empty for anything else, which then is as if nothing had been given."""
    return traceparent if isinstance(traceparent, str) and TRACEPARENT.fullmatch(traceparent) else ""


def of_context(context: object) -> str:
    """
    What the host gives an invocation: `func.Context.trace_context.trace_parent`
    (https://learn.microsoft.com/python/api/azure-functions/azure.functions.tracecontext).
    """
    return usable(getattr(getattr(context, "trace_context", None), "trace_parent", None))
