"""
Application Insights as its exporter sees it, and the managed identity of an app in Azure, on this machine.

Imitated: the ingestion endpoint (POST /v2.1/track, gzip, one JSON envelope per line or a list of them) of a resource whose
local auth is off: without a bearer token of the right audience it answers 401
(https://learn.microsoft.com/azure/azure-monitor/app/azure-ad-authentication). The token endpoint of a managed identity in App
Service (https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference). TLS, since the
client sends no token without it. Not imitated: sampling by the service, live metrics, and what the portal makes of it.
"""

import gzip
import json
import secrets
from typing import Any

from aiohttp import web

from tests.cloud.certificates import LocalAuthority
from tests.cloud.server import Server

AUDIENCE = "https://monitor.azure.com/"


class ApplicationInsights:
    """A resource, and the identity `client_id` that may write to it. `envelopes` is what came."""

    def __init__(self, client_id: str) -> None:
        self.client_id = client_id
        self.envelopes: list[dict[str, Any]] = []
        self.refused = 0
        self._token = secrets.token_urlsafe(32)
        self._identity_header = secrets.token_urlsafe(16)
        self._authority = LocalAuthority()
        identity = web.Application()
        identity.add_routes([web.get("/msi/token", self._give_token)])
        self._identity = Server(identity)
        ingestion = web.Application(client_max_size=16 * 1024 * 1024)
        ingestion.add_routes([web.post("/v2.1/track", self._track), web.post("//v2.1/track", self._track)])
        self._ingestion = Server(ingestion, tls=self._authority.write)

    @property
    def app_settings(self) -> dict[str, str]:
        """What Azure and an operator set for the app."""
        return {
            "APPLICATIONINSIGHTS_CONNECTION_STRING": (
                f"InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint={self._ingestion.url}/"
            ),
            "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": f"Authorization=AAD;ClientId={self.client_id}",
            "IDENTITY_ENDPOINT": f"{self._identity.url}/msi/token",
            "IDENTITY_HEADER": self._identity_header,
            "REQUESTS_CA_BUNDLE": str(self._authority.path),
            # Both would call Microsoft.
            "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
            "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
        }

    def metrics(self) -> dict[str, list[dict[str, Any]]]:
        """The points that came, by the name of their metric: as the table AppMetrics has them."""
        found: dict[str, list[dict[str, Any]]] = {}
        for envelope in self.envelopes:
            if envelope["data"]["baseType"] == "MetricData":
                data = envelope["data"]["baseData"]
                for metric in data["metrics"]:
                    found.setdefault(metric["name"], []).append(metric | {"properties": data.get("properties") or {}})
        return found

    def of_type(self, base_type: str) -> list[dict[str, Any]]:
        """The envelopes of this kind: `RequestData`, `RemoteDependencyData`."""
        return [envelope for envelope in self.envelopes if envelope["data"]["baseType"] == base_type]

    async def start(self) -> None:
        """Listen."""
        await self._identity.start()
        await self._ingestion.start()

    async def stop(self) -> None:
        """Stop."""
        await self._ingestion.stop()
        await self._identity.stop()
        self._authority.remove()

    async def _give_token(self, request: web.Request) -> web.Response:
        if request.headers.get("X-IDENTITY-HEADER") != self._identity_header:
            return web.json_response({"error": "invalid_request"}, status=400)
        if request.query.get("client_id") != self.client_id or request.query["resource"].rstrip("/") != AUDIENCE.rstrip(
            "/"
        ):
            return web.json_response({"error": "unauthorized_client"}, status=400)
        token = {"access_token": self._token, "expires_on": "4102444800", "resource": AUDIENCE, "token_type": "Bearer"}
        return web.json_response(token)

    async def _track(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            self.refused += 1
            return web.json_response({"itemsReceived": 0, "itemsAccepted": 0, "errors": []}, status=401)
        body = await request.read()
        text = (gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).decode()
        came = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]
        self.envelopes += came
        return web.json_response({"itemsReceived": len(came), "itemsAccepted": len(came), "errors": []})
