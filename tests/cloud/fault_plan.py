"""
What goes wrong, and when: decided for each request from a seed, so that a run can be played again.

The decision about a neighbour's n-th request of a method depends on the seed, the neighbour, the method and n alone: as far as
the calls come in the same order, they fail in the same way.
"""

import random
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase


class Kind(StrEnum):
    """
    A way in which a call fails.

    RESET: the connection breaks before the call had any effect.
    LOST: it breaks after the call took effect, so that nobody hears of it.
    TIMEOUT: nothing is done, and no answer comes.
    BUSY: refused for now, with Retry-After.
    FAILED: a server error, nothing done.
    FAILED_LATE: a server error although it was done.
    TRUNCATED: done, and the answer breaks off half-way.
    SLOW: done, and answered late.
    """

    RESET = "reset"
    LOST = "lost"
    TIMEOUT = "timeout"
    BUSY = "busy"
    FAILED = "failed"
    FAILED_LATE = "failed late"
    TRUNCATED = "truncated"
    SLOW = "slow"


EVERY_KIND = tuple(Kind)


@dataclass(frozen=True)
class FaultRule:
    """
    How often calls fail that match.

    rate: the share, 0 to 1. neighbour, call: globs over the neighbour's name and over `METHOD /path` without the query.
    """

    rate: float
    neighbour: str = "*"
    call: str = "*"
    kinds: tuple[Kind, ...] = EVERY_KIND


@dataclass(frozen=True)
class FaultPlan:
    """
    The faults of a run. Of the rules the first that matches counts; a call that none matches does not fail.

    hang_s: so long a call without an answer is kept waiting before its connection breaks, unless the caller gives up before.
    slow_s: so long a slow answer takes. retry_after_s: what a busy neighbour asks for.
    """

    seed: int
    rules: tuple[FaultRule, ...] = (FaultRule(0.05),)
    hang_s: float = 3.0
    slow_s: float = 1.0
    retry_after_s: int = 1

    def decide(self, neighbour: str, number: int, call: str) -> Kind | None:
        """What becomes of the neighbour's call (`METHOD /path`), its method's with this running number; None: it goes well."""
        chance = random.Random(f"{self.seed}|{neighbour}|{call.partition(' ')[0]}|{number}")
        for rule in self.rules:
            if fnmatchcase(neighbour, rule.neighbour) and fnmatchcase(call, rule.call):
                return chance.choice(rule.kinds) if chance.random() < rule.rate else None
        return None
