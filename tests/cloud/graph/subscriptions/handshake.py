"""
The validation handshake: Graph asks an address whether it wants notifications before it sends any.

Imitated, from https://learn.microsoft.com/graph/change-notifications-delivery-webhooks (endpoint validation): one POST
with `validationToken` in the query and an empty text/plain body, 10 seconds to answer 200 with the decoded token as
text/plain, and the three messages of a failure. The token mixes `+`, `%`, `/`, `=`, `:` and spaces, and is written as a
form would write it (a space becomes `+`), so that whoever decodes twice, or not at all, fails here too.
Not imitated: the DNS and TLS rules of the real service. A wrong content type is answered as a wrong token is.
"""

import asyncio
import secrets
import uuid
from http import HTTPStatus
from urllib.parse import quote_plus

import aiohttp
from yarl import URL

from tests.cloud.graph.subscriptions.subscription import invalid_request

VALIDATION_TIMEOUT_SECONDS = 10.0
_FAILED = "Subscription validation request failed."


def new_validation_token() -> str:
    """An opaque token that only survives if it is decoded exactly once."""
    return (
        "Validation: Testing client application reachability for subscription Request-Id: "
        f"{uuid.uuid4()} {secrets.token_urlsafe(9)}+%2B/ab%25=="
    )


def validation_url(address: str, token: str) -> str:
    """The address with `validationToken` added to whatever query it has, which stays as it is, byte for byte."""
    return f"{address}{'&' if '?' in address else '?'}validationToken={quote_plus(token)}"


async def validate_endpoint(session: aiohttp.ClientSession, address: str, timeout_seconds: float) -> None:
    """Return once the address proved itself; raise 400 `InvalidRequest` where it does not."""
    token = new_validation_token()
    try:
        async with (
            asyncio.timeout(timeout_seconds),
            session.post(
                URL(validation_url(address, token), encoded=True),
                data=b"",
                headers={"Content-Type": "text/plain; charset=utf-8"},
                allow_redirects=False,
            ) as answer,
        ):
            status, content_type = answer.status, answer.content_type
            body = await answer.read()
    except TimeoutError as error:
        raise invalid_request("Subscription validation request timed out.") from error
    except aiohttp.ClientError as error:
        raise invalid_request(
            f"{_FAILED} Notification endpoint must respond with 200 OK to validation request."
        ) from error
    if status != HTTPStatus.OK:
        raise invalid_request(
            f"{_FAILED} HTTP status code is '{_status_name(status)}'. "
            "Notification endpoint must respond with 200 OK to validation request."
        )
    if content_type != "text/plain" or body != token.encode():
        raise invalid_request(f"{_FAILED} Response must exactly match validationToken query parameter.")


def _status_name(status: int) -> str:
    """A status as .NET names it: `Forbidden`, `NotFound`; the number where it has no name."""
    try:
        return HTTPStatus(status).phrase.title().replace(" ", "").replace("-", "")
    except ValueError:
        return str(status)
