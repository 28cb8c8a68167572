"""
The documents that a client reads first, and which tenants there are.

Fidelity. Imitated: OpenID Connect discovery per tenant with the literal `{tenantid}` in the issuer of `organizations` and
`common`, the JWKS, and instance discovery as MSAL asks for it
(https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc). Addresses are this emulator's own root, http: MSAL
insists on https, so its `http_client` translates the scheme of this root both ways. Not imitated: `consumers`, tenants
named by domain, and what this emulator does not serve, which is left out of the documents.
"""

from aiohttp import web

from tests.cloud.directory import Directory
from tests.cloud.entra.errors import EntraError, missing_parameter
from tests.cloud.entra.keys import ALGORITHM, SigningKey
from tests.cloud.entra.parameters import read_parameters

#: Authorities that stand for every tenant.
ANY_TENANT = frozenset({"organizations", "common"})
#: The tenant in which the managed identities of the local cloud live, and so an app that trusts one.
HOME_TENANT = "b7c2f1de-6a0f-4d0e-9f6b-2f1c2d3e4a5b"
_INSTANCE_PARAMETERS = frozenset({"api-version", "authorization_endpoint"})


def tenant_of(name: str, directory: Directory) -> str | None:
    """The id of the tenant that an authority names; None for any; raises AADSTS90002 where nobody is of that tenant."""
    if name in ANY_TENANT:
        return None
    if name == HOME_TENANT or any(person.tenant_id == name for person in directory.everyone()):
        return name
    raise EntraError("invalid_tenant", 90002, f"Tenant '{name}' not found.")


class Discovery:
    """`/{tenant}/v2.0/.well-known/openid-configuration`, `/{tenant}/discovery/v2.0/keys`, `/common/discovery/instance`."""

    def __init__(self, url: str, directory: Directory, key: SigningKey) -> None:
        self._url = url
        self._directory = directory
        self._key = key

    def _issuer(self, tenant: str) -> str:
        return f"{self._url}/{tenant_of(tenant, self._directory) or '{tenantid}'}/v2.0"

    async def openid_configuration(self, request: web.Request) -> web.Response:
        """OpenID Connect Discovery 1.0, section 3, as far as this emulator serves it."""
        tenant = request.match_info["tenant"]
        read_parameters(request.query.items(), frozenset())
        root = f"{self._url}/{tenant}"
        return web.json_response({
            "token_endpoint": f"{root}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "jwks_uri": f"{root}/discovery/v2.0/keys",
            "response_modes_supported": ["query", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "response_types_supported": ["code"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": self._issuer(tenant),
            "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
            "claims_supported": [
                "sub", "iss", "aud", "exp", "iat", "nonce", "preferred_username", "name", "tid", "ver", "oid", "email",
            ],
            "tenant_region_scope": None,
        })  # fmt: skip

    async def keys(self, request: web.Request) -> web.Response:
        """The key that id_tokens are signed with."""
        read_parameters(request.query.items(), frozenset())
        return web.json_response(self._key.jwks(self._issuer(request.match_info["tenant"])))

    async def instance(self, request: web.Request) -> web.Response:
        """Which host an authority belongs to; this emulator knows itself only."""
        query = read_parameters(request.query.items(), _INSTANCE_PARAMETERS)
        if query.get("api-version") not in {"1.0", "1.1"}:
            raise missing_parameter("api-version")
        endpoint = query.get("authorization_endpoint")
        if not endpoint:
            raise missing_parameter("authorization_endpoint")
        _, _, rest = endpoint.partition("://")
        host, _, path = rest.partition("/")
        if host != self._url.partition("://")[2]:
            raise EntraError("invalid_instance", 50049, "Unknown or invalid instance.")
        tenant = path.partition("/")[0]
        tenant_of(tenant, self._directory)
        name = host.partition(":")[0]
        return web.json_response(
            {
                "tenant_discovery_endpoint": f"{self._url}/{tenant}/v2.0/.well-known/openid-configuration",
                "api-version": query["api-version"],
                "metadata": [{"preferred_network": name, "preferred_cache": name, "aliases": [name]}],
            }
        )
