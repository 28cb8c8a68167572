"""What the flows need of the neighbours: Microsoft's sign-in, Graph, the account's provider, the CRM."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from sync.domain.check import Answered
from sync.domain.connection import Connection, Mailbox, Subscription
from sync.domain.event import Answer, Event
from sync.domain.mail import MailboxMessage, MailContent
from sync.domain.outgoing import Draft, OutgoingFile
from sync.domain.provider import Email, Provider, ServerReply
from sync.domain.sign_in import Grant


class Entra(Protocol):
    """Microsoft's sign-in (https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow)."""

    async def begin(self, *, state: str, login_hint: str, claims: str = "") -> tuple[str, str]:
        """
        The address to send the browser to, and the flow (JSON, secret) to keep until the callback.

        `claims`: what Microsoft wanted of this sign-in when it refused the one before (JSON).
        """

    async def redeem(self, flow: str, answer: Mapping[str, str]) -> Grant:
        """Redeem the code in `answer`; raises Declined where Microsoft refuses, OperatorAlarm for a broken registration."""

    def admin_consent_url(self, state: str) -> str:
        """Where an administrator can consent for everybody of their organisation."""

    async def try_credential(self, tenant_id: str | None) -> bool:
        """
        Whether Microsoft knows the app by its credential; False: no tenant is known to ask in. Raises OperatorAlarm, Unclear.

        `tenant_id`: of an organisation that has the app. A managed identity knows its own.
        """


class Web(Protocol):
    """Addresses that anybody can ask."""

    async def ask(self, method: str, url: str) -> Answered:
        """One request without a body or a credential; raises where no answer came."""


class Mail(Protocol):
    """One user's mailbox. Graph ids are immutable ids."""

    async def owner(self, access_token: str) -> Mailbox:
        """Whose mailbox a token opens."""

    async def keys(self, connection: Connection, graph_id: str) -> MailboxMessage:
        """Keys and addresses of a message, nothing else of it; raises Gone."""

    async def received_since(
        self, connection: Connection, since: datetime, limit: int, skip: int = 0
    ) -> list[MailboxMessage]:
        """
        Keys and addresses of the messages received since then, of all folders, the oldest first, at most `limit`.

        skip: so many are passed over, which shifts where mail is deleted meanwhile.
        """

    async def by_internet_message_id(self, connection: Connection, internet_message_id: str) -> list[MailboxMessage]:
        """Keys and addresses of the messages with this Message-ID, of all folders; a mailbox can hold several copies."""

    async def content(self, connection: Connection, graph_id: str) -> MailContent:
        """Body and list of files of a message that is ours."""

    async def file(
        self, connection: Connection, graph_id: str, file_id: str, limit_bytes: int
    ) -> tuple[bytes, str | None] | None:
        """Content and content id of a file; None where it is larger than the limit (it is not read to the end then)."""

    async def mime(self, connection: Connection, graph_id: str, limit_bytes: int) -> bytes | None:
        """A delivery report as it came over the wire; None where it is larger than the limit (it is not read to the end then)."""

    async def create_draft(self, connection: Connection, draft: Draft) -> MailboxMessage:
        """A new draft."""

    async def create_answer(self, connection: Connection, graph_id: str, draft: Draft) -> MailboxMessage:
        """A draft that answers this message; raises Gone where the message is not there any more."""

    async def is_unread(self, connection: Connection, graph_id: str) -> bool:
        """Whether the user has not read this message yet; raises Gone."""

    async def mark_unread(self, connection: Connection, graph_id: str) -> None:
        """Let a message be unread again; raises Gone."""

    async def set_recipients(self, connection: Connection, draft_id: str, draft: Draft) -> None:
        """Let what is in the mailbox go to the recipients of `draft`, and to nobody else."""

    async def add_file(self, connection: Connection, draft_id: str, file: OutgoingFile) -> None:
        """Add a file to a draft."""

    async def remove_files(self, connection: Connection, draft_id: str) -> None:
        """Take every file off a draft."""

    async def file_names(self, connection: Connection, draft_id: str) -> list[str]:
        """The names of the files on a draft."""

    async def send(self, connection: Connection, draft_id: str) -> None:
        """Send a draft; Unclear where it may or may not have gone."""

    async def find_stamped(self, connection: Connection, stamp: str) -> MailboxMessage | None:
        """The message that carries our stamp: a draft, or its copy in Sent Items, wherever it is by now."""

    async def discard(self, connection: Connection, draft_id: str) -> None:
        """Delete a draft; raises Gone where it is not there any more."""


