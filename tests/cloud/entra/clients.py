"""
The registered apps and how they prove who they are at the token endpoint.

Fidelity. Imitated: a client secret in the body, and a federated credential: the token of a managed identity as
`client_assertion` (https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity);
a secret that is wrong or has expired, as a control says (AADSTS7000215, 7000222).
Not imitated: HTTP Basic, certificates of an app's own, several secrets, and a managed identity's endpoint on a machine:
`EntraEmulator.managed_identity_token` stands for that.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tests.cloud.entra.errors import EntraError, missing_parameter, unknown_app
from tests.cloud.entra.keys import SigningKey

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOKEN_EXCHANGE_AUDIENCE = "api://AzureADTokenExchange"

#: What has become of an app's secret: another one is registered, or its time is over.
SecretState = Literal["good", "wrong", "expired"]


@dataclass(frozen=True)
class RegisteredApp:
    """
    A confidential web app.

    `redirect_uris` are compared as written. `managed_identity` is the principal id of the one managed identity whose
    token the app may present instead of a secret; None trusts none.
    """

    client_id: str
    client_secret: str
    redirect_uris: tuple[str, ...]
    name: str
    managed_identity: str | None = None


class Clients:
    """Every registered app."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._apps: dict[str, RegisteredApp] = {}
        self._secrets: dict[str, SecretState] = {}

    def register(self, app: RegisteredApp) -> None:
        """Add an app, or replace the one with its client_id."""
        self._apps[app.client_id] = app

    def find(self, client_id: str | None) -> RegisteredApp:
        """The app with this client_id; raises AADSTS900144 or 700016."""
        if not client_id:
            raise missing_parameter("client_id")
        app = self._apps.get(client_id)
        if app is None:
            raise unknown_app(client_id)
        return app

    def set_secret(self, state: SecretState, client_id: str | None = None) -> None:
        """Let the registered secret of this app, or of every app, be in this state."""
        for app in [self.find(client_id)] if client_id else list(self._apps.values()):
            self._secrets[app.client_id] = state

    def reset(self) -> None:
        """Every secret is good again."""
        self._secrets.clear()

    def authenticate(self, form: dict[str, str], now: datetime) -> RegisteredApp:
        """The app that makes this token call, once its secret or assertion is proved."""
        app = self.find(form.get("client_id"))
        if secret := form.get("client_secret"):
            state = self._secrets.get(app.client_id, "good")
            if secret != app.client_secret or state == "wrong":
                raise _invalid_client(7000215, "Invalid client secret provided.")
            if state == "expired":
                raise _invalid_client(7000222, f"The client secret keys of the app '{app.client_id}' are expired.")
        elif assertion := form.get("client_assertion"):
            self._check_assertion(app, form.get("client_assertion_type"), assertion, now)
        else:
            raise _invalid_client(7000218, "The request body must contain 'client_assertion' or 'client_secret'.")
        return app

    def _check_assertion(self, app: RegisteredApp, kind: str | None, assertion: str, now: datetime) -> None:
        if kind != JWT_BEARER:
            raise missing_parameter("client_assertion_type")
        claims = self._key.verified_claims(assertion)
        if claims is None or claims.get("aud") != TOKEN_EXCHANGE_AUDIENCE:
            raise _invalid_client(700027, "Client assertion failed signature or audience validation.")
        if not claims["nbf"] <= now.timestamp() < claims["exp"]:
            raise _invalid_client(700024, "Client assertion is not within its valid time range.")
        if app.managed_identity is None or claims["sub"] != app.managed_identity:
            raise _invalid_client(700213, "No matching federated identity record found for the assertion's subject.")


def _invalid_client(number: int, message: str) -> EntraError:
    return EntraError("invalid_client", number, message, status=401)
