"""
AADSTS errors: raised anywhere, written as JSON, as redirect parameters or as a page.

Fidelity. Imitated: the `error`, `suberror` and number of each failure, the shape of the token endpoint's JSON and of the
redirect's parameters (https://learn.microsoft.com/entra/identity-platform/reference-error-codes,
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow). Not imitated: Microsoft's wording, which
the documentation says not to depend on, and its translations. `error_uri` names the real service's page, for people.
"""

import uuid
from datetime import datetime
from typing import Any

from aiohttp import web


class EntraError(Exception):
    """
    A refusal. `error` is OAuth's word, `number` the AADSTS number, `status` the HTTP status of a JSON answer.

    `suberror` and `claims` appear in JSON only, `subcode` on redirects only; None leaves them out.
    """

    def __init__(
        self,
        error: str,
        number: int,
        message: str,
        *,
        status: int = 400,
        suberror: str | None = None,
        subcode: str | None = None,
        claims: str | None = None,
    ) -> None:
        super().__init__(f"AADSTS{number}: {message}")
        self.error = error
        self.number = number
        self.status = status
        self.suberror = suberror
        self.subcode = subcode
        self.claims = claims

    def as_json(self, now: datetime, correlation_id: str | None = None) -> dict[str, Any]:
        """The body of a failed token call. `correlation_id` is the caller's client-request-id, if it sent one."""
        trace_id = str(uuid.uuid4())
        correlation_id = correlation_id or str(uuid.uuid4())
        body: dict[str, Any] = {
            "error": self.error,
            "error_description": f"{self} {_trail(trace_id, correlation_id, now)}",
            "error_codes": [self.number],
            "timestamp": f"{now:%Y-%m-%d %H:%M:%SZ}",
            "trace_id": trace_id,
            "correlation_id": correlation_id,
            "error_uri": f"https://login.microsoftonline.com/error?code={self.number}",
        }
        if self.suberror is not None:
            body["suberror"] = self.suberror
        if self.claims is not None:
            body["claims"] = self.claims
        return body

    def as_parameters(self, now: datetime) -> dict[str, str]:
        """What a failed authorize request sends back to the app, without `state`."""
        parameters = {"error": self.error}
        if self.subcode is not None:
            parameters["error_subcode"] = self.subcode
        parameters["error_description"] = f"{self} {_trail(str(uuid.uuid4()), str(uuid.uuid4()), now)}"
        parameters["error_uri"] = f"https://login.microsoftonline.com/error?code={self.number}"
        return parameters


#: Where a handler notes the refusal that it answered with.
REFUSED = web.RequestKey("REFUSED", EntraError)


def _trail(trace_id: str, correlation_id: str, now: datetime) -> str:
    return f"Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {now:%Y-%m-%d %H:%M:%SZ}"


def missing_parameter(name: str) -> EntraError:
    """A parameter that must be there is not, or is empty."""
    return EntraError("invalid_request", 900144, f"The request must contain the following parameter: '{name}'.")


def invalid_request(message: str) -> EntraError:
    """The request is wrong in a way that has no number of its own here."""
    return EntraError("invalid_request", 90023, message)


def unknown_app(client_id: str) -> EntraError:
    """No app is registered with this client_id."""
    return EntraError("unauthorized_client", 700016, f"No application with identifier '{client_id}' was found.")
