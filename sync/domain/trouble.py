"""
Why Microsoft no longer lets us into a mailbox, in words for the person who has to do something about it.

*That* a sign-in is over is decided by the OAuth `error` alone, as Microsoft asks; the AADSTS numbers only choose the words
(https://learn.microsoft.com/entra/identity-platform/reference-error-codes). A number we don't know gets the general ones.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "sign_in_expired",
    "password_expired",
    "account_disabled",
    "verification_required",
    "blocked_by_policy",
    "consent_withdrawn",
    "admin_consent_required",
    "mailbox_unavailable",
    "sign_in_refused",
]


@dataclass(frozen=True)
class Trouble:
    """What happened and what to do, each a sentence or two in plain words. `by` an administrator, or the user alone."""

    cause: str
    what_to_do: str
    by: Literal["user", "administrator"]


_STOPPED = "Until then nothing syncs and nothing is sent through the mailbox."

TROUBLES: dict[Reason, Trouble] = {
    "sign_in_expired": Trouble(
        "The sign-in to Outlook has expired or was revoked.", f"Sign in to Outlook again. {_STOPPED}", "user"
    ),
    "password_expired": Trouble(
        "The password of this mailbox has expired.",
        f"Set a new password at Microsoft, then sign in to Outlook again. {_STOPPED}",
        "user",
    ),
    "account_disabled": Trouble(
        "This Microsoft account is disabled, locked or no longer exists.",
        f"Ask your administrator to enable the account, then sign in to Outlook again. {_STOPPED}",
        "administrator",
    ),
    "verification_required": Trouble(
        "Microsoft wants to verify again that it is really you.", f"Sign in to Outlook again. {_STOPPED}", "user"
    ),
    "blocked_by_policy": Trouble(
        "Your organisation's sign-in rules do not allow this app to reach the mailbox now.",
        f"Ask your administrator to allow it, then sign in to Outlook again. {_STOPPED}",
        "administrator",
    ),
    "consent_withdrawn": Trouble(
        "The permission to read and send mail was withdrawn.",
        f"Sign in to Outlook again and accept the permissions. {_STOPPED}",
        "user",
    ),
    "admin_consent_required": Trouble(
        "Your organisation lets only an administrator approve this app.",
        f"Ask your administrator to approve it, then sign in to Outlook again. {_STOPPED}",
        "administrator",
    ),
    "mailbox_unavailable": Trouble(
        "This account has no usable Outlook mailbox now: the licence is missing, or the mailbox is inactive or not in the cloud.",
        f"Ask your administrator about the mailbox's licence, then sign in to Outlook again. {_STOPPED}",
        "administrator",
    ),
    "sign_in_refused": Trouble(
        "Microsoft no longer accepts the sign-in of this mailbox.", f"Sign in to Outlook again. {_STOPPED}", "user"
    ),
}

_BY_NUMBER: dict[int, Reason] = {
    **dict.fromkeys((50173, 50132, 50133, 700082, 70008, 70043, 700084, 70000), "sign_in_expired"),
    **dict.fromkeys((50055, 50144), "password_expired"),
    **dict.fromkeys((50057, 50034, 50020, 50053, 50105), "account_disabled"),
    **dict.fromkeys((50072, 50074, 50076, 50078, 50079, 50158), "verification_required"),
    **dict.fromkeys((53000, 53001, 53002, 53003, 53004, 50097), "blocked_by_policy"),
    **dict.fromkeys((65001, 65004), "consent_withdrawn"),
    **dict.fromkeys((90094, 90095), "admin_consent_required"),
}
_BY_SUBERROR: dict[str, Reason] = {
    "basic_action": "verification_required",
    "additional_action": "verification_required",
    "consent_required": "consent_withdrawn",
    "user_password_expired": "password_expired",
    "bad_token": "sign_in_expired",
    "token_expired": "sign_in_expired",
}
_BY_ERROR: dict[str, Reason] = {
    "consent_required": "consent_withdrawn",
    "interaction_required": "verification_required",
    "login_required": "sign_in_expired",
}


def reason_of(error: str, suberror: str = "", numbers: Iterable[int] = ()) -> Reason:
    """What a refusal of the token endpoint means for people: by number, else by `suberror`, else by `error`."""
    for number in numbers:
        if number in _BY_NUMBER:
            return _BY_NUMBER[number]
    return _BY_SUBERROR.get(suberror) or _BY_ERROR.get(error) or "sign_in_refused"


def without_mailbox(code: str) -> bool:
    """Whether Graph says that there is no mailbox in Exchange Online, as without a licence (https://learn.microsoft.com/graph/errors)."""
    return code in ("MailboxNotEnabledForRESTAPI", "MailboxNotSupportedForRESTAPI", "ErrorNonExistentMailbox")


def maybe_without_consent(status: int, code: str) -> bool:
    """
    Whether Graph's refusal may mean that the token lacks what we asked consent for; or it is about the one item.

    https://learn.microsoft.com/graph/resolve-auth-errors. Another call tells.
    """
    return status == 403 and code in ("ErrorAccessDenied", "AccessDenied", "Authorization_RequestDenied")
