"""Bodies: nothing active reaches the CRM, an event holds no more than it may, and no words are lost before that."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.body import (
    MAX_EVENT_BODY_BYTES,
    MAX_EVENT_TEXT_BYTES,
    MAX_HTML_CHARS,
    Body,
    as_text,
    for_event,
    readable,
    sanitised,
    with_history,
)

ATTACKS = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    "<img/src='x'/onerror=alert(1)>",
    "<img src=x onerror\n=\nalert(1)>",
    "<body onload=alert(1)>",
    "<p onclick='alert(1)'>x</p>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href='JaVaScRiPt:alert(1)'>x</a>",
    "<a href='java\tscript:alert(1)'>x</a>",
    "<a href='java&#10;script:alert(1)'>x</a>",
    "<a href='&#106;avascript:alert(1)'>x</a>",
    "<a href=' \x01javascript:alert(1)'>x</a>",
    "<a href='vbscript:msgbox(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a href='file:///etc/passwd'>x</a>",
    "<img src='data:image/svg+xml;base64,PHN2Zz48L3N2Zz4='>",
    "<iframe src='https://evil.example'></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data='https://evil.example/x.swf'></object>",
    "<embed src='https://evil.example/x.swf'>",
    "<form action='https://evil.example'><input name=password><button>Go</button></form>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href='https://evil.example/'>",
    "<link rel=stylesheet href='https://evil.example/x.css'>",
    "<style>@import 'https://evil.example/x.css';</style>",
    "<p style='background:url(https://evil.example/x)'>x</p>",
    "<p style='position:fixed;top:0;left:0;width:100%;height:100%'>x</p>",
    "<table background='javascript:alert(1)'></table>",
    "<video><source onerror=alert(1)></video>",
    "<details open ontoggle=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
    "<template><script>alert(1)</script></template>",
    "<!--[if IE]><script>alert(1)</script><![endif]-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<xmp><script>alert(1)</script></xmp>",
    "<textarea><script>alert(1)</script></textarea>",
    "<p id=x name=y class=z>clobbering</p>",
    "<script",
    "<img src=x onerror=alert(1)",
]

ACTIVE_TAGS = {
    *("script", "style", "iframe", "frame", "object", "embed", "form", "input", "button", "textarea", "select"),
    *("meta", "base", "link", "svg", "math", "template", "noscript", "video", "audio", "source", "xmp", "body", "html"),
}
HARMLESS_SCHEMES = ("http:", "https:", "mailto:", "tel:", "cid:")


class _Tags(HTMLParser):
    """Gathers tags and attributes as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def tags_of(html: str) -> list[tuple[str, dict[str, str | None]]]:
    """The tags of an HTML text with their attributes."""
    return _Tags(html).seen


def is_harmless(html: str) -> bool:
    """No active element, no handler, no style, and no address but of the schemes that mail needs."""
    for tag, attributes in tags_of(html):
        if tag in ACTIVE_TAGS:
            return False
        for name, value in attributes.items():
            if name.startswith("on") or name in ("style", "srcdoc", "id", "background", "action"):
                return False
            address = (value or "").strip().casefold()
            if name in ("href", "src", "cite") and ":" in address and not address.startswith(HARMLESS_SCHEMES):
                return False
    return "<script" not in html.casefold()


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_active_is_left(attack: str) -> None:
    """What a stranger's email does in a browser is nothing, in the body and inside another body's words."""
    assert is_harmless(sanitised(attack))
    assert is_harmless(sanitised(f"<div><p>Hello {attack} there</p></div>"))


def test_the_judge_of_these_tests_sees_each_attack() -> None:
    """`is_harmless` proves something: it finds every attack as it was written but the tag that never ends."""
    assert [attack for attack in ATTACKS if is_harmless(attack)] == ["<img src=x onerror=alert(1)"]


@pytest.mark.parametrize(
    "html",
    [
        "<p>Hello <b>Kim</b>, <i>as</i> <u>discussed</u>.</p>",
        '<img src="cid:logo@contoso" alt="Logo" width="20" height="10">',
        '<img src="https://contoso.example/logo.png">',
        "<table><tbody><tr><td>1</td><td>2</td></tr></tbody></table>",
        "<blockquote>Earlier</blockquote>",
        "<ul><li>One</li><li>Two</li></ul>",
        "<p>1 &lt; 2 &amp; 3 &gt; 2</p>",
        "<p>Grüße 你好 👋🏽</p>",
    ],
)
def test_what_a_person_wrote_stays(html: str) -> None:
    """Text, emphasis, lists, tables, quotes and pictures come through as they are."""
    assert sanitised(html) == html


