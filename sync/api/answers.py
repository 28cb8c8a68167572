"""Writing an answer: the contract's JSON shapes, a file's bytes, and what Graph wants to hear."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from urllib.parse import quote

import azure.functions as func

from sync.domain import errors
from sync.domain.batch import Batch
from sync.domain.body import Body
from sync.domain.check import Check
from sync.domain.connection import Connection, Erased
from sync.domain.event import Answer, Event, Json, problem_json, rfc3339, whole_message_json
from sync.domain.explanation import Explanation
from sync.domain.failure import Poisoned
from sync.domain.message import Attachment, Message, Thread
from sync.domain.notification import usable_validation_token
from sync.domain.provider import Provider
from sync.domain.sender_rule import Sender
from sync.domain.settings_page import View
from sync.domain.sign_in import SignInEnd
from sync.domain.webhook import Webhook

#: For every page and answer: nothing is guessed, framed, kept or loaded.
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "Strict-Transport-Security": "max-age=31536000",
}


def answer(value: Json, status: int = HTTPStatus.OK) -> func.HttpResponse:
    """A JSON answer."""
    return func.HttpResponse(
        json.dumps(value, ensure_ascii=False),
        status_code=int(status),
        headers=SAFE_HEADERS,
        mimetype="application/json",
        charset="utf-8",
    )


def connection_or_none(connection: Connection | None, end: SignInEnd | None) -> Json:
    """
    A user's connection, with `sign_in` where the last sign-in came to nothing.

    Raises NotFound where there never was a connection; `sign_in` is a member of that problem then, so that a CRM can tell a user
    who waits for an administrator from one who never tried.
    """
    tried = {"sign_in": sign_in_json(end)} if end else {}
    if connection is None:
        raise errors.NotFound(None, **tried)
    return connection_json(connection) | tried


def settings_json(view: View) -> Json:
    """What the settings page shows. Without the number of threads, which is counted anew each time it is asked for."""
    shown = connection_json(view.connection) if view.connection else None
    if shown is not None:
        del shown["thread_count"]
    return {"connection": shown, "sign_in": sign_in_json(view.sign_in), "now": rfc3339(view.now)}


def connection_json(connection: Connection) -> Json:
    """A connection as the contract has it."""
    watched = connection.subscription if connection.live else None
    shown: Json = {
        "connection_id": connection.connection_id,
        "state": connection.state.value,
        "email": connection.mailbox.email or None,
        "display_name": connection.mailbox.display_name or None,
        "default_sender": connection.default_sender.value,
        "connected_at": rfc3339(connection.connected_at),
        "sync_state": connection.sync_state.value,
        "synced_through": rfc3339(connection.synced_through),
        "subscription_expires_at": rfc3339(watched.expires_at) if watched else None,
        "thread_count": connection.thread_count,
    }
    if connection.problem:
        shown["problem"] = connection.problem
        shown["problem_code"] = connection.problem_code
    return shown


def sign_in_json(end: SignInEnd | None) -> Json | None:
    """How the user's last sign-in ended, where it made no connection."""
    if end is None:
        return None
    shown: Json = {"outcome": end.outcome, "at": rfc3339(end.at)}
    return shown | ({"admin_consent_url": end.admin_consent_url} if end.admin_consent_url else {})


