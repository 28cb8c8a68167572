"""
The app's answers and events, held against its own OpenAPI document: so every end-to-end test is a test of the document, too.

The document lets answers grow, and forbids no members in them. Here nothing may be there that it does not name: a new member
of an answer, a new code or status, fails the test that meets it first. Mend the document (sync/api/reference), or the answer.
"""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs

from sync.api.reference.document import document
from sync.api.reference.operations import NOT_DESCRIBED
from tests.cloud.crm import Delivery

type Json = dict[str, Any]

#: Every answer of the app itself has these headers; the platform's (no key, no worker) and the emulators' have not.
OF_THE_APP = {"strict-transport-security", "referrer-policy"}
#: What is served and not described, as operations/__init__.py lists it by function.
ELSEWHERE = re.compile("/settings/assets/[^/]+")
assert NOT_DESCRIBED.keys() == {"http_settings_asset"}


class Conformance:
    """Compares, and keeps what departs as a line each in `departures`; `met` are the operations and statuses that came by."""

    def __init__(self, shown: Json | None = None) -> None:
        self._document = strict(shown or document("https://sync.example"))
        self._routes = sorted(_routes(self._document), key=lambda route: route[1].pattern.count("[^/]+"))
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}
        self.departures: list[str] = []
        self.met: set[tuple[str, int]] = set()

    async def answered(self, response: httpx.Response) -> None:
        """An answer of the app; a hook of httpx, which reads the body before the caller does. Others' answers pass."""
        if not OF_THE_APP.issubset(name.lower() for name in response.headers):
            return
        await response.aread()
        request = response.request
        self.departures += self.answer(
            request.method,
            request.url.raw_path.decode().partition("?")[0],
            response.status_code,
            response.headers.get("content-type", ""),
            response.content,
        )

    def delivered(self, delivery: Delivery) -> None:
        """An event that the CRM accepted."""
        self.departures += self.delivery(delivery.headers, delivery.event)

    def answer(self, method: str, path: str, status: int, content_type: str, content: bytes) -> list[str]:
        """What of an answer is not as the document says."""
        operation = self._operation(method, path)
        if operation is None:
            return [] if ELSEWHERE.fullmatch(path) else [f"{method} {path} is not in the document"]
        where = f"{operation['operationId']} {status}"
        described = operation["responses"].get(str(status))
        if described is None:
            return [f"{where}: no such status; {content[:300].decode(errors='replace')}"]
        self.met.add((operation["operationId"], status))
        kinds = described.get("content", {})
        media_type = content_type.partition(";")[0]
        if not kinds:
            return [f"{where}: no body is described"] if content else []
        if media_type not in kinds:
            return [f"{where}: {media_type or 'no type'} instead of {', '.join(kinds)}"]
        if not media_type.endswith("json"):
            return []
        return self._departures(where + media_type, kinds[media_type]["schema"], json.loads(content))

    def delivery(self, headers: dict[str, str], event: Json) -> list[str]:
        """What of a delivery is not as the document says."""
        webhook = self._document["webhooks"].get(event["type"])
        if webhook is None:
            return [f"no such event: {event['type']}"]
        found = []
        for parameter in webhook["post"]["parameters"]:
            value = headers.get(parameter["name"])
            found += self._departures(f"{event['type']} {parameter['name']}", parameter["schema"], value)
        schema = webhook["post"]["requestBody"]["content"]["application/json"]["schema"]
        return found + self._departures(event["type"], schema, event)

    def _operation(self, method: str, path: str) -> Json | None:
        for known, pattern, operation in self._routes:
            if known == method.lower() and pattern.fullmatch(path):
                return operation
        return None

    def _departures(self, where: str, schema: Json, value: object) -> list[str]:
        if where not in self._validators:
            whole = {**schema, "components": self._document["components"]}
            self._validators[where] = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        validator = self._validators[where]
        if validator.is_valid(value):
            return []
        return [f"{where}: {error}" for error in validator.iter_errors(value)]


def strict(shown: Json) -> Json:
    """The document with every object of its schemas closed: nothing may be there that is not named."""
    closed: Json = copy.deepcopy(shown)
    for schema in closed["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return closed


def _routes(shown: Json) -> Iterator[tuple[str, re.Pattern[str], Json]]:
    for path, methods in shown["paths"].items():
        pattern = re.compile(re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(path)))
        for method, operation in methods.items():
            yield method, pattern, operation
