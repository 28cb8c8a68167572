"""
Why a refresh is refused, and what the app is told then.

    kind                 AADSTS   error                  suberror                claims
    revoked              50173    invalid_grant          bad_token               an administrator or the person ended it
    expired              700082   invalid_grant          token_expired           90 days without use
    password_expired     50055    invalid_grant          user_password_expired
    account_disabled     50057    invalid_grant
    conditional_access   53003    invalid_grant          message_only            capolids: the policies that refuse
    mfa                  50076    interaction_required   basic_action            capolids
    consent_withdrawn    65001    invalid_grant          consent_required

Fidelity. Imitated: numbers (https://learn.microsoft.com/entra/identity-platform/reference-error-codes), suberrors
(https://learn.microsoft.com/entra/msal/dotnet/advanced/exceptions/msal-error-handling and MSAL for Python's oauth2cli), and
`claims` as answers of the real service that people published have it. Uncertain (?): the `error` of mfa and
conditional_access, reported as either, see `Switches`; whether account_disabled has a suberror (here none). Not imitated: the
other numbers for the same reasons, Microsoft's wording.
"""

import uuid
from typing import Literal

from tests.cloud.claims import Claims, as_parameter
from tests.cloud.entra.errors import EntraError

Refusal = Literal[
    "revoked", "expired", "password_expired", "account_disabled", "conditional_access", "mfa", "consent_withdrawn"
]
#: Refusals that carry `claims`, which only the person can satisfy, by signing in with them.
SteppedUp = Literal["conditional_access", "mfa"]
#: The two errors that the real service uses for a refusal with `claims`.
StepUpError = Literal["interaction_required", "invalid_grant"]


def invalid_grant(number: int, message: str, suberror: str | None = None) -> EntraError:
    """The code or refresh token cannot be used."""
    return EntraError("invalid_grant", number, message, suberror=suberror)


def grant_revoked() -> EntraError:
    """Somebody has ended this sign-in."""
    return invalid_grant(50173, "The provided grant has expired due to it being revoked.", "bad_token")


def grant_expired() -> EntraError:
    """Nobody has used the refresh token for too long."""
    return invalid_grant(700082, "The refresh token has expired due to inactivity.", "token_expired")


def password_expired() -> EntraError:
    """The person has to choose another password."""
    return invalid_grant(50055, "The password is expired.", "user_password_expired")


def account_disabled() -> EntraError:
    """An administrator has closed the account: no refresh, and no sign-in either."""
    return invalid_grant(50057, "The user account is disabled.")


def not_consented(app_name: str, scopes: list[str]) -> EntraError:
    """Nobody has agreed to these scopes, or does so no longer."""
    message = f"The user or administrator has not consented to {', '.join(scopes)} for '{app_name}'."
    return invalid_grant(65001, message, "consent_required")


def policy_of_its_own() -> Claims:
    """The claims by which a new Conditional Access policy is asked for."""
    return {"capolids": {"essential": True, "values": [str(uuid.uuid4())]}}


def stepped_up(kind: SteppedUp, error: StepUpError, wanted: Claims) -> EntraError:
    """A policy refuses until the person signs in with the `wanted` claims."""
    if kind == "mfa":
        message = "Due to a change made by your administrator, you must use multi-factor authentication."
        return EntraError(error, 50076, message, suberror="basic_action", claims=as_parameter(wanted))
    message = "Access has been blocked by Conditional Access policies."
    return EntraError(error, 53003, message, suberror="message_only", claims=as_parameter(wanted))


def sign_in_again(error: StepUpError, wanted: Claims) -> EntraError:
    """Graph's claims challenge takes the person: a refresh cannot answer it."""
    message = "Presented multifactor authentication has expired due to policies configured by your administrator."
    return EntraError(error, 50078, message, suberror="basic_action", claims=as_parameter(wanted))
