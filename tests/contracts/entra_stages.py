"""Microsoft's sign-in on the fake and, through MSAL, at the emulator, with people at its pages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal, Protocol
from urllib.parse import parse_qsl, urlsplit

import httpx

from sync.adapters.entra import MsalEntra
from sync.domain.sign_in import Grant
from sync.flows.ports import Entra
from tests.cloud.clock import Clock
from tests.cloud.directory import Directory
from tests.cloud.entra import EntraEmulator
from tests.fakes.entra import FakeEntra
from tests.fakes.faults import Faults
from tests.fakes.people import People

DANA, CAS = "dana@crm.example", "cas@northwind.example"
CALLBACK = "https://app.example/oauth/callback"
CLIENT_ID, CLIENT_SECRET = "client", "client secret"

Decision = Literal["accept", "decline"]


class EntraStage(Protocol):
    """The port, and people at Microsoft's pages."""

    entra: Entra

    async def signed_in(self, url: str, email: str, decision: Decision = "accept") -> dict[str, str]:
        """What the redirect brings back once this person has decided at this address."""


class FakeStage:
    """The fake. Cas needs an administrator."""

    def __init__(self) -> None:
        people = People()
        people.add(DANA, "Dana Doe")
        people.add(CAS, "Cas Vos").admin_consent_required = True
        self._fake = FakeEntra(people, Faults())
        self.entra: Entra = self._fake

    async def signed_in(self, url: str, email: str, decision: Decision = "accept") -> dict[str, str]:
        return self._fake.sign_in(url, email, decision)


class EmulatedStage:
    """MSAL at the emulator. `msal` is the app; `emulator` has the switches and every call."""

    def __init__(self, emulator: EntraEmulator, http: httpx.AsyncClient, entra: MsalEntra) -> None:
        self.emulator = emulator
        self._http = http
        self.msal = entra
        self.entra: Entra = entra

    async def signed_in(self, url: str, email: str, decision: Decision = "accept") -> dict[str, str]:
        clicked = await self.lab("/sign-in", {"authorize_url": url, "email": email, "decision": decision})
        return dict(parse_qsl(urlsplit(clicked["redirect_url"]).query))

    async def granted(self, email: str = DANA, claims: str = "") -> Grant:
        """A whole sign-in of this person."""
        url, flow = await self.msal.begin(state="abc.state", login_hint="", claims=claims)
        return await self.msal.redeem(flow, await self.signed_in(url, email))

    async def lab(self, path: str, body: dict[str, Any]) -> Any:
        """A control of the emulator."""
        answer = await self._http.post(f"{self.emulator.url}/_lab{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def another_process(self, client_secret: str = CLIENT_SECRET, root: str = "") -> MsalEntra:
        """The app in another process, perhaps with a sign-in at another root address; close it after use."""
        return MsalEntra(f"{root or self.emulator.url}/organizations", CLIENT_ID, client_secret, CALLBACK)

    async def token_calls_fail(self, error: str, number: int, **more: Any) -> None:
        """The next call of the token endpoint fails so."""
        await self.lab("/token-error", {"error": error, "error_codes": [number], "times": 1, **more})


@asynccontextmanager
async def emulated() -> AsyncIterator[EmulatedStage]:
    """A running emulator with Dana and Cas."""
    clock = Clock()
    directory = Directory(clock)
    directory.add(DANA, "Dana Doe")
    directory.add(CAS, "Cas Vos", admin_consent_required=True)
    emulator = EntraEmulator(directory, clock)
    emulator.register_app(CLIENT_ID, CLIENT_SECRET, [CALLBACK])
    await emulator.start()
    entra = MsalEntra(f"{emulator.url}/organizations", CLIENT_ID, CLIENT_SECRET, CALLBACK)
    try:
        async with httpx.AsyncClient() as http:
            yield EmulatedStage(emulator, http, entra)
    finally:
        entra.close()
        await emulator.stop()
