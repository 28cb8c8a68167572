"""The promises of content and work, on the fakes and on Azure Blobs, Queues and Tables."""

import time
from datetime import datetime, timedelta

import pytest

from sync import trace
from sync.domain.body import Body
from sync.domain.errors import NotFound
from sync.flows.ports import Work
from sync.jobs import QUEUES, DeliverEvent, EraseUser, Job, MailChange, SendMail, WatchMailbox
from tests.cloud.polling import eventually
from tests.contracts.stores import AzureStores, Stores
from tests.contracts.values import ACCOUNT, NOW

#: The bytes of a file leave in one piece; aiohttp wonders about more than 1 MiB, which takes it a millisecond here.
large_uploads = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

JOBS: list[Job] = [
    WatchMailbox("con_1", "missed"),
    SendMail(ACCOUNT, "msg_1"),
    MailChange("con_1", "AAMk-_=", 3),
    DeliverEvent(ACCOUNT, "evt_1"),
    EraseUser(ACCOUNT, "u1", again=True),
]
BODIES = [
    Body("<p>Grüße 🎈</p>", None),
    Body(None, "plain"),
    Body("", ""),
    Body(None, None),
    Body("x" * 2_000_000, "y"),
]

CONNECTION = "con_1"


@pytest.fixture(autouse=True)
async def empty_queues(stores: Stores) -> None:
    if isinstance(stores, AzureStores):
        await stores.emptied_queues()


@large_uploads
@pytest.mark.parametrize("body", BODIES, ids=["html", "text", "empty", "none", "large"])
async def test_a_body_comes_back_as_it_was(stores: Stores, body: Body) -> None:
    """What is missing stays missing, what is empty stays empty."""
    name = await stores.content().put_body(ACCOUNT, CONNECTION, "msg_1", body)
    assert await stores.content().body(name) == body


@large_uploads
async def test_a_file_comes_back_byte_for_byte(stores: Stores) -> None:
    """Stored again under the same id it has the same name; other content or another id has another."""
    content = stores.content()
    every_byte = bytes(range(256)) * 5000
    name = await content.put_file(ACCOUNT, CONNECTION, "att_1", every_byte)
    assert await stores.content().file(name) == every_byte
    assert await content.put_file(ACCOUNT, CONNECTION, "att_1", every_byte) == name
    others = [
        await content.put_file(ACCOUNT, CONNECTION, "att_1", b""),
        await content.put_file(ACCOUNT, CONNECTION, "att_2", every_byte),
        await content.put_file("other", CONNECTION, "att_1", every_byte),
        await content.put_file(ACCOUNT, "con_2", "att_1", every_byte),
    ]
    assert len({name, *others}) == 5
    assert await content.file(others[0]) == b""
    assert await content.file(name) == every_byte


async def test_content_that_is_not_there_is_not_found(stores: Stores) -> None:
    """Before anything was ever stored, and after."""
    content = stores.content()
    with pytest.raises(NotFound):
        await content.body("none")
    await content.put_file(ACCOUNT, CONNECTION, "att_1", b"x")
    with pytest.raises(NotFound):
        await content.file("none")


async def test_all_that_was_kept_for_a_connection_is_removed(stores: Stores) -> None:
    """Bodies and files, and of no other connection, however alike its name; again, or where nothing ever was, it is no error."""
    content = stores.content()
    assert await content.remove_all(ACCOUNT, CONNECTION) == 0
    kept = [
        await content.put_file(ACCOUNT, f"{CONNECTION}0", "att_1", b"x"),
        await content.put_file(f"{ACCOUNT}0", CONNECTION, "att_1", b"x"),
    ]
    going = [await content.put_file(ACCOUNT, CONNECTION, f"att_{i}", b"x") for i in range(20)]
    body = await content.put_body(ACCOUNT, CONNECTION, "msg_1", BODIES[0])
    assert await stores.content().remove_all(ACCOUNT, CONNECTION) == len(going) + 1
    assert await stores.content().remove_all(ACCOUNT, CONNECTION) == 0
    for name in (body, *going):
        with pytest.raises(NotFound):
            await content.file(name)
    for name in kept:
        assert await content.file(name) == b"x"
    assert await content.put_body(ACCOUNT, CONNECTION, "msg_1", BODIES[0]) == body
    assert await content.body(body) == BODIES[0]


async def test_a_queued_job_reaches_a_worker_as_it_was(stores: Stores) -> None:
    """Each in its own queue, in the encoding that the Functions host reads, and once."""
    work = stores.work()
    for job in JOBS:
        await work.queue(job)
    for job in JOBS:
        assert await stores.taken(job.queue) == job
        assert await stores.taken(job.queue) is None


async def test_a_delayed_job_is_not_seen_before_its_time(stores: Stores) -> None:
    """A queue counts in whole seconds: parts of one are not dropped."""
    delay = timedelta(seconds=1.5)
    began = time.monotonic()
    await stores.work().queue(JOBS[1], delay)
    assert await stores.taken_after("mail-sends", delay) == JOBS[1]
    if isinstance(stores, AzureStores):
        assert time.monotonic() - began >= delay.total_seconds()


@pytest.mark.parametrize("delay", [timedelta(days=-1), timedelta(0)])
async def test_a_delay_that_is_over_is_none(stores: Stores, delay: timedelta) -> None:
    """The job can be seen at once."""
    await stores.work().queue(JOBS[3], delay)
    assert await stores.taken("crm-deliveries") == JOBS[3]


