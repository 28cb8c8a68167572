"""
What was measured in this process so far, in plain numbers, whether or not anything is there yet to export it.

The path that answers Microsoft Graph counts here, and imports nothing of OpenTelemetry for it. Sums and standings are read
whenever they are exported; the values of a distribution go to whoever listens, and are kept for them meanwhile.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping

from sync.domain.metrics import Metric, Reading

Attributes = tuple[tuple[str, str | int], ...]
#: So many values are kept until somebody listens, the newest.
MAX_KEPT = 1_000
#: So long a gauge is told, in seconds: two exports. Another process may be the one that looks the next time, and what this
#: one saw must not stand beside that for ever.
FRESH_S = 60.0


class Tally:
    """Keeps `flows.ports.Metrics`. `wanted` is called whenever something was measured and nobody listens yet."""

    def __init__(
        self, wanted: Callable[[], None] = lambda: None, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._wanted = wanted
        self._monotonic_s = monotonic_s
        self._sums: dict[Metric, dict[Attributes, float]] = {}
        self._standings: dict[Metric, dict[Attributes, tuple[float, float]]] = {}
        self._kept: deque[Reading] = deque(maxlen=MAX_KEPT)
        self._listener: Callable[[Reading], None] | None = None

    def note(self, reading: Reading) -> None:
        """Take a value; never raises for what it is."""
        attributes = tuple(sorted(reading.attributes.items()))
        if reading.metric.kind == "counter":
            sums = self._sums.setdefault(reading.metric, {})
            sums[attributes] = sums.get(attributes, 0) + reading.value
        elif reading.metric.kind == "gauge":
            standings = self._standings.setdefault(reading.metric, {})
            standings[attributes] = (reading.value, self._monotonic_s())
        elif self._listener is not None:
            self._listener(reading)
        else:
            self._kept.append(reading)
        if self._listener is None:
            self._wanted()

    def sums(self, metric: Metric) -> Mapping[Attributes, float]:
        """How far a counter has come, by its attributes. Safe to be called from another thread, as `standings` is."""
        return self._sums.get(metric, {}).copy()

    def standings(self, metric: Metric) -> Mapping[Attributes, float]:
        """How a gauge stands, by its attributes, as far as that was seen lately."""
        seen = self._standings.get(metric, {}).copy()
        oldest = self._monotonic_s() - FRESH_S
        return {attributes: value for attributes, (value, at) in seen.items() if at >= oldest}

    def listen(self, listener: Callable[[Reading], None]) -> None:
        """Give the values of distributions to `listener` from now on, those that were kept first."""
        while self._kept:
            listener(self._kept.popleft())
        self._listener = listener
