"""What is uncertain about Entra ID, or differs between tenants, as switches: an app has to survive every setting."""

from typing import Literal

from tests.cloud.controls import Control
from tests.cloud.entra.refusals import StepUpError


class Switches(Control, validate_assignment=True):
    """
    Where the real service's behaviour is uncertain or differs between tenants: an app has to survive each of them.

    strict_rotation: a refresh token that was used is refused from then on.
    admin_consent_answer: what an app is told about a person whose tenant wants an administrator's consent: an OAuth
        error with the AADSTS number in its description, or `cancel`, as users report: `access_denied` with
        `error_subcode=cancel` and not a word about administrators.
    admin_consent_number: 90094, or 90095 where the tenant takes requests for approval.
    admin_decline_answer: what an app is told when the administrator declines; the documentation has all three.
    earlier_consents_in_scope: an answer's `scope` (and the token) holds what was consented to before, too.
    scopes_as_uri: Graph's scopes come back as `https://graph.microsoft.com/Mail.Read`.
    mfa_answer, conditional_access_answer: the error of a refresh that is refused until the person has signed in with the
        `claims` beside it; published answers of the real service have both.
    long_cae_tokens: CAE tokens live 28 hours, the longest documented, and say when to refresh them; off, an hour.
    """

    strict_rotation: bool = False
    admin_consent_answer: Literal["access_denied", "consent_required", "interaction_required", "cancel"] = (
        "access_denied"
    )
    admin_consent_number: Literal[90094, 90095] = 90094
    admin_decline_answer: Literal["access_denied", "consent_required", "permission_denied"] = "access_denied"
    earlier_consents_in_scope: bool = False
    scopes_as_uri: bool = False
    mfa_answer: StepUpError = "interaction_required"
    conditional_access_answer: StepUpError = "invalid_grant"
    long_cae_tokens: bool = False
