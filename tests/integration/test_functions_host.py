"""The local Functions host with a small app of its own (apps/story), on Azurite: real worker process, real HTTP, real queues."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue.aio import QueueServiceClient

from tests.cloud.azurite import Azurite
from tests.cloud.functions import AppLoadError, FunctionsHost, ncrontab

APPS = Path(__file__).parent / "apps"
WAIT_SECONDS = 30
NEVER = "0 0 0 1 1 *"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def azurite() -> AsyncIterator[Azurite]:
    """One storage for all tests of this module; each test empties it of queues."""
    storage = Azurite()
    await storage.start()
    yield storage
    await storage.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def queues(azurite: Azurite) -> AsyncIterator[QueueServiceClient]:
    """A client of a storage without queues."""
    async with QueueServiceClient.from_connection_string(azurite.connection_string) as client:
        async for queue in client.list_queues():
            await client.delete_queue(queue)
        yield client


class Story:
    """A running host of the story app, with what a test needs around it."""

    def __init__(self, host: FunctionsHost, diary: Path, browser: aiohttp.ClientSession) -> None:
        self.host = host
        self._diary = diary
        self._browser = browser

    def diary(self, event: str) -> list[dict[str, Any]]:
        """What the app's functions noted about this event, in order."""
        written = self._diary.read_text() if self._diary.exists() else ""
        # The last line may be half written: another process does it.
        lines = written.rpartition("\n")[0].splitlines()
        return [entry for line in lines if (entry := json.loads(line))["event"] == event]

    async def noted(self, event: str, times: int = 1) -> list[dict[str, Any]]:
        """Wait until the app has noted this event so often."""
        await until(lambda: len(self.diary(event)) >= times)
        return self.diary(event)

    async def call(self, method: str, path: str, *, key: str | None = None, **more: Any) -> aiohttp.ClientResponse:
        """One request with the function key (or another, or with "" none), its answer read to the end."""
        headers = {"x-functions-key": self.host.function_key if key is None else key, **more.pop("headers", {})}
        headers = {name: value for name, value in headers.items() if value}
        answer = await self._browser.request(
            method, self.host.url + path, headers=headers, allow_redirects=False, **more
        )
        await answer.read()
        return answer


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition of this process or of a file."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():  # noqa: ASYNC110 - what it looks at sets no event
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running_story(
    azurite: Azurite, folder: Path, *, lease_seconds: float = 600, response_limit_seconds: float = 230, **settings: str
) -> AsyncIterator[Story]:
    """The story app with these app settings over the usual ones."""
    diary = folder / "diary.jsonl"
    usual = {
        "AzureWebJobsStorage": azurite.connection_string, "WORK_QUEUE": "work", "TICK": NEVER, "DIARY": str(diary),
    }  # fmt: skip
    host = FunctionsHost(
        APPS / "story", usual | settings, lease_seconds=lease_seconds, response_limit_seconds=response_limit_seconds
    )
    async with aiohttp.ClientSession() as browser:
        await host.start()
        try:
            yield Story(host, diary, browser)
        finally:
            await host.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def story(azurite: Azurite, queues: QueueServiceClient, tmp_path: Path) -> AsyncIterator[Story]:
    """The story app as its host.json says."""
    async with running_story(azurite, tmp_path) as running:
        yield running


async def given(queues: QueueServiceClient, *texts: str) -> None:
    """These messages are in the queue of `work`, all of them: a host that starts now finds more than it takes at a time."""
    await queues.create_queue("work")
    for text in texts:
        await queues.get_queue_client("work").send_message(base64.b64encode(text.encode()).decode())


async def texts(queues: QueueServiceClient, queue: str) -> list[str]:
    """The decoded messages that are visible in a queue."""
    try:
        found = await queues.get_queue_client(queue).peek_messages(max_messages=32)
    except ResourceNotFoundError:
        return []
    return [base64.b64decode(message.content).decode() for message in found]


# -- HTTP


