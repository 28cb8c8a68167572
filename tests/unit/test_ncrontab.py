"""NCRONTAB schedules: what timers obey."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cloud.functions.ncrontab import ScheduleError, parse


def at(text: str) -> datetime:
    """A time in UTC, written as ISO 8601 without zone."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        # the examples of the documentation page
        ("0 */5 * * * *", "2026-11-23T10:02:30", "2026-11-23T10:05:00"),
        ("0 0 * * * *", "2026-11-23T10:00:00", "2026-11-23T11:00:00"),
        ("0 0 */2 * * *", "2026-11-23T10:00:01", "2026-11-23T12:00:00"),
        ("0 0 9-17 * * *", "2026-11-23T17:00:00", "2026-11-24T09:00:00"),
        ("0 30 9 * * *", "2026-11-23T09:29:59", "2026-11-23T09:30:00"),
        ("0 30 9 * * 1-5", "2026-11-27T09:30:00", "2026-11-30T09:30:00"),
        ("0 30 9 * Jan Mon", "2026-11-23T00:00:00", "2027-01-04T09:30:00"),
        ("1,30 * * * * *", "2026-11-23T10:00:01", "2026-11-23T10:00:30"),
        ("5-7 * * * * *", "2026-11-23T10:00:07", "2026-11-23T10:01:05"),
        # a/n runs to the maximum, a-b/n does not
        ("0 50/4 * * * *", "2026-11-23T10:55:00", "2026-11-23T10:58:00"),
        ("0 0-20/10 * * * *", "2026-11-23T10:20:00", "2026-11-23T11:00:00"),
        # five fields: second 0
        ("*/15 * * * *", "2026-11-23T10:00:00", "2026-11-23T10:15:00"),
        # the ends of months, years and February
        ("0 0 0 31 * *", "2026-11-01T00:00:00", "2026-12-31T00:00:00"),
        ("59 59 23 31 12 *", "2026-12-31T23:59:59", "2027-12-31T23:59:59"),
        ("0 0 0 29 2 *", "2096-02-29T00:00:00", "2104-02-29T00:00:00"),
        # day and weekday must both match: the next Friday the 13th
        ("0 0 0 13 * 5", "2026-11-23T00:00:00", "2027-08-13T00:00:00"),
        ("0 0 0 * * sunday", "2026-11-23T00:00:00", "2026-11-29T00:00:00"),
    ],
)
def test_next_occurrence(expression: str, after: str, expected: str) -> None:
    """The first occurrence strictly later than the given time."""
    assert parse(expression).next_after(at(after)) == at(expected)


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("* * * *", "4 fields"),
        ("* * * * * * *", "7 fields"),
        ("60 * * * * *", "second"),
        ("* 60 * * * *", "minute"),
        ("* * 24 * * *", "hour"),
        ("* * * 0 * *", "day"),
        ("* * * * 13 *", "month"),
        ("* * * * * 7", "day of week"),
        ("* * * * Foo *", "month"),
        ("*/0 * * * * *", "step"),
        ("*/x * * * * *", "step"),
        ("30-10 * * * * *", "range"),
        ("1,,2 * * * * *", "second"),
        ("-5 * * * * *", "second"),
        ("0 0 0 L * *", "day"),
        ("00:05:00", "1 fields"),
    ],
)
def test_wrong_expressions_name_their_fault(expression: str, fault: str) -> None:
    """What is not NCRONTAB is refused, and the message says which field is wrong."""
    with pytest.raises(ScheduleError, match=fault):
        parse(expression)


def test_a_schedule_that_never_occurs_is_an_error() -> None:
    """30 February does not make the host search for ever."""
    with pytest.raises(ScheduleError, match="never"):
        parse("0 0 0 30 2 *").next_after(at("2026-01-01T00:00:00"))


fields = st.tuples(
    st.sampled_from(["*", "0", "*/7", "10-20", "5,50"]),
    st.sampled_from(["*", "0", "*/13", "30-40/5"]),
    st.sampled_from(["*", "3", "*/6"]),
    st.sampled_from(["*", "1", "15,31"]),
    st.sampled_from(["*", "2,7", "JAN-JUN"]),
    st.sampled_from(["*", "1-5", "sat"]),
)


@given(fields, st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)))
def test_every_occurrence_matches_and_none_is_skipped(chosen: tuple[str, ...], naive: datetime) -> None:
    """An occurrence matches each field, and no second between it and the start (as far as a minute) matches them all."""
    schedule = parse(" ".join(chosen))
    start = naive.replace(tzinfo=UTC)

    def matches(when: datetime) -> bool:
        return (
            when.second in schedule.seconds
            and when.minute in schedule.minutes
            and when.hour in schedule.hours
            and when.day in schedule.days
            and when.month in schedule.months
            and when.isoweekday() % 7 in schedule.weekdays
        )

    found = schedule.next_after(start)
    assert found > start
    assert matches(found)
    second = start.replace(microsecond=0) + timedelta(seconds=1)
    while second < min(found, start + timedelta(minutes=1)):
        assert not matches(second)
        second += timedelta(seconds=1)
