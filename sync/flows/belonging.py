"""
What the thread rule says of one message of a mailbox: its keys are looked up among its connection's, and nothing is stored.

Receiving, bounces and the explain route ask here, so that what is explained is what happens.
"""

from dataclasses import dataclass

from sync.domain import thread_rule
from sync.domain.connection import Connection
from sync.domain.mail import MailboxMessage
from sync.domain.message import Message, Status, Thread
from sync.domain.thread_rule import Anchor, Belongs, Verdict
from sync.flows.ports import Anchors, Journal


@dataclass(frozen=True)
class Judged:
    """The verdict, and the thread that it names."""

    verdict: Verdict
    thread: Thread | None


async def judge(anchors: Anchors, journal: Journal, connection: Connection, mail: MailboxMessage) -> Judged:
    """The thread rule on a message, by its keys and addresses alone."""
    found = await anchors.find(connection.connection_id, thread_rule.keys_to_look_up(mail.keys))
    threads = await _held(journal, connection, found)
    verdict = thread_rule.decide(
        mail,
        [anchor for anchor in found if anchor.thread_id in threads],
        own_addresses=connection.mailbox.own_addresses,
        known_to_thread={t.thread_id: t.participants for t in threads.values()},
    )
    return Judged(verdict, threads[verdict.thread_id] if isinstance(verdict, Belongs) else None)


async def judge_report(anchors: Anchors, journal: Journal, connection: Connection, mail: MailboxMessage) -> Judged:
    """The same of a delivery report: which thread it may be about, if any."""
    found = await anchors.find(connection.connection_id, thread_rule.keys_to_look_up(mail.keys))
    threads = await _held(journal, connection, found)
    verdict = thread_rule.decide_on_report(mail.keys, found, threads)
    return Judged(verdict, threads[verdict.thread_id] if isinstance(verdict, Belongs) else None)


async def sent_from_crm(
    anchors: Anchors, journal: Journal, connection: Connection, mail: MailboxMessage
) -> Message | None:
    """The CRM's message of which this is the copy in the mailbox: by our stamp, or by the message id of its draft."""
    by_its_id = await anchors.message_of(connection.connection_id, mail.keys.internet_message_id)
    for message_id in filter(None, (mail.stamp, by_its_id)):
        message = await journal.message(connection.account_id, message_id)
        if message is None or message.connection_id != connection.connection_id or message.origin != "crm":
            continue
        # A user can send a copy of our email again from Outlook: the stamp goes along, but it is another email.
        left = message.status in (Status.SENT, Status.BOUNCED)
        if not left or message.internet_message_id == mail.keys.internet_message_id:
            return message
    return None


async def _held(journal: Journal, connection: Connection, anchors: list[Anchor]) -> dict[str, Thread]:
    """The threads that these keys lead to, as far as this connection holds them."""
    found = [await journal.thread(connection.account_id, thread_id) for thread_id in {a.thread_id for a in anchors}]
    return {t.thread_id: t for t in found if t is not None and t.connection_id == connection.connection_id}
