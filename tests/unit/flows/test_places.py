"""Places: so many at a time, given back whatever happens, and never waited for too long."""

import asyncio

import pytest

from sync.domain.errors import Throttled
from sync.flows.places import Places


async def test_no_more_than_there_are_places() -> None:
    """The others wait, and each gets one in the end."""
    places, inside, most = Places(3), 0, 0

    async def work() -> None:
        nonlocal inside, most
        async with places.one():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(20)))
    assert most == 3


async def test_a_place_is_given_back_by_work_that_failed() -> None:
    """Else there would be none left one day."""
    places = Places(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with places.one():
                raise ZeroDivisionError


async def test_who_waits_too_long_is_asked_to_come_back() -> None:
    """A function may run for five minutes only. The place that it did not get is not lost either."""
    places = Places(1, patience_s=0.01)
    async with places.one():
        with pytest.raises(Throttled):
            async with places.one():
                pass
    async with places.one():
        pass