async def test_a_request_reaches_the_app_as_the_real_host_passes_it(story: Story) -> None:
    """Lower-case headers, query joined by commas without empty values, decoded route parameters, body bytes."""
    answer = await story.call(
        "POST", "/Echo/J%C3%BCrg/7?x=1&x=2&empty=&sp=a%20b", data=b"\x00\xff", headers={"X-Mixed-Case": "Yes"}
    )
    seen = await answer.json()
    assert answer.status == 200
    assert answer.content_type == "application/json"
    assert seen["method"] == "POST"
    assert seen["url"] == f"{story.host.url}/Echo/J%C3%BCrg/7?x=1&x=2&empty=&sp=a%20b"
    assert seen["params"] == {"x": "1,2", "sp": "a b"}
    assert seen["route_params"] == {"name": "Jürg", "n": "7"}
    assert seen["headers"]["x-mixed-case"] == "Yes"
    assert bytes.fromhex(seen["body"]) == b"\x00\xff"


async def test_binary_bodies_wildcards_and_status_go_through_unchanged(story: Story) -> None:
    """A plain function gets and gives bytes, for any method of a route that names none."""
    body = os.urandom(1_000_000)
    for method in ("POST", "PATCH"):
        answer = await story.call(method, "/files/a/b.bin", key="", data=body)
        assert answer.status == 201
        assert await answer.read() == body[::-1]
        assert (answer.headers["X-Path"], answer.headers["X-Method"]) == ("a/b.bin", method)
    assert answer.headers["Content-Type"] == "application/octet-stream"


async def test_cookies_arrive_as_asp_net_writes_them(story: Story) -> None:
    """Each Set-Cookie arrives; values are percent-encoded, as the real host does."""
    answer = await story.call("GET", "/cookies", key="")
    assert answer.status == 302
    assert answer.headers["Location"] == "/elsewhere"
    assert answer.headers.getall("Set-Cookie") == [
        "one=a%3Db; max-age=600; path=/; secure; samesite=lax; httponly",
        "two=2; expires=Wed, 21 Oct 2026 07:28:00 GMT",
    ]


async def test_a_plain_string_is_a_response(story: Story) -> None:
    """A literal route wins over a parameter, and a function may return text."""
    answer = await story.call("GET", "/echo/literal")
    assert (answer.status, await answer.text()) == (200, "literal")


@pytest.mark.parametrize(
    ("method", "path", "key", "status"),
    [
        ("GET", "/echo/x", "function", 200),
        ("GET", "/echo/x", "master", 200),
        ("GET", "/echo/x", "", 401),
        ("GET", "/echo/x", "wrong", 401),
        ("GET", "/echo/x?code={function}", "", 200),
        ("GET", "/echo/x?code=wrong", "", 401),
        ("GET", "/admin-only", "master", 200),
        ("GET", "/admin-only", "function", 401),
        ("DELETE", "/echo/x", "function", 404),  # a wrong method
        ("GET", "/echo/x/seven", "function", 404),  # against the constraint int
        ("GET", "/nowhere", "function", 404),
        ("GET", "/", "", 200),
        ("GET", "/admin/host/status", "master", 200),
        ("GET", "/admin/host/status", "function", 401),
        ("POST", "/admin/functions/nobody", "master", 404),
        ("GET", "/admin/functions", "master", 404),
        ("GET", "/fail", "function", 500),
    ],
)
async def test_keys_and_routes(story: Story, method: str, path: str, key: str, status: int) -> None:
    """Who may call what; refusals and failures carry no body."""
    keys = {"function": story.host.function_key, "master": story.host.master_key}
    answer = await story.call(method, path.format(**keys), key=keys.get(key, key), json={})
    assert answer.status == status
    if status >= 400:
        assert await answer.read() == b""


async def test_a_failed_function_is_counted_and_told_in_the_log(story: Story) -> None:
    """A 500 tells the caller nothing and the log everything."""
    await story.call("GET", "/fail")
    assert story.host.failures["http_fail"] == 1
    assert "this is what went wrong" in story.host.log_path.read_text()


async def test_functions_run_at_the_same_time(story: Story) -> None:
    """Coroutines and threads: each of many calls waits for all the others, and one after the other they would wait in vain."""
    calls = [story.call("GET", "/together/9") for _ in range(7)]
    calls += [story.call("GET", "/together-thread/9") for _ in range(2)]
    assert {answer.status for answer in await asyncio.gather(*calls)} == {200}


async def test_a_caller_waits_no_longer_than_the_platform_lets_him(
    azurite: Azurite, queues: QueueServiceClient, tmp_path: Path
) -> None:
    """The load balancer's limit (230 s in Azure) answers in the place of the function."""
    async with running_story(azurite, tmp_path, response_limit_seconds=0.1) as story:
        assert (await story.call("GET", "/slow/1")).status == 504