async def test_a_delay_beyond_what_a_queue_holds_is_cut(stores: Stores) -> None:
    """Azure refuses more than seven days; the job's own row says when it is due."""
    await stores.work().queue(JOBS[0], timedelta(days=30))
    assert await stores.taken("mailbox-watch") is None
    assert (await stores.work().waiting())["mailbox-watch"] == 1


async def all_overdue(work: Work, now: datetime) -> list[Job]:
    """What is overdue in any part."""
    return [job for part in range(work.parts) async for job in work.overdue(now, part)]


async def test_what_was_promised_is_overdue_from_its_time_until_it_is_done(stores: Stores) -> None:
    """Promises outlive their queue messages, and can be told from each other; to be done twice is no error."""
    work = stores.work()

    async def overdue(minutes: float) -> set[str]:
        return {job.key for job in await all_overdue(stores.work(), NOW + timedelta(minutes=minutes))}

    assert await overdue(0) == set()
    await work.promise(JOBS[1], due_at=NOW + timedelta(minutes=1))
    await work.promise(JOBS[2], due_at=NOW + timedelta(minutes=2), delay=timedelta(hours=1))
    await work.postpone(JOBS[3], NOW + timedelta(minutes=3))
    assert await stores.taken("mail-sends") == JOBS[1]
    assert await stores.taken("mail-changes") is None
    assert await stores.taken("crm-deliveries") is None

    assert await overdue(0.9) == set()
    assert await overdue(1) == {JOBS[1].key}
    assert await overdue(3) == {job.key for job in JOBS[1:4]}
    await work.postpone(JOBS[1], NOW + timedelta(minutes=5))
    assert await overdue(3) == {JOBS[2].key, JOBS[3].key}
    for _ in range(2):
        await work.done(JOBS[2])
    assert await overdue(9) == {JOBS[1].key, JOBS[3].key}


async def test_promises_are_spread_evenly_over_the_parts(stores: Stores) -> None:
    """Each is in one part, whoever asks, and no part holds much more than its share: so none of them is the limit of all."""
    work = stores.work()
    jobs = [WatchMailbox(f"con_{number}") for number in range(160)]
    for job in jobs:
        await work.postpone(job, NOW)
    held = [[job.key async for job in stores.work().overdue(NOW, part)] for part in range(work.parts)]
    assert sorted(key for part in held for key in part) == sorted(job.key for job in jobs)
    share = len(jobs) / work.parts
    assert share / 4 <= min(map(len, held)) <= max(map(len, held)) <= share * 2.5


async def test_the_same_work_promised_twice_is_one_promise(stores: Stores) -> None:
    """The later time counts; a mailbox is watched once, whatever asks for it, and the newest reason stays."""
    work = stores.work()
    await work.promise(WatchMailbox("con_1"), due_at=NOW)
    await work.promise(WatchMailbox("con_1", "subscriptionRemoved"), due_at=NOW + timedelta(minutes=5))
    assert await all_overdue(work, NOW) == []
    assert await all_overdue(work, NOW + timedelta(hours=1)) == [WatchMailbox("con_1", "subscriptionRemoved")]


async def test_a_job_carries_the_trace_it_was_queued_in(stores: Stores) -> None:
    """In its message, and in the promise that brings it back when the message is lost; what is tried again stays there."""
    work, later = stores.work(), NOW + timedelta(hours=1)
    here = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with trace.inside(here, "mail-changes"):
        await work.promise(JOBS[3], due_at=NOW)
    taken = await stores.taken("crm-deliveries")
    assert taken is not None
    assert (taken.trace, taken.linked_to) == (here, "")
    [promised] = await all_overdue(work, later)
    assert (promised.trace, promised.due) == (here, "")

    with trace.inside("00-11111111111111111111111111111111-2222222222222222-01", "crm-deliveries"):
        await work.promise(promised, due_at=NOW)
    again = await stores.taken("crm-deliveries")
    assert again is not None
    assert again.trace == here

    with trace.inside(here, "mail-batches"):
        await work.queue(JOBS[1])
    one_of_many = await stores.taken("mail-sends")
    assert one_of_many is not None
    assert (one_of_many.trace, one_of_many.linked_to) == ("", here)


async def test_the_oldest_that_can_be_seen_is_known(stores: Stores) -> None:
    """Since when it can be seen, not since when it is there: what was put off for a day is not a day old when its time comes."""
    work = stores.work()
    assert await work.oldest() == {}
    began, at = time.monotonic(), stores.now()
    await work.queue(JOBS[2], timedelta(hours=1))
    assert await work.oldest() == {}
    await work.queue(JOBS[1], timedelta(seconds=2))

    async def seen() -> dict[str, datetime]:
        stores.passes(timedelta(seconds=0.5))
        return await work.oldest()

    oldest = await eventually(seen, "the message to be seen")
    assert stores.now() - at >= timedelta(seconds=1), "seen too early"
    assert oldest.keys() == {"mail-sends"}
    assert timedelta(seconds=1) <= oldest["mail-sends"] - at <= timedelta(seconds=3 + time.monotonic() - began)


async def test_what_waits_is_counted_for_each_queue_and_its_poison(stores: Stores) -> None:
    """Hidden messages too; a queue that was never used has none."""
    work = stores.work()
    await work.queue(JOBS[1])
    await work.queue(JOBS[1], timedelta(hours=1))
    waiting = await work.waiting()
    names = [*QUEUES, *(f"{queue}-poison" for queue in QUEUES)]
    assert waiting == {**dict.fromkeys(names, 0), "mail-sends": 2}
