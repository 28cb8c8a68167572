"""
Around every queue function: why it failed is noted, and forgotten once its work is done. Nothing is imported before.

What the host is told of a failure it writes to its log, so that it is told the kind of error and the places in the code, and
never the error's words, which may hold addresses, codes or tokens.
"""

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import azure.functions as func

from sync.domain.failure import reason_of

if TYPE_CHECKING:
    from sync.flows.poison import Poisons


class WorkFailed(Exception):
    """A function failed; the words are those of `domain.failure.reason_of`."""


QueueFunction = Callable[[func.QueueMessage, func.Context], Awaitable[None]]
TimerFunction = Callable[[func.TimerRequest], Awaitable[None]]


def noting(poisons: Callable[[], "Poisons"], queue: str) -> Callable[[QueueFunction], QueueFunction]:
    """A decorator of the function that works on this queue. A failure goes on to the host as WorkFailed, which tries again."""

    def decorated(function: QueueFunction) -> QueueFunction:
        @functools.wraps(function)
        async def noted(msg: func.QueueMessage, context: func.Context) -> None:
            tries = msg.dequeue_count or 1
            try:
                await function(msg, context)
            except Exception as error:  # noqa: BLE001 - told by its kind
                await poisons().failed(queue, text_of(msg), error, tries)
                raise WorkFailed(reason_of(error)) from None
            if tries > 1:
                await poisons().succeeded(queue, text_of(msg))

        return noted

    return decorated


def timed(function: TimerFunction) -> TimerFunction:
    """A decorator of the function that a timer starts."""

    @functools.wraps(function)
    async def kept(timer: func.TimerRequest) -> None:
        try:
            await function(timer)
        except Exception as error:  # noqa: BLE001 - told by its kind
            raise WorkFailed(reason_of(error)) from None

    return kept


def text_of(msg: func.QueueMessage) -> str:
    """The text of a queue message, whatever it is."""
    return msg.get_body().decode(errors="replace")
