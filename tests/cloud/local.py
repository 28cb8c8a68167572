"""
The whole local cloud: every emulator, storage, and the app itself on its host, started together and stopped together.

    async with LocalCloud() as cloud, cloud.api() as api:
        ...  # api.send(...), cloud.crm.wait_for(...), cloud.graph.url, cloud.functions.kill_worker(), ...

The app is the real `function_app.py`, in a process of its own; only what lies outside it is imitated, over real HTTP.
"""

import asyncio
import base64
import secrets
import uuid
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import httpx

from tests.cloud.azurite import Azurite
from tests.cloud.clock import Clock
from tests.cloud.crm import CrmSink
from tests.cloud.crm_api import CrmApi
from tests.cloud.directory import Directory
from tests.cloud.entra import EntraEmulator
from tests.cloud.fault_plan import FaultPlan
from tests.cloud.fault_proxy import FaultLayer
from tests.cloud.functions import FunctionsHost
from tests.cloud.graph import GraphEmulator
from tests.cloud.server import Port
from tests.cloud.smtp import SmtpSink

#: Where function_app.py and host.json are.
CHECKOUT = Path(__file__).parents[2]
#: How long everything may take to answer once it has started, in seconds.
ANSWER_WITHIN_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Which port of 127.0.0.1 each part listens on; 0 takes a free one."""

    functions: int = 0
    entra: int = 0
    graph: int = 0
    crm: int = 0
    smtp: int = 0


class Part(Protocol):
    """What can be started and stopped; `stop` also ends a start that was broken off half-way."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


