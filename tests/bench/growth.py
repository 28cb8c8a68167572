"""
What so many mailboxes cost, in calls, operations, instances and money, and which limit they meet first.

    python -m tests.bench.growth     prints the tables of docs/growing.md

What a piece of work takes is measured (tests/e2e/test_growth_costs.py holds each `Cost` to it), how much of it a mailbox makes in
a day is assumed (`DAY`), limits and prices are from documents (`LIMITS`, `PRICES`). All days are alike, a month has 30 of them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

from sync.adapters.queues import PARTS
from sync.flows.catch_up import EVERY, OVERLAP

SECONDS_A_DAY = 86_400
DAYS_A_MONTH = 30
SIZES = (1_000, 100_000, 1_000_000)
#: The busiest seconds of a day against its average. Assumed: mail of office hours, in a few time zones.
PEAK = 3


@dataclass(frozen=True)
class Cost:
    """
    What one piece of work takes, as seen by Microsoft's side: calls to Graph; operations of tables, queues and blobs; executions.

    A queue message counts three times: put, taken, deleted. Taking is an upper bound, since the host takes up to 16 at once.
    """

    graph: int
    tables: int
    queues: int
    blobs: int
    executions: int


NOTIFICATION = Cost(graph=1, tables=7, queues=3, blobs=0, executions=2)
ANSWER = Cost(graph=2, tables=28, queues=8, blobs=2, executions=4)
SEND = Cost(graph=4, tables=60, queues=15, blobs=5, executions=9)
#: One table operation more than on a fresh mailbox, whose mark does not move yet.
LOOK = Cost(graph=1, tables=5, queues=3, blobs=0, executions=1)
#: Each message that a look lists is held against the threads again; that takes the tables' share of a notification.
LISTED = Cost(graph=0, tables=5, queues=0, blobs=0, executions=0)

#: Spread over the day, whatever the mail does: this work, in this group.
THE_LOOK, THE_LOOKS = "a look through the mailbox", "mailbox-catch-up"
#: By name: what it costs, and milliseconds of CPU in the worker, as tests/bench/cpu.py measured on 2026-11-28 (a message listed:
#: assumed).
WORK: dict[str, tuple[Cost, int]] = {
    "a change that has nothing to do with a thread": (NOTIFICATION, 15),
    "a message of a thread, up to its delivery": (ANSWER, 94),
    "a send, its copy and its delivery": (SEND, 182),
    THE_LOOK: (LOOK, 13),
    "a message listed by a look": (LISTED, 3),
}
RECEIVED_A_DAY = 50
LOOKS_A_DAY = SECONDS_A_DAY / EVERY.total_seconds()
#: Each message received is listed by so many looks: they begin before the last one's end.
LISTED_BY = (EVERY + OVERLAP) / EVERY
#: What a mailbox makes in a day, in the order of WORK. 150 changes: 50 messages received, each told of three times (it arrives,
#: is read, is filed); of a thread are 5, and the CRM sends 5.
DAY = (150, 5, 5, LOOKS_A_DAY, RECEIVED_A_DAY * LISTED_BY)
#: An instance that does not know the mailbox's token reads the sealed sign-in. Rare on one instance, and usual on many.
TOKEN_READS_A_DAY = 150 + LOOKS_A_DAY
EVENTS_A_DAY = 10  #: one for each message of a thread and each send
TABLE_BYTES_A_MESSAGE, BLOB_BYTES_A_MESSAGE = 30_000, 80_000  #: rows with the event; body, and a file on some

#: US dollars, pay as you go, an American region, as public documents quote them on 2026-11-28; not from Azure's own list.
PRICES = {
    "GB-second, on demand": 0.000026,
    "GB-second, always ready, idle": 0.000004,
    "million executions": 0.40,
    "10,000 table operations": 0.00036,
    "10,000 queue operations": 0.004,
    "10,000 blob operations": 0.05,
    "10,000 blob reads": 0.004,
    "GB of tables, a month": 0.045,
    "GB of blobs, a month": 0.0184,
    "GB of logs": 2.30,
}
INSTANCE_GB = 2
#: Of a core, what is used on average before the platform adds an instance. Assumed.
UTILISATION = 0.7
#: An execution on an instance that does nothing else is billed for this long at least.
AT_LEAST_SECONDS = 1.0
#: Of each execution, what Application Insights keeps with nothing sampled. Assumed.
LOG_BYTES = 1_000
#: The groups that scale by themselves, with their executions a day of one mailbox: HTTP, and each queue function.
GROUPS = {
    "http": 150 + 5 + 5 * 3,
    "mail-changes": 150 + 5 + 5 * 2,
    "mail-sends": 5 * 2,
    "crm-deliveries": EVENTS_A_DAY,
    THE_LOOKS: LOOKS_A_DAY,
}
TIMERS_A_DAY = 24 * 60 + 24 + 1


def total(*of: str, peak: float = 1) -> float:
    """
    One mailbox's day, summed over all work: of `graph`, `tables`, `queues`, `blobs`, `executions`.

    peak: so many times as much of everything but the looks, which are spread over the day.
    """
    return sum(
        count * int(getattr(cost, name))
        for count, (cost, _) in zip(_day(peak), WORK.values(), strict=True)
        for name in of
    )


def cpu_seconds(peak: float = 1) -> float:
    """One mailbox's day, in seconds of one core."""
    return sum(count * ms for count, (_, ms) in zip(_day(peak), WORK.values(), strict=True)) / 1000


