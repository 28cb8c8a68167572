"""What is said of each thing the app needs: well, not well and what to do, or not to be told."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import HttpResponseError

from sync.domain import check as rule
from sync.domain.check import Check
from sync.domain.errors import Unclear
from sync.domain.event import Answer

NOW = datetime(2026, 11, 29, 9, 30, tzinfo=UTC)
TAKEN, REFUSED, SILENT = Answer(204, 0.1), Answer(500, 0.1, text="secret words"), Answer(None, 15.0, "ReadTimeout")

CASES: list[tuple[Check, bool | None, str]] = [
    (rule.storage({"tables": None, "queues": None}), True, "Reached: tables, queues."),
    (rule.storage({"tables": "E 403", "queues": None}), False, "Not reached: tables (E 403)."),
    (rule.key_vault(()), True, "No setting is a Key Vault reference that Azure could not resolve."),
    (rule.key_vault(["A", "B"]), False, "Azure did not resolve: A, B."),
    (rule.entra_credential(None, asked=True), True, "Entra ID gave the app a token."),
    (rule.entra_credential("Refused.", asked=True), False, "Refused."),
    (rule.graph(401), True, "Microsoft Graph answers."),
    (rule.graph(200), False, "Microsoft Graph answered 200 where 401 was due."),
    (rule.graph(503), False, "Microsoft Graph answered 503 where 401 was due."),
    (rule.notification_address(200, echoed=True), True, "PUBLIC_BASE_URL leads to this app, seen from the app itself."),
    (
        rule.notification_address(200, echoed=False),
        False,
        "PUBLIC_BASE_URL answered the validation of Microsoft Graph with something else.",
    ),
    (
        rule.notification_address(302, echoed=False),
        False,
        "PUBLIC_BASE_URL answered the validation of Microsoft Graph with 302.",
    ),
    (rule.notification_certificate(None, NOW), True, "NOTIFICATION_MODE is basic: none is needed."),
    (
        rule.notification_certificate(NOW + timedelta(days=14, seconds=1), NOW),
        True,
        "The newest certificate is good until 2026-12-13.",
    ),
    (
        rule.notification_certificate(NOW + timedelta(days=14), NOW),
        False,
        "The newest certificate ends soon, on 2026-12-13.",
    ),
    (rule.notification_certificate(NOW, NOW), False, "The newest certificate ended on 2026-11-29."),
    (rule.unusable_certificate("It can't be used."), False, "It can't be used."),
    (rule.crm_webhook("on", "", TAKEN), True, "The receiver took a webhook.test event."),
    (rule.crm_webhook("on", "", REFUSED), False, "The receiver answered 500 to a webhook.test event."),
    (
        rule.crm_webhook("off", "Gone.", SILENT),
        False,
        "The receiver gave no answer (ReadTimeout) to a webhook.test event.",
    ),
    (rule.crm_webhook("off", "Gone.", TAKEN), False, "The receiver answers, but deliveries are off: Gone."),
    (rule.unreached("graph", "ConnectError"), False, "No answer: ConnectError."),
]


@pytest.mark.parametrize(("check", "ok", "detail"), CASES, ids=[case[2] for case in CASES])
def test_what_is_said(check: Check, ok: bool, detail: str) -> None:
    """What was seen, in words; and what to do exactly where something is wrong."""
    assert (check.ok, check.detail) == (ok, detail)
    assert bool(check.what_to_do) is not ok


def test_a_secret_that_can_not_be_tried_yet_is_no_failure() -> None:
    """Before the first mailbox nobody knows an organisation to ask in: it is neither well nor wrong."""
    check = rule.entra_credential(None, asked=False)
    assert (check.ok, check.what_to_do) == (None, "")


def test_an_error_is_told_by_its_kind_and_code() -> None:
    """Never in its words, which may hold addresses or keys."""
    error = HttpResponseError(message="AccountKey=secret")
    error.status_code = 403
    error.error_code = "AuthorizationPermissionMismatch"  # type: ignore[attr-defined]
    assert rule.words_of(error) == "HttpResponseError 403 AuthorizationPermissionMismatch"
    assert rule.words_of(Unclear("secret")) == "Unclear"
