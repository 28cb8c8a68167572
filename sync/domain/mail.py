"""
One email as the mailbox shows it: addresses, thread keys, and what of an address or a subject counts as the same.

Nothing here knows Graph's JSON: `adapters/graph_shapes.py` makes these values from it.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

#: Reply and forward marks in front of a subject, in the languages that mail programs write them
#: (https://en.wikipedia.org/wiki/List_of_email_subject_abbreviations; [MS-OXCMSG] 3.2.1.3 calls one to three letters and a colon
#: a prefix, but taking any three letters for one would make `Tax: 2026` equal to `2026`).
_MARKS = (
    "re|fw|fwd|aw|wg|antw|antwort|doorst|weitergeleitet|sv|vs|vb|vl|fs|tr|réf|ref|rv|r|rif|i|res|enc|odp|pd|ynt|i̇lt|ilt|atb|yml|"
    "vá|továbbítás|bls|trs|απ|σχετ|πρθ|ответ|пересл|השב|הועבר|رد|回复|答复|转发|回覆|轉寄|轉發|返信|転送|답장|전달|"
    "إعادة توجيه"
)
_PREFIX = re.compile(rf"^\s*(?:{_MARKS})\s*(?:\[\d+\]|\(\d+\))?\s*:\s*")


@dataclass(frozen=True)
class Address:
    """A mailbox address with the name it was written with (may be empty)."""

    address: str
    name: str = ""

    @property
    def key(self) -> str:
        """What makes two addresses the same: the address without its case."""
        return self.address.strip().casefold()


@dataclass(frozen=True)
class ThreadKeys:
    """The keys by which a message is recognised as part of a thread (RFC 5322 3.6.4; [MS-OXOMSG] 2.2.1.2 and 2.2.1.3)."""

    internet_message_id: str = ""
    in_reply_to: str = ""
    #: oldest first, as in the header
    references: tuple[str, ...] = ()
    conversation_id: str = ""
    #: the 16 bytes 6..21 of the conversation index in hexadecimal; empty where there is none
    conversation_guid: str = ""


@dataclass(frozen=True)
class MailboxMessage:
    """A message of the mailbox, without its content: all that is read of a message that may not be ours."""

    graph_id: str
    keys: ThreadKeys
    subject: str
    sender: Address | None
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    #: where the sender wants answers, if elsewhere; they are no participants
    reply_to: tuple[Address, ...] = ()
    is_draft: bool = False
    sent_at: datetime | None = None
    received_at: datetime | None = None
    #: our own stamp: the id of the CRM's message of which this is the copy in the mailbox; empty on all other mail
    stamp: str = ""
    #: sent by a program (RFC 3834 Auto-Submitted), as an out-of-office note is
    auto_reply: bool = False
    #: a delivery report (RFC 3464): about an email, and never one of a thread itself
    report: bool = False

    @property
    def participants(self) -> frozenset[str]:
        """Everybody who wrote or got it, as address keys."""
        people = [*self.to, *self.cc, *self.bcc, *([self.sender] if self.sender else [])]
        return frozenset(a.key for a in people if a.address)


@dataclass(frozen=True)
class MailFile:
    """A file on a message, before its bytes are read. `size_hint`: bytes as Graph says, not exact."""

    graph_id: str
    kind: Literal["file", "item", "reference"]
    name: str
    content_type: str
    size_hint: int
    inline: bool


@dataclass(frozen=True)
class MailContent:
    """What is read of a message only once it is known to be ours. `html` and `text` as the mailbox has them."""

    html: str | None
    text: str | None
    files: tuple[MailFile, ...] = field(default_factory=tuple)


def base_subject(subject: str) -> str:
    """The subject without reply and forward marks, folded so that equal subjects compare equal."""
    # Folded first: a mark is found in any case and width then.
    rest = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", subject).casefold())
    while (shorter := _PREFIX.sub("", rest, count=1)) != rest:
        rest = shorter
    return " ".join(rest.split())


def reply_subject(subject: str) -> str:
    """The subject with a reply mark before it, unless it has a mark already."""
    marked = _PREFIX.match(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", subject).casefold()))
    return subject if marked else f"RE: {subject}"


def message_ids(header: str) -> tuple[str, ...]:
    """
    The message ids of an In-Reply-To or References header, in order, each once (RFC 5322 3.6.4).

    Ids keep their angle brackets; what stands between ids (comments, folding) is passed over. A header without brackets that
    looks like one bare id counts as that id, since some clients write it so.
    """
    found = re.findall(r"<[^<>\s]+>", header)
    if not found and re.fullmatch(r"[^\s<>@]+@[^\s<>@]+", header.strip()):
        found = [f"<{header.strip()}>"]
    return tuple(dict.fromkeys(found))
