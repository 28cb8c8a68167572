"""
host.json, and the app settings that override it (`AzureFunctionsJobHost__extensions__queues__batchSize`).

Source: https://learn.microsoft.com/azure/azure-functions/functions-host-json and, for queues,
https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#host-json. Names are case-insensitive, as
the .NET configuration behind them. What the host does not know it ignores; so does this.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

OVERRIDE_PREFIX = "azurefunctionsjobhost__"
TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d{1,7})?))?")


class HostJsonError(ValueError):
    """host.json (or a setting that overrides it) is wrong; the message says where."""


@dataclass(frozen=True)
class QueueOptions:
    """How queue triggers run. Times are in seconds."""

    max_polling_interval: float = 60.0
    visibility_timeout: float = 0.0
    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    message_encoding: Literal["base64", "none"] = "base64"


@dataclass(frozen=True)
class HostOptions:
    """What of host.json this host acts on. `function_timeout` is in seconds, None without limit."""

    route_prefix: str = "api"
    function_timeout: float | None = 300.0
    queues: QueueOptions = QueueOptions()


def read(app_folder: Path, settings: dict[str, str]) -> HostOptions:
    """host.json of the app with its overrides; raises HostJsonError."""
    path = app_folder / "host.json"
    try:
        values = _lower(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise HostJsonError(f"there is no host.json in {app_folder}") from None
    except json.JSONDecodeError as error:
        raise HostJsonError(f"host.json is not JSON: {error}") from None
    for name, value in settings.items():
        if name.lower().startswith(OVERRIDE_PREFIX):
            _put(values, name.lower().removeprefix(OVERRIDE_PREFIX).split("__"), value)
    if values.get("version") != "2.0":
        raise HostJsonError('host.json needs `"version": "2.0"`')
    extensions = values.get("extensions", {})
    timeout = values.get("functiontimeout", "00:05:00")
    return HostOptions(
        route_prefix=str(extensions.get("http", {}).get("routeprefix", "api")).strip("/"),
        function_timeout=None if str(timeout) == "-1" else seconds(str(timeout), "functionTimeout"),
        queues=_queue_options(extensions.get("queues", {})),
    )


def seconds(text: str, name: str) -> float:
    """A .NET time span, `[d.]hh:mm:ss[.fff]`, in seconds."""
    found = TIME_SPAN.fullmatch(text.strip())
    if found is None:
        raise HostJsonError(f"{name} is {text!r}, it must be a time span such as 00:00:30")
    days, hours, minutes, secs = found.groups()
    return int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(secs or 0)


def _queue_options(values: dict[str, Any]) -> QueueOptions:
    batch_size = _integer(values, "batchSize", 16, 1, 32)
    encoding = str(values.get("messageencoding", "base64")).lower()
    if encoding not in ("base64", "none"):
        raise HostJsonError(f"queues.messageEncoding is {encoding!r}, it must be base64 or none")
    polling = seconds(str(values.get("maxpollinginterval", "00:01:00")), "queues.maxPollingInterval")
    if polling < 0.1:
        raise HostJsonError("queues.maxPollingInterval must be at least 100 ms")
    return QueueOptions(
        max_polling_interval=polling,
        visibility_timeout=seconds(str(values.get("visibilitytimeout", "00:00:00")), "queues.visibilityTimeout"),
        batch_size=batch_size,
        new_batch_threshold=_integer(values, "newBatchThreshold", batch_size // 2, 0, 1000),
        max_dequeue_count=_integer(values, "maxDequeueCount", 5, 1, 1000),
        message_encoding=cast("Literal['base64', 'none']", encoding),
    )


def _integer(values: dict[str, Any], name: str, default: int, lowest: int, highest: int) -> int:
    value = values.get(name.lower(), default)
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise HostJsonError(f"queues.{name} is {value!r}, it must be a whole number") from None
    if not lowest <= number <= highest:
        raise HostJsonError(f"queues.{name} is {number}, it must be from {lowest} to {highest}")
    return number


def _lower(value: Any) -> Any:
    """The same JSON with every name in lower case."""
    if isinstance(value, dict):
        return {name.lower(): _lower(inner) for name, inner in value.items()}
    return value


def _put(values: dict[str, Any], path: list[str], value: str) -> None:
    for name in path[:-1]:
        values = values.setdefault(name, {})
    values[path[-1]] = value
