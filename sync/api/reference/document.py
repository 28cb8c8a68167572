"""
The OpenAPI document (https://spec.openapis.org/oas/v3.1.1), written from the operations, the shapes and the problems.

Its schemas say what is surely there. Answers may get further members, so they forbid none; requests may not.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from pydantic_core import core_schema

from sync.api.reference import samples
from sync.api.reference.operations import OPERATIONS, TAGS
from sync.api.reference.operations.operation import (
    IN_PATHS,
    Answer,
    Body,
    Example,
    Header,
    Operation,
    Parameter,
    Schema,
)
from sync.api.reference.refusals import NoConnectionProblem, Refusal, refusals
from sync.api.reference.shapes.events import PUSHED
from sync.domain.event import EventType

Json = dict[str, Any]

#: Of the contract, not of the code: it grows with what is added, and routes begin with its first number.
VERSION = "1.0.0"
INTRODUCTION = """\
Two-way Outlook email sync for a CRM: your backend calls these routes, and events come to your webhook.

**Who calls.** Your backend sends its function key as `x-functions-key`. A missing or wrong key is 401 without a body, by the
platform. Keep the key on your server: it opens every account.

**Ids.** `account_id` and `user_id` are yours: 1 to 64 characters of `A-Z a-z 0-9 _ -`. All other ids are ours. An id that is
unknown, or another account's, is 404.

**Bodies.** JSON in UTF-8. Times are RFC 3339 in UTC with milliseconds. Requests with members that we don't know are refused;
answers and events can get more members, so pass over those that you don't know.

**Errors.** Problem documents (RFC 9457): branch on `code`, show `detail` to a developer, quote `request_id` to whoever runs the
app, and try again only where `retryable` is true, not before `Retry-After` where it is given.

