"""
Reading what Graph posts to us, and telling a true notification from a forged one, without looking anything up.

`clientState` is `<connection id>.<HMAC>`: the only proof of authenticity that a basic notification carries
(https://learn.microsoft.com/graph/change-notifications-delivery-webhooks). It names the connection, so that neither a table
nor Graph has to be asked before the notification is queued. A rich notification carries the message's keys too, encrypted, and a
token that proves them: both are only passed on here (encrypted_content.py).
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sync.domain.encrypted_content import EncryptedContent
from sync.domain.errors import MalformedRequest

MAX_VALIDATION_TOKEN_CHARS = 2_048
MAX_BODY_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Changes:
    """
    What a post holds: (connection id, immutable message id) pairs, each once, and how many items were dropped and why.

    `carried`: what came along of these messages, still encrypted, by their pair; of one that is told of twice the last.
    """

    changed: tuple[tuple[str, str], ...]
    forged: int
    ignored: int
    carried: Mapping[tuple[str, str], EncryptedContent] = field(default_factory=dict)


def client_state(connection_id: str, signing_key: bytes) -> str:
    """The secret word of a connection's subscription: at most 128 characters."""
    mac = hmac.new(signing_key, b"clientState|" + connection_id.encode(), hashlib.sha256).digest()
    return f"{connection_id}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def key_name(signing_key: bytes) -> str:
    """The public name of a signing key: which one a clientState was made with is kept with the subscription."""
    return hashlib.sha256(b"signing key|" + signing_key).hexdigest()[:8]


def connection_of(word: object, signing_keys: Sequence[bytes]) -> str | None:
    """The connection a clientState was made for, or None where it is forged. Compared in constant time."""
    if not isinstance(word, str) or not word.isascii() or "." not in word:
        return None
    connection_id = word.rpartition(".")[0]
    genuine = [hmac.compare_digest(client_state(connection_id, key), word) for key in signing_keys]
    return connection_id if any(genuine) else None


def read_changes(body: bytes, signing_keys: Sequence[bytes]) -> Changes:
    """
    Read a change notification collection.

    Forged items and items of no use (a deletion, no message id) are counted and dropped; the others of the same post
    stay. Raises MalformedRequest where the body is not a collection at all.
    """
    changed: dict[tuple[str, str], None] = {}
    carried: dict[tuple[str, str], EncryptedContent] = {}
    forged = ignored = 0
    collection = _collection(body)
    for item in _items(collection):
        connection_id = connection_of(item.get("clientState"), signing_keys)
        resource = item.get("resourceData")
        graph_id = resource.get("id") if isinstance(resource, dict) else None
        if connection_id is None:
            forged += 1
        elif item.get("changeType") not in ("created", "updated") or not isinstance(graph_id, str) or not graph_id:
            ignored += 1
        else:
            changed[connection_id, graph_id] = None
            content = EncryptedContent.of(item, collection.get("validationTokens"))
            if content is not None:
                carried[connection_id, graph_id] = content
    return Changes(tuple(changed), forged, ignored, carried)


def read_lifecycle(body: bytes, signing_keys: Sequence[bytes]) -> Changes:
    """
    Read a lifecycle notification collection: as `read_changes`, but the second of each pair is the lifecycle event
    (`reauthorizationRequired`, `subscriptionRemoved`, `missed`).
    """
    told: dict[tuple[str, str], None] = {}
    forged = ignored = 0
    for item in _items(_collection(body)):
        connection_id = connection_of(item.get("clientState"), signing_keys)
        event = item.get("lifecycleEvent")
        if connection_id is None:
            forged += 1
        elif event not in ("reauthorizationRequired", "subscriptionRemoved", "missed"):
            ignored += 1
        else:
            told[connection_id, str(event)] = None
    return Changes(tuple(told), forged, ignored)


def usable_validation_token(token: str) -> bool:
    """Whether a validation token can be echoed: text of a sane length. It is answered as plain text, so that it runs nowhere."""
    return 0 < len(token) <= MAX_VALIDATION_TOKEN_CHARS and token.isprintable()


def _collection(body: bytes) -> dict[str, object]:
    if len(body) > MAX_BODY_BYTES:
        raise MalformedRequest("The notification is larger than any that Microsoft Graph sends.")
    try:
        collection = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedRequest('A notification is a JSON object with a list "value".') from error
    if not isinstance(collection, dict):
        raise MalformedRequest('A notification is a JSON object with a list "value".')
    return collection


def _items(collection: Mapping[str, object]) -> list[dict[str, object]]:
    value = collection.get("value")
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise MalformedRequest('A notification is a JSON object with a list "value" of objects.')
    return value
