"""
The sign-in: who is it, what is their code, what does the app ask, accept or cancel.

Each page carries the authorize request with it and each step checks it anew, so that nothing is kept between them. That
somebody has signed in for a request, with their code if they have one, is carried as a proof that only this emulator can make.
`POST /_lab/sign-in` takes the same steps without the pages.

Fidelity. Imitated: choosing an account (with login_hint and domain_hint) or writing its address, a verification code, consent
once for each person and app, `prompt`, "Need admin approval", and what the app is told after each:
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow (code, state, client_info, session_state;
AADSTS65004 after Cancel; AADSTS90094 for an administrator). Not imitated: passwords and their change, other second factors,
how often one may guess, staying signed in. What an app is told when an administrator is needed is uncertain: see
`Switches.admin_consent_answer`.
"""

import hashlib
import hmac
import json
import secrets
import uuid
from collections.abc import Iterable
from urllib.parse import parse_qsl

from aiohttp import web

from tests.cloud.directory import Person
from tests.cloud.entra import pages
from tests.cloud.entra.authorize_request import Answer, AuthorizeRequest, read_destination, read_request
from tests.cloud.entra.discovery import tenant_of
from tests.cloud.entra.errors import EntraError, invalid_request, missing_parameter
from tests.cloud.entra.keys import base64url
from tests.cloud.entra.state import EntraState


class ToldToApp(Exception):
    """The request is refused and the app hears of it on the redirect: `answer`; `reason` is the same for people."""

    def __init__(self, answer: Answer, reason: EntraError) -> None:
        super().__init__(str(reason))
        self.answer = answer
        self.reason = reason


