"""
Every trigger of the app: its name says what starts it, who may call it is on a list, and its route is the contract's.

Read from the app as the Functions host indexes it, with settings that lead nowhere.
"""

import inspect
import sys
from collections.abc import Iterator
from typing import Any

import azure.functions as func
import pytest

from sync import jobs
from tests.unit.test_settings import GOOD

ACCOUNT = "v1/accounts/{account_id}"
USER = f"{ACCOUNT}/users/{{user_id}}"

#: The contract's routes (README and openapi.json tell the same), each by the function that serves it.
ROUTES: dict[tuple[str, str], str] = {
    ("POST", f"{USER}/connection/sign-in"): "http_start_sign_in",
    ("GET", "connect/{token}"): "http_connect",
    ("GET", "oauth/callback"): "http_oauth_callback",
    ("POST", f"{USER}/connection/complete"): "http_complete_sign_in",
    ("GET", f"{USER}/connection"): "http_get_connection",
    ("PUT", f"{USER}/connection/default-sender"): "http_set_default_sender",
    ("DELETE", f"{USER}/connection"): "http_delete_connection",
    ("POST", f"{USER}/connection/explain"): "http_explain",
    ("POST", f"{USER}/settings-page"): "http_open_settings_page",
    ("GET", "settings/email"): "http_settings_page",
    ("GET", "settings/assets/{name}"): "http_settings_asset",
    ("GET", "settings/email/connection"): "http_settings_view",
    ("POST", "settings/email/sign-in"): "http_settings_sign_in",
    ("PUT", "settings/email/default-sender"): "http_settings_default_sender",
    ("DELETE", "settings/email/connection"): "http_settings_delete",
    ("PUT", f"{ACCOUNT}/provider"): "http_put_provider",
    ("GET", f"{ACCOUNT}/provider"): "http_get_provider",
    ("DELETE", f"{ACCOUNT}/provider"): "http_delete_provider",
    ("POST", f"{ACCOUNT}/messages"): "http_send_message",
    ("POST", f"{ACCOUNT}/messages/resolve-sender"): "http_resolve_sender",
    ("GET", f"{ACCOUNT}/messages/{{message_id}}"): "http_get_message",
    ("POST", f"{ACCOUNT}/messages/{{message_id}}/cancel"): "http_cancel_message",
    ("GET", f"{ACCOUNT}/batches/{{batch_id}}"): "http_get_batch",
    ("POST", f"{ACCOUNT}/batches/{{batch_id}}/cancel"): "http_cancel_batch",
    ("GET", f"{ACCOUNT}/threads"): "http_list_threads",
    ("GET", f"{ACCOUNT}/threads/{{thread_id}}"): "http_get_thread",
    ("GET", f"{ACCOUNT}/attachments/{{attachment_id}}"): "http_get_attachment",
    ("GET", f"{ACCOUNT}/events"): "http_list_events",
    ("GET", f"{ACCOUNT}/events/{{event_id}}"): "http_get_event",
    ("POST", f"{ACCOUNT}/events/{{event_id}}/redeliver"): "http_redeliver_event",
    ("POST", f"{ACCOUNT}/events/redeliver"): "http_redeliver_events",
    ("GET", "v1/webhook"): "http_get_webhook",
    ("POST", "v1/webhook/enable"): "http_enable_webhook",
    ("POST", "v1/webhook/test"): "http_test_webhook",
    ("POST", "graph/notifications"): "http_graph_notifications",
    ("POST", "graph/lifecycle"): "http_graph_lifecycle",
    ("GET", "health"): "http_health",
    ("GET", "openapi.json"): "http_openapi",
    ("GET", "docs"): "http_docs",
    ("GET", "v1/status"): "http_status",
    ("POST", "v1/poison/replay"): "http_replay_poison",
}
#: Who calls without a function key, and what proves them instead.
ANONYMOUS = {
    "http_connect": "a person's browser, by the token in the link",
    "http_settings_page": "a person's browser: it is the same page for everybody, and empty without the token in its fragment",
    "http_settings_asset": "a person's browser: the page's files, the same for everybody",
    "http_settings_view": "the settings page, by the token of its link",
    "http_settings_sign_in": "the settings page, by the token of its link",
    "http_settings_default_sender": "the settings page, by the token of its link",
    "http_settings_delete": "the settings page, by the token of its link",
    "http_oauth_callback": "a person's browser, by the binding cookie and Microsoft's state",
    "http_graph_notifications": "Microsoft Graph, by clientState",
    "http_graph_lifecycle": "Microsoft Graph, by clientState",
    "http_health": "anybody: it tells nothing but that the app is alive",
    "http_openapi": "anybody: it tells how the API is called, the same to everybody",
    "http_docs": "anybody: the same to read",
}
PREFIX_OF_TRIGGER = {"httpTrigger": "http_", "queueTrigger": "queue_", "timerTrigger": "timer_"}