class Submission(Protocol):
    """
    An email offered to a server (RFC 5321 3.3), its recipients asked for, and nothing of it handed over yet.

    Each recipient is in one of the three: `accepted`; `deferred`, to be asked again later; `refused` for good.
    """

    accepted: tuple[str, ...]
    deferred: Mapping[str, ServerReply]
    refused: Mapping[str, ServerReply]

    async def hand_over(self) -> None:
        """
        Hand the email over for the accepted recipients, once.

        Raises Declined (5yz) and Throttled (4yz) where the server said that it did not take it, Unclear where no answer came
        after it had all of it: then the email may have gone, and nothing but the server knows.
        """


class Smtp(Protocol):
    """Submission to an account's provider (RFC 6409)."""

    async def check(self, provider: Provider) -> None:
        """Connect, encrypt and log in, and send nothing; raises as `submission`."""

    def submission(
        self, provider: Provider, email: Email, recipients: Sequence[str]
    ) -> AbstractAsyncContextManager[Submission]:
        """
        Connect, log in, and offer the email to these recipients; leaving the context closes the connection.

        Entering raises Declined where the server or our own rule about addresses says no for good, with the server's words in
        `detail`; Throttled where the server says "later"; Unclear where it could not be reached. Nothing was sent then.
        """


class Certificate(Protocol):
    """The newest certificate that Graph encrypts for."""

    @property
    def ends_at(self) -> datetime:
        """Until when it is good; raises OperatorAlarm where it can't be read."""


class ResourceData(Protocol):
    """What rich notifications carry of a message."""

    async def message(self, connection: Connection, graph_id: str, text: str) -> MailboxMessage:
        """
        Open and prove what came along (`EncryptedContent.to_text`): this message's keys and addresses, as by `Mail.keys`.

        Raises Unusable where it can't be used, for whatever reason.
        """


class Subscriptions(Protocol):
    """Graph's promises to tell us (https://learn.microsoft.com/graph/api/resources/subscription)."""

    @property
    def certificate_id(self) -> str:
        """The certificate that Graph encrypts for; empty: it tells ids only. Raises OperatorAlarm where none can be read."""

    async def open(self, connection: Connection, *, client_state: str, now: datetime) -> tuple[Subscription, bool]:
        """
        A subscription, and whether it was made just now.

        Else the mailbox had one of ours already, which now has a longer life, and tells us with the clientState it was made with.
        """

    async def replace(
        self, connection: Connection, *, client_state: str, now: datetime, known: Collection[str]
    ) -> Subscription:
        """
        A new subscription beside the mailbox's own, which goes on telling us until it is closed.

        `known`: the ids of those in use; one that nobody uses is closed where it stands in the way.
        """

    async def renew(self, connection: Connection, subscription: Subscription, *, now: datetime) -> Subscription:
        """A longer life; raises Gone where it has ended."""

    async def ours(self, connection: Connection, *, now: datetime) -> list[Subscription]:
        """Every subscription of this mailbox that this app has open at its own address."""

    async def close(self, connection: Connection, subscription: Subscription) -> None:
        """End it; no error where it has ended."""


class Crm(Protocol):
    """The CRM's webhook (Standard Webhooks)."""

    async def deliver(self, event: Event) -> Answer:
        """Push an event once; never raises for anything the receiver does."""
