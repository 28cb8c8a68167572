"""
One sign-in, from the CRM's request to the completed connection, and the checks that keep it the same person's throughout.

    new ──open──> opened ──park──> parked ──complete──> redeeming ──> redeemed
                    │                                       └──(Microsoft not reachable)──> parked
                    └──(declined, expired, failed)──> ended

State, PKCE and nonce alone do not stop one person from finishing another's sign-in (draft-ietf-oauth-security-topics-update,
session fixation). Two more ties do: a cookie set when the link is opened binds the callback to that browser, and the
authorization code is parked unredeemed until the CRM, which knows who is signed in to it, asks to complete it.

Secrets are kept as hashes: link token, browser binding, completion code.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

from sync.domain.errors import CompletionCodeExpired, CompletionCodeUnknown, ReturnUrlNotAllowed, SignInLinkUnusable

LINK_LIFETIME = timedelta(minutes=10)
#: An authorization code of Entra ID lives about ten minutes; ours is parked for less.
COMPLETION_LIFETIME = timedelta(minutes=5)

Outcome = Literal["declined", "admin_consent_required", "expired", "failed"]
#: How the user's last sign-in ended, as far as that is still to be seen: also after the CRM asked to complete it, or once an
#: administrator has approved the app.
LastOutcome = Literal["declined", "admin_consent_required", "admin_consented", "expired", "failed", "wrong_mailbox"]
#: A sign-in that came to nothing is shown for so long; one that waits for an administrator for longer.
SHOWN_FOR = timedelta(minutes=15)
WAITS_FOR = timedelta(days=30)


class Step(StrEnum):
    """How far a sign-in has come."""

    NEW = "new"
    OPENED = "opened"
    PARKED = "parked"
    REDEEMING = "redeeming"
    REDEEMED = "redeemed"
    ENDED = "ended"


@dataclass(frozen=True)
class SignIn:
    """
    A sign-in as stored. `sealed_flow` holds state, nonce and PKCE verifier, `sealed_code` the parked answer of Microsoft.

    `version` is the row's etag; None: not stored yet.
    """

    sign_in_id: str
    account_id: str
    user_id: str
    return_url: str
    expected_email: str
    step: Step
    expires_at: datetime
    token_hash: str
    binding_hash: str = ""
    completion_hash: str = ""
    sealed_flow: str = ""
    sealed_code: str = ""
    connection_id: str = ""
    #: who will probably sign in; nothing depends on it
    login_hint: str = ""
    #: what Microsoft wants of this sign-in (JSON of a claims challenge)
    claims: str = ""
    version: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class LastSignIn:
    """How the user's last sign-in ended, where it did not end in a connection."""

    account_id: str
    user_id: str
    sign_in_id: str
    outcome: LastOutcome
    at: datetime

    def to_be_shown(self, now: datetime) -> bool:
        """Whether it still matters to the user."""
        waits = self.outcome in ("admin_consent_required", "admin_consented")
        return now - self.at < (WAITS_FOR if waits else SHOWN_FOR)


@dataclass(frozen=True)
class SignInEnd:
    """The same as people see it. `admin_consent_url`: where an administrator can approve the app, else empty."""

    outcome: LastOutcome
    at: datetime
    admin_consent_url: str = ""


@dataclass(frozen=True)
class Grant:
    """A redeemed sign-in: the token cache to keep (MSAL's JSON, secret), who signed in, and the scopes granted, lower-case."""

    token_cache: str
    tenant_id: str
    object_id: str
    home_account_id: str
    user_name: str
    display_name: str
    scopes: frozenset[str]
    access_token: str


def fingerprint(secret: str) -> str:
    """What is stored of a random secret of 256 bits: its SHA-256."""
    return hashlib.sha256(secret.encode()).hexdigest()


def matches(secret: str, stored_hash: str) -> bool:
    """Whether this is the secret whose fingerprint was stored. Constant time; an empty fingerprint matches nothing."""
    return bool(stored_hash) and hmac.compare_digest(fingerprint(secret), stored_hash)


def sign_in_id_of(handle: str) -> str:
    """The id in front of a link token, a state or a completion code (`<id>.<secret>`); empty where it is none of these."""
    found, dot, secret = handle.partition(".")
    return found if dot and secret and found.isalnum() and found.isascii() and len(found) <= 64 else ""


def check_return_url(return_url: str, allowed_origins: tuple[str, ...]) -> None:
    """Raise ReturnUrlNotAllowed unless the URL is on an allowed origin and holds nothing that a browser may read otherwise."""
    try:
        parts = urlsplit(return_url)
        origin = origin_of(return_url)
    except ValueError as error:
        raise ReturnUrlNotAllowed from error
    plain = return_url.isascii() and return_url.isprintable() and not set(return_url) & set(' \\"<>')
    if not plain or parts.username is not None or parts.password is not None or origin not in allowed_origins:
        raise ReturnUrlNotAllowed


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL, in lower case and without a default port. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http(s) address")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def with_result(return_url: str, **result: str) -> str:
    """The return URL with the result added to its query; what is there already stays."""
    parts = urlsplit(return_url)
    query = "&".join(part for part in (parts.query, urlencode(result)) if part)
    return urlunsplit(parts._replace(query=query))


def check_open(sign_in: SignIn | None, token: str, now: datetime) -> SignIn:
    """The sign-in that this link opens. A link may be opened again until a callback came; raises SignInLinkUnusable."""
    if sign_in is None or not matches(token, sign_in.token_hash):
        raise SignInLinkUnusable
    if sign_in.step not in (Step.NEW, Step.OPENED) or now >= sign_in.expires_at:
        raise SignInLinkUnusable(
            "This sign-in link has expired or was used already. Go back to the CRM and click Connect again."
        )
    return sign_in


def check_callback(sign_in: SignIn | None, binding: str) -> SignIn:
    """The sign-in that a callback belongs to, in the browser that opened the link; raises SignInLinkUnusable."""
    if sign_in is None or sign_in.step is not Step.OPENED or not matches(binding, sign_in.binding_hash):
        raise SignInLinkUnusable(
            "This sign-in was not started in this browser, or it has ended already. Go back to the CRM and click Connect again."
        )
    return sign_in


def check_completion(sign_in: SignIn | None, account_id: str, user_id: str, code: str, now: datetime) -> SignIn:
    """
    The sign-in that this user of the CRM may complete with this code.

    Raises CompletionCodeUnknown for a code that is none, or another user's: the two look the same. Raises CompletionCodeExpired
    for one's own code that is too old, or spent on a sign-in that failed. A redeemed one passes, so that a repeated call gets its
    connection.
    """
    if sign_in is None or not matches(code, sign_in.completion_hash):
        raise CompletionCodeUnknown
    if (sign_in.account_id, sign_in.user_id) != (account_id, user_id):
        raise CompletionCodeUnknown
    if sign_in.step is Step.REDEEMED:
        return sign_in
    if sign_in.step is Step.ENDED or now >= sign_in.expires_at:
        raise CompletionCodeExpired
    return sign_in


def refused_because(answer: Mapping[str, str]) -> Outcome:
    """
    Why Microsoft sent no code, from the parameters of its redirect.

    The AADSTS number stands only in the description: 65004 the user declined, 90094 and 90095 an administrator is needed
    (https://learn.microsoft.com/entra/identity-platform/reference-error-codes).
    """
    description = answer.get("error_description", "")
    if any(number in description for number in ("AADSTS90094", "AADSTS90095")):
        return "admin_consent_required"
    if answer.get("error_subcode") == "cancel" or answer.get("error") == "access_denied":
        return "declined"
    return "failed"
