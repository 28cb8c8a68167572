"""How long a subscription lives, when it is renewed, how long a failed try waits, and which subscriptions nobody uses."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.connection import Subscription
from sync.domain.subscription import (
    FALLBACK_LIFETIME,
    JITTER,
    MAX_LIFETIME,
    MAX_WAIT_TO_CLOSE,
    MAX_WAIT_WHILE_COVERED,
    MIN_LIFETIME,
    MIN_WAIT,
    SETTLING,
    orphans,
    renew_at,
    wait_after_failure,
)
from tests.unit.sample_mail import NOW

MINUTE = timedelta(minutes=1)
MICROSECOND = timedelta(microseconds=1)
#: Graph names its subscriptions so.
SUBSCRIPTION_IDS = st.uuids().map(str)
LIVES = st.timedeltas(timedelta(), MAX_LIFETIME)


def test_the_lifetimes_of_graphs_documentation() -> None:
    """Outlook messages: from 45 minutes to 10,080 minutes, a week; older tenants half of that."""
    assert (timedelta(minutes=45), timedelta(days=7)) == (MIN_LIFETIME, MAX_LIFETIME)
    assert MIN_LIFETIME < FALLBACK_LIFETIME < MAX_LIFETIME


# When it is renewed.


@given(lives=LIVES, subscription_id=SUBSCRIPTION_IDS)
def test_renewal_is_at_half_life_or_up_to_a_tenth_of_the_life_earlier(lives: timedelta, subscription_id: str) -> None:
    """So at least half of the life is left for failed attempts, and at most 60 % of it."""
    at = renew_at(NOW, NOW + lives, subscription_id)
    assert NOW + lives * (0.5 - JITTER) - MICROSECOND <= at <= NOW + lives * 0.5 + MICROSECOND


@given(lives=LIVES, subscription_id=SUBSCRIPTION_IDS)
def test_the_same_subscription_has_the_same_spread(lives: timedelta, subscription_id: str) -> None:
    """Two workers, or two of the app's processes, agree on when it is due; no dice are kept."""
    assert renew_at(NOW, NOW + lives, subscription_id) == renew_at(NOW, NOW + lives, subscription_id)


@given(
    st.sampled_from([MIN_LIFETIME, FALLBACK_LIFETIME, MAX_LIFETIME]), st.timedeltas(timedelta(), timedelta(hours=20))
)
def test_an_outage_that_begins_with_the_renewal_ends_before_the_subscription(
    lives: timedelta, outage: timedelta
) -> None:
    """20 hours fit into the later half of a usual life, the shorter one of older tenants included; 45 minutes is no usual one."""
    left = NOW + lives - renew_at(NOW, NOW + lives, "sub-1")
    assert left > outage or lives == MIN_LIFETIME


def test_subscriptions_that_were_opened_together_are_renewed_apart() -> None:
    """Of 2,000 that were opened in the same second, each tenth of the spread has its share: no hour is crowded."""
    shares = [0] * 10
    for number in range(2_000):
        due = renew_at(NOW, NOW + MAX_LIFETIME, str(UUID(int=number * 0x9E3779B97F4A7C15 % 2**128)))
        earlier = (NOW + MAX_LIFETIME / 2 - due) / (MAX_LIFETIME * JITTER)
        shares[min(int(earlier * 10), 9)] += 1
    assert sum(shares) == 2_000
    assert min(shares) > 100
    assert max(shares) < 300


# How long a failed try waits.


@pytest.mark.parametrize(
    ("failing_for", "wait"),
    [
        (timedelta(), MIN_WAIT),
        (timedelta(seconds=90), MIN_WAIT),
        (timedelta(minutes=4), timedelta(minutes=2)),
        (timedelta(minutes=20), timedelta(minutes=10)),
        (timedelta(minutes=30), timedelta(minutes=15)),
        (timedelta(hours=20), timedelta(minutes=15)),
    ],
)
def test_a_wait_is_half_of_how_long_it_has_failed(failing_for: timedelta, wait: timedelta) -> None:
    """A short trouble is over soon after it ends; a long one is looked at a few times an hour."""
    assert wait_after_failure(NOW - failing_for, NOW, at_most=MAX_WAIT_WHILE_COVERED) == wait


