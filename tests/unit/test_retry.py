"""When something is tried again: the schedules, their edges, and what a receiver may ask for."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.retry import (
    DELIVERY_DELAYS,
    GIVE_UP_SENDING_AFTER,
    JITTER,
    MAX_DELAY,
    SEND_DELAYS,
    GiveUp,
    RetryAt,
    after_failed_delivery,
    after_unfinished_send,
)
from tests.unit.sample_mail import NOW

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)

# Now, and then after each of these: 10 tries over 75 h 35 min 5 s, three days and a bit (at most 83 h with all jitter).
SCHEDULE = [5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR]


def test_the_schedule_of_deliveries() -> None:
    """The contract's ten tries, and no eleventh."""
    for attempts, delay in enumerate(SCHEDULE, start=1):
        assert after_failed_delivery(attempts, NOW, dice=0.0) == RetryAt(NOW + delay)
    assert after_failed_delivery(len(SCHEDULE) + 1, NOW, dice=0.0) == GiveUp("10 tries failed")
    assert sum(DELIVERY_DELAYS, timedelta()) == timedelta(hours=75, minutes=35, seconds=5)


@given(st.integers(1, len(SCHEDULE)), st.floats(0, 1))
def test_jitter_spreads_and_never_hurries(attempts: int, dice: float) -> None:
    """A try comes at its time or up to a tenth of the delay later."""
    decided = after_failed_delivery(attempts, NOW, dice=dice)
    assert isinstance(decided, RetryAt)
    delay = SCHEDULE[attempts - 1]
    assert delay <= decided.when - NOW <= delay * (1 + JITTER)


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        (None, 5 * MINUTE),
        (timedelta(), 5 * MINUTE),
        (-1 * HOUR, 5 * MINUTE),
        (4 * MINUTE, 5 * MINUTE),
        (6 * MINUTE, 6 * MINUTE),
        (MAX_DELAY, MAX_DELAY),
        (MAX_DELAY + SECOND, MAX_DELAY),
        (timedelta(days=10_000), MAX_DELAY),
    ],
)
def test_retry_after_is_obeyed(asked: timedelta | None, waits: timedelta) -> None:
    """A receiver can ask for more time, as far as a queue can wait; it can't make us hurry."""
    assert after_failed_delivery(2, NOW, dice=0.0, retry_after=asked) == RetryAt(NOW + waits)


@pytest.mark.parametrize("attempts", [1, 5, 10, 99])
def test_gone_ends_it(attempts: int) -> None:
    """410 stops the deliveries of an event at once, whatever else the answer asked for."""
    decided = after_failed_delivery(attempts, NOW, dice=0.5, retry_after=HOUR, gone=True)
    assert decided == GiveUp("the receiver answered 410 Gone")


def test_retry_after_brings_no_further_try() -> None:
    """After the last try the schedule has ended, even if the receiver asks to come back."""
    assert isinstance(after_failed_delivery(10, NOW, dice=0.0, retry_after=SECOND), GiveUp)


@pytest.mark.parametrize(
    ("tries", "seconds"), [(1, 1), (2, 3), (3, 10), (4, 30), (5, 120), (6, 300), (7, 900), (8, 900), (1_000, 900)]
)
def test_the_waits_between_tries_to_send(tries: int, seconds: int) -> None:
    """Quick at first, since a person waits, then every 15 minutes."""
    assert after_unfinished_send(tries, NOW, NOW) == RetryAt(NOW + timedelta(seconds=seconds))
    assert len(SEND_DELAYS) == 7


@pytest.mark.parametrize("tries", [1, 500])
def test_a_send_is_given_up_after_a_day(tries: int) -> None:
    """The user hears of it within 24 hours; up to that moment it is tried."""
    end = NOW + GIVE_UP_SENDING_AFTER
    assert GIVE_UP_SENDING_AFTER == 24 * HOUR
    assert isinstance(after_unfinished_send(tries, NOW, end), RetryAt)
    assert isinstance(after_unfinished_send(tries, NOW, end + SECOND), GiveUp)


@pytest.mark.parametrize(
    ("tries", "asked", "waits"),
    [
        pytest.param(1, SECOND, SECOND, id="as long as asked"),
        pytest.param(1, HOUR, HOUR, id="however long"),
        pytest.param(3, SECOND, 10 * SECOND, id="longer where that was not enough"),
        pytest.param(7, SECOND, 30 * SECOND, id="never much longer: who says when to come back is there"),
        pytest.param(7, 2 * MINUTE, 2 * MINUTE, id="not earlier than asked"),
        pytest.param(7, timedelta(0), 15 * MINUTE, id="nothing said"),
        pytest.param(1, timedelta(days=99), MAX_DELAY, id="no longer than a queue can hold"),
    ],
)
def test_a_throttled_send_waits_as_asked(tries: int, asked: timedelta, waits: timedelta) -> None:
    """Graph's Retry-After delays a try; said again and again by a busy mailbox, it does not make an email late by minutes."""
    assert after_unfinished_send(tries, NOW, NOW, retry_after=asked) == RetryAt(NOW + waits)
