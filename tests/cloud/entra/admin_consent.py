"""
An administrator agrees for a whole tenant.

Fidelity. Imitated: the v2.0 admin consent endpoint, its parameters, and both of its answers
(https://learn.microsoft.com/entra/identity-platform/v2-admin-consent). Not imitated: roles: whoever opens the page acts
as the administrator of the tenant they choose. The error of a declining administrator differs between documents: see
`Switches.admin_decline_answer`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from tests.cloud.entra import pages
from tests.cloud.entra.authorize_request import Answer, Destination, check_redirect_uri
from tests.cloud.entra.clients import RegisteredApp
from tests.cloud.entra.discovery import tenant_of
from tests.cloud.entra.errors import EntraError, invalid_request, missing_parameter
from tests.cloud.entra.parameters import read_parameters
from tests.cloud.entra.scopes import GRAPH_RESOURCE, Scopes, parse_scopes
from tests.cloud.entra.state import EntraState

_KNOWN = frozenset({"client_id", "scope", "redirect_uri", "state"})


@dataclass(frozen=True)
class AdminConsentRequest:
    """A valid request. `tenant` is the path segment, `tenant_id` None where the administrator's own tenant is meant."""

    tenant: str
    tenant_id: str | None
    app: RegisteredApp
    scopes: Scopes
    destination: Destination
    query: str


class AdminConsent:
    """`/{tenant}/v2.0/adminconsent`."""

    def __init__(self, state: EntraState) -> None:
        self._state = state

    def read(self, tenant: str, pairs: Iterable[tuple[str, str]]) -> AdminConsentRequest:
        """The request, checked; every `EntraError` is for a page."""
        tenant_id = tenant_of(tenant, self._state.directory)
        query = read_parameters(pairs, _KNOWN)
        app = self._state.clients.find(query.get("client_id"))
        for name in ("redirect_uri", "scope"):
            if name not in query:
                raise missing_parameter(name)
        check_redirect_uri(app, query["redirect_uri"])
        destination = Destination(query["redirect_uri"], "query", query.get("state"))
        return AdminConsentRequest(tenant, tenant_id, app, parse_scopes(query["scope"]), destination, urlencode(query))

    def tenants(self, request: AdminConsentRequest) -> dict[str, str]:
        """The tenants that can be agreed for: their domain by their id."""
        return {
            person.tenant_id: person.email.rpartition("@")[2].lower()
            for person in self._state.directory.everyone()
            if request.tenant_id in {None, person.tenant_id}
        }

    def outcome(self, request: AdminConsentRequest, tenant_id: str, *, accepted: bool) -> Answer:
        """What the app is told once the administrator of this tenant has decided."""
        if tenant_id not in self.tenants(request):
            raise EntraError("invalid_request", 50020, "The administrator does not belong to this tenant.")
        parameters = {"admin_consent": "True", "tenant": tenant_id}
        if accepted:
            self._state.grants.consent(tenant_id, request.app.client_id, request.scopes.graph)
            parameters["scope"] = " ".join(GRAPH_RESOURCE + name for name in request.scopes.graph)
            return request.destination.answer(parameters)
        message = "The resource owner or authorization server denied the request."
        declined = EntraError(self._state.switches.admin_decline_answer, 65004, message)
        return request.destination.answer({**declined.as_parameters(self._state.clock.now()), **parameters})

    async def ask(self, request: web.Request) -> web.Response:
        """The page."""
        asked = self.read(request.match_info["tenant"], request.query.items())
        return pages.admin_consent(asked.app, asked.scopes, asked.query, request.path, self.tenants(asked))

    async def decided(self, request: web.Request) -> web.Response:
        """Accept or Cancel was pressed."""
        form = await request.post()
        asked = self.read(request.match_info["tenant"], parse_qsl(str(form.get("request", ""))))
        if form.get("decision") not in {"accept", "decline"}:
            raise invalid_request("'decision' must be accept or decline.")
        answer = self.outcome(asked, str(form.get("tenant", "")), accepted=form["decision"] == "accept")
        return pages.go_back(answer)
