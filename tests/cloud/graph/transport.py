"""
What happens after `/send`: the copy in Sent Items, delivery to other mailboxes, mail to the world, bounces.

Imitated (https://learn.microsoft.com/graph/outlook-things-to-know-about-send-mail): sending is asynchronous; 202 is
said before anything moves, then the draft becomes the copy in Sent Items and keeps its immutable id, then recipients get
mail of their own ids and their own conversationId with the sender's internetMessageId. A recipient is a person of the
directory, or unknown or without a mailbox in a domain of the directory (a non-delivery report follows), or outside (kept
in `outgoing`).
Doubtful facts are switches. Not imitated: distribution groups, size limits of other servers, recipient limits per day.
"""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tests.cloud.clock import Clock
from tests.cloud.directory import Directory, Person
from tests.cloud.graph import non_delivery
from tests.cloud.graph.arrival import Mail, receive, wire_headers
from tests.cloud.graph.conversation import (
    Conversation,
    conversation_id,
    index_guid,
    new_conversation,
    new_internet_message_id,
)
from tests.cloud.graph.extended_property import IN_REPLY_TO_ID, REFERENCES_ID, property_key
from tests.cloud.graph.mailbox import Mailbox, Mailboxes
from tests.cloud.graph.message import Message
from tests.cloud.graph.switches import Switches

_CARRY_OVER = timedelta(minutes=1)


@dataclass(frozen=True)
class _Envelope:
    """Where one email goes: people of the directory, addresses that bounce, and whether anyone is outside."""

    people: list[Person]
    bounced: list[str]
    outside: bool


