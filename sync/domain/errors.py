"""
Everything that can go wrong, as a tree. A class's docstring is its default message.

    SyncError
    ├── Refusal                       the caller asked for something that can't be: answered as a problem, nothing changed
    │   ├── NotFound
    │   ├── MalformedRequest
    │   ├── InvalidRequest
    │   ├── PayloadTooLarge
    │   ├── IdempotencyKeyMissing
    │   ├── IdempotencyKeyReused
    │   ├── ReturnUrlNotAllowed
    │   ├── CompletionCodeUnknown
    │   ├── CompletionCodeExpired
    │   ├── CompletionInProgress
    │   ├── NotConnected
    │   ├── SettingsPageExpired
    │   ├── WrongMailbox
    │   ├── SignInFailed
    │   ├── AttachmentRefused
    │   ├── ConnectionNeedsReconnect
    │   ├── ProviderNotConfigured
    │   ├── ProviderCheckFailed
    │   ├── ThreadStopped
    │   └── NotCancellable
    ├── SignInLinkUnusable            the person in the browser: a link or callback that does not fit
    ├── OutsideError                  a neighbour (Graph, Entra ID, a provider) did not do what was asked
    │   ├── Throttled                 not done; try again after `retry_after`
    │   ├── Unclear                   maybe done, maybe not: a timeout, a cut connection, a 5xx
    │   ├── Gone                      what we asked for is not there
    │   ├── Declined                  a permanent no; carries the neighbour's code and words
    │   └── ReconnectNeeded           the user has to sign in again
    ├── OperatorAlarm                 our own registration or configuration is broken; no user can mend it
    └── Conflict                      somebody else changed the row first
"""

from datetime import timedelta
from typing import ClassVar

from sync.domain.trouble import Reason


class SyncError(Exception):
    """Something went wrong."""

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip()
        super().__init__(self.detail)


class Refusal(SyncError):
    """The request can't be done."""

    code: ClassVar[str] = "refused"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str | None = None, **extra: object) -> None:
        super().__init__(detail)
        #: further members of the problem document
        self.extra = extra


class NotFound(Refusal):
    """There is nothing here by that id."""

    code = "not_found"


class MalformedRequest(Refusal):
    """The request could not be read."""

    code = "malformed_request"


class InvalidRequest(Refusal):
    """The request has fields that can't be used."""

    code = "invalid_request"


class PayloadTooLarge(Refusal):
    """The request is larger than what is accepted."""

    code = "payload_too_large"


class IdempotencyKeyMissing(Refusal):
    """Send an Idempotency-Key header (1 to 255 visible ASCII characters), the same one on each try of this send."""

    code = "idempotency_key_missing"


class IdempotencyKeyReused(Refusal):
    """This Idempotency-Key was used with another body. Use a new key for a new send."""

    code = "idempotency_key_reused"


class ReturnUrlNotAllowed(Refusal):
    """return_url must be on one of the origins in ALLOWED_RETURN_ORIGINS."""

    code = "return_url_not_allowed"


class CompletionCodeUnknown(Refusal):
    """No sign-in of this user waits for that completion code. Start a new sign-in."""

    code = "completion_code_unknown"


class CompletionCodeExpired(Refusal):
    """The completion code is too old or used up. Start a new sign-in."""

    code = "completion_code_expired"


class CompletionInProgress(Refusal):
    """Another call is completing this sign-in. Repeat the call in a second; if that lasts, start a new sign-in."""

    code = "completion_in_progress"
    retryable = True


class NotConnected(Refusal):
    """The mailbox is not connected any more. Nothing was changed; connect it first."""

    code = "not_connected"


class SettingsPageExpired(Refusal):
    """This link to the settings page is too old or not one of ours. Open the page again from the CRM."""

    code = "settings_page_expired"


class WrongMailbox(Refusal):
    """Another mailbox than expected_email was signed in to. Nothing was connected; start a new sign-in."""

    code = "wrong_mailbox"


class SignInFailed(Refusal):
    """Microsoft did not accept the sign-in. Nothing was connected; start a new sign-in."""

    code = "sign_in_failed"


class AttachmentRefused(Refusal):
    """A file can't be sent; `files` names each with its reason. Nothing was sent."""

    code = "attachment_refused"


class ConnectionNeedsReconnect(Refusal):
    """The user has to sign in to Outlook again before emails can be sent through it. Nothing was sent."""

    code = "connection_needs_reconnect"


class ProviderNotConfigured(Refusal):
    """No mailbox takes this email, and the account has no provider. Nothing was sent. Connect the mailbox or set a provider."""

    code = "provider_not_configured"


class ProviderCheckFailed(Refusal):
    """The provider could not be used as it is given. Nothing was stored."""

    code = "provider_check_failed"


class ThreadStopped(Refusal):
    """This thread belongs to a mailbox that is no longer connected. Send a new email instead of an answer."""

    code = "thread_stopped"


class NotCancellable(Refusal):
    """This email may be on its way, or has ended already, so that it can't be cancelled. Its `status` says how it stands."""

    code = "not_cancellable"


class SignInLinkUnusable(SyncError):
    """This sign-in link can't be used any more. Go back to the CRM and click Connect again."""


class OutsideError(SyncError):
    """A neighbour did not do what was asked."""

    #: how far we came with a provider (`domain.provider.Stage`); empty for other neighbours
    stage: str = ""


class Throttled(OutsideError):
    """Asked to come back later."""

    def __init__(self, detail: str | None = None, *, retry_after: timedelta) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Unclear(OutsideError):
    """No clear answer came: it may have been done, or not."""


class Gone(OutsideError):
    """What was asked for is not there (any more)."""


class Declined(OutsideError):
    """A permanent no."""

    def __init__(self, detail: str | None = None, *, code: str, status: int) -> None:
        super().__init__(detail)
        #: the neighbour's own error code, as `ErrorSendAsDenied`
        self.code = code
        self.status = status


class ReconnectNeeded(OutsideError):
    """Microsoft no longer accepts the stored sign-in; the user has to sign in again."""

    def __init__(
        self, detail: str | None = None, *, cause: str, reason: Reason = "sign_in_refused", claims: str = ""
    ) -> None:
        super().__init__(detail)
        #: the OAuth error and, where given, the AADSTS number: for the operator's log
        self.cause = cause
        #: what that means for people
        self.reason: Reason = reason
        #: what the next sign-in has to bring (JSON of a claims challenge), where Microsoft said so
        self.claims = claims


class OperatorAlarm(SyncError):
    """The app's own registration with Microsoft, or its keys, are broken. No user can mend this."""


class Conflict(SyncError):
    """The row was changed by somebody else first."""
