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
    """
    What Graph promised to tell us, and until when.

    `made_with`: the key its clientState was made with, and the certificate that Graph encrypts for (`subscription.made_with`);
    empty where that is not known, since we found it open at Graph.
    """

    subscription_id: str
    expires_at: datetime
    renew_at: datetime
    made_with: str = ""


@dataclass(frozen=True)
class Erased:
    """How much was erased of what had been synced."""

    messages: int = 0
    attachments: int = 0
    events: int = 0
    anchors: int = 0


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
    #: why it needs_reconnect: a `trouble.Reason`, and plain words
    problem_code: str = ""
    problem: str = ""
    #: what Microsoft wants of the next sign-in (JSON of a claims challenge); empty: nothing special
    claims: str = ""
    #: since when it is known that we may not have been told of everything; None: caught up
    gap_since: datetime | None = None
    ended_at: datetime | None = None
    #: what was erased of it and of the user's earlier connections; None: nothing was asked to be
    erased: Erased | None = None
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
        if self.subscription is None:
            return SyncState.STARTING
        return SyncState.CATCHING_UP if self.gap_since else SyncState.ACTIVE


def same_mailbox(one: Connection, other: Connection) -> bool:
    """Whether `other` is a live connection of the mailbox that `one` is or was connected to."""
    return other.live and other.mailbox.identity == one.mailbox.identity


def share_subscription(one: Connection, other: Connection) -> bool:
    """Whether what Graph tells of `one` is for `other` too, a live connection of the same mailbox."""
    if not same_mailbox(one, other):
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
        problem_code="",
        problem="",
        claims="",
        sign_ins=connection.sign_ins + 1,
    )


def needs_reconnect(connection: Connection, code: str, problem: str, claims: str = "") -> Connection:
    """Microsoft no longer accepts the stored sign-in: `code` and `problem` say why, `claims` what the next one has to bring."""
    return replace(connection, state=State.NEEDS_RECONNECT, problem_code=code, problem=problem, claims=claims)


def disconnected(connection: Connection, now: datetime | None = None) -> Connection:
    """Ended for good, at `now` or as it was ended before."""
    return replace(
        connection,
        state=State.DISCONNECTED,
        problem_code="",
        problem="",
        claims="",
        gap_since=None,
        ended_at=connection.ended_at or now,
    )


def erased(connection: Connection, counts: Erased) -> Connection:
    """
    What remains of a connection that was erased: that it was, and how much it was.

    Tenant and object id stay until nothing is open at Graph any more (`anonymous`).
    """
    nobody = replace(connection.mailbox, email="", display_name="", aliases=())
    return replace(connection, mailbox=nobody, previous=None, erased=counts)


def anonymous(connection: Connection) -> Connection:
    """An erased connection that has nothing open at Graph any more: not even whose mailbox it was."""
    return replace(connection, mailbox=Mailbox(tenant_id="", object_id="", email="", display_name=""))
