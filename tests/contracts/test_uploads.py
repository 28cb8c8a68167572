"""Large files, whose pieces go to an address of their own: whatever becomes of one, a draft has the whole file or none of it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from sync.domain.attachment_rule import MAX_ATTACHMENT_BYTES
from sync.domain.errors import Gone, OutsideError, Unclear
from sync.domain.outgoing import OutgoingFile
from tests.contracts.graph_stages import EmulatedGraphStage, emulated
from tests.contracts.test_answers import DRAFT

LARGE = OutgoingFile("a.txt", "text/plain", b"0123456789abcde\n" * (MAX_ATTACHMENT_BYTES // 16), True, "cid@1")


@pytest.fixture
async def graph() -> AsyncIterator[EmulatedGraphStage]:
    """Graph's adapter at the emulator."""
    async with emulated() as stage:
        yield stage


#: What happens to the piece, what the adapter makes of it, and whether the file is on the draft then.
FATES: list[tuple[str, dict[str, Any], type[OutsideError], bool]] = [
    ("answer lost, arrived", {"drop": True, "applied": True}, Unclear, True),
    ("answer lost, not arrived", {"drop": True}, Unclear, False),
    ("time-out, arrived", {"status": 504, "applied": True}, Unclear, True),
    ("time-out, not arrived", {"status": 504}, Unclear, False),
    ("session gone", {"status": 404}, Gone, False),
    ("address not good any more", {"status": 401}, Unclear, False),
]


@pytest.mark.parametrize(("fate", "error", "there"), [f[1:] for f in FATES], ids=[f[0] for f in FATES])
async def test_a_file_whose_upload_failed_is_on_the_draft_whole_or_not_at_all(
    graph: EmulatedGraphStage, fate: dict[str, Any], error: type[OutsideError], there: bool
) -> None:
    """The list of files tells which; where it is not there, adding it again brings it once, byte for byte."""
    made = await graph.mail.create_draft(graph.dana, DRAFT)
    await graph.lab("POST", "/faults", {"match": "PUT *AttachmentSessions*", **fate})

    with pytest.raises(error):
        await graph.mail.add_file(graph.dana, made.graph_id, LARGE)

    assert await graph.mail.file_names(graph.dana, made.graph_id) == (["a.txt"] if there else [])
    if not there:
        await graph.mail.add_file(graph.dana, made.graph_id, LARGE)
    (file,) = (await graph.mail.content(graph.dana, made.graph_id)).files
    found = await graph.mail.file(graph.dana, made.graph_id, file.graph_id, MAX_ATTACHMENT_BYTES)
    assert (found, file.inline) == ((LARGE.content, "cid@1"), True)


async def test_a_session_that_failed_is_closed(graph: EmulatedGraphStage) -> None:
    """So that a piece which arrives late can't put the file onto the draft a second time."""
    made = await graph.mail.create_draft(graph.dana, DRAFT)
    await graph.lab("POST", "/faults", {"match": "PUT *AttachmentSessions*", "status": 503})
    with pytest.raises(Unclear):
        await graph.mail.add_file(graph.dana, made.graph_id, LARGE)

    calls = await graph.lab("GET", "/requests")
    assert [(c["method"], c["status"]) for c in calls if "AttachmentSessions" in c["path"]] == [
        ("PUT", 503),
        ("DELETE", 204),
    ]


async def test_a_session_that_cannot_be_closed_changes_nothing(graph: EmulatedGraphStage) -> None:
    """What is told is what became of the file."""
    made = await graph.mail.create_draft(graph.dana, DRAFT)
    await graph.lab("POST", "/faults", {"match": "PUT *AttachmentSessions*", "status": 503})
    await graph.lab("POST", "/faults", {"match": "DELETE *AttachmentSessions*", "drop": True})
    with pytest.raises(Unclear, match="503"):
        await graph.mail.add_file(graph.dana, made.graph_id, LARGE)
