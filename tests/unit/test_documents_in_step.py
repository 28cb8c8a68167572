"""
What a CRM developer or an operator meets stands in a document, and what the documents name exists: settings, routes, problem
codes, events, statuses and every other value that a field can have.

Both sides are read: the code by running it or from its source, the documents from their tables. To fix a failure, add the row, or
take it out.
"""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from sync import settings
from sync.adapters import crm
from sync.api import problems, requests
from sync.domain import (
    attachment_rule,
    body,
    certificate,
    check,
    connection,
    errors,
    event,
    message,
    outgoing,
    pace,
    provider,
    retry,
    send_refusal,
    sender_rule,
    sign_in,
    subscription,
    thread_rule,
    trouble,
    webhook,
)
from sync.flows import catch_up
from tests import documents
from tests.documents import README, ROOT, codes, table
from tests.unit.told import (
    choices,
    codes_of_failures,
    field,
    literals,
    problem_codes,
    results,
    routes,
    rules_of_the_sender,
    settings_read,
    states_of_a_thread,
    subclasses,
)

DOCS = ROOT / "docs"
API, ERRORS, EVENTS = DOCS / "api.md", DOCS / "errors.md", DOCS / "events.md"
#: The head of the column with settings that the Functions host reads and the app does not.
HOSTS = "the host's own setting"
SETTINGS, CONNECTING, OPERATING = DOCS / "settings.md", DOCS / "connecting.md", DOCS / "operating.md"


# Settings.


def test_every_setting_is_documented() -> None:
    """docs/settings.md has each setting that sync/settings.py reads, once, and no other."""
    documented = codes(table(SETTINGS, "setting"), "setting")
    assert sorted(documented) == sorted(settings_read())


