"""
The CRM of the local cloud: it verifies every webhook, keeps what it accepted, and can be told to fail.

Imitated: the receiving side of Standard Webhooks 1.0
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md), verified with the
specification's own Python package, with several secrets while they rotate. Stricter than that package: a timestamp is a
whole number of seconds, the body is JSON sent as JSON, and the event's own `id` equals `webhook-id`.

Not imitated: a CRM's dedupe on `webhook-id` (each accepted delivery is kept, so that a test sees a repeat), `v1a`
asymmetric signatures, and TLS.
"""

import asyncio
import html
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from aiohttp import web
from pydantic import Field
from standardwebhooks import Webhook, WebhookVerificationError

from tests.cloud.controls import Control, read_control
from tests.cloud.server import Server

type Event = dict[str, Any]


class RefusedDeliveryError(Exception):
    """A delivery that a careful CRM does not believe; the message says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Delivery:
    """
    One delivery with a good signature.

    `headers` have lower-case names; `event` is the body; `answered` is the HTTP status the CRM gave; `came_at` when it came, in
    seconds since 1970.
    """

    headers: dict[str, str]
    event: Event
    answered: int
    came_at: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Refusal:
    """One delivery that was not believed. `body` is what came, undecodable bytes replaced."""

    headers: dict[str, str]
    body: str
    answered: int
    reason: str


class Answer(Control):
    """
    `POST /_lab/answer`: how the next `times` deliveries are answered.

    `delay_s` seconds pass before the answer; `retry_after` is the header's value: seconds, or an HTTP date. With `account_id`
    only that account's deliveries are meant, with `type` only those of that type, and the others pass by. `echo`: the answer's
    body is what came.
    """

    status: int = Field(ge=200, le=599)
    delay_s: float = Field(default=0, ge=0)
    retry_after: float | str | None = None
    times: int = Field(default=1, ge=1)
    account_id: str | None = None
    type: str | None = None
    echo: bool = False


@dataclass(eq=False)
class _Script:
    """An `Answer` and how often it is still given."""

    answer: Answer
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.answer.times


class CrmSink:
    """
    A CRM that listens on `webhook_url` and whose `return_url` a browser can come back to.

    secrets: `whsec_` + base64; a delivery signed with any of them is believed.

    Controls: `GET /_lab/events` (answered 2xx), `GET /_lab/attempts` (every delivery believed), `GET /_lab/refused`,
    `POST /_lab/answer`, `POST /_lab/reset`.
    """

    #: Who looks at every event that a CRM accepts (tests/conformance.py).
    observers: ClassVar[list[Callable[[Delivery], None]]] = []

    def __init__(self, secrets: list[str], port: int = 0) -> None:
        self._webhooks = [Webhook(secret) for secret in secrets]
        self._scripts: list[_Script] = []
        self._news = asyncio.Condition()
        self.accepted: list[Delivery] = []
        self.attempts: list[Delivery] = []
        self.refused: list[Refusal] = []

        application = web.Application(client_max_size=8 * 1024 * 1024)
        application.add_routes(
            [
                web.post("/webhooks", self._receive),
                web.route("*", "/moved", self._followed_a_redirect),
                web.get("/connected", _show_result),
                web.get("/_lab/events", self._list_events),
                web.get("/_lab/attempts", self._list_attempts),
                web.get("/_lab/refused", self._list_refused),
                web.post("/_lab/answer", self._script_answer),
                web.post("/_lab/reset", self._reset),
            ]
        )
        self._server = Server(application, port)
        self.url = self._server.url
        self.webhook_url = f"{self.url}/webhooks"
        self.return_url = f"{self.url}/connected"

    async def start(self) -> None:
        """Listen."""
        await self._server.start()

    async def stop(self) -> None:
        """Stop listening; what was kept stays readable from Python."""
        await self._server.stop()

    @property
    def events(self) -> list[Event]:
        """What was accepted (answered 2xx), in the order it came."""
        return [delivery.event for delivery in self.accepted]

    async def wait_for(self, predicate: Callable[[Event], bool], timeout: float = 20, *, after: int = 0) -> Event:  # noqa: ASYNC109 (raises with what did come)
        """
        The first accepted event that `predicate` holds for, waited for at most `timeout` seconds.

        after: leave out the first so many accepted events, to wait for a new one of a kind seen before.

        Raises TimeoutError naming the events that came instead.
        """
        try:
            async with asyncio.timeout(timeout), self._news:
                while True:
                    for event in self.events[after:]:
                        if predicate(event):
                            return event
                    await self._news.wait()
        except TimeoutError:
            came = ", ".join(str(event.get("type")) for event in self.events[after:]) or "nothing"
            raise TimeoutError(
                f"the CRM did not get the event within {timeout:g} s; accepted: {came}; refused: {len(self.refused)}"
            ) from None

    def reset(self) -> None:
        """Forget everything received and every scripted answer."""
        self.accepted.clear()
        self.attempts.clear()
        self.refused.clear()
        self._scripts.clear()

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            event = verify(self._webhooks, headers, body)
        except RefusedDeliveryError as refusal:
            self.refused.append(Refusal(headers, body.decode(errors="replace"), refusal.status, str(refusal)))
            return web.json_response({"error": str(refusal)}, status=refusal.status)

        answer = self._next_answer(event)
        delivery = Delivery(headers, event, answer.status)
        self.attempts.append(delivery)
        if answer.delay_s:
            await asyncio.sleep(answer.delay_s)
        if 200 <= answer.status < 300:
            for look in self.observers:
                look(delivery)
            async with self._news:
                self.accepted.append(delivery)
                self._news.notify_all()
        return web.Response(status=answer.status, headers=self._headers_of(answer), body=body if answer.echo else None)

    def _next_answer(self, event: Event) -> Answer:
        for script in self._scripts:
            meant = script.answer
            if meant.account_id in (None, event.get("account_id")) and meant.type in (None, event.get("type")):
                script.left -= 1
                if not script.left:
                    self._scripts.remove(script)
                return script.answer
        return Answer(status=204)

    def _headers_of(self, answer: Answer) -> dict[str, str]:
        headers = {}
        if answer.retry_after is not None:
            after = answer.retry_after
            headers["Retry-After"] = after if isinstance(after, str) else f"{after:g}"
        if 300 <= answer.status < 400:
            headers["Location"] = f"{self.url}/moved"
        return headers

    async def _followed_a_redirect(self, request: web.Request) -> web.Response:
        """A redirect counts as a failure; whoever follows it is noted as refused."""
        body = (await request.read()).decode(errors="replace")
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.refused.append(Refusal(headers, body, 400, "a webhook redirect was followed"))
        return web.json_response({"error": "webhook redirects are not to be followed"}, status=400)

    async def _list_events(self, _request: web.Request) -> web.Response:
        return web.json_response([asdict(delivery) for delivery in self.accepted])

    async def _list_attempts(self, _request: web.Request) -> web.Response:
        return web.json_response([asdict(delivery) for delivery in self.attempts])

    async def _list_refused(self, _request: web.Request) -> web.Response:
        return web.json_response([asdict(refusal) for refusal in self.refused])

    async def _script_answer(self, request: web.Request) -> web.Response:
        self._scripts.append(_Script(await read_control(request, Answer)))
        return web.json_response({"scripted": sum(script.left for script in self._scripts)})

    async def _reset(self, _request: web.Request) -> web.Response:
        self.reset()
        return web.Response(status=204)


def verify(webhooks: list[Webhook], headers: dict[str, str], body: bytes) -> Event:
    """
    The event in `body`, once one of `webhooks` believes its signature.

    headers: names in lower case. Raises RefusedDeliveryError: 401 for who sent it, 400 for what was sent.
    """
    if not headers.get("webhook-timestamp", "0").isdecimal():
        raise RefusedDeliveryError(401, "webhook-timestamp is not a whole number of seconds")
    reason = "there is no secret to verify with"
    for webhook in webhooks:
        try:
            webhook.verify(body, headers, json_parse=False)
            break
        except WebhookVerificationError as problem:
            reason = str(problem)
        except ValueError as problem:
            # standardwebhooks 1.1.0 lets these out on malformed headers and bodies: a signature without a comma,
            # bad base64, a body that is not UTF-8.
            reason = f"malformed: {problem}"
    else:
        raise RefusedDeliveryError(401, reason)

    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RefusedDeliveryError(400, "the body is not sent as application/json")
    try:
        event = json.loads(body)
    except ValueError as problem:
        raise RefusedDeliveryError(400, f"the body is not JSON: {problem}") from problem
    if not isinstance(event, dict) or event.get("id") != headers["webhook-id"]:
        raise RefusedDeliveryError(400, "the event's id is not the webhook-id")
    return event


_RESULTS = {
    "ok": "Signed in. The CRM can now confirm this connection.",
    "declined": "The sign-in was cancelled.",
    "admin_consent_required": "An administrator has to approve this app first.",
    "expired": "The sign-in took too long; start again.",
    "failed": "The sign-in failed.",
}


async def _show_result(request: web.Request) -> web.Response:
    """The page a person comes back to: the result in words, and the parameters that came with it."""
    words = _RESULTS.get(request.query.get("result", ""), "No result came with this visit.")
    rows = "".join(
        f"<tr><th scope=row>{html.escape(name)}</th><td><code>{html.escape(value)}</code></td></tr>"
        for name, value in request.query.items()
    )
    page = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Back in the CRM</title>
<style>
  body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 4rem auto; padding: 0 1rem; color: #1d2330 }}
  th {{ text-align: left; padding-right: 1.5rem; font-weight: 600 }} td {{ overflow-wrap: anywhere }}
</style>
<h1>Back in the CRM</h1>
<p>{words}</p>
<table>{rows}</table>
</html>"""
    return web.Response(text=page, content_type="text/html", headers={"Referrer-Policy": "no-referrer"})
