"""
Work that failed in a way nobody foresaw: where in the code and by what kind of error, never in its words, which may hold
addresses, codes or tokens.
"""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

#: So many places in the code are named, the innermost first.
MAX_PLACES = 6
UNKNOWN = "unknown: the process ended before it could say why"


@dataclass(frozen=True)
class Failure:
    """Why a piece of work was not done the last time. `since`: of the first failure; `tries`: how often it was begun."""

    queue: str
    key: str
    reason: str
    since: datetime
    tries: int


@dataclass(frozen=True)
class PoisonMessage:
    """A message of the poison queue of `queue`: its text, and since when it is there."""

    queue: str
    text: str
    inserted_at: datetime


@dataclass(frozen=True)
class Poisoned:
    """Work that was given up and waits for people. `job`: its ids; `tries`: None where that is not known."""

    queue: str
    job: Mapping[str, object]
    since: datetime
    reason: str
    tries: int | None


def told_of(error: Exception) -> dict[str, object]:
    """What a log says of a neighbour's no: its kind, and the neighbour's code and status, never its words."""
    known = {name: getattr(error, name) for name in ("code", "status", "cause") if hasattr(error, name)}
    return {"kind": type(error).__name__, **known}


def reason_of(error: BaseException) -> str:
    """The kind of error and the places in the code that led to it, as `KeyError at a.py:12 < b.py:3`."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames]
    return f"{type(error).__name__} at {' < '.join(reversed(places[-MAX_PLACES:]))}"