class LocalCloud:
    """
    Everything on one machine, with fresh secrets each time.

    settings: app settings to add or to put in the place of those computed here (`app_settings`).
    app_folder: a folder with function_app.py and host.json; the checkout itself where none is given.
    ports: where the parts listen.
    lease_seconds: how long a queue message stays hidden after the whole host was killed (`FunctionsHost.kill`).
    faults: the app and its host reach storage, Graph, Entra ID and the CRM through proxies (`faults`), which make calls fail
        as this plan says from `cloud.faults.on()` on. Graph's notifications come straight: their loss is Graph's own control.

    Nothing runs before `start`; the settings are complete, and `functions` is there, once it has returned.
    """

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        app_folder: Path = CHECKOUT,
        ports: Ports | None = None,
        lease_seconds: float = 600,
        faults: FaultPlan | None = None,
    ) -> None:
        ports = ports or Ports()
        self.clock = Clock()
        self.directory = Directory(self.clock)
        self.azurite = Azurite()
        self.entra = EntraEmulator(self.directory, self.clock, ports.entra)
        self.graph = GraphEmulator(self.directory, self.clock, ports.graph, sign_token=self.entra.sign_for_tenant)
        self.smtp = SmtpSink(ports.smtp)

        given = dict(settings or {})
        webhook_secrets = given.get("CRM_WEBHOOK_SECRETS", _webhook_secret())
        self.crm = CrmSink([secret.strip() for secret in webhook_secrets.split(",")], ports.crm)
        self.webhook_secret = webhook_secrets.split(",")[0].strip()

        #: The proxies, where there are any.
        self._fault_layer: FaultLayer | None = None
        if faults is not None:
            azurite = self.azurite
            storage = (lambda: azurite.blob_url, lambda: azurite.queue_url, lambda: azurite.table_url)
            self._fault_layer = FaultLayer(
                faults, storage, graph=self.graph.url, entra=self.entra.url, crm=self.crm.url
            )

        self._app_folder = app_folder
        self._lease_seconds = lease_seconds
        self._functions_port = Port(ports.functions)
        self.functions_url = f"http://127.0.0.1:{self._functions_port.number}"
        self.function_key = secrets.token_urlsafe(32)
        #: The app's host, from `start` on: it is given the storage's addresses, which Azurite chooses as it starts.
        self.functions: FunctionsHost

        client_secret = given.get("ENTRA_CLIENT_SECRET", secrets.token_urlsafe(32))
        self.app_settings: dict[str, str] = {
            "PUBLIC_BASE_URL": self.functions_url,
            "GRAPH_BASE_URL": f"{self.graph.url}/v1.0",
            "ENTRA_AUTHORITY": f"{self.entra.url}/organizations",
            "ENTRA_CLIENT_ID": str(uuid.uuid4()),
            "ENTRA_CLIENT_SECRET": client_secret,
            "CRM_WEBHOOK_URL": self.crm.webhook_url,
            "CRM_WEBHOOK_SECRETS": webhook_secrets,
            "ALLOWED_RETURN_ORIGINS": self.crm.url,
            "ENCRYPTION_KEYS": _key(),
            "SIGNING_KEYS": _key(),
            # The one authority the app needs here is the SMTP server's: nothing else of this cloud speaks TLS.
            "SSL_CERT_FILE": str(self.smtp.certificate_path),
            # The SMTP server is on this machine.
            "PROVIDER_ALLOWED_NETWORKS": "127.0.0.0/8",
            # As in the real host, settings override host.json; an idle queue is looked at more often, for speed.
            "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.200",
            **self._ways_through_proxies(),
            **given,
        }
        self.entra.register_app(
            self.app_settings["ENTRA_CLIENT_ID"], client_secret, [f"{self.functions_url}/oauth/callback"]
        )
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """
        Start everything; returns once everything answers.

        Whatever fails or cancels this, what had been started is stopped before the error goes on.
        """
        try:
            async with asyncio.TaskGroup() as together:
                proxies = (self._fault_layer,) if self._fault_layer else ()
                for part in (self.azurite, self.entra, self.graph, self.crm, self.smtp, *proxies):
                    self._running.push_async_callback(part.stop)
                    together.create_task(part.start())
            self.app_settings.setdefault("AzureWebJobsStorage", self.azurite.connection_string)
            self.functions = FunctionsHost(
                self._app_folder,
                self.app_settings,
                self._functions_port,
                self.function_key,
                lease_seconds=self._lease_seconds,
            )
            self._running.push_async_callback(self.functions.stop)
            await self.functions.start()
            await self._answers()
        except BaseException as error:
            await self.stop()
            # One failed part is told as itself, not as a group of one.
            if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
                raise error.exceptions[0] from None
            raise

    @property
    def faults(self) -> FaultLayer:
        """The proxies before the app's neighbours; only a cloud that was made with a plan of faults has them."""
        assert self._fault_layer is not None, "this cloud was made without faults"
        return self._fault_layer

    def _ways_through_proxies(self) -> dict[str, str]:
        """The settings with which the app takes the way through the proxies."""
        layer = self._fault_layer
        if layer is None:
            return {}
        return {
            "AzureWebJobsStorage": layer.connection_string,
            "GRAPH_BASE_URL": f"{layer.graph.url}/v1.0",
            "ENTRA_AUTHORITY": f"{layer.entra.url}/organizations",
            "CRM_WEBHOOK_URL": f"{layer.crm.url}/webhooks",
        }

    async def stop(self) -> None:
        """Stop everything that was started, the app first; a part that fails to stop does not keep the others up."""
        await self._running.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def api(self, account_id: str = "acme") -> CrmApi:
        """A client of the app's routes for one account, with the function key; close it after use."""
        return CrmApi(self.functions_url, self.function_key, account_id)

    @property
    def addresses(self) -> dict[str, Any]:
        """What `.cloud.json` tells: roots without a trailing slash, the function key and the webhook secret."""
        return {
            "functions": self.functions_url,
            "entra": self.entra.url,
            "graph": self.graph.url,
            "crm": self.crm.url,
            "smtp": self.smtp.host_port,
            "smtp_lab": self.smtp.url,
            "azurite": {
                "blob": self.azurite.blob_url,
                "queue": self.azurite.queue_url,
                "table": self.azurite.table_url,
            },
            "function_key": self.function_key,
            "webhook_secret": self.webhook_secret,
            "certificate": str(self.smtp.certificate_path),
        }

    async def _answers(self) -> None:
        """Return once the app is healthy and every emulator answers; raises TimeoutError naming who does not."""
        pages = [
            f"{self.functions_url}/health",
            f"{self.entra.url}/organizations/v2.0/.well-known/openid-configuration",
            f"{self.graph.url}/_lab/subscriptions",
            f"{self.crm.url}/_lab/events",
            f"{self.smtp.url}/_lab/messages",
        ]
        silent = pages
        try:
            async with asyncio.timeout(ANSWER_WITHIN_SECONDS), httpx.AsyncClient() as http:
                # Another process answers these: there is nothing here to be woken by.
                while silent := [page for page in silent if not await _is_ok(http, page)]:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise TimeoutError(f"started, but without an answer of 200: {', '.join(silent)}") from None


async def _is_ok(http: httpx.AsyncClient, page: str) -> bool:
    try:
        return (await http.get(page)).status_code == 200
    except httpx.TransportError:
        return False


def _key() -> str:
    """32 random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _webhook_secret() -> str:
    """A secret as Standard Webhooks writes it."""
    return f"whsec_{_key()}"
