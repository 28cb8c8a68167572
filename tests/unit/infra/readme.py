"""infra/README.md as the tests read it: its fenced code blocks."""

from typing import NamedTuple

from tests.unit.infra.bicep import INFRA

README = INFRA / "README.md"


class Block(NamedTuple):
    """A fenced block: under which heading, in which language, what."""

    heading: str
    language: str
    text: str


def blocks() -> list[Block]:
    """Every fenced block of the document."""
    found, heading, language, lines = [], "", None, list[str]()
    for line in README.read_text().splitlines():
        if line.startswith("```"):
            if language is None:
                language, lines = line[3:], []
            else:
                found.append(Block(heading, language, "\n".join(lines) + "\n"))
                language = None
        elif language is not None:
            lines.append(line)
        elif line.startswith("## "):
            heading = line[3:]
    return found


SHELL = [block for block in blocks() if block.language == "sh"]
#: The functions and variables of one block are used by those below it.
WHOLE = "".join(block.text for block in SHELL)
