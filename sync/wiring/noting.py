"""Around every queue function: why it failed is noted, and forgotten once its work is done. Nothing is imported before."""

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import azure.functions as func

if TYPE_CHECKING:
    from sync.flows.poison import Poisons

QueueFunction = Callable[[func.QueueMessage, func.Context], Awaitable[None]]


def noting(poisons: Callable[[], "Poisons"], queue: str) -> Callable[[QueueFunction], QueueFunction]:
    """A decorator of the function that works on this queue. What it raises goes on to the host, which tries again."""

    def decorated(function: QueueFunction) -> QueueFunction:
        @functools.wraps(function)
        async def noted(msg: func.QueueMessage, context: func.Context) -> None:
            tries = msg.dequeue_count or 1
            try:
                await function(msg, context)
            except Exception as error:
                await poisons().failed(queue, text_of(msg), error, tries)
                raise
            if tries > 1:
                await poisons().succeeded(queue, text_of(msg))

        return noted

    return decorated


def text_of(msg: func.QueueMessage) -> str:
    """The text of a queue message, whatever it is."""
    return msg.get_body().decode(errors="replace")
