"""
What stands in the documents works: every command is typed into a shell beside a local cloud, in the order in which it is read,
and every answer shown has the shape of the one that came.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.cloud.address_file import published
from tests.cloud.local import LocalCloud
from tests.cloud.polling import eventually
from tests.cloud.sign_in import sign_in
from tests.cloud.stage import Stage, attached
from tests.documents import ROOT, Block, blocks, guides, table
from tests.e2e.account import Account, Connected, Json
from tests.e2e.conversation import ADA, STRANGER, answers, arrives, at_rest, synced
from tests.e2e.reader import Ran, Reader, differences
from tests.e2e.storage import Storage

#: Who the documents talk of.
ACCOUNT, USER, PERSON = "acme", "dana", "dana@northwind.example"
#: The completion code that the README shows.
A_CODE = "tbmsln0lepjew96eaisqzbtv.uNmde6VGXPA0wyl6qjZhXtJN1TgiiwmFut9g67kIsV8"

#: Commands that are not typed here, and why: each line begins with one.
NOT_TYPED = {
    "make demo": "tests/e2e/test_demo.py plays it",
    "make start": "the cloud that these tests start is what it starts; tests/integration/test_local_cloud.py runs the command",
    "make test": "it would run these tests",
    "make soak": "it takes hours; tests/e2e/test_chaos.py is its short form",
    "cp local.settings.example.json": "it goes with `func start`",
    ".venv/bin/python -m tests.bench.growth": "it prints what docs/growing.md shows, which tests/unit/test_growth.py compares",
    "func start": "Azure's tools are a download that not every machine has; the host of tests/cloud does their work here",
}
#: What only has to be readable (tests/unit/test_documents.py), and what is a drawing.
READ_ONLY = ("python", "js", "html", "")


class Story:
    """What happens between the commands, by hand; and what came of them."""

    def __init__(self, cloud: LocalCloud, http: httpx.AsyncClient, reader: Reader, account: Account) -> None:
        self.cloud, self.http, self.reader, self.account = cloud, http, reader, account
        self.person = cloud.directory.add(PERSON, "Dana Whitfield", ["dana.whitfield@northwind.example"])
        self.offer: Json = {}

    @property
    def user(self) -> Connected:
        """Dana, connected."""
        stage = Stage(self.cloud, self.http, PERSON)
        return Connected(self.cloud, self.account.api, self.http, USER, self.person, {}, stage)

    async def signs_in(self, url: str) -> None:
        """Dana follows the link, and her browser comes back with a completion code."""
        brought_back = await sign_in(self.http, url, self.cloud.entra.url, PERSON)
        self.reader.stands_for[A_CODE] = brought_back["completion_code"]

    async def is_connected(self) -> None:
        """A moment later the mailbox is connected and watched."""
        shown = (await self.account.api.connection(USER)).json()
        await self.account.active(USER, shown["connection_id"])
        await at_rest(self.user)

    async def ada_answers(self) -> None:
        """The offer leaves, and Ada answers it with a program."""
        self.offer = dict((await self.account.heard("message.sent"))["data"]["message"])
        program = [attached("a.exe", "application/octet-stream", b"MZ")]
        await synced(self.user, await answers(self.user, self.offer, attachments=program))

    async def is_bounced(self) -> None:
        """The offer does not arrive."""
        about = {"mailbox": PERSON, "internet_message_id": self.offer["internet_message_id"], "address": ADA}
        await self.user.stage.lab("POST", f"{self.cloud.graph.url}/_lab/bounce", about)
        await self.account.heard("message.bounced")

    async def crm_refuses_once(self) -> None:
        """The CRM answers one delivery with 410, which is noted at once."""
        await at_rest(self.user)
        await self.user.stage.lab("POST", f"{self.cloud.crm.url}/_lab/answer", {"status": 410, "times": 1})
        [first, *_] = await self.account.feed()
        assert (await self.account.api.redeliver(first["id"])).status_code == 202

        async def noted() -> bool:
            return (await self.account.api.webhook()).json()["last_failure"] is not None

        await eventually(noted, "the failure to be noted")

    async def work_is_given_up(self) -> None:
        """A row can't be read until the work on it is given up; then it can."""
        async with Storage(self.cloud.azurite.connection_string) as storage:
            row = await storage.connection_row(ACCOUNT, USER)
            await storage.put_connection_row(row | {"doc0": '{"email": "broken'})
            await answers(self.user, self.offer)

            async def given_up() -> bool:
                return bool((await self.account.api.status()).json()["poison"])

            await eventually(given_up, "the work to be given up", timeout=90)
            await storage.put_connection_row(row)

    async def a_stranger_writes(self) -> None:
        """Mail that Outlook files into the conversation, from somebody whom the thread does not know."""
        arrival = await arrives(self.user, STRANGER, self.offer["subject"], conversation="same")
        self.reader.stands_for["<0C1E5A77D2B94F0E@elsewhere.example>"] = arrival.internet_message_id
        await at_rest(self.user)