def _day(peak: float) -> list[float]:
    return [count if name == THE_LOOK else count * peak for count, name in zip(DAY, WORK, strict=True)]


def storage(peak: float = 1) -> float:
    """One mailbox's day: all requests to the storage account."""
    reads = 150 * peak + LOOKS_A_DAY
    return total("tables", "queues", "blobs", peak=peak) + reads


def a_second(a_day: float) -> float:
    """The average of a day."""
    return a_day / SECONDS_A_DAY


def instances(mailboxes: int, peak: float = 1) -> float:
    """
    How many instances are awake at a time; their time is billed.

    With little to do an instance runs one execution at a time: each group is awake for the share of seconds in which something of
    it happens. With much to do, cores decide.
    """
    at_peak = {name: count if name == THE_LOOKS else count * peak for name, count in GROUPS.items()}
    rates = [a_second(count * mailboxes) for count in at_peak.values()]
    awake = sum(1 - math.exp(-rate * AT_LEAST_SECONDS) for rate in rates) + a_second(TIMERS_A_DAY) * AT_LEAST_SECONDS
    return max(awake, a_second(cpu_seconds(peak) * mailboxes) / UTILISATION)


def executions_a_month(mailboxes: int) -> float:
    """All executions."""
    return (total("executions") * mailboxes + TIMERS_A_DAY) * DAYS_A_MONTH


def gigabytes_a_month(mailboxes: int, each: int) -> float:
    """What a month of mail adds."""
    return EVENTS_A_DAY * DAYS_A_MONTH * mailboxes * each / 1e9


def costs(mailboxes: int) -> dict[str, float]:
    """Dollars a month, by what is paid for; stored is a year of mail. Free grants are left out."""
    month = DAYS_A_MONTH * mailboxes
    executions = executions_a_month(mailboxes)
    always_ready = INSTANCE_GB * SECONDS_A_DAY * DAYS_A_MONTH * PRICES["GB-second, always ready, idle"]
    busy = instances(mailboxes) * SECONDS_A_DAY * DAYS_A_MONTH * INSTANCE_GB
    return {
        "one always-ready instance for HTTP": always_ready,
        "time of instances": busy * PRICES["GB-second, on demand"],
        "executions": executions / 1e6 * PRICES["million executions"],
        "table operations": total("tables") * month / 1e4 * PRICES["10,000 table operations"],
        "queue operations": total("queues") * month / 1e4 * PRICES["10,000 queue operations"],
        "blob operations": total("blobs") * month / 1e4 * PRICES["10,000 blob operations"],
        "reads of sealed sign-ins": TOKEN_READS_A_DAY * month / 1e4 * PRICES["10,000 blob reads"],
        "tables, a year of mail": 12
        * gigabytes_a_month(mailboxes, TABLE_BYTES_A_MESSAGE)
        * PRICES["GB of tables, a month"],
        "blobs, a year of mail": 12
        * gigabytes_a_month(mailboxes, BLOB_BYTES_A_MESSAGE)
        * PRICES["GB of blobs, a month"],
        "logs, nothing sampled": executions * LOG_BYTES / 1e9 * PRICES["GB of logs"],
    }


#: Promises: one for the watch and one for the next look of each mailbox, in partitions, all of which the sweep reads each minute.
PROMISES = 2
#: CPU of the worker for each look that the sweep queues, as tests/bench/cpu.py measured on 2026-11-29.
SWEPT_MS = 4
#: Writes of promises: two for a look, by the sweep and by the look itself; eight for a send, two for a message that is told.
PROMISE_WRITES_A_LOOK, PROMISE_WRITES_A_DAY = 2, 8 * 5 + 2 * 5
#: Rows of a connection in its table; pages of 1,000 are read one after the other, each in this time. Assumed.
ROWS_A_CONNECTION, SECONDS_A_PAGE = 4, 0.05


