"""
An email as bytes: RFC 5322 headers, RFC 2045 parts, RFC 2047 words, RFC 2231 file names. Pure: no clock, no dice.

    multipart/mixed                 where there are files
      multipart/alternative         where there is HTML
        text/plain                  always: made from the HTML where no text is given
        multipart/related           where the HTML has files of its own, by their Content-ID (RFC 2387)
          text/html
          inline files
      files

All of it is ASCII in lines of at most 998 bytes, but for addresses that SMTPUTF8 alone can carry (RFC 6532). Headers are not
folded by the standard library, which decides anew where to cut what it parsed; here each encoded word and each address stands on
a line of its own that never has to be cut.
"""

import base64
import binascii
import hashlib
import re
import unicodedata
from dataclasses import dataclass
from email.utils import format_datetime
from urllib.parse import quote

from sync.domain import body as body_rule
from sync.domain.internet_name import ascii_address, needs_smtputf8
from sync.domain.mail import Address
from sync.domain.outgoing import OutgoingFile
from sync.domain.provider import Email

CRLF = "\r\n"
#: Where a line is folded (RFC 5322 2.1.1).
LINE_CHARS = 76
#: Bytes of text in one encoded word: with its frame and the longest of our header names it stays within a line.
WORD_BYTES = 39
#: So many ids of a thread are told: its beginning, and the latest.
MAX_REFERENCES = 100
#: An id longer than this is left out: no line could hold it.
MAX_ID_CHARS = 900

_PLAIN_TEXT = re.compile(r"[\x21-\x7e]+(?: [\x21-\x7e]+)*")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_SAFE_VALUE = re.compile(r"[A-Za-z0-9!#&()+@_.-]+(?: [A-Za-z0-9!#&()+@_.-]+)*")
_ID = re.compile(r"<[\x21-\x3b\x3d\x3f-\x7e]+>")
_NAME = r"[A-Za-z0-9!#$&^_.+-]{1,127}"  # RFC 6838 4.2
_TYPE = re.compile(rf"({_NAME})/({_NAME})")
_CHARSET = re.compile(rf';\s*charset="?({_NAME})"?', re.IGNORECASE)


@dataclass(frozen=True)
class _Part:
    """A part: its headers, each whole, and its body, in which every line ends with CRLF."""

    headers: tuple[str, ...]
    body: bytes

    def __bytes__(self) -> bytes:
        return (CRLF.join(self.headers) + CRLF + CRLF).encode() + self.body


def as_bytes(email: Email, *, utf8: bool = False) -> bytes:
    """
    The email as it goes over the wire. Line breaks in what should have none become spaces.

    utf8: whether the server was asked for SMTPUTF8. Without it, an address that needs it is shown and can't be answered to
    (RFC 6857 3.1.8). Raises ValueError for an address that can't be written at all, and for a Message-ID that is none.
    """
    if not _ids((email.message_id,)):
        raise ValueError("an email needs a Message-ID in angle brackets, in ASCII, without spaces")
    headers = [
        f"Date: {format_datetime(email.date)}",
        _address_header("From", (email.sender,), utf8=utf8),
    ]
    if email.to:
        headers.append(_address_header("To", email.to, utf8=utf8))
    if email.cc:
        headers.append(_address_header("Cc", email.cc, utf8=utf8))
    headers.append(f"Subject: {_text(email.subject)}".rstrip())
    for name, ids in (
        ("Message-ID", (email.message_id,)),
        ("In-Reply-To", (email.in_reply_to,)),
        ("References", email.references),
    ):
        if usable := _ids(ids):
            headers.append(f"{name}: " + f"{CRLF} ".join(usable))
    content = _content(email)
    return bytes(_Part((*headers, "MIME-Version: 1.0", *content.headers), content.body))


# Parts.


def _content(email: Email) -> _Part:
    html = email.body.html
    text = email.body.text if email.body.text is not None else body_rule.as_text(html or "")
    inline = [file for file in email.files if html is not None and file.inline and _content_id(file)]
    shown = _text_part("plain", text)
    if html is not None:
        page = _text_part("html", html)
        if inline:
            page = _multipart("related", [page, *map(_file_part, inline)], '; type="text/html"')
        shown = _multipart("alternative", [shown, page])
    others = [_file_part(file) for file in email.files if file not in inline]
    return _multipart("mixed", [shown, *others]) if others else shown


def _multipart(subtype: str, parts: list[_Part], parameter: str = "") -> _Part:
    whole = [bytes(part) for part in parts]
    # `=_` is in no base64 and no quoted-printable text (RFC 2045 6.7), so that no part can hold the boundary.
    boundary = f"=_{hashlib.sha256(b''.join(whole)).hexdigest()[:32]}"
    body = b"".join(f"--{boundary}{CRLF}".encode() + part + CRLF.encode() for part in whole)
    header = f'Content-Type: multipart/{subtype}{parameter};{CRLF} boundary="{boundary}"'
    return _Part((header,), body + f"--{boundary}--{CRLF}".encode())


