"""How long a subscription lives."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.subscription import FALLBACK_LIFETIME, MAX_LIFETIME, MIN_LIFETIME, renew_at
from tests.unit.sample_mail import NOW


def test_the_lifetimes_of_graphs_documentation() -> None:
    """Outlook messages: from 45 minutes to 10,080 minutes, a week; older tenants half of that."""
    assert (timedelta(minutes=45), timedelta(days=7)) == (MIN_LIFETIME, MAX_LIFETIME)
    assert MIN_LIFETIME < FALLBACK_LIFETIME < MAX_LIFETIME


@pytest.mark.parametrize(
    ("lives", "renewed_after"),
    [(timedelta(days=6), timedelta(days=3)), (timedelta(minutes=45), timedelta(minutes=22, seconds=30))],
)
def test_renewal_is_at_half_life(lives: timedelta, renewed_after: timedelta) -> None:
    """Half of the life is left for failed attempts."""
    assert renew_at(NOW, NOW + lives) == NOW + renewed_after


@given(st.timedeltas(timedelta(), MAX_LIFETIME))
def test_renewal_is_never_too_late(lives: timedelta) -> None:
    """It lies between now and the end, also for a subscription that hardly lives."""
    assert NOW <= renew_at(NOW, NOW + lives) <= NOW + lives
