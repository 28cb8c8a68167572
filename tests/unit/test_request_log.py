"""How the demo and the end-to-end tests read Graph's request log."""

import pytest

from tests.cloud.request_log import asks_for_content, kind_of_call

KEYS = "$select=id,conversationId,conversationIndex,internetMessageId,from"


@pytest.mark.parametrize(
    ("method", "path", "query", "asks"),
    [
        ("GET", "/v1.0/me/messages/AAkA1", KEYS, False),
        (
            "GET",
            "/v1.0/me/messages/AAkA1",
            f"{KEYS}&$expand=singleValueExtendedProperties($filter=id eq 'String 0x1042')",
            False,
        ),
        ("GET", "/v1.0/me/messages/AAkA1", "", True),
        ("GET", "/v1.0/me/messages/AAkA1", f"{KEYS},body", True),
        ("GET", "/v1.0/me/messages/AAkA1", f"{KEYS},uniqueBody", True),
        ("GET", "/v1.0/me/messages/AAkA1", f"{KEYS},bodyPreview", True),
        ("GET", "/v1.0/me/messages/AAkA1", f"{KEYS}&$expand=attachments($select=id)", True),
        ("GET", "/v1.0/me/messages/AAkA1/$value", "", True),
        ("GET", "/v1.0/me/messages/AAkA1/attachments", "$select=id", True),
        ("GET", "/v1.0/me/messages/AAkA1/attachments/AAkB2/$value", "", True),
        ("PATCH", "/v1.0/me/messages/AAkA1", "", False),
    ],
)
def test_a_call_that_brings_content_is_known_by_its_address(method: str, path: str, query: str, asks: bool) -> None:
    """A body, a preview or a file never comes unnoticed: without $select Graph sends the body too."""
    assert asks_for_content({"method": method, "path": path, "query": query}) is asks


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        ("GET /v1.0/me", "GET me"),
        ("POST /v1.0/me/messages", "POST me/messages"),
        ("POST /v1.0/me/messages/AAkA1/send", "POST me/messages/{id}/send"),
        ("GET /v1.0/me/messages/AAkA1/attachments/AAkB2/$value", "GET me/messages/{id}/attachments/{id}/$value"),
        ("PATCH /v1.0/subscriptions/5b1f", "PATCH subscriptions/{id}"),
    ],
)
def test_calls_of_one_kind_are_counted_together(call: str, kind: str) -> None:
    """What names one message, file or subscription is left out."""
    method, path = call.split()
    assert kind_of_call({"method": method, "path": path}) == kind
