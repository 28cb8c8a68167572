"""Counting what Microsoft Graph posts, on the path that answers it: a few additions, and nothing imported for them."""

from collections.abc import Callable, Iterable
from typing import Literal

from sync.domain.errors import MalformedRequest
from sync.domain.metrics import Reading
from sync.domain.notification import Changes
from sync.domain.readings import of_notifications
from sync.flows.ports import Metrics


def counted(kind: Literal["change", "lifecycle"], metrics: Metrics | None, read: Callable[[], Changes]) -> Changes:
    """What was read, after it was counted; what could not be read is counted, too."""
    try:
        changes = read()
    except MalformedRequest:
        _note(metrics, of_notifications(kind, None))
        raise
    _note(metrics, of_notifications(kind, changes))
    return changes


def _note(metrics: Metrics | None, readings: Iterable[Reading]) -> None:
    if metrics is not None:
        for reading in readings:
            metrics.note(reading)