#: Each limit, and the number of mailboxes at which it is met, at peak.
LIMITS: dict[str, Callable[[], float]] = {
    f"the sweep reads all promises within its minute: {PARTS} partitions hand out 2,000 entities a second each": lambda: (
        2_000 * PARTS * 60 / PROMISES
    ),
    f"the sweep queues all looks that are due within its minute: {SWEPT_MS} ms of one core for each": lambda: (
        EVERY.total_seconds() / (SWEPT_MS / 1000)
    ),
    "Flex Consumption: 250 instances of 2,048 MB, a region's quota before it is raised": lambda: (
        250 / instances(1_000_000, PEAK) * 1_000_000
    ),
    "one queue: 2,000 messages a second, in `mail-changes`": lambda: 2_000 / a_second(GROUPS["mail-changes"] * PEAK),
    f"promises written: 2,000 entities a second in each of {PARTS} partitions": lambda: (
        2_000 * PARTS / a_second(PROMISE_WRITES_A_LOOK * LOOKS_A_DAY + PROMISE_WRITES_A_DAY * PEAK)
    ),
    "one storage account: 20,000 requests a second": lambda: 20_000 / a_second(storage(PEAK)),
    "`GET /v1/status` counts connections within Azure's 230 s for an answer": lambda: (
        230 / SECONDS_A_PAGE * 1_000 / ROWS_A_CONNECTION
    ),
    "Microsoft Graph: 130,000 calls in 10 s for one app over all organisations": lambda: (
        13_000 / a_second(total("graph", peak=PEAK))
    ),
}


def number(value: float) -> str:
    """A number as the tables show it: two significant digits above 100, so that nobody takes it for exact."""
    if value < 10:
        return f"{value:.1f}"
    if value < 100:
        return f"{value:.0f}"
    digits = len(str(int(value))) - 2
    return f"{round(value / 10**digits) * 10**digits:,}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def work_table() -> str:
    """What each piece of work takes, and how often a mailbox makes it."""
    rows = [
        [name, number(count), *(str(n) for n in astuple(cost)), str(ms)]
        for (name, (cost, ms)), count in zip(WORK.items(), DAY, strict=True)
    ]
    day = [number(total(of)) for of in ("graph", "tables", "queues", "blobs", "executions")]
    rows.append(["**a mailbox's day**", "", *day, number(cpu_seconds() * 1000)])
    return table(["", "a day", "Graph", "tables", "queues", "blobs", "executions", "CPU, ms"], rows)


def load_table() -> str:
    """The load of so many mailboxes."""
    lines: list[tuple[str, Callable[[int], float]]] = [
        ("notifications a day", lambda n: n * DAY[0]),
        ("notifications a second, at peak", lambda n: a_second(n * DAY[0] * PEAK)),
        ("calls to Graph a day", lambda n: n * total("graph")),
        ("calls to Graph a second, at peak", lambda n: a_second(n * total("graph", peak=PEAK))),
        ("of these, looks a second, always", lambda n: a_second(n * LOOKS_A_DAY)),
        ("executions a month", executions_a_month),
        ("storage requests a second, at peak", lambda n: a_second(n * storage(PEAK))),
        ("events a day", lambda n: n * EVENTS_A_DAY),
        ("instances of 2,048 MB, on average", instances),
        ("instances, at peak", lambda n: instances(n, PEAK)),
        ("GB of rows, new each month", lambda n: gigabytes_a_month(n, TABLE_BYTES_A_MESSAGE)),
        ("GB of bodies and files, new each month", lambda n: gigabytes_a_month(n, BLOB_BYTES_A_MESSAGE)),
    ]
    head = ["mailboxes", *(f"{n:,}" for n in SIZES)]
    return table(head, [[name, *(number(value(n)) for n in SIZES)] for name, value in lines])


def limit_table() -> str:
    """Which limit is met first."""
    met = sorted(((reached(), name) for name, reached in LIMITS.items()))
    return table(["limit", "met at about, mailboxes"], [[name, number(at)] for at, name in met])


def cost_table() -> str:
    """Dollars a month."""
    by_size = [costs(n) for n in SIZES]
    rows = [[name, *(number(of[name]) for of in by_size)] for name in by_size[0]]
    rows.append(["**a month**", *(f"**{number(sum(of.values()))}**" for of in by_size)])
    rows.append(["for each mailbox", *(f"{sum(of.values()) / n:.2f}" for of, n in zip(by_size, SIZES, strict=True))])
    return table(["US dollars, mailboxes", *(f"{n:,}" for n in SIZES)], rows)


def price_table() -> str:
    """The prices that were used."""
    return table(["price of", "US dollars"], [[name, f"{price:.6f}".rstrip("0")] for name, price in PRICES.items()])


TABLES = (work_table, load_table, limit_table, cost_table, price_table)

if __name__ == "__main__":
    print("\n\n".join(made() for made in TABLES))  # noqa: T201 - that is what it is for
