"""
A user's link to one Outlook mailbox, its states, and what each state allows.

    connecting ──> connected <──> needs_reconnect
         └─────────────┴───────────────┴──────> disconnected      (for good: connecting again is a new connection)

One row per user holds the current connection, so that taking it over or ending it is one write that everybody sees.
"""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

ACCOUNT_OR_USER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class State(StrEnum):
    """The states of a connection; also what the CRM reads as `state`."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    NEEDS_RECONNECT = "needs_reconnect"
    DISCONNECTED = "disconnected"


class SyncState(StrEnum):
    """How the sync of a connection is doing; the CRM's `sync_state`."""

    STARTING = "starting"
    ACTIVE = "active"
    CATCHING_UP = "catching_up"
    STOPPED = "stopped"


class DefaultSender(StrEnum):
    """Through which door a user's individual emails go."""

    OUTLOOK = "outlook"
    PROVIDER = "provider"


@dataclass(frozen=True)
class Mailbox:
    """Whose mailbox it is. Identity is tenant and object id, never an address (both are mutable in Entra ID)."""

    tenant_id: str
    object_id: str
    email: str
    display_name: str
    aliases: tuple[str, ...] = ()
    #: MSAL's name for the signed-in account, `<oid>.<tid>` of its home tenant
    home_account_id: str = ""

    @property
    def identity(self) -> tuple[str, str]:
        """What makes two sign-ins the same mailbox."""
        return (self.tenant_id, self.object_id)

    @property
    def own_addresses(self) -> frozenset[str]:
        """Address keys of the mailbox: the primary one and its aliases."""
        return frozenset(a.strip().casefold() for a in (self.email, *self.aliases) if a)


@dataclass(frozen=True)
class Subscription:
    """What Graph promised to tell us, and until when."""

    subscription_id: str
    expires_at: datetime
    renew_at: datetime


@dataclass(frozen=True)
class Connection:
    """The current connection of a user. `version` is the stored row's etag; None: not stored yet."""

    connection_id: str
    account_id: str
    user_id: str
    mailbox: Mailbox
    state: State
    connected_at: datetime
    default_sender: DefaultSender = DefaultSender.OUTLOOK
    subscription: Subscription | None = None
    synced_through: datetime | None = None
    #: plain words on why it needs_reconnect
    problem: str = ""
    #: threads begun by this connection
    thread_count: int = 0
    #: sign-ins of this mailbox so far; part of the key of events that may be told once per sign-in
    sign_ins: int = 1
    #: id and address of the connection whose place it took while that was live
    previous: tuple[str, str] | None = None
    version: str | None = field(default=None, compare=False)

    @property
    def live(self) -> bool:
        """Whether its threads sync: everything but disconnected. Queued work of one that is not live is dropped."""
        return self.state is not State.DISCONNECTED

    @property
    def sends(self) -> bool:
        """Whether emails can go through it now."""
        return self.state in (State.CONNECTING, State.CONNECTED)

    @property
    def sync_state(self) -> SyncState:
        """What the CRM reads as `sync_state`."""
        if self.state in (State.NEEDS_RECONNECT, State.DISCONNECTED):
            return SyncState.STOPPED
        return SyncState.ACTIVE if self.subscription else SyncState.STARTING


def share_subscription(one: Connection, other: Connection) -> bool:
    """Whether what Graph tells of `one` is for `other` too, a live connection of the same mailbox."""
    if not other.live or other.mailbox.identity != one.mailbox.identity:
        return False
    if one.subscription is None or other.subscription is None:
        return one.subscription is None
    return one.subscription.subscription_id == other.subscription.subscription_id


def connected(connection: Connection, subscription: Subscription) -> Connection:
    """Graph tells us of this mailbox from now on; what came between the sign-in and now, catching up finds."""
    return replace(
        connection,
        state=State.CONNECTED,
        subscription=subscription,
        synced_through=connection.synced_through or connection.connected_at,
        problem="",
    )


def renewed(connection: Connection, mailbox: Mailbox) -> Connection:
    """
    The same mailbox was signed in to again: threads and default sender are kept.

    The subscription is opened anew, since whatever ended the old sign-in may have ended it too.
    """
    return replace(
        connection,
        mailbox=mailbox,
        state=State.CONNECTING,
        subscription=None,
        problem="",
        sign_ins=connection.sign_ins + 1,
    )


def needs_reconnect(connection: Connection, problem: str) -> Connection:
    """Microsoft no longer accepts the stored sign-in."""
    return replace(connection, state=State.NEEDS_RECONNECT, problem=problem)


def disconnected(connection: Connection) -> Connection:
    """Ended for good."""
    return replace(connection, state=State.DISCONNECTED, problem="")
