"""
The app and the cloud around it, started once for all end-to-end tests; accounts, people and mailboxes are fresh for each.

All tests of this folder, and their fixtures, run in the one event loop of the session, in which the cloud lives. What is the
whole cloud's (its clock, the faults of Graph, how the CRM answers) a test has to put back, or it takes a `LocalCloud` of its own.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.cloud.crm import CrmSink
from tests.cloud.crm_api import CrmApi
from tests.cloud.local import LocalCloud
from tests.cloud.stage import Stage
from tests.conformance import Conformance
from tests.e2e.account import Account, Connected, unique
from tests.e2e.gateway import Behind, StorageGateway
from tests.e2e.storage import Storage
from tests.e2e.witness import Witness


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of this folder in the session's event loop."""
    session_loop = pytest.mark.asyncio(loop_scope="session")
    for item in items:
        if Path(__file__).parent in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(session_loop, append=False)


@pytest.fixture(scope="session", autouse=True)
def conformance() -> Iterator[Conformance]:
    """Every answer that these tests get from the app, and every event that a CRM accepts, is held against openapi.json."""
    seen = Conformance()
    CrmApi.observers.append(seen.answered)
    yield seen
    CrmApi.observers.remove(seen.answered)


@pytest.fixture(autouse=True)
def nothing_departs_from_the_document(conformance: Conformance) -> Iterator[None]:
    """What is found while a test runs is told at its end: also where the test itself has no eye for it."""
    # Only meanwhile: tests of other folders, in the same process, push to a CRM what they make up.
    CrmSink.observers.append(conformance.delivered)
    yield
    CrmSink.observers.remove(conformance.delivered)
    departures, conformance.departures = conformance.departures, []
    assert not departures, "not as openapi.json says:\n" + "\n".join(departures)


def patient(cloud: LocalCloud) -> None:
    """
    Graph waits longer for the app's answer than its 3 s, after which it would tell all of it once more.

    How soon the app answers is this machine's doing, and what is told twice is looked at twice, which tests would count.
    """
    cloud.graph.subscriptions.notifier.change({"first_timeout_s": 30.0})


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cloud() -> AsyncIterator[LocalCloud]:
    """The cloud that all tests share. The CRM has a second origin, which nobody listens on."""
    shared = LocalCloud()
    shared.app_settings["ALLOWED_RETURN_ORIGINS"] += ",https://crm.example"
    async with shared as running:
        patient(running)
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def http(conformance: Conformance) -> AsyncIterator[httpx.AsyncClient]:
    """For what is not the CRM's API: browsers, Microsoft Graph's posts, controls of the emulators. Sends no function key."""
    async with httpx.AsyncClient(timeout=60, event_hooks={"response": [conformance.answered]}) as client:
        yield client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def storage(cloud: LocalCloud) -> AsyncIterator[Storage]:
    """The app's tables, blobs and queues."""
    async with Storage(cloud.azurite.connection_string) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def api(cloud: LocalCloud) -> AsyncIterator[CrmApi]:
    """The app's routes, for a fresh account."""
    async with cloud.api(unique("acme")) as client:
        yield client


@pytest.fixture
def account(cloud: LocalCloud, api: CrmApi, http: httpx.AsyncClient) -> Account:
    """A fresh account, without anybody connected."""
    return Account(cloud, api, http)


@pytest_asyncio.fixture(loop_scope="session")
async def connected(account: Account) -> Connected:
    """A fresh account and a user of it whose fresh mailbox is connected and watched."""
    user_id, person = unique("dana"), account.new_person()
    connection = await account.connect(user_id, person.email)
    stage = Stage(account.cloud, account.http, person.email)
    return Connected(account.cloud, account.api, account.http, user_id, person, connection, stage)


async def keeps_still(user: Connected) -> None:
    """
    Graph says nothing by itself to a cloud that is watched for as long as the session lasts.

    It would ask for reauthorization every quarter of an hour, from a quarter of an hour after the sign-in on, which the app
    answers with a renewal: calls, rows, and a run of `queue_mailbox_watch` that nobody asked for.
    """
    rules = f"{user.cloud.graph.url}/_lab/subscription-rules"
    await user.stage.lab("POST", rules, {"reauthorization": False})


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def witness(http: httpx.AsyncClient) -> AsyncIterator[Witness]:
    """A second cloud, kept still, with one connected user."""
    async with (
        LocalCloud() as still,
        Storage(still.azurite.connection_string) as storage,
        still.api(unique("acme")) as api,
    ):
        patient(still)
        account = Account(still, api, http)
        user_id, person = unique("dana"), account.new_person()
        connection = await account.connect(user_id, person.email)
        user = Connected(still, api, http, user_id, person, connection, Stage(still, http, person.email))
        await keeps_still(user)
        await user.stage.quiet()
        yield Witness(still, storage, http, user)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateway_cloud(http: httpx.AsyncClient) -> AsyncIterator[Behind]:
    """A third cloud, whose storage is behind gateways, with one connected user; for tests to use it through `behind`."""
    async with StorageGateway() as gateway:
        cloud = LocalCloud({"AzureWebJobsStorage": gateway.connection_string})
        gateway.lead_to(cloud.azurite)
        async with cloud, cloud.api(unique("acme")) as api:
            patient(cloud)
            account = Account(cloud, api, http)
            user_id, person = unique("dana"), account.new_person()
            connection = await account.connect(user_id, person.email)
            stage = Stage(cloud, http, person.email)
            # Graph repeats an attempt that failed at once instead of after 5 s.
            await stage.lab("POST", f"{cloud.graph.url}/_lab/notifications", {"first_retry_s": 0.2})
            user = Connected(cloud, api, http, user_id, person, connection, stage)
            await keeps_still(user)
            yield Behind(user, gateway)


@pytest_asyncio.fixture(loop_scope="session")
async def behind(gateway_cloud: Behind) -> AsyncIterator[Behind]:
    """The same, at rest; what a test makes the gateways refuse or hold, they let through again."""
    await gateway_cloud.user.stage.quiet()
    yield gateway_cloud
    for gateway in (gateway_cloud.gateway.blob, gateway_cloud.gateway.queue, gateway_cloud.gateway.table):
        gateway.open()
    await gateway_cloud.user.stage.quiet()
