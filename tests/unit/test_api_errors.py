"""Errors at the edge: each becomes one problem document of RFC 9457, and none tells what is not the caller's business."""

import inspect
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import azure.functions as func
import pytest

from sync import api, wiring
from sync.api import browser, models, problems
from sync.api.answers import SAFE_HEADERS
from sync.domain import errors, sender_rule
from sync.domain.errors import Refusal, SyncError
from tests.unit.http_request import REQUEST_ID, Context, request

SECRET = "kim@customer.example token=eyJ0eXAi"


def every[E: SyncError](kind: type[E]) -> Iterator[type[E]]:
    """A class of errors and all below it, in every module that is loaded."""
    yield kind
    for below in kind.__subclasses__():
        yield from every(below)


REFUSALS = sorted(set(every(Refusal)) - {Refusal}, key=lambda kind: kind.__name__)
ERRORS = sorted(every(SyncError), key=lambda kind: kind.__name__)


async def answered(error: BaseException, wrap: Any = api.endpoint) -> func.HttpResponse:
    """How a function answers whose flow raised this."""

    async def http_something(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        raise error

    response: func.HttpResponse = await wrap(http_something)(req=request(), context=Context())
    return response


def problem_of(response: func.HttpResponse) -> dict[str, Any]:
    """The problem document of an answer, its fixed part checked."""
    assert response.mimetype == "application/problem+json"
    problem: dict[str, Any] = json.loads(response.get_body())
    fixed = {"type", "title", "status", "detail", "code", "retryable", "request_id"}
    assert fixed <= problem.keys()
    assert problem["status"] == response.status_code
    assert problem["type"] == f"urn:problem:{problem['code']}"
    assert problem["request_id"] == REQUEST_ID
    return problem


def test_all_modules_with_refusals_are_loaded() -> None:
    """The walk below sees the rules' own refusals too."""
    assert sender_rule.FromNotAllowed in REFUSALS
    assert all(inspect.ismodule(module) for module in (models, wiring))


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_every_refusal_has_a_status(refusal: type[Refusal]) -> None:
    """A new refusal needs its line in problems.STATUS: without one the caller would get no problem at all."""
    assert refusal in problems.STATUS, f"add {refusal.__name__} to STATUS in sync/api/problems.py"
    response = await answered(refusal("In plain words."))
    problem = problem_of(response)
    assert 400 <= response.status_code <= 501
    assert (problem["detail"], problem["code"]) == ("In plain words.", refusal.code)
    assert problem["retryable"] is refusal.retryable


def test_the_table_of_statuses_holds_nothing_else() -> None:
    """A line for a class that is gone is taken out."""
    assert set(problems.STATUS) == set(REFUSALS)


def test_codes_are_the_callers_to_branch_on() -> None:
    """Each refusal has a code of its own, in snake case."""
    codes = [refusal.code for refusal in REFUSALS]
    assert len(set(codes)) == len(codes)
    assert all(code.replace("_", "").isalpha() and code.islower() for code in codes)


@pytest.mark.parametrize("error", ERRORS)
def test_an_errors_docstring_is_its_default_message(error: type[SyncError]) -> None:
    """It is shown to people, so it is one plain sentence or two, on one line."""
    words = (error.__doc__ or "").strip()
    assert words
    assert "\n" not in words
    assert words.endswith(".")


async def test_not_found_looks_the_same_for_every_id() -> None:
    """Another account's id can't be told from one that never was."""
    response = await answered(errors.NotFound())
    assert response.status_code == 404
    assert problem_of(response)["detail"] == "There is nothing here by that id."


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (errors.InvalidRequest(errors=[{"field": "to", "message": "x"}]), "errors", [{"field": "to", "message": "x"}]),
        (errors.AttachmentRefused(files=[{"name": "ü.exe"}]), "files", [{"name": "ü.exe"}]),
    ],
)
async def test_further_members_stand_beside_the_others(error: Refusal, name: str, value: object) -> None:
    """`errors` and `files`, of which the detail speaks, are members of the problem itself (RFC 9457 3.2)."""
    assert problem_of(await answered(error))[name] == value


