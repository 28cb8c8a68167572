"""What the CRM shows to the user who is signed in to it: JSON values out of what its backend knows, with plain words."""

from collections.abc import Sequence
from typing import Any

from tests.cloud.lab import words
from tests.cloud.lab.contoso import CONTACTS, USERS, Known

type Json = dict[str, Any]

#: Of the feed, the newest so many are shown.
_EVENTS_SHOWN = 60
_SNIPPET_CHARS = 140
#: Sorts behind every time: what is not sent yet is the newest.
_NOT_YET = "9999"


def crm(known: Known, user_id: str, thread_id: str | None) -> Json:
    """The CRM for this user, with one thread opened."""
    own = [thread for thread in known.threads.values() if thread["user_id"] == user_id and thread["messages"]]
    opened = known.threads.get(thread_id or "")
    return {
        "users": [{"user_id": u.user_id, "name": u.name, "role": u.role} for u in USERS],
        "contacts": [{"contact_id": c.contact_id, "name": c.name, "address": c.address} for c in CONTACTS],
        "signed_in": user_id,
        "connection": known.connections.get(user_id),
        "threads": sorted(map(_summary, own), key=lambda t: t["last"]["at"] or _NOT_YET, reverse=True),
        "thread": _thread(opened) if opened and opened["user_id"] == user_id else None,
        "events": [_event(event) for event in reversed(known.events[-_EVENTS_SHOWN:])],
    }


def reply_subject(thread: Json) -> str:
    """The subject of an answer into the thread."""
    subject = str(thread["subject"])
    return subject if subject.lower().startswith("re:") else f"Re: {subject}"


def _summary(thread: Json) -> Json:
    last = thread["messages"][-1]
    return {
        "thread_id": thread["thread_id"],
        "subject": thread["subject"],
        "state": thread["state"],
        "contacts": _names(thread["contacts"]),
        "count": len(thread["messages"]),
        "last": {
            "message_id": last["message_id"],
            "direction": last["direction"],
            "status": last["status"],
            "at": _at(last),
            "snippet": _snippet(last["text"]),
        },
    }


def _thread(thread: Json) -> Json:
    return {
        "thread_id": thread["thread_id"],
        "subject": thread["subject"],
        "state": thread["state"],
        "contacts": _names(thread["contacts"]),
        "messages": [_message(message) for message in thread["messages"]],
    }


def _message(message: Json) -> Json:
    sender = message["from"] or {}
    matched = words.MATCHED.get(message["matched_by"] or "")
    return {
        "message_id": message["message_id"],
        "internet_message_id": message["internet_message_id"],
        "direction": message["direction"],
        "from": sender.get("name") or sender.get("address") or "",
        "to": _names(message["to"]),
        "at": _at(message),
        "status": message["status"],
        "status_words": words.STATUS.get(message["status"], message["status"]),
        "problem": message.get("problem", {}).get("detail"),
        "origin": message["origin"],
        "origin_words": words.ORIGIN.get(message["origin"], message["origin"]),
        "why": matched,
        "internal": not message["involves_contact"],
        "body": f"/crm/messages/{message['message_id']}/body",
        "attachments": [_attachment(attachment) for attachment in message["attachments"]],
    }


def _attachment(attachment: Json) -> Json:
    synced = attachment["status"] == "synced"
    return {
        "name": attachment["name"],
        "size_bytes": attachment["size_bytes"],
        "download": f"/crm/attachments/{attachment['attachment_id']}" if synced else None,
        "skipped": None if synced else words.SKIPPED.get(attachment["reason"], attachment["reason"]),
    }


def _event(event: Json) -> Json:
    return {
        "event_id": event["id"],
        "sequence": event["sequence"],
        "type": event["type"],
        "at": event["occurred_at"],
        "words": words.told(event),
        "thread_id": event["data"].get("message", {}).get("thread_id"),
    }


def _at(message: Json) -> str | None:
    """When it happened; None for what is not sent yet."""
    at: str | None = message["sent_at"] or message["received_at"]
    return at


def _names(people: Sequence[Json]) -> str:
    return ", ".join(person["name"] or person["address"] for person in people)


def _snippet(text: str | None) -> str:
    """The beginning of what was written, without the history that mail programs put below it."""
    written, _, _ = (text or "").partition("\nFrom: ")
    return " ".join(written.split())[:_SNIPPET_CHARS]
