"""
Why Outlook refused to send an email, in words for the person who sent it, and what they can do.

Codes: https://learn.microsoft.com/graph/errors and https://learn.microsoft.com/exchange/client-developer/web-service-reference/
responsecode, whose names Graph hands on. A code we don't know keeps Graph's own words.
"""

from typing import NamedTuple


class Refused(NamedTuple):
    """What happened, and what to do (may be empty)."""

    detail: str
    what_to_do: str


_BLOCKED = Refused(
    "Microsoft has blocked this account from sending, as it does when an account seems to be misused.",
    "Ask your administrator to unblock it, and change its password. Then send the email again.",
)
_FULL = Refused(
    "The mailbox is full, so that nothing can be sent from it.",
    "Delete or archive old mail and empty the Deleted Items folder, then send the email again.",
)
_LIMIT = Refused(
    "The mailbox has sent as much as Microsoft allows for now.",
    "Wait, up to a day, and send the email again; send mail to many people through your email provider.",
)
_TOO_LARGE = Refused(
    "The email is larger than the mailbox may send.", "Send smaller files, or a link to them, in a new email."
)
_DISABLED = Refused("The mailbox is disabled.", "Ask your administrator to enable it, then send the email again.")

_BY_CODE: dict[str, Refused] = {
    "ErrorSendAsDenied": Refused(
        "The mailbox may not send with this sender address.",
        "Ask your administrator for the right to send as this address, or send from the mailbox's own one.",
    ),
    "ErrorAccountSuspend": _BLOCKED,
    "ErrorAccountSuspendShowTierUpgrade": _BLOCKED,
    "ErrorMessageSubmissionBlocked": _BLOCKED,
    "ErrorAccountDisabled": _DISABLED,
    "ErrorQuotaExceeded": _FULL,
    "ErrorMailboxStoreFull": _FULL,
    "ErrorMailboxQuotaExceeded": _FULL,
    "ErrorSubmissionQuotaExceeded": _LIMIT,
    "ErrorExceededMessageLimit": _LIMIT,
    "ErrorMessageLimitExceeded": _LIMIT,
    "ErrorMessageSizeExceeded": _TOO_LARGE,
    "RequestEntityTooLarge": _TOO_LARGE,
    "ErrorInvalidRecipients": Refused(
        "At least one of the recipients' addresses can't be used.",
        "Check the addresses of all recipients, and send a new email.",
    ),
    "ErrorAccessDenied": Refused(
        "The mailbox did not allow this.",
        "Ask your administrator whether the mailbox may send; if nothing else helps, sign in to Outlook again.",
    ),
}
_BY_STATUS: dict[int, Refused] = {
    413: _TOO_LARGE,
    423: Refused("The mailbox is locked.", "Ask your administrator to unlock it, then send the email again."),
    507: _FULL,
}


def explained(code: str, status: int, words: str) -> Refused:
    """The refusal in plain words: by Graph's code, else by the HTTP status, else in Graph's `words`."""
    known = _BY_CODE.get(code) or _BY_STATUS.get(status)
    return known or Refused(f"Outlook refused the email: {words}", "")
