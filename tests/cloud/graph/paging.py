"""
A collection as an answer: filtered, sorted, one page of it, and the link to the next.

Imitated: https://learn.microsoft.com/graph/paging: `$top` is the size of a page, not of the whole; the next link carries
every option of the request and the next `$skip`. Not imitated: pages that come back shorter than asked.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from aiohttp import web

from tests.cloud.graph import odata
from tests.cloud.graph.preferences import PREFERENCES
from tests.cloud.graph.service import METADATA_URL

DEFAULT_PAGE = 10


def page_response(
    url: str,
    request: web.Request,
    entities: Iterable[Mapping[str, Any]],
    options: odata.QueryOptions,
    default: Sequence[str],
    context: str,
) -> web.Response:
    """One page of the entities, given in their default order; raises 400 InefficientFilter."""
    odata.check_order(options.filter, options.orderby)
    found = [entity for entity in entities if options.filter is None or options.filter.matches(entity)]
    ordered = odata.apply_orderby(found, options.orderby)
    size = options.top or request[PREFERENCES].max_page_size or DEFAULT_PAGE
    end = options.skip + size
    answer: dict[str, Any] = {"@odata.context": f"{METADATA_URL}#{context}"}
    if options.count:
        answer["@odata.count"] = len(ordered)
    answer["value"] = [odata.project(entity, options, default) for entity in ordered[options.skip : end]]
    if end < len(ordered):
        answer["@odata.nextLink"] = link(url, request, {**request.query, "$skip": str(end)})
    return web.json_response(answer)


def link(url: str, request: web.Request, query: Mapping[str, str]) -> str:
    """An absolute address of the same resource with this query."""
    return f"{url}{request.path}?" + "&".join(
        f"{quote(name, safe='$')}={quote(value)}" for name, value in query.items()
    )
