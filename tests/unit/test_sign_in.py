"""A sign-in's steps, and the checks that keep it one person's from the first click to the connection."""

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.errors import CompletionCodeExpired, CompletionCodeUnknown, SignInLinkUnusable, SyncError
from sync.domain.sign_in import (
    SignIn,
    Step,
    check_callback,
    check_completion,
    check_open,
    fingerprint,
    matches,
    refused_because,
    sign_in_id_of,
)
from tests.unit.sample_mail import NOW

TOKEN, BINDING, CODE = "s1.token", "binding", "s1.code"
SIGN_IN = SignIn(
    sign_in_id="s1",
    account_id="acme",
    user_id="anna",
    return_url="https://crm.example/settings",
    expected_email="",
    step=Step.NEW,
    expires_at=NOW + timedelta(minutes=10),
    token_hash=fingerprint(TOKEN),
    binding_hash=fingerprint(BINDING),
    completion_hash=fingerprint(CODE),
)
MOMENT = timedelta(microseconds=1)
BEFORE_THE_END, AT_THE_END = SIGN_IN.expires_at - MOMENT, SIGN_IN.expires_at


def at(step: Step) -> SignIn:
    """The sign-in at this step."""
    return replace(SIGN_IN, step=step)


@pytest.mark.parametrize("step", Step)
def test_a_link_opens_until_a_callback_came(step: Step) -> None:
    """A link can be clicked twice, since mail scanners and people do; after the callback it is of no use."""
    if step in (Step.NEW, Step.OPENED):
        assert check_open(at(step), TOKEN, BEFORE_THE_END) == at(step)
    else:
        with pytest.raises(SignInLinkUnusable):
            check_open(at(step), TOKEN, BEFORE_THE_END)


@pytest.mark.parametrize(
    ("sign_in", "token", "now"),
    [
        (None, TOKEN, NOW),
        (SIGN_IN, "s1.other", NOW),
        (SIGN_IN, "", NOW),
        (SIGN_IN, TOKEN.upper(), NOW),
        (SIGN_IN, SIGN_IN.token_hash, NOW),
        (replace(SIGN_IN, token_hash=""), "", NOW),
        (SIGN_IN, TOKEN, AT_THE_END),
        (SIGN_IN, TOKEN, AT_THE_END + timedelta(days=1)),
    ],
)
def test_no_other_link_opens(sign_in: SignIn | None, token: str, now: datetime) -> None:
    """Neither a guess, nor the stored hash, nor an expired link opens a sign-in."""
    with pytest.raises(SignInLinkUnusable):
        check_open(sign_in, token, now)


@pytest.mark.parametrize("step", Step)
def test_a_callback_comes_once(step: Step) -> None:
    """Only an opened sign-in waits for Microsoft's answer; a second callback is refused."""
    if step is Step.OPENED:
        assert check_callback(at(step), BINDING) == at(step)
    else:
        with pytest.raises(SignInLinkUnusable):
            check_callback(at(step), BINDING)


@pytest.mark.parametrize(
    ("sign_in", "binding"),
    [
        (None, BINDING),
        (at(Step.OPENED), ""),
        (at(Step.OPENED), "another browser's"),
        (at(Step.OPENED), fingerprint(BINDING)),
        (replace(at(Step.OPENED), binding_hash=""), ""),
    ],
)
def test_a_callback_in_another_browser_is_refused(sign_in: SignIn | None, binding: str) -> None:
    """A link sent to somebody else does not attach their mailbox to the sender's account."""
    with pytest.raises(SignInLinkUnusable):
        check_callback(sign_in, binding)


