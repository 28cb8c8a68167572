"""
Who calls Graph, whether they may, and whether they have a mailbox.

Imitated: bearer tokens and scopes (https://learn.microsoft.com/graph/permissions-reference); the claims challenge of
continuous access evaluation (https://learn.microsoft.com/entra/identity-platform/claims-challenge), its header and message as
Microsoft's SDKs have them in their tests; people without a mailbox in Exchange Online. Stricter than Graph: the real one lets
a token pass that was issued after the time in the challenge, here it must have been asked for with its claims. Not imitated:
the header on other 401s, challenges for other reasons, and in it this machine's sign-in address.
"""

import base64

from aiohttp import web

from tests.cloud.claims import Challenge, answers, as_parameter
from tests.cloud.clock import Clock
from tests.cloud.directory import AccessToken, Directory, Person
from tests.cloud.graph.errors import GraphError


def authenticate(request: web.Request, directory: Directory, clock: Clock) -> tuple[Person, AccessToken]:
    """Who calls, from the `Authorization` header; raises 401 `InvalidAuthenticationToken`, which can be a claims challenge."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not value:
        raise GraphError(401, "InvalidAuthenticationToken", "Access token is empty.")
    token = directory.token(value.strip())
    if token is None:
        raise GraphError(401, "InvalidAuthenticationToken", "Access token validation failure. Invalid audience.")
    if token.expires_at <= clock.now():
        raise GraphError(401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.")
    person = directory.by_oid(token.oid)
    if person is None:
        raise GraphError(401, "InvalidAuthenticationToken", "The user identity could not be found.")
    challenge = directory.challenge_of(token.oid)
    if challenge and token.cae and not answers(token.claims, challenge.claims):
        raise _claims_challenge(challenge)
    return person, token


def require_scope(token: AccessToken, *any_of: str) -> None:
    """Raise 403 unless the token holds at least one of these scopes (`Mail.Read`, …)."""
    if not token.scopes & {scope.lower() for scope in any_of}:
        raise GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")


def require_mailbox(person: Person) -> None:
    """Raise 404 where Exchange Online has no mailbox of this person's, or no longer."""
    if person.mailbox != "active":
        raise GraphError(
            404,
            "MailboxNotEnabledForRESTAPI",
            "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
        )


def _claims_challenge(challenge: Challenge) -> GraphError:
    reason = (
        "Continuous access evaluation resulted in challenge with result: InteractionRequired"
        " and code: TokenIssuedBeforeRevocationTimestamp"
    )
    claims = base64.b64encode(as_parameter(challenge.claims).encode()).decode()
    header = (
        'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize",'
        f' client_id="00000003-0000-0000-c000-000000000000", error_description="{reason}",'
        f' error="insufficient_claims", claims="{claims}"'
    )
    return GraphError(401, "InvalidAuthenticationToken", reason, {"WWW-Authenticate": header})
