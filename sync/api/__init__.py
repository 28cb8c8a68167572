"""
The HTTP edge, all that the entry functions need of it.

    requests    reading paths, queries, headers and JSON bodies
    models      the bodies, by pydantic; imported where one is read, since a notification's cold start must not pay for it
    answers     writing JSON, files and the answers to Graph
    browser     the cookie, redirects and pages of a sign-in
    pages       the files of the settings page
    problems    the one place where an error becomes a status code (RFC 9457)
"""

from sync.api.answers import (
    accepted,
    accepted_json,
    answer,
    batch_json,
    connection_json,
    connection_or_none,
    deleted_json,
    event_json,
    events_json,
    explanation_json,
    file,
    nothing,
    provider_json,
    put_back_json,
    sender_json,
    settings_json,
    status_json,
    thread_json,
    threads_json,
    validation,
    webhook_json,
    webhook_test_json,
)
from sync.api.browser import admin_consent_page, approved_sign_in, binding_of, redirect
from sync.api.pages import asset, settings_page
from sync.api.problems import browser_page, endpoint
from sync.api.requests import (
    account_of,
    idempotency_key,
    json_body,
    page_size,
    sequence_after,
    settings_token,
    user_of,
    wants_checks,
    wants_erase,
    wants_messages,
)
from sync.domain.event import rfc3339, whole_message_json
from sync.domain.outgoing import request_hash

__all__ = [
    "accepted",
    "accepted_json",
    "account_of",
    "admin_consent_page",
    "answer",
    "approved_sign_in",
    "asset",
    "batch_json",
    "binding_of",
    "browser_page",
    "connection_json",
    "connection_or_none",
    "deleted_json",
    "endpoint",
    "event_json",
    "events_json",
    "explanation_json",
    "file",
    "idempotency_key",
    "json_body",
    "nothing",
    "page_size",
    "provider_json",
    "put_back_json",
    "redirect",
    "request_hash",
    "rfc3339",
    "sender_json",
    "sequence_after",
    "settings_json",
    "settings_page",
    "settings_token",
    "status_json",
    "thread_json",
    "threads_json",
    "user_of",
    "validation",
    "wants_checks",
    "wants_erase",
    "wants_messages",
    "webhook_json",
    "webhook_test_json",
    "whole_message_json",
]
