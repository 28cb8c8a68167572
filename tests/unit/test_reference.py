"""The API reference says what the code does: routes, keys, bodies, statuses, codes and events are the code's own."""

import ast
import re
from typing import Any, get_args

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel

from sync.api import models, problems, reference
from sync.api.reference.document import codes_of, document
from sync.api.reference.operations import NOT_DESCRIBED, OPERATIONS, TAGS
from sync.api.reference.operations.operation import IN_PATHS, Operation
from sync.api.reference.refusals import refusals
from sync.api.reference.shapes.events import PUSHED, ErasedEvent, EventDelivery
from sync.api.reference.shapes.messages import Rule
from sync.domain.event import EventType
from tests.conformance import strict
from tests.unit.http_request import request
from tests.unit.source import ROOT, tree
from tests.unit.test_acknowledge_path import imported_after
from tests.unit.test_triggers import ANONYMOUS, ROUTES

BASE = "https://sync.example"
#: What reads which member of the query or header, among the functions of sync/api/requests.py.
READERS = {
    "page_size": "limit",
    "sequence_after": "after",
    "wants_checks": "checks",
    "wants_erase": "erase",
    "wants_messages": "messages",
    "idempotency_key": "Idempotency-Key",
}
BY_NAME = {operation.function: operation for operation in OPERATIONS}


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    """The document."""
    return document(BASE)


def entry_functions() -> dict[str, ast.AsyncFunctionDef]:
    """The HTTP functions of function_app.py, as they are written."""
    functions = [node for node in ast.walk(tree(ROOT / "function_app.py")) if isinstance(node, ast.AsyncFunctionDef)]
    return {node.name: node for node in functions if node.name.startswith("http_")}