async def test_a_function_beyond_its_timeout_costs_the_worker_its_life(
    azurite: Azurite, queues: QueueServiceClient, tmp_path: Path
) -> None:
    """functionTimeout: the call fails, and the next one runs in a new worker."""
    # The calls that answer at once need some of it too, on a machine that is busy with other tests.
    async with running_story(azurite, tmp_path, AzureFunctionsJobHost__functionTimeout="00:00:05") as story:
        before = (await (await story.call("GET", "/environment")).json(content_type=None))["pid"]
        assert (await story.call("GET", "/slow/60")).status == 500
        assert (await (await story.call("GET", "/environment")).json(content_type=None))["pid"] != before


async def test_the_app_sees_its_settings_and_nothing_of_our_environment(
    azurite: Azurite, queues: QueueServiceClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting that the tests' own environment happens to have cannot make up for one that is missing."""
    monkeypatch.setenv("SECRET_OF_THE_TESTER", "1")
    async with running_story(azurite, tmp_path, ONLY_THIS="yes") as story:
        seen = await (await story.call("GET", "/environment")).json(content_type=None)
    assert seen["environ"]["ONLY_THIS"] == "yes"
    assert seen["environ"]["AZURE_FUNCTIONS_ENVIRONMENT"] == "Development"
    assert not {"SECRET_OF_THE_TESTER", "PYTHONPATH"} & seen["environ"].keys()
    assert seen["cwd"] == str(APPS / "story")


# -- queues


async def test_a_message_goes_from_function_to_function(story: Story, queues: QueueServiceClient) -> None:
    """Output list, trigger, $return, trigger, bytes output: each message once, with its metadata."""
    answer = await story.call("POST", "/enqueue", json=["one", "two"])
    assert answer.status == 202
    await story.host.idle()
    assert sorted(entry["text"] for entry in story.diary("done")) == ["ONE", "TWO"]
    assert sorted(await texts(queues, "archive")) == ["copy of ONE", "copy of TWO"]
    first = story.diary("work")[0]
    assert first["dequeue_count"] == 1
    assert first["inserted"].startswith("20")
    assert story.host.invocations == {"http_enqueue": 1, "queue_work": 2, "queue_done": 2}


async def test_a_message_of_this_host_wakes_the_poller_at_once(
    azurite: Azurite, queues: QueueServiceClient, tmp_path: Path
) -> None:
    """Even when the poller has backed off to an hour."""
    async with running_story(
        azurite, tmp_path, AzureFunctionsJobHost__extensions__queues__maxPollingInterval="01:00:00"
    ) as story:
        listener = next(found for found in story.host._listeners if found.queue.name == "work")
        listener._back_off = lambda empty_polls: 3600.0  # type: ignore[method-assign]
        listener.wake()  # the next pause is the long one
        await story.call("POST", "/enqueue", json=["now"])
        await story.noted("worked")


async def test_messages_from_outside_are_found_by_polling(story: Story, queues: QueueServiceClient) -> None:
    """A message that another program adds is taken, though the queue did not exist when the host began."""
    await queues.create_queue("work")
    await queues.get_queue_client("work").send_message(base64.b64encode(b"from outside").decode())
    assert (await story.noted("worked"))[0]["text"] == "from outside"


async def test_a_failing_message_comes_back_and_ends_as_poison(story: Story, queues: QueueServiceClient) -> None:
    """maxDequeueCount (3 here) tries, each a visibilityTimeout (1 s) later, then `<queue>-poison`, for 7 days."""
    await story.call("POST", "/enqueue", json=["fail this", "good"])
    assert [entry["dequeue_count"] for entry in await wait_for_text(story, "fail this", 3)] == [1, 2, 3]
    async with asyncio.timeout(WAIT_SECONDS):
        while await texts(queues, "work-poison") != ["fail this"]:  # noqa: ASYNC110 - the storage sets no event
            await asyncio.sleep(0.02)
    await story.host.idle()
    assert await texts(queues, "work") == []
    assert story.host.failures == {"queue_work": 3}
    kept = (await queues.get_queue_client("work-poison").peek_messages())[0]
    assert kept.expires_on is not None
    assert kept.inserted_on is not None
    assert (kept.expires_on - kept.inserted_on).days == 7


async def wait_for_text(story: Story, text: str, times: int) -> list[dict[str, Any]]:
    """The entries of `work` with this text, once there are so many."""
    await until(lambda: sum(entry["text"] == text for entry in story.diary("work")) >= times)
    return [entry for entry in story.diary("work") if entry["text"] == text]


async def test_a_message_in_the_wrong_encoding_is_poison_at_once(story: Story, queues: QueueServiceClient) -> None:
    """host.json says base64; plain text never reaches the function."""
    await queues.create_queue("work")
    await queues.get_queue_client("work").send_message("not base64!")
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            found = [queue.name async for queue in queues.list_queues(name_starts_with="work-poison")]
            if found and await queues.get_queue_client("work-poison").peek_messages():
                break
            await asyncio.sleep(0.02)
    assert story.host.invocations["queue_work"] == 0


async def test_no_more_messages_run_at_once_than_host_json_allows(
    azurite: Azurite, queues: QueueServiceClient, tmp_path: Path
) -> None:
    """batchSize 4 and newBatchThreshold 2: never more than 6 at a time, and more than one."""
    await given(queues, *(f"sleep 0.{n % 3 + 1}" for n in range(30)))
    async with running_story(azurite, tmp_path) as story:
        listener = next(found for found in story.host._listeners if found.queue.name == "work")
        most = 0
        async with asyncio.timeout(WAIT_SECONDS):
            while len(story.diary("worked")) < 30:
                most = max(most, listener.running)
                await asyncio.sleep(0.005)
    assert 4 <= most <= 6


async def test_an_output_that_cannot_be_written_fails_the_call(story: Story) -> None:
    """More than 48 KiB does not fit into a queue message: the caller gets 500, not 202."""
    answer = await story.call("POST", "/enqueue", json=["x" * 49_200])
    assert answer.status == 500
    assert "could not be written" in story.host.log_path.read_text()


async def test_the_worker_library_itself_checks_outputs(story: Story) -> None:
    """A list of objects in a queue output is turned away by Microsoft's library, as it is in Azure."""
    answer = await story.call("POST", "/enqueue", json=[{"id": 1}])
    assert answer.status == 500
    assert "invalid data type in output queue message list" in story.host.log_path.read_text()


# -- death and life


async def test_a_killed_worker_is_replaced(story: Story) -> None:
    """What ran over HTTP gets 502, and the next call is answered by a new process."""
    before = (await (await story.call("GET", "/environment")).json(content_type=None))["pid"]
    slow = asyncio.create_task(story.call("GET", "/slow/20"))
    await story.noted("slow")
    await story.host.kill_worker()
    assert (await slow).status == 502
    after = (await (await story.call("GET", "/environment")).json(content_type=None))["pid"]
    assert after != before


async def test_a_message_survives_the_worker_that_ran_it(story: Story) -> None:
    """Killed in the middle, it is seen again after visibilityTimeout, one dequeue older, and done then."""
    await story.call("POST", "/enqueue", json=["sleep-once 20"])
    await story.noted("work")
    await story.host.kill_worker()
    assert [entry["dequeue_count"] for entry in await story.noted("work", 2)] == [1, 2]
    await story.noted("done")


async def test_a_message_survives_the_host_that_ran_it(
    azurite: Azurite, queues: QueueServiceClient, tmp_path: Path
) -> None:
    """A lost machine settles nothing: the message comes back when its lease ends, to another host."""
    async with running_story(azurite, tmp_path, lease_seconds=4) as story:
        await story.call("POST", "/enqueue", json=["sleep-once 20"])
        await story.noted("work")
        await story.host.kill()
        async with running_story(azurite, tmp_path, lease_seconds=4) as other:
            await other.noted("done")
            assert [entry["dequeue_count"] for entry in other.diary("work")] == [1, 2]


async def test_a_long_message_keeps_its_lease(azurite: Azurite, queues: QueueServiceClient, tmp_path: Path) -> None:
    """A function that runs longer than the lease is not run twice: the lease is renewed meanwhile."""
    # Renewed at half its life: a busy machine may take the other half for it.
    async with running_story(azurite, tmp_path, lease_seconds=4) as story:
        await story.call("POST", "/enqueue", json=["sleep 9"])
        await story.noted("done")
        await story.host.idle()
        assert len(story.diary("work")) == 1


async def test_a_stopped_host_can_be_started_again(story: Story) -> None:
    """On the same address, with the same keys."""
    await story.host.stop()
    with pytest.raises(aiohttp.ClientConnectorError):
        await story.call("GET", "/echo/x")
    await story.host.start()
    assert (await story.call("GET", "/echo/x")).status == 200


async def test_a_stop_in_the_middle_loses_no_message(
    azurite: Azurite, queues: QueueServiceClient, tmp_path: Path
) -> None:
    """What was fetched is finished, the rest stays in the queue; nothing is hidden until a lease ends."""
    await given(queues, *(f"sleep 0.0{n}" for n in range(40)))
    async with running_story(azurite, tmp_path) as story:
        await story.noted("worked", 5)
        await story.host.stop()
        assert len(story.diary("worked")) < 40
        await story.host.start()
        await story.noted("done", 40)


@pytest.mark.parametrize(
    ("app", "settings", "reason"),
    [
        ("broken", {}, "nobody configured the flux capacitor"),
        ("nowhere", {}, r"no host\.json"),
        ("story", {"WORK_QUEUE": ""}, "is no name for a queue"),
        ("story", {"AzureWebJobsStorage": ""}, "AzureWebJobsStorage"),
        ("story", {"TICK": "every minute"}, "timer_tick"),
    ],
)
async def test_an_app_that_cannot_be_loaded_says_why(
    tmp_path: Path, app: str, settings: dict[str, str], reason: str
) -> None:
    """start() raises with the worker's own text, or names the function and the setting."""
    usual = {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "WORK_QUEUE": "work", "TICK": NEVER}
    host = FunctionsHost(APPS / app, usual | {"DIARY": str(tmp_path / "diary")} | settings)
    try:
        with pytest.raises(AppLoadError, match=reason):
            await host.start()
    finally:
        await host.stop()


# -- timers and /admin


async def test_a_timer_runs_as_scheduled(azurite: Azurite, queues: QueueServiceClient, tmp_path: Path) -> None:
    """`%TICK%` is every second here; it runs and is not past due."""
    async with running_story(azurite, tmp_path, TICK="* * * * * *") as story:
        ticks = await story.noted("tick", 2)
    assert [tick["past_due"] for tick in ticks[:2]] == [False, False]


async def test_a_timer_that_was_missed_is_past_due(
    azurite: Azurite, queues: QueueServiceClient, tmp_path: Path
) -> None:
    """An occurrence while the host was stopped is made up for at the next start."""
    async with running_story(azurite, tmp_path, TICK="* * * * * *") as story:
        await story.noted("tick")
        await story.host.stop()
        before = len(story.diary("tick"))
        missed = ncrontab.parse("* * * * * *").next_after(datetime.now(UTC))
        await until(lambda: datetime.now(UTC) > missed)
        await story.host.start()
        assert (await story.noted("tick", before + 1))[before]["past_due"] is True


async def test_admin_runs_any_function_now(story: Story) -> None:
    """POST /admin/functions/{name} with the master key: 202, and `input` is a queue function's message."""
    for name, given in (("timer_tick", ""), ("Queue_Work", "by hand")):
        answer = await story.call("POST", f"/admin/functions/{name}", key=story.host.master_key, json={"input": given})
        assert answer.status == 202
    await story.host.idle()
    assert len(story.diary("tick")) == 1
    assert [entry["text"] for entry in story.diary("done")] == ["BY HAND"]
    for wrong in (b"no json", b"[]"):
        answer = await story.call("POST", "/admin/functions/timer_tick", key=story.host.master_key, data=wrong)
        assert answer.status == 400


async def test_status_says_running(story: Story) -> None:
    """GET /admin/host/status."""
    answer = await story.call("GET", "/admin/host/status", key=story.host.master_key)
    assert (await answer.json())["state"] == "Running"


async def test_idle_tells_what_keeps_it_busy(story: Story) -> None:
    """A wait in vain names the queue."""
    await story.call("POST", "/enqueue", json=["sleep 3"])
    await story.noted("work")
    with pytest.raises(TimeoutError, match="work"):
        await story.host.idle(timeout_seconds=0.1)
