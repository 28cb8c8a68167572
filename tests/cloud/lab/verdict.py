"""
For each message of a mailbox: is it in the CRM, and if not, why not.

The app is not asked: it keeps nothing of what does not sync. That a message synced is seen in the CRM's threads, by its
Message-ID; why another did not follows from the rules (README, "What syncs"), in the order in which a person would ask.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from tests.cloud.lab import words
from tests.cloud.lab.contoso import Known

type Json = dict[str, Any]

#: So long the app has to look at a new message before it is said that it does not sync.
LOOKS_WITHIN = timedelta(seconds=5)


class Link(StrEnum):
    """How a mailbox stands to the CRM."""

    LIVE = "live"
    WAITS = "waits"  #: the user has to sign in again; then the app catches up
    ENDED = "ended"
    NEVER = "never"


class Reason(StrEnum):
    """Why a message is in the CRM or not."""

    FROM_CRM = "from_crm"
    OWN_ANSWER = "own_answer"
    ANSWER = "answer"
    DRAFT = "draft"
    NOT_CONNECTED = "not_connected"
    ENDED = "ended"
    LOOKING = "looking"
    WAITS = "waits"
    REPORT = "report"
    FILED_BESIDE = "filed_beside"
    BEGUN_IN_OUTLOOK = "begun_in_outlook"
    BEGUN_OUTSIDE = "begun_outside"


SYNCED = frozenset({Reason.FROM_CRM, Reason.OWN_ANSWER, Reason.ANSWER})
#: It may still sync.
OPEN = frozenset({Reason.LOOKING, Reason.WAITS})


@dataclass(frozen=True)
class Verdict:
    """Why one message is in the CRM or not. `says` is for a person; `thread_id` and `message_id` where it is in the CRM."""

    reason: Reason
    says: str
    thread_id: str | None = None
    message_id: str | None = None

    @property
    def state(self) -> str:
        """`synced`, `private` or `open`."""
        return "synced" if self.reason in SYNCED else "open" if self.reason in OPEN else "private"


@dataclass(frozen=True)
class Ties:
    """What the CRM knows of one mailbox. `told`: by Message-ID, each message of it that synced, with its thread."""

    link: Link
    told: Mapping[str, tuple[Json, Json]]


def ties_of(email: str, known: Known) -> Ties:
    """How the mailbox with this address stands to the CRM."""
    own = _connections_of(email, known)
    told = {
        message["internet_message_id"]: (message, thread)
        for thread in known.threads.values()
        for message in thread["messages"]
        if message["connection_id"] in own and message["internet_message_id"]
    }
    return Ties(_link(own, known), told)


def verdicts(messages: Sequence[Json], ties: Ties, own_addresses: Iterable[str], now: datetime) -> dict[str, Verdict]:
    """
    The verdict on each message, by its immutable id.

    messages: a whole mailbox, oldest first, as the Graph emulator lists it. now: aware.
    """
    own = {address.casefold() for address in own_addresses}
    thread_by_conversation = {
        message["conversation_id"]: ties.told[message["internet_message_id"]][1]
        for message in messages
        if message["internet_message_id"] in ties.told
    }
    first: dict[str, Json] = {}
    for message in messages:
        first.setdefault(message["conversation_id"], message)
    return {
        message["immutable_id"]: _verdict(
            message,
            ties,
            thread_by_conversation.get(message["conversation_id"]),
            first[message["conversation_id"]],
            own,
            now,
        )
        for message in messages
    }


def _verdict(
    message: Json, ties: Ties, thread: Json | None, first: Json, own_addresses: set[str], now: datetime
) -> Verdict:
    if (told := ties.told.get(message["internet_message_id"])) is not None:
        return _synced(*told)
    if message["is_draft"]:
        return Verdict(Reason.DRAFT, "A draft never syncs.")
    if ties.link is Link.NEVER:
        return Verdict(Reason.NOT_CONNECTED, "This mailbox is not connected to the CRM.")
    if thread is not None and (ties.link is Link.ENDED or thread["state"] == "stopped"):
        return Verdict(Reason.ENDED, "The connection ended, and with it the sync of this thread.")
    if ties.link is Link.WAITS and thread is not None:
        return Verdict(Reason.WAITS, "It syncs as soon as the user has signed in again.")
    if ties.link is Link.LIVE and now - datetime.fromisoformat(message["received_at"]) < LOOKS_WITHIN:
        return Verdict(Reason.LOOKING, "The app is looking at it …")
    if thread is not None and message["is_report"]:
        return Verdict(Reason.REPORT, "A delivery report: what it says is told of the email it is about.")
    if thread is not None:
        return Verdict(
            Reason.FILED_BESIDE, "Outlook filed it with a thread of the CRM, but nothing in it points into that thread."
        )
    sender = first["from"] or {}
    if sender.get("address", "").casefold() in own_addresses:
        return Verdict(Reason.BEGUN_IN_OUTLOOK, "Begun in Outlook, not in the CRM, so it stays private.")
    return Verdict(
        Reason.BEGUN_OUTSIDE,
        f"Begun by {sender.get('name') or sender.get('address') or 'somebody else'}, not in the CRM, so it stays private.",
    )


def _synced(message: Json, thread: Json) -> Verdict:
    found = (thread["thread_id"], message["message_id"])
    if message["origin"] == "crm":
        return Verdict(Reason.FROM_CRM, "Sent from the CRM.", *found)
    why = words.MATCHED.get(message["matched_by"] or "", "part of a thread of the CRM")
    reason = Reason.OWN_ANSWER if message["origin"] == "outlook" else Reason.ANSWER
    return Verdict(reason, f"In the CRM: {why}.", *found)


def _connections_of(email: str, known: Known) -> set[str]:
    """Every connection there ever was to this mailbox: today's, and those that the feed told of."""
    told = [event["data"].get("connection", {}) for event in known.events]
    current = [connection for connection in known.connections.values() if connection is not None]
    wanted = email.casefold()
    return {c["connection_id"] for c in [*told, *current] if (c.get("email") or "").casefold() == wanted}


def _link(own: set[str], known: Known) -> Link:
    current = [c for c in known.connections.values() if c is not None and c["connection_id"] in own]
    states = {connection["state"] for connection in current}
    if states & {"connecting", "connected"}:
        return Link.LIVE
    if "needs_reconnect" in states:
        return Link.WAITS
    return Link.ENDED if own else Link.NEVER