def _text_part(subtype: str, text: str) -> _Part:
    data = CRLF.join(re.split(r"\r\n|\r|\n", text)).encode(errors="replace")
    kind = f"Content-Type: text/{subtype}; charset=utf-8"
    if data and sum(byte < 128 for byte in data[:4096]) * 6 < len(data[:4096]) * 5:  # mostly not ASCII
        return _Part((kind, "Content-Transfer-Encoding: base64"), _base64(data))
    # The codec writes soft line breaks as the first line break it finds.
    quoted = binascii.b2a_qp(data + CRLF.encode(), istext=True)
    return _Part((kind, "Content-Transfer-Encoding: quoted-printable"), quoted)


def _file_part(file: OutgoingFile) -> _Part:
    content_id = _content_id(file) if file.inline else ""
    headers = [
        f"Content-Type: {_content_type(file.content_type)}",
        "Content-Transfer-Encoding: base64",
        f"Content-Disposition: {'inline' if content_id else 'attachment'}{_parameter('filename', _clean(file.name))}",
    ]
    if content_id:
        headers.append(f"Content-ID:{CRLF} <{content_id}>")
    return _Part(tuple(headers), _base64(file.content))


def _base64(data: bytes) -> bytes:
    return base64.encodebytes(data).replace(b"\n", b"\r\n")


def _content_type(claimed: str) -> str:
    """The type that a file is said to be of; a type that a reader would take apart further is not believed (RFC 2046 5)."""
    found = _TYPE.match(claimed.strip())
    if found is None or found[1].lower() in ("multipart", "message"):
        return "application/octet-stream"
    charset = _CHARSET.search(claimed) if found[1].lower() == "text" else None
    return f"{found[0]}{CRLF} ; charset={charset[1]}" if charset else found[0]


def _content_id(file: OutgoingFile) -> str:
    """What the HTML calls a file by (RFC 2392): visible ASCII."""
    return re.sub(r"[^\x21-\x7e]|[<>]", "", file.content_id or "")[:MAX_ID_CHARS]


def _parameter(name: str, value: str) -> str:
    """A parameter as it is where every reader takes it so (some know neither `;` in quotes nor a backslash); else as RFC 2231."""
    if _SAFE_VALUE.fullmatch(value) and len(value) <= LINE_CHARS - 20:
        return f';{CRLF} {name}="{value}"'
    # No character is cut in two: some readers decode each piece for itself.
    pieces = ["utf-8''"]
    for character in value:
        encoded = quote(character, safe="")
        if len(pieces[-1]) + len(encoded) > LINE_CHARS - 20:
            pieces.append("")
        pieces[-1] += encoded
    if len(pieces) == 1:
        return f";{CRLF} {name}*={pieces[0]}"
    return "".join(f";{CRLF} {name}*{i}*={piece}" for i, piece in enumerate(pieces))


# Headers.


def _address_header(name: str, people: tuple[Address, ...], *, utf8: bool) -> str:
    mailboxes: list[str] = []
    groups: list[str] = []  # they come last: some readers lose their way behind one
    for person in people:
        address, shown = ascii_address(person.address), _clean(person.name).strip()
        if not utf8 and needs_smtputf8(address):
            groups.append(f"{_words(f'{shown} {address}'.strip())} :;")
        else:
            mailboxes.append(f"{_phrase(shown)}{CRLF} <{address}>" if shown else address)
    return f"{name}: " + f",{CRLF} ".join(mailboxes + groups)


def _phrase(name: str) -> str:
    if len(name) > LINE_CHARS - 20 or "=?" in name or not _PLAIN_TEXT.fullmatch(name):
        return _words(name)
    if _ATOMS.fullmatch(name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(text: str) -> str:
    """Text of a header: as it is where every reader gives it back so, else in encoded words."""
    text = _clean(text)
    words = text.split(" ")
    if not text:
        return ""
    if not _PLAIN_TEXT.fullmatch(text) or "=?" in text or max(map(len, words)) > LINE_CHARS - 20:
        return _words(text)
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) > LINE_CHARS - 20:
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    return f"{CRLF} ".join(lines)


def _words(text: str) -> str:
    """Encoded words (RFC 2047), one on a line; no character is cut in two."""
    pieces = [b""]
    for character in text:
        encoded = character.encode(errors="replace")
        if len(pieces[-1]) + len(encoded) > WORD_BYTES:
            pieces.append(b"")
        pieces[-1] += encoded
    return f"{CRLF} ".join(f"=?utf-8?B?{base64.b64encode(piece).decode()}?=" for piece in pieces)


def _ids(ids: tuple[str, ...]) -> list[str]:
    found = [one.strip() for one in ids if _ID.fullmatch(one.strip()) and len(one) <= MAX_ID_CHARS]
    return found if len(found) <= MAX_REFERENCES else [found[0], *found[1 - MAX_REFERENCES :]]


def _clean(value: str) -> str:
    """Without what ends a line or a header: each control character, separator and lone surrogate is a space."""
    return "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") else c for c in value)
