"""Bearer tokens and scopes, as Graph checks them (https://learn.microsoft.com/graph/permissions-reference)."""

from aiohttp import web

from tests.cloud.clock import Clock
from tests.cloud.directory import AccessToken, Directory, Person
from tests.cloud.graph.errors import GraphError


def authenticate(request: web.Request, directory: Directory, clock: Clock) -> tuple[Person, AccessToken]:
    """Who calls, from the `Authorization` header; raises 401 `InvalidAuthenticationToken`."""
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
    return person, token


def require_scope(token: AccessToken, *any_of: str) -> None:
    """Raise 403 unless the token holds at least one of these scopes (`Mail.Read`, …)."""
    if not token.scopes & {scope.lower() for scope in any_of}:
        raise GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
