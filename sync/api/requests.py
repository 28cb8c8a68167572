"""Reading a request: each function raises the Refusal that says what to do instead."""

import json
import re
from typing import Any

import azure.functions as func

from sync.domain import errors
from sync.domain.connection import ACCOUNT_OR_USER_ID

#: A send with 20 MiB of files is 28 MB of base64, and its bodies.
MAX_BODY_BYTES = 40 * 1024 * 1024
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
MAX_PAGE = 1_000
MAX_SEQUENCE = 9_999_999_999


def account_of(req: func.HttpRequest) -> str:
    """The account in the path."""
    return _id(req, "account_id")


def user_of(req: func.HttpRequest) -> str:
    """The user in the path."""
    return _id(req, "user_id")


def _id(req: func.HttpRequest, name: str) -> str:
    value = str(req.route_params.get(name, ""))
    if not ACCOUNT_OR_USER_ID.fullmatch(value):
        raise errors.MalformedRequest(f"{name} has 1 to 64 characters out of A-Z a-z 0-9 _ and -.")
    return value


def json_body(req: func.HttpRequest) -> Any:
    """The JSON of the body; raises MalformedRequest."""
    body = req.get_body()
    if len(body) > MAX_BODY_BYTES:
        raise errors.PayloadTooLarge(f"A request has at most {MAX_BODY_BYTES} bytes. Nothing was changed.")
    try:
        text = body.decode("utf-8")
        value = json.loads(text, parse_constant=_not_json)
        if ESCAPED_SURROGATE.search(text):
            # Half of a surrogate pair is no character: nothing could write it again.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise errors.MalformedRequest("The body is not JSON in UTF-8. Nothing was changed.") from error
    if not isinstance(value, dict):
        raise errors.MalformedRequest("The body is a JSON object. Nothing was changed.")
    return value


def _not_json(word: str) -> None:
    raise ValueError(f"{word} is Python's, not JSON's")


def idempotency_key(req: func.HttpRequest) -> str:
    """The Idempotency-Key header; raises IdempotencyKeyMissing."""
    key = req.headers.get("Idempotency-Key", "")
    if not IDEMPOTENCY_KEY.fullmatch(key):
        raise errors.IdempotencyKeyMissing
    return str(key)


def number(req: func.HttpRequest, name: str, default: int, high: int) -> int:
    """A whole number from 0 in the query; raises InvalidRequest."""
    text = req.params.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > len(str(MAX_SEQUENCE)) or int(text) > high:
        raise errors.InvalidRequest(
            f"{name} is a whole number from 0 to {high}.", errors=[{"field": name, "message": text[:40]}]
        )
    return int(text)


def sequence_after(req: func.HttpRequest) -> int:
    """The `after` of the feed."""
    return number(req, "after", 0, MAX_SEQUENCE)


def wants_erase(req: func.HttpRequest) -> bool:
    """The `erase` of a delete: whether what was synced is to be erased, too."""
    return _yes(req, "erase", "Nothing was deleted.")


def wants_messages(req: func.HttpRequest) -> bool:
    """The `messages` of a batch: whether each of them is to be shown, too."""
    return _yes(req, "messages", "")


def wants_checks(req: func.HttpRequest) -> bool:
    """The `checks` of the status, by default yes: whether what the app needs is to be tried, too."""
    return _yes(req, "checks", "", default="true")


def _yes(req: func.HttpRequest, name: str, nothing: str, *, default: str = "false") -> bool:
    """A yes or no of the query. Anything but true and false is refused."""
    text = req.params.get(name, default)
    if text not in ("true", "false"):
        raise errors.InvalidRequest(
            f"{name} is true or false. {nothing}".strip(), errors=[{"field": name, "message": text[:40]}]
        )
    return bool(text == "true")


def settings_token(req: func.HttpRequest) -> str:
    """What the settings page proves itself with; empty where it does not."""
    scheme, _, token = req.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.casefold() == "bearer" else ""


def page_size(req: func.HttpRequest) -> int:
    """The `limit` of a listing."""
    return max(1, number(req, "limit", 100, MAX_PAGE))
