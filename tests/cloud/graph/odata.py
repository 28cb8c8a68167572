"""
OData query options of Graph's mail resources, and what they do to the entities.

Imitated, from https://learn.microsoft.com/graph/query-parameters and user-list-messages: `$select` (with a type cast,
`microsoft.graph.fileAttachment/contentId`), `$expand` with nested options, `$filter` (odata_filter.py), `$orderby` over
several paths, `$top` 1 to 1000, `$skip`, `$count`, and the rule on `$orderby` with `$filter` (InefficientFilter).
Stricter than Graph: names compare with case; an option without `$`, a second time or with an unknown name is a 400; and
extended properties expand only with a `$filter`, as every documented call does. `contentId` in `$select` needs the cast
(?): callers that cast are right in either case.
Not imitated: `$search` (refused), `$format`, `$apply`, `$compute`, `*`, sub-paths of complex properties in `$select`.
Paging tokens (`$skiptoken`, `$deltatoken`) are the routes' own: they take them away before parsing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.cloud.graph.errors import GraphError, bad_request
from tests.cloud.graph.odata_expression import comparable, value_at
from tests.cloud.graph.odata_filter import Filter, parse_filter
from tests.cloud.graph.odata_model import (
    ATTACHMENT,
    EXTENDED_PROPERTIES,
    EXTENDED_PROPERTY,
    MAIL_FOLDER,
    MESSAGE,
    MESSAGE_FILTERABLE,
    USER,
    EntityModel,
)

__all__ = [
    "ATTACHMENT",
    "EXTENDED_PROPERTY",
    "MAIL_FOLDER",
    "MESSAGE",
    "USER",
    "EntityModel",
    "Filter",
    "QueryOptions",
    "apply_orderby",
    "check_order",
    "parse",
    "project",
]

MAX_TOP = 1000
"""The largest page of messages one can ask for."""

_FOR_COLLECTIONS = ("$filter", "$orderby", "$top", "$skip", "$count")


@dataclass(frozen=True)
class QueryOptions:
    """What a query asked for. `select` None: the default properties; `top` None: the default page size."""

    select: list[str] | None = None
    expand: dict[str, "QueryOptions"] = field(default_factory=dict)
    filter: Filter | None = None
    orderby: list[tuple[str, bool]] = field(default_factory=list)
    top: int | None = None
    skip: int = 0
    count: bool = False


def parse(query: Mapping[str, str], model: EntityModel, *, collection: bool) -> QueryOptions:
    """
    The options of a decoded query string (an aiohttp `request.query` does), for one entity or a collection of them.

    Raises 400 for an unknown, repeated or malformed option, for one that a single entity does not take, and for names
    that the type does not have.
    """
    given: dict[str, str] = {}
    for name, value in query.items():
        if name in given:
            raise bad_request(
                f"Query option '{name}' was specified more than once, but it must be specified at most once."
            )
        given[name] = value
    return _options(given, model, collection=collection)


def check_order(filtered_by: Filter | None, orderby: Sequence[tuple[str, bool]]) -> None:
    """
    Raise 400 InefficientFilter unless what is sorted by leads the filter, in the same order.

    https://learn.microsoft.com/graph/api/user-list-messages ("Using filter and orderby in the same query").
    """
    sorted_by = [path for path, _ in orderby]
    if filtered_by is not None and filtered_by.paths[: len(sorted_by)] != sorted_by:
        raise GraphError(400, "InefficientFilter", "The restriction or sort order is too complex for this operation.")


def apply_orderby[Entity: Mapping[str, Any]](
    items: Iterable[Entity], orderby: Sequence[tuple[str, bool]]
) -> list[Entity]:
    """The entities sorted; equal ones keep their order, null comes before any value when ascending."""
    ordered = list(items)
    for path, descending in reversed(orderby):
        kind = MESSAGE_FILTERABLE.paths.get(path, "text")

        def key(item: Entity, path: str = path, kind: Any = kind) -> tuple[bool, Any]:
            value = comparable(value_at(item, path), kind)
            return value is not None, value if value is not None else 0

        ordered.sort(key=key, reverse=descending)
    return ordered


def project(entity: Mapping[str, Any], options: QueryOptions, default: Sequence[str]) -> dict[str, Any]:
    """
    The entity as the answer shows it: annotations (`@odata.etag`, `@odata.type`), `id`, the selected or default
    properties, and what was expanded. The entity holds the items of a navigation property as a list under its name.
    """
    names = default if options.select is None else options.select
    shown = {name: entity[name] for name in entity if name.startswith("@")}
    for name in ("id", *names):
        cast, _, own = name.rpartition("/")
        if own in entity and (not cast or entity.get("@odata.type") == f"#{cast}"):
            shown[own] = entity[own]
    for name, nested in options.expand.items():
        items = [item for item in entity.get(name, ()) if nested.filter is None or nested.filter.matches(item)]
        items = apply_orderby(items, nested.orderby)[nested.skip :][: nested.top]
        # Graph leaves extended properties out altogether where none matches.
        if items or name != EXTENDED_PROPERTIES:
            shown[name] = [project(item, nested, list(item)) for item in items]
    return shown


def _options(given: Mapping[str, str], model: EntityModel, *, collection: bool) -> QueryOptions:
    known = {"$select", "$expand", *(_FOR_COLLECTIONS if collection else ())}
    for name in given:
        if name == "$search":
            raise bad_request("$search is not supported by this emulator.", "SearchNotSupported")
        if name not in known:
            raise bad_request(f"The query option '{name}' is not recognized or not supported here.")
    return QueryOptions(
        select=_select(given["$select"], model) if "$select" in given else None,
        expand=_expand(given.get("$expand"), model),
        filter=parse_filter(given["$filter"], model.filterable) if "$filter" in given else None,
        orderby=_orderby(given["$orderby"], model) if "$orderby" in given else [],
        top=_integer("$top", given["$top"], 1, MAX_TOP) if "$top" in given else None,
        skip=_integer("$skip", given.get("$skip", "0"), 0, 2**31 - 1),
        count=_boolean("$count", given.get("$count", "false")),
    )


def _select(text: str, model: EntityModel) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        cast, _, own = name.rpartition("/")
        if own not in (model.casts.get(cast, ()) if cast else model.properties | model.select_only):
            raise _no_property(name, model)
    return names


def _expand(text: str | None, model: EntityModel) -> dict[str, QueryOptions]:
    expanded: dict[str, QueryOptions] = {}
    for item in _split(text, ",") if text is not None else []:
        name, bracket, rest = item.strip().partition("(")
        if name not in model.navigation or name in expanded:
            raise _no_property(name, model)
        if bracket and not rest.endswith(")"):
            raise bad_request(f"Found an unbalanced bracket expression in '{text}'.")
        nested: dict[str, str] = {}
        for option in _split(rest[:-1], ";") if bracket else []:
            option_name, equals, value = option.strip().partition("=")
            if not equals or option_name in nested:
                raise bad_request(f"Syntax error in the options of '{name}': '{option}'.")
            nested[option_name] = value
        expanded[name] = _options(nested, model.navigation[name], collection=True)
        if name == EXTENDED_PROPERTIES and expanded[name].filter is None:
            raise bad_request("Expanding extended properties needs a $filter on their id.")
    return expanded


def _split(text: str, separator: str) -> list[str]:
    """Split at a separator that stands outside strings and parentheses. (A doubled quote leaves and enters again.)"""
    parts, depth, quoted = [""], 0, False
    for character in text:
        quoted ^= character == "'"
        if not quoted:
            depth += (character == "(") - (character == ")")
        if character == separator and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    if depth or quoted:
        raise bad_request(f"Found an unbalanced bracket expression or an open string in '{text}'.")
    return parts


def _orderby(text: str, model: EntityModel) -> list[tuple[str, bool]]:
    order: list[tuple[str, bool]] = []
    for item in text.split(","):
        path, *direction = item.split() or [""]
        if path not in model.filterable.paths:
            raise _no_property(path, model)
        if direction not in ([], ["asc"], ["desc"]) or path in (known for known, _ in order):
            raise bad_request(f"Syntax error in $orderby: '{text}'.")
        order.append((path, direction == ["desc"]))
    return order


def _integer(name: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise bad_request(
            f"Invalid value '{text}' for {name} query option found. It must be in the range {least} to {most}."
        )
    return int(text)


def _boolean(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise bad_request(f"Invalid value '{text}' for {name} query option found. Valid values are 'true', 'false'.")
    return text == "true"


def _no_property(name: str, model: EntityModel) -> GraphError:
    return bad_request(
        f"Could not find a property named '{name}' on type 'Microsoft.OutlookServices.{model.type_name}'."
    )
