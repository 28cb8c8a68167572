"""What `GET /settings/email/connection` answers, for every state that the page has words for."""

from typing import Any

type Json = dict[str, Any]

#: The time on the server, in all of these; readers are in London, where it is 14:06 too.
NOW = "2026-11-23T14:06:00.000Z"
ADMIN_CONSENT_URL = (
    "https://login.microsoftonline.com/organizations/v2.0/adminconsent?client_id=8f5c1e0e-4c9e-4f57-9f3e-5a1f0f8c2b11"
    "&scope=https%3A%2F%2Fgraph.microsoft.com%2FMail.ReadWrite&redirect_uri=https%3A%2F%2Fsync.crm.example%2Foauth%2Fcallback"
)


def view(connection: Json | None = None, sign_in: Json | None = None) -> Json:
    """The whole answer."""
    return {"connection": connection, "sign_in": sign_in, "now": NOW}


def connected(**changes: Any) -> Json:
    """A connection that is in sync, with these fields changed."""
    return {
        "connection_id": "con_95goylip1wsqfaxtncvdjuov",
        "state": "connected",
        "email": "dana@northwind.example",
        "display_name": "Dana Whitfield",
        "default_sender": "outlook",
        "connected_at": "2026-11-03T09:12:30.000Z",
        "sync_state": "active",
        "synced_through": "2026-11-23T14:05:10.000Z",
        "subscription_expires_at": "2026-11-26T09:12:30.000Z",
    } | changes


def ended(outcome: str, **more: Any) -> Json:
    """A last sign-in that made no connection."""
    return {"outcome": outcome, "at": "2026-11-23T14:03:00.000Z"} | more


WAITING = ended("admin_consent_required", admin_consent_url=ADMIN_CONSENT_URL)
CONNECTING = connected(
    state="connecting",
    sync_state="starting",
    connected_at="2026-11-23T14:05:58.000Z",
    synced_through=None,
    subscription_expires_at=None,
)
CATCHING_UP = connected(sync_state="catching_up", synced_through="2026-11-22T17:40:00.000Z")
NEEDS_RECONNECT = connected(
    state="needs_reconnect",
    sync_state="stopped",
    problem="The sign-in to Outlook has expired or was revoked. Sign in to Outlook again. Until then nothing syncs and nothing "
    "is sent through the mailbox.",
    problem_code="sign_in_expired",
)
DISCONNECTED = connected(state="disconnected", sync_state="stopped", subscription_expires_at=None)
ERASED = DISCONNECTED | {"email": None, "display_name": None}

#: Every answer by a name that a person can say.
VIEWS: dict[str, Json] = {
    "never-connected": view(),
    "connecting": view(CONNECTING),
    "in-sync": view(connected()),
    "in-sync-since-today": view(connected(connected_at="2026-11-23T14:01:00.000Z", synced_through=None)),
    "in-sync-with-a-long-address": view(
        connected(
            email="bartholomew.featherstonehaugh-cholmondeley@northern-division.international-holdings.example",
            display_name="Bartholomew Featherstonehaugh-Cholmondeley",
            default_sender="provider",
        )
    ),
    "catching-up": view(CATCHING_UP),
    "needs-reconnect": view(NEEDS_RECONNECT),
    "disconnected": view(DISCONNECTED),
    "erased": view(ERASED),
    "waiting-for-administrator": view(sign_in=WAITING),
    "administrator-approved": view(sign_in=ended("admin_consented")),
    "sign-in-declined": view(sign_in=ended("declined")),
    "sign-in-expired": view(sign_in=ended("expired")),
    "sign-in-failed": view(DISCONNECTED, ended("failed")),
    "update-declined": view(connected(), ended("declined")),
    "update-with-wrong-mailbox": view(connected(), ended("wrong_mailbox")),
    "update-waits-for-administrator": view(connected(), WAITING),
    "update-approved": view(connected(), ended("admin_consented")),
    "reconnect-waits-for-administrator": view(NEEDS_RECONNECT, WAITING),
}
