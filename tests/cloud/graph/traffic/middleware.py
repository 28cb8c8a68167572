"""
What passes between the app and Graph: a log of every call, the faults a test asks for, and the documented limits.

This is the outermost middleware of the Graph emulator. The log and the faults are the local cloud's own; the limits and
the shape of errors imitate Graph (see limits.py, faults.py). Not logged: headers other than the few named below, and
bodies, so that the log can be shown to anyone.
"""

import time
import uuid
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any
from urllib.parse import unquote_plus

from aiohttp import web

from tests.cloud.clock import Clock
from tests.cloud.directory import Directory
from tests.cloud.graph.errors import GraphError, error_response
from tests.cloud.graph.lab_json import ControlError, Handler, control, read_fields
from tests.cloud.graph.traffic.faults import FAULT_FIELDS, Fault, cut_connection
from tests.cloud.graph.traffic.limits import LIMIT_FIELDS, Limits

JSON_CONTENT_TYPE = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"

BATCH_PATH = "/v1.0/$batch"
#: Where a handler notes whose mailbox (address) a call was for, if its token does not tell.
MAILBOX = web.RequestKey("MAILBOX", str)


class Traffic:
    """
    Logs, disturbs and limits the calls to Graph.

    `requests` is the log, oldest first, each entry a dict: `at` (arrival, RFC 3339), `method`, `path`, `query` (decoded,
    without `?`), `prefer`, `client_request_id`, `mailbox` (address, None where nobody was recognised), `status` (None
    while in flight and where the connection was cut), `bytes` (of the answer's body), `duration_s`, and `fault` where
    one struck.

    With the `directory`, the caller is known before the handler runs, as faults for one mailbox need; without it, only
    from `request[MAILBOX]` afterwards, and one bearer token counts as one user of a mailbox.
    """

    def __init__(self, clock: Clock, directory: Directory | None = None) -> None:
        self._clock = clock
        self._directory = directory
        self._faults: list[Fault] = []
        self.limits = Limits(clock)
        self.requests: list[dict[str, Any]] = []

    def reset(self) -> None:
        """Forget the log and the faults; the documented limits again."""
        self.requests.clear()
        self._faults.clear()
        self.limits.reset()

    def plan(self, fault: Fault) -> None:
        """Let this happen to the next calls that match."""
        self._faults.append(fault)

    def register(self, router: web.UrlDispatcher) -> None:
        """Add the `/_lab` routes of this module."""
        router.add_get("/_lab/requests", control(self._list_requests))
        router.add_get("/_lab/faults", control(self._list_faults))
        router.add_post("/_lab/faults", control(self._add_fault))
        router.add_get("/_lab/limits", control(self._show_limits))
        router.add_post("/_lab/limits", control(self._change_limits))

    @property
    def middleware(self) -> Any:
        """The aiohttp middleware; put it first, outside whatever turns `GraphError` into an answer."""

        @web.middleware
        async def traffic(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith("/_lab"):
                return await handler(request)
            return await self._pass(request, handler)

        return traffic

    async def _pass(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """One call, logged from its arrival on."""
        mailbox, who = self._caller(request)
        entry: dict[str, Any] = {
            "at": self._clock.now().isoformat().replace("+00:00", "Z"),
            "method": request.method,
            "path": request.path,
            "query": unquote_plus(request.rel_url.raw_query_string),
            "prefer": request.headers.get("Prefer"),
            "client_request_id": request.headers.get("client-request-id"),
            "mailbox": mailbox,
            "status": None,
            "bytes": 0,
            "duration_s": None,
        }
        self.requests.append(entry)
        begun = time.monotonic()
        uploads = request.method in {"PATCH", "POST", "PUT"}
        counted = request.path != BATCH_PATH  # a batch's items come through here by themselves
        place = (
            self.limits.admit(who, (request.content_length or 0) if uploads else 0)
            if who and counted
            else nullcontext()
        )
        try:
            with place:
                response = await self._answer(request, handler, entry)
        except GraphError as error:
            response = self._refusal(request, error)
        except web.HTTPException as error:
            entry["status"] = error.status
            raise
        finally:
            entry["mailbox"] = request.get(MAILBOX) or entry["mailbox"]
            entry["duration_s"] = round(time.monotonic() - begun, 4)
        if not entry.get("fault", {}).get("drop"):
            entry["status"] = response.status
            entry["bytes"] = _body_bytes(response)
        return response

    async def _answer(self, request: web.Request, handler: Handler, entry: dict[str, Any]) -> web.StreamResponse:
        """The handler's answer, or what a fault makes of it."""
        fault = next((f for f in self._faults if f.strikes(request.method, request.path, entry["mailbox"])), None)
        if fault is None:
            return await handler(request)
        entry["fault"] = {name: value for name, value in fault.shown().items() if name != "times"}
        fault.times -= 1
        self._faults = [f for f in self._faults if f.times > 0]
        plain = fault.status is None and not fault.drop
        if not fault.applied:
            await self._wait(fault)
        applied = await handler(request) if fault.applied or plain else None
        if fault.applied:
            await self._wait(fault)
        if fault.drop:
            return await cut_connection(request)
        return applied if plain and applied is not None else self._refusal(request, fault.error())

    async def _wait(self, fault: Fault) -> None:
        """Keep the call waiting as the fault says."""
        await self._clock.sleep(fault.delay_s)
        if fault.until is not None:
            await fault.until.wait()

    def _refusal(self, request: web.Request, error: GraphError) -> web.Response:
        """An error answered here, with the headers every answer of Graph carries."""
        request_id = str(uuid.uuid4())
        response = error_response(error, self._clock, request_id)
        response.headers["request-id"] = request_id
        response.headers["client-request-id"] = request.headers.get("client-request-id", request_id)
        response.headers["Content-Type"] = JSON_CONTENT_TYPE
        response.headers["Cache-Control"] = "private"
        return response

    def _caller(self, request: web.Request) -> tuple[str | None, str | None]:
        """The caller's address, and a key for the limits (None for a call without a token, as an upload URL has)."""
        value = request.headers.get("Authorization", "").partition(" ")[2].strip()
        token = self._directory.token(value) if self._directory and value else None
        person = self._directory.by_oid(token.oid) if self._directory and token else None
        if token is None or person is None:
            return None, value or None
        return person.email, f"{token.client_id} {token.oid}"

    async def _list_requests(self, request: web.Request) -> web.Response:
        mailbox = request.query.get("mailbox", "").lower()
        return web.json_response([e for e in self.requests if not mailbox or (e["mailbox"] or "").lower() == mailbox])

    async def _list_faults(self, _: web.Request) -> web.Response:
        return web.json_response([fault.shown() for fault in self._faults])

    async def _add_fault(self, request: web.Request) -> web.Response:
        fields = await read_fields(request, FAULT_FIELDS)
        if "match" not in fields:
            raise ControlError("'match' is required, as in 'POST */send'")
        if "mailbox" in fields and self._directory is None:
            raise ControlError("a fault for one mailbox needs Traffic to be given the directory")
        fault = Fault(**fields)
        self.plan(fault)
        return web.json_response(fault.shown(), status=201)

    async def _show_limits(self, _: web.Request) -> web.Response:
        return web.json_response(asdict(self.limits.settings))

    async def _change_limits(self, request: web.Request) -> web.Response:
        self.limits.change(await read_fields(request, LIMIT_FIELDS))
        return web.json_response(asdict(self.limits.settings))


def _body_bytes(response: web.StreamResponse) -> int:
    """The size of an answer's body as the handler made it."""
    if isinstance(response, web.Response):
        return len(response.body) if isinstance(response.body, bytes | bytearray) else 0
    return response.body_length