@given(
    st.timedeltas(-MAX_LIFETIME, MAX_LIFETIME),
    st.timedeltas(timedelta(), MAX_LIFETIME),
    st.sampled_from([MAX_WAIT_WHILE_COVERED, MAX_WAIT_TO_CLOSE]),
)
def test_a_wait_is_within_its_bounds_and_never_shrinks(
    failing_for: timedelta, longer: timedelta, at_most: timedelta
) -> None:
    """Also where the failure came before it was due, as a renewal that Graph asked for early."""
    first = wait_after_failure(NOW - failing_for, NOW, at_most=at_most)
    later = wait_after_failure(NOW - failing_for, NOW + longer, at_most=at_most)
    assert MIN_WAIT <= first <= later <= at_most


@pytest.mark.parametrize(
    ("outage", "at_most", "tries"),
    [
        (timedelta(hours=1), MAX_WAIT_WHILE_COVERED, 12),
        (timedelta(hours=20), MAX_WAIT_WHILE_COVERED, 90),
        (timedelta(days=7), MAX_WAIT_TO_CLOSE, 180),
    ],
)
def test_a_long_outage_brings_no_storm_of_tries(outage: timedelta, at_most: timedelta, tries: int) -> None:
    """Counted as they come: a try for each wait, until the outage is over."""
    made, now = 0, NOW
    while now < NOW + outage:
        made += 1
        now += wait_after_failure(NOW, now, at_most=at_most)
    assert made <= tries
    assert now - (NOW + outage) <= at_most


# Which subscriptions nobody uses.


def subscription(name: str, ends_in: timedelta) -> Subscription:
    """One that ends so long after now."""
    return Subscription(name, NOW + ends_in, NOW + ends_in / 2)


RENEWED = subscription("renewed", MAX_LIFETIME)


@pytest.mark.parametrize(
    ("found", "in_use", "left"),
    [
        ([], [], []),
        ([RENEWED], [], []),
        ([RENEWED, subscription("old", MAX_LIFETIME / 2)], [], ["old"]),
        ([RENEWED, subscription("colleague's", MAX_LIFETIME / 2)], ["colleague's"], []),
        ([RENEWED, subscription("just opened", MAX_LIFETIME)], [], []),
        ([RENEWED, subscription("opened by a clock ahead", MAX_LIFETIME + MINUTE)], [], []),
        ([RENEWED, subscription("settling", MAX_LIFETIME - SETTLING)], [], []),
        ([RENEWED, subscription("settled", MAX_LIFETIME - SETTLING - MICROSECOND)], [], ["settled"]),
        ([subscription("a", MINUTE), RENEWED, subscription("b", MINUTE), subscription("c", MINUTE)], ["b"], ["a", "c"]),
    ],
)
def test_what_is_old_and_in_nobodys_use_is_an_orphan(
    found: Sequence[Subscription], in_use: Sequence[str], left: Sequence[str]
) -> None:
    """Not the one renewed just now, not one that a connection lives by, and not one so young that it may not be saved yet."""
    assert [orphan.subscription_id for orphan in orphans(found, RENEWED, in_use)] == list(left)


@given(
    st.lists(st.tuples(st.integers(0, 5).map(str), st.timedeltas(timedelta(), MAX_LIFETIME + SETTLING))),
    st.sets(st.integers(0, 5).map(str)),
    st.integers(0, 5).map(str),
)
def test_an_orphan_is_never_in_use_nor_younger_than_what_was_renewed(
    open_ones: list[tuple[str, timedelta]], in_use: set[str], renewed_id: str
) -> None:
    """Whatever is found: closing the orphans takes nobody's subscription away."""
    renewed = subscription(renewed_id, MAX_LIFETIME)
    found = [subscription(name, ends_in) for name, ends_in in open_ones]
    for orphan in orphans(found, renewed, in_use):
        assert orphan in found
        assert orphan.subscription_id not in in_use | {renewed_id}
        assert orphan.expires_at < renewed.expires_at - SETTLING
