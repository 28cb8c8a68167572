"""
The account's own email provider: an SMTP server for what does not go through Outlook, and an email as it is handed to one.

Nothing here opens a connection: `adapters/smtp.py` does.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sync.domain.body import Body
from sync.domain.internet_name import ascii_address
from sync.domain.mail import Address
from sync.domain.outgoing import OutgoingFile

#: `starttls`: encrypted by STARTTLS (RFC 3207); `tls`: from the first byte (RFC 8314); `none`: only on this machine itself.
Security = Literal["starttls", "tls", "none"]
#: The steps on the way to a server that takes emails: its address found and allowed, connected, encrypted, logged in; then it is
#: the server's own word.
Stage = Literal["address", "connect", "tls", "login", "server"]

#: What is kept of a server's words, in characters.
MAX_WORDS_CHARS = 500


@dataclass(frozen=True)
class Provider:
    """
    How an account's provider is reached, and what may be sent through it. `version` is the stored row's etag.

    username: empty where the server asks for none. sender: what stands in From where an email names none of its own.
    domains: lower case, in ASCII; other addresses of these may stand in From, too.
    """

    account_id: str
    host: str
    port: int
    security: Security
    sender: Address
    domains: tuple[str, ...] = ()
    username: str = ""
    password: str = field(default="", repr=False)
    #: when its server last took our connection and login
    checked_at: datetime | None = None
    version: str | None = field(default=None, compare=False)

    def may_send_as(self, address: str) -> bool:
        """Whether an address may stand in From: the provider's own, or one of its domains."""
        asked = address.strip().casefold()
        if asked == self.sender.key:
            return True
        try:
            return ascii_address(asked).rpartition("@")[2] in self.domains
        except ValueError:
            return False


@dataclass(frozen=True)
class Email:
    """
    One email as it is handed to a server. `message_id` with its angle brackets; the same on every try, as is `date`.

    Blind copies are not part of it: they are among the recipients of the submission alone.
    """

    message_id: str
    date: datetime
    sender: Address
    to: tuple[Address, ...]
    subject: str
    body: Body
    cc: tuple[Address, ...] = ()
    files: tuple[OutgoingFile, ...] = ()
    in_reply_to: str = ""
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class ServerReply:
    """What a server said (RFC 5321 4.2): `code` as 550, and its own words, which may begin with a status as 5.1.1 (RFC 3463)."""

    code: int
    words: str

    @classmethod
    def of(cls, code: int, words: str) -> "ServerReply":
        """The same with its words fit to be shown: on one line, without control characters, and not longer than is kept."""
        shown = "".join(c if c.isprintable() else " " for c in words)
        return cls(code, " ".join(shown.split())[:MAX_WORDS_CHARS])

    @property
    def permanent(self) -> bool:
        """5yz: asking again changes nothing."""
        return self.code >= 500

    def __str__(self) -> str:
        return f"{self.code} {self.words}".strip() if self.code else self.words


def status_code(reply: ServerReply) -> str:
    """The enhanced status code (RFC 3463) that a reply begins with; else the reply code; empty where no server said anything."""
    found = re.match(r"([245]\.\d{1,3}\.\d{1,3})\b", reply.words)
    return found[1] if found else str(reply.code or "")
