"""
What the CRM may send: the checks that no one field shows by its type alone.

Anything bound for a header is refused with CR, LF, NUL or another control character in it, since that is how headers are injected
(RFC 5322 2.2). Files obey the same rule as files that come in.
"""

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from sync.domain import attachment_rule
from sync.domain.body import Body
from sync.domain.errors import AttachmentRefused, InvalidRequest, PayloadTooLarge
from sync.domain.mail import Address
from sync.domain.message import Contact

Kind = Literal["individual", "bulk", "workflow"]

#: Exchange Online's default limit of recipients on one message (https://aka.ms/exolimits).
MAX_RECIPIENTS = 500
MAX_BULK_RECIPIENTS = 1_000
MAX_FILES = 50
MAX_ALL_FILES_BYTES = 20 * 1024 * 1024
MAX_SUBJECT_CHARS = 998  # RFC 5322 2.1.1: a line
MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_METADATA_BYTES = 8 * 1024
#: As JSON in ASCII: a row holds them twice, and at most 512 Ki characters (Azure Tables: 1 MiB of UTF-16).
MAX_RECIPIENTS_BYTES = 192 * 1024
#: How far ahead an email can be scheduled; and how late a request may come with a time that has passed, which means at once.
MAX_AHEAD = timedelta(days=30)
MAX_BEHIND = timedelta(minutes=5)


@dataclass(frozen=True)
class OutgoingFile:
    """A file to send, decoded."""

    name: str
    content_type: str
    content: bytes
    inline: bool = False
    content_id: str | None = None


@dataclass(frozen=True)
class Outgoing:
    """A send as the CRM asked for it."""

    kind: Kind
    user_id: str
    to: tuple[Contact, ...]
    subject: str
    html: str | None = None
    text: str | None = None
    from_address: str | None = None
    cc: tuple[Contact, ...] = ()
    bcc: tuple[Contact, ...] = ()
    thread_id: str | None = None
    files: tuple[OutgoingFile, ...] = ()
    metadata: dict[str, object] = field(default_factory=dict)
    send_at: datetime | None = None
    #: of a bulk send: why an email can't go to the recipient at this place of `to`
    unusable: Mapping[int, str] = field(default_factory=dict)

    @property
    def recipients(self) -> tuple[Contact, ...]:
        """Everybody it goes to."""
        return (*self.to, *self.cc, *self.bcc)


@dataclass(frozen=True)
class AcceptedSend:
    """What is kept under an idempotency key: the hash of the request's body, and the batch that came of it."""

    key: str
    body_hash: str
    batch_id: str
    user_id: str = ""


@dataclass(frozen=True)
class Draft:
    """
    An email to create in the mailbox, stamped with our message's id. HTML goes before text; an empty subject keeps the one
    that Outlook gives an answer; without `sender` it is from the mailbox's own address.
    """

    stamp: str
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    subject: str
    body: Body
    sender: Address | None = None


def check(outgoing: Outgoing, now: datetime) -> None:
    """Raise InvalidRequest, PayloadTooLarge or AttachmentRefused for what can't be sent. All wrong fields are named at once."""
    wrong: list[dict[str, str]] = []

    def say(name: str, message: str) -> None:
        wrong.append({"field": name, "message": message})

    limit = MAX_BULK_RECIPIENTS if outgoing.kind == "bulk" else MAX_RECIPIENTS
    if not outgoing.to and (outgoing.thread_id is None or outgoing.kind == "bulk"):
        say("to", "Name at least one recipient.")
    if len(outgoing.recipients) > limit:
        say("to", f"At most {limit} recipients.")
    elif outgoing.kind != "bulk" and _size_of(outgoing.recipients) > MAX_RECIPIENTS_BYTES:
        say("to", f"All recipients together may have at most {MAX_RECIPIENTS_BYTES} bytes of JSON in ASCII.")
    if outgoing.kind == "bulk":
        for name in ("cc", "bcc"):
            if getattr(outgoing, name):
                say(name, "A bulk send is an email of its own for each of to: everybody here would get all of them.")
        if outgoing.thread_id is not None:
            say("thread_id", "A bulk send begins a thread with each of to. Answer into a thread with kind individual.")
    if outgoing.send_at is not None and outgoing.send_at - now > MAX_AHEAD:
        say("send_at", f"At most {MAX_AHEAD.days} days ahead.")
    if outgoing.send_at is not None and now - outgoing.send_at > MAX_BEHIND:
        say("send_at", "This time has passed. Leave send_at out to send at once.")
    for group, people in (("to", outgoing.to), ("cc", outgoing.cc), ("bcc", outgoing.bcc)):
        for i, person in enumerate(people):
            if has_control_characters(person.name):
                say(f"{group}[{i}].name", "A name can't hold line breaks or other control characters.")
    if has_control_characters(outgoing.subject):
        say("subject", "A subject can't hold line breaks or other control characters.")
    if len(outgoing.subject) > MAX_SUBJECT_CHARS:
        say("subject", f"A subject has at most {MAX_SUBJECT_CHARS} characters.")
    if outgoing.html is None and outgoing.text is None:
        say("html", "Give html, text or both.")
    for name, body in (("html", outgoing.html), ("text", outgoing.text)):
        if body is not None and len(body.encode(errors="surrogatepass")) > MAX_BODY_BYTES:
            raise PayloadTooLarge(f"{name} may have at most {MAX_BODY_BYTES} bytes in UTF-8. Nothing was sent.")
        if body is not None and not _encodable(body):
            say(name, "The text holds characters that are no Unicode characters.")
    if not _encodable(outgoing.subject):
        say("subject", "The text holds characters that are no Unicode characters.")
    if len(json.dumps(outgoing.metadata)) > MAX_METADATA_BYTES:
        say("metadata", f"At most {MAX_METADATA_BYTES} bytes of JSON.")
    if len(outgoing.files) > MAX_FILES:
        raise PayloadTooLarge(f"At most {MAX_FILES} files on one email. Nothing was sent.")
    for i, file in enumerate(outgoing.files):
        for name, value in (
            ("name", file.name),
            ("content_type", file.content_type),
            ("content_id", file.content_id or ""),
        ):
            if has_control_characters(value):
                say(f"attachments[{i}].{name}", "It can't hold line breaks or other control characters.")
        if file.inline and not file.content_id:
            say(f"attachments[{i}].content_id", "An inline file needs the content_id that the html refers to.")
    if wrong:
        raise InvalidRequest("Some fields can't be used; `errors` names each. Nothing was sent.", errors=wrong)
    _check_files(outgoing.files)


def _check_files(files: Sequence[OutgoingFile]) -> None:
    refused = []
    for i, file in enumerate(files):
        reason = attachment_rule.after_download(file.name, file.content)
        if reason:
            refused.append({"index": i, "name": file.name, "reason": reason.value})
    if refused:
        raise AttachmentRefused(files=refused)
    if sum(len(file.content) for file in files) > MAX_ALL_FILES_BYTES:
        raise PayloadTooLarge(
            f"All files of one email together may have at most {MAX_ALL_FILES_BYTES} bytes. Nothing was sent."
        )


def has_control_characters(value: str) -> bool:
    """Whether a value could break out of a header: any control, line or paragraph separator character."""
    return any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in value)


def _size_of(people: Sequence[Contact]) -> int:
    return len(json.dumps([asdict(person) for person in people]))


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def request_hash(body: object) -> str:
    """What makes two request bodies the same: their JSON value, whatever its spacing and the order of its members."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def addresses(people: Sequence[Contact]) -> tuple[Address, ...]:
    """The people as addresses."""
    return tuple(Address(p.address, p.name) for p in people)