def provider_json(provider: Provider) -> Json:
    """An account's provider, without its password."""
    return {
        "host": provider.host,
        "port": provider.port,
        "security": provider.security,
        "username": provider.username or None,
        "from": {"address": provider.sender.address, "name": provider.sender.name or None},
        "domains": list(provider.domains),
        "checked_at": rfc3339(provider.checked_at),
    }


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
    reason: Json = {"reason": event.reason} if event.reason else {}
    return event.payload() | {
        "delivery": event.delivery,
        **reason,
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


def webhook_json(webhook: Webhook, undelivered: int) -> Json:
    """How it stands with the CRM's webhook; `undelivered`: events of all accounts."""
    failure = webhook.last_failure
    return {
        "state": webhook.state,
        "reason": webhook.reason or None,
        "since": rfc3339(webhook.since),
        "last_accepted_at": rfc3339(webhook.last_accepted_at),
        "last_failure": failure
        and {"at": rfc3339(failure.at), "status": failure.status, "error": failure.error or None},
        "undelivered": undelivered,
    }


def webhook_test_json(event: Event, answered: Answer) -> Json:
    """How the receiver answered the test event."""
    return {
        "event_id": event.event_id,
        "accepted": answered.accepted,
        "status": answered.status,
        "duration_s": round(answered.duration_s, 3),
        "error": answered.error or None,
        "answer": answered.text,
    }


def threads_json(threads: list[tuple[Thread, bool]], limit: int) -> Json:
    """A page of threads, of which one more than `limit` was asked for."""
    shown = [thread_json(thread, live) for thread, live in threads[:limit]]
    return {"threads": shown, "next_after": shown[-1]["thread_id"] if len(threads) > limit else None}


def events_json(events: list[Event], after: int, has_more: bool) -> Json:
    """A page of the feed."""
    next_after = events[-1].sequence if events else after
    return {"events": [e.payload() for e in events], "next_after": next_after, "has_more": has_more}


def sender_json(sender: Sender) -> Json:
    """The answer of the sender rule."""
    return {"via": sender.via, "address": sender.address, "rule": sender.rule, "syncs": sender.syncs}


def accepted_json(accepted: Json) -> Json:
    """The answer to a send."""
    at = accepted.get("send_at")
    return accepted | ({"send_at": rfc3339(at)} if isinstance(at, datetime) else {})


def batch_json(batch: Batch, counts: Mapping[str, int], messages: list[Message] | None = None) -> Json:
    """A batch and how far it is, with its messages where they are given."""
    shown: Json = {
        "batch_id": batch.batch_id,
        "kind": batch.kind,
        "user_id": batch.user_id,
        "sender": {"via": batch.sender.via, "address": batch.sender.address or None, "rule": batch.sender.rule},
        "subject": batch.subject,
        "total": batch.size,
        "counts": dict(counts),
        "finished": not counts["queued"] and not counts["sending"],
        "accepted_at": rfc3339(batch.accepted_at),
        "send_at": rfc3339(batch.send_at),
        "cancelled_at": rfc3339(batch.cancelled_at),
    }
    if messages is not None:
        shown["messages"] = [_in_batch_json(message) for message in messages]
    return shown


def _in_batch_json(message: Message) -> Json:
    shown: Json = {
        "message_id": message.message_id,
        "thread_id": message.thread_id or None,
        "status": message.status.value,
        "to": [{"address": a.address, "name": a.name or None} for a in message.to],
    }
    return shown | ({"problem": problem_json(message)} if message.problem else {})


def explanation_json(explanation: Explanation) -> Json:
    """Why a message of the mailbox syncs, or does not: its keys, and nothing that it says."""
    return {
        "found": explanation.found,
        "belongs": explanation.belongs,
        "syncs": explanation.syncs,
        "thread_id": explanation.thread_id or None,
        "matched_by": explanation.matched_by,
        "why": explanation.why,
        "message_id": explanation.message_id or None,
        "keys": [asdict(tried) for tried in explanation.keys],
    }


def deleted_json(connection: Connection) -> Json:
    """The answer to a delete."""
    return {"connection_id": connection.connection_id, "erased": asdict(connection.erased or Erased())}


def status_json(
    waiting: Mapping[str, int], connections: Mapping[str, int], poison: Sequence[Poisoned], checks: Sequence[Check]
) -> Json:
    """How the app is doing."""
    queues = {
        name: {"waiting": count, "poison": waiting.get(f"{name}-poison", 0)}
        for name, count in waiting.items()
        if not name.endswith("-poison")
    }
    shown = [
        {"queue": p.queue, "job": dict(p.job), "since": rfc3339(p.since), "reason": p.reason, "tries": p.tries}
        for p in poison
    ]
    checked = [{"name": c.name, "ok": c.ok, "detail": c.detail, "what_to_do": c.what_to_do or None} for c in checks]
    return {"checks": checked, "queues": queues, "connections": dict(connections), "poison": shown}


def put_back_json(counts: Mapping[str, int]) -> Json:
    """How much was put back to each queue."""
    return {"replayed": sum(counts.values()), "queues": dict(counts)}


def file(attachment: Attachment, content: bytes) -> func.HttpResponse:
    """A file's bytes, to be saved and never shown: what a sender calls it is not believed (RFC 6266, RFC 8187)."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._- ") else "_" for c in attachment.name)
    encoded = quote(attachment.name, safe="")
    return func.HttpResponse(
        content,
        headers=SAFE_HEADERS | {"Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"},
        mimetype="application/octet-stream",
    )


def nothing() -> func.HttpResponse:
    """204: done, and there is nothing to show."""
    return func.HttpResponse(status_code=int(HTTPStatus.NO_CONTENT), headers=SAFE_HEADERS)


def validation(token: str) -> func.HttpResponse:
    """The answer to Graph's validation of an address: the token, as plain text."""
    if not usable_validation_token(token):
        raise errors.MalformedRequest("validationToken is no token of Microsoft Graph.")
    return func.HttpResponse(token, headers=SAFE_HEADERS, mimetype="text/plain", charset="utf-8")


def accepted() -> func.HttpResponse:
    """202 without a body."""
    return func.HttpResponse(status_code=int(HTTPStatus.ACCEPTED), headers=SAFE_HEADERS, mimetype="text/plain")