#: What is done by hand before the first block under a heading.
BY_HAND: dict[tuple[str, str], Callable[[Story], Awaitable[None]]] = {
    ("README.md", "Send"): Story.is_connected,
    ("README.md", "Listen"): Story.ada_answers,
    ("sending.md", "When an email does not arrive"): Story.is_bounced,
    ("events.md", "Deliveries"): Story.crm_refuses_once,
    ("operating.md", "When work is given up"): Story.work_is_given_up,
    ("operating.md", "Ask why"): Story.a_stranger_writes,
}


@dataclass
class Followed:
    """What came of each block, by its name: a shell block's run, and where a shown answer differs from the real one."""

    ran: dict[str, Ran] = field(default_factory=dict)
    differs: dict[str, list[str]] = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)


ALL = [block for document in guides() for block in blocks(document)]


def is_typed(block: Block) -> bool:
    """Whether a shell block is typed here: all of it, or nothing."""
    lines = [line for line in block.text.splitlines() if line.strip()]
    left_out = [any(line.startswith(begin) for begin in NOT_TYPED) for line in lines]
    assert all(left_out) or not any(left_out), f"{block.name}: what can run here stands in a block of its own"
    return not all(left_out)


TYPED = [block for block in ALL if block.language == "sh" and is_typed(block)]
SHOWN = [block for block in ALL if block.language == "json"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def followed(http: httpx.AsyncClient, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Followed]:
    """The documents, followed once. A cloud of its own: its account is the one that the documents name."""
    folder = tmp_path_factory.mktemp("reader")
    # host.json waits half a minute between two tries of work that fails.
    at_once = {"AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:01"}
    async with LocalCloud(at_once) as cloud, cloud.api(ACCOUNT) as api:
        with published(cloud.addresses, folder / ".cloud.json"):
            reader = Reader(folder)
            yield await _follow(Story(cloud, http, reader, Account(cloud, api, http)), reader)


async def _follow(story: Story, reader: Reader) -> Followed:
    followed, heading = Followed(), ("", "")
    ran: Ran | None = None
    for block in ALL:
        if heading != (heading := (block.document.name, block.heading)) and heading in BY_HAND:
            await BY_HAND[heading](story)
        if block in TYPED:
            ran = followed.ran[block.name] = await reader.types(block)
        elif block.language == "json":
            shown = json.loads(block.text)
            real = _answer(ran) if ran is not None else _nearest(shown, story.account.events())
            followed.differs[block.name] = differences(shown, real)
            reader.learns(shown, real)
            if isinstance(real, dict) and "sign_in_url" in real:
                await story.signs_in(real["sign_in_url"])
            ran = None
        else:
            ran = None
    await at_rest(story.user)
    followed.events = story.account.events()
    return followed


def _answer(ran: Ran) -> Any:
    try:
        return ran.answer
    except ValueError:
        return {"not JSON": ran.output}


def _nearest(shown: Json, events: list[Any]) -> Json:
    """Of the events that the CRM received, the one most like the one shown."""
    of_type = [event for event in events if event["type"] == shown.get("type")]
    return min(of_type, key=lambda event: len(differences(shown, event)), default={})


@pytest.mark.parametrize("block", TYPED, ids=lambda block: block.name)
async def test_every_command_runs(followed: Followed, block: Block) -> None:
    """Typed as it stands, it ends well; what answers is not a problem, unless one is shown."""
    ran = followed.ran[block.name]
    assert ran.status == 0, ran.complaints
    shows_a_problem = any(
        b.document == block.document and '"urn:problem:' in b.text for b in SHOWN if b.line > block.line
    )
    assert shows_a_problem or '"urn:problem:' not in ran.output, ran.output


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: block.name)
async def test_every_answer_and_event_has_the_shape_shown(followed: Followed, block: Block) -> None:
    """The same members with the same kinds of values: no field is shown that is gone, and none has come that is not shown."""
    assert followed.differs[block.name] == []


