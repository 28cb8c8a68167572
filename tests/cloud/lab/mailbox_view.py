"""What the right half shows of a mailbox: JSON values, with the verdict on each message."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from tests.cloud.directory import Person
from tests.cloud.graph.mailbox import WELL_KNOWN_FOLDERS
from tests.cloud.lab.verdict import Verdict

type Json = dict[str, Any]

#: Shown only while something is in them.
_MOSTLY_EMPTY = frozenset({"junkemail", "archive", "outbox"})


def mailbox(
    person: Person, people: Sequence[Person], messages: Sequence[Json], verdicts: Mapping[str, Verdict]
) -> Json:
    """The mailbox of a person. messages: oldest first, as the emulator lists them; shown newest first."""
    return {
        "people": [{"email": p.email, "name": p.name} for p in people],
        "email": person.email,
        "name": person.name,
        "folders": _folders(messages),
        "messages": [_summary(message, verdicts[message["immutable_id"]]) for message in reversed(messages)],
    }


def opened(email: str, message: Json) -> Json:
    """One message, as Graph answered it, for the reading pane. Its body is a page of its own."""
    place = f"/mailbox/{quote(email)}/messages/{message['id']}"
    return {
        "id": message["id"],
        "subject": message["subject"],
        "from": _shown(message.get("from")),
        "to": [_shown(recipient) for recipient in message["toRecipients"]],
        "cc": [_shown(recipient) for recipient in message["ccRecipients"]],
        "at": message["receivedDateTime"],
        "is_draft": message["isDraft"],
        "internet_message_id": message["internetMessageId"],
        "body": f"{place}/body",
        "attachments": [
            {
                "name": attachment["name"],
                "size_bytes": attachment["size"],
                "download": f"{place}/attachments/{attachment['id']}"
                if attachment["@odata.type"] == "#microsoft.graph.fileAttachment"
                else None,
                "skipped": None,
            }
            for attachment in message["attachments"]
        ],
    }


def _folders(messages: Sequence[Json]) -> list[Json]:
    counted = []
    for name, display_name in WELL_KNOWN_FOLDERS.items():
        inside = [message for message in messages if message["folder"] == name]
        if inside or name not in _MOSTLY_EMPTY:
            unread = sum(not message["is_read"] for message in inside)
            counted.append({"name": name, "display_name": display_name, "total": len(inside), "unread": unread})
    return counted


def _summary(message: Json, verdict: Verdict) -> Json:
    return {
        "id": message["immutable_id"],
        "folder": message["folder"],
        "subject": message["subject"],
        "from": _who(message["from"]),
        "from_address": (message["from"] or {}).get("address"),
        "to": ", ".join(_who(recipient) for recipient in message["to"]),
        "at": message["received_at"],
        "is_draft": message["is_draft"],
        "is_read": message["is_read"],
        "snippet": " ".join(message["preview"].split()),
        "attachments": len(message["attachments"]),
        "internet_message_id": message["internet_message_id"],
        "sync": {
            "state": verdict.state,
            "reason": verdict.reason.value,
            "says": verdict.says,
            "thread_id": verdict.thread_id,
            "message_id": verdict.message_id,
        },
    }


def _who(address: Json | None) -> str:
    return (address or {}).get("name") or (address or {}).get("address") or ""


def _shown(recipient: Json | None) -> Json:
    who = (recipient or {}).get("emailAddress", {})
    return {"name": who.get("name") or who.get("address") or "", "address": who.get("address") or ""}
