"""
One subscription: what may be asked for, and how it is shown.

Imitated, from https://learn.microsoft.com/graph/api/resources/subscription and the pages of its create and update calls:
the fields, their limits, and the errors. What no page states, and so is a guess: an expiry in the past is refused, and
the wording of errors other than the two about expiry and about an update without a known field.
Narrower than Graph, and refused rather than taken silently: resources other than messages; folders by id instead of by
well-known name; `$filter`; Event Hubs and Event Grid; `notificationQueryOptions`.
Wider than Graph in one thing: `http` to this machine is taken as a notification address, for Graph demands https.
"""

import ipaddress
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from tests.cloud.directory import AccessToken, Person
from tests.cloud.graph.errors import GraphError
from tests.cloud.graph.subscriptions.rich import RichRequest, read_rich_request

MINIMUM_LIFETIME = timedelta(minutes=45)
MAXIMUM_CLIENT_STATE_CHARS = 128
CHANGE_TYPES = frozenset({"created", "updated", "deleted"})
WELL_KNOWN_FOLDERS = frozenset(
    {"inbox", "drafts", "sentitems", "deleteditems", "junkemail", "archive", "outbox"},
)
CREATE_FIELDS = frozenset(
    {
        "@odata.type",
        "changeType",
        "clientState",
        "encryptionCertificate",
        "encryptionCertificateId",
        "expirationDateTime",
        "includeResourceData",
        "latestSupportedTlsVersion",
        "lifecycleNotificationUrl",
        "notificationQueryOptions",
        "notificationUrl",
        "notificationUrlAppId",
        "resource",
    }
)
UPDATE_FIELDS = frozenset({"@odata.type", "expirationDateTime", "notificationUrl"})

_RESOURCE = re.compile(
    r"/?(?:me|users(?:/(?P<user>[^/()?]+)|\('(?P<quoted_user>[^']+)'\)))"
    r"(?:/mailFolders(?:/(?P<folder>[^/()?]+)|\('(?P<quoted_folder>[^']+)'\)))?"
    r"/messages(?:\?(?P<query>.*))?",
    re.IGNORECASE,
)


def invalid_request(message: str) -> GraphError:
    """A missing or wrong field of a subscription."""
    return GraphError(400, "InvalidRequest", message)


def wire_time(moment: datetime) -> str:
    """A time as Graph writes it in subscriptions: UTC with seven decimals."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


@dataclass(frozen=True)
class Lifetimes:
    """How far ahead an expiry may lie, in minutes."""

    basic_minutes: int = 10_080
    rich_minutes: int = 1_440


@dataclass
class Subscription:
    """
    One subscription of one app and one person.

    `folder` is a well-known name in lower case, None for the whole mailbox. `token_expires_at` is the end of the access
    token it was last made, renewed or reauthorized with: Graph delivers nothing beyond it.
    """

    client_id: str
    person: Person
    resource: str
    folder: str | None
    change_types: frozenset[str]
    change_type: str
    notification_url: str
    lifecycle_notification_url: str | None
    client_state: str | None
    expires_at: datetime
    token_expires_at: datetime
    immutable_ids: bool
    latest_tls: str
    rich: RichRequest | None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    renewed_at: datetime | None = None
    reauthorized_at: datetime | None = None
    #: How often PATCH and reauthorize came within 10 minutes of each other, which Graph's documentation forbids.
    conflicting_renewals: int = 0

    @property
    def combination(self) -> tuple[str, str, str, frozenset[str]]:
        """What may exist only once: app, person, folder and change types."""
        return self.client_id, self.person.oid, self.folder or "", self.change_types

    def shown(self) -> dict[str, Any]:
        """The subscription resource of Graph v1.0."""
        return {
            "id": self.id,
            "resource": self.resource,
            "applicationId": self.client_id,
            "changeType": self.change_type,
            "clientState": self.client_state,
            "notificationUrl": self.notification_url,
            "notificationQueryOptions": None,
            "lifecycleNotificationUrl": self.lifecycle_notification_url,
            "expirationDateTime": wire_time(self.expires_at),
            "creatorId": self.person.oid,
            "includeResourceData": True if self.rich else None,
            "latestSupportedTlsVersion": self.latest_tls,
            "encryptionCertificate": None,
            "encryptionCertificateId": self.rich.certificate_id if self.rich else None,
            "notificationUrlAppId": None,
        }


def read_create(
    body: Mapping[str, Any],
    person: Person,
    token: AccessToken,
    now: datetime,
    lifetimes: Lifetimes,
    *,
    immutable_ids: bool,
) -> Subscription:
    """The subscription that a POST asks for; raises 400 for anything wrong, 403 for another person's mailbox."""
    _refuse_unknown(body, CREATE_FIELDS)
    for name in ("changeType", "notificationUrl", "resource", "expirationDateTime"):
        if not isinstance(body.get(name), str) or not body[name]:
            raise invalid_request(f"Property '{name}' is required and must be a string.")
    for name in ("notificationQueryOptions", "notificationUrlAppId"):
        if body.get(name) is not None:
            raise invalid_request(f"This emulator does not know '{name}'.")
    client_state = body.get("clientState")
    if client_state is not None and not isinstance(client_state, str):
        raise invalid_request("Property 'clientState' must be a string.")
    if client_state is not None and len(client_state) > MAXIMUM_CLIENT_STATE_CHARS:
        raise invalid_request(f"Property 'clientState' is longer than {MAXIMUM_CLIENT_STATE_CHARS} characters.")
    latest_tls = body.get("latestSupportedTlsVersion", "v1_2")
    if latest_tls not in {"v1_0", "v1_1", "v1_2", "v1_3"}:
        raise invalid_request("Property 'latestSupportedTlsVersion' must be one of v1_0, v1_1, v1_2, v1_3.")
    folder, query = _read_resource(body["resource"], person)
    rich = read_rich_request(body, query)
    lifecycle_url = body.get("lifecycleNotificationUrl")
    return Subscription(
        client_id=token.client_id,
        person=person,
        resource=body["resource"],
        folder=folder,
        change_types=_read_change_types(body["changeType"]),
        change_type=body["changeType"],
        notification_url=read_address("notificationUrl", body["notificationUrl"]),
        lifecycle_notification_url=None
        if lifecycle_url is None
        else read_address("lifecycleNotificationUrl", lifecycle_url),
        client_state=client_state,
        expires_at=read_expiry(body["expirationDateTime"], now, lifetimes, "Create", rich=rich is not None),
        token_expires_at=token.expires_at,
        immutable_ids=immutable_ids,
        latest_tls=latest_tls,
        rich=rich,
    )


