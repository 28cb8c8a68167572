"""An HTTP request as the Functions host hands it to a function, and its context."""

from collections.abc import Mapping
from dataclasses import dataclass

import azure.functions as func

REQUEST_ID = "1f0c8e1e-0000-4000-8000-000000000001"


@dataclass
class Context:
    """What the entry functions read of the host's context."""

    invocation_id: str = REQUEST_ID


def request(
    body: bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    route: Mapping[str, str] | None = None,
) -> func.HttpRequest:
    """A request with these parts."""
    return func.HttpRequest(
        method="POST",
        url="https://sync.example/",
        headers=dict(headers or {}),
        params=dict(query or {}),
        route_params=dict(route or {}),
        body=body,
    )
