"""
`me/mailFolders/{folder}/messages/delta`: what changed in a folder since the last time.

Imitated: https://learn.microsoft.com/graph/api/message-delta and …/delta-query-messages: rounds of pages linked by
`$skiptoken` and ended by a `$deltatoken`, opaque links that carry every option and the id format, `@removed` for what left
the folder, `$filter` only on receivedDateTime with ge or gt, `$orderby` only receivedDateTime desc, `changeType`. Switches:
tokens that are gone, generations that expire, and items that moved away and back and are never told again. Not imitated:
partial objects, replays, that `$select` decides which changes are told (all are).
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.cloud.graph import odata
from tests.cloud.graph.errors import GraphError, bad_request
from tests.cloud.graph.mailbox import Departure, Mailbox
from tests.cloud.graph.message import Folder, Message
from tests.cloud.graph.odata_expression import Comparison
from tests.cloud.graph.paging import DEFAULT_PAGE, link
from tests.cloud.graph.paths import route
from tests.cloud.graph.preferences import Preferences
from tests.cloud.graph.routes_messages import message_view, shown_by_default
from tests.cloud.graph.service import METADATA_URL, READ_BASIC, Caller, MailService

_CHANGE_TYPES = ("created", "updated", "deleted")
_FILTERS = {("receivedDateTime", "ge"), ("receivedDateTime", "gt")}


@dataclass(frozen=True)
class _Query:
    """What the first request of a sync asked for; every later link stands for it. `sync` tells two syncs apart."""

    sync: str
    oid: str
    folder: Folder
    options: odata.QueryOptions
    change_type: str | None
    preferences: Preferences


@dataclass(frozen=True)
class _Link:
    """Where a sync stands: at the end of round `generation`, or in the middle of one with `left` still to tell."""

    query: _Query
    until: int
    generation: int
    left: list[Message | Departure] = field(default_factory=list)


class DeltaRoutes:
    """The delta query and the links it has given out."""

    def __init__(self, service: MailService) -> None:
        self._service = service
        self._pages: dict[str, _Link] = {}
        self._rounds: dict[str, _Link] = {}
        self._newest: dict[str, int] = {}

    def register(self, router: web.UrlDispatcher) -> None:
        """Add the routes of this module; must come before the routes of single messages."""
        for form in ("delta", "delta()", "microsoft.graph.delta()"):
            route(router, "GET", f"/me/mailFolders/{{folder_id}}/messages/{form}", self._delta)

    def reset(self) -> None:
        """Every link is gone."""
        self._pages.clear()
        self._rounds.clear()
        self._newest.clear()

    async def _delta(self, request: web.Request) -> web.Response:
        caller = self._service.caller(request, *READ_BASIC)
        folder = caller.mailbox.folder(request.match_info["folder_id"])
        tokens = [name for name in ("$skiptoken", "$deltatoken") if name in request.query]
        if not tokens:
            query = self._first(request, caller, folder)
            entries: list[Message | Departure] = list(_changed(caller.mailbox, query, since=0, misses_returned=False))
            return self._page(request, caller, _Link(query, caller.mailbox.sequence, 1, entries))
        if len(request.query) > 1:
            raise bad_request("A link of a delta query carries its options; others cannot be added.")
        known = (self._pages if tokens == ["$skiptoken"] else self._rounds).get(request.query[tokens[0]])
        if known is None or known.query.oid != caller.person.oid or known.query.folder != folder:
            raise bad_request("Badly formed token.", "InvalidSyncStateData")
        if tokens == ["$skiptoken"]:
            return self._page(request, caller, known)
        self._check_generation(request, known)
        misses = self._service.switches.delta_misses_items_moved_back and known.query.preferences.immutable_ids
        entries = list(_changed(caller.mailbox, known.query, since=known.until, misses_returned=misses))
        return self._page(request, caller, _Link(known.query, caller.mailbox.sequence, known.generation + 1, entries))

    def _first(self, request: web.Request, caller: Caller, folder: Folder) -> _Query:
        asked = dict(request.query)
        change_type = asked.pop("changeType", None)
        if change_type is not None and change_type not in _CHANGE_TYPES:
            raise bad_request(f"'{change_type}' is not a change type.")
        options = odata.parse(asked, odata.MESSAGE, collection=True)
        if options.skip or options.count:
            raise bad_request("$skip and $count are not supported in delta queries.")
        if options.filter is not None:
            expression = options.filter.expression
            is_known = isinstance(expression, Comparison) and (expression.path, expression.operator) in _FILTERS
            if not is_known:
                raise bad_request("A delta query of messages filters by receivedDateTime ge or gt only.")
        if options.orderby not in ([], [("receivedDateTime", True)]):
            raise bad_request("A delta query of messages is sorted by receivedDateTime desc only.")
        shown_by_default(caller, options)
        return _Query(secrets.token_hex(8), caller.person.oid, folder, options, change_type, caller.preferences)

    def _check_generation(self, request: web.Request, known: _Link) -> None:
        highest = self._newest[known.query.sync]
        kept = self._service.switches.delta_generations_kept
        too_old = bool(kept) and known.generation + kept < highest
        if self._service.switches.delta_link_gone or too_old:
            raise GraphError(
                410,
                "syncStateNotFound",
                f"The sync state generation is not found; generation={known.generation};[highest={highest}].",
                headers={"Location": f"{self._service.url}{request.path}"},
            )

    def _page(self, request: web.Request, caller: Caller, at: _Link) -> web.Response:
        query = at.query
        # A link answers in the id format it was asked for, whatever this request prefers.
        viewer = Caller(caller.person, caller.token, caller.mailbox, query.preferences)
        size = query.preferences.max_page_size or query.options.top or DEFAULT_PAGE
        default = shown_by_default(caller, query.options)
        answer: dict[str, Any] = {
            "@odata.context": f"{METADATA_URL}#users('{caller.person.oid}')/mailFolders('{query.folder.id}')/messages"
        }
        answer["value"] = [
            self._entry(viewer, entry, query, default)
            for entry in at.left[:size]
            # What left while the pages were read is told in the next round.
            if isinstance(entry, Departure) or entry.folder == query.folder
        ]
        token = secrets.token_urlsafe(48)
        if at.left[size:]:
            self._pages[token] = _Link(query, at.until, at.generation, at.left[size:])
            answer["@odata.nextLink"] = link(self._service.url, request, {"$skiptoken": token})
        else:
            self._rounds[token] = _Link(query, at.until, at.generation)
            self._newest[query.sync] = max(self._newest.get(query.sync, 0), at.generation)
            answer["@odata.deltaLink"] = link(self._service.url, request, {"$deltatoken": token})
        return web.json_response(answer)

    def _entry(self, viewer: Caller, entry: Message | Departure, query: _Query, default: list[str]) -> dict[str, Any]:
        if isinstance(entry, Departure):
            gone = entry.immutable_id if viewer.immutable_ids else entry.mutable_id
            return {"@odata.type": "#microsoft.graph.message", "id": gone, "@removed": {"reason": "deleted"}}
        shown = odata.project(message_view(self._service, viewer, entry), query.options, default)
        return {"@odata.type": "#microsoft.graph.message", **shown}


def _changed(mailbox: Mailbox, query: _Query, *, since: int, misses_returned: bool) -> Iterator[Message | Departure]:
    """
    What there is to tell of the folder: everything when `since` is 0, otherwise what came, changed or left after it.

    `misses_returned`: what left and came back, and did not change besides, is told as removed only.
    """
    present: dict[str, Message] = {}
    left = {d.immutable_id: d for d in mailbox.departures if d.sequence > since and d.folder_id == query.folder.id}
    for message in mailbox.messages(query.folder):
        if message.changed_sequence <= since:
            continue
        if misses_returned and message.immutable_id in left and message.arrived_sequence == message.changed_sequence:
            continue
        present[message.immutable_id] = message
    wanted = query.options.filter
    for message in present.values():
        kind = "created" if message.arrived_sequence > since else "updated"
        seen = not wanted or wanted.matches({"receivedDateTime": message.received_at.isoformat()})
        if seen and (since == 0 or query.change_type in (None, kind)):
            yield message
    if since == 0 or query.change_type not in (None, "deleted"):
        return
    for departure in left.values():
        # With immutable ids a message that came back is the same item: it is not removed.
        if not (query.preferences.immutable_ids and departure.immutable_id in present):
            yield departure
