"""
The HTTP edge: reading requests, writing answers, and the one place where an error becomes a status code (RFC 9457).

Nothing personal is logged here: ids, codes and places in the code only.
"""

import functools
import html
import json
import logging
import re
import traceback
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import azure.functions as func

from sync.domain import errors
from sync.domain.body import Body
from sync.domain.connection import ACCOUNT_OR_USER_ID, Connection
from sync.domain.event import Event, Json, rfc3339, whole_message_json
from sync.domain.message import Attachment, Message, Thread
from sync.domain.notification import usable_validation_token
from sync.domain.outgoing import request_hash
from sync.domain.sender_rule import FromNotAllowed

__all__ = ["request_hash", "rfc3339", "whole_message_json"]  # what the entry functions need of the domain

log = logging.getLogger(__name__)

#: A send with 20 MiB of files is 28 MB of base64, and its bodies.
MAX_BODY_BYTES = 40 * 1024 * 1024
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
MAX_PAGE = 1_000
MAX_SEQUENCE = 9_999_999_999

STATUS: dict[type[errors.SyncError], HTTPStatus] = {
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
    errors.WrongMailbox: HTTPStatus.CONFLICT,
    errors.SignInFailed: HTTPStatus.CONFLICT,
    errors.AttachmentRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ConnectionNeedsReconnect: HTTPStatus.CONFLICT,
    errors.ProviderNotConfigured: HTTPStatus.CONFLICT,
    errors.ThreadStopped: HTTPStatus.CONFLICT,
    errors.NotOfferedYet: HTTPStatus.NOT_IMPLEMENTED,
}

#: For every page and answer: nothing is guessed, framed, kept or loaded.
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "Strict-Transport-Security": "max-age=31536000",
}

Handler = Callable[..., Awaitable[func.HttpResponse]]


def endpoint(handler: Handler) -> Handler:
    """An HTTP function whose errors are answered as problems. It is given `req` and `context`, whose id is the request id."""

    @functools.wraps(handler)
    async def answered(req: func.HttpRequest, context: func.Context, **bindings: Any) -> func.HttpResponse:
        try:
            return await handler(req=req, context=context, **bindings)
        except Exception as error:  # noqa: BLE001 - the edge: whatever it is, the caller gets a problem
            return _answer_error(error, context.invocation_id)

    return answered


def browser_page(handler: Handler) -> Handler:
    """An HTTP function that a person's browser calls: its errors are pages in plain words."""

    @functools.wraps(handler)
    async def answered(req: func.HttpRequest, context: func.Context, **bindings: Any) -> func.HttpResponse:
        try:
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


# Reading.


def account_of(req: func.HttpRequest) -> str:
    """The account in the path."""
    return _id(req, "account_id")


def user_of(req: func.HttpRequest) -> str:
    """The user in the path."""
    return _id(req, "user_id")


def _id(req: func.HttpRequest, name: str) -> str:
    value = str(req.route_params.get(name, ""))
    if not ACCOUNT_OR_USER_ID.fullmatch(value):
        raise errors.MalformedRequest(f"{name} has 1 to 64 characters out of A-Z a-z 0-9 _ and -.")
    return value


def json_body(req: func.HttpRequest) -> Any:
    """The JSON of the body; raises MalformedRequest."""
    body = req.get_body()
    if len(body) > MAX_BODY_BYTES:
        raise errors.PayloadTooLarge(f"A request has at most {MAX_BODY_BYTES} bytes. Nothing was changed.")
    try:
        text = body.decode("utf-8")
        value = json.loads(text, parse_constant=_not_json)
        if ESCAPED_SURROGATE.search(text):
            # Half of a surrogate pair is no character: nothing could write it again.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise errors.MalformedRequest("The body is not JSON in UTF-8. Nothing was changed.") from error
    if not isinstance(value, dict):
        raise errors.MalformedRequest("The body is a JSON object. Nothing was changed.")
    return value


def _not_json(word: str) -> None:
    raise ValueError(f"{word} is Python's, not JSON's")


def idempotency_key(req: func.HttpRequest) -> str:
    """The Idempotency-Key header; raises IdempotencyKeyMissing."""
    key = req.headers.get("Idempotency-Key", "")
    if not IDEMPOTENCY_KEY.fullmatch(key):
        raise errors.IdempotencyKeyMissing
    return str(key)


