"""What was measured, in memory."""

from collections import Counter
from typing import Any

from sync.domain.metrics import Metric, Reading


class FakeMetrics:
    """Keeps `flows.ports.Metrics`. `readings`: all that was noted, in order."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []

    def note(self, reading: Reading) -> None:
        """Keep it."""
        self.readings.append(reading)

    def counted(self, metric: Metric, attribute: str) -> Counter[Any]:
        """How often each value of an attribute of this metric was noted."""
        return Counter(reading.attributes[attribute] for reading in self.readings if reading.metric is metric)
