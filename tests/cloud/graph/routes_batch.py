"""
`POST $batch`: up to 20 requests in one.

Imitated: https://learn.microsoft.com/graph/json-batching: each item is a request of its own, with its own headers (the
outer ones do not apply, but the caller's token does), its own status, and 424 where one it depends on failed; bodies that
are not JSON come as base64. Each item runs as a real call to this emulator, one after another, so that it is logged, limited
and disturbed like any other. Not imitated: items running in parallel, answers in another order.
"""

import base64
import json
from typing import Any

from aiohttp import ClientError, ClientSession, web

from tests.cloud.graph.errors import bad_request
from tests.cloud.graph.service import MailService, read_json

MAX_REQUESTS = 20
_FIELDS = {"id", "method", "url", "headers", "body", "dependsOn"}
_METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}
#: Of a single answer, what a batch repeats.
_SHOWN_HEADERS = ("Content-Type", "Location", "Retry-After", "Preference-Applied", "ETag", "Cache-Control")


class BatchRoutes:
    """Runs batches against this same emulator."""

    def __init__(self, service: MailService) -> None:
        self._service = service

    def register(self, router: web.UrlDispatcher) -> None:
        """Add the route of this module."""
        router.add_post("/v1.0/$batch", self._batch)

    async def _batch(self, request: web.Request) -> web.Response:
        self._service.signed_in(request, "User.Read", "Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite", "Mail.Send")
        items = _checked(await read_json(request))
        responses: list[dict[str, Any]] = []
        succeeded: dict[str, bool] = {}
        async with ClientSession(auto_decompress=False) as session:
            for item in items:
                if not all(succeeded.get(earlier) for earlier in item.get("dependsOn", ())):
                    answer = _failed(item, 424, "FailedDependency", "A request this one depends on failed.")
                else:
                    answer = await self._run(session, request.headers["Authorization"], item)
                succeeded[item["id"]] = answer["status"] < 400
                responses.append(answer)
        return web.json_response({"responses": responses})

    async def _run(self, session: ClientSession, authorization: str, item: dict[str, Any]) -> dict[str, Any]:
        headers = {**item.get("headers", {}), "Authorization": authorization}
        content_type = next((v for k, v in headers.items() if k.lower() == "content-type"), "")
        body = item.get("body")
        data: bytes | None = None
        if body is not None:
            data = json.dumps(body).encode() if "json" in content_type else base64.b64decode(str(body))
        url = f"{self._service.url}/v1.0/{item['url'].lstrip('/')}"
        try:
            async with session.request(
                item["method"].upper(), url, headers=headers, data=data, allow_redirects=False
            ) as response:
                return await _answer(item, response.status, response.headers, await response.read())
        except ClientError:
            return _failed(item, 504, "GatewayTimeout", "The request was not answered.")


async def _answer(item: dict[str, Any], status: int, headers: Any, content: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = {"id": item["id"], "status": status}
    answer["headers"] = {name: headers[name] for name in _SHOWN_HEADERS if name in headers}
    if content:
        is_json = "application/json" in headers.get("Content-Type", "")
        answer["body"] = json.loads(content) if is_json else base64.b64encode(content).decode()
    return answer


def _failed(item: dict[str, Any], status: int, code: str, message: str) -> dict[str, Any]:
    body = {"error": {"code": code, "message": message}}
    return {"id": item["id"], "status": status, "headers": {"Content-Type": "application/json"}, "body": body}


def _checked(batch: dict[str, Any]) -> list[dict[str, Any]]:
    """The items, in order; raises 400 for a batch that is malformed as a whole."""
    items = batch.get("requests")
    if set(batch) != {"requests"} or not isinstance(items, list) or not items:
        raise bad_request("Invalid batch payload format.")
    if len(items) > MAX_REQUESTS:
        raise bad_request(
            f"Number of batch request steps exceeds the max value of {MAX_REQUESTS}.", "MaximumValueExceeded"
        )
    seen: set[str] = set()
    for item in items:
        if not isinstance(item, dict) or not {"id", "method", "url"} <= set(item) <= _FIELDS:
            raise bad_request(
                "Invalid batch payload format: an item has id, method and url, and may have"
                " headers, body and dependsOn."
            )
        if str(item["method"]).upper() not in _METHODS or not isinstance(item["url"], str) or item["id"] in seen:
            raise bad_request("Invalid batch payload format: method, url or id.")
        if not set(item.get("dependsOn", ())) <= seen:
            raise bad_request("A request can depend only on requests before it.")
        if item.get("body") is not None and "content-type" not in {k.lower() for k in item.get("headers", {})}:
            raise bad_request("Request with a body must have a Content-Type header.")
        seen.add(item["id"])
    return items