@pytest.fixture(scope="module")
def functions() -> Iterator[dict[str, Any]]:
    """The functions of the app by their names, as the worker library gets them."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in GOOD.items():
            patch.setenv(name, value)
        patch.delitem(sys.modules, "function_app", raising=False)
        import function_app

        yield {str(f.get_function_name()): f for f in function_app.app.get_functions()}
    sys.modules.pop("function_app", None)


def routes_of(functions: dict[str, Any]) -> dict[tuple[str, str], str]:
    """Method and route of each HTTP function."""
    return {
        (method.value, function.get_trigger().route): name
        for name, function in functions.items()
        if function.get_trigger().type == "httpTrigger"
        for method in function.get_trigger().methods
    }


def test_a_functions_name_says_what_starts_it(functions: dict[str, Any]) -> None:
    """http_, queue_ or timer_, so that a log line is understood by itself."""
    assert functions
    for name, function in functions.items():
        trigger = function.get_trigger().type
        assert name.startswith(PREFIX_OF_TRIGGER[trigger]), f"{name} is started by a {trigger}"


def test_the_host_knows_a_function_by_its_own_name(functions: dict[str, Any]) -> None:
    """Decorators keep the name, so that what the portal shows is found in function_app.py."""
    for name, function in functions.items():
        assert function.get_user_function().__name__ == name


def test_routes_are_the_contracts(functions: dict[str, Any]) -> None:
    """No route is served that the contract does not know, and none is gone."""
    assert routes_of(functions) == ROUTES


def test_who_may_call_without_a_key(functions: dict[str, Any]) -> None:
    """Every HTTP function asks for the function key but those on the list; a new one is not public by accident."""
    levels = {
        name: function.get_trigger().auth_level
        for name, function in functions.items()
        if function.get_trigger().type == "httpTrigger"
    }
    public = {name for name, level in levels.items() if level is func.AuthLevel.ANONYMOUS}
    assert public == ANONYMOUS.keys(), "say in ANONYMOUS what proves the caller, or take anonymous out"
    assert {level for name, level in levels.items() if name not in public} == {func.AuthLevel.FUNCTION}


def test_every_queue_has_one_worker(functions: dict[str, Any]) -> None:
    """What is queued is worked on, by one function; poison queues are for people."""
    queues = [f.get_trigger().queue_name for f in functions.values() if f.get_trigger().type == "queueTrigger"]
    assert sorted(queues) == sorted(jobs.QUEUES)


def test_outputs_go_to_queues_of_ours(functions: dict[str, Any]) -> None:
    """The acknowledging functions write through bindings, each to the queue of its work."""
    outputs = {
        name: [b.queue_name for b in function.get_bindings() if b.type == "queue"]
        for name, function in functions.items()
        if function.get_bindings() and any(b.type == "queue" for b in function.get_bindings())
    }
    assert outputs == {
        "http_graph_notifications": [jobs.MAIL_CHANGES],
        "http_graph_lifecycle": [jobs.MAILBOX_WATCH],
    }


def test_everything_uses_the_one_storage_account(functions: dict[str, Any]) -> None:
    """Bindings and adapters meet on the same queues."""
    connections = {b.connection for f in functions.values() for b in f.get_bindings() if hasattr(b, "connection")}
    assert connections == {"AzureWebJobsStorage"}


def test_every_http_function_answers_its_errors(functions: dict[str, Any]) -> None:
    """Each is wrapped by api.endpoint or api.browser_page: none lets an exception's words out."""
    for name, function in functions.items():
        if name.startswith("http_"):
            handler = function.get_user_function()
            assert inspect.unwrap(handler) is not handler, f"put @api.endpoint or @api.browser_page on {name}"
            assert inspect.iscoroutinefunction(handler)


def test_every_timer_keeps_the_words_of_its_failures(functions: dict[str, Any]) -> None:
    """Each is wrapped by wiring.timed: the host writes to its log what a function raises."""
    for name, function in functions.items():
        if name.startswith("timer_"):
            assert function.get_user_function().__code__.co_name == "kept", f"put @wiring.timed on {name}"


def test_every_queue_function_notes_its_failures(functions: dict[str, Any]) -> None:
    """Each is wrapped by flows.noting, so that what ends as poison says why."""
    for name, function in functions.items():
        if name.startswith("queue_"):
            worker = function.get_user_function()
            assert inspect.unwrap(worker) is not worker, f"put @flows.noting on {name}"
            assert worker.__code__.co_name == "noted"