class Transport:
    """Takes submitted messages away, on the clock. `outgoing` is what left for the world, oldest first, as JSON."""

    def __init__(self, directory: Directory, clock: Clock, mailboxes: Mailboxes, switches: Switches) -> None:
        self._directory = directory
        self._clock = clock
        self._mailboxes = mailboxes
        self._switches = switches
        self._tasks: set[asyncio.Task[None]] = set()
        self._departures: dict[str, list[datetime]] = defaultdict(list)
        self.outgoing: list[dict[str, Any]] = []

    @property
    def pending(self) -> int:
        """How many messages are submitted and not yet sent."""
        return len(self._tasks)

    def submit(self, sender: Person, message: Message, *, save_copy: bool = True) -> None:
        """Accept a message that was checked; returns at once, as Graph does."""
        message.submitted = True
        when = self._departure(sender)
        if when <= self._clock.now():
            self._send(sender, message, save_copy=save_copy)
            return
        task = asyncio.create_task(self._send_later(when, sender, message, save_copy=save_copy))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Return once everything submitted so far is sent; the clock has to get there."""
        await asyncio.gather(*self._tasks)

    async def stop(self) -> None:
        """Drop what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def reset(self) -> None:
        """Drop what is under way and forget what left."""
        await self.stop()
        self.outgoing.clear()
        self._departures.clear()

    def _departure(self, sender: Person) -> datetime:
        """When the next message of this sender leaves: after the delay, and no more than so many a minute."""
        when = self._clock.now() + timedelta(seconds=self._switches.sent_copy_delay_s)
        departures, per_minute = self._departures[sender.oid], self._switches.messages_per_minute
        if per_minute and len(departures) >= per_minute:
            when = max(when, departures[-per_minute] + _CARRY_OVER)
        departures.append(when)
        return when

    async def _send_later(self, when: datetime, sender: Person, message: Message, *, save_copy: bool) -> None:
        await self._clock.sleep_until(when)
        self._send(sender, message, save_copy=save_copy)

    def _send(self, sender: Person, message: Message, *, save_copy: bool) -> None:
        mailbox = self._mailboxes.of(sender)
        self._keep_copy(mailbox, message, save_copy=save_copy)
        mail = self._on_the_wire(message)
        envelope = self._envelope(message)
        if envelope.outside:
            self.outgoing.append(_outgoing(mail, message))
        for person in envelope.people:
            theirs = self._mailboxes.of(person)
            # Between Exchange mailboxes the index travels (Thread-Index), the conversation's id does not.
            index = message.conversation.index
            receive(theirs, mail, Conversation(conversation_id(theirs.guid, index_guid(index)), index))
        if envelope.bounced:
            self._bounce(mailbox, mail, message.conversation, envelope.bounced)

    def _keep_copy(self, mailbox: Mailbox, message: Message, *, save_copy: bool) -> None:
        message.submitted = False
        message.is_draft = False
        message.received_at = message.sent_at = mailbox.now()
        message.fields["isRead"] = True
        if self._switches.internet_message_id_changes_on_send:
            domain = message.internet_message_id.rstrip(">").rpartition("@")[2]
            message.internet_message_id = new_internet_message_id(domain)
        if not save_copy:
            mailbox.remove(message, publish=False)
            return
        if self._switches.id_changes_on_send:
            mailbox.give_new_immutable_id(message)
        # Mail of sendMail was never a draft that anyone could see: its copy is new.
        known = message.folder.name != "outbox"
        mailbox.move(message, mailbox.folders["sentitems"], tell="updated" if known else "created")

    def _on_the_wire(self, message: Message) -> Mail:
        """What leaves the mailbox: no blind copies, no extended properties, no category."""
        fields = message.fields
        in_reply_to, references = message.in_reply_to, message.references
        if self._switches.threading_properties_are_sent:
            written = {key: value for key, (_, value) in message.properties.items()}
            in_reply_to = written.get(property_key(IN_REPLY_TO_ID), in_reply_to)
            references = written.get(property_key(REFERENCES_ID), " ".join(references)).split()
        return Mail(
            sender=fields["from"],
            to=fields["toRecipients"],
            cc=fields["ccRecipients"],
            reply_to=fields["replyTo"],
            subject=fields["subject"],
            body=fields["body"],
            internet_message_id=message.internet_message_id,
            sent_at=message.sent_at,
            in_reply_to=in_reply_to,
            references=references,
            headers=message.headers,
            attachments=[replace(attachment) for attachment in message.attachments],
            importance=fields["importance"],
        )

    def _envelope(self, message: Message) -> _Envelope:
        domains = {a.rpartition("@")[2].lower() for p in self._directory.everyone() for a in p.addresses}
        undeliverable = {address.lower() for address in self._switches.undeliverable}
        people: dict[str, Person] = {}
        bounced: list[str] = []
        outside = False
        for address in dict.fromkeys(a.lower() for a in recipient_addresses(message)):
            person = self._directory.by_email(address)
            has_mailbox = person is not None and person.mailbox == "active"
            if address in undeliverable or (not has_mailbox and address.rpartition("@")[2] in domains):
                bounced.append(address)
            elif person is not None:
                people[person.oid] = person
            else:
                outside = True
        return _Envelope(list(people.values()), bounced, outside)

    def _bounce(self, mailbox: Mailbox, mail: Mail, original: Conversation, failed: list[str]) -> None:
        now = mailbox.now()
        about = non_delivery.Original(mail.sender, mail.subject, mail.internet_message_id)
        fates = [non_delivery.Fate(address) for address in failed]
        report = non_delivery.report(about, fates, now, in_reply_to=self._switches.report_has_in_reply_to)
        joins = self._switches.report_joins_conversation
        receive(mailbox, report, original if joins else new_conversation(now, mailbox.guid))


def recipient_addresses(message: Message) -> list[str]:
    """Every address the message goes to, blind copies included."""
    fields = message.fields
    everyone = [*fields["toRecipients"], *fields["ccRecipients"], *fields["bccRecipients"]]
    return [recipient["emailAddress"]["address"] for recipient in everyone]


def _outgoing(mail: Mail, message: Message) -> dict[str, Any]:
    """One email as `GET /_lab/outgoing` shows it; `size` in decoded bytes."""
    body = mail.body
    return {
        "from": mail.sender["emailAddress"],
        "to": [r["emailAddress"] for r in mail.to],
        "cc": [r["emailAddress"] for r in mail.cc],
        "bcc": [r["emailAddress"] for r in message.fields["bccRecipients"]],
        "subject": mail.subject,
        "html": body["content"] if body["contentType"] == "html" else None,
        "text": body["content"] if body["contentType"] == "text" else None,
        "headers": {h["name"]: h["value"] for h in wire_headers(mail, message.conversation, received_at=None)},
        "internet_message_id": mail.internet_message_id,
        "attachments": [
            {"name": a.name, "content_type": a.content_type, "size": len(a.content)} for a in mail.attachments
        ],
    }
