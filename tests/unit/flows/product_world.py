"""The world in which the book (product.py) is kept: notifications get lost, double or late, and mail is answered in many ways."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Literal

from sync.domain.body import Body
from sync.domain.event import Event
from sync.domain.mail import MailboxMessage, ThreadKeys
from sync.flows import receive
from sync.jobs import MailChange
from tests.fakes.mail import Change, Identity
from tests.unit.flows.erasing import ErasingWorld
from tests.unit.flows.world import SIGNING_KEY

type Notices = Literal["once", "lost", "twice", "late"]
#: How a contact's mail program refers to what it answers.
type Answering = Literal["reply", "new conversation", "new subject", "references", "conversation", "index"]

LATE_BY = timedelta(minutes=20)


class ProductWorld(ErasingWorld):
    """Mailboxes, and a Graph that does not always tell. `notices`: how it tells now."""

    def __init__(self) -> None:
        super().__init__()
        self.notices: Notices = "once"

    def answer(self, owner: Identity, parent: MailboxMessage, how: Answering) -> tuple[ThreadKeys, str]:
        """Keys and subject of an answer to this message."""
        number = next(self.mail._numbers)
        before = parent.keys
        if not {"conversation": before.conversation_id, "index": before.conversation_guid}.get(how, "is there"):
            how = "reply"  # nothing to refer to it by alone
        references = (*before.references, before.internet_message_id)
        name = f"<{number}@world.example>"
        subject = f"RE: {parent.subject.removeprefix('RE: ')}"
        elsewhere = ThreadKeys(
            name, conversation_id=f"conv-{number}", conversation_guid=f"guid-{number}", references=references
        )
        match how:
            case "reply":
                keys = ThreadKeys(
                    name, before.internet_message_id, references, before.conversation_id, before.conversation_guid
                )
            case "new conversation" | "new subject":
                keys = ThreadKeys(
                    name,
                    before.internet_message_id,
                    references,
                    elsewhere.conversation_id,
                    elsewhere.conversation_guid,
                )
            case "references":
                keys = elsewhere
            case "conversation":
                keys = ThreadKeys(name, conversation_id=before.conversation_id)
            case "index":
                keys = ThreadKeys(name, conversation_guid=before.conversation_guid)
        return keys, f"About number {number}" if how == "new subject" else subject

    async def read_on(self, after: int) -> list[Event]:
        """The feed from behind this event."""
        return await self.journal.events("acme", after, 10_000)

    def _tell_of_change(self, mailbox: Identity, graph_id: str, change: Change) -> None:
        """Graph's notification, as it goes at the moment."""
        if self.notices == "lost":
            return
        items = [
            {"clientState": held.client_state, "changeType": change, "resourceData": {"id": graph_id}}
            for held in self.subscriptions.open_ones.values()
            if held.mailbox == mailbox and held.expires_at > self.clock()
        ]
        body = json.dumps({"value": items}).encode()
        for text in receive.acknowledge(body, [SIGNING_KEY]):
            for _ in range(2 if self.notices == "twice" else 1):
                self.work.put(MailChange.queue, text, LATE_BY if self.notices == "late" else timedelta())


def body_with(canary: str) -> Body:
    """A body that says this word."""
    return Body(f"<p>Hello {canary}</p>", None)


def words() -> Iterator[str]:
    """Words that nobody else says."""
    number = 0
    while True:
        number += 1
        yield f"canary{number}bird"