COMPLETIONS: list[tuple[SignIn | None, str, str, str, datetime, type[SyncError] | None]] = [
    (at(Step.PARKED), "acme", "anna", CODE, NOW, None),
    (at(Step.PARKED), "acme", "anna", CODE, BEFORE_THE_END, None),
    (at(Step.PARKED), "acme", "anna", CODE, AT_THE_END, CompletionCodeExpired),
    (at(Step.ENDED), "acme", "anna", CODE, NOW, CompletionCodeExpired),
    # a repeated call gets its connection, however late
    (at(Step.REDEEMED), "acme", "anna", CODE, NOW, None),
    (at(Step.REDEEMED), "acme", "anna", CODE, AT_THE_END + timedelta(days=1), None),
    # another user's code looks like one that never was, at every step
    (None, "acme", "anna", CODE, NOW, CompletionCodeUnknown),
    (at(Step.PARKED), "acme", "ben", CODE, NOW, CompletionCodeUnknown),
    (at(Step.PARKED), "other", "anna", CODE, NOW, CompletionCodeUnknown),
    (at(Step.PARKED), "ACME", "anna", CODE, NOW, CompletionCodeUnknown),
    (at(Step.PARKED), "acme", "ben", CODE, AT_THE_END, CompletionCodeUnknown),
    (at(Step.ENDED), "other", "anna", CODE, NOW, CompletionCodeUnknown),
    (at(Step.REDEEMED), "acme", "ben", CODE, NOW, CompletionCodeUnknown),
    # codes that are none
    (at(Step.PARKED), "acme", "anna", "s1.other", NOW, CompletionCodeUnknown),
    (at(Step.PARKED), "acme", "anna", "", NOW, CompletionCodeUnknown),
    (at(Step.PARKED), "acme", "anna", SIGN_IN.completion_hash, NOW, CompletionCodeUnknown),
    (replace(at(Step.OPENED), completion_hash=""), "acme", "anna", "", NOW, CompletionCodeUnknown),
]


@pytest.mark.parametrize(("sign_in", "account_id", "user_id", "code", "now", "refusal"), COMPLETIONS)
def test_who_may_complete(
    sign_in: SignIn | None, account_id: str, user_id: str, code: str, now: datetime, refusal: type[SyncError] | None
) -> None:
    """Only the user of the CRM who began a sign-in can complete it, in time."""
    if refusal is None:
        assert check_completion(sign_in, account_id, user_id, code, now) == sign_in
    else:
        with pytest.raises(refusal):
            check_completion(sign_in, account_id, user_id, code, now)


@pytest.mark.parametrize(
    ("handle", "sign_in_id"),
    [
        ("abc123.secret", "abc123"),
        ("abc.secret.with.dots", "abc"),
        ("a" * 64 + ".s", "a" * 64),
        ("a" * 65 + ".s", ""),
        ("", ""),
        ("abc", ""),
        ("abc.", ""),
        (".secret", ""),
        (".", ""),
        ("a-b.secret", ""),
        ("a/b.secret", ""),
        ("a'b.secret", ""),
        ("é.secret", ""),
        ("٣.secret", ""),
        (" a.secret", ""),
        ("a\0.secret", ""),
    ],
)
def test_the_id_in_a_handle(handle: str, sign_in_id: str) -> None:
    """An id becomes a row key, so nothing but plain letters and digits gets through."""
    assert sign_in_id_of(handle) == sign_in_id


@given(st.text())
def test_any_handle_gives_an_id_or_nothing(handle: str) -> None:
    """What a browser sends is never more than a plain id."""
    found = sign_in_id_of(handle)
    assert found == "" or (found.isascii() and found.isalnum() and handle.startswith(found + "."))


@given(st.text(), st.text())
def test_a_secret_matches_its_own_fingerprint_alone(secret: str, other: str) -> None:
    """Equal secrets match, others do not, and nothing matches what was never stored."""
    assert matches(secret, fingerprint(secret))
    assert matches(other, fingerprint(secret)) is (other == secret)
    assert not matches(secret, "")


def test_what_is_stored_of_a_secret() -> None:
    """A SHA-256: the secret can't be read back from a row, and rows of today are understood tomorrow."""
    assert fingerprint("secret") == hashlib.sha256(b"secret").hexdigest()


ADMIN_NEEDED = "AADSTS90094: The grant requires admin permission."


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({"error": "access_denied", "error_subcode": "cancel"}, "declined"),
        ({"error": "access_denied", "error_description": "AADSTS65004: User declined to consent."}, "declined"),
        ({"error": "consent_required", "error_subcode": "cancel"}, "declined"),
        ({"error": "access_denied", "error_description": ADMIN_NEEDED}, "admin_consent_required"),
        ({"error": "invalid_client", "error_description": ADMIN_NEEDED}, "admin_consent_required"),
        ({"error": "access_denied", "error_description": "AADSTS90095: …"}, "admin_consent_required"),
        ({"error": "server_error", "error_description": "AADSTS50000: …"}, "failed"),
        ({"error": "temporarily_unavailable"}, "failed"),
        ({"error_description": "declined"}, "failed"),
        ({}, "failed"),
    ],
)
def test_why_there_is_no_code(answer: dict[str, str], outcome: str) -> None:
    """A person who said no is told apart from one who needs an administrator, and both from a failure."""
    assert refused_because(answer) == outcome
