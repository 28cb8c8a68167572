"""The JSON that the CRM reads: the contract's shapes of connections, threads, events and the app's state."""

from typing import Any

import pytest

from sync import api
from sync.domain.body import Body
from sync.domain.check import Check
from sync.domain.connection import Erased, State, disconnected, erased
from sync.domain.errors import NotFound
from sync.domain.event import Answer, Attempt, given_up, rfc3339, webhook_test
from sync.domain.failure import Poisoned
from sync.domain.mail import Address
from sync.domain.message import Contact
from sync.domain.provider import Provider
from sync.domain.settings_page import View
from sync.domain.sign_in import SignInEnd
from sync.domain.webhook import Failure, Webhook
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
    stopped = connection(
        state=State.NEEDS_RECONNECT,
        problem_code="sign_in_expired",
        problem="Sign in again.",
        claims='{"access_token": {}}',
        subscription=None,
        synced_through=None,
    )
    assert api.connection_json(stopped) == CONNECTION | {
        "state": "needs_reconnect",
        "sync_state": "stopped",
        "synced_through": None,
        "subscription_expires_at": None,
        "problem": "Sign in again.",
        "problem_code": "sign_in_expired",
    }
    nobody = erased(disconnected(connection()), Erased(messages=1))
    assert api.connection_json(nobody) == CONNECTION | {
        "state": "disconnected",
        "sync_state": "stopped",
        "subscription_expires_at": None,
        "email": None,
        "display_name": None,
    }
    assert api.deleted_json(nobody) == {
        "connection_id": "con_1",
        "erased": {"messages": 1, "attachments": 0, "events": 0, "anchors": 0},
    }


WAITING = SignInEnd("admin_consent_required", NOW, "https://entra.example/adminconsent?state=1")


def test_how_the_last_sign_in_ended_stands_beside_the_connection() -> None:
    """Or in the 404 of a user who never had one: the CRM can tell who waits for an administrator from who never tried."""
    shown = {
        "outcome": "admin_consent_required",
        "at": rfc3339(NOW),
        "admin_consent_url": "https://entra.example/adminconsent?state=1",
    }
    assert api.connection_or_none(connection(), None) == CONNECTION
    assert api.connection_or_none(connection(), WAITING) == CONNECTION | {"sign_in": shown}
    with pytest.raises(NotFound) as never:
        api.connection_or_none(None, None)
    assert never.value.extra == {}
    with pytest.raises(NotFound) as waits:
        api.connection_or_none(None, WAITING)
    assert waits.value.extra == {"sign_in": shown}


def test_what_the_settings_page_reads() -> None:
    """The connection without the number of threads, which would be counted at each look; and the time, to show it by."""
    without = {name: value for name, value in CONNECTION.items() if name != "thread_count"}
    assert api.settings_json(View(connection(), None, NOW)) == {
        "connection": without,
        "sign_in": None,
        "now": rfc3339(NOW),
    }
    declined = api.settings_json(View(None, SignInEnd("declined", NOW), NOW))
    assert declined == {"connection": None, "sign_in": {"outcome": "declined", "at": rfc3339(NOW)}, "now": rfc3339(NOW)}


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
    """What it can reach, each queue with what waits and what is poisoned, and the connections by their states."""
    waiting = {"mail-sends": 2, "mail-sends-poison": 1, "mail-changes": 0}
    poison = [Poisoned("mail-sends", {"account_id": "acme", "message_id": "msg_1"}, NOW, "KeyError at a.py:1", 5)]
    checks = [
        Check("graph", ok=True, detail="Microsoft Graph answers."),
        Check("storage", ok=False, detail="No.", what_to_do="Do."),
    ]
    assert api.status_json(waiting, {"connected": 3}, poison, checks) == {
        "checks": [
            {"name": "graph", "ok": True, "detail": "Microsoft Graph answers.", "what_to_do": None},
            {"name": "storage", "ok": False, "detail": "No.", "what_to_do": "Do."},
        ],
        "queues": {"mail-sends": {"waiting": 2, "poison": 1}, "mail-changes": {"waiting": 0, "poison": 0}},
        "connections": {"connected": 3},
        "poison": [
            {
                "queue": "mail-sends",
                "job": {"account_id": "acme", "message_id": "msg_1"},
                "since": rfc3339(NOW),
                "reason": "KeyError at a.py:1",
                "tries": 5,
            }
        ],
    }


def test_what_was_put_back() -> None:
    """By queue, and together."""
    assert api.put_back_json({"mail-sends": 2, "erasures": 0}) == {
        "replayed": 2,
        "queues": {"mail-sends": 2, "erasures": 0},
    }


def test_a_provider() -> None:
    """The contract's keys, and never the password; what there is not is null."""
    whole = Provider(
        *("acme", "smtp.example", 587, "starttls", Address("offers@crm.example", "Offers"), ("crm.example",)),
        username="apikey",
        password="hunter2",
        checked_at=NOW,
    )
    shown = {
        "host": "smtp.example",
        "port": 587,
        "security": "starttls",
        "username": "apikey",
        "from": {"address": "offers@crm.example", "name": "Offers"},
        "domains": ["crm.example"],
        "checked_at": rfc3339(NOW),
    }
    assert api.provider_json(whole) == shown
    bare = Provider("acme", "smtp.example", 587, "tls", Address("offers@crm.example"))
    assert api.provider_json(bare) == shown | {
        "security": "tls",
        "username": None,
        "from": {"address": "offers@crm.example", "name": None},
        "domains": [],
        "checked_at": None,
    }


def test_an_empty_answer() -> None:
    """204 has no body."""
    response = api.nothing()
    assert (response.status_code, response.get_body()) == (204, b"")


def test_an_undelivered_event_says_why() -> None:
    """In plain words; no other event has that member."""
    assert api.event_json(given_up(event(), "10 tries failed"))["reason"] == "10 tries failed"
    assert "reason" not in api.event_json(event())


def test_the_webhook() -> None:
    """On, off, and never heard of; of the address not even its hash."""
    never: dict[str, Any] = {
        "state": "on",
        "reason": None,
        "since": None,
        "last_accepted_at": None,
        "last_failure": None,
        "undelivered": 0,
    }
    at = "2026-11-23T09:30:15.250Z"
    assert api.webhook_json(Webhook("hash"), 0) == never
    off = Webhook("hash", "off", "Gone.", NOW, NOW, Failure(NOW, None, "ReadTimeout"), NOW, NOW, NOW)
    assert api.webhook_json(off, 7) == never | {
        "state": "off",
        "reason": "Gone.",
        "since": at,
        "last_accepted_at": at,
        "last_failure": {"at": at, "status": None, "error": "ReadTimeout"},
        "undelivered": 7,
    }


def test_the_answer_to_a_test_event() -> None:
    """As the receiver gave it."""
    answered = Answer(503, 0.12345, text="later")
    assert api.webhook_test_json(webhook_test("secret", NOW), answered) == {
        "event_id": "evt_test_secret",
        "accepted": False,
        "status": 503,
        "duration_s": 0.123,
        "error": None,
        "answer": "later",
    }
