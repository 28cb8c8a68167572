"""
The `Prefer` header of a request (RFC 7240), as Outlook's part of Graph reads it.

Imitated (https://learn.microsoft.com/graph/outlook-immutable-id, …/api/resources/message): `IdType="ImmutableId"`,
`outlook.body-content-type`, `odata.maxpagesize`; what was obeyed is told in `Preference-Applied`. As RFC 7240 asks, an
unknown preference is ignored.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from tests.cloud.graph.errors import bad_request

_PREFERENCE = re.compile(r"\s*([^\s=;,]+)\s*(?:=\s*(?:\"([^\"]*)\"|([^\s;,]*)))?[^,]*")


@dataclass(frozen=True)
class Preferences:
    """What a request prefers; `body_type` and `max_page_size` None where it said nothing."""

    immutable_ids: bool = False
    body_type: Literal["html", "text"] | None = None
    max_page_size: int | None = None

    @classmethod
    def parse(cls, headers: Iterable[str]) -> "Preferences":
        """Read every `Prefer` header; raises 400 for a page size that is no positive number."""
        given = {m[1].lower(): m[2] if m[2] is not None else m[3] for h in headers for m in _PREFERENCE.finditer(h)}
        body_type = (given.get("outlook.body-content-type") or "").lower()
        page_size = given.get("odata.maxpagesize")
        if page_size is not None and not (page_size.isdigit() and int(page_size) > 0):
            raise bad_request("odata.maxpagesize must be a positive number.")
        return cls(
            # The value is case-sensitive.
            immutable_ids=given.get("idtype") == "ImmutableId",
            body_type="html" if body_type == "html" else "text" if body_type == "text" else None,
            max_page_size=int(page_size) if page_size else None,
        )

    @property
    def applied(self) -> str:
        """The value of `Preference-Applied`; empty where nothing was preferred."""
        obeyed = ['IdType="ImmutableId"'] if self.immutable_ids else []
        if self.body_type:
            obeyed.append(f'outlook.body-content-type="{self.body_type}"')
        if self.max_page_size:
            obeyed.append(f"odata.maxpagesize={self.max_page_size}")
        return ", ".join(obeyed)


#: Where a request keeps its preferences, once read.
PREFERENCES = web.RequestKey("PREFERENCES", Preferences)
