"""
The problem answers, by their `code`: the shape and an example of each. The examples are made by the code that answers.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from sync.api.problems import STATUS, problem_of
from sync.api.reference.shapes.connections import SignInEnd
from sync.api.reference.shapes.shape import Shape, absent
from sync.domain import errors
from sync.domain.attachment_rule import SkipReason
from sync.domain.provider import Stage

REQUEST_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"


class Problem(Shape):
    """Why a request was not done (RFC 9457). Branch on `code`, and try again only where `retryable` is true."""

    type: str
    """`urn:problem:` and the code."""
    title: str
    """The status in words."""
    status: int
    detail: str
    """For a developer."""
    code: str
    retryable: bool
    """Whether the same request may succeed later."""
    request_id: str
    """To be quoted to whoever runs the app."""


class FieldError(Shape):
    """One field that can't be used."""

    field: str
    """Its path in the body, as `to[0].address`, or its name in the query."""
    message: str


class InvalidRequestProblem(Problem):
    """A problem that names each field that can't be used."""

    errors: list[FieldError]


class RefusedFile(Shape):
    """A file that can't be sent."""

    index: int
    """Its place in `attachments`, from 0."""
    name: str
    reason: SkipReason


class AttachmentRefusedProblem(Problem):
    """A problem that names each file that can't be sent."""

    files: list[RefusedFile]


class ProviderCheckFailedProblem(Problem):
    """A problem that says how far we came with a provider's server."""

    stage: Stage
    server_reply: str | None
    """The server's own words; null where it said nothing."""


class NoConnectionProblem(Problem):
    """A problem that says how the user's last sign-in ended, where one came to nothing."""

    sign_in: SignInEnd = absent()


@dataclass(frozen=True)
class Refusal:
    """
    A code: the status it comes with, its shape, what it means, and an example.

    without_body: another example, for requests that have no body.
    """

    code: str
    status: int
    shape: type[Problem]
    meaning: str
    example: dict[str, Any]
    without_body: dict[str, Any] | None
    retry_after_s: int | None


#: Codes with members of their own.
SHAPES: dict[str, type[Problem]] = {
    "invalid_request": InvalidRequestProblem,
    "attachment_refused": AttachmentRefusedProblem,
    "provider_check_failed": ProviderCheckFailedProblem,
}
#: Errors whose default message is not all that they say.
_SPECIAL: dict[type[errors.SyncError], errors.SyncError] = {
    errors.MalformedRequest: errors.MalformedRequest("The body is not JSON in UTF-8. Nothing was changed."),
    errors.InvalidRequest: errors.InvalidRequest(
        "Some fields can't be used; `errors` names each. Nothing was changed.",
        errors=[{"field": "return_url", "message": "Field required"}],
    ),
    errors.AttachmentRefused: errors.AttachmentRefused(
        files=[{"index": 0, "name": "offer.exe", "reason": SkipReason.TYPE_NOT_ALLOWED.value}]
    ),
    errors.ProviderCheckFailed: errors.ProviderCheckFailed(
        "The provider's server said: 535 5.7.8 Authentication failed. Check username and password; some providers want a"
        " password made for apps, or SMTP login switched on. Nothing was stored.",
        stage="login",
        server_reply="535 5.7.8 Authentication failed",
    ),
}
_WITHOUT_BODY: dict[type[errors.SyncError], errors.SyncError] = {
    errors.MalformedRequest: errors.MalformedRequest("account_id has 1 to 64 characters out of A-Z a-z 0-9 _ and -."),
    errors.InvalidRequest: errors.InvalidRequest(
        "limit is a whole number from 0 to 1000.", errors=[{"field": "limit", "message": "ten"}]
    ),
}
#: What is no refusal of a request: a neighbour, our own registration, and what nobody foresaw.
_OTHERS: tuple[Exception, ...] = (
    errors.Throttled(retry_after=timedelta(seconds=29)),
    errors.OperatorAlarm(),
    RuntimeError(),
)


@cache
def refusals() -> dict[str, Refusal]:
    """Every code that the app answers with."""
    known = [_refusal(_SPECIAL.get(error) or error(), error().detail, _WITHOUT_BODY.get(error)) for error in STATUS]
    others = [_refusal(error, "") for error in _OTHERS]
    return {found.code: found for found in (*known, *others)}


def _refusal(error: Exception, meaning: str, without_body: errors.SyncError | None = None) -> Refusal:
    answered = problem_of(error, REQUEST_ID)
    example = json.loads(answered.get_body())
    code = example["code"]
    retry_after = answered.headers.get("Retry-After")
    return Refusal(
        code=code,
        status=answered.status_code,
        shape=SHAPES.get(code, Problem),
        meaning=meaning or example["detail"],
        example=example,
        without_body=json.loads(problem_of(without_body, REQUEST_ID).get_body()) if without_body else None,
        retry_after_s=int(retry_after) if retry_after else None,
    )
