"""
The body of an email as the CRM gets it: HTML with nothing active in it, the same as text, and cut to what an event holds.

Sanitising is done by nh3 (https://nh3.readthedocs.io): scripts, event handlers, forms, frames, styles and every URL scheme but
those below are removed. `cid:` stays, since inline images are shown by it.
"""

import re
from dataclasses import dataclass
from html import escape, unescape
from html.parser import HTMLParser
from urllib.parse import unquote

#: What is sanitised at most; the rest of a longer body is dropped before (2 MiB of HTML take about 0.1 s).
MAX_HTML_CHARS = 2 * 1024 * 1024
#: What an event holds of a body, html and text together, in UTF-8.
MAX_EVENT_BODY_BYTES = 64 * 1024
#: Of those, what the text may take where both are long.
MAX_EVENT_TEXT_BYTES = 16 * 1024

_URL_SCHEMES = {"http", "https", "mailto", "tel", "cid"}
#: An image in sanitised HTML, whose attributes are all in double quotes; and where it is one of the message's own files.
_IMAGE = re.compile(r'<img\b(?:[^">]|"[^"]*")*>')
_INLINE_SOURCE = re.compile(r'\ssrc="\s*cid:([^"]*?)\s*"', re.IGNORECASE)
_BLOCKS = frozenset(
    [
        "p",
        "div",
        "br",
        "tr",
        "li",
        "ul",
        "ol",
        "table",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "blockquote",
        "pre",
        "hr",
        "section",
        "article",
        "header",
        "footer",
    ]
)
_UNSEEN = frozenset(("head", "style", "script", "title"))


@dataclass(frozen=True)
class Body:
    """A body; either part may be missing."""

    html: str | None
    text: str | None


def sanitised(html: str) -> str:
    """HTML without anything active. Sanitising twice changes nothing."""
    import nh3  # here: 15 ms that the acknowledge path does not pay

    return nh3.clean(html[:MAX_HTML_CHARS], url_schemes=_URL_SCHEMES).strip()


def as_text(html: str) -> str:
    """The words of an HTML body, a line for each block."""
    reader = _TextReader()
    reader.feed(html[:MAX_HTML_CHARS])
    reader.close()
    lines = [" ".join(line.split()) for line in "".join(reader.parts).splitlines()]
    kept = [line for i, line in enumerate(lines) if line or (i and lines[i - 1])]
    return "\n".join(kept).strip()


def readable(body: Body) -> Body:
    """The whole body as the CRM may show it: sanitised HTML where there is HTML, and always a text."""
    html = None if body.html is None else sanitised(body.html)
    text = body.text if body.text is not None else as_text(html or "")
    return Body(html, text)


def for_event(body: Body) -> tuple[Body, bool]:
    """The body cut to what an event holds, and whether anything was cut."""
    whole = readable(body)
    text = whole.text or ""
    room_for_html = MAX_EVENT_BODY_BYTES - min(_size(text), MAX_EVENT_TEXT_BYTES)
    html = None if whole.html is None else _cut_html(whole.html, room_for_html)
    text = _cut(text, MAX_EVENT_BODY_BYTES - _size(html or ""))
    return Body(html, text), (html, text) != (whole.html, whole.text)


def with_history(new: Body, earlier: Body, heading: dict[str, str], carried: frozenset[str] = frozenset()) -> Body:
    """
    An answer with the message it answers quoted below, as mail programs write it.

    `heading` is what stands over the quote (From, Sent, To, Subject), in that order. The answer stays HTML, or plain text.
    Images of the quote that are files of the earlier message are left out, since its files do not go along: what they show
    would be a broken image. `carried`: the content ids of the files that do go along, with the answer.
    """
    if new.html is None:
        quoted = [f"{name}: {value}" for name, value in heading.items()] + [
            "",
            *(readable(earlier).text or "").splitlines(),
        ]
        return Body(None, "\n".join([new.text or "", "", *(f"> {line}".rstrip() for line in quoted)]))
    lines = "<br>".join(f"<b>{escape(name)}:</b> {escape(value)}" for name, value in heading.items())
    old = readable(earlier)
    quote = _without_lost_images(old.html, carried) if old.html is not None else f"<pre>{escape(old.text or '')}</pre>"
    return Body(f"{new.html}<hr><div>{lines}</div><br><div>{quote}</div>", new.text)


def _without_lost_images(html: str, carried: frozenset[str]) -> str:
    """Sanitised HTML without the images whose `cid:` (RFC 2392) names none of these content ids."""

    def kept(image: re.Match[str]) -> str:
        source = _INLINE_SOURCE.search(image[0])
        lost = source is not None and unquote(unescape(source[1])) not in carried
        return "" if lost else image[0]

    return _IMAGE.sub(kept, html)


def _size(text: str) -> int:
    return len(text.encode())


def _cut(text: str, room_bytes: int) -> str:
    return text.encode()[:room_bytes].decode(errors="ignore")


def _cut_html(html: str, room_bytes: int) -> str:
    """Cut before a tag and close what is open; closing tags add length, so the cut moves back until all fits."""
    if _size(html) <= room_bytes:
        return html
    room = room_bytes
    while room > 0:
        piece = _cut(html, room)
        if piece.rfind("<") > piece.rfind(">"):
            piece = piece[: piece.rfind("<")]
        closed = sanitised(piece)
        if _size(closed) <= room_bytes:
            return closed
        room = room * 9 // 10
    return ""


class _TextReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the base class's signature
        if tag in _UNSEEN:
            self._unseen += 1
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag in _BLOCKS and tag != "br":
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(data.replace("\n", " ").replace("\r", " "))
