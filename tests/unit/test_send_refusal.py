"""Outlook's refusals in plain words: each that we know says what to do, and none is lost that we do not know."""

import pytest

from sync.domain.send_refusal import explained

CASES = [
    ("ErrorSendAsDenied", 403, "sender address", "right to send"),
    ("ErrorAccountSuspend", 403, "blocked", "unblock"),
    ("ErrorMessageSubmissionBlocked", 403, "blocked", "unblock"),
    ("ErrorQuotaExceeded", 507, "full", "Delete or archive"),
    ("ErrorQuotaExceeded", 403, "full", "Delete or archive"),
    ("ErrorMailboxStoreFull", 400, "full", "Delete or archive"),
    ("UnknownError", 507, "full", "Delete or archive"),
    ("ErrorSubmissionQuotaExceeded", 403, "as much as", "Wait"),
    ("ErrorExceededMessageLimit", 400, "as much as", "Wait"),
    ("ErrorMessageSizeExceeded", 413, "larger", "smaller files"),
    ("UnknownError", 413, "larger", "smaller files"),
    ("ErrorInvalidRecipients", 400, "recipients", "Check the addresses"),
    ("ErrorAccessDenied", 403, "did not allow", "administrator"),
    ("UnknownError", 423, "locked", "unlock"),
]


@pytest.mark.parametrize(("code", "status", "happened", "advice"), CASES)
def test_a_known_refusal_says_what_happened_and_what_to_do(code: str, status: int, happened: str, advice: str) -> None:
    """By Graph's code, whatever the status; by the status, where the code says nothing."""
    refused = explained(code, status, "GraphSpeak.")
    assert happened in refused.detail
    assert advice in refused.what_to_do
    assert "GraphSpeak" not in refused.detail


@pytest.mark.parametrize(("code", "status"), [("ErrorSomethingNew", 400), ("UnknownError", 403), ("", 0)])
def test_an_unknown_refusal_keeps_outlooks_words(code: str, status: int) -> None:
    """Better than words of ours that may be wrong; nothing is advised then."""
    assert explained(code, status, "The moon is full.") == ("Outlook refused the email: The moon is full.", "")
