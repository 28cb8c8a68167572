"""
The controls under `/_lab`: what a test, or a person with curl, can do to the emulator. None of it exists in Entra ID.

Bodies and answers are JSON. What is wrong with a request is 400 (or 404 for an unknown person) with `{"error": "…"}`,
and where a field is wrong `wrong` beside it.
"""

from dataclasses import asdict
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

from aiohttp import web
from pydantic import Field

from tests.cloud.controls import Control, read_control
from tests.cloud.directory import OUTLOOK_CLIENT_ID, Person
from tests.cloud.entra.admin_consent import AdminConsent
from tests.cloud.entra.authorize import SignIn, ToldToApp
from tests.cloud.entra.authorize_request import Answer
from tests.cloud.entra.errors import EntraError
from tests.cloud.entra.scopes import parse_scopes
from tests.cloud.entra.state import EntraState, PlannedTokenError, Switches


class LabError(Exception):
    """The control was not used as it is meant to be. `status` is the HTTP status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


Address = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]
Decision = Literal["accept", "decline"]


class NewUser(Control):
    """A person with a mailbox. `admin_consent_required`: only an administrator may let an app at it."""

    email: Address
    name: str
    aliases: list[Address] = Field(default_factory=list)
    admin_consent_required: bool = False


class SignInAs(Control):
    """Somebody at the page of `authorize_url`, and what they press there."""

    authorize_url: str
    email: str
    decision: Decision


class AdminConsentAs(Control):
    """Somebody at the page of `admin_consent_url` as their tenant's administrator, and what they press there."""

    admin_consent_url: str
    email: str
    decision: Decision


class TokenFor(Control):
    """A token of Outlook's own. `scope` is space-separated."""

    email: str
    scope: str


class Revoke(Control):
    """Refresh tokens die; with `access_tokens` those too, as under continuous access evaluation."""

    email: str
    access_tokens: bool = False


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


class Lab:
    """Every control, one method each."""

    def __init__(self, state: EntraState, sign_in: SignIn, admin_consent: AdminConsent) -> None:
        self._state = state
        self._sign_in = sign_in
        self._admin_consent = admin_consent

    async def add_user(self, request: web.Request) -> web.Response:
        """`{email, name, aliases?, admin_consent_required?}`: 201 the person; one who exists is updated."""
        new = await read_control(request, NewUser)
        person = self._state.directory.add(
            new.email, new.name, new.aliases, admin_consent_required=new.admin_consent_required
        )
        return web.json_response(asdict(person), status=201)

    async def users(self, request: web.Request) -> web.Response:
        """Everyone, in the order they were added."""
        return web.json_response([asdict(person) for person in self._state.directory.everyone()])

    async def sign_in(self, request: web.Request) -> web.Response:
        """`{authorize_url, email, decision}`: as if that person had clicked through; `{redirect_url, form?}`."""
        body = await read_control(request, SignInAs)
        tenant, query = self._split(body.authorize_url, "/oauth2/v2.0/authorize")
        person = self._person(body.email)
        try:
            asked = self._sign_in.read(tenant, query)
            person = self._sign_in.person(asked, person.email)
            answer = self._sign_in.outcome(asked, person, accepted=body.decision == "accept")
        except ToldToApp as told:
            raise LabError(str(told.reason)) from told
        return _answer(answer)

    async def admin_consent(self, request: web.Request) -> web.Response:
        """`{admin_consent_url, email, decision}`: as if that person were their tenant's administrator; `{redirect_url}`."""
        body = await read_control(request, AdminConsentAs)
        tenant, query = self._split(body.admin_consent_url, "/v2.0/adminconsent")
        person = self._person(body.email)
        asked = self._admin_consent.read(tenant, query)
        return _answer(self._admin_consent.outcome(asked, person.tenant_id, accepted=body.decision == "accept"))

    async def token(self, request: web.Request) -> web.Response:
        """`{email, scope}`: `{access_token}` for Graph, as if that person used Outlook."""
        body = await read_control(request, TokenFor)
        scopes = parse_scopes(body.scope)
        person = self._person(body.email)
        token = self._state.directory.issue_token(person, frozenset(scopes.graph), OUTLOOK_CLIENT_ID)
        return web.json_response({"access_token": token.value})

    async def revoke(self, request: web.Request) -> web.Response:
        """
        `{email, access_tokens?}`: every refresh token of that person dies (50173), with `access_tokens` those too.

        `{refresh_tokens}` says how many there were.
        """
        body = await read_control(request, Revoke)
        person = self._person(body.email)
        revoked = self._state.grants.revoke(person.oid)
        if body.access_tokens:
            self._state.directory.revoke_tokens(person.oid)
        return web.json_response({"refresh_tokens": revoked})

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

    async def switches(self, request: web.Request) -> web.Response:
        """How the switches are set."""
        return web.json_response(self._state.switches.model_dump())

    async def set_switches(self, request: web.Request) -> web.Response:
        """Any of the switches by name; the others stay. Answers with all of them."""
        wanted = await read_control(request, Switches)
        changes = {name: getattr(wanted, name) for name in wanted.model_fields_set}
        self._state.switches = self._state.switches.model_copy(update=changes)
        return web.json_response(self._state.switches.model_dump())

    async def requests(self, request: web.Request) -> web.Response:
        """Every request that was not a control, oldest first, without secrets."""
        return web.json_response([asdict(recorded) for recorded in self._state.requests])

    async def reset(self, request: web.Request) -> web.Response:
        """Forget everything but the registered apps."""
        self._state.reset()
        return web.Response(status=204)

    def _person(self, email: str) -> Person:
        person = self._state.directory.by_email(email)
        if person is None:
            raise LabError(f"Nobody here has the address {email}.", 404)
        return person

    def _split(self, url: str, endpoint: str) -> tuple[str, list[tuple[str, str]]]:
        """The tenant and the parameters of one of this emulator's addresses."""
        address, _, query = url.partition("?")
        tenant = address.removeprefix(self._state.url + "/").removesuffix(endpoint)
        if not tenant or "/" in tenant or address != f"{self._state.url}/{tenant}{endpoint}":
            raise LabError(f"{address} is not an address of this emulator: {self._state.url}/{{tenant}}{endpoint}?…")
        return tenant, parse_qsl(query, keep_blank_values=True)


def _answer(answer: Answer) -> web.Response:
    body: dict[str, Any] = {"redirect_url": answer.url}
    if answer.form is not None:
        body["form"] = answer.form
    return web.json_response(body)