@pytest.mark.parametrize("address", ["https://x.example/a?b=1", "mailto:kim@x.example", "tel:+4930123"])
def test_links_stay_and_tell_nobody_where_they_were_clicked(address: str) -> None:
    """A link keeps its address; the page behind it learns nothing of the CRM and can't steer its window."""
    ((tag, attributes),) = tags_of(sanitised(f'<a href="{address}" target="_top">x</a>'))
    assert (tag, attributes["href"]) == ("a", address)
    assert attributes["rel"] == "noopener noreferrer"
    assert "target" not in attributes


markup = st.lists(
    st.sampled_from(
        [*ATTACKS, "<p>", "</p>", "<b>", "</div>", "<table>", "<a href='https://x.example'>", "&lt;", "&amp;#60;"]
    )
    | st.text(max_size=10),
    max_size=6,
).map("".join)


@given(markup)
def test_sanitising_twice_changes_nothing(html: str) -> None:
    """What was sanitised is final: a second pass, here or in the CRM, finds nothing to do."""
    once = sanitised(html)
    assert sanitised(once) == once
    assert is_harmless(once)


def test_a_huge_body_is_cut_before_it_is_read() -> None:
    """A body of any length costs a bounded time."""
    assert len(sanitised("x" * (MAX_HTML_CHARS + 10))) == MAX_HTML_CHARS


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("Hello", "Hello"),
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("One<br>Two<br/>Three", "One\nTwo\nThree"),
        ("<div>One</div><div>Two</div>", "One\n\nTwo"),
        ("<p>One\n  line,\r\n folded</p>", "One line, folded"),
        ("<ul><li>One</li><li>Two</li></ul>", "One\n\nTwo"),
        ("<table><tr><td>1</td></tr><tr><td>2</td></tr></table>", "1\n\n2"),
        ("1 &lt; 2 &amp;&nbsp;3", "1 < 2 & 3"),
        ("&#x1F44B; 你好", "👋 你好"),
        ("<style>p{color:red}</style>Seen<script>alert(1)</script>", "Seen"),
        ("<title>Unseen</title><p>Seen", "Seen"),
        ("Hello <b>Kim</b>!", "Hello Kim!"),
        ("<p>One</p>\n\n\n<p></p><p></p><p>Two</p>", "One\n\nTwo"),
    ],
)
def test_as_text(html: str, text: str) -> None:
    """The words of a body with a line for each block, and never two empty lines in a row."""
    assert as_text(html) == text


@given(markup)
def test_every_sanitised_body_has_a_text(html: str) -> None:
    """The text of a body is made without fail, and holds no line that is only space."""
    text = as_text(sanitised(html))
    assert text == text.strip()
    assert "\n\n\n" not in text


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (Body("<p>Hi</p>", None), Body("<p>Hi</p>", "Hi")),
        (Body(None, "Hi"), Body(None, "Hi")),
        (Body("<p>Hi</p>", "Hello"), Body("<p>Hi</p>", "Hello")),
        (Body("<p>Hi</p>", ""), Body("<p>Hi</p>", "")),
        (Body(None, None), Body(None, "")),
        (Body("<script>x</script>", None), Body("", "")),
    ],
)
def test_readable(body: Body, shown: Body) -> None:
    """There is always a text; the sender's own is kept, and plain text never becomes HTML."""
    assert readable(body) == shown


def in_event(body: Body) -> tuple[Body, bool, int]:
    """The body as an event has it, whether it was cut, and its size in bytes."""
    cut, truncated = for_event(body)
    return cut, truncated, len((cut.html or "").encode()) + len((cut.text or "").encode())


@pytest.mark.parametrize(
    ("size", "truncated"),
    [(MAX_EVENT_BODY_BYTES - 1, False), (MAX_EVENT_BODY_BYTES, False), (MAX_EVENT_BODY_BYTES + 1, True)],
)
def test_a_text_up_to_the_limit_is_whole(size: int, truncated: bool) -> None:
    """The limit is exact to the byte, and what was cut says so."""
    cut, was_cut, total = in_event(Body(None, "x" * size))
    assert was_cut is truncated
    assert total == min(size, MAX_EVENT_BODY_BYTES)
    assert cut.html is None


@pytest.mark.parametrize("character", ["x", "é", "你", "👋"])
def test_a_cut_never_halves_a_character(character: str) -> None:
    """Bytes are counted, characters are cut."""
    cut, truncated, total = in_event(Body(None, "." + character * MAX_EVENT_BODY_BYTES))
    assert truncated
    assert MAX_EVENT_BODY_BYTES - 4 < total <= MAX_EVENT_BODY_BYTES
    assert cut.text == "." + character * (len(cut.text or "") - 1)


