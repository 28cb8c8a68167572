"""How the storage clients that the app builds repeat a call: not for longer than somebody waits who asked the app."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from sync.settings import read
from sync.wiring.adapters import Adapters
from tests.cloud.azurite import ACCOUNT_KEY, ACCOUNT_NAME
from tests.cloud.server import Server
from tests.unit.test_settings import GOOD

#: A function that is called by the CRM has answered by then, whatever storage does.
PATIENCE_S = 15


async def read_blob(adapters: Adapters) -> None:
    async with adapters._storage(BlobServiceClient, "blob") as service:
        await service.get_blob_client("mail", "a").get_blob_properties()


async def peek_queue(adapters: Adapters) -> None:
    async with adapters._storage(QueueServiceClient, "queue") as service:
        await service.get_queue_client("mail-sends").peek_messages()


async def read_row(adapters: Adapters) -> None:
    async with adapters._storage(TableServiceClient, "table") as service:
        await service.get_table_client("journal").get_entity("acme", "last")


CALLS: dict[str, Callable[[Adapters], Awaitable[None]]] = {"blob": read_blob, "queue": peek_queue, "table": read_row}


class Trouble:
    """A storage service that refuses so many calls and then knows nothing of what it is asked for."""

    def __init__(self) -> None:
        self.refusals = 1_000
        self.calls = 0
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self.server = Server(application)

    async def _answer(self, _request: web.Request) -> web.Response:
        self.calls += 1
        if self.calls <= self.refusals:
            return web.Response(status=503, headers={"x-ms-error-code": "ServerBusy"})
        return web.Response(status=404, headers={"x-ms-error-code": "ResourceNotFound"})


@pytest.fixture
async def trouble() -> AsyncIterator[Trouble]:
    service = Trouble()
    await service.server.start()
    yield service
    await service.server.stop()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the clients waited between tries, in seconds; here no time passes."""
    waited: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float, result: object = None) -> object:
        if seconds:
            waited.append(seconds)
        return await sleep(0, result)

    monkeypatch.setattr(asyncio, "sleep", note)
    return waited


@pytest.fixture
def adapters(trouble: Trouble) -> Adapters:
    """The app's own adapters, on that service."""
    url = f"{trouble.server.url}/{ACCOUNT_NAME}"
    connection = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT_NAME};AccountKey={ACCOUNT_KEY};"
    connection += "".join(f"{kind}Endpoint={url};" for kind in ("Blob", "Queue", "Table"))
    return Adapters(read(GOOD | {"AzureWebJobsStorage": connection}))


@pytest.mark.parametrize("kind", CALLS)
async def test_a_service_that_is_down_is_given_up_soon(
    adapters: Adapters, trouble: Trouble, waits: list[float], kind: str
) -> None:
    """Four tries, all over before anybody who waits for the answer has given up."""
    with pytest.raises(HttpResponseError):
        await CALLS[kind](adapters)
    assert trouble.calls == 4
    assert 0 < sum(waits) < PATIENCE_S


@pytest.mark.parametrize("refusals", [1, 2, 3])
@pytest.mark.parametrize("kind", CALLS)
async def test_trouble_of_a_moment_is_not_noticed(
    adapters: Adapters, trouble: Trouble, waits: list[float], kind: str, refusals: int
) -> None:
    """What the service says once it is itself again is the answer."""
    trouble.refusals = refusals
    with pytest.raises(ResourceNotFoundError):
        await CALLS[kind](adapters)
    assert trouble.calls == refusals + 1
    # The tables' client tries again at once, and waits before what comes after that.
    assert len(waits) == (refusals - 1 if kind == "table" else refusals)