**Repeating.** `GET`, `PUT` and `DELETE` can be repeated as they are, and so can completing a sign-in and cancelling. A send is
repeated with the same `Idempotency-Key`.
"""
#: The domain's names that say too little beside others.
_SCHEMA_NAMES = {"State": "ConnectionState", "Status": "MessageStatus"}
#: Answers that any call with a key can get, whatever the app does.
_NO_KEY: Json = {"description": "The function key is missing or wrong. Answered by the platform, without a body."}
#: Behind a code, in the name of its other example.
_WITHOUT_BODY = "_without_body"
KEY_SCHEME = "functionKey"
PAGE_SCHEME = "settingsPageToken"
_SECURITY: dict[str, list[Json]] = {"key": [{KEY_SCHEME: []}], "page": [{PAGE_SCHEME: []}], "anybody": []}
_WEBHOOK_HEADERS = (
    Parameter("webhook-id", "header", {"type": "string"}, "The event's `id`, on every try.", required=True),
    Parameter(
        "webhook-timestamp",
        "header",
        {"type": "string", "pattern": "^[0-9]+$"},
        "When this try was made, in seconds since 1970.",
        "1795444227",
        required=True,
    ),
    Parameter(
        "webhook-signature",
        "header",
        {"type": "string", "pattern": "^v1,[A-Za-z0-9+/]{43}=( v1,[A-Za-z0-9+/]{43}=)*$"},
        "`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`; several, with spaces between, while secrets rotate.",
        "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
        required=True,
    ),
)


def document(public_base_url: str) -> Json:
    """The whole document. `public_base_url`: where this app is reached."""
    paths: Json = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Outlook two-way email sync",
            "version": VERSION,
            "description": INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": public_base_url}],
        "tags": [{"name": name, "description": words} for name, words in TAGS.items()],
        "paths": paths,
        "webhooks": {kind: {"post": _webhook(kind, shape)} for kind, shape in PUSHED.items()},
        "components": {
            "schemas": _schemas(),
            "examples": _problem_examples(),
            "securitySchemes": {
                KEY_SCHEME: {
                    "type": "apiKey",
                    "in": "header",
                    "name": "x-functions-key",
                    "description": "A function key of the app, from the Azure portal or `az functionapp keys list`.",
                },
                PAGE_SCHEME: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token in the fragment of the settings page's address. The page itself sends it.",
                },
            },
        },
    }


def codes_of(operation: Operation) -> list[Refusal]:
    """Every problem that an operation may answer with, by status."""
    codes = dict.fromkeys(operation.problems)
    if operation.access == "page":
        codes["settings_page_expired"] = None
    if not operation.for_people:
        codes["internal_error"] = None
    known = refusals()
    return sorted((known[code] for code in codes), key=lambda found: found.status)


def _operation(operation: Operation) -> Json:
    answers: Json = {str(answer.status): _answer(answer) for answer in operation.answers}
    if operation.access == "key":
        answers["401"] = _NO_KEY
    by_status: dict[int, list[Refusal]] = {}
    for found in codes_of(operation):
        by_status.setdefault(found.status, []).append(found)
    for status, found_here in by_status.items():
        answers[str(status)] = _problems(operation, status, found_here)
    shown: Json = {
        "operationId": operation.operation_id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "security": _SECURITY[operation.access],
        "responses": dict(sorted(answers.items())),
    }
    if operation.description:
        shown["description"] = operation.description
    in_path = [IN_PATHS[part[1:-1]] for part in operation.path.split("/") if part.startswith("{")]
    if in_path or operation.parameters:
        shown["parameters"] = [_parameter(p) for p in (*in_path, *operation.parameters)]
    if operation.body is not None:
        shown["requestBody"] = {"required": operation.body.required, "content": _content(operation.body)}
    return shown


def _answer(answer: Answer) -> Json:
    shown: Json = {"description": answer.description}
    if answer.headers:
        shown["headers"] = {header.name: _header(header) for header in answer.headers}
    if answer.body is not None:
        shown["content"] = _content(answer.body)
    return shown


def _problems(operation: Operation, status: int, found: list[Refusal]) -> Json:
    """The problems of one status: each shape with the codes that come in it."""
    by_shape: dict[type[BaseModel], list[str]] = {}
    for refusal in found:
        shape: type[BaseModel] = refusal.shape
        if refusal.code == "not_found" and operation.function == "http_get_connection":
            shape = NoConnectionProblem
        by_shape.setdefault(shape, []).append(refusal.code)
    schemas = [{**_ref(shape), "properties": {"code": {"enum": codes}}} for shape, codes in by_shape.items()]
    shown: Json = {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(f'`{refusal.code}`' for refusal in found)}.",
        "content": {
            "application/problem+json": {
                "schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas},
                "examples": {r.code: _problem_example(r, operation) for r in found},
            }
        },
    }
    if any(refusal.retry_after_s for refusal in found):
        seconds = Header("Retry-After", "Seconds to wait before the next try.", {"type": "integer", "minimum": 1})
        shown["headers"] = {seconds.name: _header(seconds)}
    return shown


def _problem_example(refusal: Refusal, operation: Operation) -> Json:
    without_body = operation.body is None and refusal.without_body is not None
    return {"$ref": f"#/components/examples/{refusal.code}{_WITHOUT_BODY if without_body else ''}"}


def _problem_examples() -> Json:
    """An example of each code, with what it means as its summary."""
    shown: Json = {}
    for code, found in refusals().items():
        shown[code] = {"summary": found.meaning, "value": found.example}
        if found.without_body is not None:
            shown[f"{code}{_WITHOUT_BODY}"] = {"summary": found.meaning, "value": found.without_body}
    return shown


def _webhook(kind: str, shape: type[BaseModel]) -> Json:
    event_type: EventType = next(known for known in get_args(EventType) if known == kind)
    event = samples.event(event_type)
    headers = [_parameter(p) for p in _WEBHOOK_HEADERS]
    headers[0]["example"] = event.event_id
    return {
        "operationId": f"on_{kind.replace('.', '_')}",
        "tags": ["Events"],
        "summary": kind,
        "description": shape.__doc__,
        "security": [],
        "parameters": headers,
        "requestBody": {
            "required": True,
            "content": _content(Body((shape,), (Example("example", event.payload()),))),
        },
        "responses": {
            "2XX": {"description": "You have it. Answer within 15 s; anything else, a redirect too, is tried again."},
            "410": {"description": "This event is not tried again, and deliveries stop if you go on answering so."},
            "default": {
                "description": "Tried again after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h; your `Retry-After` is"
                " obeyed. Then the event is `undelivered`, and stays in the feed."
            },
        },
    }


def _content(body: Body) -> Json:
    schemas = [shape if isinstance(shape, dict) else _ref(shape) for shape in body.shapes]
    shown: Json = {"schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas}}
    if body.examples:
        shown["examples"] = {example.name: _example(example) for example in body.examples}
    return {body.media_type: shown}


def _example(example: Example) -> Json:
    return ({"summary": example.summary} if example.summary else {}) | {"value": example.value}


def _parameter(parameter: Parameter) -> Json:
    shown: Json = {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "description": parameter.description,
        "schema": parameter.schema,
    }
    return shown | ({} if parameter.example is None else {"example": parameter.example})


def _header(header: Header) -> Json:
    return {"description": header.description, "schema": header.schema}


def _ref(shape: type[BaseModel]) -> Schema:
    return {"$ref": f"#/components/schemas/{shape.__name__}"}


class _Schemas(GenerateJsonSchema):
    """Without a title on each member, which only repeats its name; an enum's docstring is for readers of the code."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - whatever it is
        return False

    def normalize_name(self, name: str) -> str:
        return _SCHEMA_NAMES.get(name, name)

    def enum_schema(self, schema: core_schema.EnumSchema) -> Schema:
        shown = super().enum_schema(schema)
        shown.pop("description", None)
        return shown

    def nullable_schema(self, schema: core_schema.NullableSchema) -> Schema:
        shown = super().nullable_schema(schema)
        match shown.get("anyOf"):
            case [{"type": str(kind)} as inner, {"type": "null"}] if not {"enum", "const"} & inner.keys():
                return {**inner, "type": [kind, "null"]}
        return shown


def _schemas() -> Json:
    """Every shape that is named anywhere, and those that these name, by name."""
    mode: JsonSchemaMode = "validation"
    asked = [(shape, mode) for shape in _shapes()]
    _, shown = models_json_schema(asked, ref_template="#/components/schemas/{model}", schema_generator=_Schemas)
    schemas: Json = shown["$defs"]
    for schema in schemas.values():
        del schema["title"]
        if "description" in schema:
            schema["description"] = " ".join(schema["description"].split())
    return dict(sorted(schemas.items()))


def _shapes() -> list[type[BaseModel]]:
    bodies: Iterable[Body | None] = (
        body for operation in OPERATIONS for body in (operation.body, *(answer.body for answer in operation.answers))
    )
    shapes: list[type[BaseModel]] = [NoConnectionProblem, *PUSHED.values()]
    shapes += [found.shape for found in refusals().values()]
    shapes += [shape for body in bodies if body is not None for shape in body.shapes if not isinstance(shape, dict)]
    return list(dict.fromkeys(shapes))
