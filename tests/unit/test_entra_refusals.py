"""What each refusal of Microsoft's token endpoint means, and who has to do something about it."""

from typing import Any

import pytest

from sync.adapters.entra_refusals import refusal
from sync.domain.errors import Declined, OperatorAlarm, ReconnectNeeded, Unclear

USER, OPERATOR, NOBODY = ReconnectNeeded, OperatorAlarm, Unclear

CASES: list[tuple[str, int | None, type[Exception]]] = [
    # The sign-in is over: revoked, inactive, password, account, verification, policy, consent.
    ("invalid_grant", 50173, USER),
    ("invalid_grant", 700082, USER),
    ("invalid_grant", 70008, USER),
    ("invalid_grant", 70043, USER),
    ("invalid_grant", 70000, USER),
    ("invalid_grant", 50055, USER),
    ("invalid_grant", 50057, USER),
    ("invalid_grant", 50034, USER),
    ("invalid_grant", 53003, USER),
    ("invalid_grant", 65001, USER),
    ("interaction_required", 50076, USER),
    ("interaction_required", 50158, USER),
    ("consent_required", 65001, USER),
    ("consent_required", 90094, USER),
    ("login_required", None, USER),
    ("access_denied", 53003, USER),
    # A number nobody here knows, or none: the error alone decides.
    ("invalid_grant", 999999, USER),
    ("invalid_grant", None, USER),
    # Our registration, by the error.
    ("invalid_client", 7000215, OPERATOR),
    ("invalid_client", 7000222, OPERATOR),
    ("invalid_client", 7000218, OPERATOR),
    ("invalid_client", 700027, OPERATOR),
    ("invalid_client", None, OPERATOR),
    ("unauthorized_client", 700016, OPERATOR),
    ("unauthorized_client", 7000112, OPERATOR),
    ("unauthorized_client", 70001, OPERATOR),
    ("invalid_request", 50194, OPERATOR),
    ("invalid_request", 900144, OPERATOR),
    ("invalid_scope", 70011, OPERATOR),
    ("invalid_resource", 50001, OPERATOR),
    ("unsupported_grant_type", 70003, OPERATOR),
    # Our registration, by the number, though the error speaks of the user.
    ("invalid_grant", 700016, OPERATOR),
    ("invalid_grant", 700011, OPERATOR),
    ("invalid_grant", 7000112, OPERATOR),
    ("invalid_grant", 70001, OPERATOR),
    ("invalid_grant", 7000215, OPERATOR),
    ("invalid_grant", 7000222, OPERATOR),
    ("invalid_grant", 7000218, OPERATOR),
    ("invalid_grant", 700024, OPERATOR),
    ("invalid_grant", 700025, OPERATOR),
    ("invalid_grant", 700027, OPERATOR),
    ("invalid_grant", 700213, OPERATOR),
    ("interaction_required", 50194, OPERATOR),
    # It passes.
    ("temporarily_unavailable", 90033, NOBODY),
    ("temporarily_unavailable", None, NOBODY),
    ("server_error", 90036, NOBODY),
    ("invalid_grant", 90033, NOBODY),
    ("invalid_grant", 90024, NOBODY),
    ("invalid_grant", 90055, NOBODY),
    ("invalid_grant", 50196, NOBODY),
    ("invalid_request", 90006, NOBODY),
    # What nobody has ever seen is no reason to stop a connection.
    ("something_new", 1, NOBODY),
]


@pytest.mark.parametrize(("error", "number", "meant"), CASES)
def test_who_has_to_do_something_about_a_refused_refresh(
    error: str, number: int | None, meant: type[Exception]
) -> None:
    """The user only where a new sign-in helps; and the log has both the error and the number."""
    raised = refusal(answer(error, number), signing_in=False)
    assert type(raised) is meant
    said = f"{raised} {getattr(raised, 'cause', '')}"
    assert error in said
    assert number is None or f"AADSTS{number}" in said


@pytest.mark.parametrize(("error", "number", "meant"), CASES)
def test_a_refused_code_is_declined_where_a_refused_refresh_needs_the_user(
    error: str, number: int | None, meant: type[Exception]
) -> None:
    """There is nothing to reconnect yet; all else is the same."""
    raised = refusal(answer(error, number), signing_in=True)
    assert type(raised) is (Declined if meant is USER else meant)


def test_several_numbers_are_looked_at_each() -> None:
    """In any order."""
    for numbers in ([70000, 90033], [90033, 70000]):
        assert type(refusal({"error": "invalid_grant", "error_codes": numbers}, signing_in=False)) is Unclear
    broken = refusal({"error": "invalid_grant", "error_codes": [70000, 7000222]}, signing_in=False)
    assert type(broken) is OperatorAlarm


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"error": "invalid_grant", "error_codes": [50055]}, "password_expired"),
        ({"error": "invalid_grant", "suberror": "consent_required"}, "consent_withdrawn"),
        ({"error": "interaction_required"}, "verification_required"),
        ({"error": "invalid_grant", "suberror": None, "error_codes": None}, "sign_in_refused"),
    ],
)
def test_the_reason_for_people_is_read_from_number_suberror_and_error(result: dict[str, Any], reason: str) -> None:
    """The words for it are those of domain/trouble.py."""
    raised = refusal(result, signing_in=False)
    assert isinstance(raised, ReconnectNeeded)
    assert raised.reason == reason


def test_the_claims_of_the_refusal_come_before_those_that_were_asked_for() -> None:
    """The next sign-in brings what Microsoft said last; where it said nothing, what Graph had asked for; else nothing."""
    for told, asked, expected in (("theirs", "ours", "theirs"), (None, "ours", "ours"), ("", "", "")):
        raised = refusal({"error": "interaction_required", "claims": told}, signing_in=False, claims=asked)
        assert isinstance(raised, ReconnectNeeded)
        assert raised.claims == expected


def test_an_alarm_tells_the_operator_where_to_look() -> None:
    """At our own registration, or at the one organisation that shut us out."""
    text = str(refusal(answer("invalid_client", 7000222), signing_in=False))
    assert "ENTRA_CLIENT_ID" in text
    assert "AADSTS7000222" in text
    assert "one organisation" in text


def answer(error: str, number: int | None) -> dict[str, Any]:
    """The token endpoint's JSON, as far as it is read."""
    return {"error": error, "error_codes": [number]} if number is not None else {"error": error}