def read_update(body: Mapping[str, Any]) -> tuple[Any, Any]:
    """The new expiry and the new notification address that a PATCH asks for, each None where not given."""
    _refuse_unknown(body, UPDATE_FIELDS)
    expiry, address = body.get("expirationDateTime"), body.get("notificationUrl")
    if expiry is None and address is None:
        raise invalid_request(
            "Subscription must contain either the 'expirationDateTime' or 'notificationUrl' property and its value."
        )
    return expiry, address


def read_expiry(value: Any, now: datetime, lifetimes: Lifetimes, operation: str, *, rich: bool) -> datetime:
    """When the subscription will end: as asked, but at least 45 minutes ahead; too far ahead is a 400."""
    try:
        asked = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise invalid_request("Property 'expirationDateTime' is not a date and time.") from error
    if asked.tzinfo is None:
        raise invalid_request("Property 'expirationDateTime' needs a time zone, as in 2026-11-30T11:00:00Z.")
    if asked <= now:
        raise invalid_request("Property 'expirationDateTime' must be in the future.")
    minutes = lifetimes.rich_minutes if rich else lifetimes.basic_minutes
    if asked > now + timedelta(minutes=minutes):
        reason = f"Subscription expiration can only be {minutes} minutes in the future."
        message = f"Operation: {operation}; Exception: [Status Code: BadRequest; Reason: {reason}]"
        raise GraphError(400, "ExtensionError", message)
    return max(asked.astimezone(UTC), now + MINIMUM_LIFETIME)


def read_address(name: str, value: Any) -> str:
    """An address notifications can be sent to: https, or http on this machine."""
    if not isinstance(value, str) or any(character.isspace() for character in value):
        raise invalid_request(f"Property '{name}' is not an address.")
    parts = urlsplit(value)
    local = parts.scheme == "http" and _is_loopback(parts.hostname or "")
    if not parts.hostname or parts.fragment or not (parts.scheme == "https" or local):
        raise invalid_request(
            f"Property '{name}' must be an https address (this emulator also takes http on loopback)."
        )
    return value


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _read_change_types(value: str) -> frozenset[str]:
    kinds = [kind.strip() for kind in value.split(",")]
    if len(set(kinds)) != len(kinds) or not set(kinds) <= CHANGE_TYPES:
        raise invalid_request(
            "Property 'changeType' must be a list of created, updated and deleted, each at most once."
        )
    return frozenset(kinds)


def _read_resource(resource: str, person: Person) -> tuple[str | None, str | None]:
    """The folder (None: all of them) and the query part of a resource in this person's own mailbox."""
    found = _RESOURCE.fullmatch(resource)
    if found is None:
        raise invalid_request(
            f"Resource '{resource}' is not one this emulator knows: messages of a mailbox or a folder."
        )
    user = found["user"] or found["quoted_user"]
    if user and user.lower() not in {person.oid.lower(), *(address.lower() for address in person.addresses)}:
        raise GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
    folder = found["folder"] or found["quoted_folder"]
    if folder and folder.lower() not in WELL_KNOWN_FOLDERS:
        raise invalid_request(f"Folder '{folder}': this emulator knows folders by their well-known names only.")
    return (folder.lower() if folder else None), found["query"]


def _refuse_unknown(body: Mapping[str, Any], known: frozenset[str]) -> None:
    for name in body:
        if name not in known:
            raise invalid_request(f"Property '{name}' is not a property of a subscription that can be set here.")
