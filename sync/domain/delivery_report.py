"""
What a delivery report says: whose email it is about, and which recipients did not get it, in the server's words.

A report is `multipart/report` (RFC 6522) with a part `message/delivery-status` (RFC 3464): a block of fields about the report,
then one for each recipient; and mostly a third part, the email itself or its headers. Exchange Online's own reports have that
form as well when they are read as MIME, and so have those of other mail servers.

Anybody can write such an email. Whatever can't be read is no report; nothing here raises; sizes and words are bounded.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32

from sync.domain.mail import message_ids
from sync.domain.message import Bounce

#: A report may bring the whole email back; one of more than this is not read.
MAX_REPORT_BYTES = 10 * 1024 * 1024
#: Of a report so much is parsed: what counts stands before the body of the email that it brings back. The parser takes
#: minutes for megabytes that are made to be slow.
PARSED_BYTES = 256 * 1024
#: An email has at most so many recipients (domain/outgoing.py); more blocks than that are not looked at.
MAX_RECIPIENTS = 500
MAX_DETAIL_CHARS = 500
MAX_ADDRESS_CHARS = 320  # RFC 5321 4.5.3.1: 64 before the @, 255 behind it
#: Parts of a report that are looked at, at any depth.
MAX_PARTS = 50

#: RFC 3463 2: class, subject and detail.
_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")
_ORIGINAL = (
    "message/rfc822",
    "text/rfc822-headers",
    "message/rfc822-headers",
    "message/global",
    "message/global-headers",
)
_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")


@dataclass(frozen=True)
class Failed:
    """One recipient whom the email did not reach. `original`: as the sender wrote the address, where the server says so."""

    final: str
    original: str
    status_code: str
    detail: str

    def bounce(self, recipients: Collection[str]) -> Bounce:
        """As it is told: with the address that the email was sent to (`recipients` are address keys), if it is one of both."""
        known = self.original.casefold() in recipients and self.final.casefold() not in recipients
        return Bounce(self.original if known or not self.final else self.final, self.status_code, self.detail)


@dataclass(frozen=True)
class DeliveryReport:
    """The Message-ID of the email it is about, and the recipients that failed: none where it is late, or arrived."""

    original_message_id: str
    failed: tuple[Failed, ...]


def parse(mime: bytes) -> DeliveryReport | None:
    """The report in this email (RFC 5322); None where it is none, or can't be read."""
    if len(mime) > MAX_REPORT_BYTES:
        return None
    try:
        return _read(BytesParser(policy=compat32).parsebytes(mime[:PARSED_BYTES]))
    except Exception:  # noqa: BLE001 - the parser meets whatever anybody sends, and is not free of mistakes
        return None


def _read(mail: Message) -> DeliveryReport | None:
    blocks: list[Message] | None = None
    original = ""
    for part in _parts(mail):
        kind = part.get_content_type()
        if kind in _STATUS_TYPES and blocks is None:
            blocks = _blocks(part)
        elif kind in _ORIGINAL and not original:
            original = _message_id_in(part)
    if blocks is None:
        return None
    original = original or next(iter(message_ids(_text(mail, "In-Reply-To"))), "")
    if not original:
        return None
    # The first block is about the report as a whole (RFC 3464 2.1); servers that leave it out are read all the same.
    found = [_failed(block) for block in blocks[: MAX_RECIPIENTS + 1]]
    return DeliveryReport(original, tuple(dict.fromkeys(failed for failed in found if failed is not None)))


def _parts(mail: Message) -> list[Message]:
    """The parts of the report, in order; not those of the email that it brings back, which may be a report itself."""
    found: list[Message] = []
    waiting = [mail]
    while waiting and len(found) < MAX_PARTS:
        part = waiting.pop(0)
        found.append(part)
        inner = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(inner, list):
            waiting = [p for p in inner if isinstance(p, Message)] + waiting
    return found


def _blocks(part: Message) -> list[Message]:
    inner = part.get_payload()
    blocks = [block for block in inner if isinstance(block, Message)] if isinstance(inner, list) else []
    if part.get_content_type() == _STATUS_TYPES[0] or not blocks:
        return blocks
    # Of the kind for addresses beyond ASCII (RFC 6533) the parser reads one block, and leaves the others as text.
    rest = blocks[0].get_payload(decode=True)
    texts = re.split(rb"\r?\n[ \t]*\r?\n", rest.strip(), maxsplit=MAX_RECIPIENTS + 1) if isinstance(rest, bytes) else []
    return [blocks[0], *map(_headers, texts)]


def _message_id_in(part: Message) -> str:
    inner = part.get_payload()
    if isinstance(inner, list):
        returned = next((m for m in inner if isinstance(m, Message)), None)
    else:
        decoded = part.get_payload(decode=True)
        returned = _headers(decoded.lstrip()) if isinstance(decoded, bytes) else None
    ids = message_ids(_text(returned, "Message-ID")) if returned is not None else ()
    return ids[0] if ids else ""


def _headers(text: bytes) -> Message:
    return BytesParser(policy=compat32).parsebytes(text, headersonly=True)


def _failed(block: Message) -> Failed | None:
    # RFC 3464 2.3.3: delayed, delivered, relayed and expanded are no failures.
    if _text(block, "Action").partition(";")[0].strip().casefold() != "failed":
        return None
    final, original = (_address(_text(block, f"{which}-Recipient")) for which in ("Final", "Original"))
    if not final and not original:
        return None
    words = _text(block, "Diagnostic-Code")
    kind, marked, said = words.partition(";")  # RFC 3464 2.1.2: `smtp; 550 5.1.1 …`
    detail = said if marked and re.fullmatch(r"\s*[A-Za-z0-9-]{1,20}\s*", kind) else words
    code = _STATUS.search(_text(block, "Status")) or _STATUS.search(words)
    return Failed(final, original, code[0] if code else "", cleaned(detail))


def _address(field: str) -> str:
    """The address in a field as `rfc822; kim@customer.example` (RFC 3464 2.3.2), empty where there is none."""
    _, marked, value = field.partition(";")
    address = cleaned(value if marked else field).strip("<> ")
    return address if "@" in address and len(address) <= MAX_ADDRESS_CHARS else ""


def _text(block: Message, name: str) -> str:
    # Raw, since UTF-8 is no stranger to these fields: the parser keeps bytes beyond ASCII as surrogates.
    raw = next((value for key, value in block.raw_items() if key.casefold() == name.casefold()), "")
    return str(raw).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def cleaned(words: str) -> str:
    """Words of a stranger on one line: no control or format characters, no half characters, no more than is told."""
    shown = words[: MAX_DETAIL_CHARS * 4].encode("utf-8", "replace").decode()
    plain = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in shown)
    plain = "".join(c for c in plain if unicodedata.category(c) not in ("Cf", "Co", "Cn"))
    return " ".join(plain.split())[:MAX_DETAIL_CHARS].strip()


def merged(before: Iterable[Bounce], more: Iterable[Bounce]) -> tuple[Bounce, ...]:
    """Both together, one for each address: what was said of it last counts."""
    by_address = {bounce.address.casefold(): bounce for bounce in (*before, *more)}
    return tuple(by_address.values())[:MAX_RECIPIENTS]
