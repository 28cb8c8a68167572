"""
The files of the settings page, and what a browser may do with them: show them in the CRM's frame, load nothing from elsewhere.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path

import azure.functions as func

from sync.api.answers import SAFE_HEADERS
from sync.domain import errors

PAGES = Path(__file__).parent.parent / "pages"
NOTHING: Mapping[str, str] = {}
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def settings_page(frame_ancestors: Sequence[str]) -> func.HttpResponse:
    """The page itself. `frame_ancestors`: the CRM's origins."""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        f"base-uri 'none'; form-action 'none'; frame-ancestors {' '.join(frame_ancestors)}"
    )
    headers = SAFE_HEADERS | {"Content-Security-Policy": policy}
    return func.HttpResponse(_content("email.html"), headers=headers, mimetype="text/html", charset="utf-8")


def asset(req: func.HttpRequest) -> func.HttpResponse:
    """One of the page's files, which a browser keeps until it has changed."""
    name = req.route_params["name"]
    media_type = MEDIA_TYPES.get(Path(name).suffix)
    if media_type is None or name not in _names():
        raise errors.NotFound
    return kept(req, _content(name), media_type)


def kept(
    req: func.HttpRequest, content: bytes, media_type: str, headers: Mapping[str, str] = NOTHING
) -> func.HttpResponse:
    """Content that the caller may keep as long as it asks each time whether it has changed (RFC 9111 4.3)."""
    tag = f'"{sha256(content).hexdigest()[:16]}"'
    headers = {**SAFE_HEADERS, "Cache-Control": "no-cache", "ETag": tag, **headers}
    if req.headers.get("If-None-Match") == tag:
        return func.HttpResponse(status_code=int(HTTPStatus.NOT_MODIFIED), headers=headers, mimetype=media_type)
    return func.HttpResponse(content, headers=headers, mimetype=media_type, charset="utf-8")


@cache
def _names() -> frozenset[str]:
    return frozenset(path.name for path in PAGES.iterdir())


@cache
def _content(name: str) -> bytes:
    return (PAGES / name).read_bytes()
