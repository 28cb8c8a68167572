"""
Errors as answers: problem documents for programs (RFC 9457), pages in plain words for people, a line in the log for operators.

Nothing personal is logged: ids, codes and places in the code only.
"""

import functools
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import azure.functions as func

from sync import trace
from sync.api.answers import SAFE_HEADERS
from sync.api.browser import page
from sync.domain import errors
from sync.domain.failure import reason_of
from sync.domain.sender_rule import FromNotAllowed

log = logging.getLogger(__name__)

STATUS: dict[type[errors.Refusal], HTTPStatus] = {
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.MalformedRequest: HTTPStatus.BAD_REQUEST,
    errors.InvalidRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    FromNotAllowed: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.PayloadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.IdempotencyKeyMissing: HTTPStatus.BAD_REQUEST,
    errors.IdempotencyKeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ReturnUrlNotAllowed: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.CompletionCodeUnknown: HTTPStatus.NOT_FOUND,
    errors.CompletionCodeExpired: HTTPStatus.GONE,
    errors.CompletionInProgress: HTTPStatus.CONFLICT,
    errors.NotConnected: HTTPStatus.CONFLICT,
    errors.SettingsPageExpired: HTTPStatus.UNAUTHORIZED,
    errors.WrongMailbox: HTTPStatus.CONFLICT,
    errors.SignInFailed: HTTPStatus.CONFLICT,
    errors.AttachmentRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ConnectionNeedsReconnect: HTTPStatus.CONFLICT,
    errors.ProviderNotConfigured: HTTPStatus.CONFLICT,
    errors.ProviderCheckFailed: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ThreadStopped: HTTPStatus.CONFLICT,
    errors.NotCancellable: HTTPStatus.CONFLICT,
}

Handler = Callable[..., Awaitable[func.HttpResponse]]


def endpoint(handler: Handler) -> Handler:
    """An HTTP function whose errors are answered as problems. It is given `req` and `context`, whose id is the request id."""

    @functools.wraps(handler)
    async def answered(req: func.HttpRequest, context: func.Context, **bindings: Any) -> func.HttpResponse:
        try:
            with trace.inside(trace.of_context(context)):
                return await handler(req=req, context=context, **bindings)
        except Exception as error:  # noqa: BLE001 - the edge: whatever it is, the caller gets a problem
            return _answer_error(error, context.invocation_id)

    return answered


def browser_page(handler: Handler) -> Handler:
    """An HTTP function that a person's browser calls: its errors are pages in plain words."""

    @functools.wraps(handler)
    async def answered(req: func.HttpRequest, context: func.Context, **bindings: Any) -> func.HttpResponse:
        try:
            with trace.inside(trace.of_context(context)):
                return await handler(req=req, context=context, **bindings)
        except errors.SignInLinkUnusable as unusable:
            return page("This sign-in can't go on", unusable.detail, status=HTTPStatus.BAD_REQUEST)
        except Exception as error:  # noqa: BLE001 - the edge
            _log_failure(error, context.invocation_id)
            words = "Something went wrong on our side. Please try again in a minute, from the CRM."
            return page(
                "This did not work",
                f"{words} (Reference: {context.invocation_id})",
                status=HTTPStatus.SERVICE_UNAVAILABLE,
            )

    return answered


def problem(
    status: int,
    code: str,
    detail: str,
    request_id: str,
    *,
    retryable: bool = False,
    retry_after_s: int = 0,
    extra: Mapping[str, object] | None = None,
) -> func.HttpResponse:
    """A problem document."""
    value = {
        "type": f"urn:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
        "code": code,
        "retryable": retryable,
        "request_id": request_id,
        **(extra or {}),
    }
    headers = SAFE_HEADERS | ({"Retry-After": str(retry_after_s)} if retry_after_s else {})
    return func.HttpResponse(
        json.dumps(value, ensure_ascii=False),
        status_code=int(status),
        headers=headers,
        mimetype="application/problem+json",
    )


def _answer_error(error: Exception, request_id: str) -> func.HttpResponse:
    match error:
        case errors.Refusal() | errors.OutsideError():
            pass
        case errors.OperatorAlarm():
            log.critical("operator alarm: %s", error.detail, extra={"request_id": request_id})
        case _:
            _log_failure(error, request_id)
    return problem_of(error, request_id)


def problem_of(error: Exception, request_id: str) -> func.HttpResponse:
    """What a caller is answered who meets this error."""
    match error:
        case errors.Refusal():
            return problem(
                STATUS[type(error)], error.code, error.detail, request_id, retryable=error.retryable, extra=error.extra
            )
        case errors.ReconnectNeeded():
            return problem(HTTPStatus.CONFLICT, "connection_needs_reconnect", error.detail, request_id)
        case errors.OperatorAlarm():
            words = "The app's own registration or keys are broken; the operator was told. Nothing was changed; try again later."
            return problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "operator_attention_needed",
                words,
                request_id,
                retryable=True,
                retry_after_s=300,
            )
        case errors.OutsideError():
            words = "Microsoft did not give a clear answer. Try again with the same request."
            wait_s = int(error.retry_after.total_seconds()) + 1 if isinstance(error, errors.Throttled) else 5
            return problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                words,
                request_id,
                retryable=True,
                retry_after_s=wait_s,
            )
        case _:
            words = "Something went wrong on our side. Try again with the same request; if it lasts, tell us the request_id."
            return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", words, request_id, retryable=True)


def _log_failure(error: Exception, request_id: str) -> None:
    """Where it happened and what kind it is; never the exception's words, which may hold addresses, codes or tokens."""
    log.error("request failed: %s", reason_of(error), extra={"request_id": request_id})