class SignIn:
    """`GET /{tenant}/oauth2/v2.0/authorize` and the pages behind it."""

    def __init__(self, state: EntraState) -> None:
        self._state = state
        self._proof_key = secrets.token_bytes(32)

    # The steps, without HTTP.

    def read(self, tenant: str, pairs: Iterable[tuple[str, str]]) -> AuthorizeRequest:
        """The request, checked. Raises `EntraError` for a page, `ToldToApp` for a redirect."""
        tenant_of(tenant, self._state.directory)
        query, app, destination = read_destination(pairs, self._state.clients)
        try:
            return read_request(tenant, query, app, destination)
        except EntraError as error:
            raise ToldToApp(destination.answer(error.as_parameters(self._state.clock.now())), error) from error

    def person(self, request: AuthorizeRequest, email: str | None) -> Person:
        """Who this is, if they may sign in at this authority."""
        if not email:
            raise missing_parameter("email")
        person = self._state.directory.by_email(email)
        if person is None:
            message = (
                f"The user account {email} does not exist in the directory. To sign in here, it must be added to it."
            )
            raise EntraError("invalid_request", 50034, message)
        if tenant_of(request.tenant, self._state.directory) not in {None, person.tenant_id}:
            raise EntraError("invalid_request", 50020, f"User account '{email}' does not exist in this tenant.")
        if refusal := self._state.troubles.refusal_of_anything(person):
            raise refusal
        return person

    def needs_administrator(self, request: AuthorizeRequest, person: Person) -> bool:
        """Whether this person may not agree to what is asked, and no administrator has."""
        agreed = self._state.grants.tenant_consented(person, request.app.client_id)
        return person.admin_consent_required and not agreed.issuperset(request.scopes.graph)

    def needs_consent(self, request: AuthorizeRequest, person: Person) -> bool:
        """Whether this person has to be asked."""
        agreed = self._state.grants.consented(person, request.app.client_id)
        return request.prompt == "consent" or not agreed.issuperset(request.scopes.graph)

    def outcome(self, request: AuthorizeRequest, person: Person, *, accepted: bool) -> Answer:
        """What the app is told once this person has decided."""
        if self.needs_administrator(request, person):
            return request.destination.answer(self._administrator_needed(request))
        if not accepted:
            message = "User declined to consent to access the app."
            declined = EntraError("access_denied", 65004, message, subcode="cancel")
            return request.destination.answer(declined.as_parameters(self._state.clock.now()))
        self._state.grants.consent(person.oid, request.app.client_id, request.scopes.graph)
        parameters = {"code": self._state.grants.issue_code(person, request).value}
        if request.wants_client_info:
            parameters["client_info"] = client_info(person)
        parameters["session_state"] = str(uuid.uuid4())
        return request.destination.answer(parameters)

    def _administrator_needed(self, request: AuthorizeRequest) -> dict[str, str]:
        switches = self._state.switches
        if switches.admin_consent_answer == "cancel":
            return {"error": "access_denied", "error_subcode": "cancel"}
        message = f"An administrator has to grant '{request.app.name}' the permissions it asks for."
        error = EntraError(switches.admin_consent_answer, switches.admin_consent_number, message)
        return error.as_parameters(self._state.clock.now())

    # The pages.

    async def choose_account(self, request: web.Request) -> web.Response:
        """The first page: who is it?"""
        try:
            asked = self.read(request.match_info["tenant"], request.query.items())
        except ToldToApp as told:
            return pages.go_back(told.answer)
        return self._choose(asked)

    async def account_chosen(self, request: web.Request) -> web.Response:
        """The second page: the code of who has one."""
        form = await request.post()
        asked = self._read_carried(request.match_info["tenant"], form.get("authorize"))
        email = str(form.get("email", "")).strip()
        try:
            person = self.person(asked, email)
        except EntraError as problem:
            return self._choose(asked, email, problem)
        if person.code:
            return pages.enter_code(asked, person)
        return self._signed_in(asked, person)

    async def code_entered(self, request: web.Request) -> web.Response:
        """A code was typed: once more where it is not the right one."""
        form = await request.post()
        asked = self._read_carried(request.match_info["tenant"], form.get("authorize"))
        person = self.person(asked, str(form.get("email", "")))
        typed = "".join(str(form.get("code", "")).split())
        if not hmac.compare_digest(typed.encode(), person.code.encode()):
            return pages.enter_code(asked, person, EntraError("access_denied", 500121, "This is not the code."))
        return self._signed_in(asked, person)

    async def decided(self, request: web.Request) -> web.Response:
        """Accept or Cancel was pressed."""
        form = await request.post()
        asked = self._read_carried(request.match_info["tenant"], form.get("authorize"))
        person = self.person(asked, str(form.get("email", "")))
        if not hmac.compare_digest(str(form.get("proof", "")).encode(), self._proof(asked, person).encode()):
            raise EntraError("login_required", 50058, "Nobody has signed in for this request.")
        decision = form.get("decision")
        if decision not in {"accept", "decline"}:
            raise invalid_request("'decision' must be accept or decline.")
        return pages.go_back(self.outcome(asked, person, accepted=decision == "accept"))

    def _choose(self, asked: AuthorizeRequest, typed: str = "", problem: EntraError | None = None) -> web.Response:
        tenant_id = tenant_of(asked.tenant, self._state.directory)
        people = [person for person in self._state.directory.everyone() if tenant_id in {None, person.tenant_id}]
        if asked.domain_hint and "." in asked.domain_hint:
            people = [person for person in people if person.email.lower().endswith("@" + asked.domain_hint.lower())]
        hinted = self._state.directory.by_email(asked.login_hint) if asked.login_hint else None
        return pages.choose_account(asked, people, hinted if hinted in people else None, typed, problem)

    def _signed_in(self, asked: AuthorizeRequest, person: Person) -> web.Response:
        """The third page: what is asked, unless that is settled already."""
        proof = self._proof(asked, person)
        if self.needs_administrator(asked, person):
            return pages.need_approval(asked, person, proof)
        if self.needs_consent(asked, person):
            return pages.consent(asked, person, proof)
        return pages.go_back(self.outcome(asked, person, accepted=True))

    def _proof(self, asked: AuthorizeRequest, person: Person) -> str:
        """What is only told to who has signed in as this person for this request, and is of no use for another."""
        told = json.dumps([asked.tenant, asked.query, person.oid, person.code])
        return hmac.digest(self._proof_key, told.encode(), hashlib.sha256).hex()

    def _read_carried(self, tenant: str, query: object) -> AuthorizeRequest:
        """The authorize request that a page carried; it was valid on the page before."""
        if not isinstance(query, str):
            raise missing_parameter("authorize")
        try:
            return self.read(tenant, parse_qsl(query))
        except ToldToApp as told:
            raise told.reason from told


def client_info(person: Person) -> str:
    """Who signed in, for MSAL's cache: base64url of `uid` and `utid`."""
    return base64url(json.dumps({"uid": person.oid, "utid": person.tenant_id}).encode())
