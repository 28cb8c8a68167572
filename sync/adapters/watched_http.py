"""
Calls to our neighbours, watched where they leave: each gets a span, and each to Graph is counted.

A span lasts until the answer's headers are there; reading a large body afterwards is not part of it. The CRM is given the
trace (`traceparent`), so that its own telemetry can go on from ours: the header holds two random numbers and nothing else.
Microsoft Graph is not: nobody there would look at it, and it has `request-id` for that.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol

import httpx

from sync.domain.metrics import OTHER, Reading
from sync.domain.readings import METHODS, of_graph_call

#: What paths to Graph are made of beside ids (https://learn.microsoft.com/graph/api/overview, mail and subscriptions).
WORDS = frozenset(
    (
        *("me", "messages", "mailFolders", "inbox", "attachments", "subscriptions", "users", "v1.0"),
        *("send", "createReply", "createUploadSession", "$value", "sendMail", "reauthorize"),
    )
)
UPLOAD = "/{upload session}"
WEBHOOK = "/{webhook}"


class Spans(Protocol):
    """What makes spans (`telemetry.Telemetry`)."""

    def call(
        self, method: str, template: str, scheme: str, server: str, port: int | None
    ) -> contextlib.AbstractContextManager[Callable[[int], None]]:
        """One HTTP request."""

    def traceparent(self) -> str:
        """The span that runs now."""


class GraphTransport(httpx.AsyncBaseTransport):
    """Calls to Microsoft Graph at `base_url`; other addresses are those of upload sessions."""

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        base_url: str,
        spans: Callable[[], Spans | None],
        note: Callable[[Reading], None],
    ) -> None:
        self._inner = inner
        self._base = httpx.URL(base_url)
        self._spans = spans
        self._note = note

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it, and note how it ended."""
        # As it is sent: an id can hold a slash, which is quoted there.
        path = request.url.raw_path.partition(b"?")[0].decode("ascii", "replace")
        known = request.url.host == self._base.host and path.startswith(self._base.path)
        path = self._base.path + template(path.removeprefix(self._base.path)) if known else UPLOAD
        with _span(self._spans(), request, path) as answered:
            try:
                response = await self._inner.handle_async_request(request)
            except BaseException as error:
                self._note(of_graph_call(request.method, None, type(error).__name__))
                raise
            self._note(of_graph_call(request.method, response.status_code))
            answered(response.status_code)
            return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class CrmTransport(httpx.AsyncBaseTransport):
    """Calls to the CRM's webhook."""

    def __init__(self, inner: httpx.AsyncBaseTransport, spans: Callable[[], Spans | None]) -> None:
        self._inner = inner
        self._spans = spans

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it with the trace it belongs to."""
        spans = self._spans()
        with _span(spans, request, WEBHOOK) as answered:
            if spans is not None and (traceparent := spans.traceparent()):
                request.headers["traceparent"] = traceparent
            response = await self._inner.handle_async_request(request)
            answered(response.status_code)
            return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def template(path: str) -> str:
    """A path to Graph without its ids, as `/me/messages/{id}/attachments/{id}/$value`: few different ones, and nobody's."""
    parts = [part if part in WORDS else "{id}" for part in path.split("/") if part]
    return "/" + "/".join(parts)


@contextlib.contextmanager
def _span(spans: Spans | None, request: httpx.Request, path: str) -> Iterator[Callable[[int], None]]:
    if spans is None:
        yield lambda _status: None
        return
    method = request.method if request.method in METHODS else OTHER
    with spans.call(method, path, request.url.scheme, request.url.host, request.url.port) as answered:
        yield answered