@pytest.mark.parametrize("document", documents.guides(), ids=lambda d: d.name)
def test_no_document_names_a_setting_that_does_not_exist(document: Path) -> None:
    """What looks like a setting is one, of ours or of the host's: an old name does not live on in a sentence."""
    known = settings_read() | set(codes(table(SETTINGS, HOSTS), HOSTS))
    looks_like_one = {span for span in documents.code_spans(document) if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", span)}
    assert looks_like_one - known == set()


def test_the_example_has_settings_that_exist() -> None:
    """local.settings.example.json names settings of ours and of the host's, each documented, and is enough to start with."""
    example = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
    assert example.keys() - settings_read() <= set(codes(table(SETTINGS, HOSTS), HOSTS))
    with pytest.raises(settings.ConfigurationError) as wrong:
        settings.read(example)
    assert [problem for problem in wrong.value.problems if "is missing" in problem or "neither is set" in problem] == []


# Routes.


def test_every_route_is_documented() -> None:
    """docs/api.md has each route, where its reader looks for it: those with a key, and those for others."""
    ours = table(API, "method and route", "Routes for your backend")
    others = table(API, "method and route", "Routes for others")
    served = routes()
    assert sorted(codes(ours, "method and route")) == sorted(route for route, key in served.items() if key)
    assert sorted(codes(others, "method and route")) == sorted(route for route, key in served.items() if not key)


# Problem codes.


def test_every_refusal_has_a_status() -> None:
    """A refusal without one would be answered as a fault of ours."""
    assert set(subclasses(errors.Refusal)) == set(problems.STATUS)


def test_every_problem_code_is_documented() -> None:
    """docs/errors.md has each code, with the status and the advice to try again that the app really gives."""
    documented = {}
    for row in table(ERRORS, "retryable").rows:
        [code] = row["`code`"].codes
        assert code not in documented, f"{code} stands twice"
        assert row["what happened"].text
        assert row["what to do"].text
        documented[code] = (int(row["status"].text), {"yes": True, "no": False}[row["retryable"].text])
    assert documented == problem_codes()


#: Codes of refusals that no message ends with, and why.
NOT_OF_A_MESSAGE = {
    "invalid_id_token": "of a sign-in, which fails as sign_in_failed",
    "UnknownError": "of a subscription, which is opened again",
}


def test_every_reason_why_an_email_was_not_sent_is_documented() -> None:
    """docs/errors.md has each code that a message can fail with, and what to do about it."""
    reasons = table(ERRORS, "`code`", "Why an email was not sent")
    documented = codes(reasons, "`code`")
    assert len(documented) == len(set(documented))
    assert set(documented) == codes_of_failures() - NOT_OF_A_MESSAGE.keys()
    assert [row["`code`"].text for row in reasons.rows if not row["what to do"].text] == ["any other"]


def test_what_is_not_of_a_message_is_still_refused_with() -> None:
    """The list of exceptions holds nothing that is gone."""
    assert NOT_OF_A_MESSAGE.keys() <= codes_of_failures()


# Values of fields.


#: document, the column's head, what the code can say there.
VALUES: list[tuple[Path, str, set[str]]] = [
    (API, "`state`", set(connection.State)),
    (API, "`sync_state`", set(connection.SyncState)),
    (API, "`default_sender`", set(connection.DefaultSender)),
    (API, "`outcome`", literals(sign_in.LastOutcome)),
    (API, "`security`", literals(provider.Security)),
    (API, "`stage`", literals(provider.Stage)),
    (API, "`kind`", literals(outgoing.Kind)),
    (API, "`via`", field(sender_rule.Sender, "via")),
    (API, "`status`", set(message.Status)),
    (API, "`direction`", field(message.Message, "direction")),
    (API, "`origin`", field(message.Message, "origin")),
    (API, "`attachments[].status`", field(message.Attachment, "status")),
    (API, "`state` of a thread", states_of_a_thread()),
    (API, "`delivery`", literals(event.Delivery)),
    (API, "`state` of the webhook", field(webhook.Webhook, "state")),
    (CONNECTING, "`result`", results()),
    (CONNECTING, "`reason`", literals(trouble.Reason)),
    (EVENTS, "`type`", literals(event.EventType)),
    (OPERATING, "`name`", literals(check.Name)),
    (README, "`matched_by`", literals(thread_rule.KeyKind)),
    (README, "else `reason`", set(attachment_rule.SkipReason)),
    (README, "`rule`", rules_of_the_sender()),
]


@pytest.mark.parametrize(("document", "column", "values"), VALUES, ids=[f"{d.stem} {c}" for d, c, _ in VALUES])
def test_every_value_is_documented(document: Path, column: str, values: set[str]) -> None:
    """The table has each value that the field can have, once, and no other."""
    assert values
    assert sorted(codes(table(document, column), column)) == sorted(values)


#: Choices that no caller meets, or meets elsewhere: module, values, and why they need no table of their own.
NOT_A_FIELD: dict[tuple[str, frozenset[str]], str] = {
    ("sync.settings", frozenset({"sync", "withhold"})): "of FORWARDED_MESSAGES, in docs/settings.md",
    ("sync.domain.explanation", frozenset({"sync", "withhold"})): "the same setting",
    ("sync.domain.attachment_rule", frozenset({"file", "item", "reference"})): "what Graph says an attachment is",
    ("sync.domain.mail", frozenset({"file", "item", "reference"})): "what Graph says an attachment is",
    ("sync.domain.trouble", frozenset({"user", "administrator"})): "chooses the words of the settings page",
    (
        "sync.domain.retention",
        frozenset({"emptied", "attempts"}),
    ): "how far the daily removal has come, which nobody is told",
    ("sync.api.reference.operations.operation", frozenset({"get", "post", "put", "delete"})): "HTTP's methods",
    ("sync.api.reference.operations.operation", frozenset({"header", "path", "query"})): "where a parameter stands",
    ("sync.api.reference.operations.operation", frozenset({"key", "page", "anybody"})): "who may call a route",
    ("sync.api.reference.operations.operation", frozenset({"true", "false"})): "a yes or no of a query",
    ("sync.domain.sign_in", frozenset(set(sign_in.Step))): "how far a sign-in has come, which nobody is told",
    ("sync.domain.metrics", frozenset({"counter", "gauge", "histogram"})): "kinds of metrics, in infra/RUNBOOK.md",
    ("sync.settings", frozenset({"basic", "rich"})): "of NOTIFICATION_MODE, in docs/settings.md",
    ("sync.domain.readings", frozenset({"used"})): "of sync.notifications.data, in infra/RUNBOOK.md",
    (
        "sync.domain.encrypted_content",
        frozenset({"unproven", "undecryptable", "incomplete"}),
    ): "of sync.notifications.data, in infra/RUNBOOK.md",
    ("sync.domain.readings", frozenset({"change", "lifecycle"})): "of sync.notifications.…, in infra/RUNBOOK.md",
}


def test_no_choice_is_forgotten() -> None:
    """A new choice is documented, or part of one that is, or says in NOT_A_FIELD why it need not be."""
    documented = [values for _, _, values in VALUES]
    unknown = {(module, values) for module, values in choices() if not any(values <= known for known in documented)}
    assert unknown - NOT_A_FIELD.keys() == set()
    assert NOT_A_FIELD.keys() <= unknown, "no longer needed, or documented by now"


@pytest.mark.parametrize("document", documents.guides(), ids=lambda d: d.name)
def test_no_document_names_an_event_that_does_not_exist(document: Path) -> None:
    """What looks like a type of event is one."""
    looks_like_one = {
        s for s in documents.code_spans(document) if re.fullmatch(r"(connection|message|webhook)\.[a-z_]+", s)
    }
    assert looks_like_one - literals(event.EventType) == set()


def test_every_code_we_know_of_graph_is_one_we_explain() -> None:
    """No code in the table is Graph's by its looks and unknown to the code that explains it."""
    graphs = {c for c in codes(table(ERRORS, "`code`", "Why an email was not sent"), "`code`") if c[0].isupper()}
    assert graphs == set(send_refusal._BY_CODE)


# Numbers in sentences.


def minutes(of: timedelta) -> int:
    """In whole minutes."""
    return int(of.total_seconds() // 60)


def spoken(of: timedelta) -> str:
    """`5 s`, `30 min`, `14 h`."""
    seconds = int(of.total_seconds())
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min" if seconds < 3600 else f"{seconds // 3600} h"


WORDS = {5: "five", 10: "ten"}
DELAYS = [spoken(delay) for delay in retry.DELIVERY_DELAYS]
#: document, what it says, with its numbers as the code has them.
SAID: list[tuple[Path, str]] = [
    (SETTINGS, f"default `{settings.GRAPH}`"),
    (SETTINGS, f"default `{settings.AUTHORITY}`"),
    (
        SETTINGS,
        f"{minutes(subscription.MIN_LIFETIME)} to {minutes(subscription.MAX_LIFETIME):,}, "
        f"default {settings.DEFAULT_SUBSCRIPTION_MINUTES:,}; with rich notifications {minutes(subscription.MIN_LIFETIME)} "
        f"to {minutes(subscription.RICH_MAX_LIFETIME):,}, default {settings.DEFAULT_RICH_SUBSCRIPTION_MINUTES:,}",
    ),
    (SETTINGS, f"in a minute, default {pace.PER_MINUTE},"),
    (SETTINGS, f"1 to {settings.MAX_RETENTION_DAYS:,}: older mail"),
    (SETTINGS, f"RSA, {certificate.MIN_KEY_BITS:,} to {certificate.MAX_KEY_BITS:,} bits"),
    (OPERATING, f"for more than {check.RENEW_CERTIFICATE_BEFORE.days} days"),
    (README, f"{attachment_rule.MAX_ATTACHMENT_BYTES >> 20} MiB = {attachment_rule.MAX_ATTACHMENT_BYTES:,} bytes"),
    (README, f"to `sign_in_url` within {WORDS[minutes(sign_in.LINK_LIFETIME)]} minutes"),
    (README, f"within {WORDS[minutes(sign_in.COMPLETION_LIFETIME)]} minutes. Only this call"),
    (README, f"Answer 2xx within {crm.TIMEOUT_S:.0f} s"),
    (README, f"and every {minutes(catch_up.EVERY)} minutes"),
    (EVENTS, f"Success is 2xx within {crm.TIMEOUT_S:.0f} s"),
    (EVENTS, f"tried {WORDS[len(DELAYS) + 1]} times"),
    (EVENTS, f"at once, then after {', '.join(DELAYS[:-1])} and {DELAYS[-1]} more"),
    (EVENTS, f"up to {body.MAX_EVENT_BODY_BYTES >> 10} KiB"),
    (EVENTS, f"keeps its attempts of the last {event.ATTEMPT_LIFE.days} days"),
    (
        OPERATING,
        f"once they say nothing · after {event.ATTEMPT_LIFE.days} days",
    ),
    (OPERATING, f"may take {WORDS[int(check.PATIENCE.total_seconds())]} seconds"),
    (EVENTS, f"take nothing for {webhook.GIVE_UP_AFTER.days} days"),
    (DOCS / "sending.md", f"up to {outgoing.MAX_BULK_RECIPIENTS:,}, taken over with one call"),
    (DOCS / "sending.md", f"(up to {outgoing.MAX_AHEAD.days} days ahead)"),
    (DOCS / "sending.md", f"A mailbox sends at most {pace.PER_MINUTE} a minute"),
    (API, f"at most `limit` (100, up to {requests.MAX_PAGE:,})"),
]


@pytest.mark.parametrize(("document", "said"), SAID, ids=[f"{d.stem}: {s}" for d, s in SAID])
def test_numbers_in_sentences_are_those_of_the_code(document: Path, said: str) -> None:
    """A limit that is changed is changed where people read of it."""
    assert said in " ".join(document.read_text().split())


def test_the_types_of_files_are_those_that_sync() -> None:
    """The README lists the extensions of the attachment rule."""
    conditions = [row["a file syncs if"].text for row in table(README, "else `reason`").rows]
    [types] = [words for words in conditions if "extension" in words]
    listed = re.findall(r"[a-z0-9]+", types.partition(" one of ")[2])
    assert sorted(listed) == sorted(attachment_rule.ALLOWED_EXTENSIONS)