def number(req: func.HttpRequest, name: str, default: int, high: int) -> int:
    """A whole number from 0 in the query; raises InvalidRequest."""
    text = req.params.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > len(str(MAX_SEQUENCE)) or int(text) > high:
        raise errors.InvalidRequest(
            f"{name} is a whole number from 0 to {high}.", errors=[{"field": name, "message": text[:40]}]
        )
    return int(text)


def sequence_after(req: func.HttpRequest) -> int:
    """The `after` of the feed."""
    return number(req, "after", 0, MAX_SEQUENCE)


def refuse_erase(req: func.HttpRequest) -> None:
    """`?erase=true` is not offered yet, and a delete that leaves what was to be erased must not look like one that did not."""
    if req.params.get("erase", "false") != "false":
        raise errors.NotOfferedYet(
            "erase=true does not exist yet. The connection was not deleted; leave erase out to delete it."
        )


def page_size(req: func.HttpRequest) -> int:
    """The `limit` of a listing."""
    return max(1, number(req, "limit", 100, MAX_PAGE))


# Writing.


def answer(value: Json, status: int = HTTPStatus.OK) -> func.HttpResponse:
    """A JSON answer."""
    return func.HttpResponse(
        json.dumps(value, ensure_ascii=False),
        status_code=int(status),
        headers=SAFE_HEADERS,
        mimetype="application/json",
        charset="utf-8",
    )


def connection_json(connection: Connection) -> Json:
    """A connection as the contract has it."""
    watched = connection.subscription if connection.live else None
    shown: Json = {
        "connection_id": connection.connection_id,
        "state": connection.state.value,
        "email": connection.mailbox.email,
        "display_name": connection.mailbox.display_name,
        "default_sender": connection.default_sender.value,
        "connected_at": rfc3339(connection.connected_at),
        "sync_state": connection.sync_state.value,
        "synced_through": rfc3339(connection.synced_through),
        "subscription_expires_at": rfc3339(watched.expires_at) if watched else None,
        "thread_count": connection.thread_count,
    }
    if connection.problem:
        shown["problem"] = connection.problem
    return shown


def thread_json(thread: Thread, live: bool, messages: list[tuple[Message, Body]] | None = None) -> Json:
    """A thread, with its messages where they are given."""
    shown: Json = {
        "thread_id": thread.thread_id,
        "user_id": thread.user_id,
        "connection_id": thread.connection_id,
        "subject": thread.subject,
        "state": "active" if live else "stopped",
        "contacts": [
            {"address": c.address, "name": c.name or None, "contact_id": c.contact_id or None} for c in thread.contacts
        ],
        "started_at": rfc3339(thread.started_at),
    }
    if messages is not None:
        shown["messages"] = [whole_message_json(message, body) for message, body in messages]
    return shown


def event_json(event: Event) -> Json:
    """An event with its delivery and attempts."""
    return event.payload() | {
        "delivery": event.delivery,
        "due_at": rfc3339(event.due_at),
        "attempts": [
            {
                "at": rfc3339(a.at),
                "duration_s": round(a.duration_s, 3),
                "status": a.status,
                "error": a.error or None,
                "answer": a.answer,
            }
            for a in event.attempts
        ],
    }


def threads_json(threads: list[tuple[Thread, bool]], limit: int) -> Json:
    """A page of threads, of which one more than `limit` was asked for."""
    shown = [thread_json(thread, live) for thread, live in threads[:limit]]
    return {"threads": shown, "next_after": shown[-1]["thread_id"] if len(threads) > limit else None}


def events_json(events: list[Event], after: int, has_more: bool) -> Json:
    """A page of the feed."""
    next_after = events[-1].sequence if events else after
    return {"events": [e.payload() for e in events], "next_after": next_after, "has_more": has_more}


def deleted_json(connection: Connection) -> Json:
    """The answer to a delete."""
    nothing = {"messages": 0, "attachments": 0, "events": 0, "anchors": 0}
    return {"connection_id": connection.connection_id, "erased": nothing}


def status_json(waiting: Mapping[str, int], connections: Mapping[str, int]) -> Json:
    """How the app is doing."""
    queues = {
        name: {"waiting": count, "poison": waiting.get(f"{name}-poison", 0)}
        for name, count in waiting.items()
        if not name.endswith("-poison")
    }
    return {"queues": queues, "connections": dict(connections)}


