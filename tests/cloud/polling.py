"""Waiting for something that another process does: look again until it is so."""

import asyncio
from collections.abc import Awaitable, Callable

#: Between two looks, in seconds: short beside what is waited for, long beside one look.
PAUSE_SECONDS = 0.05


async def eventually[T](
    look: Callable[[], Awaitable[T | None]],
    what: str,
    timeout: float = 30,  # noqa: ASYNC109 (names what was missing)
    pause: float = PAUSE_SECONDS,
) -> T:
    """
    The first answer of `look` that is true, at most `timeout` seconds from now, `pause` seconds between two looks.

    Raises TimeoutError with `what` was waited for and the last answer.
    """
    last: T | None = None
    try:
        async with asyncio.timeout(timeout):
            # Another process does it: there is nothing here to be woken by.
            while not (last := await look()):  # noqa: ASYNC110
                await asyncio.sleep(pause)
            return last
    except TimeoutError:
        raise TimeoutError(f"waited {timeout:g} s for {what}; last seen: {last!r}") from None
