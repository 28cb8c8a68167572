"""
What a refusal of Microsoft's token endpoint means, by who can do something about it: the user, the operator, or time alone.

`error` decides, as Microsoft asks, since it is the numbers that change
(https://learn.microsoft.com/entra/identity-platform/reference-error-codes). But `invalid_grant` is also said of an app
whose registration is broken and of a directory that is down, where a new sign-in helps nobody. Those numbers are listed here:
they only ever keep a user from being sent to sign in in vain, and one that is missing costs no more than that.
"""

from collections.abc import Mapping
from typing import Any

from sync.domain.errors import Declined, OperatorAlarm, OutsideError, ReconnectNeeded, Unclear
from sync.domain.trouble import reason_of

#: The app's own registration is broken
#: (https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#error-codes-for-token-endpoint-errors).
_OUR_FAULT = frozenset(
    (
        "invalid_client",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "invalid_request",
        "invalid_resource",
    )
)
#: The same by number: not known (700011, 700016), disabled (70001, 7000112), secret missing, wrong or expired (7000218,
#: 7000215, 7000222), a public client (700025), assertion, certificate or federated identity not accepted (700024, 700027, 700030,
#: 700211, 700212, 700213), not for several organisations (50194).
_OUR_FAULT_NUMBERS = frozenset(
    (
        *(700011, 700016, 70001, 7000112),
        *(7000218, 7000215, 7000222, 700025),
        *(700024, 700027, 700030, 700211, 700212, 700213),
        50194,
    )
)
#: Retryable errors of Microsoft's own services (50033, 50087, 90006, 90012, 90024, 90033, 90090, 90091) and too many calls
#: (50196, 90055).
_PASSING_NUMBERS = frozenset((50033, 50087, 90006, 90012, 90024, 90033, 90090, 90091, 50196, 90055))
_USER_MUST_SIGN_IN = frozenset(
    ("invalid_grant", "interaction_required", "consent_required", "login_required", "access_denied")
)


def refusal(result: Mapping[str, Any], *, signing_in: bool, claims: str = "") -> OutsideError | OperatorAlarm:
    """
    The error to raise for what MSAL returned instead of a token.

    Args:
        result: the token endpoint's JSON: `error`, `suberror`, `error_codes`, `claims`.

        signing_in: a code was redeemed, so that there is nothing to reconnect yet.

        claims: what the token was asked for with (JSON); if Microsoft names no others, the next sign-in has to bring these.
    """
    error = str(result.get("error", "unknown"))
    numbers = list(result.get("error_codes") or [])
    cause = " ".join((error, ",".join(f"AADSTS{number}" for number in numbers))).strip()
    if not _PASSING_NUMBERS.isdisjoint(numbers):
        return Unclear(f"Microsoft's sign-in answered {cause}")
    if error in _OUR_FAULT or not _OUR_FAULT_NUMBERS.isdisjoint(numbers):
        return OperatorAlarm(
            f"Microsoft refuses this application ({cause}). Check ENTRA_CLIENT_ID and its credential;"
            " if one organisation alone is refused, its administrator has removed or disabled the application."
        )
    if error not in _USER_MUST_SIGN_IN:
        return Unclear(f"Microsoft's sign-in answered {cause}")
    if signing_in:
        return Declined("Microsoft refused the sign-in.", code=cause, status=400)
    return ReconnectNeeded(
        cause=cause,
        reason=reason_of(error, str(result.get("suberror") or ""), numbers),
        claims=str(result.get("claims") or claims),
    )
