"""
Explaining: what the thread rule says of one message of a user's mailbox now, with each key tried; nothing is read but keys and
addresses, and nothing is stored.
"""

from dataclasses import dataclass
from typing import Literal

from sync.domain import explanation, ids
from sync.domain.connection import Connection, State
from sync.domain.errors import ConnectionNeedsReconnect, NotConnected, NotFound, ReconnectNeeded
from sync.domain.explanation import NOT_FOUND, Explanation, withheld
from sync.domain.mail import MailboxMessage, message_ids
from sync.flows.belonging import judge, judge_report, sent_from_crm
from sync.flows.ports import Anchors, Connections, Journal, Mail
from sync.flows.reconnect import Reconnect

SIGN_IN_FIRST = "The user has to sign in to Outlook again before the mailbox can be looked into."


@dataclass(frozen=True)
class Explain:
    """The verdict on demand."""

    connections: Connections
    anchors: Anchors
    journal: Journal
    mail: Mail
    reconnect: Reconnect
    forwarded_messages: Literal["sync", "withhold"]

    async def explain(self, account_id: str, user_id: str, internet_message_id: str) -> Explanation:
        """
        The verdict on the message with this Message-ID, with or without its angle brackets.

        Raises NotFound where the user never connected, NotConnected, ConnectionNeedsReconnect, and the OutsideError family.
        """
        connection = await self.connections.of_user(account_id, user_id)
        if connection is None:
            raise NotFound
        if not connection.live:
            raise NotConnected
        if connection.state is State.NEEDS_RECONNECT:
            raise ConnectionNeedsReconnect(SIGN_IN_FIRST)
        named = message_ids(internet_message_id)
        asked = named[0] if len(named) == 1 else internet_message_id.strip()
        try:
            copies = await self.mail.by_internet_message_id(connection, asked)
        except ReconnectNeeded as refused:
            await self.reconnect.ask(connection, refused)
            raise ConnectionNeedsReconnect(SIGN_IN_FIRST) from refused
        # As with an email to oneself, in the Inbox and in Sent Items: the copy that syncs is what happens to the message.
        return max([await self._of(connection, copy) for copy in copies], key=lambda e: e.rank, default=NOT_FOUND)

    async def _of(self, connection: Connection, mail: MailboxMessage) -> Explanation:
        """In the order in which `Receive` sorts."""
        if mail.report and not mail.is_draft:
            judged = await judge_report(self.anchors, self.journal, connection, mail)
            told_on = await self._known(connection, await self._remembered(connection, mail))
            return explanation.of_report(judged.verdict, message_id=told_on)
        judged = await judge(self.anchors, self.journal, connection, mail)
        if not mail.is_draft:
            sent = await sent_from_crm(self.anchors, self.journal, connection, mail)
            if sent is not None:
                return explanation.of_sent_copy(sent, judged.verdict)
        is_withheld = judged.thread is not None and withheld(mail, judged.thread, self.forwarded_messages)
        synced_as = ids.mailbox_message_id(connection.connection_id, mail.keys.internet_message_id, mail.graph_id)
        message_id = await self._known(connection, synced_as)
        return explanation.of_mail(judged.verdict, is_withheld=is_withheld, message_id=message_id)

    async def _remembered(self, connection: Connection, mail: MailboxMessage) -> str:
        return await self.anchors.message_of(connection.connection_id, mail.graph_id) or ""

    async def _known(self, connection: Connection, message_id: str) -> str:
        """This id, where there is such a message."""
        message = await self.journal.message(connection.account_id, message_id) if message_id else None
        return message.message_id if message is not None else ""
