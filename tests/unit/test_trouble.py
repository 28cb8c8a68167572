"""Why Microsoft no longer lets us in: which words a person reads."""

from typing import get_args

import pytest

from sync.domain.trouble import TROUBLES, Reason, maybe_without_consent, reason_of, without_mailbox

#: (error, suberror, numbers) of the token endpoint, and what that means.
REFUSALS: list[tuple[str, str, tuple[int, ...], Reason]] = [
    ("invalid_grant", "", (50173,), "sign_in_expired"),
    ("invalid_grant", "", (700082,), "sign_in_expired"),
    ("invalid_grant", "", (70043,), "sign_in_expired"),
    ("invalid_grant", "bad_token", (), "sign_in_expired"),
    ("invalid_grant", "token_expired", (), "sign_in_expired"),
    ("login_required", "", (), "sign_in_expired"),
    ("invalid_grant", "", (50055,), "password_expired"),
    ("invalid_grant", "user_password_expired", (), "password_expired"),
    ("invalid_grant", "", (50057,), "account_disabled"),
    ("invalid_grant", "", (50034,), "account_disabled"),
    ("interaction_required", "", (50076,), "verification_required"),
    ("interaction_required", "", (50079,), "verification_required"),
    ("interaction_required", "basic_action", (), "verification_required"),
    ("interaction_required", "", (), "verification_required"),
    ("interaction_required", "", (53003,), "blocked_by_policy"),
    ("invalid_grant", "", (53000,), "blocked_by_policy"),
    ("invalid_grant", "consent_required", (65001,), "consent_withdrawn"),
    ("consent_required", "", (), "consent_withdrawn"),
    ("invalid_grant", "", (90094,), "admin_consent_required"),
    ("invalid_grant", "", (90095,), "admin_consent_required"),
    # A number decides before a suberror, and the first one known before the others.
    ("interaction_required", "basic_action", (53001,), "blocked_by_policy"),
    ("invalid_grant", "", (12345, 50057), "account_disabled"),
    # What nobody knows yet gets the general words.
    ("invalid_grant", "", (), "sign_in_refused"),
    ("invalid_grant", "something_new", (999999,), "sign_in_refused"),
    ("something_new", "", (), "sign_in_refused"),
]


@pytest.mark.parametrize(("error", "suberror", "numbers", "reason"), REFUSALS)
def test_a_refusal_of_the_token_endpoint(error: str, suberror: str, numbers: tuple[int, ...], reason: Reason) -> None:
    """By number, else by suberror, else by error."""
    assert reason_of(error, suberror, numbers) == reason


@pytest.mark.parametrize(
    ("status", "code", "no_mailbox", "maybe_no_consent"),
    [
        (404, "MailboxNotEnabledForRESTAPI", True, False),
        (403, "MailboxNotEnabledForRESTAPI", True, False),
        (404, "ErrorNonExistentMailbox", True, False),
        (403, "ErrorAccessDenied", False, True),
        (403, "Authorization_RequestDenied", False, True),
        (403, "ErrorSendAsDenied", False, False),
        (403, "ErrorAccountSuspend", False, False),
        (404, "ErrorItemNotFound", False, False),
        (404, "ErrorAccessDenied", False, False),
        (409, "Conflict", False, False),
    ],
)
def test_a_refusal_of_graph(status: int, code: str, no_mailbox: bool, maybe_no_consent: bool) -> None:
    """What concerns the whole mailbox, for sure or perhaps; one message or one send that is refused does not."""
    assert without_mailbox(code) is no_mailbox
    assert maybe_without_consent(status, code) is maybe_no_consent


def test_every_reason_has_words() -> None:
    """A cause and what to do, in whole sentences, without codes; who has to do it is said where it is not the user alone."""
    assert set(TROUBLES) == set(get_args(Reason))
    for trouble in TROUBLES.values():
        for words in (trouble.cause, trouble.what_to_do):
            assert words[0].isupper()
            assert words.endswith(".")
            assert "AADSTS" not in words
        assert ("dministrator" in trouble.what_to_do) is (trouble.by == "administrator")