@pytest.mark.long
@pytest.mark.parametrize(
    "html",
    [
        "<p>" + "你好" * 20_000 + "</p>",
        "<p>paragraph</p>" * 10_000,
        "<div>" * 2_000 + "x" * 70_000,
        "<b>" * 30_000,
        "<p>" + "&lt;" * 30_000,
        "<img src='cid:" + "a" * 70_000 + "'>",
        "<" * 40_000,
    ],
    ids=["one paragraph", "many", "nested", "only tags", "entities", "one tag", "no tag"],
)
def test_html_is_cut_to_what_an_event_holds(html: str) -> None:
    """A cut body is whole HTML again: nothing is left open, nothing is half a tag."""
    cut, truncated, total = in_event(Body(html, None))
    assert truncated
    assert total <= MAX_EVENT_BODY_BYTES
    assert cut.html is not None
    assert sanitised(cut.html) == cut.html


def test_text_keeps_its_share_beside_long_html() -> None:
    """Where both are long the text gets 16 KiB and what a cut between tags leaves over, the HTML the rest."""
    cut, truncated, total = in_event(Body("<p>" + "h" * 100_000 + "</p>", "t" * 100_000))
    assert truncated
    assert MAX_EVENT_TEXT_BYTES <= len(cut.text or "") < MAX_EVENT_TEXT_BYTES * 3 / 2
    assert total == MAX_EVENT_BODY_BYTES


def test_a_short_html_leaves_its_room_to_the_text() -> None:
    """The share is no fixed wall: what the HTML does not need, the text may use."""
    cut, _, total = in_event(Body("<p>short</p>", "t" * 100_000))
    assert total == MAX_EVENT_BODY_BYTES
    assert cut.html == "<p>short</p>"


@given(st.none() | markup, st.none() | st.text())
def test_small_bodies_are_never_cut(html: str | None, text: str | None) -> None:
    """What fits is told whole."""
    body = Body(html, text)
    assert for_event(body) == (readable(body), False)


HEADING = {"From": 'Kim <kim@x.example> "K"', "Subject": "A & B <script>"}


def test_an_html_answer_quotes_what_it_answers() -> None:
    """Names and subjects are escaped over the quote, and the quoted body is sanitised; the answer itself stays as it is."""
    answer = with_history(Body("<p>Yes</p>", "Yes"), Body("<p>Fine?<script>x()</script></p>", None), HEADING)
    assert answer.html == (
        "<p>Yes</p><hr><div>"
        "<b>From:</b> Kim &lt;kim@x.example&gt; &quot;K&quot;<br><b>Subject:</b> A &amp; B &lt;script&gt;"
        "</div><br><div><p>Fine?</p></div>"
    )
    assert answer.text == "Yes"


def test_an_html_answer_quotes_plain_text() -> None:
    """Plain text under HTML shows its characters, not their meaning."""
    answer = with_history(Body("<p>Yes</p>", None), Body(None, "1 < 2\n<b>"), {})
    assert answer.html == "<p>Yes</p><hr><div></div><br><div><pre>1 &lt; 2\n&lt;b&gt;</pre></div>"


IMAGES = [
    ('<img src="cid:logo@1">', ""),
    ('<img alt="a > b" src="cid:logo@1">', ""),
    ("<IMG SRC='CID:logo@1'>", ""),
    ('<img src="cid:">', ""),
    ('<img src="cid:plan@crm">', '<img src="cid:plan@crm">'),
    ('<img src="cid:plan%40crm">', '<img src="cid:plan%40crm">'),
    ('<img src="https://x.example/a.png">', '<img src="https://x.example/a.png">'),
    ("<img alt='src=\"cid:logo@1\"'>", '<img alt="src=&quot;cid:logo@1&quot;">'),
    ("&lt;img src=cid:logo@1&gt; cid:logo@1", "&lt;img src=cid:logo@1&gt; cid:logo@1"),
]


@pytest.mark.parametrize(("quoted", "shown"), IMAGES)
def test_a_quote_has_no_image_whose_file_does_not_go_along(quoted: str, shown: str) -> None:
    """A `cid:` that no file of the answer has would be a broken image; everything else of the quote stays."""
    earlier = Body(f"<p>Before {quoted} after</p>", None)
    answer = with_history(Body("<p>Yes</p>", None), earlier, {}, frozenset({"plan@crm"}))
    assert answer.html == f"<p>Yes</p><hr><div></div><br><div><p>Before {shown} after</p></div>"


def test_the_answers_own_images_stay() -> None:
    """Only the quote is looked through: what the CRM wrote goes out as it is."""
    answer = with_history(Body('<img src="cid:logo@1">', None), Body("<p>Fine?</p>", None), {})
    assert answer.html is not None
    assert answer.html.startswith('<img src="cid:logo@1"><hr>')


def test_a_plain_answer_stays_plain() -> None:
    """The quote is marked line by line, as mail programs do."""
    answer = with_history(Body(None, "Yes"), Body("<p>Fine?</p><p>Kim</p>", None), {"From": "Kim"})
    assert answer == Body(None, "Yes\n\n> From: Kim\n>\n> Fine?\n>\n> Kim")
