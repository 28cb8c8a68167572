"""
Route templates of HTTP triggers, matched as ASP.NET Core does it for the Functions host.

Source: https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-templates. A segment is literal text (case does
not matter), `{name}`, `{name:constraint}`, `{name?}` or `{name=default}` at the end, or `{*rest}` as the last one. Where
several templates match, the more literal wins. Constraints: int, long, bool, guid, alpha; any other is refused.
Not imitated: segments that mix text and parameters (`file-{id}.txt`), refused as well.
"""

import itertools
import re
from dataclasses import dataclass
from urllib.parse import unquote

PARAMETER = re.compile(
    r"\{(?P<star>\*{0,2})(?P<name>\w+)(?::(?P<constraint>\w+))?(?P<optional>\?)?(?:=(?P<default>[^}]*))?\}"
)
CONSTRAINTS = {
    "int": re.compile(r"[+-]?\d{1,10}"),
    "long": re.compile(r"[+-]?\d{1,19}"),
    "bool": re.compile(r"(?i:true|false)"),
    "guid": re.compile(r"(?i:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})"),
    "alpha": re.compile(r"[A-Za-z]*"),
}
INT_RANGES = {"int": 2**31, "long": 2**63}

# The order in which ASP.NET Core tries kinds of segments, the most specific first.
LITERAL, CONSTRAINED, FREE, REST = 1, 2, 3, 5


class RouteError(ValueError):
    """This route template is wrong, or uses what is not imitated here."""


@dataclass(frozen=True)
class Segment:
    """One segment of a template: literal text, or a parameter with a name."""

    kind: int
    text: str
    constraint: str | None = None
    optional: bool = False
    default: str | None = None

    def accepts(self, value: str) -> bool:
        """Whether this value of the path fits here."""
        if self.kind == LITERAL:
            return value.lower() == self.text.lower()
        if self.constraint is None:
            return value != ""
        if not CONSTRAINTS[self.constraint].fullmatch(value):
            return False
        limit = INT_RANGES.get(self.constraint)
        return limit is None or -limit <= int(value) < limit


@dataclass(frozen=True)
class Route:
    """A parsed template."""

    template: str
    segments: tuple[Segment, ...]

    @property
    def precedence(self) -> tuple[int, ...]:
        """Sort key: smaller is tried first."""
        return tuple(segment.kind for segment in self.segments)

    def match(self, raw_path: str) -> dict[str, str] | None:
        """
        The values of the parameters, or None where the path does not match.

        `raw_path` is the percent-encoded path of the request; values come back decoded, but for an encoded slash,
        which stays `%2F` as in ASP.NET Core. A slash at the end does not matter.
        """
        parts = [_decoded(part) for part in raw_path.strip("/").split("/")] if raw_path.strip("/") else []
        values: dict[str, str] = {}
        for position, segment in enumerate(self.segments):
            if segment.kind == REST:
                rest = "/".join(parts[position:])
                if rest or segment.default is not None:
                    values[segment.text] = rest or str(segment.default)
                return values
            if position >= len(parts):
                if segment.default is not None:
                    values[segment.text] = segment.default
                elif not segment.optional:
                    return None
                continue
            if not segment.accepts(parts[position]):
                return None
            if segment.kind != LITERAL:
                values[segment.text] = parts[position]
        return values if len(parts) <= len(self.segments) else None


def parse(template: str) -> Route:
    """Read a template such as `v1/accounts/{account_id}/messages/{n:int?}`; raises RouteError."""
    if template.startswith(("/", "~")):
        raise RouteError(f"the route {template!r} may not begin with '/' or '~'")
    texts = template.strip("/").split("/") if template.strip("/") else []
    segments = tuple(_segment(template, text) for text in texts)
    for segment, following in itertools.pairwise(segments):
        if segment.kind == REST:
            raise RouteError(f"in the route {template!r} the catch-all must be the last segment")
        if segment.optional and not following.optional and following.kind != REST:
            raise RouteError(f"in the route {template!r} an optional parameter must be the last segment")
    return Route(template, segments)


def _segment(template: str, text: str) -> Segment:
    if not text:
        raise RouteError(f"the route {template!r} has an empty segment")
    if "{" not in text and "}" not in text:
        return Segment(LITERAL, text)
    found = PARAMETER.fullmatch(text)
    if found is None:
        raise RouteError(f"the segment {text!r} of the route {template!r} is wrong or not imitated")
    constraint = found["constraint"]
    if constraint is not None and constraint not in CONSTRAINTS:
        raise RouteError(f"the route constraint {constraint!r} of {template!r} is not imitated")
    kind = REST if found["star"] else CONSTRAINED if constraint else FREE
    return Segment(kind, found["name"], constraint, bool(found["optional"]), found["default"])


def _decoded(part: str) -> str:
    return "%2F".join(unquote(piece) for piece in re.split("%2[Ff]", part))
