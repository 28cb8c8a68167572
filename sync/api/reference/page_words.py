"""Words, JSON and commands as HTML. Everything that comes in is escaped here, and nowhere else."""

import html
import json
import re

Html = str

_TOKEN = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>\b(?:true|false|null)\b|-?\b\d+(?:\.\d+)?\b)'
)
_INLINE = re.compile(r"`(?P<code>[^`]+)`|\*\*(?P<strong>[^*]+)\*\*|(?P<url>https://[^\s)]+)")


def text(value: object) -> Html:
    """Plain text."""
    return html.escape(str(value))


def code(value: object) -> Html:
    """A word of the API. It may break after punctuation, so that long ones fit a phone."""
    return f"<code>{re.sub(r'([/_.])', r'\1<wbr>', text(value))}</code>"


def line(words: str) -> Html:
    """One paragraph's words, with what CommonMark writes as code and strong, and addresses as links."""
    shown, end = "", 0
    for found in _INLINE.finditer(words):
        shown += text(words[end : found.start()])
        if found["code"]:
            shown += code(found["code"])
        elif found["strong"]:
            shown += f"<strong>{text(found['strong'])}</strong>"
        else:
            shown += f'<a href="{text(found["url"])}">{text(found["url"].removeprefix("https://"))}</a>'
        end = found.end()
    return shown + text(words[end:])


def prose(words: str) -> Html:
    """Paragraphs."""
    return "".join(f"<p>{line(' '.join(part.split()))}</p>" for part in words.split("\n\n") if part.strip())


def json_block(value: object, label: str) -> Html:
    """A JSON value, coloured."""
    source = json.dumps(value, indent=2, ensure_ascii=False)
    shown, end = "", 0
    for found in _TOKEN.finditer(source):
        shown += text(source[end : found.start()])
        shown += f'<span class="{found.lastgroup}">{text(found[0])}</span>'
        end = found.end()
    return block(shown + text(source[end:]), label)


def block(shown: Html, label: str) -> Html:
    """Code that scrolls sideways by itself, which a keyboard can do too: it takes the focus, and says what it is."""
    return f'<div class="block"><pre tabindex="0" role="region" aria-label="{text(label)}"><code>{shown}</code></pre></div>'


def shell(value: str) -> str:
    """A value in single quotes, as a POSIX shell reads it."""
    return "'" + value.replace("'", "'\\''") + "'"
