"""
The controls under `/_lab` that make things fail: for one person, for an app, or for whoever calls next.

Nothing here exists in Entra ID. Bodies, answers and errors are as in `lab.py`.
"""

from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field

from tests.cloud.claims import as_parameter
from tests.cloud.controls import Control, read_control
from tests.cloud.entra.clients import SecretState
from tests.cloud.entra.errors import EntraError
from tests.cloud.entra.lab import person_at
from tests.cloud.entra.refusals import Refusal
from tests.cloud.entra.state import EntraState, PlannedTokenError


class TroubleFor(Control):
    """Why this person's refreshes are refused from now on; `none` makes them healthy again."""

    email: str
    kind: Literal[Refusal, "none"]


class Revoke(Control):
    """Refresh tokens die; with `access_tokens` those too, as under continuous access evaluation."""

    email: str
    access_tokens: bool = False


class ClientSecret(Control):
    """What has become of the registered secret of the app `client_id`, or of every app."""

    state: SecretState
    client_id: str | None = None


class TokenError(Control):
    """
    What the next `times` token calls fail with, of any grant or of `grant_type`.

    `status` is 401 for invalid_client and 400 for all else unless given; `retry_after` is in seconds.
    """

    error: str
    error_codes: Annotated[list[int], Field(min_length=1, max_length=1)]
    times: Annotated[int, Field(ge=1)]
    suberror: str | None = None
    claims: str | None = None
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    retry_after: int | None = None
    grant_type: Literal["authorization_code", "refresh_token"] | None = None


class LabTroubles:
    """Every control, one method each."""

    def __init__(self, state: EntraState) -> None:
        self._state = state

    async def trouble(self, request: web.Request) -> web.Response:
        """
        `{email, kind}`: that person's refreshes are refused so (refusals.py), until what heals it (troubles.py) or `none`.

        `{kind, claims}`; `claims` is the parameter that an authorize request must carry to heal it, null where none is needed.
        """
        body = await read_control(request, TroubleFor)
        person = person_at(self._state, body.email)
        wanted = None
        if body.kind == "none":
            self._state.troubles.end(person)
        else:
            wanted = self._state.troubles.begin(person, body.kind)
        return web.json_response({"kind": body.kind, "claims": as_parameter(wanted) if wanted else None})

    async def revoke(self, request: web.Request) -> web.Response:
        """
        `{email, access_tokens?}`: every refresh token of that person dies (50173), with `access_tokens` those too.

        `{refresh_tokens}` says how many there were.
        """
        body = await read_control(request, Revoke)
        person = person_at(self._state, body.email)
        revoked = self._state.grants.end(person.oid, "revoked")
        if body.access_tokens:
            self._state.directory.revoke_tokens(person.oid)
        return web.json_response({"refresh_tokens": revoked})

    async def client_secret(self, request: web.Request) -> web.Response:
        """`{state: good|wrong|expired, client_id?}`: every call with that secret is refused (7000215, 7000222), or not."""
        body = await read_control(request, ClientSecret)
        self._state.clients.set_secret(body.state, body.client_id)
        return web.json_response({"state": body.state})

    async def token_error(self, request: web.Request) -> web.Response:
        """`{error, error_codes, suberror?, claims?, status?, retry_after?, grant_type?, times}`: the next token calls fail so."""
        body = await read_control(request, TokenError)
        error = EntraError(
            body.error,
            body.error_codes[0],
            "This failure was planned by a test.",
            status=body.status or (401 if body.error == "invalid_client" else 400),
            suberror=body.suberror,
            claims=body.claims,
        )
        planned = PlannedTokenError(error, body.times, body.grant_type, body.retry_after)
        self._state.planned_errors.append(planned)
        return web.json_response({"planned": len(self._state.planned_errors)}, status=201)
