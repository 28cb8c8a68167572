"""
Sends notifications to their addresses, as well or as badly as a test asks for.

Imitated, from https://learn.microsoft.com/graph/change-notifications-delivery-webhooks (2026-04-22): one POST carries many
items, of several subscriptions where they share an address; any 2xx within 3 seconds counts; anything else is tried again
for up to 4 hours of the clock, then with 10 seconds to answer; no redirect is followed; no order is promised; nothing is
delivered while the access token behind a subscription has expired.
Guesses, for no page states them: how long items are collected for one POST, how many it holds, and the back-off (5 s,
doubling). All three are settings. Slow endpoints are treated as endpoint_health.py says, if `penalise_slow` is set.
Not imitated: the real latency of seconds to minutes between a change and its notification (`delay_s` stands in for it).

An item's way: `send` (dropped or duplicated here) -> a round per address, which collects for a moment and may shuffle ->
first attempt -> retries, each batch by itself.
"""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

import aiohttp
from yarl import URL

from tests.cloud.clock import Clock
from tests.cloud.graph.lab_json import NUMBER, Accepts, ControlError
from tests.cloud.graph.subscriptions.endpoint_health import WINDOW, EndpointHealth
from tests.cloud.graph.subscriptions.rich import SignToken, validation_claims

GIVE_UP_AFTER = timedelta(hours=4)

SETTING_FIELDS: dict[str, Accepts] = {
    "drop_rate": NUMBER,
    "duplicate_rate": NUMBER,
    "delay_s": NUMBER,
    "shuffle": bool,
    "paused": bool,
    "seed": int,
    "batch_size": int,
    "batch_window_s": NUMBER,
    "shuffle_window_s": NUMBER,
    "first_timeout_s": NUMBER,
    "retry_timeout_s": NUMBER,
    "first_retry_s": NUMBER,
    "penalise_slow": bool,
}


@dataclass
class Settings:
    """
    How notifications are delivered. Times in seconds: time-outs are real time, all else is the clock's.

    `drop_rate` is the share that is lost (0 to 1); `duplicate_rate` the mean number of extra copies, each in a POST of its
    own (2.0: everything arrives three times). `shuffle` collects for `shuffle_window_s` and delivers one by one in random
    order; `paused` holds everything back, and what is held is one round. None of the first four touches lifecycle
    notifications, but `paused` does.
    """

    drop_rate: float = 0.0
    duplicate_rate: float = 0.0
    delay_s: float = 0.0
    shuffle: bool = False
    paused: bool = False
    seed: int = 1
    batch_size: int = 50
    batch_window_s: float = 0.05
    shuffle_window_s: float = 0.5
    first_timeout_s: float = 3.0
    retry_timeout_s: float = 10.0
    first_retry_s: float = 5.0
    penalise_slow: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.drop_rate <= 1:
            raise ControlError("'drop_rate' is a share, 0 to 1")
        if self.batch_size < 1:
            raise ControlError("'batch_size' starts at 1")
        for name, value in vars(self).items():
            if value < 0:
                raise ControlError(f"{name!r} must not be negative")


@dataclass(eq=False)
class Item:
    """
    One copy of one notification on its way to `url`.

    `wanted` turns false when its subscription is gone, `held` is true while its access token has expired; `audience` is
    the app and tenant a validation token is made for, None for basic notifications.
    """

    url: str
    body: dict[str, Any]
    wanted: Callable[[], bool]
    held: Callable[[], bool]
    lifecycle: bool = False
    audience: tuple[str, str] | None = None
    extra_delay_s: float = 0.0


@dataclass
class Counts:
    """How many notification copies (not POSTs) came to which end; `pending` are still on their way."""

    pending: int = 0
    delivered: int = 0
    failed: int = 0
    dropped: int = 0


@dataclass(eq=False)
class _Round:
    """Items for one address that leave together."""

    url: str
    items: list[Item] = field(default_factory=list)


