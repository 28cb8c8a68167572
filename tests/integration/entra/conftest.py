"""An emulator with three people and two apps, and those who use it."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.cloud.clock import Clock
from tests.cloud.directory import Directory
from tests.cloud.entra import EntraEmulator
from tests.integration.entra.client import (
    CALLBACK,
    CLIENT_ID,
    SECRET,
    LoopbackHttp,
    Msal,
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(clock: Clock) -> Directory:
    directory = Directory(clock)
    directory.add("ann@contoso.example", "Ann Lee", ["ann.lee@contoso.example"])
    directory.add("bob@fabrikam.example", "Bob <b>Stone</b>")
    directory.add("cas@northwind.example", "Cas Vos", admin_consent_required=True)
    return directory


@pytest.fixture
async def entra(directory: Directory, clock: Clock) -> AsyncIterator[EntraEmulator]:
    emulator = EntraEmulator(directory, clock)
    emulator.register_app(CLIENT_ID, SECRET, [CALLBACK, CALLBACK + "?tenant=1"], name="Acme CRM")
    emulator.register_app("other-app", "other secret", [CALLBACK], managed_identity="principal-1")
    await emulator.start()
    yield emulator
    await emulator.stop()


@pytest.fixture
async def browser(entra: EntraEmulator) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody's browser, or curl: follows no redirect by itself."""
    async with httpx.AsyncClient(base_url=entra.url) as client:
        yield client


@pytest.fixture
def http(entra: EntraEmulator) -> Iterator[LoopbackHttp]:
    client = LoopbackHttp(entra.url)
    yield client
    client.close()


@pytest.fixture
async def app(entra: EntraEmulator, http: LoopbackHttp) -> Msal:
    return await asyncio.to_thread(Msal, entra.url, http)