@pytest.mark.parametrize(
    ("error", "status", "code", "retry_after"),
    [
        (errors.Unclear(SECRET), 503, "temporarily_unavailable", "5"),
        (errors.Gone(SECRET), 503, "temporarily_unavailable", "5"),
        (errors.Declined(SECRET, code="ErrorX", status=403), 503, "temporarily_unavailable", "5"),
        (errors.Throttled(SECRET, retry_after=timedelta(seconds=30)), 503, "temporarily_unavailable", "31"),
        (errors.OperatorAlarm(SECRET), 503, "operator_attention_needed", "300"),
        (errors.Conflict(SECRET), 500, "internal_error", None),
        (errors.SignInLinkUnusable(SECRET), 500, "internal_error", None),
        (RuntimeError(SECRET), 500, "internal_error", None),
        (KeyError(SECRET), 500, "internal_error", None),
        (ValueError(), 500, "internal_error", None),
        (RecursionError(SECRET), 500, "internal_error", None),
    ],
)
async def test_what_is_not_the_callers_fault(error: Exception, status: int, code: str, retry_after: str | None) -> None:
    """The caller may try again, is told when, and reads nothing of what went wrong inside."""
    response = await answered(error)
    problem = problem_of(response)
    assert (response.status_code, problem["code"], problem["retryable"]) == (status, code, True)
    assert response.headers.get("Retry-After") == retry_after
    assert SECRET not in response.get_body().decode()


async def test_an_ended_sign_in_is_told_as_such() -> None:
    """The CRM asks its user to sign in again; trying again by itself would not help."""
    response = await answered(errors.ReconnectNeeded("Sign in again.", cause="invalid_grant"))
    problem = problem_of(response)
    assert (response.status_code, problem["code"], problem["retryable"]) == (409, "connection_needs_reconnect", False)


@pytest.mark.parametrize("wrap", [api.endpoint, api.browser_page])
async def test_an_unexpected_error_is_logged_without_its_words(wrap: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The log says what kind of error it was, where, and for which request; its words may hold addresses or tokens."""
    with caplog.at_level(logging.DEBUG):
        await answered(LookupError(SECRET), wrap)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "LookupError at test_api_errors.py:" in record.getMessage()
    assert record.request_id == REQUEST_ID  # type: ignore[attr-defined]
    assert SECRET not in caplog.text
    assert record.exc_info is None
    assert SECRET not in str(vars(record))


@pytest.mark.parametrize("error", [BaseExceptionGroup("x", [KeyboardInterrupt()]), KeyboardInterrupt(), SystemExit()])
async def test_a_worker_that_is_stopped_stops(error: BaseException) -> None:
    """Only exceptions are answered; the host's wish to end the process goes through."""
    with pytest.raises(type(error)):
        await answered(error)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (errors.SignInLinkUnusable("The <link> is old."), 400, "The &lt;link&gt; is old."),
        (errors.SignInLinkUnusable(), 400, "Go back to the CRM and click Connect again."),
        (RuntimeError(SECRET), 503, REQUEST_ID),
        (errors.Unclear(SECRET), 503, REQUEST_ID),
        (errors.OperatorAlarm(SECRET), 503, REQUEST_ID),
    ],
)
async def test_a_person_gets_a_page(error: Exception, status: int, words: str) -> None:
    """In the browser an error is a page in plain words, with a reference that support can look up."""
    response = await answered(error, api.browser_page)
    page = response.get_body().decode()
    assert (response.status_code, response.mimetype) == (status, "text/html")
    assert words in page
    assert SECRET not in page
    assert page.startswith("<!doctype html>")


async def test_every_answer_is_safe_to_open() -> None:
    """Whatever a browser gets from us, it guesses no type, frames nothing, keeps nothing and tells nobody where it was."""
    answers = [
        await answered(errors.NotFound()),
        await answered(errors.SignInLinkUnusable(), api.browser_page),
        api.answer({}),
        api.accepted(),
        api.validation("token"),
        browser.page("Title", "Words."),
        api.redirect("https://crm.example/", "", "https://sync.example"),
    ]
    for response in answers:
        assert SAFE_HEADERS.items() <= dict(response.headers).items()
    policy = SAFE_HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
