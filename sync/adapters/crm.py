"""
Pushing events to the CRM as Standard Webhooks
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).

`webhook-id` is the event's id on each try, `webhook-timestamp` the time of the try; while secrets rotate, one signature for each.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime

import httpx
from standardwebhooks import Webhook

from sync.adapters.graph_client import retry_after
from sync.domain.event import MAX_ANSWER_BYTES, Answer, Event

#: Seconds that the receiver has for its whole answer.
TIMEOUT_S = 15.0
USER_AGENT = "outlook-two-way-sync"


class CrmWebhook:
    """Keeps `flows.ports.Crm`. `on_answer` is called after each try."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        secrets: Sequence[str],
        clock: Callable[[], datetime],
        on_answer: Callable[[Event, Answer], None] | None = None,
    ) -> None:
        self._http = http
        self._url = url
        self._signers = [Webhook(secret) for secret in secrets]
        self._clock = clock
        self._on_answer = on_answer

    async def deliver(self, event: Event) -> Answer:
        """Push an event once; never raises for anything the receiver does. Redirects are not followed."""
        answer = await self._pushed(event)
        if self._on_answer is not None:
            self._on_answer(event, answer)
        return answer

    async def _pushed(self, event: Event) -> Answer:
        body = json.dumps(event.payload(), separators=(",", ":"))
        began = time.monotonic()
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),  # of all: httpx counts anew with each piece of an answer
                self._http.stream(
                    "POST",
                    self._url,
                    content=body.encode(),
                    headers=self._headers(event.event_id, body),
                    timeout=TIMEOUT_S,
                    follow_redirects=False,
                ) as response,
            ):
                text = await _beginning(response)
                return Answer(
                    response.status_code,
                    time.monotonic() - began,
                    text=text,
                    retry_after=retry_after(response.headers.get("Retry-After")),
                )
        except (httpx.HTTPError, TimeoutError) as error:
            return Answer(None, time.monotonic() - began, error=type(error).__name__)

    def _headers(self, event_id: str, body: str) -> dict[str, str]:
        now = self._clock()  # aware, in UTC: the package signs the wrong second for any other zone
        return {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": USER_AGENT,
            "webhook-id": event_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signer.sign(event_id, now, body) for signer in self._signers),
        }


async def _beginning(response: httpx.Response) -> str:
    read = b""
    async for piece in response.aiter_bytes():
        read += piece
        if len(read) >= MAX_ANSWER_BYTES:
            break
    return read[:MAX_ANSWER_BYTES].decode(errors="replace")