def calls_in(function: ast.AsyncFunctionDef) -> list[tuple[str, ast.Call]]:
    """What a function calls, each by its last name."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    return [(getattr(call.func, "attr", getattr(call.func, "id", "")), call) for call in calls]


def test_every_route_is_described() -> None:
    """Each with its method, and none that is not there; what is left out is left out on purpose."""
    described = {(o.method.upper(), o.path.removeprefix("/")): o.function for o in OPERATIONS}
    left_out = {place: name for place, name in ROUTES.items() if name in NOT_DESCRIBED}
    assert described | left_out == ROUTES
    assert not described.keys() & left_out.keys()
    assert set(left_out.values()) == NOT_DESCRIBED.keys()


def test_who_needs_a_key() -> None:
    """What is described as open to anybody is open, and the other way round."""
    assert {o.function for o in OPERATIONS if o.access != "key"} | NOT_DESCRIBED.keys() == ANONYMOUS.keys()


@pytest.mark.parametrize("function", [o.function for o in OPERATIONS])
def test_an_operation_is_as_its_function_is_written(function: str) -> None:
    """The model that it reads, what it reads of query and headers, and its status, from the source."""
    operation, calls = BY_NAME[function], calls_in(entry_functions()[function])
    read: set[str] = {call.args[0].id for name, call in calls if name == "read" and isinstance(call.args[0], ast.Name)}
    if any(name == "send_request" for name, _ in calls):
        read = {"SendRequest", "BulkRequest"}
    bodies = operation.body.shapes if operation.body and operation.tag != "Microsoft Graph" else ()
    assert {shape.__name__ for shape in bodies if isinstance(shape, type)} == read

    asked = {READERS[name] for name, _ in calls if name in READERS}
    named = {p.name for p in operation.parameters if p.name in READERS.values()}
    assert asked | ({"after"} & named) == named

    statuses = [
        call.args[1].value if len(call.args) > 1 and isinstance(call.args[1], ast.Constant) else 200
        for name, call in calls
        if name == "answer"
    ]
    if statuses:
        assert statuses == [operation.answers[0].status]


def test_names_are_used_once_and_groups_are_known(shown: dict[str, Any]) -> None:
    """A generated client has a method for each; every part of a path is explained."""
    ids = [o.operation_id for o in OPERATIONS] + [w["post"]["operationId"] for w in shown["webhooks"].values()]
    assert len(ids) == len(set(ids))
    assert list(dict.fromkeys(o.tag for o in OPERATIONS)) == list(TAGS)
    assert {part[1:-1] for o in OPERATIONS for part in o.path.split("/") if part.startswith("{")} == IN_PATHS.keys()


def test_every_code_is_somebodys() -> None:
    """Each code that the app can answer with is described, and is given by some operation."""
    given = {refusal.code for operation in OPERATIONS for refusal in codes_of(operation)}
    assert given == refusals().keys()
    assert {error.code for error in problems.STATUS} < refusals().keys()


def test_every_event_is_described(shown: dict[str, Any]) -> None:
    """Each type that can be told, as a webhook; and in the feed, but for the test, which is in none."""
    assert list(PUSHED) == list(get_args(EventType)) == list(shown["webhooks"])
    in_feed = set(get_args(EventType)) - {"webhook.test"}
    assert set(get_args(EventDelivery.model_fields["type"].annotation)) == in_feed
    # The end of a connection is told even when it was erased.
    assert set(get_args(ErasedEvent.model_fields["type"].annotation)) == in_feed - {"connection.disconnected"}
    for kind, shape in PUSHED.items():
        assert get_args(shape.model_fields["type"].annotation) == (kind,)


def test_the_rules_of_the_sender_are_all_named() -> None:
    """`rule` is one of those that sync/domain/sender_rule.py decides by."""
    source = (ROOT / "sync" / "domain" / "sender_rule.py").read_text()
    assert set(re.findall(r'"((?:individual|bulk|workflow)_\w+)"', source)) == set(get_args(Rule))


def test_it_is_openapi_3_1(shown: dict[str, Any]) -> None:
    """Valid against the meta-schema of the OpenAPI Initiative, and every reference leads somewhere."""
    assert [str(error) for error in OpenAPIV31SpecValidator(shown).iter_errors()] == []
    assert shown["servers"] == [{"url": BASE}]


def examples_of(shown: dict[str, Any]) -> list[tuple[str, dict[str, Any], object]]:
    """Every example of a body with the schema that it is an example of, problems and events too."""
    operations = [o for methods in shown["paths"].values() for o in methods.values()]
    operations += [webhook["post"] for webhook in shown["webhooks"].values()]
    found = []
    for operation in operations:
        for body in (operation.get("requestBody", {}), *operation["responses"].values()):
            for media in body.get("content", {}).values():
                for name, example in media.get("examples", {}).items():
                    where = example.get("$ref", "").rpartition("/")[2]
                    value = shown["components"]["examples"][where]["value"] if where else example["value"]
                    found.append((f"{operation['operationId']} {name}", media["schema"], value))
    return found


def test_every_example_is_true(shown: dict[str, Any]) -> None:
    """Each is of the schema that it stands beside, and has no member that the schema does not name."""
    closed = strict(shown)
    wrong = []
    examples = examples_of(closed)
    for where, schema, value in examples:
        validator = jsonschema_rs.Draft202012Validator(
            {**schema, "components": closed["components"]}, validate_formats=True
        )
        wrong += [f"{where}: {error}" for error in validator.iter_errors(value)]
    assert wrong == []
    assert len(examples) > 150


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.body], ids=lambda o: o.operation_id)
def test_every_body_that_is_shown_is_taken(operation: Operation) -> None:
    """What the reference shows as a request is read without a complaint; there is one for each operation with a body."""
    assert operation.body is not None
    assert operation.body.examples
    for example in operation.body.examples:
        if operation.function == "http_send_message":
            assert isinstance(example.value, dict)
            models.send_request(example.value).outgoing()
            continue
        (shape,) = operation.body.shapes
        assert isinstance(shape, type)
        assert issubclass(shape, BaseModel)
        models.read(shape, example.value)


def test_every_json_answer_has_an_example(shown: dict[str, Any]) -> None:
    """A reader sees each answer before calling; the document itself is no example of itself."""
    for methods in shown["paths"].values():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                for media_type, media in answer.get("content", {}).items():
                    if media_type.endswith("json") and operation["operationId"] != "openapi":
                        assert media.get("examples"), f"{operation['operationId']} {status}"


def test_everything_has_a_summary_in_words(shown: dict[str, Any]) -> None:
    """Operations, parameters, headers and shapes are explained."""
    for methods in shown["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert all(p["description"] for p in operation.get("parameters", ()))
            assert all(answer["description"] for answer in operation["responses"].values())
    assert [
        n for n, s in shown["components"]["schemas"].items() if "properties" in s and not s.get("description")
    ] == []


def test_it_is_made_once_and_kept_by_whoever_has_it() -> None:
    """The second request gets what was made for the first, and who has it already is told so without a body."""
    for made in (reference.openapi, reference.docs):
        first, again = made(request(), BASE), made(request(), BASE)
        assert first.get_body() is again.get_body()
        same = made(request(headers={"If-None-Match": first.headers["ETag"]}), BASE)
        assert (same.status_code, same.get_body()) == (304, b"")
        assert first.headers["Cache-Control"] == "no-cache"
        assert first.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.long
def test_nobody_pays_for_it_who_does_not_ask() -> None:
    """Neither the start of the app nor the reading of a body imports it."""
    imported = imported_after("import function_app, sync.api.models")
    assert "sync.api.models" in imported
    assert not [name for name in imported if name.startswith("sync.api.reference")]
