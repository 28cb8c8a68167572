"""docs/growing.md and the README say what tests/bench/growth.py computes."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from sync.adapters.queues import PARTS
from sync.flows.catch_up import EVERY
from tests.bench import growth
from tests.documents import README, ROOT, codes, table

GROWING = ROOT / "docs" / "growing.md"


@pytest.mark.parametrize("made", growth.TABLES, ids=lambda made: made.__name__)
def test_each_table_is_the_computed_one(made: Callable[[], str]) -> None:
    """To fix: copy the table that `python -m tests.bench.growth` prints."""
    assert made() in GROWING.read_text()


def sentences() -> list[str]:
    """What both documents say in words, with the numbers computed anew."""
    size = 1_000_000
    looks = growth.a_second(size * growth.LOOKS_A_DAY)
    first = growth.number(min(reached() for reached in growth.LIMITS.values()))
    calls = growth.number(growth.total("graph"))
    left = growth.number(growth.total("graph") - growth.DAY[0])
    return [
        f"{size:,} mailboxes ÷ {EVERY.total_seconds():.0f} s are {looks:,.0f} looks a second",
        f"{growth.DAY[0]} notifications × {size:,} × {growth.PEAK} ÷ 86,400 s",
        f"are {growth.number(growth.a_second(size * growth.DAY[0] * growth.PEAK))} a second at peak",
        f"with nothing changed it carries about {first} mailboxes",
        f"an ordinary day's {calls} calls",
        f"{growth.number(growth.a_second(size * growth.total('graph', peak=growth.PEAK)))} calls a second at peak",
        f"the looks from {looks:,.0f} to {looks / 4:,.0f} a second",
        f"{growth.PROMISES * size:,} rows, of which the partitions together hand out {PARTS * 2_000:,} a second",
        f"each of the {growth.DAY[0]} changes that have nothing to do with a thread: {left} calls to Graph a day are "
        f"left of {calls}",
        f"carry about {first} mailboxes as they are. A mailbox costs {calls} calls to Graph a day",
        f"that look alone is {looks:,.0f} calls a second",
    ]


@pytest.mark.parametrize("sentence", sentences())
def test_each_number_in_words_is_the_computed_one(sentence: str) -> None:
    """In docs/growing.md, or in the README's summary."""
    words = " ".join((GROWING.read_text() + README.read_text()).split())
    assert sentence in words


def test_the_summary_in_the_readme_is_the_computed_one() -> None:
    """Notifications, instances and dollars of each size."""
    rows = table(README, "US dollars a month").rows
    shown = [tuple(cell.text for cell in row.values())[:4] for row in rows]
    assert shown == [
        (
            f"{size:,}",
            growth.number(size * growth.DAY[0]),
            growth.number(growth.instances(size, growth.PEAK)),
            growth.number(sum(growth.costs(size).values())),
        )
        for size in growth.SIZES
    ]


def test_what_comes_first_is_one_storage_account_and_then_our_own_sweep() -> None:
    """Both documents say in this order what gives way."""
    [first, second, third, *_] = sorted(growth.LIMITS, key=lambda name: growth.LIMITS[name]())
    assert first.startswith("one storage account")
    assert second.startswith("the sweep queues all looks")
    assert third.startswith("one queue")
    assert "one storage account, then the sweep, then one queue" in README.read_text()


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.04, "0.0"), (5.2, "5.2"), (31.4, "31"), (99.6, "100"), (121, "120"), (1_234_567, "1,200,000"), (995, "1,000")],
)
def test_numbers_are_shown_with_two_digits(value: float, shown: str) -> None:
    """Nobody takes an estimate for exact."""
    assert growth.number(value) == shown


def test_growing_costs_more() -> None:
    """Every cost grows with the mailboxes, and a mailbox is never dearer in larger company."""
    by_size = [growth.costs(size) for size in growth.SIZES]
    for smaller, larger in pairwise(by_size):
        assert all(smaller[name] <= larger[name] for name in smaller)
    each = [sum(of.values()) / size for of, size in zip(by_size, growth.SIZES, strict=True)]
    assert each == sorted(each, reverse=True)


def test_settings_that_are_to_be_turned_exist() -> None:
    """The column of what to turn names settings and files that there are."""
    turned = codes(table(GROWING, "turn"), "turn")
    known = (ROOT / "host.json").read_text() + (ROOT / "docs" / "settings.md").read_text()
    assert turned
    assert [name for name in turned if name not in known] == []
