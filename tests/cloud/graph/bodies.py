"""
Message bodies as Exchange keeps and answers them: rewritten HTML, plain text of HTML, previews and unique parts.

Imitated (https://learn.microsoft.com/graph/api/resources/message, GRAPH.md 2.1 and 5.2): HTML gets a head with a charset
`meta`, active content is removed, `bodyPreview` is the first 255 characters of the text, `uniqueBody` is what stands above
the quoted history. Not imitated: Exchange's exact sanitiser and its exact guess at where the quoted part begins.
"""

import html
import re
from html.parser import HTMLParser

PREVIEW_CHARACTERS = 255
HEAD = '<html>\r\n<head>\r\n<meta http-equiv="Content-Type" content="text/html; charset=utf-8">{head}</head>\r\n'
#: Above the quoted history of a reply: what Outlook puts there and what `unique_part` looks for.
QUOTE_MARK = '<div id="divRplyFwdMsg"'

_ACTIVE_ELEMENTS = re.compile(r"<(script|iframe|object|embed|applet)\b.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_ACTIVE_ATTRIBUTES = re.compile(r"(<[^>]*?)\s+on[a-z]+\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>]+)", re.IGNORECASE)
_HEAD = re.compile(r"<head\b[^>]*>(.*?)</head\s*>", re.IGNORECASE | re.DOTALL)
_CHARSET = re.compile(r"<meta\b[^>]*charset[^>]*>", re.IGNORECASE)
_BODY = re.compile(r"<body\b[^>]*>(.*?)(?:</body\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_WRAPPERS = re.compile(r"</?(?:html|body)\b[^>]*>|<!doctype[^>]*>", re.IGNORECASE)
_QUOTE_STARTS = re.compile(
    r'(?:<hr\b[^>]*>\s*)?<div id="divRplyFwdMsg"|<div class="gmail_quote|<blockquote\b|<div id="appendonsend"',
    re.IGNORECASE,
)


def rewritten_html(content: str) -> str:
    """The HTML Exchange keeps of what was given: never the same bytes, never active."""
    content = _ACTIVE_ELEMENTS.sub("", content)
    while (calmer := _ACTIVE_ATTRIBUTES.sub(r"\1", content)) != content:
        content = calmer
    head = _HEAD.search(content)
    kept_head = _CHARSET.sub("", head.group(1)).strip() if head else ""
    return f"{HEAD.format(head=kept_head)}<body>\r\n{inner_html(content)}\r\n</body>\r\n</html>\r\n"


def inner_html(content: str) -> str:
    """What is inside `<body>`, or the whole fragment where there is none."""
    body = _BODY.search(content)
    return body.group(1).strip() if body else _WRAPPERS.sub("", _HEAD.sub("", content)).strip()


def html_of_text(text: str) -> str:
    """A plain-text body shown as HTML."""
    lines = html.escape(text, quote=False).replace("\r\n", "\n").replace("\n", "<br>\r\n")
    return rewritten_html(f'<div class="PlainText">{lines}</div>')


def text_of_html(content: str) -> str:
    """An HTML body shown as plain text: blocks become lines, everything else that is not text is dropped."""
    reader = _TextReader()
    reader.feed(_HEAD.sub("", content))
    reader.close()
    lines = [re.sub(r"[ \t\xa0]+", " ", line).strip() for line in "".join(reader.pieces).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip().replace("\n", "\r\n")


def preview(text: str) -> str:
    """`bodyPreview`: at most 255 characters of the text."""
    return text[:PREVIEW_CHARACTERS]


def unique_part(content: str) -> str:
    """`uniqueBody` of an HTML body: what stands above the quoted history, in a bare html/body pair."""
    inner = inner_html(content)
    quote = _QUOTE_STARTS.search(inner)
    return f"<html><body>{inner[: quote.start()] if quote else inner}</body></html>"


class _TextReader(HTMLParser):
    """Collects the text of HTML in `pieces`."""

    _LINES = frozenset({"p", "div", "br", "tr", "li", "h1", "h2", "h3", "h4", "hr", "blockquote", "table", "ul", "ol"})
    _HIDDEN = frozenset({"style", "script", "title"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in self._HIDDEN
        if tag in self._LINES:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in self._HIDDEN and self._hidden > 0
        if tag in self._LINES and tag not in ("br", "hr"):
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data.replace("\r", "").replace("\n", " "))
