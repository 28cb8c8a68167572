"""
The app's HTTP contract as the CRM's backend calls it: what the tests and the demo speak through.

Every method is one call and returns the answer as it came, good or bad; nothing is retried and nothing raised for a
status.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx


class CrmApi:
    """
    A client of one account's routes.

    url: the root of the Functions app, without a trailing slash. function_key: sent as `x-functions-key`.
    """

    def __init__(self, url: str, function_key: str, account_id: str = "acme") -> None:
        self.account_id = account_id
        self._http = httpx.AsyncClient(base_url=url, headers={"x-functions-key": function_key}, timeout=60)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; no call afterwards."""
        await self._http.aclose()

    async def start_sign_in(self, user_id: str, return_url: str, expected_email: str | None = None) -> httpx.Response:
        """201 `{sign_in_url, expires_at}`."""
        body = {"return_url": return_url} | ({"expected_email": expected_email} if expected_email else {})
        return await self._http.post(f"{self._connection(user_id)}/sign-in", json=body)

    async def complete(self, user_id: str, completion_code: str) -> httpx.Response:
        """200 the connection."""
        return await self._http.post(f"{self._connection(user_id)}/complete", json={"completion_code": completion_code})

    async def connection(self, user_id: str) -> httpx.Response:
        """200 the connection; 404 where there never was one."""
        return await self._http.get(self._connection(user_id))

    async def set_default_sender(self, user_id: str, default_sender: str) -> httpx.Response:
        """200 the connection. default_sender: `outlook` or `provider`."""
        return await self._http.put(
            f"{self._connection(user_id)}/default-sender", json={"default_sender": default_sender}
        )

    async def delete_connection(self, user_id: str, *, erase: bool = False) -> httpx.Response:
        """200 `{connection_id, erased}`, again and again."""
        return await self._http.delete(self._connection(user_id), params={"erase": "true"} if erase else None)

    async def explain(self, user_id: str, internet_message_id: str) -> httpx.Response:
        """200 the verdict of the thread rule on a message of the mailbox, now."""
        return await self._http.post(
            f"{self._connection(user_id)}/explain", json={"internet_message_id": internet_message_id}
        )

    async def settings_page(self, user_id: str, return_url: str) -> httpx.Response:
        """201 `{url, expires_at}`."""
        return await self._http.post(f"{self._account}/users/{user_id}/settings-page", json={"return_url": return_url})

    async def put_provider(self, provider: Mapping[str, Any]) -> httpx.Response:
        """200 the provider. provider: `{host, port, security, username?, password?, from, domains}`."""
        return await self._http.put(f"{self._account}/provider", json=provider)

    async def provider(self) -> httpx.Response:
        """200 the provider, without its password."""
        return await self._http.get(f"{self._account}/provider")

    async def delete_provider(self) -> httpx.Response:
        """The account has no provider any more."""
        return await self._http.delete(f"{self._account}/provider")

    async def send(self, mail: Mapping[str, Any], idempotency_key: str) -> httpx.Response:
        """202 `{messages, sender}`. mail: the send body of the contract."""
        return await self._http.post(
            f"{self._account}/messages", json=mail, headers={"Idempotency-Key": idempotency_key}
        )

    async def resolve_sender(self, kind: str, user_id: str, from_address: str | None = None) -> httpx.Response:
        """200 `{via, address, rule, syncs}`; sends nothing."""
        body = {"kind": kind, "user_id": user_id} | ({} if from_address is None else {"from": from_address})
        return await self._http.post(f"{self._account}/messages/resolve-sender", json=body)

    async def message(self, message_id: str) -> httpx.Response:
        """200 the message and its status."""
        return await self._http.get(f"{self._account}/messages/{message_id}")

    async def cancel_message(self, message_id: str) -> httpx.Response:
        """200 the message, cancelled; 409 where it may be on its way or has ended."""
        return await self._http.post(f"{self._account}/messages/{message_id}/cancel")

    async def batch(self, batch_id: str, **query: str) -> httpx.Response:
        """200 the batch with counts by status. query: `messages=true` lists its messages."""
        return await self._http.get(f"{self._account}/batches/{batch_id}", params=query)

    async def cancel_batch(self, batch_id: str) -> httpx.Response:
        """200 the batch, with everything cancelled that was not yet sent."""
        return await self._http.post(f"{self._account}/batches/{batch_id}/cancel")

    async def threads(self, **query: str) -> httpx.Response:
        """200 the threads. query: `contact_id`, `user_id`, `after`."""
        return await self._http.get(f"{self._account}/threads", params=query)

    async def thread(self, thread_id: str) -> httpx.Response:
        """200 the thread with its messages, oldest first."""
        return await self._http.get(f"{self._account}/threads/{thread_id}")

    async def attachment(self, attachment_id: str) -> httpx.Response:
        """200 the bytes."""
        return await self._http.get(f"{self._account}/attachments/{attachment_id}")

    async def events(self, after: int = 0, limit: int = 100) -> httpx.Response:
        """200 `{events, next_after, has_more}` in sequence order."""
        return await self._http.get(f"{self._account}/events", params={"after": after, "limit": limit})

    async def event(self, event_id: str) -> httpx.Response:
        """200 the event with its delivery attempts."""
        return await self._http.get(f"{self._account}/events/{event_id}")

    async def redeliver(self, event_id: str) -> httpx.Response:
        """202; the event is pushed once more."""
        return await self._http.post(f"{self._account}/events/{event_id}/redeliver")

    async def redeliver_after(self, after: object) -> httpx.Response:
        """202 `{redelivering_after, through}`; every event above this sequence is pushed once more."""
        return await self._http.post(f"{self._account}/events/redeliver", json={"after": after})

    async def webhook(self) -> httpx.Response:
        """200 how it stands with the CRM's webhook, of all accounts."""
        return await self._http.get("/v1/webhook")

    async def enable_webhook(self) -> httpx.Response:
        """200 the webhook, switched on."""
        return await self._http.post("/v1/webhook/enable")

    async def test_webhook(self) -> httpx.Response:
        """200 how the receiver answered a test event."""
        return await self._http.post("/v1/webhook/test")

    async def status(self, *, checks: bool = False) -> httpx.Response:
        """200 the counts of queues, poison messages and connections, of all accounts; and the checks, which send a test event."""
        return await self._http.get("/v1/status", params={} if checks else {"checks": "false"})

    async def replay_poison(self, queue: str | None = None) -> httpx.Response:
        """200 `{replayed, queues}`: how many messages of poison queues (of this queue) were put back."""
        return await self._http.post("/v1/poison/replay", json={"queue": queue} if queue else {})

    @property
    def _account(self) -> str:
        return f"/v1/accounts/{self.account_id}"

    def _connection(self, user_id: str) -> str:
        return f"{self._account}/users/{user_id}/connection"
