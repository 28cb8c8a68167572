"""What the tests of sending ask at the end: one email left, and one outcome was told."""

from datetime import timedelta

from sync.domain.message import Message, Status
from sync.domain.outgoing import OutgoingFile
from sync.jobs import SendMail
from tests.unit.flows.world import World

#: Longer than a send is tried.
DAY = timedelta(hours=25)
TEXT = OutgoingFile("notes.txt", "text/plain", b"first")


async def outcomes(world: World) -> list[str]:
    """What the CRM was told of sends."""
    return [kind for kind in await world.told() if kind in ("message.sent", "message.failed")]


async def assert_sent_once(world: World, message: Message) -> Message:
    """One email left, one `message.sent` was told, nothing is left to do, and the journal knows the Sent copy."""
    assert [item.seen.stamp for item in world.mail.outgoing] == [message.message_id]
    assert await outcomes(world) == ["message.sent"]
    assert not [job for job, _ in world.work.promises.values() if isinstance(job, SendMail)]
    stored = await world.message(message.message_id)
    copy = world.mail.sent_copy(message.message_id)
    assert (stored.status, stored.graph_id) == (Status.SENT, copy.graph_id)
    assert stored.internet_message_id == copy.keys.internet_message_id
    return stored
