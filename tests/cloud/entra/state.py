"""What the parts of the emulator share: its memory, its switches, and the failures that a test has planned."""

from dataclasses import dataclass, field
from typing import Literal

from tests.cloud.clock import Clock
from tests.cloud.controls import Control
from tests.cloud.directory import Directory
from tests.cloud.entra.clients import Clients
from tests.cloud.entra.errors import EntraError
from tests.cloud.entra.grants import Grants
from tests.cloud.entra.keys import SigningKey
from tests.cloud.entra.recording import RecordedRequest


class Switches(Control, validate_assignment=True):
    """
    Where the real service's behaviour is uncertain or differs between tenants: an app has to survive each of them.

    strict_rotation: a refresh token that was used is refused from then on.
    admin_consent_answer: what an app is told about a person whose tenant wants an administrator's consent: an OAuth
        error with the AADSTS number in its description, or `cancel`, as users report: `access_denied` with
        `error_subcode=cancel` and not a word about administrators.
    admin_consent_number: 90094, or 90095 where the tenant takes requests for approval.
    admin_decline_answer: what an app is told when the administrator declines; the documentation has all three.
    earlier_consents_in_scope: an answer's `scope` (and the token) holds what was consented to before, too.
    scopes_as_uri: Graph's scopes come back as `https://graph.microsoft.com/Mail.Read`.
    """

    strict_rotation: bool = False
    admin_consent_answer: Literal["access_denied", "consent_required", "interaction_required", "cancel"] = (
        "access_denied"
    )
    admin_consent_number: Literal[90094, 90095] = 90094
    admin_decline_answer: Literal["access_denied", "consent_required", "permission_denied"] = "access_denied"
    earlier_consents_in_scope: bool = False
    scopes_as_uri: bool = False


@dataclass
class PlannedTokenError:
    """
    A failure of the next token calls, whatever they ask.

    `times` counts down with each call it fails. `grant_type` limits it to calls of that grant; None takes any.
    `retry_after_seconds` is sent as Retry-After; None sends none.
    """

    error: EntraError
    times: int
    grant_type: str | None = None
    retry_after_seconds: int | None = None


@dataclass
class EntraState:
    """Everything the emulator knows. `url` is its root without a trailing slash."""

    url: str
    directory: Directory
    clock: Clock
    key: SigningKey
    clients: Clients
    grants: Grants
    switches: Switches = field(default_factory=Switches)
    planned_errors: list[PlannedTokenError] = field(default_factory=list)
    requests: list[RecordedRequest] = field(default_factory=list)

    def reset(self) -> None:
        """Back to the beginning, and nobody is there. Registered apps stay, and so does the clock."""
        self.directory.reset()
        self.grants.reset()
        self.switches = Switches()
        self.planned_errors.clear()
        self.requests.clear()
