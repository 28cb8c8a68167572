"""The pace of a mailbox: never more than the limit in any minute, and nobody waits longer than that takes."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sync.domain.pace import MINUTE, PER_MINUTE, Pace, returned, used
from sync.domain.pace import given as give

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
EMPTY = Pace("mailbox")


def after(seconds: float) -> datetime:
    """So long after the beginning."""
    return NOW + timedelta(seconds=seconds)


def names(count: int, word: str = "msg") -> list[str]:
    """So many message ids."""
    return [f"{word}_{i}" for i in range(count)]


def test_a_mailbox_that_sent_nothing_has_room_for_a_minutes_worth() -> None:
    """Thirty at once, not one each two seconds: a small bulk send is over in a moment."""
    assert EMPTY.room(NOW) == PER_MINUTE
    assert EMPTY.room_for(PER_MINUTE, NOW) == NOW


def test_a_ticket_counts_from_when_it_is_given_until_a_minute_after_it_was_used() -> None:
    """However long that takes: an email that waits may leave at any moment."""
    pace = give(EMPTY, "acme", names(30), NOW)
    assert [pace.room(after(s)) for s in (0, 59, 3_600)] == [0, 0, 0]
    pace = used(pace, "acme", "msg_0", after(100))
    assert [pace.room(after(s)) for s in (100, 159, 160)] == [0, 0, 1]


def test_an_email_has_one_ticket() -> None:
    """Given twice, as by a process that died in between, it counts once."""
    pace = give(give(EMPTY, "acme", names(3), NOW), "acme", names(5), after(1))
    assert pace.room(after(2)) == PER_MINUTE - 5


def test_an_email_without_a_ticket_is_counted_as_it_leaves() -> None:
    """An individual email waits for nobody, and the bulk send makes room for it, even beyond the limit."""
    pace = used(give(EMPTY, "acme", names(30), NOW), "acme", "individual", after(5))
    assert pace.room(after(6)) == 0
    pace = used(pace, "acme", "msg_0", after(6))
    assert pace.room(after(65)) == 0
    assert pace.room(after(66)) == 1, "31 were out: one of them only makes up for the individual one"


def test_the_ticket_of_an_email_that_is_not_sent_comes_back() -> None:
    """Only a ticket that was not used: what was sent was sent."""
    pace = used(give(EMPTY, "acme", names(30), NOW), "acme", "msg_1", after(1))
    assert returned(pace, ["msg_0", "msg_1"]).room(after(2)) == 1


def test_when_there_will_be_room_is_told_as_far_as_it_is_known() -> None:
    """By the emails that were sent; of those on their way nobody knows."""
    pace = give(EMPTY, "acme", names(30), NOW)
    assert pace.room_for(1, after(1)) is None
    pace = used(used(pace, "acme", "msg_0", after(2)), "acme", "msg_1", after(4))
    assert [pace.room_for(n, after(5)) for n in (0, 1, 2, 3)] == [after(5), after(62), after(64), None]


@given(
    st.lists(st.tuples(st.floats(0, 20), st.integers(1, 40), st.floats(0, 90)), max_size=40),
    st.integers(1, PER_MINUTE),
)
def test_never_more_than_the_limit_leaves_in_any_minute(steps: list[tuple[float, int, float]], per_minute: int) -> None:
    """Whenever tickets are asked for, and however late the emails leave that got one."""
    pace, now, count = EMPTY, NOW, 0
    waiting: list[tuple[datetime, str]] = []
    left: list[datetime] = []
    for pause, wanted, delay in [*steps, (200.0, 0, 0.0)]:
        now += timedelta(seconds=pause)
        for at, name in sorted(entry for entry in waiting if entry[0] <= now):
            pace = used(pace, "acme", name, at)
            left.append(at)
        waiting = [entry for entry in waiting if entry[0] > now]
        asked = [f"msg_{count + i}" for i in range(wanted)]
        first = asked[: pace.room(now, per_minute)]
        pace = give(pace, "acme", first, now)
        waiting += [(now + timedelta(seconds=delay), name) for name in first]
        count += wanted
    for at in left:
        assert sum(at <= other < at + MINUTE for other in left) <= per_minute
