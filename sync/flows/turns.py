"""
Turns of accounts: so many deliveries of one account are under way at a time in one process, and the others do not wait here.

A receiver that is slow for one account would else hold, one after another, every place that the host has for deliveries.
"""

from collections import Counter
from datetime import timedelta

#: Deliveries of one account under way at a time in one process; the host runs 24 (host.json: batchSize and newBatchThreshold).
AT_ONCE = 4
#: Who finds no turn comes back after this, and a little later for everybody who did not either; never later than the second.
COME_BACK_AFTER = timedelta(seconds=1)
COME_BACK_WITHIN = timedelta(seconds=30)


class Turns:
    """Who has a turn, by account."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._under_way: Counter[str] = Counter()
        self._turned_away: Counter[str] = Counter()

    def take(self, account_id: str) -> timedelta:
        """Take a turn, to be given back: zero. Or how long to stay away, where there is none."""
        if self._under_way[account_id] < self._at_once:
            self._under_way[account_id] += 1
            self._turned_away.pop(account_id, None)
            return timedelta()
        self._turned_away[account_id] += 1
        rounds = self._turned_away[account_id] // self._at_once
        return min(COME_BACK_AFTER * (1 + rounds), COME_BACK_WITHIN)

    def give_back(self, account_id: str) -> None:
        """The delivery is over."""
        self._under_way[account_id] -= 1
        if not self._under_way[account_id]:
            del self._under_way[account_id]
