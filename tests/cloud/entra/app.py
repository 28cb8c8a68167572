"""
The Entra ID v2.0 emulator: what a test starts, and every route.

Fidelity. What is imitated, from which document, and what is not, is at the top of the file that does it; `__init__.py`
lists them. For all of them: no live tenant was asked, state is in memory, addresses are http.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from tests.cloud.clock import Clock
from tests.cloud.directory import Directory
from tests.cloud.entra import pages
from tests.cloud.entra.admin_consent import AdminConsent
from tests.cloud.entra.authorize import SignIn
from tests.cloud.entra.clients import TOKEN_EXCHANGE_AUDIENCE, Clients, RegisteredApp
from tests.cloud.entra.discovery import HOME_TENANT, Discovery
from tests.cloud.entra.errors import REFUSED, EntraError
from tests.cloud.entra.grants import Grants
from tests.cloud.entra.keys import process_key
from tests.cloud.entra.lab import Lab, LabError
from tests.cloud.entra.lab_troubles import LabTroubles
from tests.cloud.entra.recording import RecordedRequest, without_secrets
from tests.cloud.entra.state import EntraState
from tests.cloud.entra.switches import Switches
from tests.cloud.entra.token import TokenEndpoint
from tests.cloud.entra.troubles import Troubles
from tests.cloud.server import Server

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
#: The paths that a browser reads.
_PAGES = ("/authorize", "/login", "/code", "/consent", "/adminconsent")


class EntraEmulator:
    """
    Entra ID on a port of 127.0.0.1; the authority of an app is `{url}/organizations`.

    People come from `directory`, which the Graph emulator shares, and so do the access tokens; times come from `clock`.
    """

    def __init__(self, directory: Directory, clock: Clock, port: int = 0) -> None:
        application = web.Application(middlewares=[self._record, self._answer_errors])
        self._server = Server(application, port)
        key = process_key()
        grants = Grants(clock)
        troubles = Troubles(directory, grants)
        self._state = EntraState(self._server.url, directory, clock, key, Clients(key), grants, troubles)
        _add_routes(application, self._state)

    @property
    def url(self) -> str:
        """The root, without a trailing slash; known before `start`."""
        return self._server.url

    async def start(self) -> None:
        """Listen; returns once the port accepts connections."""
        await self._server.start()

    async def stop(self) -> None:
        """Stop listening."""
        await self._server.stop()

    def register_app(
        self,
        client_id: str,
        client_secret: str,
        redirect_uris: list[str],
        *,
        name: str = "Your CRM",
        managed_identity: str | None = None,
    ) -> None:
        """
        Register an app, or replace the one with this client_id.

        `name` is what people read on the consent page; `managed_identity` is the principal id whose tokens the app may
        present instead of its secret.
        """
        app = RegisteredApp(client_id, client_secret, tuple(redirect_uris), name, managed_identity)
        self._state.clients.register(app)

    def sign_for_tenant(self, tenant_id: str, claims: Mapping[str, Any]) -> str:
        """A JWT of this tenant's issuer: how Graph proves itself in rich notifications (`GraphEmulator`'s `sign_token`)."""
        return self._state.key.sign({"iss": f"{self.url}/{tenant_id}/v2.0", **claims})

    def managed_identity_token(self, principal_id: str, lifetime_seconds: int = 3600) -> str:
        """A token of that managed identity for `api://AzureADTokenExchange`: what an app sends as `client_assertion`."""
        now = int(self._state.clock.now().timestamp())
        return self._state.key.sign(
            {
                "aud": TOKEN_EXCHANGE_AUDIENCE,
                "iss": f"{self.url}/{HOME_TENANT}/v2.0",
                "sub": principal_id,
                "oid": principal_id,
                "tid": HOME_TENANT,
                "iat": now,
                "nbf": now,
                "exp": now + lifetime_seconds,
            }
        )

    @property
    def switches(self) -> Switches:
        """The switches, to be set by attribute; `reset` sets them back."""
        return self._state.switches

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request that was not a control, oldest first, without secrets."""
        return list(self._state.requests)

    @property
    def token_calls(self) -> int:
        """How many of `requests` asked for a token."""
        return sum(request.is_token_call for request in self._state.requests)

    @property
    def redemptions(self) -> int:
        """How many of them redeemed an authorization code, or tried to."""
        calls = (request for request in self._state.requests if request.is_token_call)
        return sum(call.form.get("grant_type") == "authorization_code" for call in calls)

    def reset(self) -> None:
        """Forget people, consents, codes, refresh tokens, planned errors and requests; registered apps stay."""
        self._state.reset()

    @web.middleware
    async def _record(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/_lab/"):
            return await handler(request)
        arrived_at = self._state.clock.now()
        form = await request.post()
        response = await handler(request)
        refusal = request.get(REFUSED)
        self._state.requests.append(
            RecordedRequest(
                arrived_at.isoformat().replace("+00:00", "Z"),
                request.method,
                request.path,
                response.status,
                error=refusal.error if refusal else None,
                error_code=refusal.number if refusal else None,
                query=without_secrets(request.query.items()),
                form=without_secrets((name, str(value)) for name, value in form.items()),
                oid=self._state.grants.whose(form),
            )
        )
        return response

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Write errors as their reader wants them: a page for a browser, JSON for a program."""
        try:
            return await handler(request)
        except web.HTTPException as error:
            # aiohttp's own 404 and 405, and a control's 400, are answers too.
            return web.Response(status=error.status, text=error.text, content_type=error.content_type)
        except LabError as error:
            return web.json_response({"error": str(error)}, status=error.status)
        except EntraError as error:
            if request.path.startswith("/_lab/"):
                return web.json_response({"error": str(error)}, status=400)
            request[REFUSED] = error
            if request.path.endswith(_PAGES):
                return pages.error(error)
            return web.json_response(error.as_json(self._state.clock.now()), status=error.status)


def _add_routes(application: web.Application, state: EntraState) -> None:
    discovery = Discovery(state.url, state.directory, state.key)
    sign_in = SignIn(state)
    admin_consent = AdminConsent(state)
    lab = Lab(state, sign_in, admin_consent)
    troubles = LabTroubles(state)
    application.add_routes(
        [
            web.get("/common/discovery/instance", discovery.instance),
            web.get("/{tenant}/v2.0/.well-known/openid-configuration", discovery.openid_configuration),
            web.get("/{tenant}/discovery/v2.0/keys", discovery.keys),
            web.get("/{tenant}/oauth2/v2.0/authorize", sign_in.choose_account),
            web.post("/{tenant}/login", sign_in.account_chosen),
            web.post("/{tenant}/code", sign_in.code_entered),
            web.post("/{tenant}/consent", sign_in.decided),
            web.post("/{tenant}/oauth2/v2.0/token", TokenEndpoint(state).answer),
            web.get("/{tenant}/v2.0/adminconsent", admin_consent.ask),
            web.post("/{tenant}/v2.0/adminconsent", admin_consent.decided),
            web.get("/_lab/users", lab.users),
            web.post("/_lab/users", lab.add_user),
            web.post("/_lab/sign-in", lab.sign_in),
            web.post("/_lab/admin-consent", lab.admin_consent),
            web.post("/_lab/token", lab.token),
            web.post("/_lab/trouble", troubles.trouble),
            web.post("/_lab/revoke", troubles.revoke),
            web.post("/_lab/client-secret", troubles.client_secret),
            web.post("/_lab/token-error", troubles.token_error),
            web.get("/_lab/switches", lab.switches),
            web.post("/_lab/switches", lab.set_switches),
            web.get("/_lab/requests", lab.requests),
            web.post("/_lab/reset", lab.reset),
        ]
    )