def file(attachment: Attachment, content: bytes) -> func.HttpResponse:
    """A file's bytes, to be saved and never shown: what a sender calls it is not believed (RFC 6266, RFC 8187)."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._- ") else "_" for c in attachment.name)
    encoded = quote(attachment.name, safe="")
    return func.HttpResponse(
        content,
        headers=SAFE_HEADERS | {"Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"},
        mimetype="application/octet-stream",
    )


def validation(token: str) -> func.HttpResponse:
    """The answer to Graph's validation of an address: the token, as plain text."""
    if not usable_validation_token(token):
        raise errors.MalformedRequest("validationToken is no token of Microsoft Graph.")
    return func.HttpResponse(token, headers=SAFE_HEADERS, mimetype="text/plain", charset="utf-8")


def accepted() -> func.HttpResponse:
    """202 without a body."""
    return func.HttpResponse(status_code=int(HTTPStatus.ACCEPTED), headers=SAFE_HEADERS, mimetype="text/plain")


# The browser's side of a sign-in.

#: The binding cookie lives as long as a link.
COOKIE_LIFETIME = timedelta(minutes=10)


def cookie_name(public_base_url: str) -> str:
    """`__Host-` wants https; on the local cloud, which has none, the prefix would make browsers refuse the cookie."""
    return "__Host-sign_in" if public_base_url.startswith("https:") else "sign_in"


def binding_of(req: func.HttpRequest, public_base_url: str) -> str:
    """The binding secret in the browser's cookie; empty where there is none."""
    wanted = cookie_name(public_base_url)
    for part in req.headers.get("Cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == wanted:
            return str(value)
    return ""


def redirect(location: str, binding: str, public_base_url: str) -> func.HttpResponse:
    """302, with the binding cookie set, or cleared where there is no binding secret."""
    lifetime_s = int(COOKIE_LIFETIME.total_seconds()) if binding else 0
    secure = "; Secure" if public_base_url.startswith("https:") else ""
    cookie = f"{cookie_name(public_base_url)}={binding}; Path=/; Max-Age={lifetime_s}; HttpOnly; SameSite=Lax{secure}"
    return func.HttpResponse(
        status_code=int(HTTPStatus.FOUND),
        headers=SAFE_HEADERS | {"Location": location, "Set-Cookie": cookie},
        mimetype="text/plain",
    )


def page(title: str, words: str, *, status: int = HTTPStatus.OK) -> func.HttpResponse:
    """A page for a person."""
    text = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>:root{{color-scheme:light dark}}h1{{font-size:1.4rem}}
body{{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1.5rem}}</style></head>
<body><main><h1>{html.escape(title)}</h1><p>{html.escape(words)}</p></main></body></html>
"""
    return func.HttpResponse(text, status_code=int(status), headers=SAFE_HEADERS, mimetype="text/html", charset="utf-8")


def admin_consent_page(answer: Mapping[str, str]) -> func.HttpResponse:
    """What an administrator sees who came back from Microsoft's consent page."""
    if answer.get("admin_consent", "").casefold() == "true" and "error" not in answer:
        return page(
            "Thank you", "Your organisation has approved the app. Your colleagues can connect their mailboxes now."
        )
    return page(
        "Not approved",
        "Nothing was approved. Your colleagues can't connect their mailboxes before an administrator does.",
    )


# Errors.


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
        case errors.Refusal():
            return problem(
                STATUS[type(error)], error.code, error.detail, request_id, retryable=error.retryable, extra=error.extra
            )
        case errors.ReconnectNeeded():
            return problem(HTTPStatus.CONFLICT, "connection_needs_reconnect", error.detail, request_id)
        case errors.OperatorAlarm():
            log.critical("operator alarm", extra={"request_id": request_id, "detail": error.detail})
            words = "The registration with Microsoft is broken; the operator was told. Nothing was changed; try again later."
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
            _log_failure(error, request_id)
            words = "Something went wrong on our side. Try again with the same request; if it lasts, tell us the request_id."
            return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", words, request_id, retryable=True)


def _log_failure(error: Exception, request_id: str) -> None:
    """Where it happened and what kind it is; never the exception's words, which may hold addresses, codes or tokens."""
    places = [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)
    ]
    log.error(
        "request failed: %s at %s",
        type(error).__name__,
        " < ".join(reversed(places[-6:])),
        extra={"request_id": request_id},
    )
