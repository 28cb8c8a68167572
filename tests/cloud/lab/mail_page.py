"""
The body of an email as a page of its own, for a frame without scripts.

Whatever the sender wrote, it is shown and does nothing: the frame is sandboxed, and the page's own policy forbids
scripts, forms, frames and anything from elsewhere. The frame keeps its origin, so that the page around it can measure it;
without scripts that gives the mail nothing (https://html.spec.whatwg.org/#attr-iframe-sandbox-allow-same-origin).
"""

import re
from html import escape

from aiohttp import web

from tests.cloud.lab.guard import OWN_POLICY

_POLICY = (
    "sandbox allow-same-origin; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
#: Mail is written for paper; on a dark page its own colours would not be readable, so there they are dropped.
_STYLE = """
:root { color-scheme: light dark; font: 14px/1.5 system-ui, sans-serif; }
body { margin: 0; padding: 2px; color: #1a2130; overflow-wrap: anywhere; } p { margin: 0 0 .6em; } img { max-width: 100%; }
pre { white-space: pre-wrap; font: inherit; margin: 0; } hr { border: 0; border-top: 1px solid #8886; }
summary { cursor: pointer; width: fit-content; padding: 0 .5em; border-radius: .5em; background: #8883; }
details { margin-top: .6em; } details > div { margin-top: .6em; padding-left: .8em; border-left: 2px solid #8886; }
@media (prefers-color-scheme: dark) {
  body * { color: inherit !important; background-color: transparent !important; }
  body { color: #e6e9ef; } a { color: #9cc0f5 !important; } summary { background: #8884 !important; }
}
"""
#: Where the history of an answer begins: mail programs draw a line above it, and so does the app.
_HISTORY = re.compile(r"<hr\b[^>]*>", re.IGNORECASE)
_BODY = re.compile(r"<body\b[^>]*>(.*?)(?:</body\s*>|\Z)", re.IGNORECASE | re.DOTALL)


def mail_page(html: str | None, text: str | None) -> web.Response:
    """The page. html goes before text; the history below an answer is folded away."""
    return web.Response(
        text=_page(_folded(_inner(html)) if html is not None else f"<pre>{escape(text or '')}</pre>"),
        content_type="text/html",
        headers={OWN_POLICY: _POLICY},
    )


def _page(body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Email</title><style>{_STYLE}</style>'
        f"<body>{body}</body></html>"
    )


def _inner(html: str) -> str:
    body = _BODY.search(html)
    return body.group(1) if body else html


def _folded(html: str) -> str:
    line = _HISTORY.search(html)
    if line is None or not html[: line.start()].strip():
        return html
    above, history = html[: line.start()], html[line.end() :]
    return f"{above}<details><summary>Earlier messages</summary><div>{history}</div></details>"
