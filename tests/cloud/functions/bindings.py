"""
What the app's decorators say, read from the bindings that the worker reports (the content of function.json in Azure).

Source: https://learn.microsoft.com/azure/azure-functions/functions-triggers-bindings and the pages of the HTTP, queue and timer
triggers. A binding this host does not imitate makes the app fail to load, rather than be quietly inert.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.cloud.functions import ncrontab, routes, wire

SETTING_NAME = re.compile(r"%([^%]+)%")
#: https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata
QUEUE_NAME = re.compile(r"(?=.{3,63}$)[a-z0-9]+(?:-[a-z0-9]+)*")
RESERVED_PREFIXES = ("admin", "runtime")
RETURN = "$return"


class BindingError(ValueError):
    """A binding is wrong, or of a kind that is not imitated; the message names the function."""


@dataclass(frozen=True)
class HttpTrigger:
    """`methods` are upper-case, None for all; `auth_level` is anonymous, function or admin."""

    parameter: str
    route: routes.Route
    methods: frozenset[str] | None
    auth_level: str


@dataclass(frozen=True)
class Queue:
    """A queue of the storage account that `connection_string` leads to."""

    name: str
    connection_string: str = field(repr=False)

    @property
    def poison(self) -> "Queue":
        """Where its messages go that failed too often."""
        return Queue(f"{self.name}-poison", self.connection_string)


@dataclass(frozen=True)
class QueueTrigger:
    """Runs for each message of `queue`."""

    parameter: str
    queue: Queue


@dataclass(frozen=True)
class TimerTrigger:
    """Runs when `schedule` says, and at start when `run_on_startup`."""

    parameter: str
    schedule: ncrontab.Schedule
    run_on_startup: bool
    use_monitor: bool


@dataclass(frozen=True)
class AppFunction:
    """One function: its trigger, and the queues its outputs go to by the name of the output (`$return` for the result)."""

    name: str
    function_id: str
    trigger: HttpTrigger | QueueTrigger | TimerTrigger
    queue_outputs: dict[str, Queue]


def read(function: wire.Function, settings: Mapping[str, str], route_prefix: str) -> AppFunction:
    """The function with its bindings understood and its `%SETTING%` names resolved; raises BindingError."""
    if function.has_retry_policy:
        raise BindingError(f"function {function.name}: retry policies are not imitated")
    triggers: list[HttpTrigger | QueueTrigger | TimerTrigger] = []
    queue_outputs: dict[str, Queue] = {}
    try:
        for binding in function.bindings:
            match binding["type"].lower():
                case "httptrigger":
                    triggers.append(_http_trigger(function.name, binding, route_prefix))
                case "queuetrigger":
                    triggers.append(QueueTrigger(binding["name"], _queue(binding, settings)))
                case "timertrigger":
                    triggers.append(_timer_trigger(binding, settings))
                case "queue":
                    queue_outputs[binding["name"]] = _queue(binding, settings)
                case "http":
                    pass
                case other:
                    raise BindingError(f"the binding type {other!r} is not imitated")
        if len(triggers) != 1:
            raise BindingError(f"it has {len(triggers)} triggers, a function has one")
    except ValueError as error:
        raise BindingError(f"function {function.name}: {error}") from None
    return AppFunction(function.name, function.function_id, triggers[0], queue_outputs)


def output_messages(value: wire.Value) -> list[bytes]:
    """
    The queue messages that a function's output stands for.

    A list makes one message of each item. Text and bytes go as they are, anything else (a dict, a func.QueueMessage)
    as its JSON, as the storage extension serialises objects.
    """
    kind, content = value
    if kind == "bytes":
        return [content]
    if kind != "json":
        return [str(content).encode()]
    decoded = json.loads(content)
    items = decoded if isinstance(decoded, list) else [decoded]
    return [(item if isinstance(item, str) else json.dumps(item, indent=2)).encode() for item in items]


def _http_trigger(function_name: str, binding: Mapping[str, Any], route_prefix: str) -> HttpTrigger:
    route = binding.get("route")
    template = (function_name if route is None else route).strip("/")
    if template.split("/")[0].lower() in RESERVED_PREFIXES and not route_prefix:
        raise BindingError(f"the route {template!r} begins with a name that the host keeps for itself")
    methods = binding.get("methods") or []
    auth_level = str(binding.get("authLevel", "function")).lower()
    if auth_level not in ("anonymous", "function", "admin"):
        raise BindingError(f"the auth level {auth_level!r} is unknown")
    return HttpTrigger(
        parameter=binding["name"],
        route=routes.parse("/".join(part for part in (route_prefix, template) if part)),
        methods=frozenset(str(method).upper() for method in methods) or None,
        auth_level=auth_level,
    )


def _queue(binding: Mapping[str, Any], settings: Mapping[str, str]) -> Queue:
    name = _resolved(binding["queueName"], settings).lower()
    if not QUEUE_NAME.fullmatch(name):
        raise BindingError(f"{name!r} is no name for a queue")
    connection = binding.get("connection") or "AzureWebJobsStorage"
    # The host tries the name behind `AzureWebJobs` first.
    value = settings.get(f"AzureWebJobs{connection}") or settings.get(connection)
    if not value:
        raise BindingError(f"the app setting {connection!r} has no connection string (identities are not imitated)")
    return Queue(name, value)


def _timer_trigger(binding: Mapping[str, Any], settings: Mapping[str, str]) -> TimerTrigger:
    return TimerTrigger(
        parameter=binding["name"],
        schedule=ncrontab.parse(_resolved(binding["schedule"], settings)),
        run_on_startup=bool(binding.get("runOnStartup", False)),
        use_monitor=bool(binding.get("useMonitor", True)),
    )


def _resolved(text: str, settings: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        if found[1] not in settings:
            raise BindingError(f"%{found[1]}% names an app setting that is not set")
        return settings[found[1]]

    return SETTING_NAME.sub(value, text)
