"""
Graph's limits on one app's use of one mailbox, enforced as documented.

Imitated, from https://learn.microsoft.com/graph/throttling-limits (Outlook service limits): 4 requests at a time, 10,000
requests in 10 minutes, 150 MB uploaded (PATCH, POST, PUT) in 5 minutes, each answered 429 `ApplicationThrottled`.
The page says MB; 150 x 1024 x 1024 bytes is assumed. Real Retry-After with the concurrency limit is a formality: 1.
The items of a `$batch` count one by one, the batch itself does not.
Not imitated: the limit over all mailboxes (130,000 in 10 s).
"""

from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from tests.cloud.clock import Clock
from tests.cloud.graph.errors import GraphError
from tests.cloud.graph.lab_json import Accepts

REQUEST_WINDOW = timedelta(minutes=10)
UPLOAD_WINDOW = timedelta(minutes=5)
NOTHING = type(None)

LIMIT_FIELDS: dict[str, Accepts] = {
    "concurrency": (int, NOTHING),
    "requests_per_10_min": (int, NOTHING),
    "upload_bytes_per_5_min": (int, NOTHING),
}


@dataclass
class LimitSettings:
    """The limits of one app on one mailbox; None switches one off."""

    concurrency: int | None = 4
    requests_per_10_min: int | None = 10_000
    upload_bytes_per_5_min: int | None = 150 * 1024 * 1024


def _throttled(reason: str, retry_after_seconds: float) -> GraphError:
    """The 429 of one limit (`MailboxConcurrency`, `RequestRate`, `IncomingBytes`)."""
    message = f"Application is over its {reason} limit."
    return GraphError(429, "ApplicationThrottled", message, {"Retry-After": f"{max(retry_after_seconds, 1):.0f}"})


class Limits:
    """Counts per user of a mailbox (`who`, any text that names the app and the mailbox together)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """The documented limits, and nothing counted."""
        self.settings = LimitSettings()
        self._in_flight: defaultdict[str, int] = defaultdict(int)
        self._requests: defaultdict[str, deque[datetime]] = defaultdict(deque)
        self._uploads: defaultdict[str, deque[tuple[datetime, int]]] = defaultdict(deque)

    def change(self, fields: dict[str, int | None]) -> None:
        """Set the limits named in `fields`; the others stay."""
        self.settings = LimitSettings(**{**asdict(self.settings), **fields})

    @contextmanager
    def admit(self, who: str, upload_bytes: int) -> Iterator[None]:
        """Hold a place for one call, or raise 429. `upload_bytes` is 0 for a call that uploads nothing."""
        self._check_rates(who, upload_bytes)
        limit = self.settings.concurrency
        if limit is not None and self._in_flight[who] >= limit:
            raise _throttled("MailboxConcurrency", 1)
        in_flight = self._in_flight  # a reset meanwhile starts a new count, to which this call does not belong
        in_flight[who] += 1
        try:
            yield
        finally:
            in_flight[who] -= 1

    def _check_rates(self, who: str, upload_bytes: int) -> None:
        now = self._clock.now()
        requests, uploads = self._requests[who], self._uploads[who]
        while requests and requests[0] <= now - REQUEST_WINDOW:
            requests.popleft()
        while uploads and uploads[0][0] <= now - UPLOAD_WINDOW:
            uploads.popleft()
        most, most_bytes = self.settings.requests_per_10_min, self.settings.upload_bytes_per_5_min
        if most is not None and len(requests) >= most:
            oldest = requests[0] if requests else now
            raise _throttled("RequestRate", (oldest + REQUEST_WINDOW - now).total_seconds())
        uploaded = sum(size for _, size in uploads)
        if most_bytes is not None and upload_bytes and uploaded + upload_bytes > most_bytes:
            oldest = uploads[0][0] if uploads else now
            raise _throttled("IncomingBytes", (oldest + UPLOAD_WINDOW - now).total_seconds())
        requests.append(now)
        if upload_bytes:
            uploads.append((now, upload_bytes))
