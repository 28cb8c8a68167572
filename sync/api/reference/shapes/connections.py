"""Connections, the settings page, and the account's own provider."""

from datetime import datetime

from pydantic import Field

from sync.api.reference.shapes.shape import Count, MailAddress, Shape, absent
from sync.domain.connection import DefaultSender, State, SyncState
from sync.domain.provider import Security
from sync.domain.sign_in import LastOutcome
from sync.domain.thread_rule import KeyKind
from sync.domain.trouble import Reason


class SignInEnd(Shape):
    """How the user's last sign-in ended, where it made no connection."""

    outcome: LastOutcome
    """`admin_consent_required`: the user waits for an administrator; `admin_consented`: one has approved."""
    at: datetime
    admin_consent_url: str = absent()
    """With `admin_consent_required`: where an administrator approves the app for the whole organisation."""


class ShownConnection(Shape):
    """A connection as the settings page reads it."""

    connection_id: str
    """Kept when the same mailbox is signed in to again; another mailbox, or a connect after a delete, is a new connection."""
    state: State
    """`connecting`: signed in, not yet watched; `disconnected`: ended for good."""
    email: str | None
    """The mailbox's address; null once it was erased."""
    display_name: str | None
    default_sender: DefaultSender
    """Through which door the user's individual emails go."""
    connected_at: datetime
    sync_state: SyncState
    synced_through: datetime | None
    """Up to when there is proof that nothing is missing."""
    subscription_expires_at: datetime | None
    """Until when Microsoft Graph tells us of changes; it is renewed long before. Null while nothing is watched."""
    problem: str = absent()
    """With `needs_reconnect`: what happened and what to do, in words for the user."""
    problem_code: Reason = absent()


class Connection(ShownConnection):
    """One user's link to one Outlook mailbox."""

    thread_count: Count
    """Threads begun by this connection."""
    sign_in: SignInEnd = absent()
    """Where the user's last sign-in came to nothing."""


class SettingsView(Shape):
    """What the settings page shows."""

    connection: ShownConnection | None
    """Null: the user never had one."""
    sign_in: SignInEnd | None
    now: datetime
    """The app's own time, to show the others by."""


class SignInLink(Shape):
    """Where to send the user's browser."""

    sign_in_url: str
    expires_at: datetime
    """Ten minutes from now."""


class PageLink(Shape):
    """The settings page of one user."""

    url: str
    """The token is in the fragment, which browsers send to no server. Don't store or log it."""
    expires_at: datetime
    """One hour from now."""


class ErasedCounts(Shape):
    """How much was erased of what had been synced."""

    messages: Count
    attachments: Count
    events: Count
    """Events that no longer tell anything. They keep their place in the feed."""
    anchors: Count
    """Thread keys."""


class DeletedConnection(Shape):
    """A connection that has ended."""

    connection_id: str
    erased: ErasedCounts
    """All zero without `erase=true`."""


class TriedKey(Shape):
    """One key of a message that was looked up, and what came of it."""

    kind: KeyKind
    value: str
    matched: bool
    why: str
    """In plain words."""


class Explanation(Shape):
    """The verdict of the thread rule on one message of the mailbox, now. Its keys, and nothing that it says."""

    found: bool
    """Whether the mailbox has such a message."""
    belongs: bool
    """It is part of a thread. Of a delivery report: it may be about an email of one."""
    syncs: bool
    """It is told to the CRM as a message."""
    thread_id: str | None
    matched_by: KeyKind | None
    why: str
    """In plain words."""
    message_id: str | None
    """What it is in the CRM, once it was told. Of a delivery report: the email that it was told on."""
    keys: list[TriedKey]


class Provider(Shape):
    """An account's own email provider. The password is never given out."""

    host: str
    port: int
    security: Security
    username: str | None
    from_: MailAddress = Field(alias="from")
    """Stands in From where an email names no address of its own."""
    domains: list[str]
    """Any address of these may stand in From."""
    checked_at: datetime | None
    """When its server last took our connection and login."""