async def test_events_hold_what_the_table_says(followed: Followed) -> None:
    """Each event that came has in `data` exactly what docs/events.md names for its type."""
    rows = table(ROOT / "docs" / "events.md", "`type`").rows
    data = {row["`type`"].codes[0]: set(row["`data`"].codes) for row in rows}
    assert {event["type"] for event in followed.events} >= {"connection.connected", "message.sent", "message.bounced"}
    for event in followed.events:
        assert set(event["data"]) == data[event["type"]], event["type"]


def test_what_is_done_by_hand_belongs_to_a_heading() -> None:
    """A heading that was renamed takes its step with it."""
    headings = {(block.document.name, block.heading) for block in ALL}
    assert BY_HAND.keys() <= headings


def test_every_block_is_typed_read_or_left_out_for_a_reason() -> None:
    """No block is passed over silently, and no reason outlives its command."""
    assert [b.name for b in ALL if b.language not in ("sh", "json", *READ_ONLY)] == []
    lines = [line for block in ALL if block.language == "sh" for line in block.text.splitlines()]
    assert [begin for begin in NOT_TYPED if not any(line.startswith(begin) for line in lines)] == []


#: what is shown, what came, where they differ
SHAPES: list[tuple[Any, Any, list[str]]] = [
    ({"a": 1, "b": "x"}, {"a": 2.5, "b": "y"}, []),
    ({"a": 1}, {"a": "1"}, [".a is a text ('1'), shown is a number (1)"]),
    ({"a": 1}, {"a": True}, [".a is yes or no (True), shown is a number (1)"]),
    ({"a": 1}, {}, [".a is not there"]),
    ({}, {"a": 1}, [".a is not shown"]),
    ({"…": "…"}, {"a": 1}, []),
    ({"a": None}, {"a": 1}, []),
    ({"id": "msg_1"}, {"id": "msg_2"}, []),
    ({"id": "msg_1"}, {"id": "bat_2"}, [".id is an id bat_ ('bat_2'), shown is an id msg_ ('msg_1')"]),
    (
        {"at": "2026-11-28T19:09:12.204Z"},
        {"at": "soon"},
        [".at is a text ('soon'), shown is a time ('2026-11-28T19:09:12.204Z')"],
    ),
    ([{"a": 1}, {"b": 1}], [{"b": 2}, {"a": 3}], []),
    ([{"a": 1}], [{"a": 1}, {"c": 1}], ["[1].a is not there", "[1].c is not shown"]),
    ([{"a": 1}], [], ["the answer is empty"]),
    ({"queues": {"x": {"n": 1}}}, {"queues": {"x": {"n": 1}, "y": {"n": 2}}}, []),
    ({"queues": {"x": 1}}, {"queues": {"y": 1}}, [".queues has no x"]),
]


@pytest.mark.parametrize(("shown", "real", "expected"), SHAPES)
def test_shapes_are_compared_by_members_and_kinds(shown: Any, real: Any, expected: list[str]) -> None:
    """What makes two answers of one shape."""
    assert differences(shown, real) == expected
