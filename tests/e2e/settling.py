"""
How a cloud comes to rest after trouble, without waiting for the hours that the app would wait.

The app's clock can't be moved, so the times in its rows are moved back: leases are over, what is due is overdue, and the timer
that looks for overdue work is run by hand, as the platform would run it each minute.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

import httpx
from azure.data.tables.aio import TableServiceClient

from sync.adapters.journal import JournalTable
from sync.adapters.rows import value_of
from sync.adapters.tables import Tables
from sync.domain.errors import Conflict
from sync.domain.event import Event
from sync.domain.message import Message
from tests.cloud.local import LocalCloud
from tests.cloud.polling import eventually

#: So much time seems to pass with each step: more than a lease, and than the wait before a send is repeated.
STEP = timedelta(minutes=5)


class Settling:
    """The app's rows, read and aged past the proxies."""

    def __init__(self, cloud: LocalCloud, http: httpx.AsyncClient) -> None:
        self._cloud = cloud
        self._http = http
        self._client = TableServiceClient.from_connection_string(cloud.azurite.connection_string)
        self._tables = Tables(self._client)
        self._journal = JournalTable(self._tables)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self._client.close()

    async def until[T](self, accounts: Iterable[str], look: Callable[[], Awaitable[T | None]], steps: int) -> T | None:
        """Let time pass, step by step, until `look` finds something; None where it did not after so many steps."""
        named = list(accounts)
        for _ in range(steps):
            await self.rest()
            if found := await look():
                return found
            await self.time_passes(named)
        await self.rest()
        return await look()

    async def rest(self) -> None:
        """Return once mail has left, Graph has told all, and the app has done what can be done now."""
        graph = self._cloud.graph

        async def told() -> bool:
            notifications = (await self._http.get(f"{graph.url}/_lab/notifications")).json()
            return graph.transport.pending == 0 and notifications["pending"] == 0

        await eventually(told, "Graph to come to rest", timeout=900)
        await self._cloud.functions.idle(timeout_seconds=3_600)

    async def time_passes(self, accounts: Iterable[str]) -> None:
        """Age every promise, lease and put-off delivery, then run the sweep."""
        await asyncio.gather(*(self._age(account_id) for account_id in accounts))
        owed = self._tables.table("owed")
        long_ago = datetime.now(UTC) - timedelta(minutes=1)
        async for row, version in owed.query("PartitionKey ge 'owed'"):
            try:
                await owed.replace(row | {"due_at": long_ago}, version)
            except Conflict:
                continue  # done or promised anew at this moment
        answer = await self._http.post(
            f"{self._cloud.functions_url}/admin/functions/timer_sweep",
            json={},
            headers={"x-functions-key": self._cloud.functions.master_key},
        )
        assert answer.status_code == 202, answer.text

    async def _age(self, account_id: str) -> None:
        journal = self._tables.table("journal")
        of_account = "PartitionKey eq @account and RowKey gt @first and RowKey lt @end"
        async for row, version in journal.query(of_account, account=account_id, first="message|", end="message}"):
            message = value_of(Message, row, version)
            outbox = message.outbox
            if outbox is None or message.status.final:
                continue
            aged = replace(
                outbox, lease_until=_earlier(outbox.lease_until), send_asked_at=_earlier(outbox.send_asked_at)
            )
            try:
                await self._journal.save_message(replace(message, outbox=aged))
            except Conflict:
                continue
        async for row, version in journal.query(of_account, account=account_id, first="event|", end="event}"):
            event = value_of(Event, row, version)
            if event.delivery != "pending" or event.due_at is None:
                continue
            try:
                await self._journal.save_event(replace(event, due_at=_earlier(event.due_at, timedelta(days=2))))
            except Conflict:
                continue

    async def poison(self) -> dict[str, int]:
        """How many messages are in each poison queue that has any, as `/v1/status` shows them."""
        async with self._cloud.api() as api:
            queues = (await api.status()).json()["queues"]
        return {name: queue["poison"] for name, queue in queues.items() if queue["poison"]}


def _earlier(when: datetime | None, by: timedelta = STEP) -> datetime | None:
    return when and when - by
