"""
Why an email did not arrive, in words for the person who sent it, and what they can do.

The status codes are those of RFC 3463 with its registry (https://www.iana.org/assignments/smtp-enhanced-status-codes), and
Exchange Online's own (https://learn.microsoft.com/exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online/
non-delivery-reports-in-exchange-online). What a code does not say is in the server's own words, which are told beside it.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from sync.domain.message import Bounce

#: Names of this many failed addresses are written out.
NAMED = 3


class Problem(NamedTuple):
    """What happened, and what to do."""

    detail: str
    what_to_do: str


_CHECK = "Check the address for typing mistakes, or ask the recipient for the right one, and send again."
_FULL = "The recipient's mailbox is full or takes nothing more now. Try again later, or reach them another way."
_SIZE = "The email is too large for the recipient's server. Send smaller files, or a link to them."
_DOMAIN = "The recipient's mail server was not found or not reached. Check what is behind the @; try again later."
_REFUSED = (
    "The recipient's server refused the email by its rules. Ask the recipient, or your administrator, to allow it."
)
_OURS = "Your own mailbox may not send now. Ask your administrator; Microsoft may have blocked it for sending too much or spam."
_LATER = "The mailbox or its server took nothing more for now. Try again later."
_ELSE = "Read the server's words, check the address, and try again later."

#: From the most special to the most general: the first that fits counts.
_WHAT_TO_DO: tuple[tuple[str, str], ...] = (
    (r"5\.1\.(8|90)", _OURS),  # bad outbound sender; more recipients in a day than allowed
    (r"5\.7\.(50[1-9]|51[01]|70[0-9]|750)", _OURS),  # spam or too much seen from this sender or organisation
    (r"[45]\.1\.2|[45]\.4\.[0-9]+", _DOMAIN),
    (r"[45]\.1\.[0-9]+|5\.2\.1|5\.5\.1", _CHECK),
    (r"[45]\.2\.2", _FULL),
    (r"[45]\.2\.3|[45]\.3\.4", _SIZE),
    (r"[45]\.2\.[0-9]+|4\.[0-9]+\.[0-9]+", _LATER),
    (r"5\.7\.[0-9]+", _REFUSED),
)


def what_to_do(status_code: str) -> str:
    """What somebody can do about an email that failed with this code."""
    return next((words for pattern, words in _WHAT_TO_DO if re.fullmatch(pattern, status_code)), _ELSE)


def explained(bounces: Sequence[Bounce]) -> Problem:
    """In plain words: whom it did not reach, and what to do about each kind of reason, the first ones first."""
    names = [bounce.address for bounce in bounces]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    advice = dict.fromkeys(what_to_do(bounce.status_code) for bounce in bounces)
    return Problem(f"The email did not reach {', '.join(names[:NAMED])}{more}.", " ".join(advice))