class Notifier:
    """Delivers in background tasks of the running loop; `session` is open between `start` and `stop`."""

    def __init__(self, clock: Clock, sign_token: SignToken | None = None) -> None:
        self._clock = clock
        self._sign_token = sign_token
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._begin_afresh()

    def _begin_afresh(self) -> None:
        self.settings = Settings()
        self.counts = Counts()
        self._random = random.Random(self.settings.seed)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._open_rounds: dict[tuple[str, bool, float], _Round] = {}
        self._health = EndpointHealth(self._clock)

    @property
    def session(self) -> aiohttp.ClientSession:
        """The HTTP client that calls out: no cookies, a connection for each call."""
        if self._session is None:
            raise RuntimeError("the notifier is not started")
        return self._session

    async def start(self) -> None:
        """Open the HTTP client."""
        # A kept-alive connection to an app that was killed would look like a failed delivery: open one for each call.
        connector = aiohttp.TCPConnector(force_close=True)
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def stop(self) -> None:
        """Give up whatever is on its way."""
        tasks = list(self._tasks)
        self.reset()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def reset(self) -> None:
        """Give up whatever is on its way; usual settings and counts of nothing."""
        for task in self._tasks:
            task.cancel()
        self._begin_afresh()

    def change(self, fields: dict[str, Any]) -> None:
        """Set what `fields` names, for all that has not left yet; the rest stays. A `seed` starts its sequence anew."""
        self.settings = Settings(**{**asdict(self.settings), **fields})
        if "seed" in fields:
            self._random = random.Random(self.settings.seed)
        if self.settings.paused:
            self._flowing.clear()
        else:
            self._flowing.set()

    def send(self, item: Item) -> None:
        """Start an item on its way; returns at once."""
        copies = 1
        if not item.lifecycle:
            treatment = self._health.treatment(item.url) if self.settings.penalise_slow else "normal"
            if treatment == "drop" or self._random.random() < self.settings.drop_rate:
                self.counts.dropped += 1
                return
            if treatment == "delay":
                item.extra_delay_s = WINDOW.total_seconds()
            whole, share = divmod(self.settings.duplicate_rate, 1)
            copies += int(whole) + (self._random.random() < share)
        for _ in range(copies):
            self.counts.pending += 1
            self._collect(item)

    def _collect(self, item: Item) -> None:
        key = (item.url, item.lifecycle, item.extra_delay_s)
        if key not in self._open_rounds:
            self._open_rounds[key] = _Round(item.url)
            self._spawn(self._run(key))
        self._open_rounds[key].items.append(item)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, key: tuple[str, bool, float]) -> None:
        """Collect, wait, and attempt one round; what fails goes on in tasks of its own."""
        _, lifecycle, extra_delay_s = key
        shuffle = self.settings.shuffle and not lifecycle
        await self._clock.sleep(self.settings.shuffle_window_s if shuffle else self.settings.batch_window_s)
        await self._flowing.wait()
        items = self._open_rounds.pop(key).items
        if not lifecycle:
            await self._clock.sleep(self.settings.delay_s + extra_delay_s)
        shuffle = self.settings.shuffle and not lifecycle
        if shuffle:
            self._random.shuffle(items)
        for batch in _batches(items, 1 if shuffle else self.settings.batch_size):
            if left := await self._attempt(batch, self.settings.first_timeout_s):
                self._spawn(self._retry(left))

    async def _retry(self, batch: list[Item]) -> None:
        """Try again with exponential back-off until all is delivered or the 4 hours are over."""
        give_up_at = self._clock.now() + GIVE_UP_AFTER
        pause_s = self.settings.first_retry_s
        while batch:
            if self._clock.now() + timedelta(seconds=pause_s) > give_up_at:
                self._finish(batch, delivered=False)
                return
            await self._clock.sleep(pause_s)
            pause_s *= 2
            batch = await self._attempt(batch, self.settings.retry_timeout_s)

    async def _attempt(self, batch: list[Item], timeout_s: float) -> list[Item]:
        """One POST; returns the items that still have to be delivered."""
        await self._flowing.wait()
        self._finish([item for item in batch if not item.wanted()], delivered=False)
        batch = [item for item in batch if item.wanted()]
        ready = [item for item in batch if not item.held()]
        if ready and await self._post(ready, timeout_s):
            self._finish(ready, delivered=True)
            return [item for item in batch if item not in ready]
        return batch

    async def _post(self, batch: list[Item], timeout_s: float) -> bool:
        """Whether the address took this batch."""
        url = batch[0].url
        payload: dict[str, Any] = {"value": [item.body for item in batch]}
        audiences = sorted({item.audience for item in batch if item.audience})
        if audiences and self._sign_token:
            now = self._clock.now()
            payload["validationTokens"] = [
                self._sign_token(tenant_id, validation_claims(client_id, tenant_id, now))
                for client_id, tenant_id in audiences
            ]
        begun = time.monotonic()
        try:
            async with (
                asyncio.timeout(timeout_s),
                self.session.post(
                    URL(url, encoded=True),
                    json=payload,
                    headers={"Content-Type": "application/json; charset=utf-8"},
                    allow_redirects=False,
                ) as answer,
            ):
                return 200 <= answer.status < 300
        except (TimeoutError, aiohttp.ClientError):
            return False
        finally:
            self._health.record(url, time.monotonic() - begun)

    def _finish(self, items: list[Item], *, delivered: bool) -> None:
        self.counts.pending -= len(items)
        if delivered:
            self.counts.delivered += len(items)
        else:
            self.counts.failed += len(items)


def _batches(items: list[Item], size: int) -> list[list[Item]]:
    """Items in POSTs of at most `size`, in order, no notification twice in one."""
    batches: list[list[Item]] = []
    for item in items:
        batch = next((b for b in batches if len(b) < size and item not in b), None)
        if batch is None:
            batches.append(batch := [])
        batch.append(item)
    return batches
