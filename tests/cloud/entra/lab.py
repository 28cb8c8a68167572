"""
The controls under `/_lab`: what a test, or a person with curl, can do to the emulator. None of it exists in Entra ID.
Those that make things fail are in `lab_troubles.py`.

Bodies and answers are JSON. What is wrong with a request is 400 (or 404 for an unknown person) with `{"error": "…"}`,
and where a field is wrong `wrong` beside it.
"""

from dataclasses import asdict
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

from aiohttp import web
from pydantic import Field

from tests.cloud.controls import Control, read_control
from tests.cloud.directory import OUTLOOK_CLIENT_ID, MailboxState, Person
from tests.cloud.entra.admin_consent import AdminConsent
from tests.cloud.entra.authorize import SignIn, ToldToApp
from tests.cloud.entra.authorize_request import Answer
from tests.cloud.entra.scopes import parse_scopes
from tests.cloud.entra.state import EntraState
from tests.cloud.entra.switches import Switches


class LabError(Exception):
    """The control was not used as it is meant to be. `status` is the HTTP status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


Address = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]
Decision = Literal["accept", "decline"]


class NewUser(Control):
    """
    A person. `admin_consent_required`: only an administrator may let an app at their mailbox.

    `code`, if not empty, is what their sign-in asks for. `mailbox`: whether Graph has mail of theirs.
    """

    email: Address
    name: str
    aliases: list[Address] = Field(default_factory=list)
    admin_consent_required: bool = False
    code: Annotated[str, Field(pattern=r"^(\d{4,8})?$")] = ""
    mailbox: MailboxState = "active"


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


def person_at(state: EntraState, email: str) -> Person:
    """The person with this address; raises a 404 where nobody has it."""
    person = state.directory.by_email(email)
    if person is None:
        raise LabError(f"Nobody here has the address {email}.", 404)
    return person


class Lab:
    """Every control, one method each."""

    def __init__(self, state: EntraState, sign_in: SignIn, admin_consent: AdminConsent) -> None:
        self._state = state
        self._sign_in = sign_in
        self._admin_consent = admin_consent

    async def add_user(self, request: web.Request) -> web.Response:
        """`{email, name, aliases?, admin_consent_required?, code?, mailbox?}`: 201 the person; one who exists is replaced."""
        new = await read_control(request, NewUser)
        person = self._state.directory.add(
            new.email,
            new.name,
            new.aliases,
            admin_consent_required=new.admin_consent_required,
            code=new.code,
            mailbox=new.mailbox,
        )
        return web.json_response(asdict(person), status=201)

    async def users(self, request: web.Request) -> web.Response:
        """Everyone, in the order they were added."""
        return web.json_response([asdict(person) for person in self._state.directory.everyone()])

    async def sign_in(self, request: web.Request) -> web.Response:
        """
        `{authorize_url, email, decision}`: as if that person had clicked through, and typed their code; `{redirect_url, form?}`.
        """
        body = await read_control(request, SignInAs)
        tenant, query = self._split(body.authorize_url, "/oauth2/v2.0/authorize")
        person = person_at(self._state, body.email)
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
        person = person_at(self._state, body.email)
        asked = self._admin_consent.read(tenant, query)
        return _answer(self._admin_consent.outcome(asked, person.tenant_id, accepted=body.decision == "accept"))

    async def token(self, request: web.Request) -> web.Response:
        """`{email, scope}`: `{access_token}` for Graph, as if that person used Outlook."""
        body = await read_control(request, TokenFor)
        scopes = parse_scopes(body.scope)
        person = person_at(self._state, body.email)
        token = self._state.directory.issue_token(person, frozenset(scopes.graph), OUTLOOK_CLIENT_ID)
        return web.json_response({"access_token": token.value})

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
