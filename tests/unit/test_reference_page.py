"""The reference as a page: whole, well-formed, linked throughout, loading nothing, and nobody's words in it can run."""

import copy
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest

from sync.api import reference
from sync.api.reference.document import document
from sync.api.reference.page import page
from tests.unit.http_request import request

BASE = "https://sync.example"
VOID = {"meta", "wbr"}


class Read(HTMLParser):
    """What a page is made of; raises where an element is closed that is not open."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.tags: list[str] = []
        self.inside: dict[str, list[str]] = {"style": [], "script": []}
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note its id and where it leads."""
        given = dict(attrs)
        self.tags.append(tag)
        self.attributes |= given.keys()
        self.ids += filter(None, [given.get("id")])
        self.links += filter(None, [given.get("href")])
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Only what is open, and innermost, is closed."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep what counts for the policy."""
        if self._open and self._open[-1] in self.inside:
            self.inside[self._open[-1]].append(data)


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    """The document that the page is made of."""
    return document(BASE)


@pytest.fixture(scope="module")
def read(shown: dict[str, Any]) -> Read:
    """The page."""
    return Read(page(shown).content.decode())


def test_everything_has_its_place(shown: dict[str, Any], read: Read) -> None:
    """Each operation, event, code and shape has an anchor of its own name."""
    operations = [o["operationId"] for methods in shown["paths"].values() for o in methods.values()]
    shapes = [f"schema-{name}" for name, schema in shown["components"]["schemas"].items() if "properties" in schema]
    events = [f"event-{kind}" for kind in shown["webhooks"]]
    codes = [f"problem-{name}" for name in shown["components"]["examples"] if not name.endswith("_without_body")]
    assert {*operations, *shapes, *events, *codes} <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))


def test_every_link_leads_somewhere(read: Read) -> None:
    """Within the page, to the document, or to a page of Microsoft or a standard that people can open."""
    within = {link.removeprefix("#") for link in read.links if link.startswith("#")}
    assert within <= set(read.ids)
    elsewhere = {link for link in read.links if not link.startswith("#")} - {"openapi.json"}
    assert all(
        link.startswith(("https://learn.microsoft.com/", "https://www.standardwebhooks.com")) for link in elsewhere
    )


def test_it_loads_nothing(read: Read) -> None:
    """No file, font, image or frame, and no handler or style in an attribute: the policy would refuse them."""
    assert not {"src", "srcset", "data", "style"} & read.attributes
    assert not [name for name in read.attributes if name.startswith("on")]
    assert not {"link", "img", "iframe", "form", "base"} & set(read.tags)
    assert "url(" not in "".join(read.inside["style"])


def test_the_policy_lets_its_own_style_and_script_run_and_nothing_else(read: Read) -> None:
    """By their hashes (CSP 3): what somebody else might get into the page does not run."""
    policy = reference.docs(request(), BASE).headers["Content-Security-Policy"]
    for kind in ("style", "script"):
        (source,) = read.inside[kind]
        digest = b64encode(sha256(source.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert policy.endswith("frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
    assert "unsafe" not in policy


def test_words_stay_words(shown: dict[str, Any]) -> None:
    """Wherever a text of the document is shown, markup in it is shown as it is written."""
    hostile = "</code><script>alert(1)</script>\"'&"

    def poisoned(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {k: poisoned(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [poisoned(v) for v in value]
        told = name in ("description", "summary", "detail", "pattern", "subject", "title", "default", "url", "example")
        return hostile if told and isinstance(value, str) else value

    changed = poisoned(copy.deepcopy(shown))
    content = page(changed).content.decode()
    assert content.count("<script>") == 1
    assert "&lt;script&gt;alert(1)" in content
    Read(content)


def test_each_command_is_a_call_that_is_described(shown: dict[str, Any]) -> None:
    """A command for each operation and each example of its body, on the right route and with the key where it needs one."""
    content = page(shown).content.decode()
    commands = re.findall(r"<code>(curl [^<]*)</code>", content)
    bodies = [
        len(o.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", "1"))
        for methods in shown["paths"].values()
        for o in methods.values()
    ]
    assert len(commands) == sum(bodies)
    keyed = [command for command in commands if "x-functions-key: $KEY" in command]
    assert all("$APP/v1/" in command for command in keyed)
    assert all("$APP/v1/" not in command for command in commands if command not in keyed)
    assert not [command for command in commands if "{" in command.split("\\")[0]]
