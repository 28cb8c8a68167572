"""
Graph's routes for subscriptions.

Imitated, from https://learn.microsoft.com/graph/api/resources/subscription and the pages of its calls: POST, with the real
handshake while the caller waits; GET of all and of one; PATCH; DELETE; reauthorize. A guess: every one of them is 404 for
a person without a mailbox.
Not imitated: paging of the list, app-only tokens, query options (refused with 400).
"""

import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from tests.cloud.clock import Clock
from tests.cloud.directory import AccessToken, Directory, Person
from tests.cloud.graph.auth import authenticate, require_mailbox, require_scope
from tests.cloud.graph.errors import GraphError
from tests.cloud.graph.subscriptions.lifecycle import Reauthorization
from tests.cloud.graph.subscriptions.registry import Registry
from tests.cloud.graph.subscriptions.subscription import (
    Subscription,
    invalid_request,
    read_address,
    read_create,
    read_expiry,
    read_update,
)
from tests.cloud.graph.traffic import MAILBOX

IMMUTABLE_ID_PREFERENCE = 'IdType="ImmutableId"'
READ_SCOPES = ("Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite")
ODATA_CONTEXT = "https://graph.microsoft.com/v1.0/$metadata#subscriptions"
#: PATCH and reauthorize of one subscription must lie this far apart (lifecycle page, 2026-03-24).
RENEWALS_APART = timedelta(minutes=10)
_NOT_FOUND = "ResourceNotFound"

#: Asks an address whether it wants notifications; raises 400 where it does not prove itself.
Validate = Callable[[str], Awaitable[None]]


class SubscriptionRoutes:
    """The handlers under `/v1.0/subscriptions`."""

    def __init__(
        self,
        directory: Directory,
        clock: Clock,
        registry: Registry,
        reauthorization: Reauthorization,
        validate: Validate,
        *,
        rich_possible: bool,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._registry = registry
        self._reauthorization = reauthorization
        self._validate = validate
        self._rich_possible = rich_possible

    def register(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        router.add_post("/v1.0/subscriptions", self._create)
        router.add_get("/v1.0/subscriptions", self._list)
        router.add_get("/v1.0/subscriptions/{id}", self._read)
        router.add_patch("/v1.0/subscriptions/{id}", self._update)
        router.add_delete("/v1.0/subscriptions/{id}", self._delete)
        router.add_post("/v1.0/subscriptions/{id}/reauthorize", self._reauthorize)

    def _caller(self, request: web.Request) -> tuple[Person, AccessToken]:
        person, token = authenticate(request, self._directory, self._clock)
        request[MAILBOX] = person.email
        require_scope(token, *READ_SCOPES)
        if request.query:
            raise GraphError(400, "BadRequest", f"Query option '{next(iter(request.query))}' is not supported here.")
        require_mailbox(person)
        return person, token

    def _find(self, request: web.Request) -> tuple[Subscription, AccessToken]:
        """The caller's subscription of this path, or 404 as for one that never was."""
        person, token = self._caller(request)
        wanted = request.match_info["id"]
        found = next((own for own in self._registry.own(person, token) if own.id == wanted), None)
        if found is None:
            raise _not_found()
        return found, token

    async def _create(self, request: web.Request) -> web.Response:
        person, token = self._caller(request)
        immutable_ids = IMMUTABLE_ID_PREFERENCE in request.headers.get("Prefer", "")
        body = await _read_json(request)
        subscription = read_create(
            body, person, token, self._clock.now(), self._registry.rules.lifetimes, immutable_ids=immutable_ids
        )
        if subscription.rich and not self._rich_possible:
            raise invalid_request("This emulator was started without what notifications with resource data need.")
        self._registry.refuse_duplicate(subscription)
        await self._validate(subscription.notification_url)
        if subscription.lifecycle_notification_url is not None:
            await self._validate(subscription.lifecycle_notification_url)
        self._registry.add(subscription)
        self._reauthorization.watch(subscription)
        headers = {"Preference-Applied": IMMUTABLE_ID_PREFERENCE} if immutable_ids else {}
        return self._answer(subscription, status=201, headers=headers)

    async def _list(self, request: web.Request) -> web.Response:
        own = self._registry.own(*self._caller(request))
        return web.json_response({"@odata.context": ODATA_CONTEXT, "value": [self._shown(found) for found in own]})

    async def _read(self, request: web.Request) -> web.Response:
        subscription, _ = self._find(request)
        return web.json_response({"@odata.context": f"{ODATA_CONTEXT}/$entity", **self._shown(subscription)})

    async def _update(self, request: web.Request) -> web.Response:
        try:
            subscription, token = self._find(request)
        except GraphError as error:
            if error.code == _NOT_FOUND and self._registry.rules.missing == "invalid_parameter":
                raise GraphError(400, "ErrorInvalidParameter", "The subscription does not exist.") from error
            raise
        expiry, address = read_update(await _read_json(request))
        now = self._clock.now()
        is_rich = subscription.rich is not None
        expires_at = subscription.expires_at
        if expiry is not None:
            expires_at = read_expiry(expiry, now, self._registry.rules.lifetimes, "Update", rich=is_rich)
        url = subscription.notification_url if address is None else read_address("notificationUrl", address)
        if address is not None or self._registry.rules.revalidate:
            await self._validate(url)
            if not self._registry.is_live(subscription):  # deleted while its address was asked
                raise _not_found()
        subscription.expires_at, subscription.notification_url = expires_at, url
        if expiry is not None:
            subscription.token_expires_at = token.expires_at
            self._count_conflict(subscription, subscription.reauthorized_at)
            subscription.renewed_at = now
            self._reauthorization.watch(subscription)
        return self._answer(subscription, status=200)

    async def _delete(self, request: web.Request) -> web.Response:
        subscription, _ = self._find(request)
        self._registry.remove(subscription)
        self._reauthorization.forget(subscription)
        return web.Response(status=204)

    async def _reauthorize(self, request: web.Request) -> web.Response:
        subscription, token = self._find(request)
        if await request.read():
            raise invalid_request("reauthorize takes no body.")
        subscription.token_expires_at = token.expires_at
        self._count_conflict(subscription, subscription.renewed_at)
        subscription.reauthorized_at = self._clock.now()
        self._reauthorization.watch(subscription)
        return web.Response(status=204)

    def _count_conflict(self, subscription: Subscription, other: datetime | None) -> None:
        if other is not None and self._clock.now() - other < RENEWALS_APART:
            subscription.conflicting_renewals += 1

    def _shown(self, subscription: Subscription) -> dict[str, Any]:
        shown = subscription.shown()
        return shown if self._registry.rules.client_state == "shown" else {**shown, "clientState": None}

    def _answer(self, subscription: Subscription, status: int, headers: dict[str, str] | None = None) -> web.Response:
        body = {"@odata.context": f"{ODATA_CONTEXT}/$entity", **subscription.shown()}
        return web.json_response(body, status=status, headers=headers)


def _not_found() -> GraphError:
    return GraphError(404, _NOT_FOUND, "The object was not found.")


async def _read_json(request: web.Request) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise GraphError(415, "UnsupportedMediaType", "Write requests (excluding DELETE) must contain JSON.")
    try:
        body = json.loads(await request.text())
    except json.JSONDecodeError as error:
        raise GraphError(400, "BadRequest", "Unable to read JSON request payload.") from error
    if not isinstance(body, dict):
        raise GraphError(400, "BadRequest", "The request payload must be a JSON object.")
    return body
