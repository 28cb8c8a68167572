"""The API's codes in plain words, as this CRM says them to its users."""

from collections.abc import Mapping
from typing import Any

type Json = dict[str, Any]

SKIPPED: Mapping[str, str] = {
    "too_large": "Larger than 3 MiB, so it stays in Outlook",
    "type_not_allowed": "Files of this type do not sync",
    "content_mismatch": "Its content is not what its name says",
    "unsupported_kind": "An Outlook item or a link, not a file",
    "fetch_failed": "The mailbox did not hand it out",
}
MATCHED: Mapping[str, str] = {
    "conversation": "same Outlook conversation",
    "message_id": "answers a message of the thread",
    "conversation_index": "same conversation index",
}
STATUS: Mapping[str, str] = {
    "queued": "Waiting to be sent",
    "sending": "On its way",
    "sent": "Sent",
    "failed": "Not sent",
    "bounced": "Could not be delivered",
    "cancelled": "Cancelled",
    "synced": "Synced",
}
ORIGIN: Mapping[str, str] = {"crm": "Sent from the CRM", "outlook": "Written in Outlook", "contact": "Received"}


def told(event: Json) -> str:
    """One event of the feed as a sentence. It may have been erased: then nothing is left of what it told."""
    data = event["data"]
    if data.get("erased"):
        return "What this event told has been erased"
    if event["type"].startswith("connection."):
        return _of_connection(event["type"], data)
    if event["type"].startswith("message."):
        return _of_message(event["type"], data)
    return str(event["type"])


def _of_connection(kind: str, data: Json) -> str:
    email = data.get("connection", {}).get("email") or "The mailbox"
    return {
        "connection.connected": f"{email} is connected",
        "connection.updated": f"{email} takes over",
        "connection.disconnected": f"{email} is disconnected; its threads stop",
        "connection.needs_reconnect": f"{email} needs a new sign-in",
    }.get(kind, kind)


def _of_message(kind: str, data: Json) -> str:
    message = data["message"]
    subject = message["subject"] or "(no subject)"
    sender = (message["from"] or {}).get("name") or (message["from"] or {}).get("address") or "Somebody"
    skipped = sum(file["status"] == "skipped" for file in message["attachments"])
    files = f", {skipped} {'file' if skipped == 1 else 'files'} left out" if skipped else ""
    return {
        "message.sent": f"“{subject}” was sent",
        "message.failed": f"“{subject}” could not be sent",
        "message.bounced": f"“{subject}” could not be delivered",
        "message.synced": f"{sender}: “{subject}”{files}",
    }.get(kind, kind)
