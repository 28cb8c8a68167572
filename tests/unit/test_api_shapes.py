"""The JSON that the CRM reads: the contract's shapes of connections, threads, events and the app's state."""

from typing import Any

import pytest

from sync import api
from sync.domain.body import Body
from sync.domain.connection import State
from sync.domain.event import Attempt
from sync.domain.message import Contact
from tests.unit.sample_mail import NOW, connection, event, message, thread


def test_json_answers_are_utf_8() -> None:
    """Text is written out, not escaped."""
    response = api.answer({"a": "你好 👋"}, 201)
    assert (response.status_code, response.mimetype, response.charset) == (201, "application/json", "utf-8")
    assert response.get_body() == '{"a": "你好 👋"}'.encode()


CONNECTION = {
    "connection_id": "con_1",
    "state": "connected",
    "email": "anna@contoso.example",
    "display_name": "Anna Berger",
    "default_sender": "outlook",
    "connected_at": "2026-11-23T09:30:15.250Z",
    "sync_state": "active",
    "synced_through": "2026-11-23T09:30:15.250Z",
    "subscription_expires_at": "2026-11-29T09:30:15.250Z",
    "thread_count": 0,
}


def test_a_connection() -> None:
    """The contract's keys; a problem only where there is one; never an id of Microsoft's or of a token."""
    assert api.connection_json(connection()) == CONNECTION
    stopped = connection(state=State.NEEDS_RECONNECT, problem="Sign in again.", subscription=None, synced_through=None)
    assert api.connection_json(stopped) == CONNECTION | {
        "state": "needs_reconnect",
        "sync_state": "stopped",
        "synced_through": None,
        "subscription_expires_at": None,
        "problem": "Sign in again.",
    }


THREAD = {
    "thread_id": "thr_bbbbbbbbbbbbbbbbbbbbbbbb",
    "user_id": "anna",
    "connection_id": "con_1",
    "subject": "Offer",
    "state": "active",
    "contacts": [{"address": "kim@customer.example", "name": "Kim Lee", "contact_id": "c-7"}],
    "started_at": "2026-11-23T09:30:15.250Z",
}


def test_a_thread() -> None:
    """With its messages where they are asked for, and whether it syncs."""
    assert api.thread_json(thread(), live=True) == THREAD
    unnamed = thread(contacts=(Contact("x@x.example"),))
    assert api.thread_json(unnamed, live=False) == THREAD | {
        "state": "stopped",
        "contacts": [{"address": "x@x.example", "name": None, "contact_id": None}],
    }
    shown: Any = api.thread_json(thread(), True, [(message(), Body(None, "Hi"))])
    assert [m["text"] for m in shown["messages"]] == ["Hi"]


@pytest.mark.parametrize(("found", "limit", "shown", "next_after"), [(0, 2, 0, None), (2, 2, 2, None), (3, 2, 2, "t1")])
def test_a_page_of_threads(found: int, limit: int, shown: int, next_after: str | None) -> None:
    """One more than the page holds was looked for, to know whether there is a next one."""
    page: Any = api.threads_json([(thread(thread_id=f"t{i}"), True) for i in range(found)], limit)
    assert (len(page["threads"]), page["next_after"]) == (shown, next_after)


def test_a_page_of_the_feed() -> None:
    """`next_after` is the last one shown; on an empty page it stays, so that a reader can go on asking."""
    page = api.events_json([event(sequence=4), event(sequence=5)], 3, has_more=True)
    assert (page["next_after"], page["has_more"]) == (5, True)
    assert api.events_json([], 5, has_more=False) == {"events": [], "next_after": 5, "has_more": False}


def test_an_event_with_its_delivery() -> None:
    """The event as it was pushed, and each try with its answer."""
    tried = event(
        due_at=NOW, attempts=(Attempt(NOW, 0.123456, None, "ConnectTimeout"), Attempt(NOW, 1.0, 500, answer="no"))
    )
    at = "2026-11-23T09:30:15.250Z"
    assert api.event_json(tried) == tried.payload() | {
        "delivery": "pending",
        "due_at": at,
        "attempts": [
            {"at": at, "duration_s": 0.123, "status": None, "error": "ConnectTimeout", "answer": ""},
            {"at": at, "duration_s": 1.0, "status": 500, "error": None, "answer": "no"},
        ],
    }


def test_how_the_app_is_doing() -> None:
    """Each queue with what waits and what is poisoned, and the connections by their states."""
    waiting = {"mail-sends": 2, "mail-sends-poison": 1, "mail-changes": 0}
    assert api.status_json(waiting, {"connected": 3}) == {
        "queues": {"mail-sends": {"waiting": 2, "poison": 1}, "mail-changes": {"waiting": 0, "poison": 0}},
        "connections": {"connected": 3},
    }
