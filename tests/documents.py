"""
The documents as their readers see them: headings, code blocks, tables and links.

Read by markdown-it, as CommonMark with GitHub's tables (https://github.github.com/gfm/). Anchors are made as GitHub makes them:
lower case, without punctuation, spaces as hyphens, a number behind what was there before.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


@dataclass(frozen=True)
class Block:
    """A fenced code block. `line` is the one of its fence; `language` the fence's word, empty where it has none."""

    document: Path
    heading: str
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """Where it is, as an editor jumps there."""
        return f"{self.document.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, and what stands in it as code."""

    text: str
    codes: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table under its heading: rows of cells by the text of their column's head, in which code keeps its backticks."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Cell], ...]


@dataclass(frozen=True)
class Link:
    """A link, and the line of the paragraph or table row it is in."""

    target: str
    line: int


#: In which order the guides are read: what one sets up, the next may use. Those not named come last.
READING_ORDER = ("connecting", "sending", "events", "operating", "errors")


def guides() -> list[Path]:
    """The documents for those who use it, in the order in which they are read."""
    place = {name: i for i, name in enumerate(READING_ORDER)}
    return [
        README,
        *sorted((ROOT / "docs").glob("*.md"), key=lambda path: (place.get(path.stem, len(place)), path.stem)),
    ]


def documents() -> list[Path]:
    """Every document of the repository."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "infra").glob("*.md"))]


def blocks(document: Path) -> list[Block]:
    """The fenced code blocks of a document."""
    found, heading = [], ""
    for token in _inline_headings(document):
        if isinstance(token, str):
            heading = token
        elif token.type == "fence" and token.map:
            found.append(Block(document, heading, token.map[0] + 1, token.info.strip(), token.content))
    return found


def anchors(document: Path) -> set[str]:
    """What a link into a document can name behind `#`."""
    seen: dict[str, int] = {}
    found = set()
    for heading in (item for item in _inline_headings(document) if isinstance(item, str)):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        found.add(f"{slug}-{count}" if count else slug)
    return found


def links(document: Path) -> list[Link]:
    """Every link of a document, pictures aside."""
    return [
        Link(str(child.attrs["href"]), token.map[0] + 1 if token.map else 0)
        for token in _tokens(document)
        if token.type == "inline"
        for child in token.children or ()
        if child.type == "link_open"
    ]


def code_spans(document: Path) -> set[str]:
    """Everything that stands as code within a sentence or a cell."""
    return {
        child.content
        for token in _tokens(document)
        if token.type == "inline"
        for child in token.children or ()
        if child.type == "code_inline"
    }


def tables(document: Path) -> list[Table]:
    """The tables of a document."""
    found: list[Table] = []
    heading = ""
    rows: list[list[Cell]] = []
    row: list[Cell] = []
    for item in _inline_headings(document):
        if isinstance(item, str):
            heading = item
        elif item.type == "table_open":
            rows = []
        elif item.type == "tr_open":
            row = []
        elif item.type == "inline" and item.level and rows is not None:
            row.append(Cell(item.content, tuple(_codes(item))))
        elif item.type == "tr_close":
            rows.append(row)
        elif item.type == "table_close":
            columns = tuple(cell.text for cell in rows[0])
            found.append(Table(heading, columns, tuple(dict(zip(columns, r, strict=True)) for r in rows[1:])))
    return found


def table(document: Path, column: str, heading: str | None = None) -> Table:
    """The one table (under this heading) with this column; raises LookupError that says what was found instead."""
    fitting = [t for t in tables(document) if column in t.columns and heading in (None, t.heading)]
    if len(fitting) != 1:
        under = f" under {heading!r}" if heading else ""
        raise LookupError(
            f"{document.relative_to(ROOT)} has {len(fitting)} tables with the column {column!r}{under}, not one"
        )
    return fitting[0]


def codes(of: Table, column: str) -> list[str]:
    """Everything that stands as code in one column."""
    return [code for row in of.rows for code in row[column].codes]


@cache
def _tokens(document: Path) -> Sequence[Token]:
    return MarkdownIt("commonmark").enable("table").parse(document.read_text(encoding="utf-8"))


def _inline_headings(document: Path) -> Iterator[Token | str]:
    """The tokens, with each heading's text in the place of its content."""
    in_heading = False
    for token in _tokens(document):
        if token.type in ("heading_open", "heading_close"):
            in_heading = token.type == "heading_open"
        elif in_heading and token.type == "inline":
            yield "".join(c.content for c in token.children or () if c.type in ("text", "code_inline"))
        else:
            yield token


def _codes(inline: Token) -> Iterator[str]:
    return (child.content for child in inline.children or () if child.type == "code_inline")
